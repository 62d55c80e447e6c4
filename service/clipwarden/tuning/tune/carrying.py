"""A category before and after tuning in; what becomes of the bounds of its contexts, and a sentence on each, out.

Labels say nothing of a context, so that its bounds are not chosen anew. Where they held, they go on to stop the images
that they stopped: on another calibration they move to the same place on the scores before it. Where they did not hold,
or would lie the wrong way round beside the category's new bounds, they are taken out, and the category's own hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from clipwarden.policy.contexts import bounds_in
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Bounds, Category, Override, Policy
from clipwarden.scoring.score import sigmoid
from clipwarden.tuning.tune.proposals import Proposal

_DIGITS = 6
_Scale = tuple[float, float]
"""Slope and bias from a margin or logit to what the sigmoid takes."""


class Carried(StrEnum):
    """What became of a context's bounds."""

    PROPOSED = "proposed"
    KEPT = "kept"
    MAPPED = "mapped"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextNote:
    """What became of the bounds of one context of a category.

    Attributes:
        category: Its id.
        context: Its name.
        carried: What was done.
        sentence: For people.
    """

    category: str
    context: str
    carried: Carried
    sentence: str


def carry_contexts(
    policy: Policy, was: Category, now: Category, proposal: Proposal, *, held: bool
) -> tuple[Category, tuple[ContextNote, ...]]:
    """Carry the bounds of contexts over.

    Args:
        policy: The old one.
        was: The category in it.
        now: With new calibration and thresholds.
        proposal: Its own bounds for contexts win.
        held: Whether the old bounds held.

    Returns:
        The category with its contexts, and a note on each context that has or had bounds.
    """
    overrides, notes = dict(was.contexts), []
    for name in dict.fromkeys((*was.contexts, *proposal.contexts)):
        before = was.contexts.get(name, Override())
        if name not in proposal.contexts and (before.review, before.block) == (None, None):
            continue
        bounds, carried, why = _carried(policy, was, now, proposal, name, held=held)
        override = Override(review=bounds.review, block=bounds.block, mode=before.mode)
        overrides[name] = override
        notes.append(ContextNote(category=was.id, context=name, carried=carried, sentence=_sentence(was, name, why)))
    kept = {name: override for name, override in overrides.items() if override != Override()}
    return replace(now, contexts=kept), tuple(notes)


def _sentence(category: Category, context: str, why: str) -> str:
    return f"{category.id} in {context}: {why}"


def _carried(
    policy: Policy, was: Category, now: Category, proposal: Proposal, name: str, *, held: bool
) -> tuple[Bounds, Carried, str]:
    if now.thresholds is None:
        return Bounds(), Carried.REMOVED, "its bounds are taken out with those of the category."
    if name in proposal.contexts:
        return proposal.contexts[name], Carried.PROPOSED, "its bounds are chosen anew."
    if not held:
        return Bounds(), Carried.REMOVED, "its bounds did not hold and are taken out; the category's own hold there."
    override = was.contexts[name]
    old = Bounds(review=override.review, block=override.block)
    before, after = _scale(policy, was), _scale(policy, now)
    bounds = old if before == after else Bounds(**dict(_mapped(old, before, after)))
    if not _in_order(now, name, bounds):
        why = "its bounds would lie the wrong way round beside the category's new ones and are taken out."
        return Bounds(), Carried.REMOVED, f"{why} Choose them again if it still needs its own."
    if bounds == old:
        return bounds, Carried.KEPT, "its bounds stay as they are."
    return bounds, Carried.MAPPED, "its bounds are the same limits as before, on the scale of the new calibration."


def _scale(policy: Policy, category: Category) -> _Scale | None:
    facts, fitted = METHODS[category.method], category.calibration
    if "calibration" not in facts.takes:
        return None
    shared = policy.model.calibration_scale if facts.scale_is_open else 1.0
    if fitted is None:
        return shared, 0.0
    return shared if fitted.slope is None else fitted.slope, fitted.bias


def _mapped(bounds: Bounds, before: _Scale | None, after: _Scale | None) -> Iterator[tuple[str, float | None]]:
    for name, score in (("review", bounds.review), ("block", bounds.block)):
        yield name, score if score is None or before is None or after is None else moved_score(score, before, after)


def moved_score(score: float, before: _Scale, after: _Scale) -> float:
    """Move a score from one calibration to another, to few digits; 0 and 1, which all or none reach, stay."""
    if not 0.0 < score < 1.0:
        return score
    logit = float(np.log(score) - np.log1p(-score))
    margin = (logit - before[1]) / before[0]
    moved = float(sigmoid(np.array([after[0] * margin + after[1]]))[0])
    rounded = float(f"{moved:.{_DIGITS}g}")
    return rounded if 0.0 < rounded < 1.0 else moved


def _in_order(category: Category, name: str, bounds: Bounds) -> bool:
    override = Override(review=bounds.review, block=bounds.block)
    merged = bounds_in(replace(category, contexts={name: override}), name)
    return merged.review is None or merged.block is None or merged.review < merged.block
