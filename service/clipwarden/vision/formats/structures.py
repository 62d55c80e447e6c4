"""Bytes of a named format in, what they show out, once nothing in them would make opening them costly.

Pillow may allocate, loop or decode in proportion to what a header claims; these checks run before it sees the file.
"""

import struct
from collections.abc import Callable

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.ifd import DIRECTORIES_BUDGET, count_pages, find_excess
from clipwarden.vision.formats.jpeg import SCANS_BUDGET, has_more_scans_than, reaches_scan
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits, check_pixels
from clipwarden.vision.structure import Structure

# Counting stops here: an animation of a thousand frames is as partial as one of a million.
MAX_FRAMES_COUNTED = 1000

# A full sub-block of a GIF holds 255 bytes, so 20 MiB need 82,000; smaller blocks than that are padding or malice. Of
# each block the first byte is read, and the 9 bytes of a frame's descriptor.
GIF_BUDGET = Budget(entries=200_000, bytes=200_000 + 9 * MAX_FRAMES_COUNTED + 1)
# libpng writes image data in chunks of 8 KiB: 20 MiB are 2,560 of them, and an animation has one more a frame. Pillow
# reads chunk by chunk in Python: 20 MiB of empty ones took it 6 s. Of each the length is read.
PNG_BUDGET = Budget(entries=50_000, bytes=4 * 50_000)
# Of each page 16 bytes, and of the header as many.
PAGES_BUDGET = Budget(entries=MAX_FRAMES_COUNTED, bytes=16 * (MAX_FRAMES_COUNTED + 1))

# Encoders write about ten (libjpeg's default script), optimisers up to twenty. Measured: one more scan of 50 million
# pixels takes 40 ms, so these take 2.5 s.
_MAX_JPEG_SCANS = 64
_PNG_SIGNATURE_BYTES = 8
_PNG_CHUNK_OVERHEAD = 12  # length, type and checksum
_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 0x21, 0x2C, 0x3B
_GIF_COLOUR_TABLE_FLAG = 0x80


def _gif_frames(data: bytes, limits: DecodeLimits) -> int:
    """Count before Pillow opens the file: opening may already allocate the first frame's extent.

    Pillow counts by walking every sub-block of the file one Python call at a time, without a bound.
    """
    walk, complete = _GifWalk(data), True
    try:
        walk.run()
    except BudgetSpentError:
        complete = False
    except struct.error:
        pass  # the file ends inside a block
    if walk.extent is not None:
        check_pixels(walk.extent, limits)
    elif not complete:
        raise ImageError("The GIF holds no frame among its first blocks.", reason=Reason.IMAGE_CORRUPT)
    # A walk cut short has not shown that there is only one frame, so it must not say so.
    return max(1 if complete else 2, walk.frames)


class _GifWalk:
    """A walk over a GIF's blocks, on a `GIF_BUDGET`.

    Attributes:
        frames: Frames seen; the walk ends at `MAX_FRAMES_COUNTED`.
        extent: (right, bottom) of the first frame in pixels, which may exceed the canvas; None without a frame.
    """

    def __init__(self, data: bytes) -> None:
        self._reader = BoundedReader(data, GIF_BUDGET)
        self.frames = 0
        self.extent: tuple[int, int] | None = None

    def run(self) -> None:
        (flags,) = self._reader.field("B", 10)
        position = 13 + _gif_table_size(flags)
        while self.frames < MAX_FRAMES_COUNTED:
            (introducer,) = self._reader.entry("B", position)
            if introducer == _GIF_EXTENSION:
                position = self._skip_blocks(position + 2)
            elif introducer == _GIF_IMAGE:
                position = self._skip_image(position)
            elif introducer == _GIF_TRAILER:
                return
            else:  # Pillow steps over stray bytes, so frames behind them count
                position += 1

    def _skip_image(self, position: int) -> int:
        left, top, width, height, flags = self._reader.field("<HHHHB", position + 1)
        self.frames += 1
        if self.extent is None:
            self.extent = left + width, top + height
        return self._skip_blocks(position + 11 + _gif_table_size(flags))

    def _skip_blocks(self, position: int) -> int:
        length = 1
        while length:
            (length,) = self._reader.entry("B", position)
            position += 1 + length
        return position


def _gif_table_size(flags: int) -> int:
    """Bytes of the colour table that a descriptor's flags announce (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & _GIF_COLOUR_TABLE_FLAG else 0


def _tiff_pages(data: bytes, _limits: DecodeLimits) -> int:
    try:
        excess = find_excess(BoundedReader(data, DIRECTORIES_BUDGET))
    except BudgetSpentError:
        excess = "it claims too many directories"
    except struct.error:
        excess = None  # a damaged directory: Pillow will say so
    if excess is not None:
        raise ImageError(f"The TIFF is not plausible: {excess}.", reason=Reason.IMAGE_CORRUPT)
    return count_pages(BoundedReader(data, PAGES_BUDGET), limit=MAX_FRAMES_COUNTED)


def _jpeg_pictures(data: bytes, _limits: DecodeLimits) -> int:
    if not reaches_scan(BoundedReader(data, HEADER_BUDGET)):
        raise ValueError("no scan")  # cut short or damaged: `decode_image` tells which
    try:
        excess = has_more_scans_than(BoundedReader(data, SCANS_BUDGET), _MAX_JPEG_SCANS)
    except BudgetSpentError as exc:
        raise ImageError(
            f"The JPEG has more than {SCANS_BUDGET.entries} markers.", reason=Reason.IMAGE_CORRUPT
        ) from exc
    if excess:
        raise ImageError(f"The JPEG asks for more than {_MAX_JPEG_SCANS} scans.", reason=Reason.IMAGE_CORRUPT)
    # Further pictures in the file (MPF: previews, depth and gain maps) are never displayed.
    return 1


def _png_chunks(data: bytes, _limits: DecodeLimits) -> None:
    reader, position = BoundedReader(data, PNG_BUDGET), _PNG_SIGNATURE_BYTES
    try:
        while position + _PNG_CHUNK_OVERHEAD <= len(data):
            (length,) = reader.entry(">I", position)
            position += length + _PNG_CHUNK_OVERHEAD
    except BudgetSpentError as exc:
        raise ImageError(f"The PNG has more than {PNG_BUDGET.entries} chunks.", reason=Reason.IMAGE_CORRUPT) from exc


def read_structure(data: bytes, image_format: str, limits: DecodeLimits) -> Structure:
    """Say what a file shows, before Pillow opens it, and refuse what would make opening or decoding it costly.

    Args:
        data: The file; untrusted.
        image_format: As `sniff.sniff_format` named it.
        limits: What to refuse.

    Returns:
        The structure.

    Raises:
        ImageError: Opening the file would be too costly, or its structure is damaged.
    """
    read = _STRUCTURES.get(image_format)
    return read(data, limits) if read else Structure(data=data, frames_total=None)


def _counted(count: Callable[[bytes, DecodeLimits], int | None]) -> Callable[[bytes, DecodeLimits], Structure]:
    return lambda data, limits: Structure(data=data, frames_total=count(data, limits))


_STRUCTURES: dict[str, Callable[[bytes, DecodeLimits], Structure]] = {
    "GIF": _counted(_gif_frames),
    "JPEG": _counted(_jpeg_pictures),
    "PNG": _counted(_png_chunks),
    "TIFF": _counted(_tiff_pages),
}
