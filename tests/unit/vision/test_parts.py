"""What views of a plan show of a picture, and what they leave: held by properties over all proportions."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.parts import MAX_SQUARES, PixelBox, is_tiled, least_size, parts_of, squares_of
from clipwarden.vision.plan import MAX_VIEWS, Views
from clipwarden.vision.preprocess import draft_size, fit_to_side

MODEL = Preprocessing(side=32)
SIDES = st.integers(1, 3000)
# Sides of 1:1 to 1:50, both ways, and of anything else.
LONG = st.tuples(st.integers(1, 1200), st.floats(1, 50)).map(lambda pair: (pair[0], math.ceil(pair[0] * pair[1])))
SIZES = st.one_of(st.tuples(SIDES, SIDES), LONG, LONG.map(lambda size: (size[1], size[0])))
CLOSER = (Views.AUTO, Views.TILES)


def covered(size: tuple[int, int], boxes: tuple[PixelBox | None, ...]) -> float:
    """Paint every part, and count."""
    shown = np.zeros(size[::-1], bool)
    for box in boxes:
        left, top, right, bottom = box or (0, 0, *size)
        shown[top:bottom, left:right] = True
    return float(shown.mean())


def holds(boxes: tuple[PixelBox | None, ...], part: PixelBox) -> bool:
    return any(
        box is None or (box[0] <= part[0] and box[1] <= part[1] and box[2] >= part[2] and box[3] >= part[3])
        for box in boxes
    )


@given(SIZES, st.sampled_from(CLOSER))
@example((1, 20_000), Views.AUTO)
@example((20_000, 1), Views.TILES)
@example((800, 100), Views.AUTO)
@example((801, 100), Views.AUTO)
def test_all_is_covered_or_it_is_said_how_much_is_not(size: tuple[int, int], views: Views) -> None:
    parts = parts_of(size, MODEL, views)
    assert parts.coverage == pytest.approx(covered(size, parts.boxes), abs=1e-9)
    assert parts.left == (parts.coverage < 1)
    assert parts.left == (max(size) > MAX_SQUARES * min(size))


@given(SIZES)
def test_squares_lie_in_the_picture_apart_evenly_and_flush_with_its_ends(size: tuple[int, int]) -> None:
    squares, short = squares_of(size), min(size)
    assert all(box[2] - box[0] == box[3] - box[1] == short for box in squares)
    assert squares[0][:2] == (0, 0)
    assert squares[-1][2:] == size
    steps = [b[0] - a[0] + b[1] - a[1] for a, b in pairwise(squares)]
    assert not steps or 1 <= min(steps) <= max(steps) <= min(steps) + 1


@given(SIZES)
def test_neighbours_share_a_sixth_of_the_length_or_half_of_a_square_and_one_less_would_not(
    size: tuple[int, int],
) -> None:
    (short, long), squares = sorted(size), squares_of(size)
    share = min(Fraction(long, 6), Fraction(short, 2))
    count = len(squares)
    if count < MAX_SQUARES:
        assert all(short - (b[0] - a[0] + b[1] - a[1]) >= math.floor(share) for a, b in pairwise(squares))
    if 2 < count < short:
        assert short - Fraction(long - short, count - 2) < share
    assert count <= MAX_SQUARES


@pytest.mark.parametrize("short", [37, 300, 811])
@pytest.mark.parametrize("ratio", [(4, 3), (3, 2), (16, 9), (20, 9), (3, 1), (20, 1)])
@pytest.mark.parametrize("views", CLOSER)
def test_any_sixth_lies_whole_in_some_view_or_it_is_flagged(short: int, ratio: tuple[int, int], views: Views) -> None:
    long = short * ratio[0] // ratio[1]
    for size in ((long, short), (short, long)):
        parts = parts_of(size, MODEL, views)
        width, height = size
        sixths = [
            (
                width * column // columns,
                height * row // rows,
                width * (column + 1) // columns,
                height * (row + 1) // rows,
            )
            for columns, rows in ((6, 1), (1, 6), (3, 2), (2, 3))
            for column in range(columns)
            for row in range(rows)
            # Two cells along a length of 3:1 are three squares wide together: what is wider than the picture is high
            # lies in no square whole.
            if max(width / columns, height / rows) <= short + 1
        ]
        slid = [
            (at, 0, at + long // 6, short) if width == long else (0, at, short, at + long // 6)
            for at in range(long - long // 6 + 1)
        ]
        unseen = [part for part in (*sixths, *slid) if not holds(parts.boxes, part)]
        assert parts.left or not unseen, (size, unseen[:3])
        assert parts.left == (ratio == (20, 1))


@pytest.mark.parametrize(
    ("size", "auto", "tiles"),
    [
        ((1000, 1000), 1, 6),
        ((1200, 900), 2, 12),
        ((1500, 1000), 2, 10),
        ((1920, 1080), 3, 18),
        ((1080, 2400), 3, 18),
        ((1000, 3000), 5, 22),
        ((4500, 1000), 8, 34),
        ((8000, 1000), 8, 48),
        ((800, 16_000), 8, 48),
        ((60, 60), 1, 1),
        ((60, 120), 3, 3),
    ],
)
def test_views_by_proportions(size: tuple[int, int], auto: int, tiles: int) -> None:
    for turned in (size, size[::-1]):
        assert [len(parts_of(turned, MODEL, views).boxes) for views in Views] == [1, auto, tiles]


@given(SIZES, st.sampled_from(Views), st.sampled_from([1, 2]))
@example((800, 16_000), Views.TILES, 2)
def test_views_on_all_backgrounds_are_never_more_than_there_may_be(
    size: tuple[int, int], views: Views, backgrounds: int
) -> None:
    parts = parts_of(size, MODEL, views, backgrounds=backgrounds)
    assert 1 <= len(parts.boxes) * backgrounds <= MAX_VIEWS
    assert len(set(parts.boxes)) == len(parts.boxes)
    if views is Views.AUTO:
        assert len(parts.boxes) <= MAX_SQUARES


def test_tiles_that_find_no_room_are_left_and_that_is_said() -> None:
    size = (800, 6400)
    one, two = (parts_of(size, MODEL, Views.TILES, backgrounds=count) for count in (1, 2))
    assert (len(one.boxes), one.left, one.coverage, one.resolution) == (48, False, 1, 64)
    assert (len(two.boxes), two.left, two.coverage, two.resolution) == (32, True, 1, 32)
    # Squares first, so that what is left is a closer look.
    assert two.boxes == one.boxes[:32]
    assert two.boxes[:MAX_SQUARES] == squares_of(size)


@given(SIZES)
def test_tiles_show_every_place_twice_as_large_where_there_are_pixels_for_it(size: tuple[int, int]) -> None:
    parts = parts_of(size, MODEL, Views.TILES)
    squares = parts_of(size, MODEL, Views.AUTO)
    assert parts.boxes[: len(squares.boxes)] == squares.boxes
    if not is_tiled(size, MODEL):
        assert parts == squares
        return
    closer = parts.boxes[len(squares.boxes) :]
    assert {box[2] - box[0] for box in closer if box} == {-(-min(size) // 2)}
    if not parts.left:
        # What is left of a picture that is nearly square is narrower than a pixel of the model's input.
        short = min(size)
        kept = size if squares.boxes != (None,) else (short, short)
        assert covered(kept, closer) == 1
        assert parts.resolution == 32 * short / -(-short // 2)


@pytest.mark.parametrize("fit", ["crop", "crop_half_even", "pad", "squash"])
@given(size=SIZES)
def test_a_picture_that_is_nearly_square_is_looked_at_as_the_whole_is(fit: str, size: tuple[int, int]) -> None:
    preprocessing = Preprocessing(side=32, fit=fit)
    nearly = (max(size) - min(size)) * 32 < min(size)
    auto = parts_of(size, preprocessing, Views.AUTO)
    assert (auto == parts_of(size, preprocessing, Views.WHOLE)) == nearly
    assert not nearly or auto.coverage == 1


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(["crop", "crop_half_even"]))
@example(1, 20_000, "crop")
@example(20_000, 1, "crop")
@example(37, 3700, "crop_half_even")
def test_a_crop_covers_what_it_keeps(width: int, height: int, fit: str) -> None:
    # A ramp along the longer side says where the outermost pixels of the view come from.
    preprocessing = Preprocessing(side=32, fit=fit, resample="box")
    long = max(width, height)
    ramp = (np.arange(long) * 255 / max(1, long - 1)).round().astype(np.uint8)
    shown = np.broadcast_to(ramp if width == long else ramp[:, None], (height, width))
    pixels = fit_to_side(Image.fromarray(np.ascontiguousarray(shown)).convert("RGB"), preprocessing)[..., 0].astype(int)
    line = pixels[0] if width == long else pixels[:, 0]
    kept = (line[-1] - line[0]) / 255
    parts = parts_of((width, height), preprocessing, Views.WHOLE)
    assert parts.boxes == (None,)
    assert kept == pytest.approx(parts.coverage, abs=2 / 32 + 2 / long)
    assert parts.coverage <= 1


@pytest.mark.parametrize(
    ("fit", "coverage", "resolution"),
    [("crop", 0.05, 32), ("crop_half_even", 0.05, 32), ("pad", 1, 2), ("squash", 1, 1.6)],
)
def test_what_the_whole_of_a_strip_covers_and_resolves_depends_on_its_fit(
    fit: str, coverage: float, resolution: float
) -> None:
    for size in ((800, 16_000), (16_000, 800)):
        parts = parts_of(size, Preprocessing(side=32, fit=fit), Views.WHOLE)
        assert (parts.boxes, parts.coverage, parts.resolution, parts.left) == ((None,), coverage, resolution, False)


@given(SIZES, st.sampled_from(["crop", "pad", "squash"]), st.integers(0, 3), st.sampled_from(Views))
def test_a_scaled_decode_leaves_every_view_its_pixels(
    size: tuple[int, int], fit: str, scale: int, views: Views
) -> None:
    preprocessing = Preprocessing(side=32, fit=fit, decode_scale=scale)
    least = least_size(size, preprocessing, views)
    if views is Views.WHOLE or scale == 0:
        assert least == draft_size(size, preprocessing)
        return
    assert least is not None
    for box in parts_of(size, preprocessing, views).boxes:
        if box is not None:
            # Rounding of the least size takes up to a pixel.
            assert (box[2] - box[0]) * (least[0] + 1) / size[0] >= scale * 32
            assert (box[3] - box[1]) * (least[1] + 1) / size[1] >= scale * 32
