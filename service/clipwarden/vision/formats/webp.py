"""A WebP's bytes in, what it shows and its frames out, by walking its RIFF chunks as libwebp's demuxer does."""

import struct
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.cuts import Cut, Cuts, Disposal
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, MAX_PROFILE_BYTES, NO_TAGS, ColourTags, Structure

# A chunk a frame, three around it and a few of metadata; an animation of ten minutes at 60 frames a second has 36,000.
# Of each the type and the length are read, and once the body of those that say something.
WEBP_BUDGET = Budget(entries=100_000, bytes=8 * 100_000 + 16, passes=1)

_HEADER_BYTES = 12
_CHUNK_HEADER = 8
_STILLS = frozenset({b"VP8 ", b"VP8L"})
# In the first byte of VP8X; alpha's bit of a VP8L's fifth byte is only a hint, which its pixels need not keep.
_HAS_PROFILE, _HAS_ALPHA, _IS_ANIMATED = 0x20, 0x10, 0x02
_ALPHA_BYTE = 4
# Of ANMF: where it is drawn and how long, ahead of its own chunks (WebP container specification).
_FRAME_BYTES = 16
_REPLACES, _IS_CLEARED = 0x02, 0x01


class _Chunk(NamedTuple):
    """Where a chunk's body lies."""

    kind: bytes
    start: int
    size: int


def structure_of(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what a WebP shows.

    Chromium 150 does not turn WebP pictures, whatever their EXIF says (measured), and other viewers may.

    Args:
        data: The file.

    Returns:
        Its structure.

    Raises:
        ImageError: IMAGE_CORRUPT; it has more chunks than honest files.
    """
    reader, chunks = _read(data)
    kinds = [chunk.kind for chunk in chunks]
    # Readers differ on a still beside frames.
    frames = kinds.count(b"ANMF") + any(kind in _STILLS for kind in kinds)
    return Structure(
        data=_with_alpha(reader, data, chunks),
        alpha="denied" if _denies_alpha(reader, chunks) else "straight",
        frames_total=max(1, min(frames, MAX_FRAMES_COUNTED)),
        orientation=1,
        colour=_colour_tags(reader, chunks),
    )


def cuts_of(data: bytes) -> Cuts:
    """Find a WebP's frames; arguments and errors as of `structure_of`.

    A frame is as large as its own picture says, whatever stands ahead of it.
    """
    reader, chunks = _read(data)
    frames = [_cut(reader, data, chunk) for chunk in chunks if chunk.kind == b"ANMF" and chunk.size >= _FRAME_BYTES]
    return Cuts(frames=frames[:MAX_FRAMES_COUNTED], apart=any(chunk.kind in _STILLS for chunk in chunks))


def _read(data: bytes) -> tuple[BoundedReader, list[_Chunk]]:
    reader = BoundedReader(data, WEBP_BUDGET)
    chunks: list[_Chunk] = []
    try:
        chunks.extend(_chunks(reader))
    except BudgetSpentError as exc:
        raise ImageError(f"The WebP has more than {WEBP_BUDGET.entries} chunks.", reason=Reason.IMAGE_CORRUPT) from exc
    except struct.error:
        pass  # cut short: the decoder says so
    return reader, chunks


def _cut(reader: BoundedReader, data: bytes, chunk: _Chunk) -> Cut:
    left, top, width, height, milliseconds = (
        int.from_bytes(data[at : at + 3], "little") for at in range(chunk.start, chunk.start + 15, 3)
    )
    flags = data[chunk.start + _FRAME_BYTES - 1]
    size = _frame_size(reader, chunk) or (width + 1, height + 1)
    return Cut(
        size=size,
        left=2 * left,
        top=2 * top,
        milliseconds=milliseconds,
        disposal=Disposal.BACKGROUND if flags & _IS_CLEARED else Disposal.KEEP,
        over=not flags & _REPLACES,
        still=partial(_still, data, chunk, size),
    )


def _frame_size(reader: BoundedReader, frame: _Chunk) -> tuple[int, int] | None:
    """Return the size that a frame's own picture has; None where there is none, or it is damaged."""
    try:
        for chunk in _chunks_between(reader, frame.start + _FRAME_BYTES, frame.start + frame.size):
            if chunk.kind in _STILLS:
                return picture_size(reader, chunk.kind, chunk.start)
    except struct.error:
        pass
    return None


def picture_size(reader: BoundedReader, kind: bytes, start: int) -> tuple[int, int]:
    """Read (width, height) in pixels from the first bytes of a chunk of a picture.

    Args:
        reader: Of the file.
        kind: Of the chunk, `VP8L` or `VP8 `.
        start: Of its body.

    Raises:
        struct.error: It is cut short.
    """
    if kind == b"VP8L":
        (bits,) = reader.field("<I", start + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = reader.field("<HH", start + 6)
    return width & 0x3FFF, height & 0x3FFF


def _still(data: bytes, frame: _Chunk, size: tuple[int, int]) -> bytes:
    """Write a WebP of one frame, with whatever alpha its pixels have."""
    body = memoryview(data)[frame.start + _FRAME_BYTES : frame.start + frame.size]
    head = struct.pack("<4sI4B", b"VP8X", 10, _HAS_ALPHA, 0, 0, 0) + _uint24(size[0] - 1) + _uint24(size[1] - 1)
    return b"".join((b"RIFF", struct.pack("<I", 4 + len(head) + len(body)), b"WEBP", head, body))


def _uint24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def _denies_alpha(reader: BoundedReader, chunks: list[_Chunk]) -> bool:
    """Whether Chromium takes all pixels for opaque by the header, so that colours and any alpha there is add up.

    A lossy still's alpha is not looked at then, by the decoder either.
    """
    if chunks and chunks[0].kind == b"VP8X" and chunks[0].size:
        return not reader.body(chunks[0].start, 1)[0] & _HAS_ALPHA
    place = _lossless_flags_at(chunks)
    return place is not None and not reader.body(place, 1)[0] & _HAS_ALPHA


def _lossless_flags_at(chunks: list[_Chunk]) -> int | None:
    """Return where a lossless still says whether it has alpha; None where the first still is none."""
    still = next((chunk for chunk in chunks if chunk.kind in _STILLS), None)
    lossless = still is not None and still.kind == b"VP8L" and still.size > _ALPHA_BYTE
    return still.start + _ALPHA_BYTE if still is not None and lossless else None


def _with_alpha(reader: BoundedReader, data: bytes, chunks: list[_Chunk]) -> bytes:
    """Have the decoder keep alpha where the file denies it: the pixels may have some, or a frame leave parts empty."""
    if any(chunk.kind == b"ANMF" for chunk in chunks):
        place = chunks[0].start if chunks[0].kind == b"VP8X" else None
    else:
        # Of a lossy still another chunk holds the alpha, and libwebp finds it.
        place = _lossless_flags_at(chunks)
    if place is None or (flags := reader.body(place, 1)[0]) & _HAS_ALPHA:
        return data
    return b"".join((data[:place], bytes([flags | _HAS_ALPHA]), data[place + 1 :]))


def _chunks(reader: BoundedReader) -> Iterator[_Chunk]:
    (size,) = reader.field("<I", 4)
    yield from _chunks_between(reader, _HEADER_BYTES, min(len(reader), size + _CHUNK_HEADER))


def _chunks_between(reader: BoundedReader, position: int, end: int) -> Iterator[_Chunk]:
    while position + _CHUNK_HEADER <= end:
        kind, length = reader.entry("<4sI", position)
        if position + _CHUNK_HEADER + length > end:
            return
        yield _Chunk(kind, position + _CHUNK_HEADER, length)
        position += _CHUNK_HEADER + length + (length & 1)


def _colour_tags(reader: BoundedReader, chunks: list[_Chunk]) -> ColourTags:
    """Find the profile: the first, wherever it stands, when the header announces one."""
    profiles = [chunk for chunk in chunks if chunk.kind == b"ICCP"]
    flags = reader.body(chunks[0].start, 1)[0] if chunks and chunks[0].kind == b"VP8X" and chunks[0].size else 0
    announced = bool(flags & _HAS_PROFILE)
    if profiles and flags & _IS_ANIMATED:  # Chromium converts no animation
        return ColourTags(broken=True)
    if not profiles:
        return ColourTags(broken=announced)
    if not announced:  # a plain file may carry anything behind its picture
        return ColourTags(broken=True) if chunks[0].kind == b"VP8X" else NO_TAGS
    first = profiles[0]
    readable = 0 < first.size <= MAX_PROFILE_BYTES
    icc = bytes(reader.body(first.start, first.size)) if readable else None
    return ColourTags(icc=icc, broken=not readable or len(profiles) > 1)
