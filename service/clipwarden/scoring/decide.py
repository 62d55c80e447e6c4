"""Turn one image's cosines into its verdict and everything the verdict rests on; pure, and nothing is rounded.

What raises a verdict above the bands:

- `on_partial`, when something of the image was not looked at: frames, parts, rows that the file lacks, HDR brightness;
  or when what was looked at misses a floor of the policy;
- REVIEW, when the image is degraded;
- `on_error`, when a category that counts could not be evaluated.

Every view has a band of its own: an exemption acts in the views where its attribute holds, and a category's band is the
worst of any view. So one view never excuses another, and a score that rises never gives a milder band.

All three raises act through categories that count: enforced ones for `verdict`, enforced and shadow ones for
`shadow_verdict`. A policy that enforces nothing therefore answers ALLOW to everything, says `enforced_categories = 0`,
and changes no caller's traffic while it is being watched. Disabled categories never count. A category's mode is the one
in force in the image's context.

A category without thresholds, or whose thresholds were chosen on something else than the policy holds, gets no band,
and `shadow_incomplete` names it: what it would say nobody knows. It is never enforced, since such a policy is refused
when it is loaded.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import ContextUnknownError
from clipwarden.policy.schema import Bounds, Verdict
from clipwarden.scoring.bestview import best_views, raw_scores
from clipwarden.scoring.floors import Floor
from clipwarden.scoring.rules import ExemptionRule
from clipwarden.scoring.score import ConceptScores, score_rows
from clipwarden.scoring.tables import Tables
from clipwarden.scoring.verdict import (
    AttributeResult,
    CategoryResult,
    Judgement,
    Raise,
    Scored,
    ViewRef,
)

# Reading a member off its enum's class costs more than the comparison that it is read for (CPython 3.11).
_ALLOW, _REVIEW, _BLOCK = Verdict.ALLOW, Verdict.REVIEW, Verdict.BLOCK


def judge(
    rows: NDArray[np.float32],
    views: Sequence[ViewRef],
    tables: Tables,
    *,
    context: str | None,
    partial: bool,
    degraded: bool,
    missed: tuple[Floor, ...] = (),
) -> Judgement:
    """Judge one image. Pure and safe to call from any thread.

    Args:
        rows: `[V,P+1+H]` float32, this image's rows of `cosines`.
        views: V names, in row order; at least one.
        tables: `prepare(compiled)` of the policy that `rows` was computed with.
        context: A context that the policy declares, or None.
        partial: Whether something of the image is in none of its views: frames, parts, rows, brightness.
        degraded: Whether the image is too poor to score well, or viewers may show it in other colours.
        missed: Floors of the policy that the image misses (`floors.floors_missed`); any makes it partial.

    Returns:
        The judgement; categories and attributes in the policy file's order.

    Raises:
        ContextUnknownError: If the policy declares no such context.
    """
    require_context(tables, context)
    ground = tables.grounds[context]
    if len(rows) != len(views) or not views:
        raise ValueError(f"{len(rows)} rows of cosines for {len(views)} views; every view has one, and there is a view")
    scores = score_rows(rows, tables)
    chosen, exempted = _exempt(scores, tables, context) if tables.exemptible else (None, {})
    scored = best_views(scores, views, tables, chosen)
    categories = tuple(
        [  # a list is faster here and below
            unscored if index is None else _category_result(unscored, scored[index], exempted)
            for index, unscored in ground.categories
        ]
    )
    floors = _floors(tables, partial=partial or bool(missed), degraded=degraded)
    on_error = tables.compiled.policy.on_error
    enforced = [categories[index] for index in ground.enforced]
    verdict, raised_by = shadow_verdict, _ = _verdict(enforced, floors, on_error)
    if ground.counted != ground.enforced:
        shadow_verdict, _ = _verdict([categories[index] for index in ground.counted], floors, on_error)
    return Judgement(
        verdict=verdict,
        shadow_verdict=shadow_verdict,
        shadow_incomplete=ground.shadow_incomplete,
        enforced_categories=len(enforced),
        decided_by=_decided_by(enforced, verdict),
        raised_by=raised_by,
        categories=categories,
        attributes=tuple([AttributeResult(attribute, scored[index]) for attribute, index in tables.attributes]),
        policy_id=ground.policy_id,
        policy_version=ground.policy_version,
        policy_digest=ground.policy_digest,
        fingerprint=ground.fingerprint,
        context=context,
        missed=missed,
        ground=ground,
    )


def require_context(tables: Tables, context: str | None) -> None:
    """Refuse a context that the policy does not declare; cheap, so callers may ask before they decode anything.

    Args:
        tables: Of the policy in question.
        context: A name, or None for no context, which is always fine.

    Raises:
        ContextUnknownError: Names the contexts that are declared.
    """
    if context in tables.grounds:
        return
    declared = [item.name for item in tables.compiled.policy.contexts]
    known = ", ".join(declared) if declared else "none"
    raise ContextUnknownError(
        f"policy {tables.compiled.policy.metadata.id!r} declares no context {context!r}; it declares: {known}"
    )


def band_of(score: float, bounds: Bounds) -> Verdict:
    """Compare one score with its bounds: inclusive, block first.

    Args:
        score: In the bounds' unit, unrounded.
        bounds: A bound that is None leaves its band out.

    Returns:
        The band; ALLOW below every bound.
    """
    if bounds.block is not None and score >= bounds.block:
        return _BLOCK
    if bounds.review is not None and score >= bounds.review:
        return _REVIEW
    return _ALLOW


def _exempt(scores: ConceptScores, tables: Tables, context: str | None) -> tuple[NDArray[np.intp], Mapping[str, str]]:
    """Find the categories that exemptions keep from blocking, and the view that each concept is reported on.

    That is the view where it scored highest, of those that block without an exemption, if any does: a drawing on
    transparency may show a museum on white and a weapon on black, and the one must not excuse the other.

    Returns:
        `[C]`, the index of each concept's view; and by category, the first attribute that exempts it in that view.
    """
    raw = raw_scores(scores, tables)
    chosen = raw.argmax(axis=0)
    exempted = {}
    for rule in tables.exemptible:
        bound = rule.bounds[context].block
        if bound is None or rule.index is None:
            continue
        blocks = scores.score[:, rule.index] >= bound  # [V]
        holds = [_holds(exemption, scores) for exemption in rule.exemptions]  # [E,V]
        strict = blocks & ~np.logical_or.reduce(holds)
        among = strict if strict.any() else blocks
        if not among.any():
            continue
        view = np.where(among, raw[:, rule.index], -np.inf).argmax()
        chosen[rule.index] = view
        if not strict[view]:
            exempted[rule.category.id] = next(
                each.exemption.attribute for each, held in zip(rule.exemptions, holds, strict=True) if held[view]
            )
    return chosen, exempted


def _holds(rule: ExemptionRule, scores: ConceptScores) -> NDArray[np.bool_]:
    """Find the views `[V]` where an exemption holds: none where its attribute could not be scored on all of them."""
    return (scores.score[:, rule.index] >= rule.exemption.gte) & scores.finite[:, rule.index].all()


def _category_result(unscored: CategoryResult, numbers: Scored | None, exempted: Mapping[str, str]) -> CategoryResult:
    if numbers is None:
        return unscored
    category, mode, _, bounds, _, _, no_band = unscored
    band: Verdict | None = None
    exempted_by: str | None = None
    if no_band is None:
        band = band_of(numbers.score, bounds)
        if band is _BLOCK and exempted:
            exempted_by = exempted.get(category.id)
            band = _BLOCK if exempted_by is None else _REVIEW
    return tuple.__new__(CategoryResult, (category, mode, numbers, bounds, band, exempted_by, no_band))


def _floors(tables: Tables, *, partial: bool, degraded: bool) -> Mapping[Raise, Verdict]:
    """Collect what this image's verdict must be at least, whatever its scores."""
    floors: dict[Raise, Verdict] = {}
    if partial:
        floors[Raise.PARTIAL] = tables.compiled.policy.on_partial
    if degraded:
        floors[Raise.DEGRADED] = _REVIEW
    return floors


def _verdict(
    results: Sequence[CategoryResult], floors: Mapping[Raise, Verdict], on_error: Verdict
) -> tuple[Verdict, tuple[Raise, ...]]:
    """Find the verdict of the categories that count, and the reasons that lifted it above their bands."""
    if not results:
        return _ALLOW, ()
    worst = max([result.band or _ALLOW for result in results])
    if any([result.scored is None for result in results]):  # noqa: C419 - a list is twice as fast here
        floors = {**floors, Raise.NOT_EVALUATED: on_error}
    verdict = max(worst, *floors.values()) if floors else worst
    return verdict, tuple(reason for reason, floor in floors.items() if floor == verdict > worst)


def _decided_by(enforced: Sequence[CategoryResult], verdict: Verdict) -> tuple[str, ...]:
    """Name the categories behind a verdict, in the order they come in."""
    if verdict is _ALLOW:
        return ()
    return tuple(result.category.id for result in enforced if result.band is verdict)
