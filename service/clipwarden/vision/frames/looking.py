"""An animation's composed frames in, the views of those that are judged out, and how much of it they show.

A flag of degradation is of an animation what it is of a picture: what all of its judged views have in common. One that
fades in from black is no blank picture.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.facts import View
from clipwarden.vision.frames.choosing import KEPT_VIEWS, Choosing, Kept
from clipwarden.vision.frames.distance import SEEN_BYTES
from clipwarden.vision.frames.frame import Frame
from clipwarden.vision.parts import Size, parts_of
from clipwarden.vision.plan import MAX_VIEWS, ViewPlan, Views
from clipwarden.vision.rendering import Picture, Rendered, render
from clipwarden.vision.structure import MAX_FRAMES_COUNTED

MOST_LOOKED_PIXELS = 2**30
"""Most pixels that are looked at of one animation: of a frame on a background, of each part that a view is made of, and
of each view `_VIEW_PIXEL` times. Frames that follow stay unseen.

About 10 s at the worst, where frames are noise. It admits 2,200 views of 224 pixels a side of small frames; of 16
megapixels, see-through, 17 frames.
"""

_VIEW_PIXEL = 8
"""What making and comparing a pixel of a view takes, in pixels that are drawn on a background or made smaller."""

_RENDERING_BYTES = 13
"""A pixel: the alpha of a frame, the frame on a background, that turned, and its colours once they are converted."""


class Looked(NamedTuple):
    """What was looked at of an image.

    Attributes:
        pixels: uint8 [V,S,S,3].
        views: V views, which share its memory.
        size: (width, height) as displayed, in pixels.
        coverage: As of `facts.ImageFacts`, as are those that follow.
        resolution: The least of any frame.
        parts_left: Of any frame.
        uncertain: Whether viewers show other colours, of any frame.
        frames_judged: How many these are of.
        frames_seen: How many these show, or nearly so.
    """

    pixels: NDArray[np.uint8]
    views: tuple[View, ...]
    size: Size
    coverage: float
    resolution: float
    parts_left: bool
    uncertain: bool
    frames_judged: int = 1
    frames_seen: int = 1

    @classmethod
    def at_still(cls, rendered: Rendered, size: Size, *, uncertain: bool) -> Self:
        """Take one picture's views.

        Args:
            rendered: Its views.
            size: (width, height) as displayed, in pixels.
            uncertain: Whether viewers show other colours, as far as is known ahead of these.
        """
        coverage, resolution, left = rendered.parts[1:]
        return cls(rendered.pixels, rendered.views(), size, coverage, resolution, left, uncertain or rendered.uncertain)


def look_at_frames(
    frames: Iterable[Frame],
    first: Picture,
    preprocessing: Preprocessing,
    plan: ViewPlan,
    *,
    uncertain: bool,
    merges: bool = True,
) -> Looked:
    """Render frames one after another, and choose those that are judged.

    Args:
        frames: Of an animation; at least one.
        first: How the first is displayed, whatever its image; frames of its size are displayed likewise.
        preprocessing: Of the model folder.
        plan: Which views to make, and of how many frames at the most.
        uncertain: Whether viewers show other colours, as far as is known ahead of these.
        merges: As of `Choosing`.

    Returns:
        The views of the chosen frames, in the order of the file.

    Raises:
        ImageError: As `frames_of`.
    """
    choosing, stored, left = Choosing(plan.frames, merges=merges), None, MOST_LOOKED_PIXELS
    for frame in frames:
        stored = stored or frame.picture.size
        rendered = render(_picture(frame, first, stored), preprocessing, plan.views)
        uncertain |= frame.uncertain or rendered.uncertain
        choosing.take(frame.index, frame.seconds, rendered)
        left -= _work(rendered, first.shown_size)
        if left < 0:
            break
        del frame, rendered  # before the next is decoded
    chosen = choosing.chosen()
    pixels = np.concatenate([kept.rendered.pixels for kept in chosen])
    parts = [kept.rendered.parts for kept in chosen]
    return Looked(
        pixels,
        _views(chosen, pixels),
        first.shown_size,
        coverage=min(part.coverage for part in parts),
        resolution=min(part.resolution for part in parts),
        parts_left=any(part.left for part in parts),
        uncertain=uncertain,
        frames_judged=len(chosen),
        # Where counting stopped, more may follow than anybody counted.
        frames_seen=min(sum(kept.standing for kept in chosen), MAX_FRAMES_COUNTED - 1),
    )


def choosing_bytes(size: Size, frames: int, preprocessing: Preprocessing, views: Views) -> int:
    """Compute the most bytes that rendering and choosing hold, beside what reading does.

    Args:
        size: (width, height) as displayed, in pixels, before any turn.
        frames: Of the animation.
        preprocessing: Of the model folder.
        views: Of the plan.
    """
    most = frames * 2 * len(parts_of(size, preprocessing, views, backgrounds=2).boxes)
    # What is kept; what waits in a row, the newest frame, and in the end all that is chosen, once more.
    held = min(most, KEPT_VIEWS) + 3 * min(most, MAX_VIEWS)
    return held * (3 * preprocessing.side**2 + SEEN_BYTES) + _RENDERING_BYTES * size[0] * size[1]


def _work(rendered: Rendered, size: Size) -> int:
    """Compute what was looked at for one frame's views, as `MOST_LOOKED_PIXELS` counts it."""
    shown, backgrounds = size[0] * size[1], len(rendered.names) // len(rendered.parts.boxes)
    made_of = sum((box[2] - box[0]) * (box[3] - box[1]) if box else shown for box in rendered.boxes)
    return backgrounds * shown + made_of + _VIEW_PIXEL * rendered.pixels.size // 3


def _picture(frame: Frame, first: Picture, stored: Size) -> Picture:
    image = frame.picture
    if first.alpha == "premultiplied":
        image = image.copy()  # which rendering may overwrite, while the next frame is drawn upon it
    return first._replace(
        image=image,
        size=first.size if image.size == stored else image.size,
        conversion=frame.conversion,
        low_bytes=frame.low_bytes,
    )


def _views(chosen: Iterable[Kept], pixels: NDArray[np.uint8]) -> tuple[View, ...]:
    """Name rows that were put together, so that those they were copied from can go."""
    views, at = list[View](), 0
    for kept in chosen:
        count = len(kept.rendered.pixels)
        named = kept.rendered._replace(pixels=pixels[at : at + count])
        views += named.views(kept.index, kept.seconds)
        at += count
    return tuple(views)
