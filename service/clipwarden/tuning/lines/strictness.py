"""Scores of harmless pictures, or of any, in; the lowest line that stops at most a share of them, out.

The line is found by a fixed sequence of exact binomial tests from the strict end over the scores that were seen (Learn
then Test, Angelopoulos et al., arXiv:2110.01052): lower it as long as the test rejects "more than `limit` are stopped".
Since the p-value only grows on the way down, that is the order statistic of the Neyman-Pearson umbrella algorithm
(Tong, Feng, Li, Science Advances 2018): with k exceptions allowed, the line lies strictly above the (k+1)-th false
alarm, as lines are inclusive; midway to the next distinct score, so that rounding has room.
"""

from collections.abc import Callable
from itertools import takewhile

import numpy as np
from numpy.typing import ArrayLike

from clipwarden.tuning.design.rates import Estimate, false_positive_rate
from clipwarden.tuning.lines.binomial import most_allowed, needed_clean, require_share
from clipwarden.tuning.lines.draws import independent
from clipwarden.tuning.lines.edges import Floats, finite, highest_after, over
from clipwarden.tuning.lines.promises import Aim, Kind, Lacking, Line, NotMet
from clipwarden.tuning.lines.sampled import about_needed


def line_for_fpr(
    clean: ArrayLike,
    *,
    limit: float,
    delta: float = 0.05,
    pi: ArrayLike | None = None,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    others: ArrayLike = (),
) -> Line | NotMet:
    """Choose the lowest line that stops at most a share of harmless pictures.

    What orders the scores (texts, pool, head, views) must have been chosen on other groups. The exact test needs
    pictures that had the same chance of being drawn. Of a sample that was drawn for this category, so that a higher
    score never meant a lower chance, give `pi`; of any other, thin it by `draws.evenly` first: where high scores had
    low chances, what lies above the line may not have been drawn, and weights cannot show it.

    Args:
        clean: `[N]` scores of harmless pictures with a label, before calibration.
        limit: The greatest share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        pi: `[N]` chances of a sample: the share of uploads, by limits of `design.rates`. None for the exact test.
        group: `[N]` numbers of near-duplicates, of which one each is tested; None when all are independent.
        u: `[N]` of `design.sampling.chances`, which choose that one; needed with `group` and without `pi`.
        uploads: `[N]`, how often each was uploaded; once by default.
        others: Further scores seen, as of harmful pictures: the line lies between them too.

    Returns:
        The line, or how many harmless pictures are missing.

    Raises:
        LineError: Scores that are not finite; a limit or delta outside (0,1).
    """
    scores, rest = finite(clean), finite(others)
    seen = np.concatenate([scores, rest])  # what was not chosen of a group was seen all the same
    if pi is None:
        tested = scores[independent(len(scores), group, u, uploads)]
        aim = Aim(kind=Kind.FALSE_POSITIVES, limit=limit, delta=delta, distinct=group is not None)
        return _lowest(aim, Lacking.CLEAN, tested, seen)
    require_share(limit, "limit")
    require_share(delta, "chance of breaking a promise")
    harmful = np.zeros(len(scores), dtype=np.bool_)

    def wrongly(above: float) -> Estimate:
        return false_positive_rate(scores > above, harmful, pi, group=group, uploads=uploads, confidence=1.0 - delta)

    return _weighted(Aim(kind=Kind.FALSE_POSITIVES, limit=limit, delta=delta, weighted=True), wrongly, scores, seen)


def line_for_flag_rate(
    scores: ArrayLike,
    *,
    limit: float,
    delta: float = 0.05,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
) -> Line | NotMet:
    """Choose the lowest line that stops at most a share of uploads, without any label: a fallback.

    It bounds the share of harmless pictures stopped only while harmful ones are stopped at least as often, since the
    rate of all is a mean of both. It costs recall: what is harmful counts against the limit.

    Args:
        scores: `[N]` scores of uniformly drawn uploads, before calibration.
        limit: The greatest share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        group: As above.
        u: As above.
        uploads: As above.

    Returns:
        The line, or how many uploads are missing.

    Raises:
        LineError: As above.
    """
    seen = finite(scores)
    tested = seen[independent(len(seen), group, u, uploads)]
    aim = Aim(kind=Kind.FLAGS, limit=limit, delta=delta, distinct=group is not None)
    return _lowest(aim, Lacking.UPLOADS, tested, seen)


def _lowest(aim: Aim, lacking: Lacking, tested: Floats, seen: Floats) -> Line | NotMet:
    allowed = most_allowed(len(tested), aim.limit, aim.delta)
    if allowed is None:
        return aim.missed(lacking, have=len(tested), need=needed_clean(aim.limit, aim.delta))
    edge = over(highest_after(tested, allowed), seen)
    return aim.kept(edge, tested=len(tested), allowed=allowed, seen=int((tested >= edge.at).sum()))


def _weighted(aim: Aim, wrongly: Callable[[float], Estimate], tested: Floats, seen: Floats) -> Line | NotMet:
    steps = np.unique(tested)[::-1].tolist()
    kept = list(takewhile(lambda above: wrongly(above).one_sided_high <= aim.limit, steps))
    if not kept:
        need = about_needed(aim.limit, aim.delta, wrongly(np.inf))
        return aim.missed(Lacking.CLEAN, have=len(tested), need=need)
    passed = int((tested > kept[-1]).sum())
    return aim.kept(over(kept[-1], seen), tested=len(tested), allowed=passed, seen=passed)
