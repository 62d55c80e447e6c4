"""A WebP's bytes in, what it shows out, by walking its RIFF chunks as libwebp's demuxer does."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from clipwarden.vision.formats.reader import BoundedReader, Budget
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, ColourTags, Structure

# A chunk a frame, three around it and a few of metadata; an animation of ten minutes at 60 frames a second has 36,000.
# Of each the type and the length are read, and once the body of those that say something.
WEBP_BUDGET = Budget(entries=100_000, bytes=8 * 100_000 + 16, passes=1)

_HEADER_BYTES = 12
_CHUNK_HEADER = 8
_HAS_PROFILE = 0x20


class _Chunk(NamedTuple):
    """Where a chunk's body lies."""

    kind: bytes
    start: int
    size: int


def structure_of(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what a WebP shows.

    Args:
        data: The file.

    Returns:
        Its structure.
    """
    reader = BoundedReader(data, WEBP_BUDGET)
    chunks: list[_Chunk] = []
    with suppress(struct.error):  # cut short, or padded without end: the decoder says so
        chunks.extend(_chunks(reader))
    return Structure(data=data, frames_total=None, colour=_colour_tags(reader, chunks))


def _chunks(reader: BoundedReader) -> Iterator[_Chunk]:
    (size,) = reader.field("<I", 4)
    position, end = _HEADER_BYTES, min(len(reader), size + _CHUNK_HEADER)
    while position + _CHUNK_HEADER <= end:
        kind, length = reader.entry("<4sI", position)
        if position + _CHUNK_HEADER + length > end:
            return
        yield _Chunk(kind, position + _CHUNK_HEADER, length)
        position += _CHUNK_HEADER + length + (length & 1)


def _colour_tags(reader: BoundedReader, chunks: list[_Chunk]) -> ColourTags:
    """Find the profile: the first, wherever it stands, when the header announces one."""
    profiles = [chunk for chunk in chunks if chunk.kind == b"ICCP"]
    announced = bool(chunks) and chunks[0].kind == b"VP8X" and bool(reader.body(chunks[0].start, 1)[0] & _HAS_PROFILE)
    if not profiles:
        return ColourTags(broken=announced)
    if not announced:  # a plain file may carry anything behind its picture
        return ColourTags(broken=True) if chunks[0].kind == b"VP8X" else NO_TAGS
    first = profiles[0]
    readable = 0 < first.size <= MAX_PROFILE_BYTES
    icc = bytes(reader.body(first.start, first.size)) if readable else None
    return ColourTags(icc=icc, broken=not readable or len(profiles) > 1)
