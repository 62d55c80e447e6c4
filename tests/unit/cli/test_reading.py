import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.cli.outcome import NotJudgedError, Outcome, Tally
from clipwarden.cli.wording import compare, leading_category, verdict_name
from clipwarden.v1 import moderation_pb2 as v1


def category(name: str = "c", score: float = 0.5, **fields: object) -> v1.CategoryResult:
    defaults = {"status": v1.EVALUATION_STATUS_EVALUATED, "mode": v1.MODE_ENFORCE, "cosine": 0.1}
    return v1.CategoryResult(id=name, score=score, **(defaults | fields))


def leading(*categories: v1.CategoryResult, decided_by: tuple[str, ...] = ()) -> str | None:
    found = leading_category(v1.Moderation(categories=categories, decided_by=decided_by))
    return found.id if found else None


def test_the_category_that_decided_leads() -> None:
    stricter = category("other", band=v1.VERDICT_BLOCK, mode=v1.MODE_SHADOW, block_threshold=0.1)
    decider = category("decider", band=v1.VERDICT_REVIEW, review_threshold=0.4)
    assert leading(stricter, decider, decided_by=("decider",)) == "decider"


def test_else_the_strictest_band_leads_even_in_shadow() -> None:
    shadow = category("shadow", band=v1.VERDICT_REVIEW, mode=v1.MODE_SHADOW, review_threshold=0.4)
    assert leading(category("near", 0.49, band=v1.VERDICT_ALLOW, review_threshold=0.5), shadow) == "shadow"


def test_else_an_enforced_category_leads_and_then_the_nearest_to_its_threshold() -> None:
    allow = {"band": v1.VERDICT_ALLOW, "review_threshold": 0.9}
    shadow = category("shadow", 0.89, mode=v1.MODE_SHADOW, **allow)
    far, near = category("far", 0.2, **allow), category("near", 0.3, **allow)
    assert leading(far, shadow, near) == "near"


def test_without_thresholds_the_best_cosine_leads() -> None:
    assert leading(category("a", 0.9, cosine=0.1), category("b", 0.1, cosine=0.2)) == "b"


def test_without_thresholds_a_head_takes_part_by_its_score_and_then_its_logit() -> None:
    def head(name: str, score: float, logit: float) -> v1.CategoryResult:
        return v1.CategoryResult(
            id=name, status=v1.EVALUATION_STATUS_EVALUATED, mode=v1.MODE_ENFORCE, score=score, logit=logit
        )

    text = category("text", 0.9, cosine=0.25)
    assert leading(head("low", 0.125, -2), text, head("high", 0.75, 1)) == "high"
    assert leading(head("low", 0.125, -2), text) == "text"
    assert leading(head("sure", 1.0, 40), head("surer", 1.0, 50)) == "surer"


def test_nothing_leads_when_nothing_was_evaluated() -> None:
    assert leading(category(status=v1.EVALUATION_STATUS_NOT_EVALUATED)) is None
    assert leading(category("x", status=v1.EVALUATION_STATUS_NOT_EVALUATED), decided_by=("x",)) is None


@pytest.mark.parametrize(
    ("score", "review", "block", "text"),
    [
        (0.25, None, None, "0.250 (no threshold)"),
        (0.95, 0.5, 0.9, "0.950 ≥ block 0.900"),
        (0.6, 0.5, 0.9, "0.600 ≥ review 0.500"),
        (0.4, 0.5, 0.9, "0.400 < review 0.500"),
        (0.4, None, 0.9, "0.400 < block 0.900"),
        (0.5, 0.5, None, "0.500 ≥ review 0.500"),
        (0.4999999, 0.5, None, "0.4999999 < review 0.5000000"),
        (-0.2, -0.1, None, "-0.200 < review -0.100"),
    ],
)
def test_a_score_stands_beside_the_threshold_that_matters(
    score: float, review: float | None, block: float | None, text: str
) -> None:
    assert str(compare(category(score=score, review_threshold=review, block_threshold=block))) == text


@given(score=st.floats(-1, 1), threshold=st.floats(-1, 1))
def test_texts_never_look_equal_unless_the_numbers_are(score: float, threshold: float) -> None:
    shown = compare(category(score=score, review_threshold=threshold))
    assert (shown.relation == "≥") == (score >= threshold)
    # Subnormal differences need more digits than anyone could read.
    if abs(score - threshold) > 1e-16:
        assert shown.score != shown.threshold


def test_an_unknown_verdict_is_named_by_its_number_and_is_not_judged() -> None:
    assert verdict_name(7) == "7"
    tally = Tally()
    tally.add(Outcome(name="x", moderation=v1.Moderation(verdict=7)))
    assert tally.exit == 30


def test_a_tally_names_every_verdict_and_keeps_the_highest_exit() -> None:
    tally = Tally()
    for verdict in (v1.VERDICT_BLOCK, v1.VERDICT_ALLOW, v1.VERDICT_REVIEW, v1.VERDICT_ALLOW):
        tally.add(Outcome(name="x", moderation=v1.Moderation(verdict=verdict, enforced_categories=1)))
    assert (str(tally), tally.exit, tally.nothing_enforced) == ("4 images: 2 ALLOW, 1 REVIEW, 1 BLOCK.", 20, False)
    tally.add(Outcome(name="y", error=NotJudgedError("no", code="UNKNOWN", reason=None)))
    assert tally.exit == 30


def test_nothing_was_enforced_only_if_something_was_judged() -> None:
    tally = Tally()
    tally.add(Outcome(name="y", error=NotJudgedError("no", code="UNKNOWN", reason=None)))
    assert not tally.nothing_enforced
    tally.add(Outcome(name="x", moderation=v1.Moderation(verdict=v1.VERDICT_ALLOW)))
    assert tally.nothing_enforced
