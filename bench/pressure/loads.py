"""What a generator is told, what it is answered, and what it tells: plain data, JSON between processes."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What to send.

    Attributes:
        target: HOST:PORT.
        size: (width, height) of the images, in pixels.
        seconds: Length of the measured part.
        warm_seconds: Sent before it and not counted.
        deadline: Seconds from when a call is due, set by the client.
        connections: Over which calls are spread.
        callers: Of a closed loop; 0 for an open one.
        rates: Arrivals a second of an open loop: one stream an entry; several streams keep a connection each.
        burst: Calls that are all due at once instead of either, when the measured part begins.
        same: Whether every image is the same one.
        padding: Bytes added to each image.
        pids: Processes whose time is measured beside it.
        protocol: "grpc", "http", "client" for our own retrying client, or "mix" for gRPC with all kinds of images.
        method: Of gRPC, and whether its answers are verdicts.
    """

    target: str
    size: tuple[int, int]
    seconds: float
    warm_seconds: float = 1.0
    deadline: float = 10.0
    connections: int = 4
    callers: int = 0
    rates: tuple[float, ...] = ()
    burst: int = 0
    same: bool = False
    padding: int = 0
    pids: tuple[int, ...] = ()
    protocol: str = "grpc"
    method: str = "/clipwarden.v1.ModerationService/Moderate"

    @property
    def judged(self) -> bool:
        """Whether answers have to be verdicts of ours."""
        return self.protocol != "http" and self.method.endswith("/Moderate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of one call.

    Attributes:
        outcome: "verdict", "refused" (RESOURCE_EXHAUSTED), "late" (the deadline passed) or another status' name.
        advised: Whether a refusal says when to come back.
        retries: Attempts beyond the first.
    """

    outcome: str
    advised: bool = False
    retries: int = 0


class Caller(Protocol):
    """One connection or several, over which calls go."""

    async def call(self, connection: int, seconds: float) -> Answer:
        """Make one call that may take so long."""

    async def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What came of a run, in its measured part.

    Attributes:
        seconds: Length of that part.
        offered: Calls due in it (open loop) or ended in it (closed).
        outcomes: How many calls by outcome. "verdict" counts those that came before the deadline.
        verdicts_a_second: Of those.
        verdict_ms: Their latencies, from when they were due: p50, p99, max.
        accepted_ms: Those of all calls that were not refused, late ones included.
        refused_ms: Those of refusals.
        unadvised: Refusals without RetryInfo.
        attempts: Calls and retries.
        lag_ms: How late the generator itself sent: p50, p99, max.
        generator_cpu: Its own processor time, seconds.
        server_cpu: That of the processes watched.
        peak_bytes: The most that those held, of samples twice a second, over the whole run.
        verdicts_by_stream: How many each stream got.
        offered_by_stream: How many it asked for.
    """

    seconds: float
    offered: int
    outcomes: dict[str, int]
    verdicts_a_second: float
    verdict_ms: dict[str, float | None]
    accepted_ms: dict[str, float | None]
    refused_ms: dict[str, float | None]
    unadvised: int
    attempts: int
    lag_ms: dict[str, float | None]
    generator_cpu: float
    server_cpu: float
    peak_bytes: int
    verdicts_by_stream: list[int] = field(default_factory=list)
    offered_by_stream: list[int] = field(default_factory=list)
