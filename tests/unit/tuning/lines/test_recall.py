from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.errors import LineError
from clipwarden.tuning.lines.betting import Bet
from clipwarden.tuning.lines.promises import Lacking, Line, NotMet
from clipwarden.tuning.lines.recall import line_for_recall

SCORES = st.lists(st.floats(-5.0, 5.0) | st.sampled_from([0.0, 1.0]), min_size=60, max_size=90).map(np.array)
TARGETS = st.tuples(st.floats(0.3, 0.9), st.floats(0.3, 0.9)).map(sorted)


def line(found: Line | NotMet) -> Line:
    assert isinstance(found, Line)
    return found


@given(scores=SCORES, targets=TARGETS)
def test_lines_fall_as_targets_rise(scores: np.ndarray, targets: list[float]) -> None:
    low, high = [line(line_for_recall(scores, target=target)) for target in targets]
    assert low.at >= high.at
    assert (scores < high.at).sum() == high.promise.seen <= high.promise.allowed


@settings(max_examples=25)
@given(scores=SCORES, targets=TARGETS, seed=st.integers(0, 99))
def test_lines_of_a_sample_fall_as_targets_rise_and_keep_their_lower_limits(
    scores: np.ndarray, targets: list[float], seed: int
) -> None:
    chance = np.random.default_rng(seed)
    pi, group = chance.uniform(0.2, 1.0, len(scores)), chance.integers(0, 50, len(scores))
    found = [line_for_recall(scores, target=target, pi=pi, group=group) for target in targets]
    if isinstance(found[1], NotMet):
        return
    low, high = line(found[0]), line(found[1])
    assert low.at >= high.at
    bet = Bet.of(targets[1], 1.0 / pi, group, np.empty(0))
    assert bet.evidence(scores >= high.at) >= np.log(20.0) - 1e-9
    order = chance.permutation(len(scores))
    again = line_for_recall(scores[order], target=targets[1], pi=pi[order], group=group[order])
    assert line(again).at == high.at


def test_the_fewest_harmful_pictures_are_said() -> None:
    for target, needed in ((0.8, 14), (0.9, 29), (0.95, 59)):
        missing = line_for_recall(np.arange(10.0), target=target)
        assert isinstance(missing, NotMet)
        assert (missing.lacking, missing.have, missing.need) == (Lacking.HARMFUL, 10, needed)
        assert line(line_for_recall(np.arange(needed), target=target)).above == 0.0
    assert missing.sentence == (
        "no line can promise that at least 95 % of harmful pictures are found, with 95 % confidence: it takes 59"
        " harmful pictures with a label, there are 10, so 49 are missing"
    )


@pytest.mark.parametrize("count", [0, 1, 2, 10])
def test_of_a_sample_about_as_many_are_said_to_be_missing_as_are(count: int) -> None:
    missing = line_for_recall(np.arange(float(count)), target=0.8, pi=np.full(count, 0.5))
    assert isinstance(missing, NotMet)
    assert missing.have == count
    need = missing.need
    assert line(line_for_recall(np.arange(float(need)), target=0.8, pi=np.full(need, 0.5))).above == 0.0
    assert isinstance(line_for_recall(np.arange(need - 2.0), target=0.8, pi=np.full(need - 2, 0.5)), NotMet)


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), target=st.floats(0.1, 0.9))
def test_the_bet_gains_nothing_in_the_mean_where_exactly_the_target_is_found(seed: int, target: float) -> None:
    chance = np.random.default_rng(seed)
    pi, found = chance.uniform(0.1, 1.0, 8), chance.random(8) < target
    target = float(found.mean()) if 0 < found.sum() < len(found) else target
    mean = 0.0
    for drawn in product([False, True], repeat=8):
        rows = np.array(drawn)
        bet = Bet.of(target, 1.0 / pi[rows], np.flatnonzero(rows), 1.0 / pi)
        mean += np.prod(np.where(rows, pi, 1.0 - pi)) * np.exp(bet.evidence(found[rows]))
    assert mean <= 1.0 + 1e-9 or found.mean() > target


def test_heavier_labels_elsewhere_take_more_labels_and_the_sentence_says_where_from() -> None:
    scores, pi = np.arange(40.0), np.full(40, 0.5)
    assert isinstance(line_for_recall(scores, target=0.8, pi=pi, others=[-1.0], others_weight=[2.0]), Line)
    missing = line_for_recall(scores, target=0.8, pi=pi, others=[-1.0], others_weight=[20.0])
    assert isinstance(missing, NotMet)
    assert missing.need == pytest.approx(10 * np.log(40.0) * 4, rel=0.05)
    assert missing.sentence.endswith("`clipwarden sample --uniform-share 80%`, needs fewer labels for this")
    with pytest.raises(LineError, match="give one a score with pi"):
        line_for_recall(scores, target=0.8, pi=pi, others=[-1.0])


def test_near_duplicates_count_once() -> None:
    scores, group = np.arange(60.0), np.arange(60) // 10
    missing = line_for_recall(scores, target=0.8, group=group, u=np.linspace(0.0, 0.9, 60))
    assert isinstance(missing, NotMet)
    assert missing.have == 6
    weighted = line_for_recall(scores, target=0.8, pi=np.full(60, 0.5), group=group)
    assert isinstance(weighted, NotMet)
    assert weighted.need > 140


def test_the_line_lies_between_the_last_one_found_and_the_next_score_below() -> None:
    scores = np.arange(14.0)
    found = line(line_for_recall(scores, target=0.8, others=[-3.0, -1.0]))
    assert (found.below, found.at, found.above) == (-1.0, -0.5, 0.0)
    assert line(line_for_recall(scores, target=0.8)).at == 0.0
    assert found.promise.sentence == (
        "at least 80 % of harmful pictures are found, with 95 % confidence (14 of 14 here)"
    )


def test_what_no_line_can_be_chosen_on_is_refused_in_words() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(LineError, match="no finite numbers"):
            line_for_recall([0.0, bad], target=0.5)
    for target in (0.0, 1.0, 80.0):
        with pytest.raises(LineError, match="write a share between 0 and 1"):
            line_for_recall([0.0], target=target)
    with pytest.raises(LineError, match="write a share between 0 and 1"):
        line_for_recall([0.0], target=0.5, pi=[0.5], delta=1.0)


def test_harmless_labels_below_the_line_tell_what_a_miss_would_weigh() -> None:
    # All thirty harmful ones drawn were likely to be drawn; a miss would have weighed as much as fifty of them.
    harmful, some = np.linspace(2.0, 3.0, 30), {"pi": np.ones(30), "target": 0.8}
    others = np.linspace(-3.0, 0.0, 300)
    assert isinstance(line_for_recall(harmful, others=others, others_weight=np.ones(300), **some), Line)
    assert isinstance(line_for_recall(harmful, others=others, others_weight=np.full(300, 50.0), **some), NotMet)
