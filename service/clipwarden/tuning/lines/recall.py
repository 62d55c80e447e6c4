"""Scores of harmful pictures in; the highest line that still finds a share of them, out.

A fixed sequence again, from the lenient end: raise the line as long as the lower limit of recall, one-sided, is at
least the target.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.tuning.design.rates import Estimate
from clipwarden.tuning.design.rates import recall as recall_of
from clipwarden.tuning.lines.binomial import most_allowed, needed_clean, require_share
from clipwarden.tuning.lines.draws import independent
from clipwarden.tuning.lines.edges import Floats, finite, reaching
from clipwarden.tuning.lines.promises import Aim, Kind, Lacking, Line, NotMet
from clipwarden.tuning.lines.sampled import about_needed


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drawn:
    """How N pictures of a sample were drawn.

    Attributes:
        pi: float64 `[N]`, chances.
        group: intp `[N]`, numbers of near-duplicates, among all pictures.
        uploads: `[N]`, how often each was uploaded.
    """

    pi: Floats
    group: NDArray[np.intp] | None
    uploads: NDArray[np.float64]

    @classmethod
    def of(cls, count: int, pi: ArrayLike, group: ArrayLike | None, uploads: ArrayLike | None) -> Self:
        """Take columns; each was uploaded once by default."""
        times = np.ones(count) if uploads is None else np.asarray(uploads, np.float64)
        return cls(
            pi=np.asarray(pi, np.float64), group=None if group is None else np.asarray(group, np.intp), uploads=times
        )

    def only(self, chosen: NDArray[np.bool_]) -> Self:
        """Keep some, bool `[N]`."""
        group = None if self.group is None else self.group[chosen]
        return type(self)(pi=self.pi[chosen], group=group, uploads=self.uploads[chosen])

    def and_others(self, others: Self) -> Self:
        """Add other pictures behind these."""
        group = None
        if self.group is not None and others.group is not None:
            group = np.concatenate([self.group, others.group])
        return type(self)(
            pi=np.concatenate([self.pi, others.pi]),
            group=group,
            uploads=np.concatenate([self.uploads, others.uploads]),
        )


def line_for_recall(
    harmful: ArrayLike,
    *,
    target: float,
    delta: float = 0.05,
    pi: ArrayLike | None = None,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    others: ArrayLike = (),
    others_drawn: Drawn | None = None,
) -> Line | NotMet:
    """Choose the highest line that stops at least a share of harmful uploads.

    Args:
        harmful: `[K]` scores of harmful pictures with a label, before calibration.
        target: The least share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        pi: `[K]` chances of a sample: recall per upload, limits of `design.rates`. None where all had the same chance:
            exact test, one picture a group.
        group: `[K]` numbers of near-duplicates; None when all are independent.
        u: `[K]` of `design.sampling.chances`; needed with `group` and without `pi`.
        uploads: `[K]`, how often each was uploaded; once by default.
        others: Further scores seen, as of harmless pictures: the line lies between them too.
        others_drawn: How those were drawn; goes with `pi`. A miss that was not drawn would have weighed as much as what
            was drawn near it, which only labels below the line can show, and those are harmless for the most part.

    Returns:
        The line, or how many harmful pictures are missing.

    Raises:
        LineError: Scores that are not finite; a target or delta outside (0,1).
    """
    require_share(target, "target")
    require_share(delta, "chance of breaking a promise")
    scores = finite(harmful)
    seen = np.concatenate([scores, finite(others)])
    if pi is None:
        aim = Aim(kind=Kind.RECALL, limit=target, delta=delta, distinct=group is not None)
        return _exact(aim, scores[independent(len(scores), group, u, uploads)], seen)
    aim = Aim(kind=Kind.RECALL, limit=target, delta=delta)
    drawn = Drawn.of(len(scores), pi, group, uploads)
    everyone, values = drawn if others_drawn is None else drawn.and_others(others_drawn), scores
    if others_drawn is not None:
        values = seen
    positive = np.arange(len(values)) < len(scores)

    def found(at: float) -> Estimate:
        return recall_of(
            values >= at,
            positive,
            everyone.pi,
            group=everyone.group,
            uploads=everyone.uploads,
            confidence=1.0 - delta,
        )

    return _weighted(aim, found, scores, seen)


def _exact(aim: Aim, tested: Floats, seen: Floats) -> Line | NotMet:
    allowed = most_allowed(len(tested), 1.0 - aim.limit, aim.delta)
    if allowed is None:
        return aim.missed(Lacking.HARMFUL, have=len(tested), need=needed_clean(1.0 - aim.limit, aim.delta))
    edge = reaching(float(np.partition(tested, allowed)[allowed]), seen)
    return aim.kept(edge, tested=len(tested), allowed=allowed, seen=int((tested < edge.at).sum()))


def _weighted(aim: Aim, found: Callable[[float], Estimate], tested: Floats, seen: Floats) -> Line | NotMet:
    steps = np.unique(tested).tolist()
    kept = list(takewhile(lambda at: found(at).one_sided_low >= aim.limit, steps))
    if not kept:
        need = about_needed(1.0 - aim.limit, aim.delta, found(-np.inf))
        return aim.missed(Lacking.HARMFUL, have=len(tested), need=need)
    edge = reaching(kept[-1], seen)
    missed = int((tested < edge.at).sum())
    return aim.kept(edge, tested=len(tested), allowed=missed, seen=missed)
