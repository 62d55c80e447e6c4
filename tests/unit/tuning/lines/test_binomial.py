import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from clipwarden.errors import LineError
from clipwarden.tuning.lines.binomial import at_most, chance_of_so_few, most_allowed, needed_clean
from clipwarden.tuning.lines.confidence import Confidence, shared

SHARES = st.floats(0.001, 0.999)


@pytest.mark.parametrize(("limit", "needed"), [(0.01, 299), (0.001, 2995), (0.0001, 29_956)])
def test_the_fewest_clean_pictures_are_known_beforehand(limit: float, needed: int) -> None:
    assert needed_clean(limit, 0.05) == needed
    assert most_allowed(needed, limit, 0.05) == 0
    assert most_allowed(needed - 1, limit, 0.05) is None


def test_a_share_is_proven_where_hoeffding_would_prove_nothing() -> None:
    assert chance_of_so_few(5, 3000, 0.005) == pytest.approx(0.0027, abs=5e-5)
    assert np.exp(-2 * 3000 * (0.005 - 5 / 3000) ** 2) == pytest.approx(0.94, abs=5e-3)


@given(tested=st.integers(0, 400), limit=SHARES, delta=SHARES)
def test_the_most_exceptions_are_those_that_every_smaller_test_rejects_too(
    tested: int, limit: float, delta: float
) -> None:
    chances = binom.cdf(np.arange(tested + 1), tested, limit)
    rejected = int((chances <= delta).sum())
    assert most_allowed(tested, limit, delta) == (rejected - 1 if rejected else None)


@given(exceptions=st.integers(0, 60), more=st.integers(1, 400), delta=SHARES)
def test_the_upper_limit_is_the_least_limit_whose_test_rejects(exceptions: int, more: int, delta: float) -> None:
    tested = exceptions + more
    limit = at_most(exceptions, tested, delta)
    assert chance_of_so_few(exceptions, tested, limit) == pytest.approx(delta, abs=1e-9)
    assert at_most(tested, tested, delta) == 1.0


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_what_is_no_share_is_refused_in_words(wrong: float) -> None:
    with pytest.raises(LineError, match="write a share between 0 and 1"):
        most_allowed(100, wrong, 0.05)
    with pytest.raises(LineError, match="write a share between 0 and 1"):
        needed_clean(0.05, wrong)
    with pytest.raises(LineError, match="write a share between 0 and 1"):
        shared(wrong, 2)


def test_confidence_is_said_per_line_policy_wide_and_with_every_look() -> None:
    once = Confidence(delta=0.05, lines=26)
    assert once.per_line == pytest.approx(0.95)
    assert once.policy_wide == 0.0
    assert once.one_breaks_if_independent == pytest.approx(0.736, abs=5e-4)
    assert Confidence(delta=shared(0.05, 26), lines=26).policy_wide == pytest.approx(0.95)
    again = Confidence(delta=0.01, lines=2, looks=3)
    assert again.policy_wide == pytest.approx(0.94)
    assert again.sentence == (
        "each line keeps its promise with at least 97 % confidence, all 2 of the policy together with at least 94 %;"
        " these labels were looked at 3 times"
    )
    assert Confidence(delta=shared(0.05, 1, 5), looks=5).per_line == pytest.approx(0.95)
    assert Confidence(delta=0.05).sentence == (
        "each line keeps its promise with at least 95 % confidence; these labels were looked at once"
    )
