"""Fits are scikit-learn's: the penalised regression on smoothed targets, and Platt's method where classes are even."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from clipwarden.tuning.calibration import Cases, Platt, fit
from clipwarden.tuning.fitting import bias_at
from clipwarden.tuning.quality import deal, quality


def world(seed: int, harmful: int, harmless: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    positive = np.arange(harmful + harmless) < harmful
    return chance.normal(np.where(positive, 1.5, 0.0), 1.0) * 4.0 + 20.0, positive


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_is_a_penalised_logistic_regression_on_smoothed_targets(seed: int) -> None:
    logits, positive = world(seed, 12, 150)
    pi = np.random.default_rng(seed).uniform(0.05, 1.0, len(logits))
    found = fit(logits, positive, pi=pi)
    assert isinstance(found, Platt)
    weight = np.empty(len(logits))
    for own in (positive, ~positive):
        weight[own] = 0.5 / pi[own] / (1.0 / pi[own]).sum()
    many, few = (sum(1 / pi[own]) ** 2 / sum(1 / pi[own] ** 2) for own in (positive, ~positive))
    target = np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))
    x = (logits - logits.mean()) / logits.std()
    reference = LogisticRegression(C=1e4, tol=1e-12, max_iter=10_000)
    # A target between 0 and 1 is both labels, each with its share of the weight.
    reference.fit(
        np.r_[x, x][:, None], np.r_[np.ones(len(x)), np.zeros(len(x))], np.r_[weight * target, weight * (1 - target)]
    )
    slope = reference.coef_[0, 0] / logits.std()
    assert found.slope == pytest.approx(slope, rel=1e-4)
    assert found.bias == pytest.approx(reference.intercept_[0] - slope * logits.mean(), rel=1e-4)


class Scores(ClassifierMixin, BaseEstimator):
    """A classifier whose decision is the score that it is given."""

    classes_ = np.array([0, 1])

    def fit(self, *_: np.ndarray) -> "Scores":
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, x: np.ndarray) -> np.ndarray:
        return (x[:, 0] > 20.0).astype(int)

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x[:, 0]


def test_even_classes_get_what_calibrated_classifier_gives() -> None:
    logits, positive = world(9, 300, 300)
    found = fit(logits, positive)
    assert isinstance(found, Platt)
    reference = CalibratedClassifierCV(FrozenEstimator(Scores()), method="sigmoid", cv=2)
    reference.fit(logits[:, None], positive.astype(int))
    assert len(reference.calibrated_classifiers_) == 1  # the scores are given: one fit on all
    expected = reference.predict_proba(logits[:, None])[:, 1]
    ours = 1.0 / (1.0 + np.exp(-(found.slope * logits + found.bias)))
    assert np.abs(ours - expected).max() < 0.001


def test_skill_is_from_scikit_learns_log_loss() -> None:
    logits, positive = world(3, 40, 200)
    cases = Cases.of(logits, positive, None, None)
    parts, p = deal(cases, 5, 7), 0.02
    guess = np.empty(len(logits))
    for part in range(5):
        found = fit(logits[parts != part], positive[parts != part])
        assert isinstance(found, Platt)
        guess[parts == part] = found.slope * logits[parts == part] + bias_at(found.bias, p)
    weight = np.where(positive, p / positive.sum(), (1 - p) / (~positive).sum())
    loss = log_loss(positive, 1 / (1 + np.exp(-guess)), sample_weight=weight)
    constant = log_loss(positive, np.full(len(logits), p), sample_weight=weight)
    whole = quality(logits, positive, prevalence=p)
    assert whole.skill.value == pytest.approx(1 - loss / constant, rel=1e-6)  # type: ignore[union-attr]  # it is fitted
