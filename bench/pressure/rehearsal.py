"""A scenario gone through without running anything: how long it would take, and that its code holds together."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

from bench.pressure.harness import Bench, Options
from bench.pressure.loads import Summary
from bench.pressure.material import Material
from bench.pressure.processes import Clipwarden, Program, Server
from bench.pressure.watch import Seen, Watch

START_SECONDS = 4.0
"""What a server takes until it is ready, on two cores of 2024."""
RUN_SECONDS = 0.7
"""What each run takes beside its own seconds: connections, requests made beforehand, what still waits at its end."""
NOMINAL = 100.0
"""Images a second of every server; only `fairness` runs longer where there are fewer."""


class _StandIn:
    """A server that is not there."""

    address, ready_bytes, pids = "", 0, (0,)

    def metric(self, *_: str, **__: str) -> float:
        return 0.0

    def thaw(self) -> None:
        """Nothing to thaw."""


class Rehearsal(Bench):
    """A bench whose runs end at once.

    Args:
        folder: Which has the environments: peers that are not there take no time.
        options: How much would be measured.

    Attributes:
        seconds: What it would have taken so far.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        nothing = folder / "none"
        super().__init__(Material(onnx=nothing, side=0, model=nothing, policy=nothing, folder=folder), options)
        self.seconds = 0.0
        self._thread = threading.get_ident()

    def clipwarden(self, *_: str, prefix: Sequence[str] = ()) -> Clipwarden:  # noqa: ARG002
        """Start none."""
        return cast("Clipwarden", self._started())

    def bare(self) -> Server:
        """Start none."""
        return self._started()

    def bare_judge(self) -> Server:
        """Start none."""
        return self._started()

    def peer(self, python: Path, script: Path) -> Server:  # noqa: ARG002
        """Start none."""
        return self._started()

    def limit_program(self, prefix: Sequence[str]) -> Program:  # noqa: ARG002
        """Start none."""
        return cast("Program", self._started())

    def run_tool(self, name: str, arguments: Sequence[str]) -> None:
        """Run none."""

    @contextmanager
    def inner(self) -> Iterator[Bench]:
        """Rehearse within."""
        bench = Rehearsal(self.material.folder, self.options)
        yield bench
        self.seconds += bench.seconds

    @contextmanager
    def only(self, *_: Server) -> Iterator[None]:
        """Freeze none."""
        yield

    def load(
        self,
        server: Server,  # noqa: ARG002
        size: str,
        *,
        kind: str,
        beside: AbstractContextManager[object] | None = None,
        **what: Any,  # noqa: ANN401
    ) -> Summary:
        """Count the time, and return a run in which all went well."""
        seconds = self._count(what)
        streams = [1] * max(1, len(what.get("rates", ())))
        well: dict[str, float | None] = {"p50": 1.0, "p99": 1.0, "max": 1.0}
        if isinstance(beside, Watch):
            beside.seen = Seen(seconds=[float(second) for second in range(60)], resident=[1] * 60)
        calls = int(NOMINAL * seconds) + 1
        self.runs.append({"kind": kind, "size": size, "peak_bytes": 1})
        return Summary(
            seconds=seconds,
            offered=calls,
            outcomes={"verdict": calls},
            verdicts_a_second=NOMINAL,
            verdict_ms=well,
            accepted_ms=well,
            refused_ms=well,
            unadvised=0,
            attempts=calls,
            lag_ms=well,
            generator_cpu=0.0,
            server_cpu=1.0,
            peak_bytes=1,
            verdicts_by_stream=streams,
            offered_by_stream=streams,
        )

    def limit(self, size: str, *, program: Program | None = None, threads: int = 0, **what: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002
        """Count the time, and return what a limit finds."""
        self._count(what)
        return {"images_a_second": NOMINAL, "image_ms": {"p50": 1.0, "p99": 1.0, "max": 1.0}}

    def _started(self) -> Server:
        self.seconds += START_SECONDS
        return cast("Server", _StandIn())

    def _count(self, what: Mapping[str, Any]) -> float:
        """Add a run, unless it stands beside another: the latter are in threads of their own."""
        seconds = float(what.get("seconds", self.options.seconds))
        if threading.get_ident() == self._thread:
            self.seconds += seconds + float(what.get("warm_seconds", self.options.warm_seconds)) + RUN_SECONDS
        return seconds
