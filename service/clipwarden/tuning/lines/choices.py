"""Labelled scores of a category in; what each limit finds, what it wrongly stops, and what that is worth, out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.errors import LineError
from clipwarden.tuning.design.rates import (
    Estimate,
    exact_share,
    false_positive_rate,
    precision_at,
    recall,
    split_confidence,
)
from clipwarden.tuning.lines.edges import Edge, Floats, around, finite, highest_after, over
from clipwarden.tuning.lines.saying import counted

Flags = NDArray[np.bool_]


class Option(StrEnum):
    """Which limit."""

    AS_NOW = "as_now"
    AT_MOST = "at_most"
    NONE_WRONG = "none_wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One row of the table.

    Attributes:
        option: Which limit.
        most_wrong: N of "at most N wrong"; None of AS_NOW.
        at: The line, on the scores given.
        below: The greatest score seen that stays below it; None when none does.
        above: The least score seen that reaches it; None when none does.
        found: Harmful pictures with a label that it stops.
        harmful: Of how many.
        wrong: Harmless pictures with a label that it stops.
        harmless: Of how many.
        recall: The share found, between limits.
        wrongly: The share of harmless ones that are stopped, between limits.
        right: The share rightly stopped of all that are stopped, at the prevalence given; None without one.
    """

    option: Option
    most_wrong: int | None
    at: float
    below: float | None
    above: float | None
    found: int
    harmful: int
    wrong: int
    harmless: int
    recall: Estimate
    wrongly: Estimate
    right: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lowering:
    """What lowering a limit finds next.

    Attributes:
        left: Harmful pictures that the limit misses.
        wrong_before_next: Harmless pictures more that are stopped before one more harmful one is found.
    """

    left: int
    wrong_before_next: int

    @property
    def sentence(self) -> str:
        """As staff read it."""
        if self.left == 0:
            return "every harmful picture here is found: lowering the limit finds no more"
        if self.wrong_before_next <= 1:
            price = "one more wrong stop" if self.wrong_before_next else "no further wrong stop"
            return f"lowering the limit finds one more at {price}"
        return (
            f"lowering the limit finds no more up to {counted(self.wrong_before_next - 1)} wrong: change prompts, not"
            " the limit"
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labelled:
    """Labelled scores of a category, and how they were drawn; N pictures, labelled harmful or harmless.

    Attributes:
        scores: float64 `[N]`, before calibration.
        positive: bool `[N]`, harmful.
        pi: `[N]` chances of a sample; None for hand-picked pictures, counted exactly and of these pictures only.
        group: `[N]` numbers of near-duplicates; None when all are independent.
        u: `[N]` of `design.sampling.chances`; needed with `group` and without `pi`.
        uploads: `[N]`, how often each was uploaded; None for once.
    """

    scores: Floats
    positive: Flags
    pi: ArrayLike | None = None
    group: ArrayLike | None = None
    u: ArrayLike | None = None
    uploads: ArrayLike | None = None

    def rates(self, at: float, confidence: float) -> tuple[Estimate, Estimate]:
        """Estimate what a line finds, and what it wrongly stops.

        Args:
            at: The line.
            confidence: Of each interval.

        Returns:
            Recall, and the false-positive rate.
        """
        stopped = self.scores >= at
        if self.pi is None:
            return self._counted(stopped, self.positive, confidence), self._counted(stopped, ~self.positive, confidence)
        group, uploads = self.group, self.uploads
        rates = [
            rate(stopped, self.positive, self.pi, group=group, uploads=uploads, confidence=confidence)
            for rate in (recall, false_positive_rate)
        ]
        return rates[0], rates[1]

    def _counted(self, stopped: Flags, member: Flags, confidence: float) -> Estimate:
        alone = np.arange(len(member))
        if self.group is not None and self.u is None:
            raise LineError("which one of near-duplicates counts is chosen by u; give it with the groups")
        group, u = (alone, alone) if self.group is None or self.u is None else (self.group, self.u)
        return exact_share(stopped, member, self.positive, group=group, u=u, confidence=confidence)


def choices(
    labelled: Labelled,
    *,
    now: float | None,
    most_wrong: Sequence[int] = (9, 3, 1),
    prevalence: float | Estimate | None = None,
    confidence: float = 0.95,
) -> tuple[Choice, ...]:
    """Make the table of choices of a category: as now, at most N wrong, none wrong here.

    Args:
        labelled: Labels of the category.
        now: The line of today on the same scores; None where there is none.
        most_wrong: N of the rows "at most N wrong": counted on these labels, no promise.
        prevalence: Stated, 0..1; or estimated, with `split_confidence(confidence, 3)`.
        confidence: Of each figure's interval. Precision is worked out from intervals that share its error: 97.5 % each
            for 95 %, and 98.33 % when the prevalence is estimated too.

    Returns:
        AS_NOW first, then from the lenient to the strict. Where there are no more than N harmless pictures, the row of
        N is left out: stopping everything would pass for it.

    Raises:
        LineError: Scores that are not finite, or not as many as labels.
    """
    scores = finite(labelled.scores)
    if len(scores) != len(labelled.positive):
        raise LineError(f"{len(labelled.positive)} labels for {len(scores)} scores")
    clean = scores[~labelled.positive]
    rows: list[tuple[Option, int | None, Edge]] = []
    if now is not None:
        rows.append((Option.AS_NOW, None, around(now, scores)))
    for wrong in sorted({*most_wrong, 0}, reverse=True):
        if 0 <= wrong < len(clean):
            option = Option.AT_MOST if wrong else Option.NONE_WRONG
            rows.append((option, wrong or None, over(highest_after(clean, wrong), scores)))
    return tuple(_choice(labelled, *row, prevalence=prevalence, confidence=confidence) for row in rows)


def _choice(
    labelled: Labelled,
    option: Option,
    most_wrong: int | None,
    edge: Edge,
    *,
    prevalence: float | Estimate | None,
    confidence: float,
) -> Choice:
    stopped, positive = labelled.scores >= edge.at, labelled.positive
    found, wrongly = labelled.rates(edge.at, confidence)
    return Choice(
        option=option,
        most_wrong=most_wrong,
        at=edge.at,
        below=edge.below,
        above=edge.above,
        found=int((stopped & positive).sum()),
        harmful=int(positive.sum()),
        wrong=int((stopped & ~positive).sum()),
        harmless=int((~positive).sum()),
        recall=found,
        wrongly=wrongly,
        right=None if prevalence is None else _right(labelled, edge.at, prevalence, confidence),
    )


def _right(labelled: Labelled, at: float, prevalence: float | Estimate, confidence: float) -> Estimate:
    """Work out the share rightly stopped; its limits hold together, since its parts share the error."""
    parts = 3 if isinstance(prevalence, Estimate) else 2
    return precision_at(*labelled.rates(at, split_confidence(confidence, parts)), prevalence)


def lowering(scores: ArrayLike, positive: ArrayLike, at: float) -> Lowering:
    """Say what lowering a limit would find next.

    Args:
        scores: `[N]`.
        positive: bool `[N]`.
        at: The line that is to be lowered.

    Returns:
        How many wrong stops the next find costs.

    Raises:
        LineError: Scores that are not finite.
    """
    values, harmful = finite(scores), np.asarray(positive, dtype=np.bool_)
    missed = values[harmful & (values < at)]
    if len(missed) == 0:
        return Lowering(left=0, wrong_before_next=0)
    between = (values >= missed.max()) & (values < at)
    return Lowering(left=len(missed), wrong_before_next=int((between & ~harmful).sum()))
