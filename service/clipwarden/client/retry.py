"""Whether a failed call is worth another attempt, and after what pause: one pure decision for both clients.

Only two failures are retried: RESOURCE_EXHAUSTED that carries a RetryInfo (the server is full and says when to come
back), and UNAVAILABLE (the call never ran, the server drains, or it is gone) unless it lasts, as TLS that does not fit
does. Judging changes nothing on the server, so a repeated call is harmless; retrying anything else would only repeat
the answer. (A call whose token was replaced while it was on its way is another call, and made by the clients.)

- A full server works at its limit, and an attempt more takes the place of another call. So retries are earned: a tenth
  of one by each success, and one to begin with, shared by all clients of this process that call the same target. Under
  an overload of any length they stay a tenth of the answers. They come back at the hint at the earliest and spread over
  as long again, since those who were refused together would else return together; and not at all where the deadline
  leaves no time to be judged after the hint.
- A server that is gone is not at its limit. Where it has answered this process before it is probably being restarted,
  and is asked until the deadline, at growing pauses; where it never has, the address is probably wrong, and
  `max_attempts` end it soon.

Rejected: gRPC's own retry policy, which cannot tell an overloaded server from a message over the size limit and
does not read RetryInfo. A reserve of ten retries for each client, as in gRPC's proposal A6: under twice the load that a
server can take, clients that live for 10 calls make 1.9 attempts a call with it, and those that live for one 2.5.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import grpc

from clipwarden.client.errors import ClientError, DeadlineExceededError

HEALTH_POLL_SECONDS = 0.1
"""How often a wait for readiness looks; a server warms up for seconds."""
_LEAST_SECONDS = 0.01
"""Less than a round trip and a judgement: an attempt with less time than this would hide the real failure behind
DEADLINE_EXCEEDED."""
_SMOOTHING = 0.2
"""Weight of the newest answer in the moving average of seconds an answer; five make two thirds of it."""
_TARGETS = 64
"""Targets whose history is kept; a process calls a few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """When and how often to try again.

    Attributes:
        max_attempts: Attempts in all that a full server refuses, or that find no server where none has answered this
            process before; 1 never retries anything.
        restart_attempts: Attempts in all that find no server where one has answered this process before. With the
            default pauses 100 take more than a minute and a half, so that it is the deadline that ends them. Fewer
            where a proxy answers UNAVAILABLE for a server that is full.
        base_seconds: Upper end of the first pause; doubles with every attempt.
        cap_seconds: Upper end that no pause of our own exceeds. A pause the server asks for comes on top.
        budget: Most retries of refused calls that are saved up.
        reserve: Those there are before any success has earned one. Programs that make few calls each may want more;
            many of them together then make an overload worse.
        earned_per_success: Retries that one successful call earns.

    Source:
        Full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Budget: gRPC proposal A6
        (10 tokens, 0.1 earned).
    """

    max_attempts: int = 4
    restart_attempts: int = 100
    base_seconds: float = 0.1
    cap_seconds: float = 2.0
    budget: float = 10.0
    reserve: float = 1.0
    earned_per_success: float = 0.1


DEFAULT_RETRY = RetryPolicy()


def pause_before_retry(
    error: ClientError,
    *,
    attempt: int,
    remaining_seconds: float,
    policy: RetryPolicy,
    fraction: float,
    known: bool = False,
    service_seconds: float = 0.0,
) -> float | None:
    """Decide on one failure.

    Args:
        error: What failed.
        attempt: Attempts that failed like this one, at least 1.
        remaining_seconds: Until the caller's deadline.
        policy: Bounds.
        fraction: Where in the jitter's range to land, in [0, 1).
        known: Whether the server has answered this process before.
        service_seconds: What an answer usually takes.

    Returns:
        Seconds to wait before the next attempt, or None to give up.
    """
    if attempt >= _most_attempts(error, policy, known=known):
        return None
    hint = error.retry_after_seconds or 0.0
    # An idle server that is back after a restart answers sooner than the one that was remembered.
    needed = service_seconds if _is_full(error) else 0.0
    slack = remaining_seconds - hint - needed
    if slack < _LEAST_SECONDS:
        return None
    backoff = min(policy.cap_seconds, policy.base_seconds * 2.0 ** (attempt - 1))
    return hint + fraction * min(max(hint, backoff), slack / 2)


def _most_attempts(error: ClientError, policy: RetryPolicy, *, known: bool) -> int:
    if error.lasts:
        return 1
    if error.code is grpc.StatusCode.UNAVAILABLE:
        lasting = known and policy.max_attempts > 1
        return max(policy.max_attempts, policy.restart_attempts) if lasting else policy.max_attempts
    return policy.max_attempts if _is_full(error) and error.retry_after_seconds is not None else 1


def _is_full(error: ClientError) -> bool:
    return error.code is grpc.StatusCode.RESOURCE_EXHAUSTED


class History:
    """What calls of one target have shown: retries earned, and what to expect. Safe to share between threads.

    Args:
        policy: Bounds.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._tokens = min(policy.reserve, policy.budget)
        self._lock = threading.Lock()
        self.known = False
        self.service_seconds = 0.0

    def note_answer(self, seconds: float) -> None:
        """Count one success, which earns a part of a retry, and how long it took."""
        with self._lock:
            weight = _SMOOTHING if self.service_seconds else 1.0
            self.service_seconds += (seconds - self.service_seconds) * weight
            self.known = True
            self._tokens = min(self._policy.budget, self._tokens + self._policy.earned_per_success)

    def note_failure(self, error: ClientError) -> None:
        """Remember that the server is there, if it said so itself."""
        self.known = self.known or error.reason is not None

    def spend(self) -> bool:
        """Take one retry of a refused call, or tell that there is none."""
        with self._lock:
            # Ten tenths are a little less than one.
            if self._tokens < 1 - 1e-9:
                return False
            self._tokens -= 1
            return True


@lru_cache(maxsize=_TARGETS)
def history_of(target: str, policy: RetryPolicy) -> History:
    """Find what this process knows of a target: a client made for each call must not begin anew each time.

    Args:
        target: The server's address.
        policy: Clients of other bounds have a history of their own.
    """
    del target  # the cache's key
    return History(policy)


class Attempts:
    """The attempts of one call: counts them, keeps the deadline, asks the policy and the history.

    Args:
        policy: Bounds.
        history: Of the target.
        timeout_seconds: For all attempts and pauses together.
        clock: Monotonic seconds.
        random: Gives numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        policy: RetryPolicy,
        history: History,
        timeout_seconds: float,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._history = history
        self._clock = clock
        self._random = random
        self._started = clock()
        self._deadline = self._started + timeout_seconds
        self._made = self._refused = 0

    def start(self) -> float:
        """Begin an attempt; return the seconds that it may take."""
        self._made += 1
        self._started = self._clock()
        return max(0.0, self._deadline - self._started)

    def pause_after(self, error: ClientError) -> float | None:
        """Decide on a failed attempt, and note in the error how many there were.

        Args:
            error: What the attempt failed with.

        Returns:
            Seconds to wait before the next attempt, or None to give up.
        """
        error.attempts = self._made
        self._history.note_failure(error)
        full = _is_full(error)
        self._refused += full
        pause = pause_before_retry(
            error,
            # Each kind by itself: who waited for a restart has not been refused by a full server as often.
            attempt=self._refused if full else self._made - self._refused,
            remaining_seconds=self._deadline - self._clock(),
            policy=self._policy,
            fraction=self._random(),
            known=self._history.known,
            service_seconds=self._history.service_seconds,
        )
        if pause is None or (full and not self._history.spend()):
            return None
        return pause

    def has_time(self) -> bool:
        """Tell, after a pause, whether another attempt has time: who overslept would only see its deadline pass."""
        return self._deadline - self._clock() >= _LEAST_SECONDS

    def succeed(self) -> None:
        """Count the call as a success, which earns a part of a retry."""
        self._history.note_answer(self._clock() - self._started)


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

    def pause(self, state: str | ClientError) -> float:
        """Return the seconds to wait before looking again.

        Args:
            state: What was last seen, or why nothing was.

        Raises:
            DeadlineExceededError: The wait is over.
        """
        if self._clock() + HEALTH_POLL_SECONDS < self._deadline:
            return HEALTH_POLL_SECONDS
        seen = str(state).rstrip(".")
        message = f"The server at {self._target} was not ready within {self._timeout_seconds:g} s: {seen}."
        cause = state if isinstance(state, ClientError) else None
        raise DeadlineExceededError(message, code=grpc.StatusCode.DEADLINE_EXCEEDED) from cause
