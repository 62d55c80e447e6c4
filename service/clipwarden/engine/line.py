"""Who goes next: items of many callers in, one at a time out, by urgency, fairly among callers, then by deadline.

Plain bookkeeping on one event loop, without a task and without a clock: whoever owns the queue says what time it is.

- Urgency first. A BULK item that has waited `AGEING_SECONDS`, or half of the time to its deadline if that is less,
  counts as INTERACTIVE from then on: a backfill yields, and does not starve. (Whoever gives bulk short deadlines so has
  it compete early, but only as what it could have been called from the start, and within its own caller's turns.)
- Then callers in turn, by cost: start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queueing", 1996). A
  caller's tag is the virtual time at which its next item starts; the lowest goes, and moves on by its cost. However
  much anyone offers, what two busy callers have had differs by less than the cost of one item of each, and who comes
  back after a pause waits for one item of every other caller at most.
- Within a caller, what is due first, where nothing counts as more patient than `PATIENCE_SECONDS` after its arrival.

An item that is dropped, or found to have expired, takes no turn and is let go of at once.

At most `max_callers` of each urgency have a tag of their own, and the rest share one. A tag outlives its caller's last
item until virtual time has passed it (or else who comes one at a time would never pay), and counts as one meanwhile
(or else an endless row of newcomers, who all start at once, would starve those who wait): what is held is bounded by
what waits, and by `max_callers`.

Sorted lists, from which an item is really taken when it leaves, rather than heaps in which it lies dead until it comes
up: among 5,000 items that costs a few microseconds, and there is nothing to sweep up.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from clipwarden.engine.terms import Priority, Terms

PATIENCE_SECONDS = 5.0
"""An item ranks as if due this long after its arrival at the latest; about what a person waits for a page."""
AGEING_SECONDS = 10.0
"""How long BULK yields to INTERACTIVE: twice the patience of a person, who so goes first whenever it matters."""
MAX_CALLERS = 128
"""Callers with a share of their own; each pop looks at all of them, which for so many takes some thirty microseconds.
Twice as many as those of one address have an account for (`shares`)."""

T = TypeVar("T")
Item = TypeVar("Item")
Key = tuple[float, float]


@dataclass(eq=False, kw_only=True, slots=True)
class Entry(Generic[T]):
    """One item that waits, or waited.

    Attributes:
        item: What the owner put in.
        terms: Its deadline, priority and caller.
        cost: As the owner said.
        arrived: Likewise.
        number: Of its arrival.
        urgency: Its priority, until it has waited long enough for a better one.
        due: What ranks it among its caller's.
        share: The caller whose turn it takes; None for the one that all without their own have together.
        waiting: Whether it is still in the queue.
    """

    item: T
    terms: Terms
    cost: float
    arrived: float
    number: int
    urgency: Priority
    due: float
    share: str | None = None
    waiting: bool = True

    @property
    def deadline(self) -> float:
        """After which nobody waits for it; infinite for none."""
        return self.terms.latest


class FairQueue(Generic[T]):
    """A queue. Lives on one event loop; `len()`, `callers` and `oldest_seconds` may be read from any thread.

    Args:
        on_expired: Handed each item whose deadline had passed when its turn came, from inside `pop`. It has left the
            queue by then; the callback may put, drop and pop.
        max_callers: Most callers with a share of their own, in each priority.
    """

    def __init__(self, *, on_expired: Callable[[T], None] = lambda _: None, max_callers: int = MAX_CALLERS) -> None:
        self._on_expired = on_expired
        self._bands = {priority: _Band[T](max_callers) for priority in sorted(Priority)}
        self._all: list[Entry[T]] = []  # by arrival
        self._ageing: list[Entry[T]] = []  # those not yet INTERACTIVE, by when they will be
        self._count = 0

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._all)

    def callers(self) -> int:
        """Count who waits; all those without a share of their own are one."""
        return len({name for band in self._bands.values() for name in band.waiting()})

    def oldest_seconds(self, now: float) -> float:
        """Say how long the oldest item has waited; 0 where none does."""
        return max((now - entry.arrived for entry in self._all[:1]), default=0.0)

    def put(self, item: T, *, terms: Terms, cost: float, arrived: float) -> Entry[T]:
        """Let an item wait.

        Args:
            item: Whatever the owner wants back.
            terms: Its deadline is on the owner's clock.
            cost: Its share of the machine, at least 0, in whatever unit all items of this queue have theirs.
            arrived: Now, on the owner's clock; not before the arrival of any item so far.

        Returns:
            Its place, for `drop`.
        """
        self._count += 1
        entry = Entry(
            item=item, terms=terms, cost=cost, arrived=arrived, number=self._count, urgency=terms.priority, due=0.0
        )
        self._all.append(entry)
        self._rank(entry, arrived)
        if entry.urgency is not Priority.INTERACTIVE:
            insort(self._ageing, entry, key=_aged)
        return entry

    def pop(self, now: float) -> Entry[T] | None:
        """Take the next item out; hand the expired ones that come up before it to `on_expired`.

        Args:
            now: On the owner's clock. Whoever knows how long an item takes at least adds that: under overload, what is
                due first is what is nearly late, and would be answered too late (`bench.queueing` has figures).

        Returns:
            Its place; None when nothing is left, with which the busy time ends and all tags are forgotten.
        """
        while self._all:
            self._age(now)
            band = next(band for band in self._bands.values() if band.waiting())
            entry = band.first()
            if entry.deadline > now:
                band.charge(entry)
                self.drop(entry)
                return entry
            self.drop(entry)
            self._on_expired(entry.item)
        for band in self._bands.values():
            band.rest()
        return None

    def drop(self, entry: Entry[T]) -> None:
        """Take an item out that nobody waits for any more; does nothing to one that has left."""
        if not entry.waiting:
            return
        entry.waiting = False
        self._bands[entry.urgency].remove(entry)
        delete(self._all, entry, _number)
        if entry.urgency is not Priority.INTERACTIVE:
            delete(self._ageing, entry, _aged)

    def _rank(self, entry: Entry[T], now: float) -> None:
        entry.due = min(entry.deadline, now + PATIENCE_SECONDS)
        self._bands[entry.urgency].put(entry)

    def _age(self, now: float) -> None:
        while self._ageing and _aged(self._ageing[0])[0] <= now:
            entry = self._ageing.pop(0)
            self._bands[entry.urgency].remove(entry)
            entry.urgency = Priority.INTERACTIVE
            self._bands[entry.urgency].put_aged(entry, now)


class _Bucket(Generic[T]):
    """What one caller has waiting, by what is due first, and the virtual time at which the first of it starts."""

    def __init__(self) -> None:
        self.entries: list[Entry[T]] = []
        self.tag = 0.0
        self.aged_due = -math.inf  # when the last of those that have aged counts as due


class _Band(Generic[T]):
    """All that is equally urgent: start-time fair queueing over buckets."""

    def __init__(self, max_callers: int) -> None:
        self._max_callers = max_callers
        self._buckets: dict[str | None, _Bucket[T]] = {}  # None is whoever has none of their own
        self._virtual = 0.0  # the tag of what was taken last

    def waiting(self) -> list[str | None]:
        return [name for name, bucket in list(self._buckets.items()) if bucket.entries]

    def put(self, entry: Entry[T]) -> None:
        insort(self._bucket_for(entry).entries, entry, key=_due)

    def put_aged(self, entry: Entry[T], now: float) -> None:
        """Put one that has just become as urgent as this.

        As if it came now, and the more patient the more of its caller's have aged before it: old bulk gets on behind
        what its own caller wants now, but a heap of it must not push that aside.
        """
        bucket = self._bucket_for(entry)
        bucket.aged_due = max(bucket.aged_due, now) + PATIENCE_SECONDS
        entry.due = min(entry.deadline, bucket.aged_due)
        insort(bucket.entries, entry, key=_due)

    def _bucket_for(self, entry: Entry[T]) -> _Bucket[T]:
        entry.share = self._share(entry.terms.caller)
        bucket = self._buckets.setdefault(entry.share, _Bucket())
        if not bucket.entries:
            bucket.tag = max(bucket.tag, self._virtual)
        return bucket

    def _share(self, caller: str) -> str | None:
        own = len(self._buckets) - (None in self._buckets)
        return caller if caller in self._buckets or own < self._max_callers else None

    def first(self) -> Entry[T]:
        busy = (bucket for bucket in self._buckets.values() if bucket.entries)
        return min(busy, key=lambda bucket: (bucket.tag, _due(bucket.entries[0]))).entries[0]

    def charge(self, entry: Entry[T]) -> None:
        bucket = self._buckets[entry.share]
        self._virtual = bucket.tag
        bucket.tag += entry.cost

    def remove(self, entry: Entry[T]) -> None:
        delete(self._buckets[entry.share].entries, entry, _due)
        # A bucket made now would start at the virtual time, so a tag that this has reached says nothing.
        passed = [name for name, held in self._buckets.items() if not held.entries and held.tag <= self._virtual]
        for name in passed:
            del self._buckets[name]

    def rest(self) -> None:
        """Forget all tags."""
        self._buckets.clear()
        self._virtual = 0.0


def _due(entry: Entry[T]) -> Key:
    return entry.due, entry.number


def _number(entry: Entry[T]) -> Key:
    return 0.0, entry.number


def _aged(entry: Entry[T]) -> Key:
    return entry.arrived + min(AGEING_SECONDS, (entry.deadline - entry.arrived) / 2), entry.number


def delete(items: list[Item], item: Item, key: Callable[[Item], Key]) -> None:
    """Take an item out of a list that is sorted by a key of which no two are equal; most are its first."""
    del items[0 if items[0] is item else bisect_left(items, key(item), key=key)]
