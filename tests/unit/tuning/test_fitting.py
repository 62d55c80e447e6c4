import numpy as np
import pytest

from clipwarden.tuning.fitting import Labelled, bias_at, fit_platt, threshold_for


def test_platt_recovers_a_shared_slope_and_each_bias() -> None:
    chance = np.random.default_rng(5)
    data = []
    for shift in (0.0, 3.0):
        positive = np.arange(8000) % 2 == 0
        # Two unit normals d apart: the log odds are d*m - d*d/2 - d*shift.
        margin = chance.normal(np.where(positive, 2.0, 0.0) + shift, 1.0)
        data.append(Labelled(margins=margin, positive=positive))
    fit = fit_platt(data)
    assert fit.slope == pytest.approx(2.0, rel=0.1)
    assert fit.biases == pytest.approx((-2.0, -8.0), rel=0.12)


def test_a_bias_moves_with_the_log_odds_of_prevalence() -> None:
    assert bias_at(1.0, 0.5) == pytest.approx(1.0)
    assert bias_at(0.0, 0.01) == pytest.approx(np.log(0.01 / 0.99))


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.015, 0.5])
def test_a_threshold_is_the_least_that_lets_no_more_negatives_pass_than_asked(rate: float) -> None:
    negatives = np.random.default_rng(1).uniform(0.0, 0.9, 1000)
    threshold = threshold_for(negatives, rate)
    assert (negatives >= threshold).mean() <= rate
    assert (negatives >= threshold - 0.001).mean() > rate
    assert threshold == round(threshold, 3)


def test_a_threshold_of_small_scores_is_rounded_where_asked() -> None:
    scores = np.array([0.00411, 0.00412, 0.00413])
    assert threshold_for(scores, 0.4, decimals=5) == 0.00413
    assert threshold_for(scores, 0.4) == 0.005
    assert threshold_for(np.ones(3), 0.0, decimals=4) == 0.9999
