"""Rates from weighted labels: by the formula, as others publish them, and as all samples of a small store say."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from clipwarden.errors import DesignError
from clipwarden.tuning.design.rates import (
    Estimate,
    exact_share,
    false_positive_rate,
    precision,
    precision_at,
    prevalence,
    recall,
    share,
    split_confidence,
)

# R's data set api, sample apiclus1 of the package survey: 183 schools of 15 districts; by district, how many, and how
# many are high and middle schools.
SCHOOLS = (11, 4, 2, 13, 2, 4, 4, 16, 9, 34, 21, 37, 13, 1, 12)
HIGH = (1, 1, 0, 0, 0, 1, 1, 0, 4, 0, 2, 3, 0, 0, 1)
MIDDLE = (2, 1, 1, 3, 0, 1, 1, 3, 1, 0, 3, 4, 3, 0, 2)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return (
        rng.random(count) < draw(st.sampled_from([0.1, 0.5, 0.9])),
        rng.random(count) < 0.5,
        rng.choice([0.001, 0.02, 0.3, 1.0], count),
        rng.integers(0, count, count),
    )


def numbers(estimate: Estimate) -> list[float]:
    names = ("value", "low", "high", "one_sided_low", "one_sided_high", "n_eff")
    return [getattr(estimate, name) for name in names]


@pytest.mark.parametrize(
    ("holding", "value", "error"),
    # svymean(~stype, svydesign(id=~dnum, weights=~pw, data=apiclus1)), as stored by R for the tests of xKDR/Survey.jl
    # (test/r_reference/proportions.csv, rows clus1_w).
    [(HIGH, 0.0765027322404372, 0.0270798559291773), (MIDDLE, 0.136612021857924, 0.0299472342965665)],
)
def test_share_and_error_of_a_clustered_sample_are_those_of_r(
    holding: tuple[int, ...], value: float, error: float
) -> None:
    district = np.repeat(np.arange(15), SCHOOLS)
    one = np.concatenate([np.arange(size) < held for size, held in zip(SCHOOLS, holding, strict=True)])
    estimate = prevalence(one, np.full(183, 1 / 33.846996307373), group=district)
    factor = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 14)) ** 2
    assert estimate.value == pytest.approx(value, rel=1e-12)
    assert np.sqrt(value * (1 - value) / (estimate.n_eff / factor)) == pytest.approx(error, rel=1e-12)
    below, above = (
        stats.beta.ppf([0.025], value * estimate.n_eff, (1 - value) * estimate.n_eff + 1),
        stats.beta.ppf([0.975], value * estimate.n_eff + 1, (1 - value) * estimate.n_eff),
    )
    assert (estimate.low, estimate.high) == pytest.approx((below[0], above[0]), rel=1e-9)


@pytest.mark.parametrize(("share_", "error"), [(0.71, 0.0321663390337504), (0.125, 0.0234440422192481)])
def test_share_and_error_of_an_even_sample_are_those_of_r(share_: float, error: float) -> None:
    # apisrs: 200 of 6,194 schools; rows srs_w of the same file.
    one = np.arange(200) < 200 * share_
    estimate = prevalence(one, np.full(200, 200 / 6194))
    factor = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 199)) ** 2
    assert np.sqrt(share_ * (1 - share_) / (estimate.n_eff / factor)) == pytest.approx(error, rel=1e-12)


def test_recall_is_as_worked_out_by_hand() -> None:
    # Weights 1, 2, 4, 2 of four harmful pictures, the first three stopped: R = 7/9.
    estimate = recall([True, True, True, False, True], [True, True, True, True, False], [1, 0.5, 0.25, 0.5, 0.1])
    spread = sum(w**2 * (c - 7 / 9) ** 2 for w, c in ((1, 1), (2, 1), (4, 1), (2, 0)))
    variance = 4 / 3 * spread / 81
    size = min(4, 81 / 25, 7 / 9 * 2 / 9 / variance) * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 3)) ** 2
    assert estimate.value == pytest.approx(7 / 9)
    assert estimate.n_eff == pytest.approx(size)
    assert estimate.low == pytest.approx(stats.beta.ppf(0.025, 7 / 9 * size, 2 / 9 * size + 1))
    assert estimate.one_sided_low == pytest.approx(stats.beta.ppf(0.05, 7 / 9 * size, 2 / 9 * size + 1))
    assert estimate.basis == "from 5 labels, 4 positives"


def test_where_all_are_found_an_unseen_miss_would_have_weighed_as_one_below_the_limit() -> None:
    # Five finds of weight 1; the least weight of a picture that is not stopped is 4.
    estimate = recall([True] * 5 + [False] * 2, [True] * 5 + [False] * 2, [1.0] * 5 + [0.25, 0.1])
    size = 5 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 4)) ** 2
    assert estimate.n_eff == pytest.approx(size)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    # Of as many even labels, of 5 / size each, a miss of weight 4 is drawn so many times as seldom.
    seldom = 4 / (5 / size)
    for tail, low in ((0.025, estimate.low), (0.05, estimate.one_sided_low)):
        assert 1 / low - 1 == pytest.approx(seldom * (tail ** (-1 / size) - 1))


def test_where_none_is_found_an_unseen_find_would_have_weighed_as_one_above_the_limit() -> None:
    # Three misses of weight 1, and a stopped harmless picture of weight 2.
    estimate = recall([False] * 3 + [True], [True] * 3 + [False], [1.0] * 3 + [0.5])
    size = 3 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 2)) ** 2
    of_even = 1 - 0.025 ** (1 / size)
    odds = of_even / (1 - of_even) * max(1.0, 2 / (3 / size))
    assert (estimate.value, estimate.low) == (0.0, 0.0)
    assert estimate.high == pytest.approx(odds / (1 + odds))


def test_prevalence_of_no_positives_is_bounded_by_the_number_of_labels() -> None:
    estimate = prevalence(np.zeros(300, bool), np.linspace(0.01, 1, 300))
    assert (estimate.value, estimate.low) == (0.0, 0.0)
    assert estimate.high == pytest.approx(1 - 0.025 ** (1 / 300))
    assert estimate.basis == "from 300 labels, 0 positives"


def test_a_sample_that_looks_where_the_harmful_are_is_worth_more_than_even_labels() -> None:
    positive = np.arange(1000) < 50
    pi = np.where(positive, 0.5, 0.005)
    assert prevalence(positive, pi).n_eff > 5 * 1000


@pytest.mark.parametrize("rate", [recall, precision, false_positive_rate])
def test_of_fewer_than_two_members_nothing_is_known(rate: object) -> None:
    one = rate([False], [True], [0.5])  # type: ignore[operator]
    assert (one.low, one.high, one.n_eff) == (0.0, 1.0, 0.0)
    none = rate([], [], [])  # type: ignore[operator]
    assert np.isnan(none.value)
    assert (none.low, none.high, none.basis) == (0.0, 1.0, "from 0 labels, 0 positives")


def test_one_group_of_many_copies_is_one_member() -> None:
    found = recall([True] * 10, [True] * 10, [0.1] * 10, group=[7] * 10)
    assert (found.low, found.high, found.groups, found.members) == (0.0, 1.0, 1, 10)


@given(labelled())
def test_the_order_of_labels_and_numbers_of_groups_change_nothing(data: tuple[np.ndarray, ...]) -> None:
    positive, stopped, pi, group = data
    order = np.random.default_rng(len(pi)).permutation(len(pi))
    for rate in (recall, precision, false_positive_rate):
        one = rate(stopped, positive, pi, group=group)
        other = rate(stopped[order], positive[order], pi[order], group=1000 - group[order])
        assert numbers(other) == pytest.approx(numbers(one), rel=1e-9, nan_ok=True)


@given(labelled())
def test_two_copies_in_one_group_are_one_picture_uploaded_twice(data: tuple[np.ndarray, ...]) -> None:
    positive, stopped, pi, _ = data
    twice, names = np.ones(len(pi)), np.arange(len(pi))
    twice[0] = 2
    longer = [np.r_[each, each[:1]] for each in (stopped, positive, pi, names)]
    for rate in (recall, precision, false_positive_rate):
        one = rate(stopped, positive, pi, uploads=twice)
        other = rate(*longer[:3], group=longer[3])
        # The least weight of an unseen picture may be that of one copy.
        assume(not (one.value in {0.0, 1.0} or np.isnan(one.value)))
        assert numbers(other) == pytest.approx(numbers(one), rel=1e-9)


@given(labelled())
def test_limits_enclose_the_share_and_one_sided_ones_lie_within_them(data: tuple[np.ndarray, ...]) -> None:
    positive, stopped, pi, group = data
    for estimate in (recall(stopped, positive, pi, group=group), prevalence(positive, pi, group=group)):
        inside = [0.0, estimate.low, estimate.one_sided_low, estimate.one_sided_high, estimate.high, 1.0]
        assert inside == sorted(inside)
        if not np.isnan(estimate.value):
            assert estimate.low <= estimate.value + 1e-12
            assert estimate.value <= estimate.high + 1e-12


@given(labelled())
def test_more_confidence_never_narrows_an_interval(data: tuple[np.ndarray, ...]) -> None:
    positive, stopped, pi, group = data
    some, more = (recall(stopped, positive, pi, group=group, confidence=each) for each in (0.9, 0.98))
    assert more.low <= some.low + 1e-12
    assert more.high >= some.high - 1e-12


@given(labelled())
def test_even_chances_of_any_height_say_the_same(data: tuple[np.ndarray, ...]) -> None:
    positive, stopped, _, group = data
    one, other = (recall(stopped, positive, np.full(len(positive), each), group=group) for each in (1.0, 0.01))
    assert numbers(other) == pytest.approx(numbers(one), rel=1e-9, nan_ok=True)


def test_of_every_sample_of_a_small_store_enough_intervals_hold_its_recall() -> None:
    # Twelve harmful uploads and one harmless below the limit: all 4,096 samples, by their chance of being drawn.
    stopped = np.arange(12) < 8
    pi = np.where(stopped, np.linspace(0.95, 0.6, 12), 0.5)
    held = sure = 0.0
    for drawn in itertools.product((False, True), repeat=12):
        taken = np.array(drawn)
        if taken.sum() < 6:
            continue
        chance = float(np.prod(np.where(taken, pi, 1 - pi)))
        estimate = recall(np.r_[stopped[taken], False], np.r_[np.ones(taken.sum(), bool), False], np.r_[pi[taken], 0.5])
        held += chance * (estimate.low <= 8 / 12 <= estimate.high)
        sure += chance
    assert sure > 0.9
    assert held / sure >= 0.95


def test_variance_by_groups_is_what_a_bootstrap_of_groups_gives() -> None:
    rng = np.random.default_rng(8)
    group = rng.integers(0, 150, 400)
    pi, outcome = rng.uniform(0.1, 1, 400), rng.random(150)[group] < 0.6
    estimate = prevalence(outcome, pi, group=group)
    n_eff = estimate.n_eff / (stats.norm.ppf(0.975) / stats.t.ppf(0.975, len(set(group.tolist())) - 1)) ** 2
    hits, total = (np.bincount(group, each, 150) for each in (outcome / pi, 1 / pi))
    picks = rng.integers(0, 150, (4000, 150))
    spread = (hits[picks].sum(1) / total[picks].sum(1)).var()
    assert estimate.value * (1 - estimate.value) / n_eff == pytest.approx(spread, rel=0.1)


def test_hand_picked_images_are_counted_once_a_group() -> None:
    outcome, member = [True, True, True, False, True], [True, True, True, True, False]
    estimate = exact_share(outcome, member, member, group=[0, 0, 0, 1, 2], u=[0.3, 0.1, 0.2, 0.5, 0.9])
    assert (estimate.value, estimate.members, estimate.groups) == (0.5, 4, 2)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(stats.binomtest(1, 2).proportion_ci(method="exact")))


def test_precision_at_a_prevalence_lies_between_its_corners() -> None:
    positive, stopped = np.arange(100) < 50, np.arange(100) % 50 < 40
    stopped[50:] = np.arange(50) < 5
    each = split_confidence(0.95, 2)
    found, wrong = (rate(stopped, positive, np.ones(100), confidence=each) for rate in (recall, false_positive_rate))
    stated = precision_at(found, wrong, 0.01)
    assert stated.value == pytest.approx(0.01 * 0.8 / (0.01 * 0.8 + 0.99 * 0.1))
    assert stated.low == pytest.approx(0.01 * found.low / (0.01 * found.low + 0.99 * wrong.high))
    assert stated.confidence == pytest.approx(0.95)
    third = split_confidence(0.95, 3)
    assert third == pytest.approx(0.98333, abs=1e-5)
    estimated = precision_at(
        *(rate(stopped, positive, np.ones(100), confidence=third) for rate in (recall, false_positive_rate)),
        prevalence(positive, np.ones(100), confidence=third),
    )
    assert estimated.confidence == pytest.approx(0.95)
    assert estimated.low < estimated.value < estimated.high


def test_precision_of_nothing_stopped_is_unknown() -> None:
    found = recall([False] * 4, [True] * 2 + [False] * 2, [1.0] * 4)
    wrong = false_positive_rate([False] * 4, [True] * 2 + [False] * 2, [1.0] * 4)
    nothing = precision_at(found, wrong, 0.5)
    assert np.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


@pytest.mark.parametrize("wrong", [0.0, 1.5, float("nan")])
def test_chances_that_no_sample_has_are_refused(wrong: float) -> None:
    with pytest.raises(DesignError, match="above 0 and at most at 1"):
        share([True, True], [True, True], [True, True], [0.5, wrong])


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(DesignError, match="A column has 1 entries for 2 labels"):
        recall([True], [True, False], [0.5, 0.5])
