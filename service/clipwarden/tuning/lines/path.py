"""Scores of uploads in all categories in; lines of all categories that are lowered together, step by step, out.

A path is fixed beforehand, on uploads that test nothing: lines that were placed by the uploads that count them would
follow their accidents. At each step the same share of the path's uploads lies over every category's line.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.errors import LineError
from clipwarden.tuning.lines.edges import over, reaching

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Steps = NDArray[np.intp]

_PATH: Final = 1 / 3  # of the groups; a path needs far fewer uploads than a proof
_RATIO: Final = 1.03  # a step lets at most 3 % more through than the one before it: less than any limit is known to


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Path:
    """Lines of all categories; S steps from strict to lenient, C categories.

    Attributes:
        lines: float64 `[S,C]`, never rising from step to step.
        tails: float64 `[S]`, the share of the path's uploads over each category's line, rising.
    """

    lines: Floats
    tails: Floats

    def first_over(self, scores: Floats) -> Steps:
        """Find the first step at which any category's line lets an upload through.

        Args:
            scores: `[N,C]`; -inf where one could not be scored.

        Returns:
            intp `[N]`; S where no step does.
        """
        # Searched for in rising order: the first line that is not above the score.
        steps = [np.searchsorted(-line, -column) for line, column in zip(self.lines.T, scores.T, strict=True)]
        first: Steps = np.min(steps, axis=0)
        return first


def fixes_path(group: ArrayLike, u: ArrayLike) -> Flags:
    """Choose the uploads that the path is fixed on, by whole groups; the others test it.

    Args:
        group: `[N]`; numbers of near-duplicates.
        u: `[N]` of `design.sampling.chances`.

    Returns:
        bool `[N]`, about one group in three.
    """
    _, member, size = np.unique(np.asarray(group), return_inverse=True, return_counts=True)
    least = np.ones(len(size))
    np.minimum.at(least, member, np.asarray(u, dtype=np.float64))
    # The least of c uniform numbers, made uniform again, so that large groups are not likelier.
    chosen: Flags = (-np.expm1(size * np.log1p(-least)) < _PATH)[member]
    return chosen


def fix_path(scores: ArrayLike) -> Path:
    """Lay a path from "nothing is over a line" to "everything is".

    Args:
        scores: `[M,C]` scores before calibration, of uploads that test nothing; -inf where one could not be scored.

    Returns:
        The path.

    Raises:
        LineError: Scores that are no numbers, or a category without any.
    """
    values = table(scores)
    passed = _counts(len(values))
    lines = [_lines(column[np.isfinite(column)], passed) for column in values.T]
    return Path(lines=np.stack(lines, axis=1), tails=passed / len(values))


def table(scores: ArrayLike) -> Floats:
    """Take scores of all categories.

    Args:
        scores: `[N,C]`.

    Returns:
        float64 `[N,C]`, finite or -inf.

    Raises:
        LineError: They are not, or there are none.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or not values.size:  # noqa: PLR2004 - a table
        raise LineError(f"scores have the shape {values.shape}; give a row an upload and a column a category")
    if np.isnan(values).any() or np.isposinf(values).any():
        raise LineError("some scores are no finite numbers; write -inf where a picture could not be scored")
    if np.isneginf(values).all(axis=0).any():
        raise LineError("a category has no score at all; leave it out")
    return values


def _counts(uploads: int) -> Steps:
    """Choose how many uploads each step lets through: every count while they are few, then some more each time."""
    steps = int(np.log(uploads) / np.log(_RATIO)) + 2
    return np.unique(np.r_[0, np.geomspace(1, uploads, steps).round()]).astype(np.intp)


def _lines(column: Floats, passed: Steps) -> Floats:
    """Place one category's line at each step, midway between scores."""
    distinct, counts = np.unique(column, return_counts=True)
    at_least = np.cumsum(counts[::-1])[::-1]  # how many reach each distinct score
    reached = np.searchsorted(-at_least, -passed)  # the least distinct score that no more than `passed` reach
    places = [over(float(distinct[-1]), distinct).at, *_between(distinct)]
    return np.array([places[len(distinct) - index] for index in reached.tolist()])


def _between(distinct: Floats) -> list[float]:
    """Places under each distinct score, from the highest to the lowest."""
    middles = distinct[:-1] + np.diff(distinct) / 2.0
    inside = np.where(middles > distinct[:-1], middles, distinct[1:])
    return [*inside[::-1].tolist(), reaching(float(distinct[0]), distinct).at]
