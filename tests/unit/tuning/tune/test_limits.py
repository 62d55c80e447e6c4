"""Limits that are asked for: stricter targets never give looser ones, and what stands in the way is said."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.errors import LabelError, LineError
from clipwarden.tuning.labels.model import Design, Mark
from clipwarden.tuning.tune.cases import Cases, LeftOut, Walked
from clipwarden.tuning.tune.deciding import decide, labels_to_halve, one_class
from clipwarden.tuning.tune.limits import block_limit, review_limit
from clipwarden.tuning.tune.targets import Targets
from kit.stores import digest_of


def cases(scores: Any, positive: Any, *, design: Design = Design.SET, **columns: Any) -> Cases:  # noqa: ANN401
    """Make labelled pictures up; all distinct unless told otherwise."""
    values, harmful = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    count = len(values)
    made: Mapping[str, Any] = {
        "category": "red",
        "design": design,
        "sha256": tuple(digest_of(number) for number in range(count)),
        "picture": np.arange(count),
        "scores": values,
        "positive": harmful,
        "pi": None,
        "group": np.arange(count),
        "u": np.random.default_rng(5).random(count),
        "uploads": np.ones(count, np.int64),
    }
    return Cases(**{**made, **columns})


@st.composite
def labelled(draw: st.DrawFn) -> Cases:
    """Draw scores with ties, of both classes."""
    clean = draw(st.lists(st.integers(-20, 20), min_size=1, max_size=80))
    harmful = draw(st.lists(st.integers(-10, 30), min_size=1, max_size=40))
    groups = draw(st.integers(1, len(clean) + len(harmful)))
    scores = [*clean, *harmful]
    return cases(
        np.array(scores) / 3.0, [False] * len(clean) + [True] * len(harmful), group=np.arange(len(scores)) % groups
    )


def at(placed: Any) -> float | None:  # noqa: ANN401
    return None if placed is None or placed.edge is None else placed.edge.at


@given(labelled(), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_a_stricter_share_of_wrong_stops_never_gives_a_lower_limit(found: Cases, one: float, other: float) -> None:
    strict, lenient = sorted((one, other))
    high, low = (at(block_limit(found, Targets(block_fpr=share), 0.2)) for share in (strict, lenient))
    assert low is not None or high is None
    assert high is None or low is None or high >= low


@given(labelled(), st.floats(0.05, 0.9), st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_more_confidence_never_gives_a_lower_limit(found: Cases, share: float, one: float, other: float) -> None:
    strict, lenient = sorted((one, other))
    high, low = (at(block_limit(found, Targets(block_fpr=share), delta)) for delta in (strict, lenient))
    assert low is not None or high is None
    assert high is None or low is None or high >= low


@given(labelled(), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_more_recall_never_gives_a_higher_limit(found: Cases, one: float, other: float) -> None:
    lenient, strict = sorted((one, other))
    low, high = (at(review_limit(found, Targets(review_recall=share), 0.2)) for share in (strict, lenient))
    assert high is not None or low is None
    assert high is None or low is None or high >= low


@given(labelled(), st.integers(0, 20))
def test_a_counted_limit_lets_no_more_pass_ties_or_not(found: Cases, wrong: int) -> None:
    clean = found.scores[~found.positive]
    if wrong >= len(clean):
        with pytest.raises(LineError, match="allows all"):
            block_limit(found, Targets(block_wrong=wrong), 0.05)
        return
    line = at(block_limit(found, Targets(block_wrong=wrong), 0.05))
    assert line is not None
    assert (clean >= line).sum() <= wrong
    lower = found.scores[found.scores < line]
    assert (clean >= lower.max()).sum() > wrong  # so that no lower one would do


def test_perfect_separation_is_finite() -> None:
    found = cases([*range(-400, 0), *range(100, 140)], [False] * 400 + [True] * 40)
    line = at(block_limit(found, Targets(block_fpr=0.01), 0.05))
    assert line is not None
    assert np.isfinite(line)
    assert line < 100
    assert at(review_limit(found, Targets(review_recall=0.9), 0.05)) == (-1 + 100) / 2


def test_the_order_of_pictures_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    scores, positive = rng.normal(size=500), rng.random(500) < 0.1
    pi, u = np.clip(rng.random(500), 0.05, 1.0), rng.random(500)
    order = rng.permutation(500)
    one = cases(scores, positive, design=Design.SAMPLE, pi=pi, u=u)
    names = tuple(one.sha256[place] for place in order.tolist())
    other = cases(scores[order], positive[order], design=Design.SAMPLE, pi=pi[order], u=u[order], sha256=names)
    for targets in (Targets(block_fpr=0.1), Targets(block_wrong=2)):
        assert at(block_limit(one, targets, 0.05)) == at(block_limit(other, targets, 0.05))
    assert at(review_limit(one, Targets(review_recall=0.3), 0.05)) == at(
        review_limit(other, Targets(review_recall=0.3), 0.05)
    )


def test_a_sample_that_was_drawn_for_the_category_is_weighed_and_any_other_thinned() -> None:
    rng = np.random.default_rng(2)
    scores = np.sort(rng.normal(size=1000))
    rising = np.linspace(0.1, 1.0, 1000)
    drawn = cases(scores, [False] * 990 + [True] * 10, design=Design.SAMPLE, pi=rising)
    other = cases(scores, [False] * 990 + [True] * 10, design=Design.SAMPLE, pi=rising[::-1])
    assert drawn.drawn_for_it
    assert not other.drawn_for_it
    weighed = block_limit(drawn, Targets(block_fpr=0.05), 0.05)
    thinned = block_limit(other, Targets(block_fpr=0.05), 0.05)
    assert weighed is not None
    assert thinned is not None
    assert weighed.promised
    assert at(weighed) is not None
    assert other.drawn_alike.sum() < 400
    alike = other.pi[other.drawn_alike] if other.pi is not None else np.empty(0)
    assert len(alike)


def test_labels_of_a_walk_promise_wrong_stops_and_nothing_else() -> None:
    scores = np.linspace(0.0, 1.0, 1000)
    marks = np.full(1000, int(Mark.UNKNOWN), np.int8)
    marks[-40:] = np.where(np.arange(40) % 2, int(Mark.POSITIVE), int(Mark.NEGATIVE))
    walked = Walked(scores=scores, marks=marks, u=np.random.default_rng(3).random(1000), sha256=())
    found = cases(scores[-40:], marks[-40:] == Mark.POSITIVE, design=Design.TOP, walked=walked)
    placed = block_limit(found, Targets(wrong_stops=0.01), 0.05)
    assert placed is not None
    assert placed.promised
    line = at(placed)
    assert line is not None
    assert ((scores >= line) & (marks != Mark.POSITIVE)).sum() <= 5
    for targets in (Targets(block_fpr=0.01), Targets(block_wrong=1)):
        with pytest.raises(LabelError, match="labels from the top"):
            block_limit(found, targets, 0.05)
    with pytest.raises(LabelError, match="labels from the top"):
        review_limit(found, Targets(review_recall=0.5), 0.05)


def test_targets_are_read_as_they_were_written() -> None:
    targets = Targets(block_fpr=0.001, review_capacity=200.0, daily_volume=50_000.0, confidence=0.9, policy_wide=True)
    assert Targets.read(targets.options) == targets
    assert Targets.read(Targets().options) == Targets()
    counted = Targets.read(("block-wrong 3",))
    assert (counted.block_wrong, type(counted.block_wrong)) == (3, int)
    for wrong in (("block-frp 0.1",), ("block-fpr much",)):
        with pytest.raises(LineError, match="give the targets as options"):
            Targets.read(wrong)
    with pytest.raises(LineError, match="give one of them"):
        Targets(review_recall=0.5, review_wrong=1)


def test_labels_of_one_class_decide_nothing() -> None:
    assert one_class(cases([], [])) == "No picture has a label for red: label some that are, and some that are not."
    assert one_class(cases([1.0], [True])) == "All 1 labelled pictures are harmful: label some that are not red."
    assert one_class(cases([1.0, 2.0], [True, False])) is None
    assert not decide(cases([1.0], [False]), 0.0, 0.95).enough
    queue = decide(cases([1.0, 2.0], [True, False], design=Design.QUEUE), 0.0, 0.95)
    assert not queue.enough
    assert "choose no limit" in queue.sentences[1]


def test_it_says_how_many_labels_more_halve_an_interval() -> None:
    found = cases([*[0.0] * 6, *[2.0] * 4, *[-1.0] * 90], [True] * 10 + [False] * 90, left_out=LeftOut(unknown=3))
    said = decide(found, 1.0, 0.95)
    assert said.reference is not None
    assert (round(said.reference.low, 2), round(said.reference.high, 2)) == (0.12, 0.74)
    assert said.halving is not None
    assert 200 < said.halving < 400  # a quarter of the variance takes about four times as many
    assert "4 of 10 found means" in said.sentences[1]
    assert said.sentences[-1] == "Left out: 3 without a label for it."
    nothing = decide(cases([1.0, 2.0], [True, False]), 5.0, 0.95).reference
    assert nothing is not None
    assert labels_to_halve(nothing, 0, 0.95) is not None
