import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clipwarden.errors import LineError
from clipwarden.tuning.design.rates import false_positive_rate
from clipwarden.tuning.lines.binomial import most_allowed
from clipwarden.tuning.lines.edges import around, highest_after, over, reaching
from clipwarden.tuning.lines.promises import Lacking, Line, NotMet
from clipwarden.tuning.lines.strictness import line_for_flag_rate, line_for_fpr

SCORES = st.lists(st.floats(-5.0, 5.0) | st.sampled_from([0.0, 0.5, 1.0]), min_size=60, max_size=120).map(np.array)
LIMITS = st.floats(0.05, 0.6)


def line(found: Line | NotMet) -> Line:
    assert isinstance(found, Line)
    return found


@given(scores=SCORES, limit=LIMITS)
def test_a_line_passes_at_most_as_many_as_the_test_allows_and_one_step_lower_passes_more(
    scores: np.ndarray, limit: float
) -> None:
    found = line(line_for_fpr(scores, limit=limit))
    allowed = most_allowed(len(scores), limit, 0.05)
    assert found.promise.allowed == allowed
    assert (scores >= found.at).sum() == found.promise.seen <= allowed
    assert found.below is not None
    assert (scores >= found.below).sum() > allowed


@given(scores=SCORES, limits=st.tuples(LIMITS, LIMITS).map(sorted), deltas=st.tuples(LIMITS, LIMITS).map(sorted))
def test_lines_fall_as_limits_and_deltas_rise(scores: np.ndarray, limits: list[float], deltas: list[float]) -> None:
    strict, lenient = [line(line_for_fpr(scores, limit=limit)).at for limit in limits]
    assert strict >= lenient
    sure, unsure = [line(line_for_fpr(scores, limit=limits[1], delta=delta)).at for delta in deltas]
    assert sure >= unsure


@given(scores=SCORES, seed=st.integers(0, 9))
def test_the_order_of_pictures_changes_nothing(scores: np.ndarray, seed: int) -> None:
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(scores))
    assert line_for_fpr(scores, limit=0.2) == line_for_fpr(scores[order], limit=0.2)
    group, u = chance.integers(0, 50, len(scores)), chance.random(len(scores))
    renamed = chance.permutation(50)[group]
    assert line_for_fpr(scores, limit=0.2, group=group, u=u) == line_for_fpr(
        scores[order], limit=0.2, group=renamed[order], u=u[order]
    )


@given(scores=SCORES, seed=st.integers(0, 9))
def test_copies_of_pictures_change_nothing_while_they_count_once(scores: np.ndarray, seed: int) -> None:
    chance = np.random.default_rng(seed)
    group, u = np.arange(len(scores)), chance.random(len(scores))
    again = np.r_[group, chance.integers(0, len(scores), 70)]
    once = line_for_fpr(scores, limit=0.2, group=group, u=u)
    assert line_for_fpr(scores[again], limit=0.2, group=again, u=chance.random(len(again))) == once
    assert once.promise.distinct


@given(
    clean=st.lists(st.floats(-5.0, 0.0), min_size=60, max_size=90), harmful=st.lists(st.floats(1.0, 5.0), max_size=9)
)
def test_what_is_perfectly_separated_has_a_finite_line_between(clean: list[float], harmful: list[float]) -> None:
    found = line(line_for_fpr(clean, limit=0.05, others=harmful))
    assert np.isfinite(found.at)
    assert max(clean) < found.at
    assert all(score >= found.at for score in harmful)


def test_scores_of_harmful_pictures_leave_the_line_where_it_is_midway_to_the_next_of_any() -> None:
    clean = np.r_[np.zeros(298), 1.0]
    assert line(line_for_fpr(clean, limit=0.01, others=[3.0, 2.0])).at == 1.5
    allowed = line(line_for_fpr(np.r_[np.zeros(472), 1.0], limit=0.01, others=[0.5]))
    assert (allowed.promise.allowed, allowed.promise.seen) == (1, 1)
    assert (allowed.at, allowed.below, allowed.above) == (0.25, 0.0, 0.5)


@settings(max_examples=25)
@given(scores=SCORES, limits=st.tuples(LIMITS, LIMITS).map(sorted), seed=st.integers(0, 99))
def test_lines_of_a_sample_fall_as_limits_rise_and_keep_their_upper_limits(
    scores: np.ndarray, limits: list[float], seed: int
) -> None:
    chance = np.random.default_rng(seed)
    pi, group = chance.uniform(0.2, 1.0, len(scores)), chance.integers(0, 50, len(scores))
    found = [line_for_fpr(scores, limit=limit, pi=pi, group=group) for limit in limits]
    if isinstance(found[0], NotMet):
        return
    strict, lenient = line(found[0]), line(found[1])
    assert strict.at >= lenient.at
    harmful = np.zeros(len(scores), bool)
    assert false_positive_rate(scores >= strict.at, harmful, pi, group=group).one_sided_high <= limits[0]
    order = chance.permutation(len(scores))
    again = line_for_fpr(scores[order], limit=limits[0], pi=pi[order], group=group[order])
    assert line(again).at == strict.at


@pytest.mark.parametrize("count", [0, 1, 50])
def test_of_a_sample_about_as_many_are_said_to_be_missing_as_are(count: int) -> None:
    missing = line_for_fpr(np.arange(float(count)), limit=0.02, pi=np.full(count, 0.5))
    assert isinstance(missing, NotMet)
    need = missing.need
    assert 150 < need < 160
    assert line(line_for_fpr(np.arange(float(need)), limit=0.02, pi=np.full(need, 0.5))).promise.seen == 0
    with pytest.raises(LineError, match="write a share between 0 and 1"):
        line_for_fpr(np.zeros(400), limit=1.0, pi=np.ones(400))


def test_what_is_missing_is_said_in_numbers() -> None:
    missing = line_for_fpr(np.zeros(300), limit=0.001)
    assert isinstance(missing, NotMet)
    assert (missing.lacking, missing.have, missing.need, missing.missing) == (Lacking.CLEAN, 300, 2995, 2695)
    assert missing.sentence == (
        "no line can promise that at most 0.1 % of harmless pictures are stopped, with 95 % confidence: it takes 2,995"
        " harmless pictures with a label, there are 300, so 2,695 are missing"
    )
    none = line_for_fpr([], limit=0.01, group=[], u=[])
    assert isinstance(none, NotMet)
    assert none.missing == 299
    assert isinstance(line_for_flag_rate(np.zeros(5), limit=0.01), NotMet)


def test_promises_are_said_in_one_sentence() -> None:
    assert line(line_for_fpr(np.arange(1000.0), limit=0.01)).promise.sentence == (
        "at most 1 % of harmless pictures are stopped, with 95 % confidence (4 of 1,000 here)"
    )
    grouped = line(line_for_flag_rate(np.arange(1000.0), limit=0.01, group=np.arange(1000), u=np.zeros(1000)))
    assert grouped.promise.sentence == (
        "at most 1 % of uploads are stopped, rightly or not, with 95 % confidence (4 of 1,000 of distinct pictures,"
        " near-duplicates counted once, here)"
    )


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_scores_that_are_not_finite_are_refused_in_words(bad: float) -> None:
    scores = np.r_[np.zeros(400), bad]
    for call in (line_for_fpr, line_for_flag_rate):
        with pytest.raises(LineError, match="1 of 401 scores are no finite numbers; leave out pictures that got no"):
            call(scores, limit=0.01)
    with pytest.raises(LineError, match="no finite numbers"):
        line_for_fpr(np.zeros(400), limit=0.01, others=[bad])
    with pytest.raises(LineError, match="one number a picture"):
        line_for_fpr(np.zeros((2, 200)), limit=0.01)


def test_groups_that_do_not_fit_are_refused_in_words() -> None:
    with pytest.raises(LineError, match="give it with the groups"):
        line_for_fpr(np.zeros(400), limit=0.01, group=np.arange(400))
    with pytest.raises(LineError, match="group has 399 entries for 400 scores"):
        line_for_fpr(np.zeros(400), limit=0.01, group=np.arange(399), u=np.zeros(400))
    with pytest.raises(LineError, match="uploads has 3 entries for 400 scores"):
        line_for_fpr(np.zeros(400), limit=0.01, group=np.arange(400), u=np.zeros(400), uploads=np.ones(3))


@given(scores=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30).map(np.array), place=st.integers(0, 29))
def test_a_place_lies_between_the_scores_it_names(scores: np.ndarray, place: int) -> None:
    score = float(scores[place % len(scores)])
    above, under = over(score, scores), reaching(score, scores)
    assert score < above.at
    assert not ((scores > score) & (scores < above.at)).any()
    assert under.at <= score
    assert not ((scores < score) & (scores >= under.at)).any()
    assert around(above.at, scores) == above
    assert around(under.at, scores) == under


@given(scores=st.lists(st.integers(0, 9).map(float), min_size=1, max_size=30).map(np.array), passed=st.integers(0, 29))
def test_a_line_over_the_score_after_k_passes_at_most_k(scores: np.ndarray, passed: int) -> None:
    assume(passed < len(scores))
    edge = highest_after(scores, passed)
    assert (scores > edge).sum() <= passed
    assert (scores >= edge).sum() > passed
