import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.errors import LineError
from clipwarden.tuning.lines.promises import Lacking, NotMet
from clipwarden.tuning.lines.strictness import line_for_fpr
from clipwarden.tuning.lines.walk import Standing, Walk, from_the_top, standing

UNSURE, NO_LABEL = -1, -2


def walk_of(scores: np.ndarray, limit: float = 0.1, **more: object) -> Walk:
    walk = from_the_top(scores, limit=limit, **more)
    assert isinstance(walk, Walk)
    return walk


def finish(walk: Walk, truth: np.ndarray) -> tuple[Standing, int]:
    """Label whatever is asked for until nothing is; how many labels that took."""
    labels = np.full(len(truth), NO_LABEL, np.int8)
    while not (now := standing(walk, labels)).ended:
        labels[now.next] = truth[now.next]
    return now, int((labels != NO_LABEL).sum())


WORLDS = st.tuples(
    st.lists(st.floats(-5.0, 5.0) | st.sampled_from([0.0, 1.0]), min_size=60, max_size=90).map(np.array),
    st.integers(0, 2**16),
    st.floats(0.0, 1.0),
)


def truth_of(scores: np.ndarray, seed: int, prevalence: float) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(scores)) < prevalence).astype(np.int8)


@given(world=WORLDS)
def test_a_walk_asks_for_no_label_too_many_and_ends_where_all_labels_would_have_put_the_line(world: tuple) -> None:
    scores, truth = world[0], truth_of(*world)
    walk = walk_of(scores)
    end, spent = finish(walk, truth)
    assert end.line == standing(walk, truth).line
    assert spent == end.labelled == end.found + end.false_alarms
    assert end.false_alarms <= walk.allowed + 1
    wrong = (scores >= end.line.at) & (truth == 0)
    assert wrong.sum() == end.line.promise.seen <= walk.allowed


@given(world=WORLDS, rest=st.integers(0, 90))
def test_a_walk_that_rests_is_taken_up_where_it_was_and_its_line_meanwhile_is_never_too_low(
    world: tuple, rest: int
) -> None:
    scores, truth = world[0], truth_of(*world)
    walk = walk_of(scores)
    labels = np.full(len(truth), NO_LABEL, np.int8)
    labels[walk.rows[:rest]] = truth[walk.rows[:rest]]
    now, end = standing(walk_of(scores), labels), standing(walk, truth)
    assert now.line.at >= end.line.at
    assert now.labelled <= end.labelled
    assert set(now.next.tolist()) <= set(walk.rows[: end.labelled].tolist()) or now.ended
    labels[walk.rows[now.labelled :]] = truth[walk.rows[now.labelled :]]
    assert standing(walk, labels).line == end.line


def test_labels_beyond_a_gap_wait_for_it_and_are_not_asked_for_again() -> None:
    scores = np.arange(100.0)[::-1]
    walk = walk_of(scores)  # four false alarms are allowed
    assert walk.allowed == 4
    labels = np.full(100, NO_LABEL, np.int8)
    labels[[0, 2]] = [1, 0]
    now = standing(walk, labels)
    assert (now.labelled, now.found, now.false_alarms) == (1, 1, 0)
    assert now.next.tolist() == [1, 3, 4, 5]  # and 2: five false alarms at the soonest
    assert now.line.below == 98.0


def test_whoever_is_unsure_counts_as_a_false_alarm() -> None:
    scores = np.arange(100.0)[::-1]
    truth = np.ones(100, np.int8)
    truth[:5] = UNSURE
    end, spent = finish(walk_of(scores), truth)
    assert (spent, end.false_alarms, end.found) == (5, 5, 0)
    assert end.line.below == scores[4]


def test_where_nearly_all_is_harmful_the_line_stops_everything_that_was_seen() -> None:
    scores = np.arange(100.0)
    end, spent = finish(walk_of(scores), np.ones(100, np.int8))
    assert spent == 100
    assert (end.line.at, end.line.below) == (0.0, None)


@given(world=WORLDS, seed=st.integers(0, 9))
def test_the_order_of_uploads_changes_no_walk(world: tuple, seed: int) -> None:
    scores, truth = world[0], truth_of(*world)
    chance = np.random.default_rng(seed)
    order, u = chance.permutation(len(scores)), chance.random(len(scores))
    group = chance.integers(0, 55, len(scores))
    here = from_the_top(scores, limit=0.2, group=group, u=u)
    there = from_the_top(scores[order], limit=0.2, group=group[order], u=u[order])
    assert isinstance(here, Walk)
    assert isinstance(there, Walk)
    assert here.rows.tolist() == order[there.rows].tolist()
    assert standing(here, truth).line == standing(there, truth[order]).line


def test_a_walk_from_the_top_promises_less_than_labels_of_all_and_is_no_stricter() -> None:
    chance = np.random.default_rng(3)
    truth = (chance.random(3000) < 0.02).astype(np.int8)
    scores = chance.normal(size=3000) + 2.0 * truth
    end, spent = finish(walk_of(scores, 0.005), truth)
    assert spent < 60
    labelled = line_for_fpr(scores[truth == 0], limit=0.005)
    assert end.line.below == labelled.below
    assert end.line.promise.sentence == (
        "at most 0.5 % of uploads are harmless and stopped, with 95 % confidence (8 of 3,000 here)"
    )


def test_too_few_uploads_are_said_in_numbers() -> None:
    missing = from_the_top(np.zeros(1000), limit=0.001)
    assert isinstance(missing, NotMet)
    assert (missing.lacking, missing.missing) == (Lacking.UPLOADS, 1995)
    with pytest.raises(LineError, match="no finite numbers"):
        from_the_top([0.0, np.inf], limit=0.1)
