"""A GIF's bytes in, what it shows and where its frames lie out, by walking its blocks."""

import struct
from functools import partial
from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.cuts import Cut, Cuts, Disposal
from clipwarden.vision.formats.reader import BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits, check_held
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, Canvas, Structure

# A full sub-block of a GIF holds 255 bytes, so 64 MiB need 262,000; smaller blocks than that are padding or malice. Of
# each block the first byte is read, two more of an extension, and the 9 bytes of a frame's descriptor.
GIF_BUDGET = Budget(entries=600_000, bytes=3 * 600_000 + 9 * MAX_FRAMES_COUNTED + 5)
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
_DESCRIPTOR_BYTES = 10
# The specification knows no 4; Chromium 150 takes it for 3 (measured).
_DISPOSALS = {2: Disposal.BACKGROUND, 3: Disposal.PREVIOUS, 4: Disposal.PREVIOUS}
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
    walk, complete = _walked(data)
    if walk.frames:
        left, top, width, height = walk.frames[0].box
        extent = left + width, top + height
        check_held(_PIXEL_BYTES * extent[0] * extent[1], extent, "GIF", limits)
    elif not complete:
        raise ImageError("The GIF holds no frame among its first blocks.", reason=Reason.IMAGE_CORRUPT)
    # A walk cut short has not shown that no frame follows, so it must not say so: one more counts, and nobody sees it.
    frames = max(1, len(walk.frames) + sum(_has_hidden_pixels(data, frame) for frame in walk.frames) + (not complete))
    return _first_frame_alone(data, walk, min(frames, MAX_FRAMES_COUNTED))


def cuts_of(data: bytes) -> Cuts:
    """Find a GIF's frames that browsers show, each under the last control block ahead of it.

    Args:
        data: The file; untrusted.
    """
    walk, _ = _walked(data)
    return Cuts(frames=[_cut(data, walk, frame) for frame in walk.frames[: walk.shown]])


def _has_hidden_pixels(data: bytes, frame: "_Frame") -> bool:
    """Tell whether a frame has pixels and a side of none: Chromium shows nothing of it, Firefox and WebKit show them.

    They take it for as large as the screen. It counts twice, as what stands and as those pixels, which nobody sees.
    """
    if all(frame.box[2:]):
        return False
    descriptor_end = frame.start + _DESCRIPTOR_BYTES
    blocks = descriptor_end + _table_size(data[descriptor_end - 1]) + 1
    return frame.end > blocks + 1  # more than the block that ends them


def _walked(data: bytes) -> tuple["_Walk", bool]:
    """Walk as far as there is something; also return whether that was all of the file."""
    walk = _Walk(data)
    try:
        walk.run()
    except BudgetSpentError:
        return walk, False
    except struct.error:
        pass  # the file ends inside a block
    return walk, True


def _cut(data: bytes, walk: "_Walk", frame: "_Frame") -> Cut:
    left, top, width, height = frame.box
    flags, centiseconds = struct.unpack_from("<BH", data, frame.controls[-1]) if frame.controls else (0, 0)
    return Cut(
        size=(width, height),
        left=left,
        top=top,
        milliseconds=10 * centiseconds,
        disposal=_DISPOSALS.get(flags >> 2 & 7, Disposal.KEEP),
        still=partial(_still, data, walk.head_bytes, frame),
    )


def _still(data: bytes, head_bytes: int, frame: "_Frame") -> bytes:
    """Write a GIF of one frame that is its whole screen, and that nothing takes away again."""
    width, height = frame.box[2:]
    descriptor = frame.start + _DESCRIPTOR_BYTES - 1  # its flags
    parts: list[bytes | memoryview] = [
        data[:_SCREEN_AT],
        struct.pack("<HH", width, height),
        data[_SCREEN_AT + 4 : head_bytes],
        _control(data, frame),
        struct.pack("<B4H", _IMAGE, 0, 0, width, height),
        memoryview(data)[descriptor : frame.end],
        bytes([_TRAILER]),
    ]
    return b"".join(parts)


def _control(data: bytes, frame: "_Frame") -> bytes:
    """Write a control block that says which colour is see-through, if any, and nothing else."""
    flags_at = frame.controls[-1] if frame.controls else None
    if flags_at is None or not data[flags_at] & _SEE_THROUGH_FLAG:
        return b""
    return struct.pack("<4BH2B", _EXTENSION, _CONTROL, 4, _SEE_THROUGH_FLAG, 0, data[flags_at + 3], 0)


def _first_frame_alone(data: bytes, walk: "_Walk", frames: int) -> Structure:
    """Have the decoder draw the first frame only, under the control block that counts: Chromium takes the last.

    Pillow fills what a frame leaves empty with a colour; browsers leave it see-through, on a canvas that grows with
    the frame.
    """
    changed = bytearray()
    first = walk.frames[0] if walk.frames else None
    for flags_at in first.controls[:-1] if first else ():
        changed = changed or bytearray(data)
        changed[flags_at] &= ~_SEE_THROUGH_FLAG
    canvas, opening_bytes = None, 0
    if first is not None:
        left, top, width, height = first.box
        opening_bytes = width * height  # indexes, of what Pillow would put in its place after it
        size = max(walk.screen[0], left + width), max(walk.screen[1], top + height)
        if (width, height) != size and width and height:
            canvas = Canvas(size=size, left=left, top=top)
            changed = changed or bytearray(data)
            struct.pack_into("<HH", changed, _SCREEN_AT, width, height)
            struct.pack_into("<HH", changed, first.start + 1, 0, 0)
    return Structure(
        data=bytes(changed) or data,
        frames_total=frames,
        orientation=1,
        canvas=canvas,
        opening_bytes=opening_bytes,
    )


class _Frame(NamedTuple):
    """A frame.

    Attributes:
        start: Of its descriptor, in bytes.
        end: Behind its pixels, in bytes; the file's, where it ends inside of them.
        box: (left, top, width, height) in pixels, which may exceed the screen.
        controls: Where the flags of graphic control blocks lie that stand between the frame before and this.
    """

    start: int
    end: int
    box: tuple[int, int, int, int]
    controls: tuple[int, ...]


class _Walk:
    """A walk over a GIF's blocks, on a `GIF_BUDGET`.

    Attributes:
        frames: Frames seen, one that is cut short included; the walk ends at `MAX_FRAMES_COUNTED`.
        shown: How many of them stand ahead of the first byte that is no block's; None where there is no such byte.
        screen: (width, height) in pixels.
        head_bytes: Of the header, the screen's descriptor and its colours.
    """

    def __init__(self, data: bytes) -> None:
        self._reader = BoundedReader(data, GIF_BUDGET)
        self.frames: list[_Frame] = []
        self.screen = 0, 0
        self.head_bytes = 0
        self.shown: int | None = None
        self._controls: list[int] = []

    def run(self) -> None:
        width, height, flags = self._reader.field("<HHB", _SCREEN_AT)
        self.screen = width, height
        self.head_bytes = position = 13 + _table_size(flags)
        while len(self.frames) < MAX_FRAMES_COUNTED:
            (introducer,) = self._reader.entry("B", position)
            if introducer == _EXTENSION:
                position = self._skip_extension(position)
            elif introducer == _IMAGE:
                position = self._skip_image(position)
            elif introducer == _TRAILER:
                return
            else:  # Pillow steps over stray bytes, so frames behind them count; browsers go no further
                self.shown = len(self.frames) if self.shown is None else self.shown
                position += 1

    def _skip_extension(self, position: int) -> int:
        label, size = self._reader.field("BB", position + 1)
        if (label, size) == (_CONTROL, 4):
            if self.frames:  # of a later frame the last one alone is asked for
                self._controls.clear()
            self._controls.append(position + 3)
        return self._reader.skip_blocks(position + 2)

    def _skip_image(self, position: int) -> int:
        *box, flags = self._reader.field("<HHHHB", position + 1)
        frame = _Frame(position, len(self._reader), (box[0], box[1], box[2], box[3]), tuple(self._controls))
        self.frames.append(frame)
        self._controls.clear()
        end = self._reader.skip_blocks(position + _DESCRIPTOR_BYTES + 1 + _table_size(flags))
        self.frames[-1] = frame._replace(end=end)
        return end


def _table_size(flags: int) -> int:
    """Bytes of the colour table that a descriptor's flags announce (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & _COLOUR_TABLE_FLAG else 0
