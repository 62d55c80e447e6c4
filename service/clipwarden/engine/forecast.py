"""Work that was let in, and how fast it gets done, in; when new work would be done out.

Each caller's turns come as `line.FairQueue` has them, so new work of a caller that has `W` ahead of it there waits for

    pace x (W + cost + sum over other callers of min(their W, W + cost))

seconds (fluid fair queueing), and for all that is more urgent. That knows what is here, and nothing of what others will
send while it waits: a caller with much to do beside many who come and go with little. So while a caller has something
waiting, the pace of its own work is learnt too, and the later of both forecasts counts.

What has been decoded of a piece of work is taken off while it waits for the encoder, not only at its end. That predicts
better wherever much lies decoded: before a device that takes batches of 32, 64 images would else count as not decoded.
On two CPUs, with four images between decoder and encoder, the two differ by less than the error of either.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field

from clipwarden.engine.line import PATIENCE_SECONDS, delete
from clipwarden.engine.pace import Pace
from clipwarden.engine.terms import Priority, Terms

Share = str | None
"""Whose work it is: a caller's, or that of all who have no share of their own."""


@dataclass(eq=False, kw_only=True, slots=True)
class Pending:
    """A piece of work that is not done yet.

    Attributes:
        share: Whose it is.
        priority: How urgent it is.
        deadline: On the forecast's clock; infinite for none.
        left: Seconds of cost that are left of it.
        due: What ranks it among its caller's; what has begun comes before all that waits.
        number: Of its arrival.
        waiting: Whether it waits for its turn.
    """

    share: Share
    priority: Priority
    deadline: float
    left: float
    due: float
    number: int
    waiting: bool = False


@dataclass(eq=False, kw_only=True, slots=True)
class _Backlog:
    """What one caller has to be done of one urgency, by what is due first."""

    pace: Pace
    works: list[Pending] = field(default_factory=list)
    left: float = 0.0
    waiting: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """When new work would be done.

    Attributes:
        seconds: From now.
        pace: Seconds that one more second of cost of the same caller takes.
        delays: Whether it would make work of the same caller late that now is in time.
    """

    seconds: float
    pace: float
    delays: bool


class Forecast:
    """Counts work, and foresees. Lives on one event loop.

    Args:
        cpus: What the machine is thought to do at once, until it has shown its pace.
        share_of_time: Of the time to its deadline, that work may take.
        clock: Seconds, the clock that deadlines are on.
    """

    def __init__(self, *, cpus: float, share_of_time: float, clock: Callable[[], float]) -> None:
        self._prior = 1 / cpus
        self._share_of_time = share_of_time
        self._clock = clock
        self._backlogs: dict[tuple[Share, Priority], _Backlog] = {}
        self._pace = Pace(clock())
        self._waiting = 0
        self._number = 0
        self._works = 0

    def __len__(self) -> int:
        """Count what is not done."""
        return self._works

    @property
    def pace(self) -> float:
        """Seconds that a second of cost takes, whoever's it is."""
        return self._pace.value(self._clock(), self._prior)

    @property
    def seconds(self) -> float:
        """How long all that is here will take; may be read from any thread."""
        return self.pace * sum(backlog.left for backlog in list(self._backlogs.values()))

    def add(self, share: Share, terms: Terms, cost: float) -> Pending:
        """Count a piece of work.

        Args:
            share: Whose it is.
            terms: Of its call.
            cost: Seconds.
        """
        self._number += 1
        self._works += 1
        deadline = terms.latest
        due = min(deadline, self._clock() + PATIENCE_SECONDS)
        work = Pending(share=share, priority=terms.priority, deadline=deadline, left=cost, due=due, number=self._number)
        key = share, terms.priority
        if key not in self._backlogs:
            self._backlogs[key] = _Backlog(pace=Pace(self._clock()))
        backlog = self._backlogs[key]
        insort(backlog.works, work, key=_rank)
        backlog.left += cost
        return work

    def remove(self, work: Pending) -> None:
        """Count a piece of work no longer; what is left of it was not done."""
        self.leave_line(work)
        self._works -= 1
        backlog = self._of(work)
        delete(backlog.works, work, _rank)
        backlog.left -= work.left
        if not backlog.works:
            del self._backlogs[work.share, work.priority]

    def enter_line(self, work: Pending) -> None:
        """Hear that it waits for its turn."""
        backlog, now = self._of(work), self._clock()
        work.waiting = True
        backlog.waiting += 1
        self._waiting += 1
        backlog.pace.wait(now)
        self._pace.wait(now)

    def leave_line(self, work: Pending) -> None:
        """Hear that it does so no longer; does nothing where it did not."""
        if not work.waiting:
            return
        backlog, now = self._of(work), self._clock()
        work.waiting = False
        backlog.waiting -= 1
        self._waiting -= 1
        if not backlog.waiting:
            backlog.pace.rest(now)
            backlog.pace.forget(now)
        if not self._waiting:
            self._pace.rest(now)

    def start(self, work: Pending) -> None:
        """Hear that its turn has come."""
        self.leave_line(work)
        works = self._of(work).works
        delete(works, work, _rank)
        work.due = -math.inf
        insort(works, work, key=_rank)

    def spend(self, work: Pending, cost: float) -> None:
        """Hear that some of it was done.

        Args:
            work: Of which.
            cost: Seconds, as estimated; no more counts than is left.
        """
        done, now = min(cost, work.left), self._clock()
        work.left -= done
        backlog = self._of(work)
        backlog.left -= done
        backlog.pace.note(now, done)
        self._pace.note(now, done)

    def foresee(self, share: Share, terms: Terms, cost: float) -> Foreseen:
        """Say when work would be done that came now.

        Args:
            share: Whose it would be.
            terms: Of its call.
            cost: Seconds.
        """
        now = self._clock()
        own = self._backlogs.get((share, terms.priority)) or _Backlog(pace=Pace(now))
        # Ties go to whoever came first.
        place = bisect_left(own.works, (min(terms.latest, now + PATIENCE_SECONDS), math.inf), key=_rank)
        behind = own.works[place:]
        ahead = own.left - sum(work.left for work in behind) + cost
        pace = self._pace.value(now, self._prior)
        seconds = pace * (ahead + self._others_before(share, terms.priority, ahead))
        if own.waiting:
            seconds = max(seconds, own.pace.value(now, pace) * ahead)
        slope = seconds / ahead if ahead else pace
        return Foreseen(seconds=seconds, pace=slope, delays=self._delays(behind, ahead, cost, slope))

    def _others_before(self, share: Share, priority: Priority, ahead: float) -> float:
        """Sum up what is done for others first: all that is more urgent, of the rest no more than of the new one."""
        before = 0.0
        for (whose, urgency), backlog in self._backlogs.items():
            if urgency < priority:
                before += backlog.left
            elif urgency is priority and whose != share:
                left = backlog.left
                before += left if left < ahead else ahead  # noqa: FURB136  a call for each caller, of thousands of calls
        return before

    def _delays(self, behind: list[Pending], ahead: float, cost: float, slope: float) -> bool:
        """Say whether what new work overtakes would be late for it, and is not anyway.

        What comes later takes no more time a second of cost than what comes before it, as others run out of work: so
        `slope` is the most that it may be.
        """
        now = self._clock()
        for work in behind:
            ahead += work.left
            limit = self._share_of_time * (work.deadline - now)
            if slope * (ahead - cost) <= limit < slope * ahead:
                return True
        return False

    def _of(self, work: Pending) -> _Backlog:
        return self._backlogs[work.share, work.priority]


def _rank(work: Pending) -> tuple[float, float]:
    return work.due, work.number
