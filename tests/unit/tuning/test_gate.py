import numpy as np
import pytest

from clipwarden.tuning.gate import Outcome, Slice, gate, judge_slice


def some(stopped: int, groups: int) -> Slice:
    return Slice(name="religion", stopped=stopped, groups=groups)


@pytest.mark.parametrize(
    ("counted", "outcome"),
    [
        (some(0, 149), Outcome.PASS),  # the fewest clean images that can pass at 2 %
        (some(0, 148), Outcome.UNKNOWN),
        (some(1, 149), Outcome.UNKNOWN),
        (some(1, 236), Outcome.PASS),
        (some(1, 235), Outcome.UNKNOWN),
        (some(2, 10), Outcome.FAIL),
        (some(1, 3), Outcome.UNKNOWN),  # its lower limit is 1.7 %
        (some(1, 2), Outcome.FAIL),
        (some(0, 0), Outcome.UNKNOWN),
    ],
)
def test_a_slice_passes_only_when_its_upper_limit_is_under_the_ceiling(counted: Slice, outcome: Outcome) -> None:
    assert judge_slice(counted, 0.02) is outcome


def test_no_slice_pays_for_another() -> None:
    large = some(0, 10_000)
    assert gate([large], 0.02) is Outcome.PASS
    assert gate([large, some(0, 50)], 0.02) is Outcome.UNKNOWN
    assert gate([large, some(0, 50), some(5, 10)], 0.02) is Outcome.FAIL


def test_nothing_counted_passes_nothing() -> None:
    assert gate([], 0.02) is Outcome.UNKNOWN


def test_a_category_at_the_ceiling_passes_in_no_more_than_five_runs_of_a_hundred() -> None:
    chance = np.random.default_rng(11)
    passed = [judge_slice(some(int(k), 300), 0.02) is Outcome.PASS for k in chance.binomial(300, 0.02, 4000)]
    assert 0.0 < np.mean(passed) <= 0.05
