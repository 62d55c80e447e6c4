"""Held-out figures of a calibration: by whole groups, in any order, and honest where there is too little."""

import numpy as np
import pytest

from clipwarden.tuning.calibration import Cases, Unfit
from clipwarden.tuning.quality import Quality, deal, quality, quality_of


def world(seed: int, harmful: int, harmless: int, apart: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    positive = np.arange(harmful + harmless) < harmful
    return chance.normal(np.where(positive, apart, 0.0), 1.0) * 3.0 - 5.0, positive


def judged(*args: object, **kwargs: object) -> Quality:
    found = quality(*args, **kwargs)
    assert isinstance(found, Quality)
    return found


def test_a_right_calibration_has_slope_1_and_intercept_0_and_says_more_than_the_constant() -> None:
    found = judged(*world(1, 3000, 3000), prevalence=0.02)
    assert found.slope is not None
    assert found.slope.low < 1.0 < found.slope.high
    assert found.slope.value == pytest.approx(1.0, abs=0.1)
    assert found.intercept.value == pytest.approx(0.0, abs=0.05)
    assert 0.0 < found.skill.low < found.skill.value < found.skill.high < 1.0
    assert (found.folds, found.labels, found.positives, found.groups) == (5, 6000, 3000, 6000)


def test_scores_that_say_nothing_have_no_skill() -> None:
    found = judged(*world(3, 500, 500, apart=0.02), prevalence=0.1)
    assert found.skill.value == pytest.approx(0.0, abs=0.02)
    assert found.skill.low < 0.0


def test_copies_of_a_drawing_are_never_on_both_sides() -> None:
    logits, positive = world(4, 8, 40)
    copied = np.repeat(np.arange(48), 6)
    alone = judged(logits, positive, prevalence=0.02)
    grouped = judged(logits[copied], positive[copied], groups=copied, prevalence=0.02)
    assert grouped.groups == alone.groups
    assert grouped.skill.value == pytest.approx(alone.skill.value, abs=0.02)  # dealt otherwise
    ungrouped = judged(logits[copied], positive[copied], prevalence=0.02)
    assert ungrouped.skill.high - ungrouped.skill.low < (grouped.skill.high - grouped.skill.low) / 2
    parts = deal(Cases.of(logits[copied], positive[copied], None, copied), 5, 7)
    assert all(len(set(parts[copied == group])) == 1 for group in range(48))
    assert all(positive[copied][parts == part].any() and not positive[copied][parts == part].all() for part in range(5))


def test_the_order_of_pictures_moves_nothing() -> None:
    logits, positive = world(5, 20, 60)
    groups, order = np.arange(80) // 2, np.random.default_rng(1).permutation(80)
    one = judged(logits, positive, groups=groups, prevalence=0.02)
    other = judged(logits[order], positive[order], groups=groups[order] + 7, prevalence=0.02)
    assert one.slope is not None
    assert other.slope is not None
    assert other.skill.value == pytest.approx(one.skill.value)
    assert (other.slope.low, other.slope.high) == pytest.approx((one.slope.low, one.slope.high))


def test_one_drawing_of_the_harm_is_judged_on_what_it_was_fitted_on_and_says_so() -> None:
    logits, positive = world(6, 5, 50)
    found = judged(logits, positive, groups=np.r_[np.zeros(5, int), np.arange(1, 51)], prevalence=0.02)
    assert found.folds == 1
    assert (found.skill.low, found.intercept.high) == (-np.inf, np.inf)


def test_classes_that_a_limit_parts_have_no_slope_and_finite_figures() -> None:
    logits = np.r_[np.linspace(5, 6, 12), np.linspace(0, 1, 30)]
    found = judged(logits, np.arange(42) < 12, prevalence=0.01)
    assert found.slope is None
    assert np.isfinite([found.skill.value, found.skill.low, found.intercept.value, found.intercept.high]).all()


def test_there_is_none_without_a_fit() -> None:
    assert isinstance(quality([1.0, 2.0], [True, True], prevalence=0.1), Unfit)


def test_a_calibration_from_elsewhere_is_judged_as_it_is() -> None:
    logits, positive = world(7, 3000, 3000)
    right = 2.0 * (logits + 5.0) / 3.0 - 2.0 + np.log(0.02 / 0.98)

    def seen(calibrated: np.ndarray) -> Quality:
        found = quality_of(calibrated, positive, prevalence=0.02)
        assert isinstance(found, Quality)
        return found

    assert seen(right).slope is not None
    assert seen(right).slope.value == pytest.approx(1.0, abs=0.1)
    assert seen(right).intercept.value == pytest.approx(0.0, abs=0.1)
    assert seen(right).folds == 0
    assert seen(2.0 * right).slope.value == pytest.approx(0.5, abs=0.05)  # too sure of itself
    assert seen(right + 1.5).intercept.value == pytest.approx(-1.5, abs=0.1)  # says too much
    assert seen(right + 1.5).skill.value < seen(right).skill.value
    assert isinstance(quality_of(right, np.zeros(6000, bool), prevalence=0.02), Unfit)


def test_intervals_cover_what_a_right_calibration_is() -> None:
    # 200 worlds of 40 and 400: slopes of held-out scores lie around 1, a little above since targets are smoothed.
    slopes = [judged(*world(seed, 40, 400), prevalence=0.02).slope for seed in range(200)]
    covered = [each.low <= 1.0 <= each.high for each in slopes if each]
    assert len(covered) == 200
    assert np.mean(covered) >= 0.93
