"""Uniformly drawn uploads in; which to label next, and the line that the labels so far allow, out.

The cheap promise: walk down the uploads by score, label each, and stop at false alarm k+1. The line lies above it. The
promise is of *wrong stops per upload*, for which everything below the walk needs no label: what is not stopped cannot
be stopped wrongly. It is the same sequence of exact tests as in `strictness`, on `harmless and stopped`.

A walk may rest or end at any time: a line above all that has no label yet is never lower than the one at its end, so
what it promises holds as well. Whoever is unsure counts as a false alarm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.tuning.lines.promises import Line, NotMet

Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Walk:
    """Uploads in the order in which they are labelled; n of the N given, one a group.

    Attributes:
        rows: intp `[n]`, their places in the arrays given, by falling score.
        scores: float64 `[n]`, falling.
        limit: The greatest share of uploads stopped wrongly.
        delta: The greatest chance of breaking that.
        allowed: k: the walk ends at false alarm k+1, so it costs at least k+1 labels.
        distinct: Whether near-duplicates count once.
    """

    rows: Rows
    scores: NDArray[np.float64]
    limit: float
    delta: float
    allowed: int
    distinct: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Standing:
    """Where a walk stands.

    Attributes:
        labelled: Labels from the top without a gap.
        found: Harmful ones among them.
        false_alarms: Harmless ones, and those nobody is sure of.
        next: intp, places in the arrays given of uploads that surely need a label, by falling score; empty at the end.
        line: The lowest line that the labels so far allow.
    """

    labelled: int
    found: int
    false_alarms: int
    next: Rows
    line: Line

    @property
    def ended(self) -> bool:
        """Whether more labels would change nothing."""
        return len(self.next) == 0


def from_the_top(
    scores: ArrayLike,
    *,
    limit: float,
    delta: float = 0.05,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
) -> Walk | NotMet:
    """Begin a walk, or take up an old one: the same arrays give the same walk.

    Args:
        scores: `[N]` scores of uniformly drawn uploads, before calibration.
        limit: The greatest share of uploads stopped wrongly, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        group: `[N]` numbers of near-duplicates, of which one each is walked; None when all are independent.
        u: `[N]` of `design.sampling.chances`, which choose that one; needed with `group`.
        uploads: `[N]`, how often each was uploaded; once by default.

    Returns:
        The walk, or how many uploads are missing.

    Raises:
        LineError: Scores that are not finite; a limit or delta outside (0,1).
    """
    raise NotImplementedError


def standing(walk: Walk, labels: ArrayLike) -> Standing:
    """Say where a walk stands.

    Args:
        walk: From `from_the_top`.
        labels: int8 `[N]` for the arrays given there: 1 harmful, 0 harmless, -1 unsure, -2 without a label.

    Returns:
        What to label next, and the line that holds now.
    """
    raise NotImplementedError
