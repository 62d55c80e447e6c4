"""Scores of uniformly drawn uploads in all categories, and how many a day people can look at, in; review lines, out.

What people get is the verdict REVIEW: any category over its review line, or what goes to people whatever the lines
(degraded, partial, a block that an exemption turned into a review), and nothing that is blocked. Many lines make it, so
they are lowered together along one path that is fixed beforehand on other uploads: at each step the same share of these
lies over every category's line. Along the path a fixed sequence is tested on the rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.tuning.lines.promises import Line, NotMet

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Path:
    """Lines of all categories, step by step; S steps from strict to lenient, C categories.

    Attributes:
        lines: float64 `[S,C]`, falling.
        tails: float64 `[S]`, the share of the uploads it was fixed on that lies over each category's line, rising.
    """

    lines: Floats
    tails: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityLines:
    """Review lines of all categories, and what people get with them.

    Attributes:
        lines: One a category, in the order given.
        tail: The share of uploads over each category's line.
        reviews: Uploads a day that go to people, by what was seen.
        mean_at_most: Limit of their long-term mean, at `1 - delta`.
        on_95_days_at_most: Limit that 95 of 100 days keep, at `1 - delta`; None when there are fewer than 14 days.
        days: How many days the uploads are from; 0 when nobody said.
    """

    lines: tuple[Line, ...]
    tail: float
    reviews: float
    mean_at_most: float
    on_95_days_at_most: float | None
    days: int


def fixes_path(group: ArrayLike, u: ArrayLike) -> Flags:
    """Choose the uploads that the path is fixed on, by whole groups; the others test it.

    Args:
        group: `[N]`; numbers of near-duplicates.
        u: `[N]` of `design.sampling.chances`.

    Returns:
        bool `[N]`, about one group in three.
    """
    raise NotImplementedError


def fix_path(scores: ArrayLike) -> Path:
    """Lay a path.

    Args:
        scores: `[M,C]` scores before calibration, of uploads that test nothing.

    Returns:
        The path, from "nothing is over a line" to "everything is".

    Raises:
        LineError: Scores that are not finite.
    """
    raise NotImplementedError


def capacity_lines(
    path: Path,
    scores: ArrayLike,
    *,
    always: ArrayLike,
    never: ArrayLike,
    capacity: float,
    daily_volume: float,
    delta: float = 0.05,
    group: ArrayLike | None = None,
    day: ArrayLike | None = None,
) -> CapacityLines | NotMet:
    """Choose the lowest review lines with which people can look at all that they get.

    Args:
        path: From `fix_path`, of other groups.
        scores: `[N,C]` scores before calibration of uniformly drawn uploads (each counts: duplicates are work too);
            -inf where one could not be scored.
        always: bool `[N]`, REVIEW whatever these lines.
        never: bool `[N]`, BLOCK whatever these lines.
        capacity: Reviews a day.
        daily_volume: Uploads a day.
        delta: The greatest chance of breaking the promise, in (0,1).
        group: `[N]` numbers of near-duplicates, so that a wave of one picture counts as one piece of evidence.
        day: `[N]`, the number of each upload's day; from 14 days on, 95 of 100 days are promised, else the mean.

    Returns:
        The lines; or by how many reviews what needs them anyway is too much, or how many uploads are missing.

    Raises:
        LineError: Numbers that contradict each other.
    """
    raise NotImplementedError
