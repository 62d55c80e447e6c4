import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.client.errors import ClientError, DeadlineExceededError
from clipwarden.client.retry import Attempts, History, Patience, RetryPolicy, history_of, pause_before_retry

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
    assert pause(FULL) == 1.5 + 0.5 * 1.5
    assert pause(ClientError("too large", code=grpc.StatusCode.RESOURCE_EXHAUSTED)) is None


def test_a_delay_of_zero_still_asks_for_a_retry() -> None:
    zero = ClientError("full", code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_seconds=0.0)
    assert pause(zero) == 0.05


def test_a_retry_that_leaves_no_time_to_be_judged_is_not_made() -> None:
    assert pause(FULL, remaining_seconds=3.0, service_seconds=1.4) is not None
    assert pause(FULL, remaining_seconds=3.0, service_seconds=1.5) is None
    # What the server takes while it is full says nothing about one that was just started.
    assert pause(UNAVAILABLE, remaining_seconds=1.0, service_seconds=1.5) == 0.05


def test_jitter_uses_at_most_half_of_the_time_that_is_left_over() -> None:
    assert pause(FULL, remaining_seconds=3.0, service_seconds=1.0, fraction=1.0) == pytest.approx(1.5 + 0.25)


@pytest.mark.parametrize(("attempt", "highest"), [(1, 0.1), (2, 0.2), (3, 0.3)])
def test_pauses_double_up_to_the_cap(attempt: int, highest: float) -> None:
    assert pause(UNAVAILABLE, attempt=attempt, fraction=1.0) == pytest.approx(highest)


def test_jitter_reaches_down_to_zero() -> None:
    assert pause(UNAVAILABLE, fraction=0.0) == 0.0


def test_attempts_end() -> None:
    assert pause(UNAVAILABLE, attempt=4) is None
    assert pause(FULL, attempt=4) is None


def test_a_server_that_has_answered_before_is_asked_for_longer() -> None:
    assert pause(UNAVAILABLE, attempt=POLICY.restart_attempts - 1, known=True) is not None
    assert pause(UNAVAILABLE, attempt=POLICY.restart_attempts, known=True) is None
    assert pause(FULL, attempt=4, known=True) is None


def test_one_attempt_is_one_attempt() -> None:
    once = RetryPolicy(max_attempts=1)
    for error in (UNAVAILABLE, FULL):
        assert pause_before_retry(error, attempt=1, remaining_seconds=9, policy=once, fraction=0, known=True) is None


@given(fraction=st.floats(0, 1, exclude_max=True), attempt=st.integers(1, 5), remaining=st.floats(-1, 5))
def test_no_pause_ever_reaches_the_deadline(fraction: float, attempt: int, remaining: float) -> None:
    for error in (UNAVAILABLE, FULL):
        found = pause(error, fraction=fraction, attempt=attempt, remaining_seconds=remaining)
        assert found is None or 0 <= found < remaining


@given(hint=st.floats(0, 10), fraction=st.floats(0, 1, exclude_max=True), attempt=st.integers(1, 3))
def test_no_pause_is_shorter_than_what_the_server_asked_for(hint: float, fraction: float, attempt: int) -> None:
    full = ClientError("full", code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_seconds=hint)
    found = pause(full, fraction=fraction, attempt=attempt)
    assert found is not None
    assert found >= hint


def test_retries_are_earned_by_answers() -> None:
    history = History(RetryPolicy(reserve=2, earned_per_success=0.5))
    assert [history.spend() for _ in range(3)] == [True, True, False]
    history.note_answer(1.0)
    assert not history.spend()
    history.note_answer(1.0)
    assert history.spend()


def test_ten_answers_earn_a_retry() -> None:
    history = History(RetryPolicy(reserve=0))
    for _ in range(10):
        assert not history.spend()
        history.note_answer(1.0)
    assert [history.spend(), history.spend()] == [True, False]


def test_no_more_is_saved_up_than_the_budget() -> None:
    history = History(RetryPolicy(budget=1, reserve=5, earned_per_success=0.5))
    for _ in range(10):
        history.note_answer(1.0)
    assert [history.spend(), history.spend()] == [True, False]


def test_an_error_of_the_servers_own_shows_that_it_is_there() -> None:
    history = History(POLICY)
    history.note_failure(UNAVAILABLE)
    assert not history.known
    history.note_failure(ClientError("draining", code=grpc.StatusCode.UNAVAILABLE, reason="SHUTTING_DOWN"))
    assert history.known
    history.note_failure(UNAVAILABLE)
    assert history.known


def test_what_an_answer_takes_follows_the_newest() -> None:
    history = History(POLICY)
    history.note_answer(1.0)
    assert history.service_seconds == 1.0
    for _ in range(30):
        history.note_answer(0.1)
    assert history.service_seconds == pytest.approx(0.1, rel=0.02)


def test_clients_of_one_target_share_its_history() -> None:
    assert history_of("here:1", POLICY) is history_of("here:1", POLICY)
    assert history_of("here:1", POLICY) is not history_of("there:1", POLICY)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def attempts_of(clock: Clock, *, timeout_seconds: float = 10, **policy: float) -> Attempts:
    bounds = RetryPolicy(**policy)
    return Attempts(
        policy=bounds, history=History(bounds), timeout_seconds=timeout_seconds, clock=clock, random=lambda: 0.5
    )


def test_attempts_share_one_deadline_and_are_counted() -> None:
    clock = Clock()
    attempts = attempts_of(clock)
    assert attempts.start() == 10
    clock.now += 4
    assert attempts.pause_after(UNAVAILABLE) is not None
    assert attempts.start() == 6
    clock.now += 7
    error = ClientError("down", code=grpc.StatusCode.UNAVAILABLE)
    assert attempts.pause_after(error) is None
    assert error.attempts == 2
    assert attempts.start() == 0


def test_refusals_that_nothing_has_earned_a_retry_for_end_a_call() -> None:
    attempts = attempts_of(Clock(), reserve=1)
    for expected in (True, False):
        attempts.start()
        assert (attempts.pause_after(FULL) is not None) == expected


def test_waiting_for_a_restart_spends_nothing_and_counts_by_itself() -> None:
    attempts = attempts_of(Clock(), timeout_seconds=1000, reserve=3)
    attempts.start()
    draining = ClientError("draining", code=grpc.StatusCode.UNAVAILABLE, reason="SHUTTING_DOWN")
    for _ in range(10):
        assert attempts.pause_after(draining) is not None
        attempts.start()
    for _ in range(3):
        assert attempts.pause_after(FULL) is not None
        attempts.start()
    assert attempts.pause_after(FULL) is None


def test_what_an_answer_took_does_not_count_the_pauses_before() -> None:
    clock, history = Clock(), History(POLICY)
    attempts = Attempts(policy=POLICY, history=history, timeout_seconds=99, clock=clock, random=lambda: 0.5)
    attempts.start()
    clock.now += 20
    attempts.start()
    clock.now += 2
    attempts.succeed()
    assert history.service_seconds == 2


def test_patience_ends_with_what_was_last_seen() -> None:
    clock = Clock()
    patience = Patience(target="here:1", timeout_seconds=2, clock=clock)
    assert patience.pause("NOT_SERVING") > 0
    clock.now += 2
    with pytest.raises(DeadlineExceededError, match="here:1 was not ready within 2 s: NOT_SERVING"):
        patience.pause("NOT_SERVING")
