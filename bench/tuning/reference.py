"""The interval of the formula as it is written down, by another hand: plain sums, and quantiles of scipy.stats."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def effective_size(outcome: NDArray[np.bool_], weight: Floats, group: NDArray[np.intp], *, capped: bool) -> float:
    """Say how many even labels a share's labels are worth.

    Args:
        outcome: bool `[k]`.
        weight: `[k]`.
        group: `[k]`: members of one group are added up to one, with their weights' sum and mean outcome.
        capped: min(k, sum(w)^2/sum(w^2), R(1-R)/V), as against R(1-R)/V alone, plain Korn and Graubard.

    Returns:
        That, times (1.96 / t)^2.
    """
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    w = np.add.reduceat(weight[order], starts) if len(order) else np.empty(0)
    c = np.add.reduceat((weight * outcome)[order], starts) / w if len(order) else w
    k = len(w)
    if k < 2:
        return 0.0
    share = (w * c).sum() / w.sum()
    variance = k / (k - 1) * (w**2 * (c - share) ** 2).sum() / w.sum() ** 2
    worth = share * (1 - share) / variance if variance > 1e-20 else np.inf
    size = min(k, w.sum() ** 2 / (w**2).sum(), worth) if capped else min(worth, 1e9)
    if not capped and not np.isfinite(worth):
        size = k
    return float(size * (1.96 / stats.t.ppf(0.975, k - 1)) ** 2)


def limits(share: Floats, size: Floats, tail: float = 0.025) -> tuple[Floats, Floats]:
    """Bound shares as Clopper and Pearson do: shares and sizes [n], and the error on each side -> low and high [n]."""
    hits = share * size
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, stats.beta.ppf(tail, hits, size - hits + 1), 0.0)
        high = np.where((hits < size) & (size > 0), stats.beta.ppf(1 - tail, hits + 1, size - hits), 1.0)
    return low, high
