"""Scores of harmless pictures, or of any, in; the lowest line that stops at most a share of them, out.

The line is found by a fixed sequence of exact binomial tests from the strict end over the scores that were seen (Learn
then Test, Angelopoulos et al., arXiv:2110.01052): lower it as long as the test rejects "more than `limit` are stopped".
Since the p-value only grows on the way down, that is the order statistic of the Neyman-Pearson umbrella algorithm
(Tong, Feng, Li, Science Advances 2018): with k exceptions allowed, the line lies strictly above the (k+1)-th false
alarm, as lines are inclusive; midway to the next distinct score, so that rounding has room.
"""

import numpy as np
from numpy.typing import ArrayLike

from clipwarden.tuning.lines.binomial import most_allowed, needed_clean
from clipwarden.tuning.lines.draws import independent
from clipwarden.tuning.lines.edges import Floats, finite, highest_after, over
from clipwarden.tuning.lines.promises import Aim, Kind, Lacking, Line, NotMet


def line_for_fpr(
    clean: ArrayLike,
    *,
    limit: float,
    delta: float = 0.05,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    others: ArrayLike = (),
) -> Line | NotMet:
    """Choose the lowest line that stops at most a share of harmless pictures.

    The pictures must have had the same chance of being drawn; of a sample that had not, take `draws.evenly` first. What
    orders the scores (texts, pool, head, views) must have been chosen on other groups.

    Args:
        clean: `[N]` scores of harmless pictures with a label, before calibration.
        limit: The greatest share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        group: `[N]` numbers of near-duplicates, of which one each is tested; None when all are independent.
        u: `[N]` of `design.sampling.chances`, which choose that one; needed with `group`.
        uploads: `[N]`, how often each was uploaded; once by default.
        others: Further scores seen, as of harmful pictures: the line lies between them too.

    Returns:
        The line, or how many harmless pictures are missing.

    Raises:
        LineError: Scores that are not finite; a limit or delta outside (0,1).
    """
    scores, rest = finite(clean), finite(others)
    tested = scores[independent(len(scores), group, u, uploads)]
    # What was not chosen of a group was seen all the same.
    seen = np.concatenate([scores, rest])
    aim = Aim(kind=Kind.FALSE_POSITIVES, limit=limit, delta=delta, distinct=group is not None)
    return _lowest(aim, Lacking.CLEAN, tested, seen)


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
