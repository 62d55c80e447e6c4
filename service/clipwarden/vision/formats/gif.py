"""A GIF's bytes in, what it shows out, by walking its blocks."""

import struct
from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits, check_held
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, Canvas, Structure

# A full sub-block of a GIF holds 255 bytes, so 64 MiB need 262,000; smaller blocks than that are padding or malice. Of
# each block the first byte is read, two more of an extension, and the 9 bytes of a frame's descriptor.
GIF_BUDGET = Budget(entries=600_000, bytes=3 * 600_000 + 9 * MAX_FRAMES_COUNTED + 5)
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
_COLOUR_TABLE_FLAG = 0x80
_SEE_THROUGH_FLAG = 0x01
_SCREEN_AT = 6
# As `layout` and `memory` have it: indexes, what disposal leaves, RGBA, its alpha, the flattened picture.
_PIXEL_BYTES = 11


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
    if walk.first is not None:
        left, top, width, height = walk.first.box
        extent = left + width, top + height
        check_held(_PIXEL_BYTES * extent[0] * extent[1], extent, "GIF", limits)
    elif not complete:
        raise ImageError("The GIF holds no frame among its first blocks.", reason=Reason.IMAGE_CORRUPT)
    # A walk cut short has not shown that there is only one frame, so it must not say so.
    frames = max(1 if complete else 2, walk.frames)
    return _first_frame_alone(data, walk, frames)


def _first_frame_alone(data: bytes, walk: "_Walk", frames: int) -> Structure:
    """Have the decoder draw the first frame only, under the control block that counts: Chromium takes the last.

    Pillow fills what a frame leaves empty with a colour; browsers leave it see-through, on a canvas that grows with
    the frame.
    """
    changed = bytearray()
    for flags_at in walk.controls[:-1]:
        changed = changed or bytearray(data)
        changed[flags_at] &= ~_SEE_THROUGH_FLAG
    canvas, opening_bytes = None, 0
    if walk.first is not None:
        left, top, width, height = walk.first.box
        opening_bytes = width * height  # indexes, of what Pillow would put in its place after it
        size = max(walk.screen[0], left + width), max(walk.screen[1], top + height)
        if (width, height) != size and width and height:
            canvas = Canvas(size=size, left=left, top=top)
            changed = changed or bytearray(data)
            struct.pack_into("<HH", changed, _SCREEN_AT, width, height)
            struct.pack_into("<HH", changed, walk.first.start + 1, 0, 0)
    return Structure(
        data=bytes(changed) or data,
        frames_total=frames,
        orientation=1,
        canvas=canvas,
        opening_bytes=opening_bytes,
    )


class _First(NamedTuple):
    """The first frame.

    Attributes:
        start: Of its descriptor, in bytes.
        box: (left, top, width, height) in pixels, which may exceed the screen.
    """

    start: int
    box: tuple[int, int, int, int]


class _Walk:
    """A walk over a GIF's blocks, on a `GIF_BUDGET`.

    Attributes:
        frames: Frames seen; the walk ends at `MAX_FRAMES_COUNTED`.
        screen: (width, height) in pixels.
        first: None without a frame.
        controls: Where the flags of graphic control blocks ahead of the first frame lie.
    """

    def __init__(self, data: bytes) -> None:
        self._reader = BoundedReader(data, GIF_BUDGET)
        self.frames = 0
        self.screen = 0, 0
        self.first: _First | None = None
        self.controls: list[int] = []

    def run(self) -> None:
        width, height, flags = self._reader.field("<HHB", _SCREEN_AT)
        self.screen = width, height
        position = 13 + _table_size(flags)
        while self.frames < MAX_FRAMES_COUNTED:
            (introducer,) = self._reader.entry("B", position)
            if introducer == _EXTENSION:
                position = self._skip_extension(position)
            elif introducer == _IMAGE:
                position = self._skip_image(position)
            elif introducer == _TRAILER:
                return
            else:  # Pillow steps over stray bytes, so frames behind them count
                position += 1

    def _skip_extension(self, position: int) -> int:
        if self.first is None:
            label, size = self._reader.field("BB", position + 1)
            if (label, size) == (_CONTROL, 4):
                self.controls.append(position + 3)
        return self._reader.skip_blocks(position + 2)

    def _skip_image(self, position: int) -> int:
        left, top, width, height, flags = self._reader.field("<HHHHB", position + 1)
        self.frames += 1
        if self.first is None:
            self.first = _First(position, (left, top, width, height))
        return self._reader.skip_blocks(position + 11 + _table_size(flags))


def _table_size(flags: int) -> int:
    """Bytes of the colour table that a descriptor's flags announce (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & _COLOUR_TABLE_FLAG else 0
