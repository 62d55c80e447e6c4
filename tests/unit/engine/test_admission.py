"""Admission on a clock that the test steps: what is let in is in time, and the machine never stands still for it."""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count

import pytest

from clipwarden.engine.admission import MAX_RETRY_SECONDS, MIN_RETRY_SECONDS, SHARE_OF_TIME, Admission, Work
from clipwarden.engine.line import MAX_CALLERS, FairQueue
from clipwarden.engine.settings import Unobserved
from clipwarden.engine.shares import Shares
from clipwarden.engine.terms import Priority, Terms
from clipwarden.errors import DeadlineError, ImageError, OverloadedError, Reason

COST = 0.025
SERVERS = 2
CAPACITY = SERVERS / COST
"""Images a second."""
BUDGET = 2.0
"""Seconds that callers wait."""
SECONDS = 20.0


@dataclass(kw_only=True)
class Steps:
    """A clock that the test steps."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class Noted(Unobserved):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.causes: Counter[str] = Counter()
        self.forecasts: list[tuple[float, float]] = []

    def note_refusal(self, cause: str) -> None:
        self.causes[cause] += 1

    def note_forecast(self, predicted_seconds: float, actual_seconds: float) -> None:
        self.forecasts.append((predicted_seconds, actual_seconds))


def admission_of(clock: Steps, noted: Noted | None = None, *, items: int = 512, size: int = 2**20) -> Admission:
    return Admission(max_items=items, max_bytes=size, max_ahead=4, cpus=SERVERS, observer=noted, clock=clock)


@dataclass(eq=False, kw_only=True, slots=True)
class Sent:
    """One image of a caller, that was let in."""

    caller: str
    seconds: float
    deadline: float
    work: Work
    leave: Callable[[], None]


class Machine:
    """Servers of known pace behind an admission and a line, in simulated time.

    Args:
        slowness: At a moment, by which all work takes longer.
        ratio: Of what work is estimated to cost over what it does.
    """

    def __init__(self, *, slowness: Callable[[float], float] = lambda _: 1.0, ratio: float = 1.0) -> None:
        self.clock, self.noted = Steps(now=0.0), Noted()
        self.admission = admission_of(self.clock, self.noted)
        self.became: dict[str, Counter[str]] = defaultdict(Counter)
        self.hints: list[float] = []
        self.waited: list[float] = []
        self.idle_seconds = 0.0
        self._line = FairQueue[Sent](on_expired=lambda sent: self._fail(sent, "expired"))
        self._slowness, self._ratio = slowness, ratio
        self._free = SERVERS
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def offer(
        self,
        caller: str,
        rate: float,
        *,
        since: float = 0.0,
        until: float = SECONDS,
        priority: Priority = Priority.INTERACTIVE,
    ) -> None:
        """Have a caller send images at random moments, so many a second, whatever becomes of them."""
        rng = random.Random(caller)  # noqa: S311  no secret

        def send() -> None:
            self._arrive(caller, priority)
            later = self.clock.now + rng.expovariate(rate)
            if later < until:
                self._at(later, send)

        self._at(since + rng.expovariate(rate), send)

    def run(self) -> Counter[str]:
        """Run until nothing is left to do, and count what became of all images."""
        while self._events:
            moment, _, event = heapq.heappop(self._events)
            if self.admission.items:
                self.idle_seconds += self._free * (moment - self.clock.now) if len(self._line) else 0.0
            self.clock.now = moment
            event()
        assert (self.admission.items, self.admission.ahead, self.admission.backlog_seconds) == (0, 0, 0)
        return sum(self.became.values(), Counter())

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def _arrive(self, caller: str, priority: Priority) -> None:
        budget = BUDGET if priority is Priority.INTERACTIVE else 10 * BUDGET
        terms = Terms(deadline=self.clock.now + budget, caller=caller, priority=priority)
        try:
            ticket = self.admission.arrive(terms)
            ticket.settle()
            try:
                work = self.admission.begin(terms, COST * self._ratio)
            except OverloadedError:
                ticket.end()
                raise
        except OverloadedError as error:
            self.became[caller]["refused"] += 1
            self.hints.append(error.retry_after_seconds)
            return
        sent = Sent(caller=caller, seconds=COST, deadline=self.clock.now + budget, work=work, leave=ticket.end)
        work.wait()
        self._line.put(sent, terms=terms, cost=work.cost, arrived=self.clock.now)
        self._lend()

    def _lend(self) -> None:
        while self._free and (entry := self._line.pop(self.clock.now)):
            sent = entry.item
            try:
                sent.work.start()
            except OverloadedError:
                self._fail(sent, "too late")
                continue
            sent.work.give_way()
            self._free -= 1
            seconds = sent.seconds * self._slowness(self.clock.now)
            self._at(self.clock.now + seconds, partial(self._finish, sent))

    def _finish(self, sent: Sent) -> None:
        self._free += 1
        sent.work.__exit__(None, None, None)
        sent.leave()
        self.became[sent.caller]["in time" if self.clock.now <= sent.deadline else "late"] += 1
        self.waited.append(self.clock.now - sent.deadline + BUDGET)
        self._lend()

    def _fail(self, sent: Sent, how: str) -> None:
        error = DeadlineError("expired")
        sent.work.__exit__(DeadlineError, error, None)
        sent.leave()
        self.became[sent.caller][how] += 1


def in_vain(became: Counter[str]) -> int:
    """Count what was let in and had no answer in time."""
    return became["late"] + became["too late"] + became["expired"]


@pytest.mark.parametrize("callers", [1, 2, 7])
@pytest.mark.parametrize("overload", [2, 10])
def test_under_overload_nothing_that_is_let_in_is_late_and_nothing_stands_still(callers: int, overload: int) -> None:
    machine = Machine()
    for number in range(callers):
        machine.offer(f"caller {number}", overload * CAPACITY / callers)
    became = machine.run()
    assert in_vain(became) == 0
    assert became["in time"] >= 0.97 * CAPACITY * SECONDS
    assert machine.idle_seconds == 0
    answered = [counts["in time"] for counts in machine.became.values()]
    assert min(answered) >= 0.9 * max(answered)


def test_below_capacity_nobody_is_refused() -> None:
    machine = Machine()
    for number in range(9):
        machine.offer(f"caller {number}", 0.1 * CAPACITY)
    became = machine.run()
    assert set(became) == {"in time"}


@pytest.mark.parametrize("ratio", [0.1, 0.25, 4.0, 10.0])
def test_a_forecast_recovers_from_estimates_that_are_wrong(ratio: float) -> None:
    machine = Machine(ratio=ratio)
    machine.offer("caller", 2 * CAPACITY)
    became = machine.run()
    assert in_vain(became) == 0
    assert became["in time"] >= 0.97 * CAPACITY * SECONDS


def test_a_machine_that_slows_down_to_half_has_a_moment_of_late_answers_and_no_more() -> None:
    machine = Machine(slowness=lambda now: 1.0 if now < SECONDS / 2 else 2.0)
    machine.offer("caller", 2 * CAPACITY)
    became = machine.run()
    assert became["in time"] >= 0.95 * 0.75 * CAPACITY * SECONDS
    # What was let in before it slowed down was twice what it then could do.
    assert in_vain(became) <= SHARE_OF_TIME * BUDGET * CAPACITY
    assert machine.idle_seconds == 0


def test_a_machine_that_stood_still_for_a_while_is_used_again() -> None:
    stood = Machine(slowness=lambda now: 400.0 if 5 < now < 5.1 else 1.0)
    stood.offer("caller", 2 * CAPACITY)
    became = stood.run()
    assert became["in time"] >= 0.97 * CAPACITY * (SECONDS - 400 * COST - BUDGET)


def test_of_60_callers_one_that_offers_nine_tenths_leaves_the_others_all_they_ask_for() -> None:
    machine = Machine()
    machine.offer("greedy", 0.9 * 6 * CAPACITY)
    for number in range(59):
        machine.offer(f"modest {number}", 0.1 * 6 * CAPACITY / 59)
    became = machine.run()
    greedy = machine.became.pop("greedy")
    assert sum(machine.became.values(), Counter()).keys() == {"in time"}
    assert became["in time"] >= 0.97 * CAPACITY * SECONDS
    # What others send while its images wait is learnt, and not only what they had sent when these came.
    assert in_vain(greedy) <= 0.1 * greedy["in time"]


def test_of_60_callers_that_all_ask_for_too_much_each_has_its_share() -> None:
    machine = Machine()
    machine.offer("greedy", 9 * CAPACITY)
    for number in range(59):
        machine.offer(f"other {number}", 2 * CAPACITY / 60)
    machine.run()
    machine.became.pop("greedy")
    fair = CAPACITY * SECONDS / 60
    assert min(counts["in time"] for counts in machine.became.values()) >= 0.5 * fair


def test_bulk_has_what_the_interactive_leave() -> None:
    machine = Machine()
    machine.offer("person", 0.5 * CAPACITY)
    machine.offer("backfill", 1.5 * CAPACITY, priority=Priority.BULK)
    became = machine.run()
    assert set(machine.became["person"]) == {"in time"}
    assert in_vain(became) == 0
    assert machine.became["backfill"]["in time"] >= 0.45 * CAPACITY * SECONDS


def test_forecasts_are_told_beside_what_came_about() -> None:
    machine = Machine()
    machine.offer("caller", 2 * CAPACITY)
    machine.run()
    late = machine.noted.forecasts[len(machine.noted.forecasts) // 2 :]
    assert all(0.8 < actual / predicted < 1.25 for predicted, actual in late)
    assert machine.noted.causes == {"wait": len(machine.hints)}


def test_urgent_image_goes_first_unless_that_makes_another_of_its_caller_late() -> None:
    clock = Steps()
    admission = admission_of(clock)
    admission.begin(Terms(caller="a", deadline=clock.now + 1), 2.0)  # alone: in whatever is foreseen
    admission.begin(Terms(caller="a", deadline=clock.now + 3), 2.0)  # 2 s, of 2.25 that it may be
    urgent = Terms(caller="a", deadline=clock.now + 2)
    assert admission.begin(urgent, 0.09).cost == 0.09
    with pytest.raises(OverloadedError, match="others of this caller would be too late"):
        admission.begin(urgent, 0.5)
    # Another caller's is not asked: it has a share of its own.
    admission.begin(Terms(caller="b", deadline=clock.now + 1.5), 0.5)


def test_what_cannot_be_finished_any_more_is_refused_at_its_turn() -> None:
    clock, noted = Steps(), Noted()
    admission = admission_of(clock, noted)
    admission.begin(Terms(caller="b"), 1.0)
    work = admission.begin(Terms(caller="a", deadline=clock.now + 10), 1.0)
    work.wait()
    clock.now += 9.5
    with pytest.raises(OverloadedError, match="could not be finished any more"), work:
        work.start()
    assert noted.causes == {"late": 1}
    assert admission.ahead == 0


@dataclass(kw_only=True)
class Turns:
    """Images that have their turn one after the other, beside company that has not ended."""

    clock: Steps
    admission: Admission

    def has_turn(self, *, left: float, takes: float, cost: float = 0.1) -> bool:
        """Begin an image with so many seconds left, and say whether it may; it ends then, or at its deadline."""
        waits = 10.0
        terms = Terms(caller="a", deadline=self.clock.now + waits + left)
        with suppress(OverloadedError, DeadlineError), self.admission.begin(terms, cost) as work:
            self.clock.now += waits
            work.start()
            self.clock.now += min(takes, left)
            if takes > left:
                raise DeadlineError("late")
        return work.started is not None


@pytest.fixture
def turns() -> Turns:
    clock = Steps()
    made = Turns(clock=clock, admission=admission_of(clock))
    made.admission.begin(Terms(caller="b"), 0.1)
    return made


def test_what_is_left_when_a_turn_comes_is_judged_by_what_others_took_from_there(turns: Turns) -> None:
    assert turns.has_turn(left=0.25, takes=0.1)
    for _ in range(50):  # others run beside it
        assert turns.has_turn(left=5.0, takes=0.3)
    assert not turns.has_turn(left=0.25, takes=0.3)
    assert turns.has_turn(left=0.35, takes=0.3)


def test_what_died_of_its_deadline_took_at_least_as_long(turns: Turns) -> None:
    for _ in range(50):
        turns.has_turn(left=0.3, takes=0.5)
    assert not turns.has_turn(left=0.25, takes=0.5)


def test_large_images_that_take_longer_than_thought_have_no_small_one_refused(turns: Turns) -> None:
    for _ in range(50):
        assert turns.has_turn(left=9.0, takes=2.0, cost=0.5)
        assert turns.has_turn(left=0.03, takes=0.02, cost=0.01)


@pytest.mark.parametrize("stall", [1.2, 600.0])
def test_a_stall_is_forgotten_though_all_are_in_a_hurry(turns: Turns, stall: float) -> None:
    for _ in range(6):
        assert turns.has_turn(left=1000.0, takes=stall)
    refused = 0
    while not turns.has_turn(left=0.25, takes=0.1):
        refused += 1
        assert refused < 60
    assert all(turns.has_turn(left=0.25, takes=0.1) for _ in range(50))


def test_a_call_that_sends_nothing_is_no_company() -> None:
    clock = Steps()
    turns = Turns(clock=clock, admission=admission_of(clock))
    turns.admission.arrive(Terms(caller="silent"))
    for _ in range(50):
        turns.has_turn(left=9.0, takes=0.5)
    assert turns.has_turn(left=0.2, takes=0.15)


def test_callers_who_share_an_account_are_one_in_line() -> None:
    clock = Steps()
    admission = admission_of(clock)
    names = set()
    for number in range(2 * MAX_CALLERS):
        terms = Terms(caller=f"ipv4:10.0.0.1:{number}", origin="ipv4:10.0.0.1")
        admission.arrive(terms)
        names.add(admission.begin(terms, 0.001).terms.caller)
    assert "ipv4:10.0.0.1" in names
    assert len(names) <= MAX_CALLERS
    newcomer = Terms(caller="ipv4:10.0.0.2:1", origin="ipv4:10.0.0.2")
    admission.arrive(newcomer)
    assert admission.begin(newcomer, 0.001).terms.caller == newcomer.caller


def test_alone_an_image_is_let_in_whatever_is_foreseen() -> None:
    clock = Steps()
    admission = admission_of(clock)
    with admission.begin(Terms(deadline=clock.now + 0.01), 60.0) as work:
        work.start()
        with pytest.raises(OverloadedError):
            admission.begin(Terms(deadline=clock.now + 0.01), 60.0)


def test_those_who_send_what_takes_seconds_have_nobody_else_refused_before_its_header_is_read() -> None:
    clock = Steps()
    admission = Admission(
        max_items=512, max_bytes=2**20, max_ahead=4, cpus=SERVERS, least_cost=lambda: COST, clock=clock
    )
    for _ in range(20):
        admission.begin(Terms(caller="heavy", deadline=clock.now + 300), 3.0)
    with admission.arrive(Terms(caller="light", deadline=clock.now + 4 * COST)) as ticket:
        assert admission.backlog_seconds == pytest.approx((20 * 3.0 + COST) / SERVERS)
        ticket.settle()
        admission.begin(Terms(caller="light", deadline=clock.now + 4 * COST), COST)
    with pytest.raises(OverloadedError):  # nothing at all can be done by then
        admission.arrive(Terms(caller="light", deadline=clock.now + COST))


def test_passed_deadline_is_no_overload() -> None:
    clock = Steps()
    with pytest.raises(DeadlineError):
        admission_of(clock).arrive(Terms(deadline=clock.now))


def test_hint_is_when_the_forecast_fits_again_and_those_refused_are_told_to_come_one_by_one() -> None:
    clock = Steps()
    admission = admission_of(clock)
    first = admission.begin(Terms(caller="a", deadline=clock.now + 3), 10.0)  # 5 s; alone, and so let in
    terms = Terms(caller="a", deadline=clock.now + 4)
    hints = []
    for _ in range(3):
        with pytest.raises(OverloadedError) as caught:
            admission.begin(terms, 1.0)
        hints.append(caught.value.retry_after_seconds)
    assert hints == pytest.approx([2.5, 3.0, 3.5])  # foreseen are 5.5 s, and 3 s of 4 may be
    clock.now += hints[0]
    first.spend(2 * hints[0])
    admission.begin(Terms(caller="a", deadline=clock.now + 4), 1.0)
    for _ in range(100):
        with pytest.raises(OverloadedError) as caught:
            admission.begin(Terms(caller="a", deadline=clock.now + 0.1), 1.0)
    assert caught.value.retry_after_seconds == MAX_RETRY_SECONDS


def test_a_refusal_for_want_of_bytes_says_so_in_megabytes() -> None:
    admission = Admission(max_items=9, max_bytes=9 * 2**20, max_ahead=9, cpus=1)
    admission.arrive(Terms(caller="a"), size=6 * 2**20)
    with pytest.raises(OverloadedError) as share:
        admission.arrive(Terms(caller="a"), size=2**20)
    assert str(share.value) == "this caller has 6.0 of 9.0 MiB (queue_bytes), and may have no more than what is free"
    with pytest.raises(OverloadedError) as share:
        admission.arrive(Terms(caller="a", priority=Priority.BULK), size=2**20)
    assert str(share.value).endswith("may have no more than half of what is free, being bulk")
    with pytest.raises(OverloadedError) as whole:
        admission.arrive(Terms(caller="b"), size=4 * 2**20)
    admission = Admission(max_items=2, max_bytes=2**20, max_ahead=9, cpus=1)
    admission.arrive(Terms(caller="a"), size=2**19)
    with pytest.raises(OverloadedError, match="queue_bytes"):
        admission.arrive(Terms(caller="a"), size=2**20)  # its share of places is full as well
    assert str(whole.value) == "images here take 6.0 of 9.0 MiB (queue_bytes), and there is no room for 4.0 MiB more"


def test_a_caller_alone_has_half_of_the_places_and_two_have_a_third_each() -> None:
    clock, noted = Steps(), Noted()
    admission = admission_of(clock, noted, items=9)
    tickets = [admission.arrive(Terms(caller=caller)) for caller in "aaabbb"]
    for caller in "ab":
        with pytest.raises(
            OverloadedError,
            match=r"^this caller has 3 of 9 places \(queue_items\), and may have no more than what is free$",
        ) as caught:
            admission.arrive(Terms(caller=caller))
        assert caught.value.retry_after_seconds >= MIN_RETRY_SECONDS
    tickets += [admission.arrive(Terms(caller=caller)) for caller in "cde"]
    with pytest.raises(
        OverloadedError, match=r"^images here take 9 of 9 places \(queue_items\), and there is no room for more$"
    ):
        admission.arrive(Terms(caller="f"))
    assert noted.causes == {"share": 2, "items": 1}
    for ticket in tickets:
        ticket.end()
        ticket.end()
    assert admission.items == 0


@pytest.mark.parametrize("size", [0, 1])
def test_bulk_leaves_its_own_caller_places_for_what_is_urgent(size: int) -> None:
    admission = admission_of(Steps(), items=9 if size == 0 else 512, size=9)
    bulk, urgent = Terms(caller="a", priority=Priority.BULK), Terms(caller="a")
    tickets = [admission.arrive(bulk, size=size) for _ in range(3)]
    with pytest.raises(OverloadedError, match="this caller has"):
        admission.arrive(bulk, size=size)
    tickets += [admission.arrive(urgent, size=size) for _ in range(2)]
    with pytest.raises(OverloadedError, match="this caller has"):
        admission.arrive(urgent, size=size)
    for ticket in tickets:
        ticket.end()
    assert (admission.items, admission.bytes) == (0, 0)


def test_bytes_are_shared_alike_and_may_change() -> None:
    clock, noted = Steps(), Noted()
    admission = admission_of(clock, noted, size=100)
    with admission.arrive(Terms(caller="a"), size=40) as first, admission.arrive(Terms(caller="a")) as second:
        assert second.fits(60)
        assert not second.fits(61)
        second.hold(20)
        with pytest.raises(OverloadedError):
            second.hold(21)  # the caller has 60, and 40 are free
        with admission.arrive(Terms(caller="b"), size=40), pytest.raises(OverloadedError):
            admission.arrive(Terms(caller="c"), size=1)
        first.hold(0)
        assert admission.bytes == 20
        second.hold(21)
    assert admission.bytes == 0
    assert noted.causes == {"share": 1, "bytes": 1}


def test_callers_of_one_place_beyond_the_most_share_one_account() -> None:
    most = MAX_CALLERS // 2
    admission = admission_of(Steps(), items=4 * most)
    tickets = [admission.arrive(Terms(caller=str(number))) for number in range(most)]
    room = 4 * most - most
    tickets += [admission.arrive(Terms(caller=f"more {number}")) for number in range(room // 2)]
    with pytest.raises(OverloadedError, match=f"this caller has {room // 2} of"):
        admission.arrive(Terms(caller="one more"))
    for ticket in tickets:
        ticket.end()
    assert admission.arrive(Terms(caller="new")) is not None


def test_an_origin_of_many_callers_leaves_accounts_to_others() -> None:
    shares = Shares(max_items=10_000, max_bytes=0)

    def names(origin: str, callers: int) -> set[str | None]:
        found = set()
        for number in range(callers):
            account = shares.account(Terms(caller=f"{origin}:{number}", origin=origin))
            shares.take(account, items=1, size=0)
            found.add(account.name)
        return found

    loud = names("loud", 500)
    assert (len(loud), "loud" in loud, None in loud) == (MAX_CALLERS // 2 + 1, True, False)
    for other, own in (("b", 32), ("c", 15), ("d", 7), ("e", 3), ("f", 1)):
        found = names(other, 100)
        assert (len(found), other in found, None in found) == (own + 1, True, False)
    assert names("g", 2) == {None}
    assert len(shares._accounts) == MAX_CALLERS + 1


def test_accounts_without_anything_are_given_to_others() -> None:
    shares = Shares(max_items=10_000, max_bytes=0)
    for number in range(10 * MAX_CALLERS):
        account = shares.account(Terms(caller=str(number), origin=str(number % 3)))
        assert account.name == str(number)
        shares.take(account, items=1, size=0)
        shares.take(account, items=-1, size=0)


def test_without_a_deadline_nothing_is_too_long() -> None:
    admission = admission_of(Steps())
    for _ in range(200):
        admission.begin(Terms(), 1000.0)
    assert admission.backlog_seconds == pytest.approx(200 * 1000 / SERVERS)


def test_work_that_fails_is_counted_no_longer_and_not_as_done() -> None:
    clock, noted = Steps(), Noted()
    admission = admission_of(clock, noted)
    work = admission.begin(Terms(), 1.0)
    work.start()
    assert (admission.ahead, admission.backlog_seconds) == (1, 1 / SERVERS)
    error = ImageError("broken", reason=Reason.IMAGE_CORRUPT)
    work.__exit__(ImageError, error, None)
    assert (admission.ahead, admission.backlog_seconds, noted.forecasts) == (0, 0, [])
