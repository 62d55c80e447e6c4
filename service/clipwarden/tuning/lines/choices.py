"""Labelled scores of a category in; what each limit finds, what it wrongly stops, and what that is worth, out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from numpy.typing import ArrayLike

from clipwarden.tuning.design.rates import Estimate


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
        wrong_before_next: Harmless pictures more that are stopped before one more harmful one is found.
        left: Harmful pictures that the limit misses.
    """

    wrong_before_next: int
    left: int

    @property
    def sentence(self) -> str:
        """As staff read it: "lowering the limit finds no more up to 9 wrong: change prompts, not the limit"."""
        raise NotImplementedError


def choices(
    scores: ArrayLike,
    positive: ArrayLike,
    *,
    now: float | None,
    most_wrong: Sequence[int] = (1, 3, 9),
    pi: ArrayLike | None = None,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    prevalence: float | Estimate | None = None,
    confidence: float = 0.95,
) -> tuple[Choice, ...]:
    """Make the table of choices of a category: as now, at most N wrong, none wrong here.

    Args:
        scores: `[N]` scores before calibration, of pictures labelled harmful or harmless.
        positive: bool `[N]`, harmful.
        now: The line of today on the same scores; None where there is none.
        most_wrong: N of the rows "at most N wrong" (counted on these labels; no promise).
        pi: `[N]` chances of a sample; None for hand-picked pictures, counted exactly and of these pictures only.
        group: `[N]` numbers of near-duplicates.
        u: `[N]` of `design.sampling.chances`; needed with `group` and without `pi`.
        uploads: `[N]`, how often each was uploaded.
        prevalence: Stated, 0..1, or estimated with `split_confidence(confidence, 3)`.
        confidence: Of each figure's interval.

    Returns:
        Rows from the lenient to the strict; AS_NOW first.
    """
    raise NotImplementedError


def lowering(scores: ArrayLike, positive: ArrayLike, at: float) -> Lowering:
    """Say what lowering a limit would find next.

    Args:
        scores: `[N]`.
        positive: bool `[N]`.
        at: The line that is to be lowered.

    Returns:
        How many wrong stops the next find costs.
    """
    raise NotImplementedError
