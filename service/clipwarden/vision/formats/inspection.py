"""Bytes of a named format in, frames counted out, once nothing in them would make opening them costly.

Pillow may allocate, loop or decode in proportion to what a header claims; these checks run before it sees the file.
"""

import struct
from collections.abc import Callable

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.gif import walk_gif
from clipwarden.vision.formats.ifd import count_pages, find_excess
from clipwarden.vision.formats.jpeg import has_more_scans_than, reaches_scan
from clipwarden.vision.limits import DecodeLimits, check_pixels

# Counting stops here: an animation of a thousand frames is as partial as one of a million.
MAX_FRAMES_COUNTED = 1000
# A strip has at least one row; three planes of `DecodeLimits.max_side` rows are 98,304.
_MAX_TIFF_TILES = 100_000
# Encoders write about ten (libjpeg's default script), optimisers up to twenty. Measured: one more scan of 50 million
# pixels takes 40 ms, so these take 2.5 s.
_MAX_JPEG_SCANS = 64
# libpng writes image data in chunks of 8 KiB: 20 MiB are 2,560 of them, and an animation has one more a frame. Pillow
# reads chunk by chunk in Python: 20 MiB of empty ones took it 6 s.
_MAX_PNG_CHUNKS = 50_000
_PNG_SIGNATURE_BYTES = 8
_PNG_CHUNK_OVERHEAD = 12  # length, type and checksum


def _gif_frames(data: bytes, limits: DecodeLimits) -> int:
    """Count before Pillow opens the file, which may already allocate the first frame's extent."""
    facts = walk_gif(data, max_frames=MAX_FRAMES_COUNTED)
    if facts.extent is None and not facts.complete:
        raise ImageError("The GIF holds no frame among its first blocks.", reason=Reason.IMAGE_CORRUPT)
    if facts.extent is not None:
        check_pixels(facts.extent, limits)
    # A walk cut short has not shown that there is only one frame, so it must not say so.
    return max(1 if facts.complete else 2, facts.frames)


def _tiff_pages(data: bytes, _limits: DecodeLimits) -> int:
    try:
        excess = find_excess(data, max_tiles=_MAX_TIFF_TILES)
    except struct.error:
        excess = None  # a damaged directory: Pillow will say so
    if excess is not None:
        raise ImageError(f"The TIFF is not plausible: {excess}.", reason=Reason.IMAGE_CORRUPT)
    return count_pages(data, limit=MAX_FRAMES_COUNTED)


def _jpeg_pictures(data: bytes, _limits: DecodeLimits) -> int:
    if not reaches_scan(data):
        raise ValueError("no scan")  # cut short or damaged: `decode_image` tells which
    if has_more_scans_than(data, _MAX_JPEG_SCANS):
        raise ImageError(f"The JPEG asks for more than {_MAX_JPEG_SCANS} scans.", reason=Reason.IMAGE_CORRUPT)
    # Further pictures in the file (MPF: previews, depth and gain maps) are never displayed.
    return 1


def _png_chunks(data: bytes, _limits: DecodeLimits) -> None:
    position = _PNG_SIGNATURE_BYTES
    for _ in range(_MAX_PNG_CHUNKS):
        if position + _PNG_CHUNK_OVERHEAD > len(data):
            return
        position += int.from_bytes(data[position : position + 4], "big") + _PNG_CHUNK_OVERHEAD
    raise ImageError(f"The PNG has more than {_MAX_PNG_CHUNKS} chunks.", reason=Reason.IMAGE_CORRUPT)


# Run before Pillow opens the file: each refuses what would make opening or decoding costly, and counts frames where
# Pillow could only by decoding them (None: the header says).
INSPECTORS: dict[str, Callable[[bytes, DecodeLimits], int | None]] = {
    "GIF": _gif_frames,
    "JPEG": _jpeg_pictures,
    "PNG": _png_chunks,
    "TIFF": _tiff_pages,
}
