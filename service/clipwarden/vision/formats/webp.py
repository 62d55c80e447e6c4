"""A WebP's bytes in, what it shows out, by walking its RIFF chunks as libwebp's demuxer does."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
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
    reader = BoundedReader(data, WEBP_BUDGET)
    chunks: list[_Chunk] = []
    try:
        chunks.extend(_chunks(reader))
    except BudgetSpentError as exc:
        raise ImageError(f"The WebP has more than {WEBP_BUDGET.entries} chunks.", reason=Reason.IMAGE_CORRUPT) from exc
    except struct.error:
        pass  # cut short: the decoder says so
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
