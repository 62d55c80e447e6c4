"""Answers in; what `clipwarden tune --json` says, with keys that stay, out."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipwarden.cli.comparison import compare_version
from clipwarden.tuning.calibration import Fitted, Unfit
from clipwarden.tuning.lines.promises import NotMet
from clipwarden.tuning.tune.answers import Answers, Limit
from clipwarden.tuning.tune.proposing import lacking
from clipwarden.tuning.tune.writing import Plan

if TYPE_CHECKING:
    from clipwarden.cli.tunerun import Found, Inputs


def facts(
    found: "Found", inputs: "Inputs", plan: Plan | None, why_not: str | None, written: Path | None
) -> Mapping[str, object]:
    """Say all of it.

    Args:
        found: The answers.
        inputs: What they rest on.
        plan: The version that would be, or was, written.
        why_not: Why there is none though limits were asked for.
        written: Its file, where it was written.
    """
    labels, looks = inputs.labels, found.looks
    return {
        "policy": inputs.file.facts,
        "store": {
            "path": str(inputs.store.path),
            "source": inputs.store.info.source.value,
            "digest": inputs.store.info.digest,
            "views": inputs.store.info.plan.views.value,
            "frames": inputs.store.info.plan.frames,
            "uploads": len(inputs.store.uploads),
            "pictures": len(inputs.store.pictures),
        },
        "labels": None
        if labels is None
        else {
            "files": list(labels.sources),
            "design": labels.design.value,
            "digest": labels.digest,
            "pictures": len(labels),
            "absent": len(labels.absent),
            "unjudged": len(labels.unjudged),
            "disagreements": len(labels.disagreements),
            "escalated": len(labels.escalated),
        },
        "looks": None if looks is None else dict(looks.counts),
        "texts_chosen": {} if looks is None else dict(looks.chosen),
        "notes": list(found.analysis.notes),
        "categories": [_category(each, found) for each in found.analysis.categories],
        "together": plain(found.analysis.together),
        "slices": [plain(gate) for gate in found.gates],
        "missing": list(lacking(found.analysis)),
        "version": None if plan is None else _version(plan, written),
        "not_written": why_not,
    }


def _category(answers: Answers, found: "Found") -> Mapping[str, object]:
    confidence = answers.confidence
    calibration, unfit = answers.calibration, None
    if isinstance(calibration, Unfit):
        calibration, unfit = None, calibration
    assert calibration is None or isinstance(calibration, Fitted)  # noqa: S101  there is no third
    return {
        "category": answers.category,
        "targets": list(found.targets[answers.category].options),
        "deciding": plain(answers.deciding),
        "choices": plain(answers.choices),
        "now": plain({name: edge.at for name, edge in answers.now.named.items()}),
        "lowering": None
        if answers.lowering is None
        else plain(answers.lowering) | {"sentence": answers.lowering.sentence},
        "gallery": plain(answers.gallery),
        "texts": [
            plain(each) | {"helps": each.helps, "hurts": each.hurts, "sentence": each.sentence}
            for each in answers.without
        ],
        "prevalence": plain(answers.prevalence),
        "flagged": plain(answers.flagged),
        "block": _limit(answers.block),
        "review": _limit(answers.review),
        "calibration": plain(calibration),
        "no_calibration": None if unfit is None else unfit.sentence,
        "quality": plain(answers.quality),
        "bounds": plain(answers.bounds),
        "confidence": {
            "per_line": confidence.per_line,
            "policy_wide": confidence.policy_wide,
            "lines": confidence.lines,
            "looks": confidence.looks,
            "sentence": confidence.sentence,
        },
        "notes": list(answers.notes),
    }


def _limit(limit: Limit | None) -> Mapping[str, object] | None:
    if limit is None:
        return None
    line, edge = limit.placed.line, limit.placed.edge
    return {
        "asked": limit.placed.asked,
        "met": edge is not None,
        "threshold": limit.threshold,
        "at": None if edge is None else edge.at,
        "sentence": limit.placed.sentence,
        "promised": limit.placed.promised,
        "stops": None if limit.placed.stops is None else dict(zip(("uploads", "of"), limit.placed.stops, strict=True)),
        "missing": line.missing if isinstance(line, NotMet) else None,
        "choice": plain(limit.choice),
    }


def _version(plan: Plan, written: Path | None) -> Mapping[str, object]:
    return {
        "file": str(plan.path),
        "version": plan.policy.metadata.version,
        "written": written is not None,
        "comparison": compare_version(plan.version).facts,
        "contexts": [note.sentence for note in plan.contexts],
        "findings": [str(problem) for problem in plan.findings],
    }


def plain(value: Any) -> Any:  # noqa: ANN401  any record of ours
    """Turn records into what JSON has; numbers that are none become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
