"""A PNG's bytes in, where its chunks lie out."""

from collections.abc import Iterator
from typing import NamedTuple

from clipwarden.vision.formats.reader import BoundedReader

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_OVERHEAD = 12  # length, type and checksum


class Chunk(NamedTuple):
    """Where a chunk lies: `start` of its length field, `end` behind its checksum, in bytes."""

    kind: bytes
    start: int
    end: int


def read_chunks(reader: BoundedReader) -> Iterator[Chunk]:
    """Yield what comes before IEND, damaged ones too; the last may be cut short.

    Args:
        reader: Of a PNG; a chunk costs an entry and 8 bytes.
    """
    position = len(SIGNATURE)
    while position + 8 <= len(reader):
        size, kind = reader.entry(">I4s", position)
        if kind == b"IEND":
            return
        yield Chunk(kind, position, position + _OVERHEAD + size)
        position += _OVERHEAD + size
