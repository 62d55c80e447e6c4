"""Scores in; the two of them that a line lies between, and the line, out."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from clipwarden.errors import LineError

Floats = npt.NDArray[np.float64]


class Edge(NamedTuple):
    """A place between scores: whatever reaches `at` is stopped.

    Attributes:
        at: Strictly above `below` and not above `above`.
        below: The greatest score seen that stays below; None when none does.
        above: The least score seen that reaches it; None when none does.
    """

    at: float
    below: float | None
    above: float | None


def finite(scores: ArrayLike) -> Floats:
    """Take scores that lines can be chosen on.

    Args:
        scores: `[N]`.

    Returns:
        float64 `[N]`.

    Raises:
        LineError: One of them is infinite or no number, or they are no list of numbers.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise LineError(f"scores have the shape {values.shape}; give one number a picture")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise LineError(f"{bad} of {len(values)} scores are no finite numbers; leave out pictures that got no score")
    return values


def highest_after(scores: Floats, passed: int) -> float:
    """Find the (k+1)-th greatest score: a line strictly above it lets at most k scores pass, ties or not.

    Args:
        scores: `[N]`.
        passed: k, less than N.

    Returns:
        The score.
    """
    place = len(scores) - 1 - passed
    return float(np.partition(scores, place)[place])


def over(score: float, seen: Floats) -> Edge:
    """Put a line strictly above a score, midway to the next distinct one.

    Args:
        score: That must stay below.
        seen: All scores seen, in any order.

    Returns:
        The place; a hair above the score where nothing lies above.
    """
    higher = seen[seen > score]
    if len(higher) == 0:
        return Edge(float(np.nextafter(score, np.inf)), score, None)
    return _midway(score, float(higher.min()))


def reaching(score: float, seen: Floats) -> Edge:
    """Put a line that a score reaches, midway to the next distinct one below.

    Args:
        score: That must reach it.
        seen: All scores seen, in any order.

    Returns:
        The place; the score itself where nothing lies below.
    """
    lower = seen[seen < score]
    return Edge(score, None, score) if len(lower) == 0 else _midway(float(lower.max()), score)


def around(at: float, seen: Floats) -> Edge:
    """Find the scores on both sides of a line that is there already.

    Args:
        at: The line.
        seen: All scores seen, in any order.

    Returns:
        The place.
    """
    lower, higher = seen[seen < at], seen[seen >= at]
    return Edge(at, float(lower.max()) if len(lower) else None, float(higher.min()) if len(higher) else None)


def _midway(below: float, above: float) -> Edge:
    middle = below + (above - below) / 2.0
    return Edge(middle if below < middle else above, below, above)  # neighbouring floats have nothing between them
