"""Numbers as staff read them: no digit that means nothing."""

import pytest

from clipwarden.tuning.lines.confidence import Confidence
from clipwarden.tuning.lines.promises import Kind, Promise
from clipwarden.tuning.lines.saying import counts_of


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.00000087, 0.098), ["below 1", "98"]),
        ((2.5e-16, 0.05), ["below 1", "50"]),
        ((0.0, 0.05), ["0", "50"]),
        ((0.001, 0.0039), ["1", "3.9"]),
        ((0.00001, 0.00002), ["below 0.1", "below 0.1"]),
        ((0.5, 1.0), ["500", "1,000"]),
    ],
)
def test_what_belongs_together_has_the_same_digits(shares: tuple[float, ...], said: list[str]) -> None:
    assert counts_of(shares, 1000) == said


def test_a_promise_says_what_is_left_of_its_confidence_after_looks() -> None:
    promise = Promise(kind=Kind.WRONG_STOPS, limit=0.01, delta=0.05, tested=500, allowed=1, seen=0, distinct=True)
    once, often = promise.sentence, promise.said(6)
    assert "at most 1 % of distinct uploads, near-duplicates counted once, are harmless and stopped" in once
    assert "with 95 % confidence (0 of 500 here)" in once
    assert "with 70 % confidence after 6 looks at these labels" in often
    assert "with 0 % confidence" in promise.said(40)


def test_nothing_is_said_of_looks_without_labels_nor_of_a_confidence_that_is_none() -> None:
    said = Confidence(delta=0.05, lines=26, labelled=False).sentence
    assert "looked at" not in said
    assert "at least 0 %" not in said
    assert "--policy-wide" in said
