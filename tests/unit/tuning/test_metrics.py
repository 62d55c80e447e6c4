import numpy as np
import pytest

from clipwarden.tuning.metrics import (
    auroc,
    auroc_interval,
    balanced_weights,
    calibration_error,
    clopper_pearson,
    ranks_of_truth,
    recall_at,
    wilson,
)


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(3)


def test_auroc_of_nothing_is_no_number() -> None:
    assert np.isnan(auroc(np.array([]), np.array([1.0])))


def test_bootstrap_by_family_is_wider_than_by_drawing(chance: np.random.Generator) -> None:
    families = np.repeat(np.arange(8), 6)
    positives = chance.normal(1.0, 1.0, 8)[families] + chance.normal(0, 0.1, 48)
    negatives = chance.normal(0.0, 1.0, 500)
    together = auroc_interval(positives, [str(f) for f in families], negatives)
    apart = auroc_interval(positives, [str(i) for i in range(48)], negatives)
    assert together.value == apart.value
    assert together.high - together.low > apart.high - apart.low


def test_bootstrap_bounds_hold_95_percent() -> None:
    # 400 positives, half of them above every negative: shares of 1 spread by 0.5 / sqrt(400) about one half.
    positives = np.repeat([2.0, 0.0], 200)
    interval = auroc_interval(positives, [str(i) for i in range(400)], np.array([1.0]))
    reach = 1.96 * 0.5 / np.sqrt(400)
    assert (interval.low, interval.value, interval.high) == pytest.approx((0.5 - reach, 0.5, 0.5 + reach), abs=0.005)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(0, 10, 0.0, 0.2775), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0)]
)
def test_wilson_bounds_match_published_values(hits: int, total: int, low: float, high: float) -> None:
    interval = wilson(hits, total)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("hits", "total", "confidence", "low", "high"),
    [
        (0, 10, 0.95, 0.0, 0.30850),
        (8, 10, 0.95, 0.44390, 0.97479),
        (10, 10, 0.95, 0.69150, 1.0),
        (15, 1694, 0.9, 0.0054660, 0.0136021),
        (3, 25_000, 0.9, 0.0000327, 0.0003101),
    ],
)
def test_exact_bounds_match_the_quantiles_of_beta(
    hits: int, total: int, confidence: float, low: float, high: float
) -> None:
    interval = clopper_pearson(hits, total, confidence=confidence)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-5, rel=1e-3)


def test_exact_bounds_of_no_trials_know_nothing() -> None:
    assert (clopper_pearson(0, 0).low, clopper_pearson(0, 0).high) == (0.0, 1.0)


def test_wilson_of_no_trials_knows_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_ties_count_against_the_truth() -> None:
    scores = np.array([[1.0, 1.0], [0.0, 2.0]], np.float32)
    ranks = ranks_of_truth(scores)
    assert ranks.tolist() == [1, 0]
    assert (recall_at(ranks, 1), recall_at(ranks, 2)) == (0.5, 1.0)


def test_answering_zero_is_not_calibrated_when_classes_are_balanced() -> None:
    labels = np.array([True] * 2 + [False] * 98)
    weights = balanced_weights(labels)
    assert calibration_error(np.zeros(100), labels, weights) == pytest.approx(0.5)
    assert calibration_error(labels.astype(float), labels, weights) == pytest.approx(0.0)
