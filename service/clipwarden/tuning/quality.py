"""Labelled scores of one category in; how well a calibration of them can be read as probabilities, out.

Every score is calibrated by a fit that did not see its group (`folds`), and then held against its label. Both classes
weigh what they weigh in traffic: the positives as much as the prevalence says, each picture its uploads / pi within
its class.

Intervals are linearised: the variance of a weighted sum, summed over totals of groups, around each class's own mean
(whose weight is fixed by the prevalence, taken as known), with Student's t at one less than the groups of the rarer
class. How the fits themselves vary from fold to fold is not in them.

The figures tell a calibration as it is. With few positives Platt's smoothed targets, which take no class for certain,
say less than the labels could: where the logistic curve is right, an intercept of about 0.6 with 12 positives, 0.3 with
30 and 0.1 with 100, and a slope a little above 1. That is the price of a fit that stays finite; lines, which are chosen
before it, do not feel it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

from clipwarden.tuning.calibration import Cases, Platt, Unfit, fit_cases, missing
from clipwarden.tuning.design.groups import folds
from clipwarden.tuning.fitting import bias_at, minimised
from clipwarden.tuning.metrics import Floats, Interval, balanced_weights

_FOLDS: Final = 5
_FEWEST: Final = 2  # groups of a class of which a part can be left out, or a variance be had


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """How well scores can be read as probabilities.

    Attributes:
        skill: 1 - log-loss / that of always answering the prevalence: 1 is perfect, 0 no better than the constant.
        slope: Of a logistic recalibration; 1 is right, below 1 is too sure of itself. None where nothing harmful scores
            below anything harmless, or all score alike: then any steepness would do.
        intercept: Of a recalibration whose slope is 1, in logits; 0 is right, above 0 says too little.
        prevalence: At which all of this holds.
        folds: Of how many parts each was left out once; 1 says that these are the images it was fitted on, and 0 that
            it was fitted elsewhere.
        labels: How many.
        positives: How many of them are harmful.
        groups: Near-duplicates counting once.
    """

    skill: Interval
    slope: Interval | None
    intercept: Interval
    prevalence: float
    folds: int
    labels: int
    positives: int
    groups: int


def quality(
    logits: ArrayLike,
    positive: ArrayLike,
    *,
    pi: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    prevalence: float,
    most_folds: int = _FOLDS,
    seed: int = 7,
    confidence: float = 0.95,
) -> Quality | Unfit:
    """Judge what `calibrate` does on labels that it does not see, by folds of whole groups.

    Args:
        logits: As for `calibration.fit`.
        positive: Likewise.
        pi: Likewise.
        groups: Likewise.
        uploads: Likewise.
        prevalence: What the policy will say, in (0, 1).
        most_folds: Fewer where there are fewer groups of a class.
        seed: Of the dealing, which the order of the pictures does not move.
        confidence: Of the intervals.

    Returns:
        The figures, or why there is no fit. A part whose complement cannot be fitted gets the constant.

    Raises:
        DesignError: As for `calibration.fit`.
    """
    cases = Cases.of(logits, positive, pi, groups, uploads)
    fitted = fit_cases(cases)
    if isinstance(fitted, Unfit):
        return fitted
    parts = deal(cases, most_folds, seed)
    seen = _held_out(cases, parts, prevalence) if parts.max() else _through(fitted, cases.logits, prevalence)
    return _found(_Held(cases=cases, logits=seen, prevalence=prevalence, confidence=confidence), int(parts.max()) + 1)


def quality_of(
    calibrated: ArrayLike,
    positive: ArrayLike,
    *,
    pi: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    prevalence: float,
    confidence: float = 0.95,
) -> Quality | Unfit:
    """Judge a calibration that was fitted elsewhere, such as the one in force, on labels that it never saw.

    Args:
        calibrated: `[k]` logits after it, at the prevalence; those that are not finite are left out.
        positive: As for `calibration.fit`.
        pi: Likewise.
        groups: Likewise.
        uploads: Likewise.
        prevalence: At which it speaks, in (0, 1).
        confidence: Of the intervals.

    Returns:
        The figures, of no fold; or why these labels cannot say.

    Raises:
        DesignError: As for `calibration.fit`.
    """
    cases = Cases.of(calibrated, positive, pi, groups, uploads)
    if lacking := missing(cases):
        return lacking
    return _found(_Held(cases=cases, logits=cases.logits, prevalence=prevalence, confidence=confidence), 0)


def _found(held: "_Held", folds: int) -> Quality:
    cases = held.cases
    return Quality(
        skill=held.skill(),
        slope=held.slope(),
        intercept=held.intercept(),
        prevalence=held.prevalence,
        folds=folds,
        labels=len(cases.logits),
        positives=int(cases.positive.sum()),
        groups=len(np.unique(cases.group)),
    )


def deal(cases: Cases, most: int, seed: int) -> NDArray[np.intp]:
    """Deal whole groups into parts, each with groups of both classes.

    Args:
        cases: The pictures, in any order: what is dealt where depends on their scores and labels alone.
        most: At most so many parts.
        seed: Of the dealing.

    Returns:
        `[k]` the part of each picture; all 0 where there are too few groups to leave any out.
    """
    count = len(cases.logits)
    _, group = np.unique(cases.group, return_inverse=True)
    harmful = np.bincount(group, cases.positive) > 0
    parts = min(most, int(harmful.sum()), int((~harmful).sum()))
    if parts < _FEWEST:
        return np.zeros(count, np.intp)
    lots = np.empty(count)
    lots[np.lexsort((cases.positive, cases.weight, cases.logits))] = np.random.default_rng(seed).random(count)
    return folds(cases.group, lots, parts, positive=cases.positive)


def _held_out(cases: Cases, parts: NDArray[np.intp], prevalence: float) -> Floats:
    found = np.empty(len(parts))
    for part in range(int(parts.max()) + 1):
        own = parts == part
        found[own] = _through(fit_cases(cases.only(~own)), cases.logits[own], prevalence)
    return found


def _through(fitted: Platt | Unfit, logits: Floats, prevalence: float) -> Floats:
    if isinstance(fitted, Unfit):
        return np.full(len(logits), float(logit(prevalence)))
    return fitted.slope * logits + bias_at(fitted.bias, prevalence)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Held:
    """Calibrated logits [k] of pictures that their fits did not see."""

    cases: Cases
    logits: Floats
    prevalence: float
    confidence: float

    @property
    def weight(self) -> Floats:
        return balanced_weights(self.cases.positive, self.cases.weight, prevalence=self.prevalence)

    def skill(self) -> Interval:
        positive, p = self.cases.positive, self.prevalence
        loss = np.where(positive, np.logaddexp(0.0, -self.logits), np.logaddexp(0.0, self.logits))
        constant = -p * np.log(p) - (1.0 - p) * np.log1p(-p)
        value = 1.0 - float((self.weight * loss).sum() / constant)
        around = self._between(value, float(np.sqrt(self._variance(loss[:, None])[0, 0])) / constant)
        return Interval(value=value, low=around.low, high=min(1.0, around.high))

    def intercept(self) -> Interval:
        theta = self._recalibrated(np.zeros((len(self.logits), 0)), offset=self.logits)
        guess = expit(self.logits + theta[0])
        steepness = float((self.weight * guess * (1.0 - guess)).sum())
        spread = float(np.sqrt(self._variance((guess - self.cases.positive)[:, None])[0, 0]))
        return self._between(float(theta[0]), spread / steepness)

    def slope(self) -> Interval | None:
        harmful, harmless = self.logits[self.cases.positive], self.logits[~self.cases.positive]
        if harmful.min() >= harmless.max() or harmless.min() >= harmful.max():
            return None
        theta = self._recalibrated(self.logits[:, None], offset=np.zeros(len(self.logits)))
        x = np.stack([np.ones(len(self.logits)), self.logits], 1)
        guess = expit(x @ theta)
        bread = np.linalg.inv((x * (self.weight * guess * (1.0 - guess))[:, None]).T @ x)
        variance = bread @ self._variance(x * (guess - self.cases.positive)[:, None]) @ bread
        return self._between(float(theta[1]), float(np.sqrt(variance[1, 1])))

    def _recalibrated(self, columns: Floats, offset: Floats) -> Floats:
        """Fit a logistic regression with an intercept, and return that and the columns' factors."""
        x = np.concatenate([np.ones((len(offset), 1)), columns], axis=1)
        weight, positive = self.weight, self.cases.positive

        def loss(theta: Floats) -> float:
            logits = x @ theta + offset
            return float((weight * (np.logaddexp(0.0, logits) - positive * logits)).sum())

        def derivatives(theta: Floats) -> tuple[Floats, Floats]:
            guess = expit(x @ theta + offset)
            return x.T @ (weight * (guess - positive)), (x * (weight * guess * (1.0 - guess))[:, None]).T @ x

        return minimised(np.zeros(x.shape[1]), loss, derivatives)

    def _variance(self, terms: Floats) -> Floats:
        """Compute the variance of the weighted sums of terms [k,n], n x n, by groups and around each class's mean."""
        positive, weight = self.cases.positive, self.weight[:, None]
        centred = terms.copy()
        for own in (positive, ~positive):
            centred[own] -= (weight[own] * terms[own]).sum(0) / weight[own].sum()
        _, group = np.unique(self.cases.group, return_inverse=True)
        totals = np.zeros((int(group.max()) + 1, terms.shape[1]))
        np.add.at(totals, group, weight * centred)
        return totals.T @ totals * len(totals) / max(1, len(totals) - 1)

    def _between(self, value: float, spread: float) -> Interval:
        rarer = min(len(np.unique(self.cases.group[own])) for own in (self.cases.positive, ~self.cases.positive))
        if rarer < _FEWEST:
            return Interval(value=value, low=-np.inf, high=np.inf)
        half = float(stdtrit(rarer - 1, (1.0 + self.confidence) / 2.0)) * spread
        return Interval(value=value, low=value - half, high=value + half)
