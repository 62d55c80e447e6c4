"""Bound what is at work at once: an image is let in if there is room for it, or refused at once with a retry hint."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clipwarden.errors import OverloadedError

MIN_RETRY_SECONDS = 0.05
"""Shortest hint: retrying faster than a network round trip only adds load."""


class Admission:
    """Counts images and bytes from admission to verdict. Lives on one event loop.

    Args:
        max_items: Images.
        max_bytes: Bytes of their files.
        expected_wait: Seconds that so many images take, as measured.
    """

    def __init__(self, *, max_items: int, max_bytes: int, expected_wait: Callable[[int], float]) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._expected_wait = expected_wait
        self.items = 0
        self.bytes = 0

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Hold room for one image.

        Args:
            size: Bytes of its file.

        Raises:
            OverloadedError: There is no room now; says when half of it should be free again.
        """
        if self.items >= self._max_items or self.bytes + size > self._max_bytes:
            raise OverloadedError(
                f"{self.items} images of {self.bytes} bytes are at work or waiting, and there is no room for more",
                retry_after_seconds=max(MIN_RETRY_SECONDS, self._expected_wait(self.items) / 2),
            )
        self.items += 1
        self.bytes += size
        try:
            yield
        finally:
            self.items -= 1
            self.bytes -= size
