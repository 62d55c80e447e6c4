"""How a client connects, and what it keeps for all its calls: one frozen set of choices for both clients."""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc

from clipwarden.client.errors import ClientError
from clipwarden.client.failures import Peer
from clipwarden.client.proxy import NO_PROXY, Proxy, read_proxy
from clipwarden.client.retry import Attempts, RetryPolicy, history_of
from clipwarden.client.security import PLAIN_TEXT, Security
from clipwarden.client.target import Target, read_target
from clipwarden.client.token import HEADER, Metadata, Token

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

# Health is watched by the connection itself, so that nothing is sent any more to a server that says NOT_SERVING, as one
# does before it drains. A server without the standard health service counts as healthy.
ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})

MAX_TIMEOUT_SECONDS = 86_400.0
"""A day, as for a server's spans: gRPC takes what is far beyond for a deadline that has passed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Everything the two clients share.

    Attributes:
        target: Address, such as `localhost:50051` or `unix:/run/clipwarden.sock`.
        security: TLS, or plain text.
        token: Sent with every call; None sends none.
        insecure_token: Whether it may go to another machine in plain text.
        proxy: URL of the proxy to call through; None calls directly, whatever the environment says.
        round_robin: Whether calls go to all servers behind the target in turn, not to the first that answers.
        metadata: Sent with every call.
        timeout_seconds: Deadline of a call that names none.
        max_message_bytes: Largest message to send or receive.
        channel_options: Further gRPC channel options; these win over ours.
        retry: Retry bounds.
        clock: Monotonic seconds; a seam for tests.
        random: Numbers in [0, 1); a seam for tests.
        peer: Whom calls go to, for the sentence on one that failed.

    Raises:
        ValueError: The target is no address, the timeout no span of time, the proxy none that can be used, or the token
            would leave this machine in plain text.
    """

    target: str
    security: Security = PLAIN_TEXT
    token: Token | None = None
    insecure_token: bool = False
    proxy: str | None = field(default=None, repr=False)
    round_robin: bool = False
    metadata: Metadata = field(default=(), repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_message_bytes: int = MAX_MESSAGE_BYTES
    channel_options: ChannelOptions = ()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    peer: Peer = field(init=False)
    _reached: Target = field(init=False, repr=False)
    _through: Proxy | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what could only fail later, in words that name no cause."""
        require_timeout(self.timeout_seconds)
        target = _checked(self.target)
        if self.token is not None:
            self._require_private_token(target)
        if self.proxy is not None and self.round_robin:
            raise ValueError("proxy is given beside round_robin, and finds the server by itself; keep one of them")
        through = None if self.proxy is None else read_proxy(self.proxy, target)
        peer = Peer(
            target=self.target,
            proxy=None if through is None else through.shown,
            tls=self.security.credentials is not None,
            has_certificate=self.security.has_certificate,
        )
        # Frozen for everybody else: these follow from what was given.
        for name, value in (("peer", peer), ("_reached", target), ("_through", through)):
            object.__setattr__(self, name, value)

    def call_metadata(self) -> Metadata:
        """List the headers of a call that is made now."""
        return self.metadata if self.token is None else (*self.metadata, *self.token.metadata())

    def has_new_token(self, error: ClientError, sent: Metadata) -> bool:
        """Tell whether a call was refused for a token that has been replaced since it was sent."""
        return error.code is grpc.StatusCode.UNAUTHENTICATED and self.call_metadata() != sent

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
        ours.update(NO_PROXY if self._through is None else self._through.channel_options())
        if self.round_robin:
            ours["grpc.service_config"] = ROUND_ROBIN
        if self.security.server_name is not None:
            ours["grpc.ssl_target_name_override"] = self.security.server_name
        chosen = ours | dict(self.channel_options)
        if self._reached.is_local:  # whatever anybody chose
            chosen.update(NO_PROXY)
        return list(chosen.items())

    def _require_private_token(self, target: Target) -> None:
        if any(name.lower() == HEADER for name, _ in self.metadata):
            raise ValueError(f"metadata holds {HEADER!r}, which is where the token goes; keep one of them")
        if self.security.credentials is None and not target.is_local and not self.insecure_token:
            raise ValueError(
                f"the token would go to {self.target} in plain text, for everybody on the way to read; connect by TLS "
                "(tls, root_certificates), or say insecure_token where something else encrypts"
            )


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


def _checked(target: str) -> Target:
    try:
        return read_target(target)
    except ValueError as exc:
        raise ValueError(f"target {exc}") from exc
