"""Rows of a walk from the top in; the whole walk out: a label file lists the first of the pictures that were drawn.

What a file does not list stood below all that it lists, and needs no label for the promise: it is counted, and put at
the score of the last that is listed, so that no limit ever lies lower. That holds while pictures stand in the order in
which they were drawn, which the texts and the model decide.
"""

from typing import TYPE_CHECKING

import numpy as np

from clipwarden.errors import LabelError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import fit_digest
from clipwarden.tuning.labels.model import Labels, Mark

if TYPE_CHECKING:
    from clipwarden.tuning.tune.cases import Walked


def order_of(compiled: CompiledPolicy, category: str) -> str:
    """Name what orders pictures by a category: its texts, its method and the model; no threshold."""
    policy = compiled.policy
    found = next(each for each in policy.categories if each.id == category)
    scale, plan = policy.model.calibration_scale, policy.plan
    return fit_digest(found, fingerprint=compiled.fingerprint, calibration_scale=scale, plan=plan)


def require_order(labels: Labels, compiled: CompiledPolicy) -> None:
    """Refuse a list of the first pictures of a walk where others may stand first by now.

    Raises:
        LabelError: The texts have changed, or rows are missing.
    """
    walk = labels.walk
    if walk is None or walk.listed is None:
        return
    name = ", ".join(labels.sources)
    if walk.by != order_of(compiled, walk.category):
        raise LabelError(
            f"{name} lists the pictures that stood highest by other texts of {walk.category}; draw by those of now, "
            f"labels are kept: `clipwarden sample --from-the-top {walk.category} --add FILE`."
        )
    if (rows := len(labels) + len(labels.absent) + len(labels.unjudged)) < walk.listed:
        raise LabelError(
            f"{name} has {rows:,} of the {walk.listed:,} first pictures of its walk; name the file that "
            "`clipwarden sample --add` wrote with --labels as well."
        )


def whole_walk(walked: "Walked", labels: Labels, lost: int) -> "Walked":
    """Put in what was drawn and is not listed.

    Args:
        walked: What the label files list.
        labels: They.
        lost: Pictures of them that the store lacks.
    """
    walk = labels.walk
    if walk is None or walk.listed is None:
        return walked
    first = np.argsort(-walked.scores, kind="stable")[: max(0, walk.listed - lost)]
    last = walked.scores[first[-1]] if len(first) else walked.scores.max(initial=0.0) + 1.0
    more = walk.uploads - walk.listed
    return type(walked)(
        scores=np.concatenate([walked.scores[first], np.full(more, last)]),
        marks=np.concatenate([walked.marks[first], np.full(more, Mark.UNKNOWN, np.int8)]),
        u=np.concatenate([walked.u[first], np.ones(more)]),  # after what is listed, of equals
        sha256=(*(walked.sha256[row] for row in first.tolist()), *[""] * more),
    )
