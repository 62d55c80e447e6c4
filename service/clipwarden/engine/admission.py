"""Bound what is at work at once: an image is let in if there is room and time for it, or refused at once with a hint.

Two steps. On arrival (`arrive`) only the caller, the deadline and perhaps a number of bytes are known; what is let in
holds a `Ticket`, which counts until the call ends. Once the header has been read, the work that its content takes is
known (`begin`), and refused before any decoding if it cannot be done in time; what is let in is `Work`, which counts
until it is done or nobody waits for it. One content's work may serve several tickets, and outlive the first of them.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from clipwarden.engine.settings import Cause, Observer, Unobserved
from clipwarden.engine.terms import Terms
from clipwarden.errors import OverloadedError

MIN_RETRY_SECONDS = 0.05
"""Shortest hint: retrying faster than a network round trip only adds load."""


class Ticket:
    """One image, or one call, that was let in; a context manager, which gives everything back at its end.

    Made by `Admission.arrive`. Ending it twice does nothing.
    """

    def __init__(self, admission: "Admission", terms: Terms) -> None:
        self._admission = admission
        self.terms = terms
        self._bytes = 0
        self._ended = False

    def __enter__(self) -> Self:
        """Hold the place."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        self.end()

    def hold(self, size: int) -> None:
        """Hold so many bytes from now on, in the place of what was held; less is always possible.

        Args:
            size: Bytes that are read, or may be.

        Raises:
            OverloadedError: There is no room for that many more; what was held stays held.
        """
        self._admission._require_bytes(self.terms, size - self._bytes)
        self._admission.bytes += size - self._bytes
        self._bytes = size

    def fits(self, size: int) -> bool:
        """Tell whether `hold` would find room."""
        return self._admission._byte_cause(self.terms, size - self._bytes) is None

    def end(self) -> None:
        """Give everything back."""
        if not self._ended:
            self._ended = True
            self._admission.items -= 1
            self._admission.bytes -= self._bytes


class Admission:
    """Counts images, bytes and work from admission to verdict. Lives on one event loop.

    Attributes:
        items: Tickets that are out.
        bytes: That they hold.

    Args:
        max_items: Images.
        max_bytes: Bytes of their files, read or about to be.
        observer: Told of refusals.
        clock: Seconds, the clock that deadlines are on.
    """

    def __init__(
        self,
        *,
        max_items: int,
        max_bytes: int,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._observer = observer or Unobserved()
        self._clock = clock
        self.items = 0
        self.bytes = 0

    def arrive(self, terms: Terms, *, size: int = 0, sees: bool = True) -> Ticket:
        """Let an image in, before anything of it has been read.

        Args:
            terms: Of its call.
            size: Bytes to hold from the start.
            sees: Whether it will be looked at, and so has to wait; False for embeddings that only are to be judged.

        Returns:
            Its ticket, to be used as a context manager.

        Raises:
            OverloadedError: There is no room now, in all or for this caller, or as things are it would be too late
                (`retry_after_seconds` says when to come again); the observer was told why.
        """
        if self.items >= self._max_items:
            raise self._refusal("items")
        self._require_bytes(terms, size)
        self.items += 1
        ticket = Ticket(self, terms)
        self.bytes += size
        ticket._bytes = size
        return ticket

    def _require_bytes(self, terms: Terms, more: int) -> None:
        if cause := self._byte_cause(terms, more):
            raise self._refusal(cause)

    def _byte_cause(self, _terms: Terms, more: int) -> Cause | None:
        """Say why so many more bytes cannot be held; None if they can."""
        return "bytes" if more > 0 and self.bytes + more > self._max_bytes else None

    def _refusal(self, cause: Cause) -> OverloadedError:
        self._observer.note_refusal(cause)
        return OverloadedError(
            f"{self.items} images of {self.bytes} bytes are at work or waiting, and there is no room for more",
            retry_after_seconds=MIN_RETRY_SECONDS,
        )
