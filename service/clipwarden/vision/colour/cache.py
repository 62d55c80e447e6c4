"""Keys in, values that were costly to build out: the ones used last, as many as fit."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Least recently used values go first; safe to use from many threads.

    Two threads that miss the same key at once both build it: a lock held meanwhile would let one hostile file hold up
    all others.
    """

    def __init__(self, *, entries: int, bytes: int) -> None:  # noqa: A002
        self._most_entries, self._most_bytes = entries, bytes
        self._values: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._lock = Lock()
        self._bytes = 0

    def get(self, key: str, build: Callable[[], tuple[T, int]]) -> T:
        """Return the value of a key.

        Args:
            key: What it was built from.
            build: Returns the value and how many bytes it holds on to.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value, size = build()
        with self._lock:
            if key not in self._values:
                self._values[key] = value, size
                self._bytes += size
            while len(self._values) > self._most_entries or self._bytes > self._most_bytes:
                _, (_, freed) = self._values.popitem(last=False)
                self._bytes -= freed
        return value
