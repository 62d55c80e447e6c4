"""A picture's size and a view plan in, which parts of it the views show out, and what these leave unseen: arithmetic.

What is no square is looked at in squares of its shorter side, evenly spaced along the longer one, the first and the
last flush with its ends. Neighbours share at least a sixth of the longer side, or half of a square where that is less:
whatever takes up to a sixth of the picture's length then lies whole in one square, up to 3:1, and beyond that whatever
is no wider than half of the shorter side. Two squares do up to 12:7 (4:3 and 3:2), three up to 9:4 (16:9, 9:20), four
up to 8:3 and five up to 3:1. They are `MAX_SQUARES` at the most: from 4.5:1 on they share less, and beyond 8:1 they
leave gaps.

A quarter of a square shared would cost 2, 3, 3 and 4 views at 4:3, 16:9, 9:20 and 3:1, so one less at 3:1 alone, and
cut what lies across a seam there.
"""

from collections.abc import Iterator
from typing import NamedTuple

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.plan import MAX_VIEWS, Views
from clipwarden.vision.preprocess import draft_size, resized_size

Size = tuple[int, int]
PixelBox = tuple[int, int, int, int]

MAX_SQUARES = 8
"""Most squares of one picture: on two backgrounds they are a quarter of all views that one image may have."""
_CLOSER = 2
"""How many times closer the tiles are looked at than the squares that they are of."""


class Parts(NamedTuple):
    """What the views of one picture show on one background, and what they leave.

    Attributes:
        boxes: (left, top, right, bottom) in pixels of the picture as displayed, one a view; None stands for the whole
            picture, as the model folder's preprocessing fits it.
        coverage: Share of the picture's area that some view shows, in (0, 1]; of the whole under `crop`, what that
            keeps.
        resolution: Pixels that the views give to the picture's shorter side, or to as much of its longer one where
            they give fewer to that; of every place by the view that shows it closest, and of the place that is shown
            the least so.
        left: Whether the plan asks for more views than it may have.
    """

    boxes: tuple[PixelBox | None, ...]
    coverage: float
    resolution: float
    left: bool = False


def parts_of(size: Size, preprocessing: Preprocessing, views: Views, *, backgrounds: int = 1) -> Parts:
    """Lay a plan's views out over a picture.

    Args:
        size: (width, height) of the picture as displayed, in pixels, each at least 1.
        preprocessing: Of the model folder; of squares its fit does not matter.
        views: Of the plan.
        backgrounds: On how many each is looked at: 2 of a see-through picture. All are bounded by `MAX_VIEWS`.

    Returns:
        The parts: squares in reading order, then quarters, then centres.
    """
    if views is Views.WHOLE:
        return _whole(size, preprocessing)
    boxes, coverage, resolution, left = _squares(size, preprocessing)
    if views is Views.TILES and is_tiled(size, preprocessing):
        short = min(size)
        squares = [box or (0, 0, short, short) for box in boxes]
        closer = dict.fromkeys([*(part for box in squares for part in _quarters(box)), *map(_centre, squares)])
        room = MAX_VIEWS // backgrounds - len(boxes)
        boxes = (*boxes, *list(closer)[:room])
        if len(closer) > room:
            left = True
        elif not left:
            resolution = preprocessing.side * short / _half(short)
    return Parts(boxes, coverage, resolution, left)


def squares_of(size: Size) -> tuple[PixelBox, ...]:
    """List the squares that a picture is looked at in, in pixels; of a square picture that is the picture itself."""
    (width, height), short = size, min(size)
    places = _places(max(size), short)
    if width >= height:
        return tuple((at, 0, at + short, short) for at in places)
    return tuple((0, at, short, at + short) for at in places)


def is_one_view(size: Size, preprocessing: Preprocessing) -> bool:
    """Tell whether a picture is so nearly square that the rest is narrower than one pixel of the model's input."""
    return (max(size) - min(size)) * preprocessing.side < min(size)


def is_tiled(size: Size, preprocessing: Preprocessing) -> bool:
    """Tell whether a picture is large enough for closer looks, so that tiles show what no square does."""
    return min(size) >= _CLOSER * preprocessing.side


def least_size(size: Size, preprocessing: Preprocessing, views: Views) -> Size | None:
    """Compute the least size that a JPEG may be decoded at for a plan's views; as `preprocess.draft_size`.

    Args:
        size: (width, height) in pixels, as stored or as displayed.
        preprocessing: Side, fit and decode scale.
        views: Of the plan.

    Returns:
        (width, height) in pixels; None when the image must be decoded in full.
    """
    tiled = views is Views.TILES and is_tiled(size, preprocessing)
    if views is Views.WHOLE or (not tiled and is_one_view(size, preprocessing)):
        return draft_size(size, preprocessing)
    if preprocessing.decode_scale == 0:
        return None
    side = preprocessing.decode_scale * preprocessing.side * (_CLOSER if tiled else 1)
    return side * size[0] // min(size), side * size[1] // min(size)


def _whole(size: Size, preprocessing: Preprocessing) -> Parts:
    side, target = preprocessing.side, resized_size(size, preprocessing)
    if preprocessing.fit == "squash":
        return Parts((None,), 1.0, side * min(size) / max(size))
    if preprocessing.fit == "pad":
        return Parts((None,), 1.0, float(min(target)))
    # Of the resized picture the crop keeps `side` pixels, however it came by them (`preprocess.MAX_ASPECT`).
    return Parts((None,), side / max(target), float(side))


def _squares(size: Size, preprocessing: Preprocessing) -> Parts:
    if is_one_view(size, preprocessing):
        return _whole(size, preprocessing)
    squares, (short, long) = squares_of(size), sorted(size)
    shown = sum(min(short, long - at, step) for at, step in _steps(long, short))
    return Parts(squares, shown / long, float(preprocessing.side), shown < long)


def _steps(long: int, short: int) -> Iterator[tuple[int, int]]:
    """Of each square, where it begins and how far from there the next one does."""
    places = _places(long, short)
    return zip(places, [after - at for at, after in zip(places, [*places[1:], long], strict=True)], strict=True)


def _places(long: int, short: int) -> list[int]:
    """Where squares begin along the longer side, in pixels."""
    rest = long - short
    # In whole numbers, so that no square more or less is due to rounding: neighbours are at most this many sixths of
    # a pixel apart.
    most_apart = max(6 * short - long, 3 * short)
    # Rounded down, places lie apart what they would, or up to a pixel more or less; in few pixels not two are the same.
    gaps = min(-(-6 * rest // most_apart), MAX_SQUARES - 1, rest)
    return [number * rest // gaps for number in range(gaps + 1)] if gaps else [0]


def _half(side: int) -> int:
    return -(-side // _CLOSER)


def _quarters(box: PixelBox) -> list[PixelBox]:
    left, top, right, bottom = box
    half = _half(right - left)
    return [(x, y, x + half, y + half) for y in (top, bottom - half) for x in (left, right - half)]


def _centre(box: PixelBox) -> PixelBox:
    left, top, right, _ = box
    half = _half(right - left)
    x, y = left + (right - left - half) // 2, top + (right - left - half) // 2
    return x, y, x + half, y + half
