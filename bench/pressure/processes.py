"""Programs of a run: started, watched in /proc, frozen while another is measured, bounded in CPU, ended. Linux only."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from bench.pressure.material import Material
from clipwarden.machine import available_cpus

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_START_SECONDS = 120.0

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Our own addresses are asked without whatever proxy the environment names."""


def descendants(pid: int) -> list[int]:
    """List a process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:  # the thread has ended
            continue
        for child in children:
            found += descendants(int(child))
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Sum the processor time of processes, user and system, all their threads; ticks of 10 ms as a rule."""
    total = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return total / TICKS


def resident_bytes(pids: Sequence[int]) -> int:
    """Sum the resident memory of processes."""
    total = 0
    for pid in pids:
        try:
            pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            continue
        total += int(pages) * os.sysconf("SC_PAGE_SIZE")
    return total


class Program:
    """A process of ours, ended with its block.

    Args:
        command: What to run.
        log: File for what it writes to stderr.
        piped: Whether it is talked to over stdin and stdout, a JSON line at a time; see `ask`.
        prefix: Put before the command, such as `CpuQuota.prefix`.
    """

    def __init__(self, command: Sequence[str], *, log: Path, piped: bool = False, prefix: Sequence[str] = ()) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log, self._command = log, (*prefix, *command)
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else errors,
                stderr=errors,
                text=True,
                # In our session: with autogroups (sched(7)) each session gets an equal share of busy cores, so that a
                # server and a generator of sessions of their own would get two, and the limit one.
                start_new_session=False,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The process and all below it."""
        return descendants(self._process.pid)

    def ask(self, request: Mapping[str, object] | str) -> dict[str, Any]:
        """Write a line and wait for the answer; "" only waits.

        Raises:
            RuntimeError: It ended instead; its last words are in the message.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None, "made to be talked to"  # noqa: S101
        assert stdout is not None, "made to be talked to"  # noqa: S101
        if request:
            stdin.write((request if isinstance(request, str) else json.dumps(request)) + "\n")
            stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended:\n{self._last_words()}")
        return cast("dict[str, Any]", json.loads(line))

    def wait_for(self, look: Callable[[], str | None]) -> str:
        """Look until there is something.

        Raises:
            RuntimeError: The process ended, or two minutes passed.
        """
        patience = time.monotonic() + _START_SECONDS
        while (found := look()) is None:
            if self._process.poll() is not None or time.monotonic() > patience:
                raise RuntimeError(f"{' '.join(self._command)} did not start:\n{self._last_words()}")
            time.sleep(0.05)
        return found

    def freeze(self) -> None:
        """Stop it where it is: what is not measured takes no processor time."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, politely first."""
        self.thaw()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _signal(self, number: int) -> None:
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


class Server(Program):
    """A server under test.

    Attributes:
        address: HOST:PORT.
        ready_bytes: Resident memory once it was ready.
    """

    address: str
    ready_bytes: int

    def now_ready(self, address: str) -> Self:
        """Note where it listens and what it holds."""
        self.address = address
        time.sleep(0.2)  # what was needed for the start alone is given back
        self.ready_bytes = resident_bytes(self.pids)
        return self


class Clipwarden(Server):
    """`clipwarden serve` as anyone would run it: its own defaults, its own log.

    Args:
        material: What it serves.
        options: Further options of the command.
        prefix: As for `Program`.
    """

    def __init__(self, material: Material, *, options: Sequence[str] = (), prefix: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "clipwarden.cli.main", "serve", "--listen", "127.0.0.1:0"]
        command += ["--metrics-listen", "127.0.0.1:0", "--model", str(material.model), "--policy", str(material.policy)]
        super().__init__([*command, *options], log=material.folder / "logs" / "clipwarden.log", prefix=prefix)
        serving = json.loads(self.wait_for(self._serving))
        self._metrics = f"http://{serving['metrics']}/metrics"
        self.now_ready(serving["address"])

    def _serving(self) -> str | None:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in lines if '"message": "serving"' in line), None)

    def metric(self, name: str, **labels: str) -> float:
        """Sum a metric's samples that have these labels; 0 where there is none."""
        with _DIRECT.open(self._metrics, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"{name} ", f"{name}{{")) and all(label in line for label in wanted)
        )


_ONE_BLAS_THREAD = ["env", "OPENBLAS_NUM_THREADS=1"]
"""Or numpy's own pool fights the encoder for the cores: 1,000 cosines need no second thread."""


def python_server(module: str, *arguments: str, folder: Path) -> Server:
    """Start a module of ours that prints its port in a JSON line, and wait for it."""
    log = folder / "logs" / f"{module.rpartition('.')[2]}.log"
    server = Server([sys.executable, "-m", module, *arguments], log=log, piped=True, prefix=_ONE_BLAS_THREAD)
    return server.now_ready(f"127.0.0.1:{server.ask('')['port']}")


def peer_server(python: Path, script: Path, material: Material) -> Server:
    """Start a peer in its environment, and wait until its port answers."""
    port = _free_port()
    # What affinity and quota leave: peers see the host's cores, and would make threads for all of them.
    command = [str(python), str(script), *map(str, (material.onnx, material.side, port, available_cpus()))]
    server = Server(command, log=material.folder / "logs" / f"{script.stem}.log", prefix=_ONE_BLAS_THREAD)
    server.wait_for(lambda: f"127.0.0.1:{port}" if _listens(port) else None)
    return server.now_ready(f"127.0.0.1:{port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
