"""Metrics give scikit-learn's numbers."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from clipwarden.tuning.metrics import auroc, balanced_weights, brier_skill


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(3)


def test_auroc_agrees_with_scikit_learn_ties_included(chance: np.random.Generator) -> None:
    positives, negatives = chance.integers(0, 9, 40) / 4, chance.integers(-3, 7, 300) / 4
    labels = np.r_[np.ones(40), np.zeros(300)]
    expected = roc_auc_score(labels, np.r_[positives, negatives])
    assert auroc(positives, negatives) == pytest.approx(expected, abs=1e-12)


def test_brier_skill_agrees_with_scikit_learn(chance: np.random.Generator) -> None:
    labels, probability = chance.random(200) < 0.3, chance.random(200)
    weights = balanced_weights(labels)
    score = brier_score_loss(labels, probability, sample_weight=weights)
    assert brier_skill(probability, labels, weights) == pytest.approx(1 - score / 0.25)
