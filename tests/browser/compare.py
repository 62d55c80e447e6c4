"""What Chromium shows of a file and what we judge of it in; how far apart they are, at the model's input side."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.browser.kit import Shown

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.preprocess import fit_to_side

Outcome = Literal[
    "same",
    "same, flagged",
    "same part",
    "same part, flagged",
    "refused",
    "differs, flagged",
    "differs",
    "none",
    "judged",
    "judged, flagged",
]
"""What becomes of a file. Where Chromium shows something: the same is judged, with a flag or without; or, of a file
that ends too early, the rows that both have; or we refuse; or something else is judged: the way round. Where it shows
nothing: nor do we, or we judge.
"""

# Pictures that are not the same are 20 levels and more apart; two codecs' rounding of one picture is below 2.
SAME_WITHIN = 4.0
# Of a part that is resized twice.
SAME_PART_WITHIN = 8.0
# Sizes that come from densities, or from pixels rounded up, are a pixel off; at 30 pixels that is 3 %.
SHAPE_WITHIN = 0.05
# What we take for opaque has to be so in the browser too, whatever the page's colour.
_BACKGROUNDS = {"full": (255, 0), "on_white": (255,), "on_black": (0,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Distance:
    """Between two pictures, in levels of 0-255; the worst view counts.

    Attributes:
        mean: Mean absolute difference.
        p99: Its 99th percentile.
    """

    mean: float
    p99: float


def judge(data: bytes, preprocessing: Preprocessing) -> DecodedImage | Reason:
    """Bring a file to the model's input as we do; the reason where we refuse it."""
    # Pillow warns of damage and goes on; an error in its place, as this suite makes of warnings, would be a refusal.
    with warnings.catch_warnings(action="ignore"):
        try:
            return decode_image(data, preprocessing=preprocessing)
        except ImageError as error:
            return error.reason


def is_flagged(judged: DecodedImage) -> bool:
    """Whether we say that it is not all there, or not surely in these colours; more frames are no flag."""
    facts = judged.facts
    return facts.share_shown < 1 or facts.hdr or "COLOUR_UNCERTAIN" in facts.degraded


def distance(shown: Shown, judged: DecodedImage, preprocessing: Preprocessing) -> Distance:
    """Compare each of our views with what is shown on its background.

    Args:
        shown: With pixels.
        judged: Under the same preprocessing.
        preprocessing: How both become small.
    """
    return _worst(_differences(shown, judged, preprocessing))


def outcome(shown: Shown, judged: DecodedImage | Reason, preprocessing: Preprocessing) -> Outcome:
    """Name what becomes of a file."""
    if isinstance(judged, Reason):
        return "none" if shown.refused else "refused"
    if shown.pixels is None and not shown.refused:  # too many to compare, so what is judged is not known to be the same
        return "differs, flagged" if is_flagged(judged) else "differs"
    if shown.refused:
        return "judged, flagged" if is_flagged(judged) else "judged"
    if distance(shown, judged, preprocessing).mean < SAME_WITHIN and _same_shape(shown, judged):
        return "same, flagged" if is_flagged(judged) else "same"
    if shown.share < 1 and _same_part(shown, judged, preprocessing):
        return "same part, flagged" if is_flagged(judged) else "same part"
    return "differs, flagged" if is_flagged(judged) else "differs"


def shown_distance(first: Shown, second: Shown) -> float:
    """Compare two shown pictures of one size, on white and on black; the worse mean."""
    return max(float(_difference(np.asarray(first.on(grey)), np.asarray(second.on(grey))).mean()) for grey in (255, 0))


def _same_shape(shown: Shown, judged: DecodedImage) -> bool:
    """Squashed pictures of any shape are alike; people see a stretched one stretched."""
    assert shown.size is not None
    assert judged.facts.file is not None
    stretch = (shown.size[0] * judged.facts.file.height) / (shown.size[1] * judged.facts.file.width)
    return max(stretch, 1 / stretch) < 1 + SHAPE_WITHIN


def _same_part(shown: Shown, judged: DecodedImage, preprocessing: Preprocessing) -> bool:
    """Of a cut file, Chromium and we show some of the rows: whether those that both show are the same."""
    axis, count, at_end = shown.part
    ours = judged.facts.share_shown
    both = min(count, ours)
    size = (preprocessing.side, preprocessing.side)
    for view in judged.views:
        mine = _piece(Image.fromarray(view.pixels), axis, both / ours, at_end=at_end).resize(size)
        for background in _BACKGROUNDS[view.name]:
            theirs = _piece(shown.on(background), axis, both, at_end=at_end).resize(size)
            if _difference(np.asarray(theirs), np.asarray(mine)).mean() > SAME_PART_WITHIN:
                return False
    return True


def _piece(image: Image.Image, axis: int, share: float, *, at_end: bool) -> Image.Image:
    """Cut out a share of a picture: of its rows (axis 0) or columns (1), from the start or up to the end."""
    width, height = image.size
    kept = (max(1, round(width * share)), height) if axis else (width, max(1, round(height * share)))
    left, top = (width - kept[0], height - kept[1]) if at_end else (0, 0)
    return image.crop((left, top, left + kept[0], top + kept[1]))


def _differences(shown: Shown, judged: DecodedImage, preprocessing: Preprocessing) -> Iterator[NDArray[np.int16]]:
    for view in judged.views:
        for background in _BACKGROUNDS[view.name]:
            yield _difference(fit_to_side(shown.on(background), preprocessing), view.pixels)


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.abs(first.astype(np.int16) - second.astype(np.int16))


def _worst(differences: Iterable[NDArray[np.int16]]) -> Distance:
    every = [(float(each.mean()), float(np.percentile(each, 99))) for each in differences]
    return Distance(mean=max(mean for mean, _ in every), p99=max(p99 for _, p99 in every))
