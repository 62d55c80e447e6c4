"""A file's bytes in, the numbers at given places out, until the reading has cost what it may.

Every parser of this package reads through a `BoundedReader`, so that a file cannot make it do more than its `Budget`
says, whatever the file claims; and what it did cost can be counted.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What one walk over a file may cost.

    Attributes:
        entries: Directory entries, markers, blocks, chunks, boxes or table values, each a few steps of Python.
        bytes: Bytes looked at, counted again each time.
        passes: Searches of the whole file in C, on top of `bytes`. Measured on 64 MiB: 0.16 s for the mark of a JPEG's
            scan, 0.6 s for its next marker, both behind nothing but fill bytes.
    """

    entries: int = 0
    bytes: int = 0
    passes: int = 0


# What admission pays before a file has been found worth a thread's time, in any format. TIFF's registry knows about
# 400 tags, private ones included, and a directory lists each once; a JPEG's ICC profile or EXIF of 64 MiB in segments
# of 64 KiB needs 1,024: so 4,096 are four times what honest files have. The bytes are those of a BigTIFF directory of
# as many entries (20 each); in a JPEG they leave 80 KiB for fill bytes, of which encoders put at most a few.
HEADER_BUDGET = Budget(entries=4096, bytes=96 * 1024)

# Two bytes as one number, and how many are compared at once: what compares them takes 128 KiB.
_PAIR, _PAIRS_AT_ONCE = np.dtype("<u2"), 2**17
# Up to here the calls of numpy, with the caches as an encoder leaves them, take longer than `bytes.count`.
_SHORT_BYTES = 2**15


class BudgetSpentError(struct.error):
    """A walk cost all it may; to a parser that does not ask, the file is damaged there."""


class BoundedReader:
    """Reads numbers from a file's bytes.

    Attributes:
        entries_read: Entries visited so far, at most the budget's.
        bytes_read: Bytes looked at so far, at most the budget's and its passes'.

    Every method raises `struct.error` past the end of the file, and `BudgetSpentError` instead of exceeding the budget.
    """

    def __init__(self, data: bytes, budget: Budget) -> None:
        """Wrap a file.

        Args:
            data: The file; not copied.
            budget: What reading it may cost, in all.
        """
        self.entries_read = 0
        self.bytes_read = 0
        self._data = data
        self._max_entries = budget.entries
        self._max_bytes = budget.bytes + budget.passes * len(data)

    def __len__(self) -> int:
        """Size of the file, in bytes."""
        return len(self._data)

    def field(self, code: str, position: int, *, entries: int = 0) -> tuple[Any, ...]:
        """Read numbers that belong to the header, or to an entry already paid for.

        Args:
            code: As `struct` takes it.
            position: In bytes from the start.
            entries: How many entries begin here.
        """
        size = struct.calcsize(code)
        if not 0 <= position <= len(self._data) - size:  # struct overflows on offsets of 64 bits
            raise struct.error("beyond the end")
        self._spend(entries, size)
        return struct.unpack_from(code, self._data, position)

    def entry(self, code: str, position: int) -> tuple[Any, ...]:
        """Read one more entry; arguments as of `field`."""
        return self.field(code, position, entries=1)

    def table(self, code: str, position: int, count: int) -> Iterator[tuple[Any, ...]]:
        """Read entries that follow each other; all of them are paid for at once.

        Args:
            code: Of one entry, as `struct` takes it.
            position: Of the first, in bytes from the start.
            count: How many.
        """
        size = count * struct.calcsize(code)
        if not 0 <= position <= len(self._data) - size:
            raise struct.error("beyond the end")
        self._spend(count, size)
        return struct.iter_unpack(code, memoryview(self._data)[position : position + size])

    def body(self, position: int, size: int) -> memoryview:
        """Return the bytes of an entry already paid for; not copied.

        Args:
            position: In bytes from the start.
            size: How many.
        """
        if not 0 <= position <= len(self._data) - size:
            raise struct.error("beyond the end")
        self._spend(0, size)
        return memoryview(self._data)[position : position + size]

    def skip_blocks(self, position: int) -> int:
        """Pass over blocks that each begin with a byte of their length, up to an empty one; each is an entry.

        Args:
            position: Of the first, in bytes from the start.

        Returns:
            Where the empty one ends.
        """
        left = min(self._max_entries - self.entries_read, self._max_bytes - self.bytes_read)
        blocks, length = 0, 1
        while length and blocks < left and position < len(self._data):
            length = self._data[position]
            position += 1 + length
            blocks += 1
        self._spend(blocks, blocks)
        if length:
            raise BudgetSpentError if blocks == left else struct.error("beyond the end")
        return position

    def search(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes] | None:
        """Find the next entry by a pattern, paying for the bytes up to the match's end.

        Args:
            pattern: What to look for.
            position: Where to begin, in bytes from the start.

        Returns:
            The match; None when there is none up to the end of the file.
        """
        if not 0 <= position <= len(self._data):
            return None
        stop = position + self._max_bytes - self.bytes_read  # may lie behind the file's end
        found = pattern.search(self._data, position, stop)
        if found is None:
            self._spend(0, min(len(self._data), stop) - position)
            if stop < len(self._data):
                raise BudgetSpentError
        elif self.entries_read == self._max_entries:
            raise BudgetSpentError
        else:
            self.entries_read += 1
            self.bytes_read += found.end() - position
        return found

    def count(self, text: bytes) -> int:
        """Count how often a text that does not overlap itself stands in the file: one pass."""
        self._spend(0, len(self._data))
        return _count_pairs(self._data, text) if len(text) == _PAIR.itemsize else self._data.count(text)

    def find_last(self, text: bytes, start: int, end: int) -> int:
        """Find where a text stands last between two places; -1 where it does not. Pays for all between them."""
        self._spend(0, max(0, end - start))
        return self._data.rfind(text, start, end)

    def _spend(self, entries: int, size: int) -> None:
        entries += self.entries_read
        size += self.bytes_read
        if entries > self._max_entries or size > self._max_bytes:
            raise BudgetSpentError
        self.entries_read = entries
        self.bytes_read = size


def _count_pairs(data: bytes, pair: bytes) -> int:
    """Count two bytes that follow each other: as 16-bit numbers.

    Unless they are few that is a ninth of what `bytes.count` takes (621 KB).
    """
    if len(data) <= _SHORT_BYTES:
        return data.count(pair)
    wanted, found = int.from_bytes(pair, "little"), 0
    for start in (0, 1):
        numbers = np.frombuffer(data, _PAIR, count=max(0, len(data) - start) // 2, offset=min(start, len(data)))
        for first in range(0, len(numbers), _PAIRS_AT_ONCE):
            found += int(np.count_nonzero(numbers[first : first + _PAIRS_AT_ONCE] == wanted))
    return found
