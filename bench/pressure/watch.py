"""Watch a server from beside while something else happens to it: its memory, and what its health says."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.pressure.processes import Server, resident_bytes
from clipwarden.client.proxy import NO_PROXY

CHECK_SECONDS = 1.0
"""A health check that takes longer counts as none: probes of orchestrators wait as long."""

CONNECT_SECONDS = 30.0


@dataclass(kw_only=True, slots=True)
class Seen:
    """What was seen.

    Attributes:
        seconds: Of each sample of memory, from the start.
        resident: Bytes of each sample.
        checks: How often health was asked.
        unhealthy: How often it did not say SERVING in time.
        slowest_check_ms: The longest that it took to say so.
        slowest_at: When that one was asked, in seconds from the start.
    """

    seconds: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    checks: int = 0
    unhealthy: int = 0
    slowest_check_ms: float = 0.0
    slowest_at: float = 0.0


class Watch:
    """Watches for as long as its block lasts.

    Args:
        server: Whom.
        every_seconds: Between samples.
        health: Whether health is asked as well.
    """

    def __init__(self, server: Server, *, every_seconds: float, health: bool = False) -> None:
        self.seen = Seen()
        self._server, self._every, self._health = server, every_seconds, health
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        pids, start = self._server.pids, time.monotonic()
        with grpc.insecure_channel(self._server.address, list(NO_PROXY.items())) as channel:
            # A probe's connection is there before it asks; what it takes to make one is no answer's time.
            grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
            health = health_pb2_grpc.HealthStub(channel)
            while not self._over.wait(self._every):
                self.seen.seconds.append(time.monotonic() - start)
                self.seen.resident.append(resident_bytes(pids))
                if self._health:
                    self._ask(health)

    def _ask(self, health: health_pb2_grpc.HealthStub) -> None:
        asked = time.monotonic()
        try:
            status = health.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS).status
        except grpc.RpcError:
            status = health_pb2.HealthCheckResponse.UNKNOWN
        self.seen.checks += 1
        self.seen.unhealthy += status != health_pb2.HealthCheckResponse.SERVING
        taken = (time.monotonic() - asked) * 1000
        if taken > self.seen.slowest_check_ms:
            self.seen.slowest_check_ms, self.seen.slowest_at = taken, self.seen.seconds[-1]
