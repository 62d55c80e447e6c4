"""Scores: equal to the formulas, a function of one image alone, and never a silent number for a broken one."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.schema import Concept, Method, Mode, Policy, Pool
from clipwarden.scoring.bestview import best_views
from clipwarden.scoring.score import cosines, score_rows, sigmoid
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import Match, Scored, ScoreKind, ViewRef
from kit.builders import (
    FULL,
    compile_with_random_vectors,
    cosine_rows,
    judge_cosines,
    make_attribute,
    make_category,
    make_policy,
    unit_vectors,
)
from kit.reference_scorer import slow_scores
from kit.strategies import Case, cases, cosine

TIGHT = 1e-9  # between float64 sums in two orders, at a logit scale of 100


def score_all(policy: Policy, rows: NDArray[np.float32], *, logit_scale: float = 100.0) -> list[Scored | None]:
    tables = prepare(compile_with_random_vectors(policy, logit_scale=logit_scale))
    views = [ViewRef(name="full", frame=number) for number in range(len(rows))]
    return best_views(score_rows(rows, tables), views, tables)


def score_one(concept_policy: Policy, *views: dict[str, float], background: float = 0.0) -> Scored:
    scored = score_all(concept_policy, cosine_rows(concept_policy, views, background=background))[0]
    assert scored is not None
    return scored


class TestCosines:
    def compiled(self, prompts: int = 37) -> CompiledPolicy:
        texts = [f"p{number}" for number in range(prompts)]
        return compile_with_random_vectors(make_policy([make_category(prompts=texts)]), dim=65)

    def test_are_dot_products_with_every_text_and_the_background(self) -> None:
        compiled = self.compiled()
        images = unit_vectors(5, 65, seed=9)
        rows = cosines(images, compiled)
        assert rows.dtype == np.float32
        assert rows.shape == (5, 38)
        np.testing.assert_allclose(rows, images.astype(np.float64) @ compiled.vectors.T.astype(np.float64), atol=1e-6)

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 33])
    def test_of_one_image_are_the_same_bits_in_every_batch(self, count: int) -> None:
        compiled = self.compiled()
        images = unit_vectors(64, 65, seed=9)
        np.testing.assert_array_equal(cosines(images[:count], compiled), cosines(images, compiled)[:count])

    def test_of_one_text_are_the_same_bits_wherever_it_stands(self) -> None:
        compiled = self.compiled()
        images = unit_vectors(2, 65, seed=9)
        order = np.random.default_rng(4).permutation(38)
        moved = replace(compiled, vectors=compiled.vectors[order])
        np.testing.assert_array_equal(cosines(images, moved), cosines(images, compiled)[:, order])

    @pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
    def test_of_a_broken_embedding_are_not_finite_and_spoil_no_neighbour(self, broken: float) -> None:
        compiled = self.compiled()
        images = unit_vectors(3, 65, seed=9)
        whole = cosines(images, compiled)
        images[1, 7] = broken
        rows = cosines(images, compiled)
        assert not np.isfinite(rows[1]).any()
        np.testing.assert_array_equal(rows[[0, 2]], whole[[0, 2]])


class TestAgainstTheFormulas:
    @settings(max_examples=150)
    @given(case=cases())
    def test_scores_equal_the_slow_reference(self, case: Case) -> None:
        scored = score_all(case.policy, case.rows, logit_scale=case.logit_scale)
        expected = slow_scores(case.policy, case.rows.tolist(), scale=case.logit_scale)
        for concept, fast, slow in zip(scored_concepts(case.policy), scored, expected, strict=True):
            assert fast is not None
            assert fast.cosine == pytest.approx(slow.cosine, abs=TIGHT)
            assert fast.score == pytest.approx(slow.score, rel=TIGHT, abs=TIGHT)
            assert (fast.margin is None) == (slow.margin is None)
            if slow.margin is not None:
                assert fast.margin == pytest.approx(slow.margin, abs=1e-7)
            self.check_witnesses(concept, fast, case)

    def check_witnesses(self, concept: Concept, fast: Scored, case: Case) -> None:
        """The texts named are the best of the view named, whichever of two equal views that is."""
        seen = case.rows[[fast.view.frame]].tolist()
        slow = slow_scores(case.policy, seen, scale=case.logit_scale)[scored_concepts(case.policy).index(concept)]
        assert fast.score == pytest.approx(slow.score, rel=TIGHT, abs=TIGHT)
        assert fast.prompt.phrase == concept.prompts[slow.prompt].text
        if slow.contrast is None:
            assert fast.contrast is None
        else:
            assert fast.contrast is not None
            assert fast.contrast.phrase == concept.negatives[slow.contrast]

    def test_margin_takes_half_of_the_excess_of_the_best_negative(self) -> None:
        policy = make_policy([make_category("c", negatives=["n", "o"], method=Method.MARGIN, bias=-2.0)])
        scored = score_one(policy, {"c": 0.25, "n": 0.3125, "o": 0.1}, background=0.125)
        assert scored.margin == 100 * ((0.25 - 0.125) - 0.5 * 0.0625)
        assert scored.score == pytest.approx(1 / (1 + math.exp(-(scored.margin - 2.0))), rel=1e-15)
        assert scored.contrast == Match(phrase="n", cosine=0.3125)

    @pytest.mark.parametrize("huge", [3e38, -3e38])
    def test_cosines_too_large_to_square_count_as_those_they_are_clipped_to(self, huge: float) -> None:
        policy = make_policy([make_category("c", negatives=["n"], method=Method.MARGIN)])
        whole = score_one(policy, {"c": math.copysign(1.0, huge), "n": 0.2})
        assert score_one(policy, {"c": huge, "n": 0.2}) == whole

    def test_a_negative_below_the_prompt_costs_nothing(self) -> None:
        policy = make_policy([make_category("c", negatives=["n"], method=Method.MARGIN)])
        assert score_one(policy, {"c": 0.25, "n": 0.2}).margin == 25.0

    def test_weights_count_in_mean_and_lse_as_written(self) -> None:
        for pool, expected in (
            (Pool.MEAN, 0.28125),
            (Pool.LSE, math.log((3 * math.exp(25) + math.exp(37.5)) / 4) / 100),
        ):
            policy = make_policy([make_category(prompts=[("p", 3.0), ("q", 1.0)], pool=pool)])
            assert score_one(policy, {"p": 0.25, "q": 0.375}).cosine == pytest.approx(expected, rel=1e-14)

    def test_lse_survives_scales_whose_exponentials_overflow(self) -> None:
        policy = make_policy([make_category(prompts=[("p", 1.0), ("q", 1.0)], pool=Pool.LSE)])
        scored = score_all(policy, cosine_rows(policy, [{"p": 0.5, "q": -1.0}]), logit_scale=1e6)[0]
        assert scored is not None
        assert scored.cosine == pytest.approx(0.5, abs=1e-6)

    def test_kind_says_how_a_score_may_be_read(self) -> None:
        kinds = {
            ScoreKind.RAW_COSINE: make_category("c"),
            ScoreKind.UNCALIBRATED: make_category("c", method=Method.MARGIN),
            ScoreKind.CALIBRATED: make_category("c", method=Method.MARGIN, bias=0.5),
        }
        for kind, category in kinds.items():
            assert score_one(make_policy([category]), {"c": 0.2}).kind is kind

    def test_pair_probability_is_reported_for_models_with_a_bias_only(self) -> None:
        policy = make_policy([make_category("c", method=Method.MARGIN)])
        without = judge_cosines(policy, {"c": 0.125}).categories[0].scored
        with_bias = judge_cosines(policy, {"c": 0.125}, logit_bias=-13.0).categories[0].scored
        assert without is not None
        assert with_bias is not None
        assert without.pair_probability is None
        assert with_bias.pair_probability == pytest.approx(1 / (1 + math.exp(0.5)), rel=1e-15)
        assert with_bias.score == without.score

    def test_cosines_past_one_by_rounding_are_clipped(self) -> None:
        policy = make_policy([make_category("c"), make_category("d")])
        rows = np.array([[1.0000001, -1.0000001, 0.0]], dtype=np.float32)
        assert [item.score for item in score_all(policy, rows) if item] == [1.0, -1.0]


class TestProperties:
    @given(case=cases(), extra=cosine)
    def test_adding_a_prompt_never_lowers_max(self, case: Case, extra: float) -> None:
        categories = [replace(item, pool=Pool.MAX, mode=Mode.ENFORCE) for item in case.policy.categories]
        before = replace(case.policy, categories=tuple(categories))
        rows = np.pad(case.rows, ((0, 0), (0, 40)))[:, : self.width(before)]
        grown = replace(categories[0], prompts=(*categories[0].prompts, *make_category(prompts=["new"]).prompts))
        after = replace(before, categories=(grown, *categories[1:]))
        more = np.insert(rows, len(categories[0].prompts), np.float32(extra), axis=1)
        old = score_all(before, rows, logit_scale=case.logit_scale)[0]
        new = score_all(after, more, logit_scale=case.logit_scale)[0]
        assert old is not None
        assert new is not None
        assert new.score >= old.score
        assert old.margin is None or (new.margin is not None and new.margin >= old.margin)
        # With several views another one may win on its margin, and then its cosine is the one reported.
        assert len(rows) > 1 or new.cosine >= old.cosine

    def width(self, policy: Policy) -> int:
        return sum(len(item.prompts) + len(item.negatives) for item in scored_concepts(policy)) + 1

    @given(case=cases(views=st.integers(2, 4)))
    def test_views_give_the_greatest_of_their_scores_and_name_the_view(self, case: Case) -> None:
        together = score_all(case.policy, case.rows, logit_scale=case.logit_scale)
        apart = [score_all(case.policy, row[np.newaxis], logit_scale=case.logit_scale) for row in case.rows]
        for concept, found in enumerate(together):
            assert found is not None
            alone = [scored for view in apart if (scored := view[concept]) is not None]
            assert found.score == max(scored.score for scored in alone)
            named = alone[found.view.frame]
            assert (named.score, named.cosine, named.margin, named.prompt, named.contrast) == (
                found.score,
                found.cosine,
                found.margin,
                found.prompt,
                found.contrast,
            )

    @given(case=cases(), seed=st.integers(0, 2**32 - 1))
    def test_order_of_categories_and_texts_changes_no_score(self, case: Case, seed: int) -> None:
        random = np.random.default_rng(seed)
        compiled = compile_with_random_vectors(case.policy)
        image = unit_vectors(1, 32, seed=seed % 1000)
        shuffled = replace(
            case.policy,
            categories=tuple(
                replace(
                    item,
                    prompts=tuple(item.prompts[place] for place in random.permutation(len(item.prompts))),
                    negatives=tuple(item.negatives[place] for place in random.permutation(len(item.negatives))),
                )
                for item in (case.policy.categories[place] for place in random.permutation(len(case.policy.categories)))
            ),
        )
        before = self.by_id(compiled, image)
        after = self.by_id(compile_with_random_vectors(shuffled), image)
        assert before.keys() == after.keys()
        for name, scored in before.items():
            assert after[name].score == pytest.approx(scored.score, rel=1e-12, abs=1e-15)
            assert after[name].prompt == scored.prompt
            assert after[name].contrast == scored.contrast

    def by_id(self, compiled: CompiledPolicy, image: NDArray[np.float32]) -> dict[str, Scored]:
        tables = prepare(compiled)
        scored = best_views(score_rows(cosines(image, compiled), tables), [FULL], tables)
        ids = [concept.id for concept in scored_concepts(compiled.policy)]
        return {name: item for name, item in zip(ids, scored, strict=True) if item is not None}

    @given(low=st.floats(-1e6, 1e6), steps=st.integers(1, 5))
    def test_sigmoid_never_decreases_even_in_its_last_bit(self, low: float, steps: int) -> None:
        points = [low]
        for _ in range(steps):
            points.append(float(np.nextafter(points[-1], np.inf)))
        values = sigmoid(np.array(points))
        assert (np.diff(values) >= 0).all()
        assert ((values > 0) & (values <= 1)).all()

    @given(case=cases(), seed=st.integers(0, 2**32 - 1))
    def test_rows_of_many_images_score_as_each_alone(self, case: Case, seed: int) -> None:
        tables = prepare(compile_with_random_vectors(case.policy, logit_scale=case.logit_scale))
        order = np.random.default_rng(seed).permutation(len(case.rows))
        whole = score_rows(case.rows, tables)
        np.testing.assert_array_equal(score_rows(case.rows[order], tables).score, whole.score[order])


class TestNotFinite:
    @pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("text", ["p", "q", "n"])
    def test_any_broken_text_cosine_silences_its_concept_alone(self, broken: float, text: str) -> None:
        policy = make_policy(
            [make_category("c", prompts=["p", "q"], negatives=["n"], method=Method.MARGIN), make_category("d")]
        )
        scored = score_all(policy, cosine_rows(policy, [{"p": 0.1, "q": 0.2, "d": 0.3, text: broken}]))
        assert scored[0] is None
        assert scored[1] is not None

    def test_a_broken_background_silences_margins_only(self) -> None:
        policy = make_policy([make_category("c", method=Method.MARGIN), make_category("d")])
        margin, cosine_ = score_all(policy, cosine_rows(policy, [{"d": 0.3}], background=np.nan))
        assert margin is None
        assert cosine_ is not None

    def test_one_broken_view_silences_the_image_since_it_may_be_the_worst(self) -> None:
        policy = make_policy([make_category("c")])
        assert score_all(policy, cosine_rows(policy, [{"c": 0.9}, {"c": math.nan}])) == [None]

    @pytest.mark.parametrize("other", [0.5, math.nan])
    def test_a_score_that_comes_out_as_nan_is_silenced(self, other: float) -> None:
        sound, broken = (
            make_policy([make_category("c", method=Method.MARGIN, bias=bias), make_category("d")])
            for bias in (0.0, math.nan)
        )
        tables = prepare(replace(compile_with_random_vectors(sound), policy=broken))
        rows = cosine_rows(broken, [{"c": 0.9, "d": other}])
        assert best_views(score_rows(rows, tables), [ViewRef(name="full")], tables)[0] is None


class TestTables:
    def test_vectors_that_do_not_fit_the_texts_are_a_fault_of_the_compiler(self) -> None:
        compiled = compile_with_random_vectors(make_policy([make_category(prompts=["p", "q"])]))
        with pytest.raises(ValueError, match="2 texts"):
            prepare(replace(compiled, vectors=compiled.vectors[1:]))

    def test_disabled_categories_have_no_rows(self) -> None:
        policy = make_policy(
            [make_category("off", mode=Mode.DISABLED), make_category("on")], attributes=[make_attribute("a")]
        )
        assert prepare(compile_with_random_vectors(policy)).rows.phrases == ("on", "a")

    def test_a_policy_that_scores_nothing_is_still_judged(self) -> None:
        policy = make_policy([make_category("off", mode=Mode.DISABLED)])
        assert judge_cosines(policy).categories[0].scored is None


def test_a_calibration_that_was_dropped_scores_nothing() -> None:
    fitted = make_category(negatives=["toy"], method=Method.MARGIN, bias=4.0, review=0.5, mode=Mode.SHADOW)
    calibrated = compile_with_random_vectors(make_policy([fitted]))
    stale = replace(calibrated, dropped_calibrations=frozenset({fitted.id}))
    without = compile_with_random_vectors(make_policy([replace(fitted, calibration=None)]))
    view = unit_vectors(1, 32, seed=5)
    scores = {}
    for name, compiled in (("calibrated", calibrated), ("stale", stale), ("without", without)):
        tables = prepare(compiled)
        scored = best_views(score_rows(cosines(view, compiled), tables), [ViewRef(name="full")], tables)[0]
        assert scored is not None
        scores[name] = scored
    assert scores["stale"] == scores["without"]
    assert scores["stale"].kind is ScoreKind.UNCALIBRATED
    assert scores["calibrated"].kind is ScoreKind.CALIBRATED
    assert scores["calibrated"].score > scores["stale"].score
