"""A line before calibration in; the threshold that stands in the policy, out."""

from clipwarden.tuning.lines.promises import Line

DECIMALS = 3
"""Enough to read; more are taken where scores are small."""


def mapped(line: Line, slope: float | None, bias: float = 0.0, *, decimals: int = DECIMALS) -> float:
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
    raise NotImplementedError
