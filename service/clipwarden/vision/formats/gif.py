"""A GIF's bytes in, what it shows out, by walking its blocks."""

import struct

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits, check_pixels
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, Structure

# A full sub-block of a GIF holds 255 bytes, so 20 MiB need 82,000; smaller blocks than that are padding or malice. Of
# each block the first byte is read, and the 9 bytes of a frame's descriptor.
GIF_BUDGET = Budget(entries=200_000, bytes=200_000 + 9 * MAX_FRAMES_COUNTED + 1)
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_COLOUR_TABLE_FLAG = 0x80


def structure_of(data: bytes, limits: DecodeLimits) -> Structure:
    """Say what a GIF shows, before Pillow opens it: opening may already allocate the first frame's extent.

    Pillow counts frames by walking every sub-block of the file one Python call at a time, without a bound.

    Args:
        data: The file.
        limits: What to refuse.

    Returns:
        Its structure; browsers ignore ICC profiles in application extensions.

    Raises:
        ImageError: IMAGE_TOO_MANY_PIXELS; IMAGE_CORRUPT, no frame within the budget.
    """
    walk, complete = _Walk(data), True
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
    return Structure(data=data, frames_total=max(1 if complete else 2, walk.frames))


class _Walk:
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
        position = 13 + _table_size(flags)
        while self.frames < MAX_FRAMES_COUNTED:
            (introducer,) = self._reader.entry("B", position)
            if introducer == _EXTENSION:
                position = self._skip_blocks(position + 2)
            elif introducer == _IMAGE:
                position = self._skip_image(position)
            elif introducer == _TRAILER:
                return
            else:  # Pillow steps over stray bytes, so frames behind them count
                position += 1

    def _skip_image(self, position: int) -> int:
        left, top, width, height, flags = self._reader.field("<HHHHB", position + 1)
        self.frames += 1
        if self.extent is None:
            self.extent = left + width, top + height
        return self._skip_blocks(position + 11 + _table_size(flags))

    def _skip_blocks(self, position: int) -> int:
        length = 1
        while length:
            (length,) = self._reader.entry("B", position)
            position += 1 + length
        return position


def _table_size(flags: int) -> int:
    """Bytes of the colour table that a descriptor's flags announce (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & _COLOUR_TABLE_FLAG else 0
