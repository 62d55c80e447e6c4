"""Labelled scores of one category in; the calibration that a policy can hold, and how far it can be trusted, out.

Scores here are margins or logits before any calibration. A fit gives `p = sigmoid(slope * logit + bias)`, slope and
bias of this category alone, by Platt's method (Platt 1999):

- **classes balanced**, each weighing one half, so that a rare harm is not drowned; within a class a picture weighs
  its uploads / pi, as many uploads as it stands for;
- **smoothed targets** `(n + 1) / (n + 2)` and `1 / (m + 2)`, where n and m are not how many pictures there are but how
  many even ones they are worth (Kish: sum(w)^2 / sum(w^2) over totals of groups), so that near-duplicates and heavy
  weights do not pass for evidence;
- **a small L2 penalty** on the slope, in units of the scores' spread: with the targets, it keeps the fit finite where
  one limit parts the classes completely;
- then the **logit offset** that moves even odds to the prevalence. Lines are chosen before it and mapped through it, so
  that another prevalence moves what is written and not what is stopped.

Beta and isotonic calibration are not offered: the first gains at most 0.015 of log-loss, the second leaves tied levels
in which no line can be drawn.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.errors import DesignError
from clipwarden.policy.language.concept_keys import MAX_BIAS, MAX_SLOPE
from clipwarden.tuning.fitting import Labelled, bias_at, fit_one
from clipwarden.tuning.metrics import Floats

Flags = NDArray[np.bool_]
FEWEST_FOR_PREVALENCE: Final = 3.0
"""Weighted positives below which a sample says nothing about how many of 1,000 uploads are like this."""
_SLOPE_DIGITS: Final = 4
_BIAS_DECIMALS: Final = 3


class Why(StrEnum):
    """Why a category gets no calibration from these labels."""

    NO_POSITIVES = "no_positives"
    NO_NEGATIVES = "no_negatives"
    ONE_SCORE = "one_score"
    WRONG_WAY_ROUND = "wrong_way_round"
    OFF_THE_SCALE = "off_the_scale"
    PREVALENCE_NEEDED = "prevalence_needed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfit:
    """No calibration, and why.

    Attributes:
        why: For scripts.
        sentence: For people, with what to do about it.
    """

    why: Why
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Platt:
    """A fit at even odds.

    Attributes:
        slope: Above 0.
        bias: In logits.
        worth: How many even pictures the positives and the negatives are worth (Kish).
    """

    slope: float
    bias: float
    worth: tuple[float, float]

    def at(self, prevalence: float) -> "Fitted":
        """Move it to a prevalence, in numbers as short as a file should hold.

        Args:
            prevalence: In (0, 1).
        """
        slope = float(f"{self.slope:.{_SLOPE_DIGITS}g}")
        bias = round(bias_at(self.bias, prevalence), _BIAS_DECIMALS) + 0.0
        return Fitted(slope=slope, bias=bias, prevalence=prevalence)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """What a policy's `calibration` is to say, but for the digest of what it was fitted on (`tune.writing` adds it).

    Attributes:
        slope: Above 0, rounded to what is written.
        bias: In logits, at the prevalence, rounded likewise.
        prevalence: In (0, 1).
    """

    slope: float
    bias: float
    prevalence: float

    def logits(self, logits: ArrayLike) -> Floats:
        """Calibrate scores, in logits: a policy's score is the sigmoid of this."""
        return self.slope * np.asarray(logits, np.float64) + self.bias


def fit(
    logits: ArrayLike,
    positive: ArrayLike,
    *,
    pi: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
) -> Platt | Unfit:
    """Fit one category on all of its labels.

    Args:
        logits: `[k]` before calibration; those that are not finite (a picture without a score) are left out.
        positive: bool `[k]`.
        pi: `[k]` chances of a sample, in (0, 1]; None weighs all alike.
        groups: `[k]` numbers of near-duplicates; None when all are independent.
        uploads: `[k]`, how often each was uploaded: in traffic it weighs as much; None for once.

    Returns:
        The fit at even odds, or why there is none. A category whose labels lie further apart than any overlap gets a
        steep, finite one.

    Raises:
        DesignError: Columns differ in length, or a chance is outside (0, 1].
    """
    return fit_cases(Cases.of(logits, positive, pi, groups, uploads))


def calibrate(
    logits: ArrayLike,
    positive: ArrayLike,
    *,
    pi: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    prevalence: float | None = None,
) -> Fitted | Unfit:
    """Fit one category and move it to a prevalence: the one given, or else what the sample says.

    Args:
        logits: As for `fit`.
        positive: As for `fit`.
        pi: As for `fit`; None (hand-picked images) asks for a prevalence.
        groups: As for `fit`.
        uploads: As for `fit`.
        prevalence: In (0, 1); needed where fewer than three weighted positives were drawn.

    Returns:
        What the policy is to say, or why it may say nothing.

    Raises:
        DesignError: As for `fit`, or a prevalence outside (0, 1).
    """
    cases = Cases.of(logits, positive, pi, groups, uploads)
    fitted = fit_cases(cases)
    if isinstance(fitted, Unfit):
        return fitted
    share = _prevalence(cases, None if pi is None else fitted.worth[0], prevalence)
    return share if isinstance(share, Unfit) else _within_reach(fitted.at(share))


def fit_cases(cases: "Cases") -> Platt | Unfit:
    """Fit one category on columns that were checked; see `fit`."""
    if lacking := missing(cases):
        return lacking
    worth = (cases.worth(of=cases.positive), cases.worth(of=~cases.positive))
    one = Labelled(margins=cases.logits, positive=cases.positive, weights=cases.weight, worth=worth)
    slope, bias = fit_one(one)
    if slope <= 0.0:
        return Unfit(
            why=Why.WRONG_WAY_ROUND,
            sentence="The prompts rank it the wrong way round: harmless pictures score higher than harmful ones. Write "
            "other prompts or negatives.",
        )
    return Platt(slope=slope, bias=bias, worth=worth)


def missing(cases: "Cases") -> Unfit | None:
    """Say why columns can be neither fitted nor judged by; None where they can."""
    if not cases.positive.any():
        return Unfit(
            why=Why.NO_POSITIVES,
            sentence="No labelled picture is harmful, so that nothing can be fitted: label some that are.",
        )
    if cases.positive.all():
        return Unfit(
            why=Why.NO_NEGATIVES,
            sentence="No labelled picture is harmless, so that nothing can be fitted: label some that are.",
        )
    if np.ptp(cases.logits) == 0.0:
        return Unfit(why=Why.ONE_SCORE, sentence="Every labelled picture got the same score: write other prompts.")
    return None


def _prevalence(cases: "Cases", worth: float | None, stated: float | None) -> float | Unfit:
    if stated is not None:
        if not 0.0 < stated < 1.0:
            raise DesignError(f"A prevalence of {stated:g} is none: give a share above 0 and below 1, such as 0.002.")
        return stated
    if worth is None:
        what = "Hand-picked images cannot say how many of 1,000 uploads are like this"
    elif worth < FEWEST_FOR_PREVALENCE:
        what = f"The harmful pictures drawn are worth {worth:.1f} even ones, too few to say how common they are"
    else:
        return float(f"{cases.weight[cases.positive].sum() / cases.weight.sum():.3g}")
    return Unfit(why=Why.PREVALENCE_NEEDED, sentence=f"{what}: say it with --prevalence, such as 0.002 for 2 of 1,000.")


def _within_reach(fitted: Fitted) -> Fitted | Unfit:
    if 0.0 < fitted.slope < MAX_SLOPE and abs(fitted.bias) <= MAX_BIAS:
        return fitted
    return Unfit(
        why=Why.OFF_THE_SCALE,
        sentence=f"The fit is off the scale of a policy (slope {fitted.slope:g}, bias {fitted.bias:g}): harmful and "
        "harmless pictures lie too near to each other, or too far apart, for these labels to say how sure to be.",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """Columns of one category, a row a picture with a finite score.

    Attributes:
        logits: `[k]`.
        positive: bool `[k]`.
        weight: `[k]`, how many uploads each stands for.
        group: `[k]`, numbers from 0.
    """

    logits: Floats
    positive: Flags
    weight: Floats
    group: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        logits: ArrayLike,
        positive: ArrayLike,
        pi: ArrayLike | None,
        groups: ArrayLike | None,
        uploads: ArrayLike | None = None,
    ) -> "Cases":
        """Check columns, as for `fit`, and leave out pictures without a score.

        Raises:
            DesignError: They differ in length, or a chance is outside (0, 1].
        """
        scores = np.asarray(logits, np.float64)
        count = len(scores)
        chances = np.ones(count) if pi is None else np.asarray(pi, np.float64)
        times = np.ones(count) if uploads is None else np.asarray(uploads, np.float64)
        numbers = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        harmful = np.asarray(positive, np.bool_)
        if not len(harmful) == len(chances) == len(times) == len(numbers) == count:
            raise DesignError(
                "Scores, labels, chances, uploads and groups differ in length: give one of each a picture."
            )
        if not ((chances > 0.0) & (chances <= 1.0)).all():
            raise DesignError("A chance of having been drawn is above 0 and at most 1.")
        if not (np.isfinite(times) & (times > 0.0)).all():
            raise DesignError("A picture that was never uploaded weighs nothing: leave it out.")
        seen = np.isfinite(scores)
        return cls(
            logits=scores[seen],
            positive=harmful[seen],
            weight=(times / chances)[seen],
            group=numbers.astype(np.intp)[seen],
        )

    def worth(self, *, of: Flags) -> float:
        """Count pictures as even ones of a weight, near-duplicates together (Kish 1965)."""
        totals = np.bincount(self.group[of], self.weight[of])
        return float(totals.sum() ** 2 / (totals**2).sum())

    def only(self, chosen: Flags) -> "Cases":
        """Take some of the pictures."""
        return Cases(
            logits=self.logits[chosen],
            positive=self.positive[chosen],
            weight=self.weight[chosen],
            group=self.group[chosen],
        )
