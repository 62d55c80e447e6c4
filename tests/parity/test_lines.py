"""Lines are those of MAPIE's fixed sequence testing, and of a search through all thresholds with scipy's exact test."""

import warnings

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController
from mapie.risk_control.fwer_control import FWERFixedSequenceTesting
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from clipwarden.tuning.lines.promises import Line, NotMet
from clipwarden.tuning.lines.recall import line_for_recall
from clipwarden.tuning.lines.strictness import line_for_fpr
from clipwarden.tuning.lines.walk import Walk, from_the_top, standing

Floats = NDArray[np.float64]
Harmful = NDArray[np.bool_]


def world(seed: int, *, ties: bool) -> tuple[Floats, Harmful]:
    chance = np.random.default_rng(seed)
    harmful = chance.random(900) < 0.15
    score = 1.0 / (1.0 + np.exp(-(chance.normal(size=900) + 2.0 * harmful - 2.0)))
    return (np.round(score, 2) if ties else score), harmful


def controlled(scores: Floats, harmful: Harmful, risk: str, level: float, steps: Floats) -> tuple[int, Floats]:
    """How many steps of a sequence that was fixed beforehand MAPIE controls, and its p-values."""
    controller = BinaryClassificationController(
        lambda x: np.stack([1.0 - x, x], axis=1),
        risk,
        level,
        confidence_level=0.95,
        list_predict_params=steps,
        fwer_method=FWERFixedSequenceTesting(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns when no threshold is valid
        controller.calibrate(scores, harmful.astype(int))
    valid = np.asarray(controller.valid_predict_params, dtype=np.float64)
    assert valid.tolist() == steps[: len(valid)].tolist()
    return len(valid), np.ravel(controller.p_values)


def agree(ours: int, theirs: tuple[int, Floats], exceptions: NDArray[np.intp], tested: int, limit: float) -> None:
    """Hold our steps against MAPIE's.

    It makes a count of a rate again, and rounds that up: where a float is a hair above the count, it tests with one
    exception more than there is, and stops one step early. Nothing else may set us apart.
    """
    count, p_values = theirs
    assert count <= ours
    if count < ours:
        one_more = binom.cdf(exceptions[count] + 1, tested, limit)
        assert p_values[count] == pytest.approx(one_more, rel=1e-9)
        assert binom.cdf(exceptions[count], tested, limit) <= 0.05 < one_more


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("limit", [0.001, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_a_limit_on_wrong_stops_gives_the_thresholds_that_mapie_controls(
    seed: int, limit: float, *, ties: bool
) -> None:
    scores, harmful = world(seed, ties=ties)
    clean, steps = scores[~harmful], np.unique(scores)[::-1]
    found = line_for_fpr(clean, limit=limit, others=scores[harmful])
    ours = 0 if isinstance(found, NotMet) else int((steps >= found.at).sum())
    alarms = np.array([(clean >= at).sum() for at in steps])
    agree(ours, controlled(scores, harmful, "fpr", limit, steps), alarms, len(clean), limit)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("target", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(4))
def test_a_target_of_recall_gives_the_thresholds_that_mapie_controls(seed: int, target: float, *, ties: bool) -> None:
    scores, harmful = world(seed, ties=ties)
    sought, steps = scores[harmful], np.unique(scores)
    found = line_for_recall(sought, target=target, others=scores[~harmful])
    ours = 0 if isinstance(found, NotMet) else int((steps <= (found.above or 0.0)).sum())
    missed = np.array([(sought < at).sum() for at in steps])
    agree(ours, controlled(scores, harmful, "recall", target, steps), missed, len(sought), 1.0 - target)


@pytest.mark.parametrize("seed", range(4))
def test_wrong_stops_from_the_top_are_what_fixed_sequence_testing_makes_of_mapies_p_values(seed: int) -> None:
    scores, harmful = world(seed, ties=seed % 2 == 1)
    steps = np.unique(scores)[::-1]
    alarms = np.array([((scores >= at) & ~harmful).sum() for at in steps])
    p_values = compute_hoeffding_bentkus_p_value(alarms / len(scores), len(scores), 0.02, binary=True)[:, 0]
    rejected = FWERFixedSequenceTesting().run(p_values, 0.05)
    walk = from_the_top(scores, limit=0.02)
    assert isinstance(walk, Walk)
    end = standing(walk, harmful.astype(np.int8)).line
    agree(int((steps >= end.at).sum()), (len(rejected), p_values), alarms, len(scores), 0.02)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limit", [0.01, 0.05])
def test_a_search_through_all_thresholds_with_exact_tests_finds_the_same_line(seed: int, limit: float) -> None:
    scores, harmful = world(seed, ties=seed % 2 == 0)
    clean = scores[~harmful]
    found = line_for_fpr(clean, limit=limit, others=scores[harmful])
    assert isinstance(found, Line)
    lowest = np.inf
    for at in np.unique(scores)[::-1].tolist():
        if binomtest(int((clean >= at).sum()), len(clean), limit, alternative="less").pvalue > 0.05:
            break
        lowest = at
    assert found.above == lowest
