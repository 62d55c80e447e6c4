"""Verdicts: what raises them, what never may, and that a report is enough to check them."""

import math
from dataclasses import replace
from typing import ClassVar, TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.errors import ContextUnknownError
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.lines import Unbound
from clipwarden.policy.schema import (
    Bounds,
    Category,
    Exemption,
    Method,
    Mode,
    Override,
    Policy,
    Thresholds,
    Unit,
    Verdict,
)
from clipwarden.scoring.decide import band_of, require_context
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import (
    AttributeResult,
    CategoryResult,
    Judgement,
    NoBand,
    Raise,
    Scored,
    Unevaluated,
    ViewRef,
)
from kit.builders import (
    FINGERPRINT,
    FULL,
    compile_with_random_vectors,
    cosine_rows,
    judge_cosines,
    judge_rows,
    make_attribute,
    make_calibration,
    make_category,
    make_policy,
)
from kit.reference_scorer import slow_bounds, slow_mode, slow_verdict
from kit.strategies import CONTEXTS, Case, cases, cosine

ALLOW, REVIEW, BLOCK = Verdict.ALLOW, Verdict.REVIEW, Verdict.BLOCK
contexts = st.sampled_from([None, *CONTEXTS])


class Circumstances(TypedDict, total=False):
    """Everything beside the pixels that a verdict depends on."""

    context: str | None
    partial: bool
    degraded: bool


circumstances = st.fixed_dictionaries({"context": contexts, "partial": st.booleans(), "degraded": st.booleans()})


def judge_case(
    case: Case,
    policy: Policy | None = None,
    *,
    context: str | None = None,
    partial: bool = False,
    degraded: bool = False,
) -> Judgement:
    compiled = compile_with_random_vectors(policy or case.policy, logit_scale=case.logit_scale)
    return judge_rows(compiled, case.rows, context=context, partial=partial, degraded=degraded)


def with_categories(policy: Policy, *categories: Category) -> Policy:
    return replace(policy, categories=tuple(categories))


def without_context(case: Case, context: str | None) -> Case:
    """Write what holds in a context into the categories themselves; texts that nothing scores then have no rows."""
    written = [
        replace(
            item,
            contexts={},
            mode=slow_mode(item, context),
            thresholds=item.thresholds and replace(item.thresholds, bounds=slow_bounds(item, context)),
        )
        for item in case.policy.categories
    ]
    return with_rows_of(case, with_categories(case.policy, *written))


def with_rows_of(case: Case, policy: Policy) -> Case:
    """Give a case another policy, which scores some of the concepts of the first."""
    scored = {item.id for item in scored_concepts(policy)}
    owners = [item.id for item in scored_concepts(case.policy) for _ in item.phrases]
    kept = [number for number, owner in enumerate(owners) if owner in scored]
    return replace(case, policy=policy, rows=case.rows[:, [*kept, -1]])


class TestBands:
    @pytest.mark.parametrize(
        ("score", "band"), [(0.19, ALLOW), (0.25, REVIEW), (0.26, REVIEW), (0.5, BLOCK), (0.9, BLOCK)]
    )
    def test_start_at_their_bounds_inclusively(self, score: float, band: Verdict) -> None:
        judgement = judge_cosines(make_policy([make_category("c", review=0.25, block=0.5)]), {"c": score})
        assert judgement.verdict is band
        assert judgement.categories[0].band is band

    def test_a_float32_cosine_just_below_a_float64_bound_stays_below(self) -> None:
        policy = make_policy([make_category("c", review=0.3)])
        below = float(np.float32(0.3))
        assert below > 0.3  # float32 rounds this bound up: the cosine is compared as the double it is
        assert judge_cosines(policy, {"c": 0.3}).verdict is REVIEW
        assert judge_cosines(policy, {"c": float(np.nextafter(np.float32(0.3), np.float32(0)))}).verdict is ALLOW

    def test_a_missing_bound_leaves_its_band_out(self) -> None:
        assert band_of(0.9, Bounds()) is ALLOW
        assert band_of(0.9, Bounds(review=0.2)) is REVIEW
        assert band_of(0.1, Bounds(block=0.2)) is ALLOW
        assert band_of(0.2, Bounds(block=0.2)) is BLOCK

    def test_a_category_without_thresholds_is_scored_without_a_band(self) -> None:
        judgement = judge_cosines(make_policy([make_category("c")]), {"c": 0.9})
        result = judgement.categories[0]
        assert judgement.verdict is ALLOW
        assert (result.band, result.bounds) == (None, Bounds())
        assert result.scored is not None

    def test_margin_is_compared_as_score(self) -> None:
        policy = make_policy([make_category("c", method=Method.MARGIN, review=0.5, block=0.9)])
        assert judge_cosines(policy, {"c": 0.0}).verdict is REVIEW
        assert judge_cosines(policy, {"c": -0.01}).verdict is ALLOW
        assert judge_cosines(policy, {"c": 0.03}).verdict is BLOCK


class TestVerdict:
    def test_is_the_worst_enforced_band(self) -> None:
        policy = make_policy([make_category(name, review=0.2, block=0.5) for name in ("a", "b", "c")])
        assert judge_cosines(policy, {"a": 0.1, "b": 0.3, "c": 0.6}).verdict is BLOCK
        assert judge_cosines(policy, {"a": 0.1, "b": 0.3}).verdict is REVIEW
        assert judge_cosines(policy, {"a": 0.1}).verdict is ALLOW

    def test_shadow_counts_in_the_shadow_verdict_only(self) -> None:
        policy = make_policy([make_category("a", review=0.2), make_category("b", mode=Mode.SHADOW, block=0.2)])
        judgement = judge_cosines(policy, {"a": 0.3, "b": 0.3})
        assert (judgement.verdict, judgement.shadow_verdict) == (REVIEW, BLOCK)
        assert judgement.decided_by == ("a",)

    def test_counts_what_is_enforced_so_that_an_all_shadow_policy_never_looks_clean(self) -> None:
        modes = [Mode.SHADOW, Mode.SHADOW, Mode.ENFORCE, Mode.DISABLED]
        policy = make_policy([make_category(f"c{number}", mode=mode, review=0.2) for number, mode in enumerate(modes)])
        assert judge_cosines(policy).enforced_categories == 1
        shadow = make_policy([make_category("c", mode=Mode.SHADOW, review=0.2)])
        assert judge_cosines(shadow).enforced_categories == 0

    def test_is_decided_by_the_most_severe_first_then_by_id(self) -> None:
        severities = {"d": 1, "c": 3, "a": 3, "b": 4, "low": 4}
        policy = make_policy(
            [make_category(name, severity=severity, review=0.2, block=0.5) for name, severity in severities.items()]
        )
        judgement = judge_cosines(policy, {"a": 0.6, "b": 0.6, "c": 0.6, "d": 0.6, "low": 0.3})
        assert judgement.decided_by == ("b", "a", "c", "d")
        assert judge_cosines(policy).decided_by == ()

    def test_results_hold_what_the_policy_wrote_and_none_of_it_changes(self) -> None:
        policy = make_policy(
            [make_category("c"), make_category("off", mode=Mode.DISABLED)], attributes=[make_attribute()]
        )
        judgement = judge_cosines(policy)
        for result, category in zip(judgement.categories, policy.categories, strict=True):
            assert result.category is category
        assert judgement.attributes[0].attribute is policy.attributes[0]
        with pytest.raises(AttributeError):
            judgement.verdict = BLOCK  # type: ignore[misc]
        for result in (*judgement.categories, *judgement.attributes):
            with pytest.raises(AttributeError):
                result.scored = None  # type: ignore[misc]

    def test_carries_what_it_was_decided_with(self) -> None:
        policy = make_policy([make_category("c")], contexts=["shop"])
        judgement = judge_cosines(policy, context="shop")
        assert (judgement.policy_id, judgement.policy_version) == ("test", "1.0.0")
        assert (judgement.policy_digest, judgement.fingerprint) == (policy_digest(policy), FINGERPRINT)
        assert judgement.context == "shop"

    def test_reports_in_file_order_disabled_categories_included(self) -> None:
        names = ["zebra", "apple", "mango"]
        modes = [Mode.SHADOW, Mode.DISABLED, Mode.ENFORCE]
        policy = make_policy(
            [make_category(name, mode=mode, review=0.2) for name, mode in zip(names, modes, strict=True)],
            attributes=[make_attribute("y"), make_attribute("x")],
        )
        judgement = judge_cosines(policy)
        assert [result.id for result in judgement.categories] == names
        assert [result.id for result in judgement.attributes] == ["y", "x"]

    def test_says_which_view_was_worst(self) -> None:
        policy = make_policy([make_category("c", review=0.2), make_category("d", review=0.2)])
        compiled = compile_with_random_vectors(policy)
        rows = cosine_rows(policy, [{"c": 0.3, "d": 0.1}, {"c": 0.1, "d": 0.4}])
        views = [ViewRef(name="on_white"), ViewRef(name="on_black")]
        found = [result.scored for result in judge_rows(compiled, rows, views=views).categories]
        assert [scored.view.name for scored in found if scored] == ["on_white", "on_black"]

    @pytest.mark.parametrize("views", [[], [FULL], [FULL, FULL, FULL]])
    def test_needs_a_name_for_every_view(self, views: list[ViewRef]) -> None:
        policy = make_policy([make_category("c")])
        rows = cosine_rows(policy, [{}, {}]) if views else np.zeros((0, 2), dtype=np.float32)
        with pytest.raises(ValueError, match="views"):
            judge_rows(compile_with_random_vectors(policy), rows, views=views)


class TestRaising:
    def policy(self, mode: Mode = Mode.ENFORCE, *, on_partial: Verdict = REVIEW, on_error: Verdict = REVIEW) -> Policy:
        category = make_category("c", mode=mode, review=0.2, block=0.5)
        return make_policy([category], on_partial=on_partial, on_error=on_error)

    @pytest.mark.parametrize("on_partial", Verdict)
    def test_partial_gives_at_least_on_partial(self, on_partial: Verdict) -> None:
        judgement = judge_cosines(self.policy(on_partial=on_partial), partial=True)
        assert judgement.verdict is on_partial
        assert judgement.raised_by == (() if on_partial is ALLOW else (Raise.PARTIAL,))
        assert judgement.decided_by == ()
        assert judgement.categories[0].band is ALLOW

    def test_degraded_gives_at_least_review(self) -> None:
        judgement = judge_cosines(self.policy(), degraded=True)
        assert (judgement.verdict, judgement.raised_by) == (REVIEW, (Raise.DEGRADED,))

    def test_what_the_bands_say_already_is_not_raised(self) -> None:
        for score, verdict in ((0.3, REVIEW), (0.6, BLOCK)):
            judgement = judge_cosines(self.policy(), {"c": score}, degraded=True, partial=True)
            assert (judgement.verdict, judgement.raised_by, judgement.decided_by) == (verdict, (), ("c",))

    def test_raised_by_names_what_alone_would_have_sufficed(self) -> None:
        both = judge_cosines(self.policy(), degraded=True, partial=True)
        assert both.raised_by == (Raise.PARTIAL, Raise.DEGRADED)
        blocking = judge_cosines(self.policy(on_partial=BLOCK), degraded=True, partial=True)
        assert (blocking.verdict, blocking.raised_by) == (BLOCK, (Raise.PARTIAL,))

    @pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.DISABLED])
    def test_nothing_raises_the_verdict_of_a_policy_that_enforces_nothing(self, mode: Mode) -> None:
        judgement = judge_cosines(
            self.policy(mode, on_partial=BLOCK, on_error=BLOCK), {"c": math.nan}, degraded=True, partial=True
        )
        assert (judgement.verdict, judgement.enforced_categories, judgement.raised_by) == (ALLOW, 0, ())
        assert judgement.shadow_verdict is (BLOCK if mode is Mode.SHADOW else ALLOW)

    @pytest.mark.parametrize("raiser", [{"degraded": True}, {"partial": True}])
    def test_shadow_verdict_is_raised_as_if_shadow_were_enforced(self, raiser: dict[str, bool]) -> None:
        compiled = compile_with_random_vectors(self.policy(Mode.SHADOW))
        judgement = judge_rows(compiled, cosine_rows(compiled.policy, [{}]), **raiser)
        assert (judgement.verdict, judgement.shadow_verdict) == (ALLOW, REVIEW)


class TestNotEvaluated:
    @pytest.mark.parametrize("on_error", Verdict)
    def test_an_enforced_category_that_is_not_finite_gives_at_least_on_error(self, on_error: Verdict) -> None:
        policy = make_policy([make_category("c", review=0.2), make_category("d", review=0.2)], on_error=on_error)
        judgement = judge_cosines(policy, {"c": math.nan})
        broken, whole = judgement.categories
        assert judgement.verdict is on_error
        assert judgement.raised_by == (() if on_error is ALLOW else (Raise.NOT_EVALUATED,))
        assert (broken.unevaluated, broken.scored, broken.band) == (Unevaluated.NON_FINITE, None, None)
        assert whole.unevaluated is None

    def test_a_shadow_category_that_is_not_finite_raises_the_shadow_verdict_only(self) -> None:
        policy = make_policy([make_category("c", mode=Mode.SHADOW, review=0.2), make_category("d", review=0.2)])
        judgement = judge_cosines(policy, {"c": math.nan})
        assert (judgement.verdict, judgement.shadow_verdict) == (ALLOW, REVIEW)

    def test_an_attribute_that_is_not_finite_is_reported_without_numbers(self) -> None:
        policy = make_policy([make_category("c", review=0.2)], attributes=[make_attribute("museum")])
        judgement = judge_cosines(policy, {"museum": math.nan})
        assert judgement.attributes[0].scored is None
        assert judgement.verdict is ALLOW

    def test_disabled_categories_say_so_and_never_count(self) -> None:
        policy = make_policy([make_category("c", mode=Mode.DISABLED, review=0.2)], on_error=BLOCK)
        judgement = judge_cosines(policy)
        result = judgement.categories[0]
        assert (result.unevaluated, result.scored, result.band) == (Unevaluated.DISABLED, None, None)
        assert result.bounds == Bounds(review=0.2)
        assert (judgement.verdict, judgement.shadow_verdict) == (ALLOW, ALLOW)

    @given(case=cases(), view=st.integers(0, 2), broken=st.sampled_from([np.nan, np.inf, -np.inf]))
    def test_a_broken_view_is_never_a_silent_number_nor_less_than_on_error(
        self, case: Case, view: int, broken: float
    ) -> None:
        case.rows[view % len(case.rows)] = broken
        judgement = judge_case(case)
        for result in judgement.categories:
            disabled = result.category.mode is Mode.DISABLED
            assert result.scored is None
            assert result.band is None
            assert result.unevaluated is (Unevaluated.DISABLED if disabled else Unevaluated.NON_FINITE)
        assert all(attribute.scored is None for attribute in judgement.attributes)
        assert judgement.verdict is (case.policy.on_error if judgement.enforced_categories else ALLOW)


class TestContexts:
    def policy(self) -> Policy:
        overrides = {
            "shop": Override(review=0.4, block=0.8),
            "half": Override(block=0.9),
            "late": Override(review=0.4),
        }
        return make_policy(
            [make_category("c", review=0.2, block=0.5, contexts=overrides)], contexts=["shop", "half", "late", "plain"]
        )

    @pytest.mark.parametrize(
        ("context", "bounds", "band"),
        [
            (None, Bounds(review=0.2, block=0.5), BLOCK),
            ("shop", Bounds(review=0.4, block=0.8), REVIEW),
            ("half", Bounds(review=0.2, block=0.9), REVIEW),
            ("late", Bounds(review=0.4, block=0.5), BLOCK),
            ("plain", Bounds(review=0.2, block=0.5), BLOCK),
        ],
    )
    def test_override_bounds_and_inherit_those_left_out(
        self, context: str | None, bounds: Bounds, band: Verdict
    ) -> None:
        judgement = judge_cosines(self.policy(), {"c": 0.6}, context=context)
        assert judgement.categories[0].bounds == bounds
        assert judgement.verdict is band

    def test_undeclared_is_refused_with_those_declared(self) -> None:
        with pytest.raises(ContextUnknownError, match=r"'shpo'.*: shop, half, late, plain$"):
            judge_cosines(self.policy(), context="shpo")

    def test_undeclared_is_refused_before_any_image_is_decoded(self) -> None:
        tables = prepare(compile_with_random_vectors(make_policy([make_category("c")])))
        require_context(tables, None)
        with pytest.raises(ContextUnknownError, match="it declares: none"):
            require_context(tables, "shop")

    MODES: ClassVar = {
        "open": Override(mode=Mode.DISABLED),
        "watched": Override(mode=Mode.SHADOW),
        "strict": Override(mode=Mode.ENFORCE, block=0.4),
    }
    NAMES = ("open", "watched", "strict", "plain")

    @pytest.mark.parametrize(
        ("own", "context", "mode", "verdict", "shadow"),
        [
            (Mode.ENFORCE, None, Mode.ENFORCE, BLOCK, BLOCK),
            (Mode.ENFORCE, "open", Mode.DISABLED, ALLOW, ALLOW),
            (Mode.ENFORCE, "watched", Mode.SHADOW, ALLOW, BLOCK),
            (Mode.ENFORCE, "plain", Mode.ENFORCE, BLOCK, BLOCK),
            (Mode.SHADOW, None, Mode.SHADOW, ALLOW, BLOCK),
            (Mode.SHADOW, "strict", Mode.ENFORCE, BLOCK, BLOCK),
            (Mode.DISABLED, None, Mode.DISABLED, ALLOW, ALLOW),
            (Mode.DISABLED, "watched", Mode.SHADOW, ALLOW, BLOCK),
            (Mode.DISABLED, "strict", Mode.ENFORCE, BLOCK, BLOCK),
        ],
    )
    def test_choose_the_mode(
        self, own: Mode, context: str | None, mode: Mode, verdict: Verdict, shadow: Verdict
    ) -> None:
        category = make_category("c", mode=own, review=0.2, block=0.5, contexts=self.MODES)
        judgement = judge_cosines(make_policy([category], contexts=self.NAMES), {"c": 0.6}, context=context)
        result = judgement.categories[0]
        assert (result.mode, judgement.verdict, judgement.shadow_verdict) == (mode, verdict, shadow)
        assert judgement.enforced_categories == (mode is Mode.ENFORCE)
        assert judgement.decided_by == (("c",) if mode is Mode.ENFORCE else ())
        disabled = mode is Mode.DISABLED
        assert result.unevaluated is (Unevaluated.DISABLED if disabled else None)
        assert (result.scored is None, result.band) == (disabled, None if disabled else BLOCK)

    def test_let_a_score_pass_that_is_blocked_elsewhere_even_where_it_is_not_finite(self) -> None:
        category = make_category("c", block=0.5, contexts=self.MODES)
        policy = make_policy([category, make_category("d", review=0.5)], contexts=self.NAMES, on_error=BLOCK)
        assert judge_cosines(policy, {"c": math.nan}).raised_by == (Raise.NOT_EVALUATED,)
        there = judge_cosines(policy, {"c": math.nan}, context="open")
        assert (there.verdict, there.raised_by, there.enforced_categories) == (ALLOW, (), 1)
        assert there.categories[0].unevaluated is Unevaluated.DISABLED

    def test_leave_the_shadow_verdict_incomplete_only_where_the_category_counts(self) -> None:
        category = make_category("c", mode=Mode.SHADOW, block=0.5, contexts={"open": Override(mode=Mode.DISABLED)})
        compiled = compile_with_random_vectors(make_policy([category], contexts=self.NAMES))
        unbound = replace(compiled, unbound={"c": Unbound.NOT_CHOSEN})
        rows = cosine_rows(compiled.policy, [{"c": 0.6}])
        found = {name: judge_rows(unbound, rows, context=name).shadow_incomplete for name in (None, "plain", "open")}
        assert found == {None: ("c",), "plain": ("c",), "open": ()}

    def test_order_what_decides_by_severity_among_what_is_enforced_there(self) -> None:
        strict = {"strict": Override(mode=Mode.ENFORCE)}
        policy = make_policy(
            [
                make_category("mild", severity=1, block=0.5),
                make_category("grave", severity=4, block=0.5, mode=Mode.DISABLED, contexts=strict),
            ],
            contexts=["strict"],
        )
        seen = {"mild": 0.6, "grave": 0.6}
        assert judge_cosines(policy, seen).decided_by == ("mild",)
        assert judge_cosines(policy, seen, context="strict").decided_by == ("grave", "mild")

    @settings(max_examples=150)
    @given(case=cases(), given_=circumstances)
    def test_equal_a_policy_with_the_overrides_written_into_its_categories(
        self, case: Case, given_: Circumstances
    ) -> None:
        judgement = judge_case(case, **given_)
        context = given_.pop("context", None)
        plain = judge_case(without_context(case, context), **given_)
        same = [
            found._replace(category=other.category)
            for found, other in zip(judgement.categories, plain.categories, strict=True)
        ]
        changes = {"context": None, "policy_digest": plain.policy_digest, "categories": tuple(same)}
        assert replace(judgement, **changes) == plain


class TestUnbound:
    """Thresholds that do not hold."""

    def judged(self, why: Unbound, *, score: float = 0.9) -> Judgement:
        policy = make_policy(
            [
                make_category("b", mode=Mode.SHADOW, severity=1, block=0.5),
                make_category("a", mode=Mode.SHADOW, severity=1, review=0.1, contexts={"shop": Override(block=0.2)}),
                make_category("worse", mode=Mode.SHADOW, severity=3, review=0.1),
                make_category("off", mode=Mode.DISABLED, review=0.1),
                make_category("holds", review=0.5),
                make_category("bare", mode=Mode.SHADOW),
            ],
            contexts=["shop"],
        )
        compiled = compile_with_random_vectors(policy)
        unbound = replace(compiled, unbound=dict.fromkeys(("a", "b", "worse", "off"), why))
        rows = cosine_rows(policy, [{"a": score, "b": score, "worse": score, "holds": 0.4}])
        return judge_rows(unbound, rows, context="shop")

    @pytest.mark.parametrize("why", Unbound)
    def test_give_no_band_and_say_why(self, why: Unbound) -> None:
        results = {result.id: result for result in self.judged(why).categories}
        for name in ("a", "b", "worse"):
            result = results[name]
            assert (result.band, result.no_band, result.bounds) == (None, NoBand[why.name], Bounds())
            assert result.scored is not None
            assert result.scored.score == pytest.approx(0.9)
        assert (results["holds"].band, results["holds"].no_band) == (ALLOW, None)
        assert (results["bare"].band, results["bare"].no_band) == (None, NoBand.NO_THRESHOLDS)

    def test_are_named_beside_the_shadow_verdict_the_most_severe_first(self) -> None:
        judgement = self.judged(Unbound.NOT_CHOSEN)
        assert (judgement.verdict, judgement.shadow_verdict) == (ALLOW, ALLOW)
        assert judgement.shadow_incomplete == ("worse", "bare", "a", "b")

    def test_do_not_hide_what_cannot_be_evaluated(self) -> None:
        judgement = self.judged(Unbound.CHOSEN_ON_OTHER, score=math.nan)
        assert judgement.shadow_verdict is REVIEW  # on_error
        assert judgement.shadow_incomplete == ("worse", "bare", "a", "b")


class TestExemptions:
    def policy(self, *, mode: Mode = Mode.ENFORCE, gte: float = 0.25) -> Policy:
        exemptions = [Exemption(attribute="museum", gte=gte), Exemption(attribute="archive", gte=gte)]
        return make_policy(
            [make_category("c", mode=mode, review=0.2, block=0.5, exemptions=exemptions)],
            attributes=[make_attribute("museum"), make_attribute("archive")],
        )

    def test_turn_block_into_review_and_name_the_attribute(self) -> None:
        judgement = judge_cosines(self.policy(), {"c": 0.6, "museum": 0.25})
        assert judgement.verdict is REVIEW
        assert judgement.decided_by == ("c",)
        assert judgement.categories[0].exempted_by == "museum"

    @pytest.mark.parametrize("museum", [0.24, math.nan, math.inf])
    def test_need_the_attribute_inclusively_and_finite(self, museum: float) -> None:
        judgement = judge_cosines(self.policy(), {"c": 0.6, "museum": museum})
        assert judgement.verdict is BLOCK
        assert judgement.categories[0].exempted_by is None

    def test_do_not_hold_by_an_attribute_whose_calibration_was_dropped(self) -> None:
        museum = replace(make_attribute("museum", method=Method.MARGIN), calibration=make_calibration(0.0))
        exemptions = [Exemption(attribute="museum", gte=0.25), Exemption(attribute="archive", gte=0.25)]
        category = make_category("c", mode=Mode.SHADOW, review=0.2, block=0.5, exemptions=exemptions)
        policy = make_policy([category], attributes=[museum, make_attribute("archive")])
        assert compile_with_random_vectors(policy).dropped_calibrations == {"museum"}
        judgement = judge_cosines(policy, {"c": 0.6, "museum": 0.9})
        assert judgement.shadow_verdict is BLOCK
        assert judgement.categories[0].exempted_by is None
        assert judge_cosines(policy, {"c": 0.6, "museum": 0.9, "archive": 0.25}).shadow_verdict is REVIEW

    @pytest.mark.parametrize("score", [0.1, 0.3])
    def test_leave_lesser_bands_alone(self, score: float) -> None:
        judgement = judge_cosines(self.policy(), {"c": score, "museum": 0.9})
        assert judgement.verdict is (REVIEW if score >= 0.2 else ALLOW)
        assert judgement.categories[0].exempted_by is None

    def test_name_the_first_by_id_so_that_file_order_changes_nothing(self) -> None:
        judgement = judge_cosines(self.policy(), {"c": 0.6, "museum": 0.9, "archive": 0.3})
        assert judgement.categories[0].exempted_by == "archive"

    def test_do_not_reach_over_from_another_view(self) -> None:
        museum_on_white, weapon_on_black = {"museum": 0.9}, {"c": 0.6}
        judgement = judge_cosines(self.policy(), museum_on_white, weapon_on_black)
        assert judgement.verdict is BLOCK
        assert judge_cosines(self.policy(), {}, museum_on_white | weapon_on_black).verdict is REVIEW

    def test_do_not_hide_a_view_that_blocks_behind_a_worse_one_that_is_exempt(self) -> None:
        result = judge_cosines(self.policy(), {"c": 0.55}, {"c": 0.75, "museum": 0.5}, {"c": 0.625}).categories[0]
        assert (result.band, result.exempted_by) == (BLOCK, None)
        assert result.scored is not None
        assert (result.scored.score, result.scored.view.frame) == (0.625, 2)

    def test_report_the_worst_view_and_its_attribute_where_every_block_is_exempt(self) -> None:
        first, second = {"c": 0.5, "archive": 0.75}, {"c": 0.75, "museum": 0.25}
        result = judge_cosines(self.policy(), first, second, {"c": 0.25}).categories[0]
        assert (result.band, result.exempted_by) == (REVIEW, "museum")
        assert result.scored is not None
        assert (result.scored.score, result.scored.view.frame) == (0.75, 1)

    def test_act_where_the_attribute_holds_even_if_it_scores_higher_elsewhere(self) -> None:
        museum, weapon_in_a_museum = {"museum": 0.9}, {"c": 0.6, "museum": 0.25}
        assert judge_cosines(self.policy(), museum, weapon_in_a_museum).categories[0].exempted_by == "museum"
        assert judge_cosines(self.policy(), {"museum": math.nan}, weapon_in_a_museum).verdict is BLOCK

    def test_look_at_the_bound_of_the_context(self) -> None:
        category = make_category(
            "c",
            block=0.75,
            exemptions=[Exemption(attribute="museum", gte=0.25)],
            contexts={"shop": Override(block=0.5)},
        )
        policy = make_policy([category], attributes=[make_attribute("museum")], contexts=["shop"])
        views = {"c": 0.55}, {"c": 0.8, "museum": 0.5}
        assert judge_cosines(policy, *views).verdict is REVIEW
        assert judge_cosines(policy, *views, context="shop").verdict is BLOCK

    def test_compare_the_logit_where_sigmoids_are_equal(self) -> None:
        category = make_category(
            "c", method=Method.MARGIN, block=0.5, exemptions=[Exemption(attribute="museum", gte=0.25)]
        )
        policy = make_policy([category], attributes=[make_attribute("museum")])
        views = {"c": 0.5}, {"c": 0.75}, {"c": 0.9, "museum": 0.5}  # sigmoids of 50 and more: all are 1.0
        result = judge_cosines(policy, *views).categories[0]
        assert result.scored is not None
        assert (result.band, result.scored.view.frame) == (BLOCK, 1)

    def test_compare_the_attribute_in_its_own_score(self) -> None:
        attribute = make_attribute("museum", method=Method.MARGIN)
        exemption = Exemption(attribute="museum", gte=0.9)
        policy = make_policy([make_category("c", block=0.5, exemptions=[exemption])], attributes=[attribute])
        assert judge_cosines(policy, {"c": 0.6, "museum": 0.05}).verdict is REVIEW
        assert judge_cosines(policy, {"c": 0.6, "museum": 0.01}).verdict is BLOCK

    @given(case=cases(), context=contexts)
    def test_only_ever_turn_block_into_review(self, case: Case, context: str | None) -> None:
        bare = with_categories(case.policy, *(replace(item, exemptions=()) for item in case.policy.categories))
        exempted, strict = judge_case(case, context=context), judge_case(case, bare, context=context)
        for with_, without in zip(exempted.categories, strict.categories, strict=True):
            changed = with_.band is not without.band
            assert changed == (with_.exempted_by is not None)
            assert not changed or (without.band, with_.band) == (BLOCK, REVIEW)
        assert exempted.verdict is strict.verdict or (strict.verdict, exempted.verdict) == (BLOCK, REVIEW)


class TestProperties:
    @settings(max_examples=150)
    @given(case=cases(), given_=circumstances)
    def test_verdicts_equal_the_slow_reference(self, case: Case, given_: Circumstances) -> None:
        judgement = judge_case(case, **given_)
        views = [
            self.scored_by_id(judge_case(replace(case, rows=row[np.newaxis]), context=given_["context"]))
            for row in case.rows
        ]
        for verdict, modes in (
            (judgement.verdict, {Mode.ENFORCE}),
            (judgement.shadow_verdict, {Mode.ENFORCE, Mode.SHADOW}),
        ):
            assert verdict is slow_verdict(case.policy, views, modes=modes, **given_)

    def scored_by_id(self, judgement: Judgement) -> dict[str, Scored]:
        results: list[CategoryResult | AttributeResult] = [*judgement.categories, *judgement.attributes]
        return {item.id: item.scored for item in results if item.scored}

    @given(case=cases(), context=contexts)
    def test_every_band_can_be_worked_out_from_the_report_alone(self, case: Case, context: str | None) -> None:
        judgement = judge_case(case, context=context)
        for result in judgement.categories:
            assert result.band is self.band_from_report(result)
        enforced = [each for each in judgement.categories if slow_mode(each.category, context) is Mode.ENFORCE]
        bands = [result.band for result in enforced if result.band]
        assert judgement.verdict is max(bands, default=ALLOW)

    def band_from_report(self, result: CategoryResult) -> Verdict | None:
        """Repeat a client's arithmetic: doubles, `>=`, nothing rounded."""
        thresholds = result.category.thresholds
        if result.scored is None or thresholds is None:
            return None
        number = result.scored.score
        if thresholds.unit is Unit.COSINE:
            assert result.scored.cosine is not None
            number = result.scored.cosine + (result.scored.adjustment.add if result.scored.adjustment else 0.0)
        if result.bounds.block is not None and number >= result.bounds.block:
            return REVIEW if result.exempted_by else BLOCK
        return REVIEW if result.bounds.review is not None and number >= result.bounds.review else ALLOW

    @given(case=cases(), given_=circumstances)
    def test_shadow_never_changes_the_verdict(self, case: Case, given_: Circumstances) -> None:
        without = judge_case(self.without_shadow(case, given_["context"]), **given_)
        judgement = judge_case(case, **given_)
        assert judgement.verdict is without.verdict
        assert judgement.decided_by == without.decided_by
        assert judgement.raised_by == without.raised_by

    def without_shadow(self, case: Case, context: str | None) -> Case:
        """Disable every category that is in shadow in a context; its texts then have no rows."""
        plain = without_context(case, context)
        categories = [
            replace(item, mode=Mode.DISABLED) if item.mode is Mode.SHADOW else item for item in plain.policy.categories
        ]
        return with_rows_of(plain, with_categories(plain.policy, *categories))

    @given(case=cases(), given_=circumstances)
    def test_enforcing_shadow_makes_the_verdict_what_the_shadow_verdict_said(
        self, case: Case, given_: Circumstances
    ) -> None:
        plain = without_context(case, given_["context"])
        enforced = [
            replace(item, mode=Mode.ENFORCE) if item.mode is Mode.SHADOW else item for item in plain.policy.categories
        ]
        promised = judge_case(case, **given_).shadow_verdict
        judgement = judge_case(plain, with_categories(plain.policy, *enforced), **given_)
        assert judgement.verdict is promised is judgement.shadow_verdict

    @given(case=cases(), lower=cosine)
    def test_a_lower_bound_never_gives_a_milder_verdict(self, case: Case, lower: float) -> None:
        def lowered(item: Category) -> Category:
            if item.thresholds is None:
                return item
            old = item.thresholds.bounds
            new = Bounds(
                review=None if old.review is None else min(old.review, lower),
                block=None if old.block is None else min(old.block, lower),
            )
            return replace(item, thresholds=Thresholds(unit=item.thresholds.unit, bounds=new))

        stricter = judge_case(case, with_categories(case.policy, *map(lowered, case.policy.categories)))
        milder = judge_case(case)
        assert stricter.verdict >= milder.verdict
        assert stricter.shadow_verdict >= milder.shadow_verdict

    @given(case=cases())
    def test_another_view_never_gives_a_milder_band(self, case: Case) -> None:
        whole = judge_case(case)
        first = judge_case(replace(case, rows=case.rows[:1]))
        for more, fewer in zip(whole.categories, first.categories, strict=True):
            assert (more.band or ALLOW) >= (fewer.band or ALLOW)

    @given(case=cases(), context=contexts)
    def test_decided_by_explains_the_verdict_together_with_raised_by(self, case: Case, context: str | None) -> None:
        judgement = judge_case(case, context=context, partial=True)
        by_id = {result.id: result for result in judgement.categories}
        assert all(by_id[name].band is judgement.verdict for name in judgement.decided_by)
        explained = bool(judgement.decided_by) or bool(judgement.raised_by)
        assert explained == (judgement.verdict is not ALLOW)
        assert not (judgement.decided_by and judgement.raised_by)
