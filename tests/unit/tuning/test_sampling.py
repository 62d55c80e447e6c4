"""Chances of being labelled: known, in (0,1], the same on every machine; and how rounds and samples add up."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, ndtri

from clipwarden.errors import DesignError
from clipwarden.tuning.design.sampling import chances, checked, combine, draw, inclusion, later_rounds

SCORES = st.lists(st.sampled_from([-3.5, -1.0, 0.0, 0.25, 0.5, 2.0, float("-inf")]), min_size=1, max_size=40)


def names(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def test_chances_of_distinct_scores_follow_the_formula() -> None:
    scores = np.random.default_rng(1).normal(size=5000)
    rank = scores.argsort().argsort() + 1
    sought = np.sqrt(expit(1.6 * ndtri((rank - 0.5) / 5000) - 5))
    q = 0.8 * sought / sought.sum() + 0.2 / 5000
    assert inclusion(scores, 100) == pytest.approx(100 * q, rel=1e-12)


@given(SCORES, st.integers(1, 60))
def test_chances_sum_to_what_was_asked_for_and_ties_share_one(scores: list[float], n: int) -> None:
    pi = inclusion(scores, n)
    assert pi.sum() == pytest.approx(min(n, len(scores)))
    assert ((pi > 0) & (pi <= 1)).all()
    assert all(len({pi[i] for i in range(len(scores)) if scores[i] == level}) == 1 for level in set(scores))


@given(SCORES, st.integers(1, 60))
def test_the_order_of_the_store_changes_no_chance(scores: list[float], n: int) -> None:
    order = np.random.default_rng(len(scores)).permutation(len(scores))
    assert inclusion(np.array(scores)[order], n) == pytest.approx(inclusion(scores, n)[order], rel=1e-9)


@given(SCORES, st.integers(1, 60))
def test_a_greater_score_is_never_drawn_less_often(scores: list[float], n: int) -> None:
    order = np.argsort(scores, kind="stable")
    assert (np.diff(inclusion(scores, n)[order]) >= -1e-12).all()


@given(SCORES, st.integers(1, 40))
def test_more_labels_never_make_a_picture_less_likely(scores: list[float], n: int) -> None:
    assert (inclusion(scores, n + 1) >= inclusion(scores, n) - 1e-12).all()


def test_a_picture_has_the_chance_of_its_uploads_together() -> None:
    apart = inclusion([0.0, 1.0, 1.0, 1.0, 2.0] * 20, 4)
    together = inclusion([0.0, 1.0, 2.0] * 20, 4, uploads=[1, 3, 1] * 20)
    assert together[1] == pytest.approx(3 * apart[1])
    assert together[0] == pytest.approx(apart[0])


def test_several_categories_share_the_sample() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(1000, 3))
    alone = [inclusion(table[:, column], 50) for column in range(3)]
    assert inclusion(table, 50) == pytest.approx(np.mean(alone, axis=0))


@pytest.mark.parametrize(
    ("scores", "n", "uploads", "says"),
    [
        (np.zeros((5, 4)), 2, None, "one to 3 categories, not 4"),
        (np.zeros((5, 0)), 2, None, "one to 3 categories, not 0"),
        ([0.0, float("nan")], 1, None, "no number"),
        ([0.0, 1.0], 0, None, "at least 1"),
        ([0.0, 1.0], 1, [1, 0], "uploaded at least once"),
        ([0.0, 1.0], 1, [1], "uploaded at least once"),
    ],
)
def test_what_no_sample_can_be_drawn_from_is_refused(
    scores: Sequence[float], n: int, uploads: list[int] | None, says: str
) -> None:
    with pytest.raises(DesignError, match=says):
        inclusion(scores, n, uploads=uploads)


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.0001, float("nan"), float("inf")])
def test_chances_outside_0_and_1_are_refused(wrong: float) -> None:
    for refused in (lambda: checked([0.5, wrong]), lambda: draw(names(2), [0.5, wrong], "a")):
        with pytest.raises(DesignError, match="above 0 and at most at 1"):
            refused()


def test_who_is_drawn_depends_on_picture_and_seed_alone() -> None:
    pictures, pi = names(500), np.full(500, 0.3)
    drawn = draw(pictures, pi, "march")
    order = np.random.default_rng(1).permutation(500)
    again = draw([pictures[place].upper() for place in order], pi, "march")
    assert (again == drawn[order]).all()
    assert (draw(pictures, pi, "april") != drawn).any()


def test_numbers_are_the_hash_that_the_docs_name() -> None:
    # printf '%s' 00..01 | openssl dgst -sha256 -hmac march, its first 53 bits as a share of all.
    assert chances([f"{1:064x}"], "march")[0] == pytest.approx(0.700432137849912, abs=1e-15)


def test_numbers_are_even() -> None:
    u = chances(names(20_000), "seed")
    assert (u >= 0).all()
    assert (u < 1).all()
    assert np.abs(np.sort(u) - np.arange(20_000) / 20_000).max() < 0.012  # Kolmogorov's 99.5 % quantile


def test_everyone_who_is_sure_is_drawn() -> None:
    assert draw(names(300), np.ones(300), "x").all()


def test_whoever_was_drawn_stays_drawn_when_more_are_asked_for() -> None:
    pictures, scores = names(2000), np.random.default_rng(4).normal(size=2000)
    first, second = (draw(pictures, inclusion(scores, n), "s") for n in (100, 300))
    assert second[first].all()


def test_rounds_of_one_seed_and_samples_of_several_add_up_as_enumerated() -> None:
    one, other = np.array([0.1, 0.5, 1.0, 0.0]), np.array([0.3, 0.2, 0.4, 0.7])
    either = [
        sum((a if x else 1 - a) * (b if y else 1 - b) for x, y in itertools.product((0, 1), repeat=2) if x or y)
        for a, b in zip(one, other, strict=True)
    ]
    assert combine(one, other) == pytest.approx(either)
    assert later_rounds(one, other).tolist() == [0.3, 0.5, 1.0, 0.7]  # u < a or u < b


def test_a_picture_in_no_sample_has_no_chance() -> None:
    for added in (combine, later_rounds):
        with pytest.raises(DesignError, match="not at 0"):
            added([0.0, 0.5], [0.0, 0.5])


def test_a_uniform_share_bounds_every_weight_by_that_of_an_even_sample() -> None:
    scores = np.random.default_rng(3).normal(size=1000)
    assert inclusion(scores, 20, uniform=0.8).min() >= 0.8 * 0.02
    assert inclusion(scores, 20, uniform=1.0) == pytest.approx(0.02)
    for share in (0.0, 1.1, np.nan):
        with pytest.raises(DesignError, match="give one above 0, to 1"):
            inclusion(scores, 20, uniform=share)
