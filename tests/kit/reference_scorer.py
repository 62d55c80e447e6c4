"""Judge slowly, in plain Python, straight from the formulas: what the fast code is held against."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.schema import Bounds, Category, Concept, Method, Mode, Override, Policy, Pool, Verdict
from clipwarden.scoring.verdict import Scored


@dataclass(frozen=True, kw_only=True, slots=True)
class SlowScore:
    """One concept's numbers on its best view; texts by their place in the concept's own lists."""

    cosine: float
    margin: float | None
    score: float
    prompt: int
    contrast: int | None
    view: int


def slow_pool(pool: Pool, cosines: Sequence[float], weights: Sequence[float], scale: float) -> float:
    if pool is Pool.MAX:
        return max(cosines)
    if pool is Pool.MEAN:
        return math.fsum(w * c for w, c in zip(weights, cosines, strict=True)) / math.fsum(weights)
    total = math.fsum(w * math.exp(scale * c) for w, c in zip(weights, cosines, strict=True))
    return math.log(total / math.fsum(weights)) / scale


def slow_sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def slow_scores(policy: Policy, rows: Sequence[Sequence[float]], *, scale: float) -> list[SlowScore]:
    """Score every concept of a policy on the views of one image; each row ends with the background's cosine."""
    slope = policy.model.calibration_scale
    views = [slow_concepts(policy, row, view=view, scale=scale, slope=slope) for view, row in enumerate(rows)]
    return [
        max(found, key=lambda each: each.score if each.margin is None else each.margin)
        for found in zip(*views, strict=True)
    ]


def slow_concepts(policy: Policy, row: Sequence[float], *, view: int, scale: float, slope: float) -> list[SlowScore]:
    """Score every concept on one view: the cosines first, then what attributes add to them."""
    scores = {}
    first = 0
    for concept in scored_concepts(policy):
        last = first + len(concept.prompts) + len(concept.negatives)
        scores[concept.id] = slow_view(concept, row[first:last], row[-1], view=view, scale=scale, slope=slope)
        first = last
    adjusted = dict(scores)
    for category in policy.categories:
        holds = [item.add for item in category.adjustments if scores[item.attribute].score >= item.gte]
        if holds and category.id in scores:
            own = scores[category.id]
            adjusted[category.id] = replace(own, score=own.score + max(holds))
    return list(adjusted.values())


def slow_view(
    concept: Concept, cosines: Sequence[float], background: float, *, view: int, scale: float, slope: float
) -> SlowScore:
    count = len(concept.prompts)
    prompts, negatives = list(cosines[:count]), list(cosines[count:])
    pooled = slow_pool(concept.pool, prompts, [prompt.weight for prompt in concept.prompts], scale)
    margin = None
    score = pooled
    if concept.method is Method.MARGIN:
        penalty = max(0.0, max(negatives) - pooled) if negatives else 0.0
        margin = scale * ((pooled - background) - 0.5 * penalty)
        fitted = concept.calibration
        bias = fitted.bias if fitted else 0.0
        own = fitted.slope if fitted else None
        score = slow_sigmoid((slope if own is None else own) * margin + bias)
    return SlowScore(
        cosine=pooled,
        margin=margin,
        score=score,
        prompt=prompts.index(max(prompts)),
        contrast=negatives.index(max(negatives)) if negatives else None,
        view=view,
    )


def slow_bounds(category: Category, context: str | None) -> Bounds:
    base = category.thresholds.bounds if category.thresholds else Bounds()
    over = category.contexts.get(context, Override()) if context else Override()
    return Bounds(
        review=over.review if over.review is not None else base.review,
        block=over.block if over.block is not None else base.block,
    )


def slow_mode(category: Category, context: str | None) -> Mode:
    over = category.contexts.get(context) if context else None
    return over.mode if over and over.mode else category.mode


def slow_band(category: Category, views: Sequence[dict[str, Scored]], context: str | None) -> Verdict:
    """Give one category's band, the worst of any view, from what was scored by id in each."""
    return max(slow_view_band(category, scored, context) for scored in views)


def slow_view_band(category: Category, scored: dict[str, Scored], context: str | None) -> Verdict:
    score = scored[category.id].score
    bounds = slow_bounds(category, context)
    band = Verdict.ALLOW
    if bounds.review is not None and score >= bounds.review:
        band = Verdict.REVIEW
    if bounds.block is not None and score >= bounds.block:
        band = Verdict.BLOCK
    exempt = any(scored[item.attribute].score >= item.gte for item in category.exemptions)
    return Verdict.REVIEW if band is Verdict.BLOCK and exempt else band


def slow_verdict(
    policy: Policy,
    views: Sequence[dict[str, Scored]],
    *,
    modes: set[Mode],
    context: str | None,
    partial: bool,
    degraded: bool,
) -> Verdict:
    """Give the verdict of the categories in `modes`, from what was scored by concept id in each view."""
    counted = [category for category in policy.categories if slow_mode(category, context) in modes]
    if not counted:
        return Verdict.ALLOW
    verdicts = [slow_band(item, views, context) for item in counted]
    verdicts += [policy.on_partial] * partial + [Verdict.REVIEW] * degraded
    return max(verdicts)
