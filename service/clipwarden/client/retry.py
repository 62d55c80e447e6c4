"""Whether a failed call is worth another attempt, and after what pause: one pure decision for both clients.

Only two failures are retried: UNAVAILABLE (the call never ran, or the server drains) and RESOURCE_EXHAUSTED that
carries a RetryInfo (the server is full and says when to come back). Judging changes nothing on the server, so a
repeated call is harmless; retrying anything else would only repeat the answer.

Three bounds keep retries from making an outage worse: the caller's deadline is total, attempts are counted, and
a budget shared by all calls of a client lets retries be about a tenth of the traffic once its reserve is used up.
Rejected: gRPC's own retry policy, which cannot tell an overloaded server from a message over the size limit and
does not read RetryInfo.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from clipwarden.client.errors import ClientError, DeadlineExceededError

HEALTH_POLL_SECONDS = 0.1
"""How often a wait for readiness looks; a server warms up for seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """When and how often to try again.

    Attributes:
        max_attempts: Attempts in all, the first included; 1 never retries.
        base_seconds: Upper end of the first pause; doubles with every attempt.
        cap_seconds: Upper end that no pause of our own exceeds. A pause the server asks for comes on top.
        budget: Retries that may be spent before any success earns new ones.
        earned_per_success: Retries that one successful call earns.

    Source:
        Full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Budget: gRPC proposal A6
        (10 tokens, 0.1 earned).
    """

    max_attempts: int = 4
    base_seconds: float = 0.1
    cap_seconds: float = 5.0
    budget: float = 10.0
    earned_per_success: float = 0.1


DEFAULT_RETRY = RetryPolicy()


def pause_before_retry(
    error: ClientError, *, attempt: int, remaining_seconds: float, policy: RetryPolicy, fraction: float
) -> float | None:
    """Decide on one failure.

    Args:
        error: What failed.
        attempt: Attempts made, at least 1.
        remaining_seconds: Until the caller's deadline.
        policy: Bounds.
        fraction: Where in the jitter's range to land, in [0, 1).

    Returns:
        Seconds to wait before the next attempt, or None to give up.
    """
    if attempt >= policy.max_attempts or not _is_passing(error):
        return None
    backoff = min(policy.cap_seconds, policy.base_seconds * 2.0 ** (attempt - 1))
    pause = (error.retry_after_seconds or 0.0) + fraction * backoff
    # An attempt that could only start at the deadline would hide the real failure behind DEADLINE_EXCEEDED.
    return pause if pause < remaining_seconds else None


def _is_passing(error: ClientError) -> bool:
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return error.retry_after_seconds is not None
    return error.code is grpc.StatusCode.UNAVAILABLE


class RetryBudget:
    """A token bucket over all calls of one client. Safe to share between threads."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._tokens = policy.budget
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Count one success."""
        with self._lock:
            self._tokens = min(self._policy.budget, self._tokens + self._policy.earned_per_success)

    def spend(self) -> bool:
        """Take one retry, or tell that there is none."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Attempts:
    """The attempts of one call: counts them, keeps the deadline, asks the policy and the budget.

    Args:
        policy: Bounds.
        budget: Shared by the client's calls.
        timeout_seconds: For all attempts and pauses together.
        clock: Monotonic seconds.
        random: Gives numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        policy: RetryPolicy,
        budget: RetryBudget,
        timeout_seconds: float,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._clock = clock
        self._random = random
        self._deadline = clock() + timeout_seconds
        self._made = 0

    def start(self) -> float:
        """Begin an attempt; return the seconds it may take."""
        self._made += 1
        return max(0.0, self._deadline - self._clock())

    def pause_after(self, error: ClientError) -> float | None:
        """Decide on a failed attempt, and note in the error how many there were.

        Args:
            error: What the attempt failed with.

        Returns:
            Seconds to wait before the next attempt, or None to give up.
        """
        error.attempts = self._made
        pause = pause_before_retry(
            error,
            attempt=self._made,
            remaining_seconds=self._deadline - self._clock(),
            policy=self._policy,
            fraction=self._random(),
        )
        return pause if pause is not None and self._budget.spend() else None

    def succeed(self) -> None:
        """Count the call as a success, which earns budget."""
        self._budget.earn()


class Patience:
    """A bounded wait for a server to become ready.

    Args:
        target: The server's address, for the sentence.
        timeout_seconds: Longest wait.
        clock: Monotonic seconds.
    """

    def __init__(self, *, target: str, timeout_seconds: float, clock: Callable[[], float]) -> None:
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._deadline = clock() + timeout_seconds

    def pause(self, state: str) -> float:
        """Return the seconds to wait before looking again.

        Args:
            state: What was last seen.

        Raises:
            DeadlineExceededError: The wait is over.
        """
        if self._clock() + HEALTH_POLL_SECONDS < self._deadline:
            return HEALTH_POLL_SECONDS
        message = f"The server at {self._target} was not ready within {self._timeout_seconds:g} s: {state}."
        raise DeadlineExceededError(message, code=grpc.StatusCode.DEADLINE_EXCEEDED)
