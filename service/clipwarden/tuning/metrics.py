"""Figures that can be believed: ranks, areas and rates, with the uncertainty that goes with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_Z_95: Final = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
_EXTREME: Final = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A figure between bounds.

    Attributes:
        value: The figure.
        low: Lower bound.
        high: Upper bound.
    """

    value: float
    low: float
    high: float


def auroc(positives: Floats, negatives: Floats) -> float:
    """Compute the chance that a positive scores above a negative, ties counting half.

    Args:
        positives: Scores [P].
        negatives: Scores [K].

    Returns:
        0..1; NaN when either is empty.
    """
    if len(positives) == 0 or len(negatives) == 0:
        return float("nan")
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    at_most = np.searchsorted(ordered, positives, "right")
    return float((below + at_most).mean() / (2.0 * len(negatives)))


def auroc_interval(
    positives: Floats, families: Sequence[str], negatives: Floats, *, rounds: int = 2000, seed: int = 7
) -> Interval:
    """Bootstrap the AUROC by family: drawings that resemble each other are drawn together.

    Args:
        positives: Scores [P].
        families: The family of each positive.
        negatives: Scores [K].
        rounds: Bootstrap samples.
        seed: Of the resampling.

    Returns:
        AUROC with the 2.5 % and 97.5 % quantiles.
    """
    ordered = np.sort(negatives)
    share = (np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")) / 2.0
    _, member = np.unique(np.asarray(families), return_inverse=True)
    sums, counts = np.bincount(member, share), np.bincount(member)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(sums), (rounds, len(sums)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    # Negatives are thousands: resample their mass by a Poisson weight a round would change the third decimal.
    values = means / len(negatives)
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(value=auroc(positives, negatives), low=float(low), high=float(high))


def wilson(hits: int, total: int) -> Interval:
    """Bound a share with Wilson's score interval at 95 %.

    Args:
        hits: Successes.
        total: Trials.

    Returns:
        The share; 0..1 when there were no trials.

    Source:
        Wilson 1927, without continuity correction.
    """
    if total == 0:
        return Interval(value=float("nan"), low=0.0, high=1.0)
    share, z2 = hits / total, _Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 / (1 + z2 / total) * np.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return Interval(value=share, low=float(max(0.0, centre - half)), high=float(min(1.0, centre + half)))


def clopper_pearson(hits: float, total: float, *, confidence: float = 0.95) -> Interval:
    """Bound a share with the exact interval: never narrower than promised, however few the trials.

    Args:
        hits: Successes; not a whole number where trials are effective ones, of weighted cases.
        total: Trials.
        confidence: Of both limits together; at 0.9 each holds alone with 95 %.

    Returns:
        The share; 0..1 when there were no trials.

    Source:
        Clopper & Pearson 1934: quantiles of the beta distribution.
    """
    # Late: of this module only the exact limits need scipy, which servers do without.
    from scipy.special import betaincinv  # noqa: PLC0415

    if total <= 0:
        return Interval(value=float("nan"), low=0.0, high=1.0)
    tail = (1.0 - confidence) / 2.0
    low = betaincinv(hits, total - hits + 1.0, tail) if hits > 0 else 0.0
    high = betaincinv(hits + 1.0, total - hits, 1.0 - tail) if hits < total else 1.0
    return Interval(value=hits / total, low=float(low), high=float(high))


def ranks_of_truth(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Rank the true column of each row; equal scores count against it.

    Args:
        scores: [K,K], the truth on the diagonal.

    Returns:
        int64 [K], 0 being first.
    """
    truth = scores.diagonal()[:, None]
    ahead: npt.NDArray[np.int64] = (scores >= truth).sum(1) - 1
    return ahead


def recall_at(ranks: npt.NDArray[np.int64], k: int) -> float:
    """Return the share of truths among the first k.

    Args:
        ranks: Ranks from 0.
        k: How many count.

    Returns:
        0..1.
    """
    return float((ranks < k).mean())


def balanced_weights(labels: npt.NDArray[np.bool_], within: Floats | None = None, *, prevalence: float = 0.5) -> Floats:
    """Weigh cases so that both classes weigh one half, or the positives as much as a prevalence says.

    Args:
        labels: bool [K].
        within: What each case weighs within its class [K]; None weighs all alike.
        prevalence: 0..1.

    Returns:
        float64 [K], summing to one where both classes are there.
    """
    each = np.ones(len(labels)) if within is None else within
    least = np.finfo(np.float64).tiny
    harmful, harmless = (max(float(each[of].sum()), least) for of in (labels, ~labels))
    weights: Floats = each * np.where(labels, prevalence / harmful, (1.0 - prevalence) / harmless)
    return weights


def brier_skill(probability: Floats, labels: npt.NDArray[np.bool_], weights: Floats) -> float:
    """Compare the Brier score with that of always answering the (weighted) prevalence.

    Args:
        probability: [K].
        labels: bool [K].
        weights: [K], summing to one.

    Returns:
        1 is perfect, 0 no better than the constant, negative worse.
    """
    prevalence = float((weights * labels).sum())
    constant = prevalence * (1.0 - prevalence)
    return 1.0 - float((weights * (probability - labels) ** 2).sum()) / max(constant, _EXTREME)


def calibration_error(probability: Floats, labels: npt.NDArray[np.bool_], weights: Floats, bins: int = 10) -> float:
    """Compute the expected calibration error over equal-width bins, cases weighted.

    Args:
        probability: [K].
        labels: bool [K].
        weights: [K], summing to one.
        bins: Number of bins.

    Returns:
        The mean absolute gap between probability and rate, 0..1.
    """
    bin_of_case = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_of_case, weights * (probability - labels), bins)
    return float(np.abs(gap).sum())
