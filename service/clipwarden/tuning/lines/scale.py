"""A line before calibration in; the threshold that stands in the policy, out."""

from typing import Final, Protocol

import numpy as np

from clipwarden.errors import LineError
from clipwarden.scoring.score import sigmoid
from clipwarden.tuning.lines.rounding import rounded_up

DECIMALS: Final = 3
"""Enough to read; more are taken where scores are small."""
_HIGHEST: Final = float(np.nextafter(1.0, 0.0))  # a threshold of 1 is never reached


class Placed(Protocol):
    """A line between two scores, as `Line`, `Choice` and `Edge` are."""

    @property
    def at(self) -> float:
        """The line."""
        ...

    @property
    def below(self) -> float | None:
        """The greatest score seen that stays below it; None when none does."""
        ...

    @property
    def above(self) -> float | None:
        """The least score seen that reaches it; None when none does."""
        ...


def mapped(line: Placed, slope: float | None, bias: float = 0.0, *, decimals: int = DECIMALS) -> float:
    """Map a line through a calibration and round it up, without letting a score over the line that lay below it.

    Args:
        line: On the margins or logits before calibration; on cosines without one.
        slope: `a` of `p = sigmoid(a*m + b)`, above 0; None where the score has no calibration (cosines).
        bias: `b`.
        decimals: As many, or as many more as it takes to stay between the same scores.

    Returns:
        A threshold: `score >= threshold` holds for the scores that reached the line, and for no other.

    Raises:
        LineError: The calibration maps the scores on both sides to one number, or turns their order round.
    """
    if slope is not None and not (slope > 0.0 and np.isfinite(slope) and np.isfinite(bias)):
        raise LineError(
            f"a calibration with slope {slope:g} and bias {bias:g} keeps no order of scores; fit it again"
            " (`clipwarden tune --refit`)"
        )
    lowest = -1.0 if slope is None else 0.0
    low = lowest if line.below is None else max(lowest, _through(line.below, slope, bias))
    high = _HIGHEST if line.above is None else min(_HIGHEST, _through(line.above, slope, bias))
    threshold = rounded_up(_through(line.at, slope, bias), low, high, decimals)
    if threshold is None:
        raise LineError(
            f"the calibration maps the scores {line.below} and {line.above} on both sides of the line to {low:g}, so no"
            " threshold comes between them; fit it again on labels of this category (`clipwarden tune --refit`)"
        )
    return threshold


def _through(score: float, slope: float | None, bias: float) -> float:
    """Map a score as the server does."""
    return score if slope is None else float(sigmoid(np.array([slope * score + bias]))[0])
