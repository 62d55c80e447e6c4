"""Labelled margins and scores in; calibrations, and thresholds that keep to a rate of false positives, out."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clipwarden.tuning.lines.edges import highest_after
from clipwarden.tuning.lines.rounding import next_over
from clipwarden.tuning.metrics import Floats

_L2: Final = 1e-4
_STEPS: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A slope shared by all categories and a bias for each, at even odds.

    Attributes:
        slope: `a` of `p = sigmoid(a*m + b)`.
        biases: `b` by category.
    """

    slope: float
    biases: tuple[float, ...]


def fit_platt(margins: list[tuple[Floats, npt.NDArray[np.bool_]]]) -> Fit:
    """Fit Platt's sigmoid with smoothed targets, classes balanced and categories weighing the same.

    Args:
        margins: Margins and labels of each category.

    Returns:
        The fit.

    Source:
        Platt 1999 for the targets `(P + 1) / (P + 2)` and `1 / (K + 2)`; Newton's method on all parameters at once.
    """
    count = len(margins)
    scale = float(np.mean([m.std() for m, _ in margins]))
    theta = np.zeros(count + 1)
    for _ in range(_STEPS):
        gradient, hessian = np.zeros(count + 1), np.zeros((count + 1, count + 1))
        gradient[0], hessian[0, 0] = _L2 * theta[0], _L2
        for index, (margin, positive) in enumerate(margins, start=1):
            x = np.stack([margin / scale, np.ones(len(margin))], 1)
            many, few = int(positive.sum()), int((~positive).sum())
            target = np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))
            weight = np.where(positive, 0.5 / many, 0.5 / few)
            guess = 1.0 / (1.0 + np.exp(-(x @ theta[[0, index]])))
            part = np.ix_([0, index], [0, index])
            gradient[[0, index]] += x.T @ (weight * (guess - target))
            hessian[part] += (x * (weight * guess * (1.0 - guess))[:, None]).T @ x
        hessian[np.diag_indices(count + 1)] += 1e-9
        theta -= np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
    return Fit(slope=float(theta[0] / scale), biases=tuple(float(b) for b in theta[1:]))


def bias_at(bias: float, prevalence: float) -> float:
    """Move a bias fitted at even odds to a prevalence.

    Args:
        bias: At even odds.
        prevalence: 0..1.

    Returns:
        The bias that belongs in the policy.
    """
    return bias + float(np.log(prevalence / (1.0 - prevalence)))


def threshold_for(negatives: Floats, rate: float, *, decimals: int = 3) -> float:
    """Find the least score that lets at most a share of the negatives pass.

    Args:
        negatives: Scores of negatives.
        rate: Greatest false-positive rate.
        decimals: To round up to; where scores are small, three leave no choice.

    Returns:
        A threshold under 1.
    """
    edge = highest_after(negatives, int(np.floor(rate * len(negatives))))
    return min(1.0 - 10.0**-decimals, next_over(edge, edge, decimals))
