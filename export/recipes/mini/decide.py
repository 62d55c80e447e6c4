"""Bands of clean drawings in; whether each category passes the slice gate and may be enforced, out."""

from dataclasses import asdict
from typing import Any, Final

import numpy as np

from clipwarden.policy.schema import Bounds
from clipwarden.tuning.gate import Slice, judge_slice
from clipwarden.tuning.metrics import auroc_interval
from recipes.mini.evidence import Evidence, Mask
from recipes.mini.gather import gather_evidence
from recipes.mini.labels import read_labels
from recipes.mini.lines import BLOCK, REVIEW, Bands, bands_of, bands_without_family
from recipes.mini.moderation import Scores, gather_cases, score_cases
from recipes.mini.report import Subject
from recipes.mini.rules import CEILINGS, count_slice, decide_category
from recipes.mini.sets import REPORT_SETS

_LEVELS: Final = {"review": REVIEW, "block": BLOCK}
_ROLES: Final = ("selection", "training", "report")
Record = dict[str, Any]


def decide(subject: Subject) -> Record:
    """Hold every category of a fitted policy against the gate.

    Drawings of training and selection sets are judged by lines chosen without their family, those of report sets by the
    policy's own.

    Args:
        subject: The policy, the model and the drawings; report sets are opened.

    Returns:
        A record by category: counts by band and slice, AUROC, the decision.
    """
    ids = tuple(category.id for category in subject.compiled.policy.categories)
    evidence = gather_evidence(subject.held, _ROLES, ids)
    scores = score_cases(subject.held.vectors(evidence.rows, "clean"), subject.compiled)
    groups = np.array([subject.held.drawing(row).group for row in evidence.rows])
    report, seen = groups == "report", ~np.isin(groups, ["selection", "report"])
    areas = _areas(subject)
    return {
        name: _category(name, _bands(scores, column, evidence, report), evidence, seen, areas[name])
        for column, name in enumerate(ids)
    }


def _bands(scores: Scores, column: int, evidence: Evidence, report: Mask) -> Bands:
    category = scores.categories[column]
    bounds = category.thresholds.bounds if category.thresholds else Bounds()
    if bounds.review is None or bounds.block is None:
        message = f"{category.id} has no lines yet: `fit` comes before `decide`"
        raise ValueError(message)
    own = bands_of(scores.score[:, column], {"review": bounds.review, "block": bounds.block})
    elsewhere = bands_without_family(scores.score[:, column], evidence, category.id, ~report)
    return np.where(report, own, elsewhere)


def _areas(subject: Subject) -> dict[str, Record]:
    """Measure how well the margin parts positives from all others in the report sets."""
    cases = gather_cases(subject.held, REPORT_SETS, read_labels())
    scores = score_cases(subject.held.vectors(cases.rows, "clean"), subject.compiled)
    found = {}
    for column, category in enumerate(scores.categories):
        truth = cases.truth[category.id]
        positive, negative = truth == "positive", (truth != "positive") & (truth != "ambiguous")
        families = [f for f, p in zip(cases.families, positive, strict=True) if p]
        margin = scores.margin[:, column]
        area = auroc_interval(margin[positive], families, margin[negative])
        found[category.id] = {"positives": int(positive.sum()), "auroc": asdict(area)}
    return found


def _category(name: str, bands: Bands, evidence: Evidence, seen: Mask, area: Record) -> Record:
    """Write a category's counts, and what they decide."""
    clean = evidence.negative(name)
    counts = {
        band: [count_slice(s, bands, members, clean, level) for s, members in evidence.slices.items()]
        for band, level in _LEVELS.items()
    }
    unseen = {
        band: [count_slice(s, bands, members, clean & ~seen, level) for s, members in evidence.slices.items()]
        for band, level in _LEVELS.items()
    }
    decision = decide_category(name, counts, unseen, area["positives"], area["auroc"]["low"])
    return {
        **area,
        "decision": asdict(decision),
        "slices": {
            band: [_slice(both, held, CEILINGS[band]) for both, held in zip(counts[band], unseen[band], strict=True)]
            for band in _LEVELS
        },
    }


def _slice(counted: Slice, unseen: Slice, ceiling: float) -> Record:
    limits = asdict(counted.limits)
    outcome = str(judge_slice(counted, ceiling))
    return {**asdict(counted), **limits, "outcome": outcome, "unseen": {**asdict(unseen), **asdict(unseen.limits)}}
