"""Lend out the memory that decodes may hold together: bytes asked for in, a turn out, in the order of asking.

What asks for much waits until enough has come back. Meanwhile a few that fit into what is free may pass it, so that the
middling need not wait for the huge; but no more than that, so that it is never put off for ever. What asks for little
is lent it at once, whoever waits: it is bounded by the threads alone, and must not stand behind the huge for the
seconds that they take.

Lives on one event loop and waits there. What was lent is given back when the work has really ended, which for work
that is stuck may be never: it counts on, and whoever could not have their share beside it fails at once.
"""

import asyncio
from collections import deque

from clipwarden.errors import ClipwardenError, EncoderError

MOST_PASSES = 16
"""How many may pass one that waits: some seconds of decoding on two threads, about as long as the huge take."""


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
        self._passes = 0  # that were let past the first of these
        self.lent = 0

    async def borrow(self, size: int) -> None:
        """Wait for a share, to be given back by `give_back`; a caller that is cancelled meanwhile leaves without.

        Args:
            size: Bytes.

        Raises:
            EncoderError: It is more than what can still come back.
            ClipwardenError: As `fail_all` was told.
        """
        if self.is_small(size):
            self._lend(size)
            return
        if self._fits(size) and self._passes < MOST_PASSES:
            self._passes += bool(self._waiting)
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

    def lend_small(self, size: int) -> None:
        """Lend a small share, as `borrow` does."""
        self.lent += size

    def give_back(self, size: int) -> None:
        """Return a share."""
        self.lent -= size
        if not self.is_small(size):
            self._counted -= size
            self._wake()

    def note_stuck(self, size: int) -> None:
        """Hear that a share may never come back; who waits in vain for it fails."""
        if not self.is_small(size):
            self._stuck += size
            for wanted, turn in self._waiting:
                if not turn.done() and wanted + self._stuck > self._max_bytes:
                    turn.set_exception(_out_of_reach())
            self._wake()

    def note_unstuck(self, size: int) -> None:
        """Hear that a share comes back after all; it still has to be given back."""
        if not self.is_small(size):
            self._stuck -= size

    def fail_all(self, error: ClipwardenError) -> None:
        """Answer all who wait with an error."""
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(error)
        self._waiting.clear()
        self._passes = 0

    def is_small(self, size: int) -> bool:
        """Whether so much is lent without waiting."""
        return size <= self._small_bytes

    def _fits(self, size: int) -> bool:
        return self._counted + size <= self._max_bytes

    def _require_possible(self, size: int) -> None:
        if size + self._stuck > self._max_bytes:
            raise _out_of_reach()

    def _lend(self, size: int) -> None:
        self.lent += size
        if not self.is_small(size):
            self._counted += size

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for size, turn in waiting:
            first = not self._waiting
            if turn.done():
                self._passes = 0 if first else self._passes  # it was cancelled, or failed
            elif self._fits(size) and (first or self._passes < MOST_PASSES):
                self._passes = 0 if first else self._passes + 1
                self._lend(size)
                turn.set_result(None)
            else:
                self._waiting.append((size, turn))


def _out_of_reach() -> EncoderError:
    return EncoderError("the memory that decoding this image takes is held by decodes that are stuck")
