"""A compiled policy and scores of a store in; where limits lie now, on scores before calibration, out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import fit_digest, policy_digest
from clipwarden.policy.lines import choose_lines, unbound_lines
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Bounds, Calibration, Category, Thresholds
from clipwarden.scoring.tables import slope_of
from clipwarden.tuning.calibration import Fitted
from clipwarden.tuning.lines.edges import Edge, Floats
from clipwarden.tuning.scores import StoreScores


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where the limits of a category lie; None where it has none that hold.

    Attributes:
        block: Of the block band.
        review: Of the review band.
    """

    block: Edge | None = None
    review: Edge | None = None

    @property
    def lowest(self) -> Edge | None:
        """The limit from which anything happens."""
        return self.review or self.block

    @property
    def named(self) -> Mapping[str, Edge]:
        """Those that there are, by name."""
        both = {"block": self.block, "review": self.review}
        return {name: edge for name, edge in both.items() if edge is not None}


def category_of(compiled: CompiledPolicy, category: str) -> Category:
    """Find a category of a policy that has it."""
    return next(each for each in compiled.policy.categories if each.id == category)


def standing_of(compiled: CompiledPolicy, scores: StoreScores, category: str) -> Standing:
    """Find where a category's limits lie now.

    Args:
        compiled: The policy.
        scores: Of a store, by that policy.
        category: Its id.

    Returns:
        Each limit between the scores of the store that it parts.
    """
    found = category_of(compiled, category)
    if found.thresholds is None or category in compiled.unbound:
        return Standing()
    column = scores.concepts.index(category)
    raw, score = scores.logit[:, column], scores.score[:, column]
    seen = np.isfinite(raw)
    slope, bias = scale_of(compiled, found)
    bounds = found.thresholds.bounds
    places = (
        None if bound is None else _edge(bound, raw[seen], score[seen], slope, bias)
        for bound in (bounds.block, bounds.review)
    )
    block, review = places
    return Standing(block=block, review=review)


def _edge(threshold: float, raw: Floats, score: NDArray[np.float64], slope: float | None, bias: float) -> Edge:
    """Find the two scores that a threshold lies between, and a place between them."""
    over = score >= threshold
    below = float(raw[~over].max()) if (~over).any() else None
    above = float(raw[over].min()) if over.any() else None
    at = _unmapped(threshold, slope, bias)
    if below is not None and not at > below:  # rounding of the sigmoid
        at = float(np.nextafter(below, np.inf))
    return Edge(at if above is None else min(at, above), below, above)


def _unmapped(threshold: float, slope: float | None, bias: float) -> float:
    if slope is None:
        return threshold
    with np.errstate(divide="ignore"):
        logit = float(np.log(threshold) - np.log1p(-threshold))
    return (max(-1e9, min(1e9, logit)) - bias) / slope


def scale_of(compiled: CompiledPolicy, category: Category) -> tuple[float | None, float]:
    """Return slope and bias by which a category's scores come about now; no slope of a cosine."""
    fitted = compiled.calibration(category)
    return slope_of(category, compiled), fitted.bias if fitted else 0.0


def with_numbers(
    compiled: CompiledPolicy, numbers: Mapping[str, tuple[Fitted | None, Bounds | None]]
) -> CompiledPolicy:
    """Put other numbers into a policy, and say that its limits were chosen on what it then holds.

    Args:
        compiled: The policy.
        numbers: By category, a calibration (None keeps the one there is) and bounds (None keeps them).

    Returns:
        It, to judge with; vectors stay.
    """
    policy, mark = compiled.policy, compiled.fingerprint
    changed = replace(
        policy,
        categories=tuple(
            _changed(compiled, each, *numbers[each.id]) if each.id in numbers else each for each in policy.categories
        ),
    )
    bound = {each.id: each for each in choose_lines(changed, mark).categories}
    categories = tuple(bound[each.id] if each.id in numbers else each for each in changed.categories)
    changed = replace(changed, categories=categories)
    return replace(
        compiled,
        policy=changed,
        digest=policy_digest(changed),
        dropped_calibrations=stale_calibrations(changed, mark),
        unbound=unbound_lines(changed, mark),
    )


def _changed(compiled: CompiledPolicy, category: Category, fitted: Fitted | None, bounds: Bounds | None) -> Category:
    if fitted is not None:
        named = Calibration(slope=fitted.slope, bias=fitted.bias, prevalence=fitted.prevalence, fitted_on="")
        category = replace(category, calibration=named)
        policy = compiled.policy
        scale = policy.model.calibration_scale
        digest = fit_digest(category, fingerprint=compiled.fingerprint, calibration_scale=scale, plan=policy.plan)
        category = replace(category, calibration=replace(named, fitted_on=digest))
    if bounds is None:
        return category
    if bounds == Bounds():
        return replace(category, thresholds=None, contexts={})
    unit = METHODS[category.method].unit
    return replace(category, thresholds=Thresholds(unit=unit, bounds=bounds))
