"""Adjustments: what an attribute adds to a cosine, in the same view, once, and never downwards."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.policy.schema import Adjustment, Category, Exemption, Method, Mode, Policy, Unit, Verdict
from clipwarden.scoring.verdict import Adjusted, CategoryResult, Raise, Unevaluated, ViewRef
from kit.builders import (
    compile_with_random_vectors,
    cosine_rows,
    judge_cosines,
    judge_rows,
    make_attribute,
    make_category,
    make_policy,
    scored_texts,
)
from kit.strategies import Case, cases, cosine

BY_CARE = Adjustment(attribute="care", gte=0.25, add=0.125)


def policy_with(*adjustments: Adjustment, **choices: object) -> Policy:
    category = make_category("nudity", review=0.25, block=0.5, adjustments=adjustments, **choices)  # type: ignore[arg-type]
    return make_policy([category], attributes=[make_attribute("care"), make_attribute("other")])


def judged(policy: Policy, *views: dict[str, float]) -> CategoryResult:
    return judge_cosines(policy, *views).categories[0]


def numbers(result: CategoryResult) -> tuple[float, float, Adjusted | None]:
    assert result.scored is not None
    return result.scored.cosine, result.scored.score, result.scored.adjustment


@pytest.mark.parametrize(
    ("care", "score", "added", "band"),
    [
        (0.25, 0.5, Adjusted(attribute="care", add=0.125), Verdict.BLOCK),  # inclusive, as exemptions are
        (float(np.nextafter(np.float32(0.25), np.float32(0))), 0.375, None, Verdict.REVIEW),
    ],
)
def test_holds_from_its_bound_on(care: float, score: float, added: Adjusted | None, band: Verdict) -> None:
    result = judged(policy_with(BY_CARE), {"nudity": 0.375, "care": care})
    assert numbers(result) == (0.375, score, added)
    assert result.band is band


def test_the_greatest_counts_once() -> None:
    more = Adjustment(attribute="other", gte=0.0, add=0.25)
    again = Adjustment(attribute="care", gte=0.125, add=0.0625)
    result = judged(policy_with(BY_CARE, again, more), {"nudity": 0.125, "care": 1.0, "other": 0.5})
    assert numbers(result) == (0.125, 0.375, Adjusted(attribute="other", add=0.25))
    result = judged(policy_with(BY_CARE, again, more), {"nudity": 0.125, "care": 0.125, "other": -0.5})
    assert numbers(result) == (0.125, 0.1875, Adjusted(attribute="care", add=0.0625))


def test_of_equals_the_first_by_name_is_told_in_every_order() -> None:
    twins = [Adjustment(attribute=name, gte=0.0, add=0.125) for name in ("other", "care")]
    for order in (twins, twins[::-1]):
        assert numbers(judged(policy_with(*order), {}))[2] == Adjusted(attribute="care", add=0.125)


def test_counts_in_the_view_where_its_attribute_holds() -> None:
    # The view with the lower cosine is the worse one here; the attribute of the other view must not raise it.
    views = {"nudity": 0.4375, "care": 0.0}, {"nudity": 0.375, "care": 0.25}
    result = judged(policy_with(BY_CARE), *views)
    assert numbers(result) == (0.375, 0.5, Adjusted(attribute="care", add=0.125))
    assert result.scored is not None
    assert result.scored.view == ViewRef(name="full", frame=1)
    apart = judged(policy_with(BY_CARE), {"nudity": 0.4375, "care": 0.0}, {"nudity": 0.125, "care": 0.25})
    assert numbers(apart) == (0.4375, 0.4375, None)


def test_may_lift_a_score_past_1_without_losing_it() -> None:
    assert numbers(judged(policy_with(BY_CARE), {"nudity": 1.0, "care": 1.0}))[1] == 1.125


def test_sum_is_that_of_two_doubles() -> None:
    tiny = replace(BY_CARE, add=0.009999999776482582)
    cosine_seen = float(np.float32(0.19))
    assert numbers(judged(policy_with(tiny), {"nudity": 0.19, "care": 1.0}))[1] == cosine_seen + 0.009999999776482582


def test_exemption_still_looks_at_the_view_that_was_raised() -> None:
    exempt = Exemption(attribute="other", gte=0.5)
    policy = policy_with(BY_CARE, exemptions=[exempt])
    raised = {"nudity": 0.375, "care": 0.25, "other": 0.0}
    assert judged(policy, {"nudity": 0.25, "other": 0.75}, raised).band is Verdict.BLOCK
    assert judged(policy, {"nudity": 0.25}, raised | {"other": 0.75}).exempted_by == "other"


def test_raising_an_exempt_view_does_not_hide_one_that_blocks() -> None:
    exempt = Exemption(attribute="other", gte=0.5)
    views = {"nudity": 0.5625}, {"nudity": 0.5, "care": 1.0, "other": 0.75}
    for adjustments in ((), (BY_CARE,)):  # raised, the second view has 0.625
        result = judged(policy_with(*adjustments, exemptions=[exempt]), *views)
        assert (result.band, result.exempted_by, numbers(result)) == (Verdict.BLOCK, None, (0.5625, 0.5625, None))


def test_attribute_that_is_not_finite_leaves_the_category_unevaluated() -> None:
    policy = policy_with(BY_CARE)
    rows = cosine_rows(policy, [{"nudity": 0.125}, {"nudity": 0.125}])
    rows[1, scored_texts(policy).index("care")] = np.nan
    judgement = judge_rows(compile_with_random_vectors(policy), rows)
    assert judgement.categories[0].unevaluated is Unevaluated.NON_FINITE
    assert judgement.raised_by == (Raise.NOT_EVALUATED,)


def test_disabled_category_ignores_its_adjustments() -> None:
    assert judged(policy_with(BY_CARE, mode=Mode.DISABLED), {"care": 1.0}).unevaluated is Unevaluated.DISABLED


@settings(max_examples=100)
@given(case=cases(), extra=st.builds(Adjustment, attribute=st.just("care"), gte=cosine, add=st.floats(0.001, 1)))
def test_one_more_never_lowers_a_score_or_verdict(case: Case, extra: Adjustment) -> None:
    def with_care(category: Category, *adjustments: Adjustment) -> Category:
        if category.method is not Method.COSINE:
            return category
        assert category.thresholds is None or category.thresholds.unit is Unit.COSINE
        return replace(category, adjustments=(*category.adjustments, *adjustments))

    base = replace(case.policy, attributes=(*case.policy.attributes, make_attribute("care")))
    grown = replace(base, categories=tuple(with_care(item, extra) for item in base.categories))
    rows = np.insert(case.rows, -1, case.rows[:, 0], axis=1)  # care's row is the last before the background
    before, after = (
        judge_rows(compile_with_random_vectors(item, logit_scale=case.logit_scale), rows) for item in (base, grown)
    )
    for old, new in zip(before.categories, after.categories, strict=True):
        if old.scored is not None and new.scored is not None:
            # Of a worse band another view is reported: the one that blocks, not a higher one that is exempt.
            assert (new.band or Verdict.ALLOW, new.scored.score) >= (old.band or Verdict.ALLOW, old.scored.score)
    assert after.verdict >= before.verdict
    assert after.shadow_verdict >= before.shadow_verdict
