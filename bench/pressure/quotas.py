"""Server against limit under a CPU quota that a sidecar may have; the generator stays outside of it."""

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import Bench
from bench.pressure.processes import Program, Server

QUOTAS = (0.5, 1.0, 1.5)
BAR = 0.85
_ROOT = Path("/sys/fs/cgroup")
_PERIOD_MICROSECONDS = 100_000
"""The kernel's default, and what container runtimes set."""


class CpuQuota:
    """A cgroup of so many CPUs, removed with its block; where none can be made, affinity to whole CPUs.

    Args:
        cpus: Such as 0.5.

    Attributes:
        prefix: Put before a command, runs it inside.
        how: What bounds it, for people.
        label: What is measured: never a part of a CPU where nothing bounds it.
    """

    def __init__(self, cpus: float) -> None:
        self.cpus = cpus
        self._folder: Path | None = None
        self.prefix: list[str] = []
        self.how = ""
        self.label = f"{cpus} CPUs"

    def __enter__(self) -> Self:
        self._folder = self._v1() or self._v2()
        if self._folder is None:
            cpus = sorted(os.sched_getaffinity(0))[: math.ceil(self.cpus)]
            self.prefix = ["taskset", "--cpu-list", ",".join(map(str, cpus))]
            self.label = f"{len(cpus)} whole CPUs in place of {self.cpus}"
            self.how = f"affinity to {len(cpus)} CPUs: no cgroup can be made here, and a part of a CPU is not bounded"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.rmdir()

    def _v1(self) -> Path | None:
        limits = {
            "cpu.cfs_period_us": str(_PERIOD_MICROSECONDS),
            "cpu.cfs_quota_us": str(round(self.cpus * _PERIOD_MICROSECONDS)),
        }
        return self._made(_ROOT / "cpu", limits, "tasks", "cgroup v1")

    def _v2(self) -> Path | None:
        limits = {"cpu.max": f"{round(self.cpus * _PERIOD_MICROSECONDS)} {_PERIOD_MICROSECONDS}"}
        return self._made(_ROOT, limits, "cgroup.procs", "cgroup v2")

    def _made(self, parent: Path, limits: dict[str, str], members: str, how: str) -> Path | None:
        folder = parent / f"clipwarden-bench-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            return None
        try:
            for name, value in limits.items():
                # Never made: in a cgroup file system a name is there or is not a limit.
                with (folder / name).open("r+", encoding="ascii") as file:
                    file.write(value)
        except OSError:
            folder.rmdir()
            return None
        self.prefix = ["sh", "-c", f'echo $$ > {folder / members} && exec "$@"', "sh"]
        self.how = how
        return folder


def run(bench: Bench) -> Outcome:
    """Compare server and limit at each quota."""
    figures: list[Figure] = []
    how = ""
    for cpus in QUOTAS:
        with CpuQuota(cpus) as quota:
            how = quota.how
            figures += _at(bench, quota)
    notes = [f"Bounded by {how}; server and limit (whole CPUs + 1 threads) in it, the generator outside."]
    return bench.outcome("quotas", "throughput over the limit at 0.5, 1 and 1.5 CPUs", figures, notes)


def _at(bench: Bench, quota: CpuQuota) -> list[Figure]:
    # A bench of its own, whose programs end before the quota does.
    with bench.inner() as inner:
        server, limit = inner.clipwarden(prefix=quota.prefix), inner.limit_program(quota.prefix)
        figures = [figure for size in bench.options.sizes for figure in _of_size(inner, quota, server, limit, size)]
        bench.runs += inner.runs
    return figures


def _of_size(bench: Bench, quota: CpuQuota, server: Server, limit: Program, size: str) -> list[Figure]:
    limits, served = list[float](), list[float]()

    def run_limit() -> None:
        found = bench.limit(size, program=limit, threads=math.ceil(quota.cpus) + 1)
        limits.append(found["images_a_second"])

    def run_server() -> None:
        served.append(bench.saturate(server, size, kind=quota.label).verdicts_a_second)

    for number in range(bench.options.pairs):
        for work in (run_limit, run_server) if number % 2 == 0 else (run_server, run_limit):
            work()
    ratios = [own / most for own, most in zip(served, limits, strict=True)]
    return [
        paired(f"{quota.label}, {size}: limit", limits, unit="images/s"),
        paired(f"{quota.label}, {size}: clipwarden / limit", ratios, bar=BAR),
    ]
