"""What decodes are thought to cost, beside what they do."""

from dataclasses import replace

import pytest
from bench.costs import MODEL, decode_seconds, estimated_seconds, pictures

from clipwarden.engine.costs import DecodeCosts, views_of
from clipwarden.vision.decode import read_header
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


def test_picture_that_may_be_see_through_has_two_views() -> None:
    views = [
        views_of(read_header(encode(drawing(see_through=through), "PNG"), preprocessing=MODEL))
        for through in (False, True)
    ]
    assert views == [1, 2]
