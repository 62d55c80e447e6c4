"""Scores of harmful pictures in; the highest line that still finds a share of them, out.

A fixed sequence again, from the lenient end: raise the line as long as it is proven that it finds the target. Of a
sample with weights `betting` proves it, and not a limit of `design.rates`, which knows nothing of kinds of harmful
pictures that were never drawn: where 30 or 40 % of the harmful scored like harmless ones, lines by such a limit broke
their promise in up to 31 % of samples.
"""

from bisect import bisect_left
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from clipwarden.errors import LineError
from clipwarden.tuning.design.ratios import Labels
from clipwarden.tuning.lines.betting import Bet
from clipwarden.tuning.lines.binomial import most_allowed, needed_clean, require_share
from clipwarden.tuning.lines.draws import independent
from clipwarden.tuning.lines.edges import Floats, finite, reaching
from clipwarden.tuning.lines.promises import Aim, Kind, Lacking, Line, NotMet

_LOOK_LOWER: Final = (
    "pictures with low scores had so little chance to be drawn that many may be missed unseen; a sample that looks at "
    "them more often, by `clipwarden sample --uniform-share 80%`, needs fewer labels for this"
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
    others_weight: ArrayLike | None = None,
) -> Line | NotMet:
    """Choose the highest line that stops at least a share of harmful uploads.

    Of a sample the promise holds for uploads to come in any world, also where a kind of harmful pictures scores like
    harmless ones. It takes many labels: where one upload in a hundred is harmful, about 4,000 for a target of 0.7 and
    7,000 for 0.8 at a uniform share of 0.2 (`design.sampling.inclusion`), and about 1,500 and 2,500 at 0.8.

    Args:
        harmful: `[K]` scores of harmful pictures with a label, before calibration.
        target: The least share stopped, in (0,1).
        delta: The greatest chance of breaking that, in (0,1).
        pi: `[K]` chances of a sample: recall per upload, proven by `betting`. None where all had the same chance: exact
            test, one picture a group.
        group: `[K]` numbers of near-duplicates; None when all are independent.
        u: `[K]` of `design.sampling.chances`; needed with `group` and without `pi`.
        uploads: `[K]`, how often each was uploaded; once by default.
        others: `[M]` further scores seen, as of harmless pictures: the line lies between them too.
        others_weight: `[M]` uploads over chances of all other labels of the category; needed with `pi` and `others`,
            since the heaviest of them tells what an unseen miss may weigh.

    Returns:
        The line, or how many harmful pictures are missing.

    Raises:
        LineError: Scores that are not finite; a target or delta outside (0,1); no weights of other labels.
        DesignError: A chance is outside (0,1], or columns differ in length.
    """
    require_share(target, "target")
    require_share(delta, "chance of breaking a promise")
    scores = finite(harmful)
    seen = np.concatenate([scores, finite(others)])
    if pi is None:
        aim = Aim(kind=Kind.RECALL, limit=target, delta=delta, distinct=group is not None)
        return _exact(aim, scores[independent(len(scores), group, u, uploads)], seen)
    labels = Labels.of(np.ones(len(scores), dtype=np.bool_), pi, group, uploads)
    bet = Bet.of(target, labels.weight, labels.group, _weights(others_weight, len(seen) - len(scores)))
    return _weighted(Aim(kind=Kind.RECALL, limit=target, delta=delta, weighted=True), bet, scores, seen)


def _weights(given: ArrayLike | None, count: int) -> Floats:
    weights = np.empty(0) if given is None else np.asarray(given, dtype=np.float64)
    if weights.shape != (count,):
        raise LineError(f"others_weight has {weights.size} entries for {count} other scores; give one a score with pi")
    return weights


def _exact(aim: Aim, tested: Floats, seen: Floats) -> Line | NotMet:
    allowed = most_allowed(len(tested), 1.0 - aim.limit, aim.delta)
    if allowed is None:
        return aim.missed(Lacking.HARMFUL, have=len(tested), need=needed_clean(1.0 - aim.limit, aim.delta))
    edge = reaching(float(np.partition(tested, allowed)[allowed]), seen)
    return aim.kept(edge, tested=len(tested), allowed=allowed, seen=int((tested < edge.at).sum()))


def _weighted(aim: Aim, bet: Bet, tested: Floats, seen: Floats) -> Line | NotMet:
    steps = np.unique(tested)
    # A higher line turns finds into misses, so evidence only falls: the first step that lacks it ends the sequence.
    kept = bisect_left(steps, x=True, key=lambda at: bet.evidence(tested >= at) < -np.log(aim.delta))
    if not kept:
        advice = _LOOK_LOWER if bet.lopsided else ""
        need = max(bet.needed(aim.delta), len(tested) + 1)
        return aim.missed(Lacking.HARMFUL, have=len(tested), need=need, advice=advice)
    edge = reaching(float(steps[kept - 1]), seen)
    missed = int((tested < edge.at).sum())
    return aim.kept(edge, tested=len(tested), allowed=missed, seen=missed)
