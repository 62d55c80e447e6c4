from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.errors import LineError
from clipwarden.tuning.design.rates import exact_share, prevalence, split_confidence
from clipwarden.tuning.lines.choices import Choice, Labelled, Lowering, Option, choices, lowering
from clipwarden.tuning.metrics import clopper_pearson


def labelled(harmful: list[float], harmless: list[float], **more: object) -> Labelled:
    scores = np.array([*harmful, *harmless], dtype=np.float64)
    return Labelled(scores=scores, positive=np.arange(len(scores)) < len(harmful), **more)


# Ten harmful and a hundred harmless pictures, of which 12 score above the seventh harmful one.
HARMFUL = [5.0, 4.0, 3.0, 2.5, 2.2, 2.1, 1.0, 0.5, 0.4, -1.0]
HARMLESS = [4.5, 2.6, 2.4, *np.linspace(1.1, 1.9, 9), *np.linspace(-5.0, 0.3, 88)]


def by_option(rows: tuple[Choice, ...]) -> dict[tuple[Option, int | None], Choice]:
    return {(row.option, row.most_wrong): row for row in rows}


def test_the_table_counts_what_each_limit_finds_and_wrongly_stops() -> None:
    rows = choices(labelled(HARMFUL, HARMLESS), now=0.35, prevalence=0.02)
    counts = [(row.option.value, row.most_wrong, row.found, row.harmful, row.wrong, row.harmless) for row in rows]
    assert counts == [
        ("as_now", None, 9, 10, 12, 100),
        ("at_most", 9, 6, 10, 9, 100),
        ("at_most", 3, 6, 10, 3, 100),
        ("at_most", 1, 3, 10, 1, 100),
        ("none_wrong", None, 1, 10, 0, 100),
    ]
    assert rows[0].at == 0.35
    assert (rows[-1].below, rows[-1].at, rows[-1].above) == (4.5, 4.75, 5.0)


def test_intervals_of_hand_picked_pictures_are_exact_and_precision_shares_the_error_of_its_parts() -> None:
    row = choices(labelled(HARMFUL, HARMLESS), now=0.35, prevalence=0.02)[0]
    for estimate, hits, total in ((row.recall, 9, 10), (row.wrongly, 12, 100)):
        exact = clopper_pearson(hits, total)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((exact.value, exact.low, exact.high))
    found, wrong = clopper_pearson(9, 10, confidence=0.975), clopper_pearson(12, 100, confidence=0.975)
    assert row.right is not None
    assert row.right.value == pytest.approx(0.02 * 0.9 / (0.02 * 0.9 + 0.98 * 0.12))
    assert row.right.low == pytest.approx(0.02 * found.low / (0.02 * found.low + 0.98 * wrong.high))
    assert row.right.high == pytest.approx(0.02 * found.high / (0.02 * found.high + 0.98 * wrong.low))
    assert row.right.confidence == pytest.approx(0.95)


def test_an_estimated_prevalence_takes_a_third_of_the_error() -> None:
    share = prevalence(np.arange(400) < 8, np.full(400, 0.1), confidence=split_confidence(0.95, 3))
    row = choices(labelled(HARMFUL, HARMLESS), now=0.35, prevalence=share)[0]
    parts = [clopper_pearson(*counts, confidence=1 - 0.05 / 3) for counts in ((9, 10), (12, 100))]
    assert row.right is not None
    low = share.low * parts[0].low
    assert row.right.low == pytest.approx(low / (low + (1 - share.low) * parts[1].high))
    assert row.right.confidence == pytest.approx(0.95)


def test_rows_of_a_sample_weigh_uploads() -> None:
    pi = np.where(np.arange(110) < 10, 0.9, 0.1)
    row = choices(labelled(HARMFUL, HARMLESS, pi=pi, uploads=np.full(110, 2.0)), now=0.35)[0]
    assert row.recall.value == pytest.approx(0.9)
    assert row.wrongly.value == pytest.approx(0.12)
    assert row.recall.low < clopper_pearson(9, 10).low
    assert row.right is None


def test_near_duplicates_count_once_in_intervals_of_hand_picked_pictures() -> None:
    group = np.r_[np.zeros(10, int), np.arange(1, 101)]
    row = choices(labelled(HARMFUL, HARMLESS, group=group, u=np.linspace(0, 0.9, 110)), now=0.35)[0]
    assert (row.found, row.harmful) == (9, 10)
    assert (row.recall.groups, row.recall.low) == (1, pytest.approx(0.025))
    expected = exact_share(np.ones(1), np.ones(1), np.ones(1), group=[0], u=[0.0])
    assert row.recall.high == expected.high == 1.0
    with pytest.raises(LineError, match="give it with the groups"):
        choices(labelled(HARMFUL, HARMLESS, group=group), now=0.35)


def test_without_harmful_pictures_nothing_is_known_of_what_is_found() -> None:
    rows = by_option(choices(labelled([], HARMLESS), now=0.35, prevalence=0.02))
    none = rows[Option.NONE_WRONG, None]
    assert (none.found, none.harmful, none.wrong) == (0, 0, 0)
    assert np.isfinite(none.at)
    assert (none.recall.low, none.recall.high) == (0.0, 1.0)
    assert none.right is not None
    assert (none.right.low, none.right.high) == (0.0, 1.0)


def test_without_harmless_pictures_no_limit_is_offered_that_would_look_free() -> None:
    assert [row.option for row in choices(labelled(HARMFUL, []), now=0.35)] == [Option.AS_NOW]
    assert choices(labelled(HARMFUL, []), now=None) == ()
    few = choices(labelled(HARMFUL, [1.0, 2.0]), now=None, most_wrong=(9, 2, 1))
    assert [row.most_wrong for row in few] == [1, None]


SCORES = st.lists(st.floats(-5.0, 5.0) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=40)


@settings(max_examples=50)
@given(harmful=SCORES, harmless=SCORES, seed=st.integers(0, 9))
def test_rows_keep_what_they_say_grow_stricter_and_do_not_depend_on_order(
    harmful: list[float], harmless: list[float], seed: int
) -> None:
    given_labels = labelled(harmful, harmless)
    rows = choices(given_labels, now=None, most_wrong=(5, 2), prevalence=0.1)
    assert all(row.wrong <= (row.most_wrong or 0) for row in rows)
    assert all(a.at <= b.at and a.found >= b.found for a, b in pairwise(rows))
    order = np.random.default_rng(seed).permutation(len(given_labels.scores))
    shuffled = Labelled(scores=given_labels.scores[order], positive=given_labels.positive[order])
    assert choices(shuffled, now=None, most_wrong=(5, 2), prevalence=0.1) == rows
    for row in rows:
        assert row.right is not None
        assert row.right.low <= row.right.high


@given(harmful=SCORES, harmless=SCORES, at=st.floats(-5.0, 5.0))
def test_lowering_costs_what_a_search_finds(harmful: list[float], harmless: list[float], at: float) -> None:
    found = lowering([*harmful, *harmless], np.arange(len(harmful) + len(harmless)) < len(harmful), at)
    missed = [score for score in harmful if score < at]
    assert found.left == len(missed)
    assert found.wrong_before_next == (sum(max(missed) <= score < at for score in harmless) if missed else 0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Lowering(left=6, wrong_before_next=10),
            "lowering the limit finds no more up to 9 wrong: change prompts, not the limit",
        ),
        (Lowering(left=6, wrong_before_next=1), "lowering the limit finds one more at one more wrong stop"),
        (Lowering(left=6, wrong_before_next=0), "lowering the limit finds one more at no further wrong stop"),
        (
            Lowering(left=0, wrong_before_next=0),
            "every harmful picture here is found: lowering the limit finds no more",
        ),
    ],
)
def test_what_lowering_finds_is_said_in_one_sentence(found: Lowering, said: str) -> None:
    assert found.sentence == said


def test_labels_that_do_not_fit_are_refused_in_words() -> None:
    with pytest.raises(LineError, match="no finite numbers"):
        choices(labelled([np.inf], [0.0]), now=None)
    with pytest.raises(LineError, match="3 labels for 2 scores"):
        choices(Labelled(scores=np.zeros(2), positive=np.zeros(3, bool)), now=None)
