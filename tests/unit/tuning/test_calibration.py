"""A category's calibration: weighted, by groups, finite, at the prevalence, or none with a reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.errors import DesignError
from clipwarden.tuning.calibration import Fitted, Platt, Unfit, Why, calibrate, fit


def world(seed: int, harmful: int, harmless: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw margins whose log odds at even odds are 2 m - 2."""
    chance = np.random.default_rng(seed)
    positive = np.arange(harmful + harmless) < harmful
    return chance.normal(np.where(positive, 2.0, 0.0), 1.0), positive


def fitted(*args: object, **kwargs: object) -> Platt:
    found = fit(*args, **kwargs)
    assert isinstance(found, Platt)
    return found


def why(found: object) -> Why:
    assert isinstance(found, Unfit)
    assert found.sentence[-1] == "."
    return found.why


def test_slope_and_bias_of_a_known_world_are_found_whatever_the_scale_and_the_place_of_scores() -> None:
    logits, positive = world(5, 4000, 4000)
    plain, moved = fitted(logits, positive), fitted(logits * 30.0 + 500.0, positive)
    assert (plain.slope, plain.bias) == pytest.approx((2.0, -2.0), rel=0.06)
    assert moved.slope * 30.0 == pytest.approx(plain.slope, rel=1e-9)
    assert moved.bias + moved.slope * 500.0 == pytest.approx(plain.bias, rel=1e-6)


def test_a_weighted_sample_gives_the_fit_of_the_traffic_that_it_was_drawn_from() -> None:
    logits, positive = world(6, 4000, 40_000)
    pi = np.clip(1.0 / (1.0 + np.exp(-(logits - 1.0))), 0.02, 1.0)
    drawn = np.random.default_rng(7).random(len(logits)) < pi
    whole = fitted(logits, positive)
    weighted = fitted(logits[drawn], positive[drawn], pi=pi[drawn])
    unweighted = fitted(logits[drawn], positive[drawn])
    assert (weighted.slope, weighted.bias) == pytest.approx((whole.slope, whole.bias), rel=0.1)
    assert abs(unweighted.bias - whole.bias) > 3 * abs(weighted.bias - whole.bias)


def test_near_duplicates_are_worth_no_more_than_their_group() -> None:
    logits, positive = world(1, 10, 100)
    alone = fitted(logits, positive)
    copied = np.repeat(np.arange(110), 5)
    grouped = fitted(logits[copied], positive[copied], groups=copied)
    assert grouped.worth == pytest.approx(alone.worth)
    assert (grouped.slope, grouped.bias) == pytest.approx((alone.slope, alone.bias), rel=1e-9)
    assert fitted(logits[copied], positive[copied]).worth == pytest.approx((50.0, 500.0))


@settings(max_examples=60, deadline=None)
@given(
    gap=st.floats(1e-6, 1e6),
    harmful=st.integers(1, 4),
    harmless=st.integers(1, 6),
)
def test_classes_that_a_limit_parts_get_a_finite_fit_in_order(gap: float, harmful: int, harmless: int) -> None:
    logits = np.r_[np.full(harmful, gap), np.zeros(harmless)]
    positive = np.arange(harmful + harmless) < harmful
    found = fitted(logits, positive)
    assert np.isfinite([found.slope, found.bias]).all()
    assert found.slope > 0.0
    high, low = found.slope * gap + found.bias, found.bias
    assert high > 0.0 > low


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_pictures_moves_nothing(seed: int) -> None:
    logits, positive = world(seed, 8, 30)
    groups, pi = np.arange(38) // 2, np.linspace(0.1, 1.0, 38)
    order = np.random.default_rng(seed).permutation(38)
    one = fit(logits, positive, pi=pi, groups=groups)
    other = fit(logits[order], positive[order], pi=pi[order], groups=groups[order])
    if isinstance(one, Unfit):
        assert other == one
    else:
        assert isinstance(other, Platt)
        assert (other.slope, other.bias) == pytest.approx((one.slope, one.bias), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(prevalence=st.floats(1e-6, 1 - 1e-6))
def test_another_prevalence_is_a_logit_offset(prevalence: float) -> None:
    even = Platt(slope=1.23456, bias=0.5, worth=(3.0, 3.0))
    moved = even.at(prevalence)
    assert moved.slope == 1.235
    assert moved.bias == pytest.approx(0.5 + np.log(prevalence / (1 - prevalence)), abs=5e-4)


def test_prevalence_comes_from_the_sample_unless_somebody_says_it() -> None:
    logits, positive = world(2, 30, 300)
    pi = np.where(positive, 1.0, 0.1)
    drawn = calibrate(logits, positive, pi=pi)
    assert isinstance(drawn, Fitted)
    assert drawn.prevalence == pytest.approx(30 / 3030, rel=1e-2)
    stated = calibrate(logits, positive, pi=pi, prevalence=0.2)
    assert isinstance(stated, Fitted)
    assert (stated.prevalence, stated.slope) == (0.2, drawn.slope)
    assert stated.logits([1.0, 2.0]).tolist() == pytest.approx(
        [stated.slope + stated.bias, 2 * stated.slope + stated.bias]
    )


def test_what_is_uploaded_often_weighs_as_often() -> None:
    logits, positive = world(9, 20, 200)
    times = np.random.default_rng(9).integers(1, 9, 220)
    pi = np.where(positive, 0.9, 0.2)
    each = np.repeat(np.arange(220), times)
    counted = calibrate(logits, positive, pi=pi, uploads=times)
    repeated = calibrate(logits[each], positive[each], pi=pi[each], groups=each)
    assert isinstance(counted, Fitted)
    assert isinstance(repeated, Fitted)
    assert counted == repeated
    assert counted.prevalence != calibrate(logits, positive, pi=pi).prevalence
    with pytest.raises(DesignError, match="never uploaded"):
        fit(logits, positive, uploads=times - 1)


def test_prevalence_is_asked_for_where_labels_cannot_say_it() -> None:
    logits, positive = world(3, 30, 300)
    hand_picked = calibrate(logits, positive)
    assert why(hand_picked) is Why.PREVALENCE_NEEDED
    assert isinstance(hand_picked, Unfit)
    assert "--prevalence" in hand_picked.sentence
    few = np.r_[logits[:2], logits[30:]], np.r_[positive[:2], positive[30:]]
    assert why(calibrate(*few, pi=np.full(302, 0.5))) is Why.PREVALENCE_NEEDED
    # Five pictures of one drawing are one.
    groups = np.r_[np.zeros(30, int), np.arange(1, 301)]
    assert why(calibrate(logits, positive, pi=np.full(330, 0.5), groups=groups)) is Why.PREVALENCE_NEEDED
    assert isinstance(calibrate(*few, pi=np.full(302, 0.5), prevalence=0.01), Fitted)


def test_there_is_none_where_labels_or_scores_say_nothing() -> None:
    logits, positive = world(4, 10, 10)
    assert why(fit(logits, np.zeros(20, bool))) is Why.NO_POSITIVES
    assert why(fit([], [])) is Why.NO_POSITIVES
    assert why(fit(logits, np.ones(20, bool))) is Why.NO_NEGATIVES
    assert why(fit(np.ones(20), positive)) is Why.ONE_SCORE
    reversed_ = fit(-logits, positive)
    assert why(reversed_) is Why.WRONG_WAY_ROUND
    assert isinstance(reversed_, Unfit)
    assert "wrong way round" in reversed_.sentence
    assert why(calibrate([1e-9, 0.0], [True, False], prevalence=0.01)) is Why.OFF_THE_SCALE


def test_pictures_without_a_score_are_left_out() -> None:
    logits, positive = world(8, 20, 20)
    with_unscored = fit(np.r_[logits, -np.inf, np.nan], np.r_[positive, True, False])
    assert with_unscored == fit(logits, positive)
    assert why(fit([-np.inf, 1.0, 2.0], [True, False, False])) is Why.NO_POSITIVES


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_prevalence_is_a_share(prevalence: float) -> None:
    with pytest.raises(DesignError, match=r"such as 0\.002"):
        calibrate(*world(3, 5, 5), prevalence=prevalence)


def test_columns_are_as_long_as_each_other_and_chances_are_chances() -> None:
    with pytest.raises(DesignError, match="differ in length"):
        fit([1.0, 2.0], [True])
    with pytest.raises(DesignError, match="at most 1"):
        fit([1.0, 2.0], [True, False], pi=[0.5, 0.0])
