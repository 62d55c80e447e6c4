"""Which frames are judged, and which count as seen: on pixels alone, without any file."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from clipwarden.vision.frames.choosing import KEPT_VIEWS, Choosing, Kept
from clipwarden.vision.frames.distance import LEAST_LEVELS, MOST_LEVELS, Seen, estimate, is_near, seen
from clipwarden.vision.parts import Parts
from clipwarden.vision.plan import MAX_VIEWS
from clipwarden.vision.rendering import Rendered

SIDE = 96
Pixels = NDArray[np.uint8]


def plain(level: int, views: int = 1) -> Pixels:
    """Paint uint8 [V,S,S,3] of one grey."""
    return np.full((views, SIDE, SIDE, 3), level, np.uint8)


def scene(seed: int, views: int = 1, *, deviation: float = 60) -> Pixels:
    """Paint uint8 [V,S,S,3] of patches, no two alike."""
    patches = np.random.default_rng(seed).normal(128, deviation, (views, 12, 12, 3))
    return patches.repeat(8, 1).repeat(8, 2).clip(0, 255).astype(np.uint8)


def with_square(pixels: Pixels, side: int, level: int = 0) -> Pixels:
    """Paint a square into the lower right corner."""
    changed = pixels.copy()
    changed[:, -side:, -side:] = level
    return changed


def chosen(frames: Sequence[Pixels], most: int = MAX_VIEWS) -> list[Kept]:
    """Choose among frames of one plan."""
    choosing = Choosing(most)
    for index, pixels in enumerate(frames):
        views = len(pixels)
        names, boxes = ("full",) * views, (None,) * views
        rendered = Rendered(pixels, names, boxes, Parts(boxes, 1.0, SIDE), uncertain=False)
        choosing.take(index, index / 10, rendered)
    return choosing.chosen()


def indexes(kept: Sequence[Kept]) -> list[int]:
    """Name the chosen frames."""
    return [each.index for each in kept]


def near(one: Pixels, other: Pixels) -> bool:
    """Compare two frames, and hold the estimate against the comparison of pixels, both ways."""
    first, second = seen(one), seen(other)
    answer = is_near(first, second)
    assert is_near(second, first) is answer
    assert bool(estimate(first, [second]).may_be_near[0]) or not answer
    return answer


def test_equal_frames_are_near_and_other_pictures_are_not() -> None:
    assert near(scene(1), scene(1))
    assert not near(scene(1), scene(2))
    assert not near(plain(0), plain(255))


def test_a_blank_page_may_change_by_what_codecs_do_to_it_and_by_nothing_that_is_drawn_on_it() -> None:
    assert near(plain(255), plain(255 - int(LEAST_LEVELS)))
    assert not near(plain(255), with_square(plain(255), 8))
    # A drawing at a twentieth of its contrast.
    faint = (255 - (255 - scene(1).astype(np.float32)) * 0.05).astype(np.uint8)
    assert not near(plain(255), faint)


def test_a_busy_picture_may_change_a_little_all_over_and_hardly_in_one_place() -> None:
    busy = scene(1)
    shifted = (busy.astype(np.int16) + 15).clip(0, 255).astype(np.uint8)
    assert near(busy, shifted)
    assert not near(busy, (busy.astype(np.int16) + int(2 * MOST_LEVELS)).clip(0, 255).astype(np.uint8))
    assert near(busy, with_square(busy, 4, 255))
    assert not near(busy, with_square(busy, SIDE // 4, 255))


@pytest.mark.parametrize("place", range(0, SIDE - 24, 6))
def test_a_change_counts_wherever_it_stands(place: int) -> None:
    busy = scene(3)
    changed = busy.copy()
    changed[:, place : place + 24, SIDE - 24 - place : SIDE - place] = scene(4)[:, :24, :24]
    assert not near(busy, changed)


def test_an_opaque_frame_is_compared_on_both_backgrounds() -> None:
    opaque = scene(1)
    assert near(opaque, np.concatenate([opaque, opaque]))
    assert not near(opaque, np.concatenate([opaque, scene(2)]))
    assert not near(opaque, np.concatenate([scene(2), opaque]))
    assert not near(opaque, np.concatenate([opaque] * 3))


@pytest.mark.parametrize("side", [1, 2, 3, 5, 15, 16, 17, 33, 97])
def test_every_side_is_compared(side: int) -> None:
    one, other = (np.full((1, side, side, 3), level, np.uint8) for level in (0, 200))
    assert is_near(seen(one), seen(one))
    assert not is_near(seen(one), seen(other))


def test_estimates_never_deny_what_pixels_show() -> None:
    generator = np.random.default_rng(5)
    frames = [
        seen((scene(seed, deviation=40) + generator.normal(0, noise, (1, SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8))
        for seed in (1, 2)
        for noise in (1, 8, 20, 40)
    ]
    both: list[Seen] = [*frames, seen(np.concatenate([frames[0].pixels] * 2)), seen(np.concatenate([plain(9)] * 3))]
    for one in both:
        found = estimate(one, both)
        truth = [is_near(one, other) for other in both]
        assert not np.any(truth & ~found.may_be_near)
        assert any(truth)


def test_what_repeats_is_judged_once() -> None:
    kept = chosen([scene(1), scene(1), scene(2), scene(1), scene(2)])
    assert indexes(kept) == [0, 2]
    assert [each.standing for each in kept] == [3, 2]


def test_the_first_frame_is_always_judged_and_then_the_farthest() -> None:
    frames = [plain(100), plain(120), plain(140), plain(250), plain(90)]
    assert indexes(chosen(frames, 1)) == [0]
    assert indexes(chosen(frames, 2)) == [0, 3]
    assert indexes(chosen(frames, 3)) == [0, 2, 3]


def test_steady_change_is_judged_half_as_often_as_it_could_be() -> None:
    steps = np.linspace(0, 255, 52).round().astype(int)
    kept = chosen([plain(int(level)) for level in steps])
    assert sum(each.standing for each in kept) == len(steps)
    # Each step is five levels: too many for a frame to be near to the next.
    assert len(kept) == len(steps)
    finer = np.arange(0, 256, 2)
    kept = chosen([plain(int(level)) for level in finer])
    assert sum(each.standing for each in kept) == len(finer)
    assert len(kept) <= len(finer) / 4


def test_no_chain_of_small_steps_leads_away_from_what_is_judged() -> None:
    start, end = scene(1).astype(np.float32), scene(2).astype(np.float32)
    frames = [(start + (end - start) * step / 99).astype(np.uint8) for step in range(100)]
    kept = chosen(frames)
    judged = [each.seen for each in kept]
    assert sum(each.standing for each in kept) == len(frames)
    assert all(any(is_near(seen(frame), other) for other in judged) for frame in frames)


def test_a_frame_that_is_like_no_other_is_found_among_many() -> None:
    # More than are kept, all of them far from each other, but one is farther.
    flood = [scene(seed, deviation=25) for seed in range(2 * KEPT_VIEWS)]
    for place in (0, 1, KEPT_VIEWS, 2 * KEPT_VIEWS - 1):
        frames = [*flood[:place], with_square(plain(255), 48), *flood[place:]]
        kept = chosen(frames, 8)
        assert place in indexes(kept)
        assert len(kept) == 8
        assert sum(each.standing for each in kept) < len(frames)


def test_views_are_bounded_whatever_a_frame_has() -> None:
    for views in (1, 5, 16, 33, MAX_VIEWS):
        kept = chosen([scene(seed, views) for seed in range(12)], MAX_VIEWS)
        assert sum(len(each.rendered.pixels) for each in kept) <= MAX_VIEWS
        assert len(kept) == min(12, MAX_VIEWS // views)


def test_frames_of_other_parts_stay_apart() -> None:
    kept = chosen([scene(1, 3), scene(1, 2), scene(1, 3), scene(2, 5)], 8)
    assert indexes(kept) == [0, 1, 3]


def test_what_is_kept_is_bounded_where_frames_have_other_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipwarden.vision.frames.choosing.KEPT_VIEWS", 4)
    frames = [plain(10 * views, views) for views in (1, 3, 7, 15)]
    kept = chosen(frames, 8)
    assert kept[0].index == 0
    assert sum(len(each.rendered.pixels) for each in kept) <= 4


def test_the_same_frames_are_the_same_choice() -> None:
    frames = [scene(seed % 40, deviation=30) for seed in range(90)]
    first, second = chosen(frames, 16), chosen(frames, 16)
    assert indexes(first) == indexes(second)
    assert [each.standing for each in first] == [each.standing for each in second]


def test_frames_that_count_as_seen_are_judged_where_there_is_room() -> None:
    base, noise = scene(1), scene(2).astype(np.float32) - 128
    shifted = [np.clip(base + share * noise, 0, 255).astype(np.uint8) for share in (0.0, 0.05, 0.3, 0.36)]
    assert [near(base, frame) for frame in shifted] == [True] * 4
    # The second is surely like the first, the fourth like the third, which is as far as may be told apart.
    frames = [*shifted, shifted[2]]
    assert indexes(chosen(frames, 8)) == [0, 2]
    assert sum(kept.standing for kept in chosen(frames, 8)) == len(frames)
    assert indexes(chosen(frames, 1)) == [0]
    # Frames that are near to none go first, and the room that they leave is bounded.
    assert indexes(chosen([*frames, scene(3)], 2)) == [0, 5]
    assert indexes(chosen([*frames, scene(3)], 3)) == [0, 2, 5]
