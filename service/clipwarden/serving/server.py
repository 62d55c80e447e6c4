"""Settings in, a running server out: sockets, health, metrics, the pipeline; and the way down again.

The way up: take all addresses and answer probes, load, listen and answer NOT_SERVING, warm up, answer SERVING.
The way down: answer NOT_SERVING, wait for load balancers to notice, refuse new calls, let accepted ones finish, stop.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from importlib import metadata

import grpc
from grpc_health.v1 import health_pb2_grpc
from prometheus_client import CollectorRegistry

from clipwarden.engine.cache import EmbeddingCache
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.snapshot import Snapshot
from clipwarden.serving.access import Access
from clipwarden.serving.audit import audit_of
from clipwarden.serving.calls import Calls
from clipwarden.serving.candidates import Candidates
from clipwarden.serving.config import Settings
from clipwarden.serving.connections import most_connections, watch_connections
from clipwarden.serving.fetching import SharedFiles
from clipwarden.serving.gate import Gate
from clipwarden.serving.gauges import watch_threads, watch_work
from clipwarden.serving.health import Health, State
from clipwarden.serving.listeners import Listeners
from clipwarden.serving.loading import load_beside
from clipwarden.serving.looplag import watch_lag
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.misfits import misfits
from clipwarden.serving.policylog import log_loaded
from clipwarden.serving.reading import ReadBudget
from clipwarden.serving.reflection import Reflection
from clipwarden.serving.refusals import RefusalLog
from clipwarden.serving.reload import Reloader
from clipwarden.serving.rpc import METHODS, SERVICE, ModerationService

GOODBYE_SECONDS = 1.0
"""What connections get to close once no call is at work; health watchers need it to hear NOT_SERVING."""
GRPC_HEADER_BYTES = 128 * 1024
"""Headers above this gRPC refuses by itself. Each call unread may hold as much, beside the 64 KiB of its message."""
QUIET_SECONDS = 0.2
"""How long no call may have come before gRPC stops; several round trips of a client next door."""
MOST_QUIET_SECONDS = 2.0
"""What callers have to be gone, once what was accepted is answered; those that come again without end are cut off."""

log = logging.getLogger(__name__)


class Server:
    """One server process's worth: gRPC on TCP and a Unix socket, metrics over HTTP, one pipeline.

    Args:
        settings: Checked.
        snapshot: What to judge with.
        front: Health and addresses, where probes are answered before there is a server; None makes them.
    """

    def __init__(self, settings: Settings, snapshot: Snapshot, front: "Front | None" = None) -> None:
        self.settings = settings
        front = front or Front(settings)
        self.health, self.listeners = front.health, front.listeners
        self.refusals = RefusalLog()
        self.metrics = Metrics(CollectorRegistry(), on_refusal=self.refusals.note)
        self.access = Access(settings, self.metrics, self.health)
        self.audit = audit_of(settings, self.metrics.registry, self.health)
        self.gate = Gate()
        self.snapshot = snapshot
        self.candidates = Candidates(max_waiting=settings.queue_items, stall_seconds=settings.stall_seconds)
        # Here and not in the pipeline or the snapshot: it outlives both.
        self.cache = EmbeddingCache(max_bytes=settings.cache_bytes)
        self.pipeline = Pipeline(
            snapshot.model, settings.engine, self.metrics, cache=self.cache, on_health=self._note_health
        )
        self.reads = ReadBudget(
            slot_bytes=settings.max_message_bytes, on_refusal=partial(self.metrics.note_refusal, "bytes")
        )
        self.files = SharedFiles(
            settings,
            self.pipeline.admission,
            self.metrics,
            on_refusal=partial(self.metrics.note_refusal, "files"),
            on_health=self._note_storage,
        )
        calls = self._calls = Calls(
            self.metrics,
            self.gate,
            self.candidates,
            self.refusals,
            self.audit,
            callers=self.access.callers,
            default_deadline_seconds=settings.default_deadline_seconds,
        )
        self.service = ModerationService(
            self.pipeline,
            calls,
            self.reads,
            self.files,
            settings,
            snapshot=lambda: self.snapshot,
            on_refused_stream=partial(self.metrics.note_refusal, "streams"),
        )
        self.reloader = Reloader(settings, snapshot, exchange=self._exchange, metrics=self.metrics, health=self.health)
        self._watches: list[asyncio.Task[None]] = []
        watch_work(self.metrics, self.pipeline, self.cache, self.reads, streams=lambda: self.service.streams)
        watch_threads(self.metrics, self.pipeline, self.files)
        self.metrics.watch(open_watches=lambda: self.health.watches)
        self._grpc = grpc.aio.server(options=_options(settings))

    @property
    def address(self) -> str | None:
        """`HOST:PORT` of gRPC, once it listens."""
        return self.listeners.address

    @property
    def unix_address(self) -> str | None:
        """The Unix socket as clients dial it, once it is there."""
        return self.listeners.unix_address

    @property
    def metrics_address(self) -> str | None:
        """`HOST:PORT` of the metrics, once they are served."""
        return self.listeners.metrics_address

    @property
    def stuck(self) -> bool:
        """Whether some thread of ours may never come back: the end of the process leaves it where it is."""
        parts = (self.pipeline, self.candidates, self.files, self.reloader, self.access)
        return any(part.stuck for part in parts)

    async def start(self) -> None:
        """Bind, serve health, warm up, and be ready.

        Raises:
            ConfigError: An address cannot be bound.
            EncoderError: The encoder fails on plain images.
        """
        self.files.open()
        if self.audit:
            self.audit.start(self.snapshot)
        self._add_services()
        self.listeners.open(self._grpc, self.metrics.registry, self.access.credentials())
        self.metrics.expect(METHODS)
        self.metrics.describe(self.snapshot, version=metadata.version("clipwarden"))
        self.metrics.describe_plan(self.pipeline.encoder_plan)
        self.metrics.ready.set_function(lambda: self.health.serving)
        self._watches.append(asyncio.create_task(watch_lag(self.metrics.note_lag)))
        connections = watch_connections(most_connections(self.settings), self._note_connections)
        self._watches.append(asyncio.create_task(connections))
        self.access.start()
        await self._grpc.start()
        await self.pipeline.start()
        self._tell_health()
        log_loaded(self.snapshot)
        for warning in misfits(self.settings, self.snapshot.model):
            log.warning("%s", warning)
        self.reloader.start()
        log.info("plan", extra=asdict(self.pipeline.encoder_plan))
        extra = {"address": self.address, "unix": self.unix_address, "metrics": self.metrics_address}
        log.info("serving", extra={**extra, "probes": self.listeners.probe_address})

    async def drain(self, hurry: asyncio.Event | None = None) -> None:
        """Take leave: NOT_SERVING, a pause for load balancers, no new calls, and accepted ones finish.

        Args:
            hurry: Once set, nothing is waited for any more.
        """
        hurry = hurry or asyncio.Event()
        log.info("draining", extra={"delay_seconds": self.settings.drain_delay_seconds})
        self.health.close()
        self.reloader.stop()
        await _first_of(hurry.wait(), asyncio.sleep(self.settings.drain_delay_seconds))
        self.gate.close()
        await _first_of(hurry.wait(), asyncio.wait_for(self._settle(), self.settings.drain_seconds))

    async def _settle(self) -> None:
        """Wait for what was accepted, and for the log lines that wait for candidates."""
        await self.gate.wait_quiet(QUIET_SECONDS, at_most=MOST_QUIET_SECONDS)
        await self.candidates.wait_idle()

    async def close(self) -> None:
        """Stop at once; after `drain` nothing is lost by it. Whatever one part raises, all others are ended."""
        async with AsyncExitStack() as last_first:
            if self._watches:  # else it never began, and whoever started it says why
                last_first.callback(log.info, "stopped")
            for watch in self._watches:
                last_first.callback(watch.cancel)
            last_first.callback(self.listeners.close)
            if self.audit:
                last_first.push_async_callback(self.audit.close)
            last_first.callback(self.refusals.flush)
            last_first.callback(self.files.close)
            for part in (self.pipeline, self.candidates, self.reloader, self.access):
                last_first.push_async_callback(part.close)
            # With no call at work this returns as soon as every response is on its way.
            last_first.push_async_callback(self._grpc.stop, GOODBYE_SECONDS)
            last_first.callback(self.gate.close)
            last_first.callback(self.health.close)

    def _add_services(self) -> None:
        self.service.add_to(self._grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._grpc)
        if self.settings.reflection:
            Reflection(self._calls).add_to(self._grpc)

    def _exchange(self, snapshot: Snapshot) -> None:
        """Judge new requests with another snapshot of the same model; done last, so that a fault leaves the old."""
        self.metrics.describe(snapshot, version=metadata.version("clipwarden"))
        if self.audit:
            self.audit.note_loaded(snapshot)
        self.snapshot = snapshot

    def _note_storage(self, healthy: bool) -> None:  # noqa: FBT001  a callback's one argument
        """Say that files cannot be read; who sends bytes is answered all the same."""
        what = None if healthy else "the file system that path_root is on does not answer"
        log.log(logging.INFO if healthy else logging.ERROR, "path_root: %s", what or "it answers again")
        self.health.note("path_root", what)

    def _note_connections(self, near: str | None) -> None:
        log.log(logging.WARNING if near else logging.INFO, "connections: %s", near or "there is room again")
        self.health.note("connections", near)

    def _note_health(self, healthy: bool) -> None:  # noqa: FBT001  a callback's one argument
        if self.gate.draining.is_set():
            return  # closing the pipeline is no news
        log.log(logging.INFO if healthy else logging.ERROR, "health changed", extra={"healthy": healthy})
        self._tell_health()

    def _tell_health(self) -> None:
        pipeline = self.pipeline
        self.health.set_serving(pipeline.healthy, otherwise=State.STALLED if pipeline.stuck else State.UNHEALTHY)


class Front:
    """What there is of a server before it has loaded anything: its health, and the addresses it is asked at.

    Args:
        settings: Checked.
    """

    def __init__(self, settings: Settings) -> None:
        self.health = Health([SERVICE])
        self.listeners = Listeners(settings, self.health)


@asynccontextmanager
async def running_server(settings: Settings, snapshot: Snapshot | None = None) -> AsyncIterator[Server]:
    """Run a server for as long as the block lasts.

    Args:
        settings: Checked.
        snapshot: None loads what the settings say.

    Yields:
        The server, ready.

    Raises:
        ConfigError: An address cannot be bound, or a policy not be found.
        ModelError: The model folder cannot be trusted.
        PolicyError: A policy cannot be used.
    """
    front = Front(settings)
    try:
        front.listeners.reserve()
        server = Server(settings, snapshot or await load_beside(settings), front)
        try:
            await server.start()
            yield server
        finally:
            await server.close()
    finally:
        front.listeners.close()


def _options(settings: Settings) -> list[tuple[str, int]]:
    ping, age = int(settings.keepalive_seconds * 1000), int(settings.max_connection_age_seconds * 1000)
    return [
        # Both ends have limits of their own; ours is above the image limit, so that callers read IMAGE_TOO_LARGE.
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # What a caller may send before anybody reads it stays at 64 KiB; gRPC would raise it to megabytes on a fast
        # network. 200 unread calls of 20 MiB then held 2.6 GiB, and refusing one of 620 KB took 470 us, not 280. It
        # costs what is read a round trip or two: 5 MiB over 50 ms take 0.3 s.
        ("grpc.http2.bdp_probe", 0),
        # Headers up to here reach our own check, which refuses them at less, with a reason and a line in the log.
        ("grpc.max_metadata_size", GRPC_HEADER_BYTES),
        ("grpc.absolute_max_metadata_size", GRPC_HEADER_BYTES),
        # Two servers on one port would share it in silence.
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", most_connections(settings)),
        ("grpc.keepalive_time_ms", ping or 2**31 - 1),
        # Clients that ping more often than this are sent away (too_many_pings); see the client's own setting.
        ("grpc.http2.min_ping_interval_without_data_ms", int(settings.min_ping_seconds * 1000)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", int(settings.min_ping_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Without a bound on what follows: a stream ends by itself.
        ("grpc.max_connection_age_ms", age or 2**31 - 1),
    ]


async def _first_of(*waits: object) -> None:
    """Wait until the first of several waits is over, and drop the others; a timeout is an end like any other."""
    tasks = {asyncio.ensure_future(wait) for wait in waits}  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, TimeoutError):
                await task
