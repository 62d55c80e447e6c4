"""Counts of clean images stopped, slice by slice, in; whether a category may be enforced, out."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clipwarden.tuning.metrics import Interval, clopper_pearson

# Each limit holds alone with 95 %: the upper one is what a ceiling is promised on.
_BOTH_LIMITS: Final = 0.9


class Outcome(StrEnum):
    """What a slice, or all of them, say about a ceiling."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """Clean images of one kind.

    Attributes:
        name: As in `religion`.
        stopped: Groups of which any image was stopped, though none should be.
        groups: Images, near copies and twins counting once.
    """

    name: str
    stopped: int
    groups: int

    @property
    def limits(self) -> Interval:
        """The share stopped between its exact limits, each of which holds alone with 95 %."""
        return clopper_pearson(self.stopped, self.groups, confidence=_BOTH_LIMITS)


def judge_slice(counted: Slice, ceiling: float) -> Outcome:
    """Compare one slice with a ceiling.

    Args:
        counted: The slice.
        ceiling: The greatest share of clean images that may be stopped, 0..1.

    Returns:
        PASS when the upper limit is at most the ceiling, FAIL when the lower one is above it, else UNKNOWN: too few
        images to say.
    """
    limits = counted.limits
    if limits.low > ceiling:
        return Outcome.FAIL
    return Outcome.PASS if limits.high <= ceiling else Outcome.UNKNOWN


def gate(slices: Iterable[Slice], ceiling: float) -> Outcome:
    """Compare every slice with a ceiling: no slice pays for another.

    Args:
        slices: All that must hold.
        ceiling: The greatest share of clean images that may be stopped in each, 0..1.

    Returns:
        FAIL if any fails, else UNKNOWN if any is unknown or there is none, else PASS. Only PASS may be enforced.
    """
    outcomes = {judge_slice(counted, ceiling) for counted in slices}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.PASS if outcomes == {Outcome.PASS} else Outcome.UNKNOWN
