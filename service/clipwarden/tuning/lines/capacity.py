"""Scores of uniformly drawn uploads in all categories, and how many a day people can look at, in; review lines, out.

What people get is the verdict REVIEW: any category over its review line, or what goes to people whatever the lines
(degraded, partial, a block that an exemption turned into a review), and nothing that is blocked. Many lines make it, so
they are lowered together along a path (`path`), and a fixed sequence is tested on the way: lower them as long as the
upper limit of reviews is at most the capacity.

An exact limit on a share of uploads bounds the long-term *mean* of reviews, about which days vary. From 14 days on
there is a limit that 95 of 100 days keep (`days_at_most`); where each day's uploads are a small sample of it, their
chance counts as the day's, and the limit is higher than it need be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import nct, norm

from clipwarden.errors import LineError
from clipwarden.tuning.design.rates import share
from clipwarden.tuning.lines.binomial import at_most, most_allowed, needed_clean, require_share
from clipwarden.tuning.lines.edges import around
from clipwarden.tuning.lines.path import Flags, Floats, Path, Steps, table
from clipwarden.tuning.lines.promises import Aim, Kind, Lacking, Line, NotMet

FEWEST_DAYS: Final = 14
"""Two weeks: fewer days say nothing of how days differ, weekdays from Sundays included."""
_OF_DAYS: Final = 0.95
_MOST_UPLOADS: Final = 10**9

Counts = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityLines:
    """Review lines of all categories, and what people get with them.

    Attributes:
        lines: One a category, in the order given.
        tail: The share of uploads over each category's line, on the path.
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

    @property
    def promised(self) -> str:
        """For what the capacity holds: `on 95 of 100 days`, or `on average`."""
        return "on average" if self.on_95_days_at_most is None else "on 95 of 100 days"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Uploads:
    """The first step that sends each upload to people `[N]`, how many go whatever the lines, and what they share."""

    first: Steps
    anyway: int
    group: ArrayLike | None
    day: ArrayLike | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Counted:
    """What each step would send to people, in shares of uploads; S steps.

    Attributes:
        reviewed: intp `[S]`, of the uploads tested.
        anyway: How many of them whatever the lines.
        tested: How many those are.
        mean: The upper limit of the long-term share at a step, and how many independent uploads would say as much.
        days: float64 `[S]`, the limit that 95 of 100 days keep; None with too few days.
    """

    reviewed: Steps
    anyway: int
    tested: int
    mean: Callable[[int], tuple[float, float]]
    days: Floats | None

    def limit(self, step: int) -> float:
        """What has to be within the capacity."""
        mean, _ = self.mean(step)
        return mean if self.days is None else max(mean, float(self.days[step]))


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
        never: bool `[N]`, BLOCK whatever these lines; it wins over `always`.
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
    require_share(delta, "chance of breaking a promise")
    if not (0.0 < capacity < np.inf and 0.0 < daily_volume < np.inf):
        raise LineError(f"{capacity:g} reviews of {daily_volume:g} uploads a day; both must be above 0")
    values = table(scores)
    if values.shape[1] != path.lines.shape[1]:
        raise LineError(f"the path has {path.lines.shape[1]} categories, the scores have {values.shape[1]}")
    kept, blocked = np.asarray(always, np.bool_), np.asarray(never, np.bool_)
    uploads = _Uploads(
        first=_first_review(path, values, kept, blocked),
        anyway=int((kept & ~blocked).sum()),
        group=group,
        day=day,
    )
    counted = _count(uploads, len(path.tails), delta)
    aim = Aim(kind=Kind.REVIEWS, limit=min(1.0, capacity / daily_volume), delta=delta)
    step = _last_within(counted, aim.limit)
    if step is None:
        return _missing(aim, counted, capacity, daily_volume)
    tested = {"tested": counted.tested, "allowed": int(counted.reviewed[step]), "seen": int(counted.reviewed[step])}
    return CapacityLines(
        lines=tuple(
            aim.kept(around(float(at), column[np.isfinite(column)]), **tested)
            for at, column in zip(path.lines[step], values.T, strict=True)
        ),
        tail=float(path.tails[step]),
        reviews=float(counted.reviewed[step]) / counted.tested * daily_volume,
        mean_at_most=counted.mean(step)[0] * daily_volume,
        on_95_days_at_most=None if counted.days is None else float(counted.days[step]) * daily_volume,
        days=0 if day is None else len(np.unique(np.asarray(day))),
    )


def days_at_most(sent: Counts, uploads: Counts, delta: float) -> Floats:
    """Bound what 95 of 100 days keep to.

    From 59 days on, at 5 %, an exact test needs to know nothing of how days differ: the limit is the highest day, but
    for those that it allows. Of fewer days it is the higher of the highest day and a tolerance limit on logarithms, as
    days differ by factors.

    Args:
        sent: `[D,S]`, how many uploads went to people on each of D days, at each of S steps; at least two days.
        uploads: `[D]`, of how many.
        delta: The chance that more than 5 of 100 days are above the limit.

    Returns:
        float64 `[S]`, shares of uploads.

    Source:
        The normal one-sided tolerance limit, mean + k s with k = t'_{D-1, z sqrt(D)}(1 - delta) / sqrt(D): Hahn &
        Meeker 1991, 4.6. In the simulated worlds of the tests, whose days differ by factors of 1.1 to 2, Sundays
        included, it is broken in 1 to 6 % of runs; on square roots, as for counts that differ by chance alone, it was
        in up to 46 %.
    """
    days = len(sent)
    shares = sent / uploads[:, None]
    allowed = most_allowed(days, 1.0 - _OF_DAYS, delta)
    if allowed is not None:
        highest: Floats = np.sort(shares, axis=0)[days - 1 - allowed]
        return highest
    logs = np.log((sent + 0.5) / (uploads[:, None] + 1.0))  # half a review more, so that a day without any has one
    factor = nct.ppf(1.0 - delta, days - 1, norm.ppf(_OF_DAYS) * np.sqrt(days)) / np.sqrt(days)
    tolerated = np.exp(logs.mean(axis=0) + factor * logs.std(axis=0, ddof=1))
    limit: Floats = np.minimum(1.0, np.maximum(shares.max(axis=0), tolerated))
    return limit


def _first_review(path: Path, scores: Floats, always: Flags, never: Flags) -> Steps:
    """Find the first step that sends each upload to people; S for what none does."""
    if not len(always) == len(never) == len(scores):
        raise LineError(f"{len(always)} and {len(never)} verdicts that no line changes, for {len(scores)} uploads")
    first = np.where(always, 0, path.first_over(scores))
    return np.where(never, len(path.tails), first)


def _count(uploads: _Uploads, steps: int, delta: float) -> _Counted:
    first = uploads.first
    reviewed = np.cumsum(np.bincount(first, minlength=steps + 1))[:steps]

    def mean(step: int) -> tuple[float, float]:
        if uploads.group is None:
            return at_most(int(reviewed[step]), len(first), delta), float(len(first))
        everyone = np.ones(len(first), dtype=np.bool_)
        sent = first <= step
        rate = share(sent, everyone, sent, everyone, group=uploads.group, confidence=1.0 - delta)
        return rate.one_sided_high, rate.n_eff

    days = _days(first, steps, delta, uploads.day)
    return _Counted(reviewed=reviewed, anyway=uploads.anyway, tested=len(first), mean=mean, days=days)


def _days(first: Steps, steps: int, delta: float, day: ArrayLike | None) -> Floats | None:
    if day is None:
        return None
    days, number = np.unique(np.asarray(day), return_inverse=True)
    if len(days) < FEWEST_DAYS:
        return None
    cells = np.bincount(number * (steps + 1) + first, minlength=len(days) * (steps + 1))
    sent = cells.reshape(len(days), steps + 1).cumsum(axis=1)
    return days_at_most(sent[:, :steps], sent[:, -1], delta)


def _last_within(counted: _Counted, limit: float) -> int | None:
    """Walk the fixed sequence: the last step before the first whose limit is too high."""
    for step in range(len(counted.reviewed)):
        if counted.limit(step) > limit:
            return step - 1 if step else None
    return len(counted.reviewed) - 1


def _missing(aim: Aim, counted: _Counted, capacity: float, daily_volume: float) -> NotMet:
    """Say whether what goes to people anyway is too much, or whether too few uploads were looked at to know."""
    rate = counted.anyway / counted.tested
    least, worth = counted.mean(0)
    if counted.days is not None and counted.days[0] > aim.limit >= least:
        rate = float(counted.days[0])
    if rate > aim.limit:
        return aim.missed(Lacking.CAPACITY, have=int(capacity), need=int(np.ceil(rate * daily_volume)))
    need = _uploads_needed(aim, rate) * counted.tested / max(worth, 1.0)
    return aim.missed(Lacking.UPLOADS, have=counted.tested, need=max(int(np.ceil(need)), counted.tested + 1))


def _uploads_needed(aim: Aim, rate: float) -> int:
    """Count the independent uploads with which a rate would be within the limit."""
    need = needed_clean(aim.limit, aim.delta)
    while at_most(int(np.ceil(rate * need)), need, aim.delta) > aim.limit and need < _MOST_UPLOADS:
        need += max(1, need // 50)
    return need
