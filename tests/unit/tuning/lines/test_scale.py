import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.errors import LineError
from clipwarden.scoring.score import sigmoid
from clipwarden.tuning.lines.edges import Edge, over, reaching
from clipwarden.tuning.lines.rounding import next_over, rounded_up
from clipwarden.tuning.lines.scale import mapped

MARGINS = st.floats(-12.0, 12.0)


@given(
    scores=st.lists(MARGINS, min_size=2, max_size=30, unique=True).map(sorted),
    place=st.integers(0, 29),
    slope=st.floats(0.05, 3.0),
    bias=st.floats(-8.0, 8.0),
    decimals=st.integers(0, 6),
)
def test_a_mapped_threshold_passes_the_very_scores_that_reached_the_line(
    scores: list[float], place: int, slope: float, bias: float, decimals: int
) -> None:
    seen = np.array(scores)
    line = over(scores[place % len(scores)], seen)
    through = sigmoid(slope * seen + bias)
    if len(np.unique(through)) < len(through) or through[-1] >= 1.0 - 1e-15:
        return  # the calibration itself cannot tell them apart
    threshold = mapped(line, slope, bias, decimals=decimals)
    assert ((through >= threshold) == (seen >= line.at)).all()
    assert 0.0 < threshold < 1.0


def test_as_many_decimals_are_kept_as_small_scores_need_and_no_more() -> None:
    assert mapped(Edge(-5.5, -5.51, -5.49), 1.0, decimals=3) == 0.0041
    assert mapped(Edge(0.0, -1.0, 1.0), 1.0, decimals=3) == 0.5
    assert mapped(Edge(0.1, -1.0, 1.0), 1.0, decimals=2) == 0.53  # 0.525 rounded up
    assert mapped(Edge(-30.0, -30.1, -29.9), 1.0) == 1e-13


def test_rounding_goes_down_where_the_score_to_be_found_leaves_no_room_above() -> None:
    found = 0.4329
    line = reaching(np.log(found / (1 - found)), np.array([]))
    threshold = mapped(line, 1.0)
    assert threshold == 0.432
    assert mapped(Edge(0.3, None, 0.3), None) == 0.3


def test_a_line_above_everything_stays_strictly_above_and_under_one() -> None:
    for top in (-3.0, 2.0, 9.0, 20.0):
        threshold = mapped(over(top, np.array([top])), 1.0)
        assert sigmoid(np.array([top]))[0] < threshold < 1.0


def test_cosines_are_rounded_as_they_are() -> None:
    assert mapped(Edge(0.2514, 0.25, 0.26), None) == 0.252
    assert mapped(Edge(-0.2514, -0.252, -0.25), None) == -0.251


def test_a_calibration_that_cannot_tell_both_sides_apart_is_refused() -> None:
    with pytest.raises(LineError, match="no threshold comes between them"):
        mapped(Edge(50.0, 49.0, 51.0), 1.0)
    for slope in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(LineError, match="keeps no order of scores"):
            mapped(Edge(0.0, -1.0, 1.0), slope)


@given(
    room=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted),
    decimals=st.integers(0, 20),
)
def test_a_rounded_number_never_leaves_its_room(room: list[float], decimals: int) -> None:
    low, value, high = room
    rounded = rounded_up(value, low, high, decimals)
    assert (rounded is None) == (low == high)
    if rounded is not None:
        assert low < rounded <= high


@given(value=st.floats(0.0, 1.0), decimals=st.integers(0, 12))
def test_the_next_number_is_strictly_above_and_the_one_before_it_is_not(value: float, decimals: int) -> None:
    rounded = next_over(value, value, decimals)
    assert rounded > value
    assert float(f"{rounded:.{decimals}f}") == rounded
    assert rounded - 10.0**-decimals <= value + 1e-15
