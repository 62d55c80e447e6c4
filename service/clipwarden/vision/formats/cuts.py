"""An animation's frames, each where it is drawn and as a file of its own: frozen values, still untrusted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto


class Disposal(Enum):
    """What becomes of the canvas once a frame was shown."""

    KEEP = auto()
    BACKGROUND = auto()
    """Where the frame was, it is see-through; browsers take no colour from the file."""
    PREVIOUS = auto()
    """It is as before the frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A frame, cut out.

    Attributes:
        size: (width, height) that it is decoded at, in pixels; it may stand over the canvas, or have no pixels.
        left: Of it on the canvas, in pixels.
        top: Likewise.
        milliseconds: How long it is shown, as the file says.
        disposal: What comes after it.
        over: Whether it is laid over what stands there, by its alpha; else it takes its place.
        still: Writes a file of this frame alone, of the animation's own format.
    """

    size: tuple[int, int]
    left: int
    top: int
    milliseconds: int
    disposal: Disposal = Disposal.KEEP
    over: bool = True
    still: Callable[[], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """What an animation is made of.

    Attributes:
        frames: In the order that they are shown; the first of them is what a browser shows first.
        apart: Whether it is not: a browser shows another picture and stays with it, and other viewers these frames.
        others: Files of pictures that stand beside the animation, for viewers that know none.
    """

    frames: list[Cut]
    apart: bool = False
    others: list[Callable[[], bytes]] = field(default_factory=list)
