"""What scenarios run with: the material, one generator, the limit, and servers, frozen while others are measured."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from bench.measure import describe_machine
from bench.pressure.environments import tool
from bench.pressure.figures import Figure, Outcome
from bench.pressure.loads import Load, Summary
from bench.pressure.material import SIZES, Material
from bench.pressure.processes import Clipwarden, Program, Server, peer_server, python_server
from clipwarden.machine import available_cpus, usable_cpus

AnyServer = TypeVar("AnyServer", bound=Server)

CALLERS = 8
"""Of a closed loop: enough that no server here ever waits for work; more only make every call wait longer."""

DEADLINE = 2.0
"""Seconds that callers wait under overload, as the bars have it."""


_NOTHING: AbstractContextManager[object] = nullcontext()


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How much is measured.

    Attributes:
        seconds: Of one run; runs that the bars want longer are so many times as long.
        pairs: Of runs side by side.
        warm_seconds: Before each.
        sizes: Names of image sizes.
    """

    seconds: float = 10.0
    pairs: int = 9
    warm_seconds: float = 1.0
    sizes: tuple[str, ...] = tuple(SIZES)

    @property
    def rounds(self) -> int:
        """How often runs that take minutes are repeated."""
        return max(1, self.pairs // 3)


class Bench:
    """One scenario's programs, ended with its block.

    Args:
        material: What they run on.
        options: How much.
    """

    def __init__(self, material: Material, options: Options) -> None:
        self.material, self.options = material, options
        self.runs: list[dict[str, object]] = []
        self.machine = {**describe_machine(), "asked for": f"{options.pairs} pairs of {options.seconds:g} s"}
        self.cores = available_cpus()
        self._stack = ExitStack()
        self._servers: list[Server] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def _generator(self) -> Program:
        return self._program("bench.pressure.load")

    @cached_property
    def _limit(self) -> Program:
        return self._program("bench.pressure.limit", str(self.material.onnx), str(self.material.side))

    def _program(self, module: str, *arguments: str, prefix: Sequence[str] = ()) -> Program:
        log = self.material.folder / "logs" / f"{module.rpartition('.')[2]}.log"
        command = [sys.executable, "-m", module, *arguments]
        return self._stack.enter_context(Program(command, log=log, piped=True, prefix=prefix))

    def clipwarden(self, *options: str, prefix: Sequence[str] = ()) -> Clipwarden:
        """Start the server under test."""
        return self.add(Clipwarden(self.material, options=options, prefix=prefix))

    def bare(self) -> Server:
        """Start a bare gRPC server."""
        return self.add(python_server("bench.pressure.bare", folder=self.material.folder))

    def bare_judge(self) -> Server:
        """Start a bare gRPC server that decodes and encodes."""
        material = self.material
        arguments = str(material.onnx), str(material.side)
        return self.add(python_server("bench.pressure.barejudge", *arguments, folder=material.folder))

    def peer(self, python: Path, script: Path) -> Server:
        """Start a peer in its environment."""
        return self.add(peer_server(python, script, self.material))

    def limit_program(self, prefix: Sequence[str]) -> Program:
        """Start a limit of its own, such as one with a quota."""
        return self._program("bench.pressure.limit", str(self.material.onnx), str(self.material.side), prefix=prefix)

    def run_tool(self, name: str, arguments: Sequence[str]) -> None:
        """Run a program of the environment for tools, and wait for it.

        Raises:
            RuntimeError: That environment was not made.
            CalledProcessError: The program failed.
        """
        program = tool(self.material.folder, name)
        if program is None:
            raise RuntimeError(f"{name} is not there: `make bench-peers` makes its environment")
        subprocess.run([str(program), *arguments], check=True, capture_output=True)

    @contextmanager
    def inner(self) -> "Iterator[Bench]":
        """Open a bench whose programs end with this block."""
        with Bench(self.material, self.options) as bench:
            yield bench

    def add(self, server: AnyServer) -> AnyServer:
        """Keep a server for this block, frozen until it is measured."""
        self._stack.enter_context(server)
        self._servers.append(server)
        server.freeze()
        return server

    @contextmanager
    def only(self, *servers: Server) -> Iterator[None]:
        """Let these servers run, and no other."""
        for server in servers:
            server.thaw()
        try:
            yield
        finally:
            for server in servers:
                server.freeze()

    def load(
        self,
        server: Server,
        size: str,
        *,
        kind: str,
        beside: AbstractContextManager[object] = _NOTHING,
        **what: Any,  # noqa: ANN401  fields of a dataclass
    ) -> Summary:
        """Send a load to a server while all others are frozen.

        Args:
            server: Where to.
            size: Name of the images' size.
            kind: For the list of runs.
            beside: Entered for as long as the server may run, such as a `Watch`: a frozen server answers nobody.
            what: Fields of `Load` beside the target; seconds are the options' own unless given.
        """
        options = self.options
        fields: dict[str, Any] = {"seconds": options.seconds, "warm_seconds": options.warm_seconds, **what}
        load = Load(target=server.address, pids=tuple(server.pids), size=SIZES[size], **fields)
        with self.only(server), beside:
            summary = Summary(**self._generator.ask(asdict(load)))
        self.runs.append({"kind": kind, "size": size, **asdict(summary)})
        return summary

    def saturate(self, server: Server, size: str, *, kind: str, **what: Any) -> Summary:  # noqa: ANN401  fields of a dataclass
        """Send as much as the server takes, from a fixed number of callers."""
        return self.load(server, size, kind=kind, callers=CALLERS, connections=CALLERS, **what)

    def limit(self, size: str, *, program: Program | None = None, threads: int = 0, **what: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
        """Run the limit, with all servers frozen.

        Args:
            size: Name of the images' size.
            program: Another one than the block's own.
            threads: 0 for cores + 1.
            what: Further fields of its request.

        Returns:
            `images_a_second` and `image_ms`.
        """
        options = self.options
        asked = {"seconds": options.seconds, "warm_seconds": options.warm_seconds, "size": SIZES[size]} | what
        found = (program or self._limit).ask({**asked, "threads": threads or self.cores + 1})
        self.runs.append({"kind": "limit", "size": size, **found})
        return found

    def cpu_share(self, summary: Summary) -> float:
        """Return the share of the cores that the generator took from the server, in [0, 1]."""
        return summary.generator_cpu / (usable_cpus() * summary.seconds)

    def outcome(self, scenario: str, title: str, figures: list[Figure], notes: Sequence[str] = ()) -> Outcome:
        """Close a scenario."""
        return Outcome(
            scenario=scenario, title=title, machine=self.machine, figures=figures, notes=list(notes), runs=self.runs
        )
