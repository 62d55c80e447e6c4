"""The animation chunks of a PNG in, how many frames there are and which is shown first out (APNG 1.0)."""

import struct
from dataclasses import dataclass
from itertools import takewhile

from clipwarden.vision.structure import MAX_FRAMES_COUNTED, Canvas

_CONTROL, _FRAME = struct.Struct(">II"), struct.Struct(">5I2H2B")


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The first frame of an animation that hides its still.

    Attributes:
        size: (width, height) in pixels.
        data: Parts of its compressed rows.
        canvas: Where it is drawn; None where it covers everything.
    """

    size: tuple[int, int]
    data: list[memoryview]
    canvas: Canvas | None


class Animation:
    """What the chunks acTL, fcTL and fdAT say, taken one by one."""

    def __init__(self) -> None:
        self._claims: list[int] = []
        self._announced = False
        self._still_hidden = True
        self._controls = 0
        self._first: memoryview | None = None
        self._data: list[memoryview] = []

    def add(self, kind: bytes, body: memoryview | None, *, behind_pixels: bool) -> None:
        """Take one more chunk.

        Args:
            kind: Of the three.
            body: None when its checksum is wrong; that of pixels does not matter.
            behind_pixels: Whether the still came before.
        """
        if kind == b"acTL":
            frames = _CONTROL.unpack(body)[0] if body is not None and len(body) == _CONTROL.size else 0
            self._claims.append(frames)
            self._announced |= frames > 0 and not behind_pixels
        elif kind == b"fcTL":
            self._still_hidden &= behind_pixels
            self._first = body if self._controls == 0 else self._first
            self._controls += 1
        elif self._controls == 1 and body is not None:
            self._data.append(body)

    @property
    def frames_total(self) -> int:
        """Frames by the most animated reading, the hidden still included: viewers without animation show that."""
        if not self._claims:
            return 1
        frames = max(self._controls, *self._claims) + self._still_hidden
        return max(1, min(frames, MAX_FRAMES_COUNTED))

    def hidden_first_frame(self, size: tuple[int, int]) -> Frame | None:
        """Return the frame that is shown instead of a hidden still.

        Args:
            size: (width, height) of the picture in pixels.

        Returns:
            None where the still is shown first, or nothing: numbers out of order, a frame beyond the picture.
        """
        if not (self._announced and self._still_hidden and self._first is not None):
            return None
        # Chromium takes pixels for as long as their numbers go on by one.
        numbered = takewhile(lambda each: int.from_bytes(each[1][:4], "big") == each[0], enumerate(self._data, 1))
        data = [body[4:] for _, body in numbered]
        if len(self._first) != _FRAME.size or not data:
            return None
        number, width, height, left, top, *_ = _FRAME.unpack(self._first)
        if number or not (0 < width <= size[0] - left and 0 < height <= size[1] - top):
            return None
        whole = (width, height) == size
        canvas = None if whole else Canvas(size=size, left=left, top=top)
        return Frame(size=(width, height), data=data, canvas=canvas)
