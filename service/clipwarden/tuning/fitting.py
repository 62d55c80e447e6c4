"""Labelled margins and scores in; calibrations, and thresholds that keep to a rate of false positives, out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clipwarden.tuning.lines.edges import highest_after
from clipwarden.tuning.lines.rounding import next_over
from clipwarden.tuning.metrics import Floats, balanced_weights

_L2: Final = 1e-4
_STEPS: Final = 100
_SMALL: Final = 1e-12  # of a gradient whose weights sum to one
_HALVINGS: Final = 40
_LEAST: Final = 1e-12  # of a chance that is divided by
_RIDGE: Final = 1e-12  # of a Hessian, which may be flat where a class is far from any doubt


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labelled:
    """Margins of one category with what they were labelled.

    Attributes:
        margins: `[K]`.
        positive: bool `[K]`, some true and some false.
        weights: `[K]`, only proportions within a class matter; None weighs all alike.
        worth: How many even cases the positives and the negatives are worth, for the targets; None counts them.
    """

    margins: Floats
    positive: npt.NDArray[np.bool_]
    weights: Floats | None = None
    worth: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A slope shared by all categories and a bias for each, at even odds.

    Attributes:
        slope: `a` of `p = sigmoid(a*m + b)`.
        biases: `b` by category.
    """

    slope: float
    biases: tuple[float, ...]


def fit_one(labelled: Labelled) -> tuple[float, float]:
    """Fit one category with a slope of its own.

    Args:
        labelled: Its margins, not all the same.

    Returns:
        Slope, which is not above 0 where margins rank the wrong way round, and bias at even odds.
    """
    fit = fit_platt([labelled])
    return fit.slope, fit.biases[0]


def fit_platt(categories: Sequence[Labelled]) -> Fit:
    """Fit Platt's sigmoid with smoothed targets, classes balanced and categories weighing the same.

    Args:
        categories: Margins and labels of each; the slope is shared.

    Returns:
        The fit.

    Source:
        Platt 1999 for the targets `(P + 1) / (P + 2)` and `1 / (K + 2)`; Newton's method on all parameters at once,
        steps halved until the loss falls.
    """
    scale = float(np.mean([each.margins.std() for each in categories]))
    centres = [float(each.margins.mean()) for each in categories]
    terms = [_Term.of(each, centre, scale) for each, centre in zip(categories, centres, strict=True)]
    theta = minimised(np.zeros(len(terms) + 1), lambda at: _loss(at, terms), lambda at: _derivatives(at, terms))
    slope = float(theta[0] / scale)
    return Fit(slope=slope, biases=tuple(float(b - slope * c) for b, c in zip(theta[1:], centres, strict=True)))


def minimised(
    start: Floats, loss: Callable[[Floats], float], derivatives: Callable[[Floats], tuple[Floats, Floats]]
) -> Floats:
    """Find where a convex loss is least, by Newton's method, steps halved until the loss falls.

    Args:
        start: `[n]`.
        loss: Of parameters `[n]`, its cases weighing about one in all.
        derivatives: Its gradient `[n]` and Hessian `[n,n]` there.

    Returns:
        `[n]`.
    """
    theta = start
    for _ in range(_STEPS):
        gradient, hessian = derivatives(theta)
        if np.abs(gradient).max(initial=0.0) < _SMALL:
            break
        step = np.linalg.solve(hessian + _RIDGE * np.eye(len(theta)), gradient)
        before = loss(theta)
        shares = 0.5 ** np.arange(_HALVINGS)
        taken = next((theta - share * step for share in shares if loss(theta - share * step) < before), None)
        if taken is None:  # rounding alone decides from here on
            break
        theta = taken
    return theta


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Term:
    """One category's part of the loss: its margins in units of their spread, targets and weights."""

    x: Floats
    target: Floats
    weight: Floats

    @classmethod
    def of(cls, labelled: Labelled, centre: float, scale: float) -> "_Term":
        positive = labelled.positive
        many, few = labelled.worth or (float(positive.sum()), float((~positive).sum()))
        return cls(
            x=(labelled.margins - centre) / scale,
            target=np.where(positive, (many + 1.0) / (many + 2.0), 1.0 / (few + 2.0)),
            weight=balanced_weights(positive, labelled.weights),
        )

    def loss(self, slope: float, bias: float) -> float:
        logit = slope * self.x + bias
        return float((self.weight * (np.logaddexp(0.0, logit) - self.target * logit)).sum())


def _derivatives(theta: Floats, terms: Sequence[_Term]) -> tuple[Floats, Floats]:
    """Compute gradient and Hessian."""
    gradient, hessian = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    gradient[0], hessian[0, 0] = _L2 * theta[0], _L2
    for index, term in enumerate(terms, start=1):
        x = np.stack([term.x, np.ones(len(term.x))], 1)
        guess = 0.5 * (1.0 + np.tanh(0.5 * (x @ theta[[0, index]])))  # a sigmoid that overflows nowhere
        gradient[[0, index]] += x.T @ (term.weight * (guess - term.target))
        hessian[np.ix_([0, index], [0, index])] += (x * (term.weight * guess * (1.0 - guess))[:, None]).T @ x
    return gradient, hessian


def _loss(theta: Floats, terms: Sequence[_Term]) -> float:
    return 0.5 * _L2 * float(theta[0]) ** 2 + sum(
        term.loss(float(theta[0]), float(bias)) for term, bias in zip(terms, theta[1:], strict=True)
    )


def bias_at(bias: float, prevalence: float) -> float:
    """Move a bias fitted at even odds to a prevalence.

    Args:
        bias: At even odds.
        prevalence: 0..1.

    Returns:
        The bias that belongs in the policy.
    """
    return bias + float(np.log(prevalence / (1.0 - prevalence)))


def probability_at(probability: Floats, prevalence: float, other: float = 0.5) -> Floats:
    """Move calibrated scores from the prevalence that they hold at to another.

    Args:
        probability: `[K]`.
        prevalence: That they hold at, in (0, 1).
        other: In (0, 1); at one half both classes weigh the same.

    Returns:
        `[K]`.
    """
    ratio = other / (1.0 - other) * (1.0 - prevalence) / prevalence
    odds = probability / np.maximum(1.0 - probability, _LEAST) * ratio
    return odds / (1.0 + odds)


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
