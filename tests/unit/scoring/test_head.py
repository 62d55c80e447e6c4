"""Heads: equal to the arithmetic written out, a function of one image alone, and never a silent number."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from clipwarden.policy.schema import Attribute, Exemption, Head, Method, Policy, Pool, Verdict
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines, head_logits
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import Judgement, Raise, ScoreKind, Unevaluated, ViewRef
from kit.builders import compile_with_random_vectors, make_category, make_head, make_policy, unit_vectors

# On [x, y]: hidden [2x + y, x - y + 1], ReLU, logit = h0 - 3 h1 + 0.5.
TWO_LAYERS = make_head(([[2, 1], [1, -1]], [0, 1]), ([[1, -3]], [0.5]))
ONE_LAYER = make_head(([[4, 0]], [-2]))


def seen(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def judged(policy: Policy, embeddings: NDArray[np.float32]) -> Judgement:
    compiled = compile_with_random_vectors(policy, dim=embeddings.shape[1])
    views = [ViewRef(name="full", frame=number) for number in range(len(embeddings))]
    rows = cosines(embeddings, compiled)
    return judge(rows, views, prepare(compiled), context=None, partial=False, degraded=False)


def headed(head: Head = TWO_LAYERS, **choices: object) -> Policy:
    return make_policy([make_category("nsfw", head=head, **choices)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "logit"),
    [
        ([0.6, 0.8], 2.0 - 3 * 0.8 + 0.5),  # hidden [2, 0.8]
        ([-0.6, 0.8], 0.5),  # hidden [-0.4, -0.4]: both cut off
        ([1.0, 0.0], 2.0 - 3 * 2.0 + 0.5),
    ],
)
def test_logit_is_the_arithmetic_written_out(image: list[float], logit: float) -> None:
    assert head_logits(seen(image), [TWO_LAYERS]) == pytest.approx(logit, abs=1e-6)


def test_order_of_the_layers_in_the_policy_means_nothing() -> None:
    images = unit_vectors(5, 2, seed=1)
    np.testing.assert_array_equal(head_logits(images, [TWO_LAYERS]), head_logits(images, [TWO_LAYERS[::-1]]))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 33])
def test_logit_of_one_image_is_the_same_bits_in_every_batch(count: int) -> None:
    random = np.random.default_rng(3)
    head = make_head((random.normal(size=(97, 65)), random.normal(size=97)), (random.normal(size=(1, 97)), [0.25]))
    images = unit_vectors(64, 65, seed=9)
    np.testing.assert_array_equal(head_logits(images[:count], [head]), head_logits(images, [head])[:count])
    wide = images.astype(np.float64)
    (first, second) = head
    hidden = wide @ np.frombuffer(first.weight, "<f4").reshape(97, 65).T + np.frombuffer(first.bias, "<f4")
    expected = np.maximum(hidden, 0) @ np.frombuffer(second.weight, "<f4") + 0.25
    np.testing.assert_allclose(head_logits(images, [head])[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_broken_view_is_never_a_number(broken: float) -> None:
    # Minus infinity would pass a ReLU as an innocent 0.
    assert np.isnan(head_logits(seen([broken, 0.5], [0.5, broken]), [TWO_LAYERS, ONE_LAYER])).all()
    judgement = judged(headed(review=0.5), seen([0.6, 0.8], [broken, 0.0]))
    assert judgement.categories[0].unevaluated is Unevaluated.NON_FINITE
    assert (judgement.verdict, judgement.raised_by) == (Verdict.REVIEW, (Raise.NOT_EVALUATED,))


def test_overflow_inside_is_never_a_number() -> None:
    huge = make_head(([[-3e38, -3e38]], [-3e38]), ([[1]], [0]))
    assert np.isnan(head_logits(seen([0.8, 0.6]), [huge])).all()


@pytest.mark.parametrize(("bias", "kind"), [(None, ScoreKind.UNCALIBRATED), (1.5, ScoreKind.CALIBRATED)])
def test_score_is_the_sigmoid_of_the_logit_whatever_the_scale_of_margins(bias: float | None, kind: ScoreKind) -> None:
    policy = replace(headed(ONE_LAYER, bias=bias), model=replace(headed().model, calibration_scale=2.0))
    scored = judged(policy, seen([0.75, 0.0])).categories[0].scored
    assert scored is not None
    assert (scored.kind, scored.logit, scored.cosine, scored.margin, scored.prompt) == (kind, 1.0, None, None, None)
    assert scored.score == pytest.approx(1 / (1 + math.exp(-(1.0 + (bias or 0.0)))), rel=1e-15)


def test_a_head_has_the_slope_of_its_own_calibration() -> None:
    scored = judged(headed(ONE_LAYER, bias=1.5, slope=0.25), seen([0.75, 0.0])).categories[0].scored
    assert scored is not None
    assert (scored.logit, scored.score) == (1.0, pytest.approx(1 / (1 + math.exp(-1.75)), rel=1e-15))


def test_worst_view_is_the_one_of_the_highest_logit() -> None:
    policy = headed(make_head(([[1000, 0]], [0])), review=0.5, block=0.99)
    result = judged(policy, seen([0.5, 0.0], [0.9, 0.0], [-1.0, 0.0])).categories[0]  # sigmoid: 1.0, 1.0, 0.0
    assert result.scored is not None
    assert (result.scored.view.frame, result.band) == (1, Verdict.BLOCK)


def test_head_that_several_concepts_share_is_run_once() -> None:
    heads = {"a": ONE_LAYER, "b": TWO_LAYERS, "c": make_head(([[4, 0]], [-2]))}  # equal to ONE_LAYER, another object
    policy = make_policy([make_category(name, head=head) for name, head in heads.items()])
    image = seen([0.6, 0.8])
    rows = cosines(image, compile_with_random_vectors(policy, dim=2))
    assert rows.shape == (1, 3)  # the background and two logits
    logits = [result.scored and result.scored.logit for result in judged(policy, image).categories]
    assert logits == pytest.approx([4 * 0.6 - 2, 2.0 - 3 * 0.8 + 0.5, 4 * 0.6 - 2], abs=1e-6)


def test_heads_and_texts_share_a_policy_and_keep_to_their_own() -> None:
    categories = [
        make_category("a", head=ONE_LAYER),
        make_category("b", prompts=[("x", 1.0), ("y", 2.0)], pool=Pool.MEAN),
        make_category("c", head=TWO_LAYERS),
        make_category("d", negatives=["n"], method=Method.MARGIN),
    ]
    image = seen([0.6, 0.8])
    mixed = judged(make_policy(categories), image)
    for category, result in zip(categories, mixed.categories, strict=True):
        assert result.scored is not None
        if category.head:
            assert result.scored == judged(make_policy([category]), image).categories[0].scored
        else:
            assert result.scored.logit is None
            assert result.scored.prompt is not None
            assert result.scored.prompt.phrase in {prompt.text for prompt in category.prompts}


def test_attribute_with_a_head_may_exempt() -> None:
    category = make_category("nsfw", head=ONE_LAYER, block=0.5, exemptions=[Exemption(attribute="art", gte=0.5)])
    policy = make_policy([category])
    art = Attribute(id="art", prompts=(), templates=(), method=Method.HEAD, head=TWO_LAYERS)
    policy = replace(policy, attributes=(art,))
    assert judged(policy, seen([0.6, 0.8])).categories[0].exempted_by == "art"
    assert judged(policy, seen([1.0, 0.0])).categories[0].exempted_by is None
