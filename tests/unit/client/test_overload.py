"""The retrying client against a server that is offered too much, on a stepped clock.

The server is a model that refuses by predicted wait; what decides on retries is the clients' own code.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import pytest

from clipwarden.client.errors import ClientError
from clipwarden.client.retry import DEFAULT_RETRY, Attempts, History, RetryPolicy

SERVICE_SECONDS = 0.02
CAPACITY = 1 / SERVICE_SECONDS
SHARE = 0.75
"""Of the time to the deadline: what is predicted to take longer is refused, as by the server's own admission."""
LEAST_HINT_SECONDS = 0.05
SECONDS = 60.0

Owner = Callable[[int], int]
"""From a call's number to the client that makes it."""


@dataclass(kw_only=True)
class Overload:
    """Many callers, one server, and time that jumps from event to event."""

    load: float
    owner: Owner
    deadline_seconds: float = 2.0
    now: float = 0.0
    free: float = 0.0
    good: int = 0
    sent: list[float] = field(default_factory=list)
    calls: dict[int, Attempts] = field(default_factory=dict)

    def run(self) -> "Overload":
        chance = random.Random(11)  # noqa: S311  a simulation
        histories: dict[int, History] = {}
        waiting, at = [], 0.0
        while (at := at + chance.expovariate(self.load * CAPACITY)) < SECONDS:
            waiting.append((at, len(waiting)))
        while waiting:
            self.now, number = heapq.heappop(waiting)
            if number not in self.calls:
                self.calls[number] = Attempts(
                    policy=DEFAULT_RETRY,
                    history=histories.setdefault(self.owner(number), History(DEFAULT_RETRY)),
                    timeout_seconds=self.deadline_seconds,
                    clock=lambda: self.now,
                    random=chance.random,
                )
            pause = self.send(self.calls[number])
            if pause is not None:
                heapq.heappush(waiting, (self.now + pause, number))
        return self

    def send(self, call: Attempts) -> float | None:
        """Judge, or refuse; say after what pause the client comes back."""
        self.sent.append(self.now)
        remaining = call.start()
        predicted = max(self.free, self.now) + SERVICE_SECONDS - self.now
        if predicted > SHARE * remaining:
            hint = max(LEAST_HINT_SECONDS, predicted - SHARE * remaining)
            error = ClientError("full", code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_seconds=hint)
            return call.pause_after(error)
        self.free = self.now + predicted
        self.good += 1
        asked, self.now = self.now, self.free  # the answer comes then; what the client learns of it may come early
        call.succeed()
        self.now = asked
        return None

    @property
    def amplification(self) -> float:
        return len(self.sent) / len(self.calls)

    @property
    def goodput(self) -> float:
        """Answers inside the deadline, as a share of what the server can give."""
        return self.good / (SECONDS * CAPACITY)


OWNERS: dict[str, Owner] = {
    "one for all": lambda _: 0,
    "a hundred": lambda number: number % 100,
    "one for ten calls": lambda number: number // 10,
}


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize(("load", "deadline_seconds"), [(2.0, 2.0), (2.0, 30.0), (10.0, 2.0)])
def test_a_long_overload_is_not_made_worse_by_retries(load: float, deadline_seconds: float, owner: Owner) -> None:
    run = Overload(load=load, deadline_seconds=deadline_seconds, owner=owner).run()
    assert run.amplification <= 1.2
    assert run.goodput >= 0.95


def test_what_is_offered_within_capacity_is_answered_without_retries() -> None:
    run = Overload(load=0.8, owner=OWNERS["a hundred"]).run()
    assert (run.amplification, run.good) == (1.0, len(run.calls))


def test_callers_refused_together_do_not_come_back_together() -> None:
    chance = random.Random(11)  # noqa: S311  a simulation
    policy = RetryPolicy(reserve=1000, budget=1000)
    history = History(policy)
    full = ClientError("full", code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_seconds=1.0)

    def again() -> float:
        call = Attempts(policy=policy, history=history, timeout_seconds=9, clock=lambda: 0.0, random=chance.random)
        call.start()
        return call.pause_after(full) or 0.0

    came = sorted(again() for _ in range(1000))
    assert came[0] >= 1.0
    assert max(sum(at <= other < at + 0.1 for other in came) for at in came) < 200
