import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.client.errors import ClientError, DeadlineExceededError
from clipwarden.client.retry import Attempts, Patience, RetryBudget, RetryPolicy, pause_before_retry

UNAVAILABLE = ClientError("down", code=grpc.StatusCode.UNAVAILABLE)
FULL = ClientError("full", code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_seconds=1.5)
POLICY = RetryPolicy(max_attempts=4, base_seconds=0.1, cap_seconds=0.3)


def pause(error: ClientError, **changes: float) -> float | None:
    arguments = {"attempt": 1, "remaining_seconds": 30.0, "fraction": 0.5} | changes
    return pause_before_retry(error, policy=POLICY, **arguments)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.UNAVAILABLE])
def test_no_other_code_is_retried(code: grpc.StatusCode) -> None:
    assert pause(ClientError("no", code=code)) is None


def test_resource_exhausted_is_retried_only_when_the_server_asks_for_it() -> None:
    assert pause(FULL) == 1.5 + 0.5 * 0.1
    assert pause(ClientError("too large", code=grpc.StatusCode.RESOURCE_EXHAUSTED)) is None


def test_a_delay_of_zero_still_asks_for_a_retry() -> None:
    zero = ClientError("full", code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_seconds=0.0)
    assert pause(zero) == 0.05


@pytest.mark.parametrize(("attempt", "highest"), [(1, 0.1), (2, 0.2), (3, 0.3)])
def test_pauses_double_up_to_the_cap(attempt: int, highest: float) -> None:
    assert pause(UNAVAILABLE, attempt=attempt, fraction=1.0) == pytest.approx(highest)


def test_jitter_reaches_down_to_zero() -> None:
    assert pause(UNAVAILABLE, fraction=0.0) == 0.0


def test_attempts_end() -> None:
    assert pause(UNAVAILABLE, attempt=4) is None


@given(fraction=st.floats(0, 1, exclude_max=True), attempt=st.integers(1, 5), remaining=st.floats(-1, 5))
def test_no_pause_ever_reaches_the_deadline(fraction: float, attempt: int, remaining: float) -> None:
    for error in (UNAVAILABLE, FULL):
        found = pause(error, fraction=fraction, attempt=attempt, remaining_seconds=remaining)
        assert found is None or 0 <= found < remaining


def test_budget_runs_dry_and_success_earns_it_back() -> None:
    budget = RetryBudget(RetryPolicy(budget=2, earned_per_success=0.5))
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    budget.earn()
    assert not budget.spend()
    budget.earn()
    assert budget.spend()


def test_budget_never_exceeds_its_size() -> None:
    budget = RetryBudget(RetryPolicy(budget=1, earned_per_success=0.5))
    for _ in range(10):
        budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_attempts_share_one_deadline_and_are_counted() -> None:
    clock = Clock()
    attempts = Attempts(policy=POLICY, budget=RetryBudget(POLICY), timeout_seconds=10, clock=clock, random=lambda: 0.5)
    assert attempts.start() == 10
    clock.now += 4
    assert attempts.pause_after(UNAVAILABLE) is not None
    assert attempts.start() == 6
    clock.now += 7
    error = ClientError("down", code=grpc.StatusCode.UNAVAILABLE)
    assert attempts.pause_after(error) is None
    assert error.attempts == 2
    assert attempts.start() == 0


def test_an_empty_budget_ends_attempts_that_the_policy_allows() -> None:
    policy = RetryPolicy(budget=0)
    attempts = Attempts(
        policy=policy, budget=RetryBudget(policy), timeout_seconds=10, clock=Clock(), random=lambda: 0.5
    )
    attempts.start()
    assert attempts.pause_after(UNAVAILABLE) is None


def test_patience_ends_with_what_was_last_seen() -> None:
    clock = Clock()
    patience = Patience(target="here:1", timeout_seconds=2, clock=clock)
    assert patience.pause("NOT_SERVING") > 0
    clock.now += 2
    with pytest.raises(DeadlineExceededError, match="here:1 was not ready within 2 s: NOT_SERVING"):
        patience.pause("NOT_SERVING")
