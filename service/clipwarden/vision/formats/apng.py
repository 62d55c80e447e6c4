"""The animation chunks of a PNG in, how many frames there are and which is shown first out (APNG 1.0)."""

import struct
from dataclasses import dataclass

from clipwarden.vision.structure import MAX_FRAMES_COUNTED, Canvas

_MAX_NUMBER = 2**31 - 1  # PNG specification, 7.1
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
        self._next_number = 0
        self._complete = False
        self._control: memoryview | None = None
        self._data: list[memoryview] = []

    def add(self, kind: bytes, body: memoryview | None, *, behind_pixels: bool) -> None:
        """Take one more chunk.

        Args:
            kind: Of the three.
            body: None when its checksum is wrong; that of pixels does not matter.
            behind_pixels: Whether the still came before.
        """
        if kind == b"acTL":
            frames, plays = _CONTROL.unpack(body) if body is not None and len(body) == _CONTROL.size else (0, 0)
            self._claims.append(frames)
            self._announced |= 0 < frames <= _MAX_NUMBER and plays <= _MAX_NUMBER and not behind_pixels
            return
        self._controls += kind == b"fcTL"
        self._still_hidden &= behind_pixels
        if not self._complete:
            self._collect(kind, body)

    def _collect(self, kind: bytes, body: memoryview | None) -> None:
        """Gather the first frame behind a hidden still: Chromium takes chunks while their numbers go on by one."""
        in_order = body is not None and int.from_bytes(body[:4], "big") == self._next_number
        self._next_number += 1
        if body is None or not in_order or (kind == b"fcTL" and self._data):
            self._complete = True
        elif kind == b"fcTL":
            self._control = body
        else:
            self._data.append(body[4:])

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
        control = self._control
        if not (self._announced and self._still_hidden and control is not None and self._data):
            return None
        if len(control) != _FRAME.size:
            return None
        _, width, height, left, top, *_ = _FRAME.unpack(control)
        if not (0 < width <= size[0] - left and 0 < height <= size[1] - top):
            return None
        whole = (width, height) == size
        canvas = None if whole else Canvas(size=size, left=left, top=top)
        return Frame(size=(width, height), data=self._data, canvas=canvas)
