"""Counts of clean drawings stopped in; whether a category may be enforced, and why not, out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from clipwarden.tuning.design.groups import worst_of
from clipwarden.tuning.gate import Outcome, Slice, gate, judge_slice
from recipes.mini.evidence import Mask, Members
from recipes.mini.lines import Bands

# All fixed before any report set was opened for version 1.2.0 of the policy.
CEILINGS: Final = {"review": 0.05, "block": 0.02}
ENOUGH_POSITIVES: Final = 30  # below, a category's AUROC says too little to enforce by
LEAST_AUROC: Final = 0.80  # of its lower bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether a category may be enforced.

    Attributes:
        category: Its id.
        enforce: Whether every rule holds.
        reasons: Why it may not; empty when it may.
    """

    category: str
    enforce: bool
    reasons: tuple[str, ...]


def count_slice(name: str, bands: Bands, members: Members, clean: Mask, level: int) -> Slice:
    """Count the groups of a slice that are stopped.

    Args:
        name: The slice's.
        bands: Of all drawings [K].
        members: Of the slice.
        clean: The drawings to count, none of which should be stopped [K].
        level: 1 counts what is reviewed or blocked, 2 what is blocked.

    Returns:
        The counts.
    """
    inside = clean[members.places]
    worst = worst_of(bands[members.places[inside]].astype(np.float64), members.groups[inside])
    return Slice(name=name, stopped=int((worst >= level).sum()), groups=len(worst))


def decide_category(
    name: str, counts: Mapping[str, list[Slice]], unseen: Mapping[str, list[Slice]], positives: int, area: float
) -> Decision:
    """Apply the rules of enforcement.

    Args:
        name: The category's id.
        counts: The slices of all drawings, by band.
        unseen: Those of drawings that the model was not trained on, by band.
        positives: How many of the report sets.
        area: The lower bound of AUROC there.

    Returns:
        The decision, with every rule that it breaks.
    """
    reasons = []
    for band, ceiling in CEILINGS.items():
        outcome = gate(counts[band], ceiling)
        if outcome is not Outcome.PASS:
            slices = [s for s in counts[band] if judge_slice(s, ceiling) is not Outcome.PASS]
            reasons += [f"{_stopped(s)} reach {band}: {judge_slice(s, ceiling)} at {ceiling:.0%}" for s in slices]
        failed = [s for s in unseen[band] if judge_slice(s, ceiling) is Outcome.FAIL]
        reasons += [f"{_stopped(s)}, of sets held out, reach {band}: over {ceiling:.0%}" for s in failed]
    if positives < ENOUGH_POSITIVES:
        reasons.append(f"{positives} positives in the report sets, {ENOUGH_POSITIVES} are needed")
    elif area < LEAST_AUROC:
        reasons.append(f"lower bound of AUROC {area:.3f}, {LEAST_AUROC:.2f} is needed")
    return Decision(category=name, enforce=not reasons, reasons=tuple(reasons))


def _stopped(counted: Slice) -> str:
    return f"{counted.stopped} of {counted.groups} of {counted.name}"
