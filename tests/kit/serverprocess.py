"""`clipwarden serve` as a process of its own, with what a test asks of it: its log, health, metrics and faults."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from kit import faultyserve
from kit.serving import eventually

EAGER = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

HELD = (
    *("requests_in_flight", "admitted_images", "admitted_bytes", "reading_messages", "reserved_bytes", "unread_calls"),
    *("open_streams", "line_images", "queue_images", "decode_threads_busy", "decode_bytes", "stuck_threads"),
)
"""What must be nothing once no call is at work."""


class Metrics(Counter[str]):
    """One look at a server's metrics, by name without prefix: summed over labels, and by `name{label=value,...}`."""

    def of_method(self, method: str) -> dict[str, int]:
        """Count a method's calls by gRPC status."""
        before, after = "requests_total{code=", f",method={method}}}"
        return {
            name.removeprefix(before).removesuffix(after): int(value)
            for name, value in self.items()
            if name.startswith(before) and name.endswith(after) and value
        }


@dataclass
class Process:
    """A server that runs, or ran.

    Attributes:
        process: Of the operating system.
        target: What clients connect to.
        log: Its stderr.
        faults: Folder that steers `faultyserve`.
    """

    process: asyncio.subprocess.Process
    target: str
    log: Path
    faults: Path

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the exit code."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 60)

    def lines(self) -> list[dict[str, object]]:
        """Read the log."""
        whole, _, _being_written = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    async def health(self) -> int:
        """Ask once."""
        async with grpc.aio.insecure_channel(self.target, EAGER) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            check = stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=60)
            return int((await check).status)

    async def becomes(self, health: int) -> None:
        """Wait until health says so."""
        async with asyncio.timeout(60):
            while await self.health() != health:  # noqa: ASYNC110  another process's, as below
                await asyncio.sleep(0.01)

    async def metrics(self) -> Metrics:
        """Scrape."""
        await eventually(lambda: any(line["message"] == "serving" for line in self.lines()))
        address = next(str(line["metrics"]) for line in self.lines() if line["message"] == "serving")
        return await asyncio.to_thread(_scrape, address)

    async def probe(self, path: str) -> tuple[int, str]:
        """Ask its probe listener once: the status of HTTP, and the body."""
        await eventually(lambda: bool(self.probe_address))
        answer = await talk(self.probe_address, f"GET {path} HTTP/1.1\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode().strip()

    async def probe_becomes(self, path: str, status: int, body: str) -> None:
        """Wait until its probe listener answers so."""
        async with asyncio.timeout(60):
            while await self.probe(path) != (status, body):  # noqa: ASYNC110  as above
                await asyncio.sleep(0.01)

    @property
    def address(self) -> str:
        """Of its TCP listener, once it serves."""
        return next(str(line["address"]) for line in self.lines() if line["message"] == "serving")

    @property
    def probe_address(self) -> str:
        """Of its probe listener; empty before it tells."""
        return next((str(line["probes"]) for line in self.lines() if line["message"] == "starting"), "")

    async def until(self, holds: Callable[[Metrics], bool]) -> Metrics:
        """Wait until something holds of the metrics, and return those."""
        async with asyncio.timeout(60):
            while not holds(found := await self.metrics()):  # noqa: ASYNC110  another process's
                await asyncio.sleep(0.01)
        return found

    async def settled(self) -> Metrics:
        """Wait until the server holds nothing for anybody, and return its metrics then."""
        return await self.until(lambda found: not any(found[name] for name in HELD))

    @property
    def socket(self) -> str:
        """Path of its Unix socket."""
        return self.target.removeprefix("unix:")

    @property
    def decodes(self) -> int:
        """Decodes begun so far."""
        file = self.faults / "decodes"
        return file.stat().st_size if file.exists() else 0

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Switch a fault of `faultyserve` on inside this block, such as `throw-green`."""
        file = self.faults / name
        file.touch()
        try:
            yield
        finally:
            file.unlink()


async def talk(address: str, request: bytes, *, local: str | None = None) -> bytes:
    """Send bytes by TCP, and read all that comes back.

    Args:
        address: `HOST:PORT`.
        request: As it is.
        local: Address to come from; None leaves it to the system.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(local, 0) if local else None)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()


def _scrape(address: str) -> Metrics:
    with urlopen(f"http://{address}/metrics", timeout=60) as response:
        text = response.read().decode()
    found = Metrics()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("clipwarden_")
            found[name] += sample.value  # type: ignore[assignment]  # counts are whole
            if sample.labels:
                found[f"{name}{{{_labels(sample.labels)}}}"] = sample.value  # type: ignore[assignment]
    return found


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


@asynccontextmanager
async def serve_process(
    model: Path,
    policy: Path | list[Path],
    folder: Path,
    socket_folder: Path,
    *,
    faulty: bool = False,
    faults: Sequence[str] = (),
    stdout: int | None = None,
    waits: bool = True,
    **settings: object,
) -> AsyncIterator[Process]:
    """Run a server for as long as the block lasts.

    Args:
        model: Its folder.
        policy: Its file, or several.
        folder: For the log, and whatever the server keeps.
        socket_folder: For its Unix socket.
        faulty: Whether it is `faultyserve`.
        faults: Of `faultyserve`, from its start on; it is then not waited for.
        stdout: Descriptor of its standard output; None leaves it with the test's.
        waits: Whether it is waited for until it serves.
        settings: By their flags' names, "_" for "-"; lists for flags that may be repeated.
    """
    flags: dict[str, object] = {
        "model": model,
        "policy": policy,
        "listen": "",
        "unix_socket": socket_folder / "s",
        "metrics_listen": "",
        "drain_delay_seconds": 0.2,
        "encoder_threads": 1,
        "vector_cache": folder / "vectors",
    } | settings
    arguments = [part for name, value in flags.items() for part in _flag(name, value)]
    steering = folder / "faults"
    steering.mkdir(exist_ok=True)
    for fault in faults:
        (steering / fault).touch()
    command = [faultyserve.__file__, str(steering)] if faulty or faults else ["-m", "clipwarden.cli.main"]
    log = folder / "log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "serve", *arguments, stdout=stdout, stderr=file
        )
    running = Process(process, f"unix:{socket_folder}/s", log, steering)
    try:
        if waits and not faults:
            await _until_serving(running)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _flag(name: str, value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [part for each in values for part in (f"--{name.replace('_', '-')}", str(each))]


async def _until_serving(server: Process) -> None:
    ended, serving = asyncio.create_task(server.process.wait()), asyncio.create_task(server.becomes(SERVING))
    await asyncio.wait({ended, serving}, return_when=asyncio.FIRST_COMPLETED)
    assert not ended.done(), f"the server ended early: {server.log.read_text()[-1000:]}"
    ended.cancel()
    await serving
