"""How a client connects, and what it keeps for all its calls: one frozen set of choices for both clients."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc

from clipwarden.client.retry import Attempts, RetryPolicy, history_of

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
ChannelOptions: TypeAlias = Sequence[tuple[str, int | str]]

DEFAULT_TIMEOUT_SECONDS = 30.0
"""Long against a judgement (well under a second), short against a person who waits."""

# 64 images of 64 MiB, the server's own default limits, are 4 GiB; 256 MiB holds every batch of usual photographs
# and bounds what a wrong path can make us send.
MAX_MESSAGE_BYTES = 256 * 2**20

# Middleboxes drop idle connections after minutes. Servers answer pings that come faster than they allow with GOAWAY
# too_many_pings; ours allow one every 10 s (`min_ping_seconds` of the settings), so a minute is safe.
KEEPALIVE_SECONDS = 60
KEEPALIVE_TIMEOUT_SECONDS = 20

FIRST_RECONNECT_SECONDS = 0.1
"""gRPC's own default of 1 s would make every retry inside that second fail unsent."""
LAST_RECONNECT_SECONDS = 2

MAX_TIMEOUT_SECONDS = 86_400.0
"""A day, as for a server's spans: gRPC takes what is far beyond for a deadline that has passed."""
_SCHEMES = ("http://", "https://", "grpc://")


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Everything the two clients share.

    Attributes:
        target: Address, such as `localhost:50051` or `unix:/run/clipwarden.sock`.
        credentials: TLS; None connects in plain text.
        metadata: Sent with every call.
        timeout_seconds: Deadline of a call that names none.
        max_message_bytes: Largest message to send or receive.
        channel_options: Further gRPC channel options; these win over ours.
        retry: Retry bounds.
        clock: Monotonic seconds; a seam for tests.
        random: Numbers in [0, 1); a seam for tests.

    Raises:
        ValueError: The target is no address, or the timeout no span of time.
    """

    target: str
    credentials: grpc.ChannelCredentials | None = None
    metadata: Metadata = ()
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_message_bytes: int = MAX_MESSAGE_BYTES
    channel_options: ChannelOptions = ()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        """Refuse what could only fail later, in words that name no cause."""
        _require_target(self.target)
        require_timeout(self.timeout_seconds)

    def attempts(self, timeout: float | None) -> Attempts:
        """Begin a call.

        Args:
            timeout: Seconds for all its attempts; None for the client's default.

        Raises:
            ValueError: It is no span of time.
        """
        require_timeout(timeout)
        return Attempts(
            policy=self.retry,
            history=history_of(self.target, self.retry),
            timeout_seconds=self.timeout_seconds if timeout is None else timeout,
            clock=self.clock,
            random=self.random,
        )

    def grpc_options(self) -> list[tuple[str, int | str]]:
        """List the channel's options."""
        ours: dict[str, int | str] = {
            "grpc.max_send_message_length": self.max_message_bytes,
            "grpc.max_receive_message_length": self.max_message_bytes,
            "grpc.keepalive_time_ms": KEEPALIVE_SECONDS * 1000,
            "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_SECONDS * 1000,
            "grpc.initial_reconnect_backoff_ms": int(FIRST_RECONNECT_SECONDS * 1000),
            "grpc.max_reconnect_backoff_ms": LAST_RECONNECT_SECONDS * 1000,
            # A retry policy from DNS would multiply ours.
            "grpc.service_config_disable_resolution": 1,
        }
        return list((ours | dict(self.channel_options)).items())


def require_timeout(seconds: float | None) -> None:
    """Insist that a call's timeout is a span of time, or None.

    Raises:
        ValueError: It is not.
    """
    if seconds is None:
        return
    if not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_TIMEOUT_SECONDS:  # false for NaN
        most = f"{MAX_TIMEOUT_SECONDS:.0f}"
        raise ValueError(f"timeout is {seconds!r}; it must be a number of seconds above 0, at most {most}")


def _require_target(target: str) -> None:
    """Insist on a port: to a host alone gRPC adds 443, and it takes a URL for a host."""
    bare = ":" not in target and "/" not in target
    if target.startswith(_SCHEMES) or bare:
        raise ValueError(f"target is {target!r}; it must be HOST:PORT or unix:PATH")
