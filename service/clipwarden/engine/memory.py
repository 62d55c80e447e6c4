"""Lend out the memory that decodes may hold together: bytes asked for in, a turn out, in the order of asking.

Nobody overtakes: what asks for much waits until enough has come back, and all that asks later stands behind it, so that
the huge are never put off for ever by the middling. What asks for little is lent it at once, whoever waits: it is
bounded by the threads alone, and must not stand behind the huge for the seconds that they take.

Lives on one event loop and waits there. What was lent is given back when the work has really ended, which for work
that is stuck may be never: it counts on, and whoever could not have their share beside it fails at once.
"""

import asyncio
from collections import deque

from clipwarden.errors import ClipwardenError, EncoderError


class ByteBudget:
    """Counts bytes that are lent.

    Attributes:
        lent: Bytes lent now, small shares included.

    Args:
        max_bytes: Most bytes lent at once, small shares aside.
        small_bytes: Shares up to this are lent at once.
    """

    def __init__(self, *, max_bytes: int, small_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._small_bytes = small_bytes
        self._counted = 0  # of `lent`, what is not small
        self._stuck = 0  # of that, what may never come back
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.lent = 0

    async def borrow(self, size: int) -> None:
        """Wait for a share, to be given back by `give_back`; a caller that is cancelled meanwhile leaves without.

        Args:
            size: Bytes.

        Raises:
            EncoderError: It is more than what can still come back.
            ClipwardenError: As `fail_all` was told.
        """
        if self._is_small(size) or (not self._waiting and self._fits(size)):
            self._lend(size)
            return
        self._require_possible(size)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._wake()  # it stood in the way of those behind it
            elif turn.exception() is None:
                self.give_back(size)  # its turn had come
            raise

    def give_back(self, size: int) -> None:
        """Return a share."""
        self.lent -= size
        if not self._is_small(size):
            self._counted -= size
            self._wake()

    def note_stuck(self, size: int) -> None:
        """Hear that a share may never come back; who waits in vain for it fails."""
        if not self._is_small(size):
            self._stuck += size
            for wanted, turn in self._waiting:
                if not turn.done() and wanted + self._stuck > self._max_bytes:
                    turn.set_exception(_out_of_reach())
            self._wake()

    def note_unstuck(self, size: int) -> None:
        """Hear that a share comes back after all; it still has to be given back."""
        if not self._is_small(size):
            self._stuck -= size

    def fail_all(self, error: ClipwardenError) -> None:
        """Answer all who wait with an error."""
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(error)
        self._waiting.clear()

    def _is_small(self, size: int) -> bool:
        return size <= self._small_bytes

    def _fits(self, size: int) -> bool:
        return self._counted + size <= self._max_bytes

    def _require_possible(self, size: int) -> None:
        if size + self._stuck > self._max_bytes:
            raise _out_of_reach()

    def _lend(self, size: int) -> None:
        self.lent += size
        if not self._is_small(size):
            self._counted += size

    def _wake(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(size):
                    return
                self._lend(size)
                turn.set_result(None)
            self._waiting.popleft()


def _out_of_reach() -> EncoderError:
    return EncoderError("the memory that decoding this image takes is held by decodes that are stuck")
