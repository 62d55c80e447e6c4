"""Rows of a walk from the top in; the whole walk out: a label file lists the first of the pictures that were drawn.

What a file does not list stood below all that it lists, and needs no label for the promise: it is counted, and put at
the score of the last that is listed, so that no limit ever lies lower. That holds while pictures stand in the order in
which they were drawn, which the texts and the model decide.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import LabelError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.schema import Calibration
from clipwarden.tuning.labels.model import Labels, Mark

if TYPE_CHECKING:
    from clipwarden.tuning.tune.cases import Walked

_SLOPE: Final = Calibration(slope=1.0, bias=0.0, prevalence=0.5, fitted_on="")
"""Beside any slope of its own a category's fit does not depend on the scale of the file."""


def order_of(compiled: CompiledPolicy, category: str) -> str:
    """Name what orders pictures by a category: its texts, its method and the model; no threshold, no calibration."""
    return _order_of(compiled, category, None)


def _order_of(compiled: CompiledPolicy, category: str, calibration: Calibration | None) -> str:
    policy = compiled.policy
    found = next(each for each in policy.categories if each.id == category)
    concept, scale = replace(found, calibration=calibration), policy.model.calibration_scale
    return fit_digest(concept, fingerprint=compiled.fingerprint, calibration_scale=scale, plan=policy.plan)


def _orders_of(compiled: CompiledPolicy, category: str) -> tuple[str, str]:
    """Name it also as files have it that were drawn by a calibrated category when a calibration still told."""
    return order_of(compiled, category), _order_of(compiled, category, _SLOPE)


def require_order(labels: Labels, compiled: CompiledPolicy) -> None:
    """Refuse a list of the first pictures of a walk where others may stand first by now, or that has gaps.

    Raises:
        LabelError: The texts have changed, or rows of the list are missing.
    """
    walk = labels.walk
    if walk is None:
        return
    name = ", ".join(labels.sources)
    if walk.listed is not None and walk.by not in _orders_of(compiled, walk.category):
        raise LabelError(
            f"{name} lists the pictures that stood highest by other texts of {walk.category}; draw by those of now, "
            f"labels are kept: `clipwarden sample --from-the-top {walk.category} --add FILE`."
        )
    rows = len(labels) - len(labels.beyond) + len(labels.absent) + len(labels.unjudged)
    listed = walk.uploads if walk.listed is None else walk.listed
    if rows < listed:
        raise LabelError(
            f"{name} has {rows:,} of the {listed:,} first pictures of its walk, and those without a label are needed "
            "too; name the file that `clipwarden sample` wrote with --labels as well."
        )
    if rows > listed:
        raise LabelError(
            f"{name} has {rows:,} rows for the {listed:,} first pictures of its walk, so that nobody knows which those "
            f"are; list them anew, labels are kept: `clipwarden sample --from-the-top {walk.category} --add FILE`."
        )


def whole_walk(walked: "Walked", labels: Labels, *, listed: NDArray[np.bool_], scored: NDArray[np.bool_]) -> "Walked":
    """Put in what was drawn and is not listed.

    Args:
        walked: What the label files hold.
        labels: They.
        listed: Which of it is in the list, as against what was labelled before and stands below it.
        scored: Which of it has a score.
    """
    walk = labels.walk
    if walk is None or walk.listed is None:
        return walked
    first = np.flatnonzero(listed)
    known = walked.scores[listed & scored]
    last = known.min() if len(known) else walked.scores.max(initial=0.0) + 1.0
    more = walk.uploads - walk.listed
    return type(walked)(
        scores=np.concatenate([walked.scores[first], np.full(more, last)]),
        marks=np.concatenate([walked.marks[first], np.full(more, Mark.UNKNOWN, np.int8)]),
        u=np.concatenate([walked.u[first], np.ones(more)]),  # after what is listed, of equals
        sha256=(*(walked.sha256[row] for row in first.tolist()), *[""] * more),
    )
