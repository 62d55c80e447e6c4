"""Uniformly drawn uploads in; which to label next, and the line that the labels so far allow, out.

The cheap promise: walk down the uploads by score, label each, and stop at false alarm k+1. The line lies above it. The
promise is of *wrong stops per upload*, for which everything below the walk needs no label: what is not stopped cannot
be stopped wrongly. It is the same sequence of exact tests as in `strictness`, on `harmless and stopped`.

A walk may rest or end at any time: a line above all that has no label yet is never lower than the one at its end, so
what it promises holds as well. Whoever is unsure counts as a false alarm.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.tuning.lines.binomial import most_allowed, needed_clean
from clipwarden.tuning.lines.draws import independent
from clipwarden.tuning.lines.edges import Edge, finite, over, reaching
from clipwarden.tuning.lines.promises import Aim, Kind, Lacking, Line, NotMet

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]

HARMFUL: Final = 1
NO_LABEL: Final = -2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Walk:
    """Uploads in the order in which they are labelled; n of the N given, one a group.

    Attributes:
        rows: intp `[n]`, their places in the arrays given, by falling score.
        scores: float64 `[n]`, falling.
        aim: What it is to promise.
        allowed: k: the walk ends at false alarm k+1, so it costs at least k+1 labels.
    """

    rows: Rows
    scores: NDArray[np.float64]
    aim: Aim
    allowed: int


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
    values = finite(scores)
    rows = independent(len(values), group, u, uploads)
    aim = Aim(kind=Kind.WRONG_STOPS, limit=limit, delta=delta, distinct=group is not None)
    allowed = most_allowed(len(rows), limit, delta)
    if allowed is None:
        return aim.missed(Lacking.UPLOADS, have=len(rows), need=needed_clean(limit, delta))
    # Ties stand in an order that has nothing to do with that of the uploads, where u says one.
    ties = np.zeros(len(values)) if u is None else np.asarray(u, dtype=np.float64)
    rows = rows[np.lexsort((ties[rows], -values[rows]))]
    return Walk(rows=rows, scores=values[rows], aim=aim, allowed=allowed)


def standing(walk: Walk, labels: ArrayLike) -> Standing:
    """Say where a walk stands.

    Args:
        walk: From `from_the_top`.
        labels: int8 `[N]` for the arrays given there: 1 harmful, 0 harmless, -1 unsure, -2 without a label.

    Returns:
        What to label next, and the line that holds now.
    """
    given = np.asarray(labels)[walk.rows]
    unknown = given == NO_LABEL
    alarm = ~unknown & (given != HARMFUL)
    labelled = _walked(walk, unknown, alarm)
    counts = alarm[:labelled]
    # If all that has no label yet were false alarms, the walk would end here, so every one of them is needed.
    soonest = int(np.searchsorted(np.cumsum(alarm | unknown), walk.allowed + 1)) + 1
    return Standing(
        labelled=labelled,
        found=int((~counts).sum()),
        false_alarms=int(counts.sum()),
        next=walk.rows[:soonest][unknown[:soonest]],
        line=_line(walk, labelled, alarm),
    )


def _walked(walk: Walk, unknown: Flags, alarm: Flags) -> int:
    """Count the labels from the top to the first gap, or to false alarm k+1."""
    gap = int(np.argmax(unknown)) if unknown.any() else len(unknown)
    return min(gap, int(np.searchsorted(np.cumsum(alarm), walk.allowed + 1)) + 1)


def _line(walk: Walk, labelled: int, alarm: Flags) -> Line:
    edge = _edge(walk, labelled, alarm)
    seen = int(alarm[walk.scores >= edge.at].sum())
    return walk.aim.kept(edge, tested=len(walk.rows), allowed=walk.allowed, seen=seen)


def _edge(walk: Walk, labelled: int, alarm: Flags) -> Edge:
    if alarm[:labelled].sum() > walk.allowed:
        return over(float(walk.scores[labelled - 1]), walk.scores)
    if labelled < len(walk.scores):
        return over(float(walk.scores[labelled]), walk.scores)
    return reaching(float(walk.scores[-1]), walk.scores)
