"""Paired runs in, one ratio with the bound it is held by out; and the slope of a series, with its interval."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.90
LEAST_RUNS = 4
"""For which the least one is a bound: all of three are above the median once in eight times."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A median and the bounds that it lies beyond with a confidence of 90 % each.

    Attributes:
        median: Of the runs.
        low: Lower bound; the least run where there are too few for a bound.
        high: Upper bound; the greatest run where there are too few.
        runs: How many there are.
    """

    median: float
    low: float
    high: float
    runs: int


def estimate(values: Sequence[float]) -> Estimate:
    """Estimate the median of paired ratios or differences.

    The bounds are order statistics, whatever the distribution: the true median is below the k-th smallest of n runs
    with the probability that fewer than k of n fair coins show heads. Of nine runs the third smallest is the bound;
    two wild ones, as shared machines have them, move nothing.

    Args:
        values: At least one, one a pair of runs.

    Returns:
        Median and one-sided bounds.

    Source: the sign test; Conover, Practical Nonparametric Statistics, 3rd ed. (1999), section 3.2.
    """
    ordered = sorted(values)
    rank = _rank_of_bound(len(ordered))
    return Estimate(
        median=statistics.median(ordered), low=ordered[rank], high=ordered[len(ordered) - 1 - rank], runs=len(ordered)
    )


def _rank_of_bound(runs: int) -> int:
    """Count the runs below the bound: 0-based rank of the largest order statistic that still is a 90 % bound."""
    rank, below = 0, 0.5**runs
    while below + math.comb(runs, rank + 1) * 0.5**runs <= 1 - CONFIDENCE:
        rank += 1
        below += math.comb(runs, rank) * 0.5**runs
    return rank


def slope(seconds: Sequence[float], values: Sequence[float], *, blocks: int = 12) -> Estimate:
    """Fit a line to a noisy series whose neighbours are alike: the blocks' means are, nearly, independent.

    Args:
        seconds: Of each value.
        values: At least as many as blocks.
        blocks: Into which the series is cut.

    Returns:
        Slope a second, with a two-sided 95 % interval of Student's t on `blocks` - 2 degrees.
    """
    times = np.array([part.mean() for part in np.array_split(np.asarray(seconds, dtype=np.float64), blocks)])
    means = np.array([part.mean() for part in np.array_split(np.asarray(values, dtype=np.float64), blocks)])
    centred = times - times.mean()
    gradient = float((centred @ means) / (centred @ centred))
    residual = means - means.mean() - gradient * centred
    error = math.sqrt(float(residual @ residual) / (blocks - 2) / float(centred @ centred))
    half = _T_975[min(blocks - 2, max(_T_975))] * error
    return Estimate(median=gradient, low=gradient - half, high=gradient + half, runs=blocks)


_T_975 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23}
"""Student's t at 97.5 %, by degrees of freedom; any table."""


def percentiles(milliseconds: Sequence[float]) -> dict[str, float | None]:
    """Summarise all latencies of a run, none left out.

    Returns:
        p50, p99 and max in milliseconds; None where there are none.
    """
    if not milliseconds:
        return {"p50": None, "p99": None, "max": None}
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(max(milliseconds), 2)}
