"""Who goes next: urgency, fairness among callers, deadlines; and that nothing is kept of what has left."""

import gc
import math
import weakref
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.engine.line import AGEING_SECONDS, PATIENCE_SECONDS, Entry, FairQueue
from clipwarden.engine.terms import Priority, Terms

costs = st.floats(0.01, 10)
BULK = Priority.BULK


def put(
    queue: FairQueue[str],
    caller: str,
    *,
    item: str = "",
    cost: float = 1.0,
    now: float = 0.0,
    deadline: float | None = None,
    priority: Priority = Priority.INTERACTIVE,
) -> Entry[str]:
    return queue.put(
        item or caller, terms=Terms(caller=caller, deadline=deadline, priority=priority), cost=cost, arrived=now
    )


def popped(queue: FairQueue[str], now: float = 0.0) -> str | None:
    entry = queue.pop(now)
    return entry and entry.item


def drained(queue: FairQueue[str], now: float = 0.0) -> list[str]:
    return list(iter(lambda: popped(queue, now), None))


@given(
    backlog=st.integers(1, 40),
    steps=st.lists(st.tuples(costs, costs, st.integers(0, 3)), min_size=1, max_size=60),
)
def test_two_busy_callers_get_the_same_whatever_they_offer(backlog: int, steps: list[tuple[float, float, int]]) -> None:
    """While both wait, what they have had differs by one item of each at most (Goyal and others, theorem 1)."""
    queue = FairQueue[str]()
    for number in range(backlog):
        put(queue, "loud", cost=steps[number % len(steps)][0])
    lead, leads = 0.0, [0.0]
    for loud, quiet, more in steps:
        put(queue, "quiet", cost=quiet)
        for _ in range(more):
            put(queue, "loud", cost=loud)
        entry = queue.pop(0.0)
        assert entry is not None
        lead += entry.cost if entry.terms.caller == "loud" else -entry.cost
        leads.append(lead)
        if queue.callers() < 2:
            lead, leads = 0.0, [0.0]
        most = max(step[0] for step in steps) + max(step[1] for step in steps)
        assert max(leads) - min(leads) <= most + 1e-9


@given(
    busy=st.lists(st.lists(costs, min_size=1, max_size=8), min_size=1, max_size=8),
    before=st.integers(0, 30),
)
def test_a_newcomer_waits_for_one_item_of_each_busy_caller_at_most(busy: list[list[float]], before: int) -> None:
    queue = FairQueue[str]()
    for caller, items in enumerate(busy):
        for cost in items:
            put(queue, f"busy {caller}", cost=cost)
    for _ in range(min(before, len(queue) - 1)):
        queue.pop(0.0)
    put(queue, "light")
    passed = Counter(iter(lambda: popped(queue), "light"))
    assert max(passed.values(), default=0) <= 1


def test_who_was_away_has_saved_nothing_up() -> None:
    queue = FairQueue[str]()
    for _ in range(60):
        put(queue, "early")
    for _ in range(30):
        queue.pop(0.0)
    for _ in range(30):
        put(queue, "late")
    had = Counter(popped(queue) for _ in range(20))
    assert had == Counter(early=10, late=10)


def test_who_comes_one_at_a_time_pays_for_what_each_costs() -> None:
    queue = FairQueue[str]()
    had = Counter[str]()
    for _ in range(100):
        put(queue, "small", cost=1)
    put(queue, "large", cost=10)
    for _ in range(60):
        entry = queue.pop(0.0)
        assert entry is not None
        had[entry.item] += round(entry.cost)
        if entry.item == "large":
            put(queue, "large", cost=10)
    assert abs(had["small"] - had["large"]) <= 10


def test_an_endless_row_of_newcomers_does_not_starve_who_waits() -> None:
    queue = FairQueue[str](max_callers=8)
    for _ in range(3):
        put(queue, "regular")
    waited = []
    for number in range(100):
        put(queue, f"new {number}")
        if popped(queue) == "regular":
            waited.append(number)
    assert len(waited) == 3
    assert max(waited) <= 3 * (8 + 1)


def test_bulk_yields_to_the_interactive_until_it_has_waited() -> None:
    queue = FairQueue[str]()
    put(queue, "backfill", priority=BULK)
    order = []
    for second in range(int(AGEING_SECONDS) + 3):
        put(queue, "busy", now=second, deadline=second + 2.0)
        put(queue, "busy", now=second, deadline=second + 2.0)
        order.append(popped(queue, second))
    assert order.index("backfill") in {int(AGEING_SECONDS), int(AGEING_SECONDS) + 1}


def test_bulk_behind_the_endless_urgency_of_its_own_caller_is_not_starved_either() -> None:
    queue = FairQueue[str]()
    put(queue, "one", item="backfill", priority=BULK)
    order = []
    for second in range(60):
        put(queue, "one", item="urgent", now=second, deadline=second + 1.5)
        order.append(popped(queue, second))
    assert order.index("backfill") <= AGEING_SECONDS + PATIENCE_SECONDS


def test_bulk_with_a_deadline_counts_as_interactive_after_half_of_its_time() -> None:
    queue = FairQueue[str]()
    put(queue, "backfill", priority=BULK, deadline=4.0)
    put(queue, "busy", now=1.0, deadline=9.0)
    put(queue, "busy", now=1.0, deadline=9.0)
    assert popped(queue, 1.9) == "busy"
    assert popped(queue, 2.0) == "backfill"


def test_an_aged_backlog_does_not_push_aside_what_its_caller_wants_now() -> None:
    queue = FairQueue[str]()
    for _ in range(50):
        put(queue, "one", item="backfill", priority=BULK)
    now = AGEING_SECONDS
    put(queue, "one", item="now", now=now, deadline=now + 1.0)
    assert popped(queue, now) == "now"


def test_an_aged_backlog_gets_on_behind_what_its_caller_goes_on_wanting_and_no_faster() -> None:
    queue = FairQueue[str]()
    for _ in range(50):
        put(queue, "one", item="backfill", priority=BULK)
    order = []
    for second in range(int(AGEING_SECONDS), int(AGEING_SECONDS) + 60):
        put(queue, "one", item="now", now=second, deadline=second + 1.5)
        order.append(popped(queue, second))
    assert 60 / PATIENCE_SECONDS - 1 <= order.count("backfill") <= 60 / PATIENCE_SECONDS + 1


@given(patience=st.lists(st.one_of(st.none(), st.floats(0.1, 30)), max_size=30))
def test_within_a_caller_what_is_due_first_goes_first(patience: list[float | None]) -> None:
    queue = FairQueue[float]()
    for second, seconds in enumerate(patience):
        due = second + min(PATIENCE_SECONDS, math.inf if seconds is None else seconds)
        queue.put(due, terms=Terms(deadline=seconds and second + seconds), cost=1, arrived=second)
    order = [entry.item for entry in iter(lambda: queue.pop(-1.0), None)]
    assert order == sorted(order)
    assert len(order) == len(patience)


def test_expired_ones_are_handed_over_and_cost_their_caller_no_turn() -> None:
    expired: list[str] = []
    queue = FairQueue[str](on_expired=expired.append)
    for number in range(3):
        put(queue, "late", item=f"late {number}", deadline=1.0, cost=100)
    put(queue, "late", item="in time")
    for _ in range(3):
        put(queue, "other")
    assert set(drained(queue, 1.0)[:2]) == {"in time", "other"}
    assert expired == ["late 0", "late 1", "late 2"]
    assert len(queue) == 0


def test_dropped_ones_cost_no_turn_and_are_let_go_of() -> None:
    class Item:
        pass

    queue = FairQueue[Item]()
    item = Item()
    entry = queue.put(item, terms=Terms(), cost=1, arrived=0)
    known = weakref.ref(item)
    queue.drop(entry)
    queue.drop(entry)
    assert not entry.waiting
    assert queue.pop(0) is None
    del item, entry
    gc.collect()
    assert known() is None


def test_statistics_tell_who_waits_and_for_how_long() -> None:
    queue = FairQueue[str](max_callers=2)
    assert (len(queue), queue.callers(), queue.oldest_seconds(5.0)) == (0, 0, 0.0)
    first = put(queue, "a", now=1.0)
    for caller in "bcda":
        put(queue, caller, now=2.0)
    assert (len(queue), queue.callers(), queue.oldest_seconds(5.0)) == (5, 3, 4.0)
    queue.drop(first)
    assert (len(queue), queue.callers(), queue.oldest_seconds(5.0)) == (4, 3, 3.0)


@dataclass(frozen=True)
class Step:
    what: str
    caller: int
    cost: float
    seconds: float
    patience: float | None
    bulk: bool


steps_strategy = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["put", "put", "put", "pop", "pop", "drop"]),
        caller=st.integers(0, 12),
        cost=st.one_of(st.just(0.0), costs),
        seconds=st.sampled_from([0.0, 0.1, 3.0]),
        patience=st.sampled_from([None, 0.05, 1.0, 20.0]),
        bulk=st.booleans(),
    ),
    max_size=80,
)


@given(steps=steps_strategy)
def test_whatever_happens_each_leaves_once_in_its_class_and_nothing_is_kept(steps: list[Step]) -> None:
    expired: list[int] = []
    queue = FairQueue[int](on_expired=expired.append, max_callers=4)
    waiting: dict[int, Entry[int]] = {}
    now = 0.0
    for number, step in enumerate(steps):
        now += step.seconds
        if step.what == "put":
            terms = Terms(
                caller=str(step.caller),
                priority=Priority(step.bulk),
                deadline=None if step.patience is None else now + step.patience,
            )
            waiting[number] = queue.put(number, terms=terms, cost=step.cost, arrived=now)
        elif step.what == "drop" and waiting:
            queue.drop(waiting.pop(min(waiting)))
        elif step.what == "pop":
            entry = queue.pop(now)
            for late in expired:
                assert waiting.pop(late).deadline <= now
            expired.clear()
            if entry is None:
                assert not waiting
            else:
                assert waiting.pop(entry.item) is entry
                assert entry.deadline > now
                if entry.urgency is BULK:
                    assert all(other.urgency is BULK and other.terms.priority is BULK for other in waiting.values())
        assert len(queue) == len(waiting)
        assert all(entry.waiting for entry in waiting.values())
        for band in queue._bands.values():
            assert len(band._buckets) <= 4 + 1
            empty = [bucket for bucket in band._buckets.values() if not bucket.entries]
            assert all(bucket.tag > band._virtual for bucket in empty)
    while queue.pop(now) is not None:
        pass
    assert len(queue) == 0
    assert not any(band._buckets for band in queue._bands.values())
    assert not queue._ageing


@pytest.mark.parametrize("max_callers", [0, 1])
def test_without_shares_of_their_own_callers_go_by_deadline(max_callers: int) -> None:
    queue = FairQueue[str](max_callers=max_callers)
    put(queue, "a", cost=0)
    queue.pop(0.0)
    for caller, deadline in (("b", 3.0), ("c", 1.0), ("d", 2.0)):
        put(queue, caller, deadline=deadline)
    assert [item for item in drained(queue) if item in {"c", "d"}] == ["c", "d"]
