"""The animation chunks of a PNG in, how many frames there are and where each is drawn out (APNG 1.0)."""

import struct
from dataclasses import dataclass, field, replace

from clipwarden.vision.formats.cuts import Disposal
from clipwarden.vision.structure import MAX_FRAMES_COUNTED

_MAX_NUMBER = 2**31 - 1  # PNG specification, 7.1
_CONTROL, _FRAME = struct.Struct(">II"), struct.Struct(">5I2H2B")
_DISPOSALS = (Disposal.KEEP, Disposal.BACKGROUND, Disposal.PREVIOUS)
_HUNDREDTHS = 100  # of a second, where it says parts of 0
_BLENDS = (False, True)  # whether a frame is laid over what stands


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A frame whose chunks are in order.

    Attributes:
        size: (width, height) in pixels; within the picture, as is where it is drawn.
        left: In pixels.
        top: Likewise.
        milliseconds: How long it is shown.
        disposal: What comes after it.
        over: Whether it is laid over what stands there, by its alpha.
        data: Parts of its compressed rows.
    """

    size: tuple[int, int]
    left: int = 0
    top: int = 0
    milliseconds: int = 0
    disposal: Disposal = Disposal.KEEP
    over: bool = False
    data: list[memoryview] = field(default_factory=list)


class Animation:
    """What the chunks acTL, fcTL and fdAT say, taken one by one.

    Attributes:
        announced: Whether Chromium takes the file for an animation.
        still_hidden: Whether the still is none of its frames.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """Begin without chunks.

        Args:
            size: (width, height) of the picture in pixels.
        """
        self.announced = False
        self.still_hidden = True
        self._size = size
        self._claims: list[int] = []
        self._controls = 0
        self._next_number = 0
        self._complete = False
        self._still = Frame(size=size)
        self._frames: list[Frame] = []

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
            self.announced |= 0 < frames <= _MAX_NUMBER and plays <= _MAX_NUMBER and not behind_pixels
            return
        self._controls += kind == b"fcTL"
        if kind == b"fcTL":  # pixels of a frame ahead of the still make it none
            self.still_hidden &= behind_pixels
        if not self._complete:
            self._complete = not self._collect(kind, body, behind_pixels=behind_pixels)

    def _collect(self, kind: bytes, body: memoryview | None, *, behind_pixels: bool) -> bool:
        """Take a chunk into a frame; return False at the first that Chromium does not: numbers go on by one."""
        if body is None or int.from_bytes(body[:4], "big") != self._next_number:
            return False
        self._next_number += 1
        if kind == b"fdAT":
            if self._frames:
                self._frames[-1].data.append(body[4:])
            return bool(self._frames)
        frame = self._frame(body)
        if not behind_pixels:  # the last of several counts
            self._still = replace(frame, size=self._size, left=0, top=0) if frame else self._still
            return True
        if frame is None:
            return False
        if self._frames and not self._frames[-1].data:
            self._frames.pop()  # here too
        self._frames.append(frame)
        return True

    def _frame(self, body: memoryview) -> Frame | None:
        """Read a control chunk; None where it is damaged, or its frame lies beyond the picture."""
        if len(body) != _FRAME.size:
            return None
        _, width, height, left, top, number, of, disposal, blend = _FRAME.unpack(body)
        inside = 0 < width <= self._size[0] - left and 0 < height <= self._size[1] - top
        if not inside or disposal >= len(_DISPOSALS) or blend >= len(_BLENDS):
            return None
        return Frame(
            size=(width, height),
            left=left,
            top=top,
            milliseconds=1000 * number // (of or _HUNDREDTHS),
            disposal=_DISPOSALS[disposal],
            over=_BLENDS[blend],
        )

    @property
    def frames_total(self) -> int:
        """Frames by the most animated reading, the hidden still included: viewers without animation show that."""
        if not self._claims:
            return 1
        frames = max(self._controls, *self._claims) + self.still_hidden
        return max(1, min(frames, MAX_FRAMES_COUNTED))

    @property
    def still(self) -> Frame:
        """How long the still is shown, and what comes after it, where it is the first frame; without its rows."""
        return self._still

    @property
    def frames(self) -> list[Frame]:
        """All others, up to the first whose chunks are not in order."""
        return [frame for frame in self._frames[:MAX_FRAMES_COUNTED] if frame.data]

    @property
    def replaces_still(self) -> bool:
        """Whether Chromium shows the first of `frames` before anything else."""
        return self.announced and self.still_hidden and bool(self.frames)
