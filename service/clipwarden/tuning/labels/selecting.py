"""Labels in; some of their rows, with all that belongs to them, out."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clipwarden.tuning.labels.model import Labels, Mark


def select(labels: Labels, rows: NDArray[np.intp]) -> Labels:
    """Return some rows of labels.

    Args:
        labels: Any.
        rows: intp [m], each once.

    Returns:
        Those rows, in that order; disagreements about others are gone.
    """
    chosen = rows.tolist()
    kept = {labels.sha256[row] for row in chosen}
    at = {row: place for place, row in enumerate(chosen)}
    return replace(
        labels,
        sha256=tuple(labels.sha256[row] for row in chosen),
        uri=tuple(labels.uri[row] for row in chosen),
        pi=labels.pi[rows],
        group=tuple(labels.group[row] for row in chosen),
        slices={name: tuple(values[row] for row in chosen) for name, values in labels.slices.items()},
        marks=labels.marks[rows],
        disagreements=tuple(each for each in labels.disagreements if each.sha256 in kept),
        escalated=tuple(at[row] for row in labels.escalated if row in at),
        beyond=tuple(at[row] for row in labels.beyond if row in at),
    )


def without_labels(labels: Labels) -> Labels:
    """Return the rows that nobody said anything of: what is left to label."""
    said = np.any(labels.marks != Mark.UNKNOWN, axis=1)
    said[list(labels.escalated)] = True
    return select(labels, np.flatnonzero(~said)) if said.any() else labels
