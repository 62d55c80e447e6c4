"""What decodes are thought to cost, beside what they do."""

from dataclasses import replace

import pytest
from bench.costs import MODEL, decode_seconds, estimated_seconds, pictures

from clipwarden.engine.costs import DecodeCosts, views_of
from clipwarden.vision.decode import read_header
from clipwarden.vision.plan import MAX_VIEWS, ViewPlan, Views
from kit.animations import encode_animation
from kit.pictures import drawing, encode, natural_picture

SIZE = (640, 480)


def test_estimates_of_all_kinds_are_off_by_much_the_same() -> None:
    # By processor time, and relative to one another: a busy or slow machine is no other.
    ratios = [estimated_seconds(data) / decode_seconds(data) for _, data in pictures(SIZE)]
    middle = sorted(ratios)[len(ratios) // 2]
    assert max(ratios) < 3 * middle
    assert min(ratios) > middle / 3


def test_pace_of_the_machine_is_learnt_and_one_interruption_is_not() -> None:
    costs, data = DecodeCosts(), encode(natural_picture(1, SIZE), "JPEG")
    header = read_header(data, preprocessing=MODEL)
    thought = costs.seconds(header, len(data))
    costs.note(header, len(data), 1000 * thought, views=1)
    assert costs.seconds(header, len(data)) < 1.1 * thought
    for _ in range(300):
        costs.note(header, len(data), 5 * thought, views=1)
    assert costs.seconds(header, len(data)) == pytest.approx(5 * thought, rel=0.01)


def test_damaged_header_costs_what_any_decode_does() -> None:
    data = encode(natural_picture(1), "JPEG")
    header = replace(read_header(data, preprocessing=MODEL), width=None, height=None, decoded=(0, 0))
    assert DecodeCosts().seconds(header, 0) > 0


@pytest.mark.parametrize("views", [Views.AUTO, Views.TILES])
def test_parts_cost_about_what_is_thought_beside_the_whole(views: Views) -> None:
    data, model = encode(natural_picture(2, (1600, 500)), "PNG"), MODEL
    plans = [ViewPlan(), ViewPlan(views=views)]
    took = [decode_seconds(data, plan=plan) for plan in plans]
    headers = [read_header(data, preprocessing=model, plan=plan) for plan in plans]
    thought = [DecodeCosts().seconds(header, len(data)) for header in headers]
    assert views_of(headers[1]) > views_of(headers[0]) == 1
    # By processor time, and relative to one another: a busy or slow machine is no other.
    assert took[1] / took[0] / 2 < thought[1] / thought[0] < took[1] / took[0] * 2


@pytest.mark.parametrize(("size", "views"), [((64, 64), (1, 1, 1)), ((300, 200), (1, 2, 2)), ((1000, 500), (1, 3, 14))])
def test_views_are_told_by_the_header_and_the_plan(size: tuple[int, int], views: tuple[int, ...]) -> None:
    for transparency in (1, 2):
        picture = natural_picture(3, size).convert("RGBA")
        picture.putalpha(255 // transparency)
        data = encode(picture if transparency == 2 else picture.convert("RGB"), "PNG")
        headers = [read_header(data, preprocessing=MODEL, plan=ViewPlan(views=each)) for each in Views]
        assert [views_of(header) for header in headers] == [transparency * count for count in views]


def test_picture_that_may_be_see_through_has_two_views() -> None:
    views = [
        views_of(read_header(encode(drawing(see_through=through), "PNG"), preprocessing=MODEL))
        for through in (False, True)
    ]
    assert views == [1, 2]


def test_an_animation_costs_its_frames_where_they_are_asked_for() -> None:
    frames = [natural_picture(seed, (160, 120)) for seed in range(12)]
    for image_format in ("GIF", "PNG", "WEBP", "AVIF"):
        data, costs = encode_animation(frames, image_format), DecodeCosts()
        still, moving = (read_header(data, preprocessing=MODEL, plan=ViewPlan(frames=most)) for most in (1, 8))
        assert (still.frames, still.judged) == (1, 1)
        assert (moving.frames, moving.judged) == (12, 8), image_format
        assert costs.seconds(moving, 0) > 11 * costs.seconds(still, 0)
        assert views_of(moving) == 8 * views_of(still)


def test_views_of_an_animation_are_learnt_and_those_of_a_still_are_known() -> None:
    costs, data = DecodeCosts(), encode_animation([natural_picture(seed) for seed in range(16)], "WEBP")
    still, moving = (read_header(data, preprocessing=MODEL, plan=ViewPlan(frames=most)) for most in (1, 16))
    assert costs.views(moving) == views_of(moving) == 16
    for _ in range(300):
        costs.note(moving, len(data), 1.0, views=2)
        costs.note(still, len(data), 1.0, views=1)
    assert (costs.views(moving), costs.views(still)) == (2, 1)


def test_no_plan_is_thought_to_make_more_views_than_there_may_be() -> None:
    data = encode_animation([natural_picture(seed, (300, 100)) for seed in range(40)], "PNG")
    plan = ViewPlan(views=Views.AUTO, frames=MAX_VIEWS)
    assert views_of(read_header(data, preprocessing=MODEL, plan=plan)) == MAX_VIEWS
