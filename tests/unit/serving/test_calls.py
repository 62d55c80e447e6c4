"""How a call ends, where the other side ends it first."""

import logging
from typing import cast

import grpc
import pytest
from prometheus_client import CollectorRegistry

from clipwarden.engine.terms import Terms
from clipwarden.errors import DeadlineError
from clipwarden.serving.calls import Call, Calls
from clipwarden.serving.candidates import Candidates
from clipwarden.serving.context import Context
from clipwarden.serving.gate import Gate
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.refusals import RefusalLog


class GoneContext:
    """A call that ended on its way here, as gRPC finds out when it is to send a status.

    Args:
        left: Seconds to its deadline.
    """

    def __init__(self, left: float | None = None) -> None:
        self._left = left

    def time_remaining(self) -> float | None:
        return self._left

    async def abort(self, *_: object) -> None:
        raise grpc._cython.cygrpc.ExecuteBatchError("by the test")


def made_calls() -> tuple[Calls, Metrics]:
    metrics = Metrics(CollectorRegistry())
    candidates = Candidates(max_waiting=1, stall_seconds=1)
    return Calls(metrics, Gate(), candidates, RefusalLog(), default_deadline_seconds=10), metrics


async def test_call_that_is_gone_when_its_status_is_sent_ends_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls, metrics = made_calls()
    with caplog.at_level(logging.WARNING):
        await calls.abort(DeadlineError("late"), Call(method="Moderate", terms=Terms()), cast("Context", GoneContext()))
    assert caplog.records == []
    labels = {"method": "Moderate", "code": "DEADLINE_EXCEEDED"}
    assert metrics.registry.get_sample_value("clipwarden_requests_total", labels) == 1


@pytest.mark.parametrize(
    ("left", "patience", "code"),
    [
        (0.0, 5.0, "DEADLINE_EXCEEDED"),
        (0.009, 0.3, "DEADLINE_EXCEEDED"),
        (0.066, 11.03, "DEADLINE_EXCEEDED"),
        (0.5, 11.03, "CANCELLED"),
        (0.1, 0.3, "CANCELLED"),
        (None, None, "CANCELLED"),
    ],
)
def test_cancellation_at_the_deadline_or_a_moment_before_is_the_deadline(
    left: float | None, patience: float | None, code: str
) -> None:
    calls, metrics = made_calls()
    call = Call(method="Moderate", terms=Terms(), patience_seconds=patience)
    calls.note_cancelled(call, cast("Context", GoneContext(left)))
    count = metrics.registry.get_sample_value
    assert count("clipwarden_requests_total", {"method": "Moderate", "code": code}) == 1
    errors = count("clipwarden_errors_total", {"method": "Moderate", "reason": "DEADLINE_EXCEEDED"})
    assert bool(errors) == (code == "DEADLINE_EXCEEDED")
