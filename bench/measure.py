"""Time pieces of work side by side, and say on what machine it was."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clipwarden.machine import processor_name, usable_cpus


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How much time one piece of work took.

    Attributes:
        median_seconds: Over all rounds.
        best_seconds: The least of all rounds: what the work costs when nothing else wants the core.
        rounds: How often it was timed.
    """

    median_seconds: float
    best_seconds: float
    rounds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """One figure of a benchmark.

    Attributes:
        name: What is divided by what.
        cost: The numerator.
        reference: The denominator.
        bar: The most that the ratio of medians may be, or None where there is no promise.
        clock: What both were timed by.
    """

    name: str
    cost: Timing
    reference: Timing
    bar: float | None = None
    clock: str = "processor time"

    @property
    def of_medians(self) -> float:
        """The ratio that is held against the bar."""
        return self.cost.median_seconds / self.reference.median_seconds

    @property
    def of_bests(self) -> float:
        """The ratio with the least disturbance from other work on the machine."""
        return self.cost.best_seconds / self.reference.best_seconds

    @property
    def holds(self) -> bool:
        """Whether the bar, if any, is met."""
        return self.bar is None or self.of_medians <= self.bar


def time_together(
    works: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: Mapping[str, int] | None = None,
    clock: Callable[[], float] = time.process_time,
    settle: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Time several pieces of work in turn, so that a busy machine disturbs them alike.

    Args:
        works: Name to work.
        rounds: How often each is timed, after one round that is not.
        calls: Calls in one timing, for work too short for the clock; 1 where left out.
        clock: Processor time of all our threads, unless it is about waiting: other programs may share the core, and
            would weigh on long work, which they interrupt, more than on short.
        settle: Called after each timing and not timed: waits for what a work leaves behind, or the next would pay.

    Returns:
        Name to the time of one call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            taken = _seconds_per_call(work, (calls or {}).get(name, 1), clock)
            settle()
            if round_ > 0:  # The first fills caches.
                seconds[name].append(taken)
    return {
        name: Timing(median_seconds=statistics.median(taken), best_seconds=min(taken), rounds=rounds)
        for name, taken in seconds.items()
    }


def _seconds_per_call(work: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls


def stay_on_one_core() -> None:
    """Keep this process, and the threads it starts from now on, on the last core that it may use; Linux only."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def describe_machine() -> dict[str, str]:
    """Say what a figure was measured on: processor, cores that may be used, load, versions, commit."""
    return {
        "cpu": processor_name(),
        "int8": _int8_instructions(),
        "cores": f"{usable_cpus():g} of {os.cpu_count()}",
        "load": f"{os.getloadavg()[0]:.1f} (over one minute, at the start)",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "onnxruntime", "onnxruntime-gpu") if _version(name)},
        "commit": commit(),
    }


def commit() -> str:
    """Name the commit whose code this is, and say whether code was changed since; "unknown" outside a checkout."""
    # The code alone: what is measured is written into documents.
    changes = ("status", "--porcelain", "--untracked-files=no", "--", ":/service", ":/bench")
    try:
        name, changed = _git("rev-parse", "--short=10", "HEAD"), _git(*changes)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with changes" if changed else name


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=Path(__file__).parent, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _int8_instructions() -> str:
    """Say whether the processor sums products of 8 bits into 32 in one step, which decides how fast int8 is."""
    info = Path("/proc/cpuinfo")
    words = set(info.read_text(encoding="utf-8").split()) if info.exists() else set()
    # x86 calls it VNNI, Arm the dot product extension; AMX multiplies tiles.
    found = sorted(words & {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})
    return f"VNNI or its like: yes ({', '.join(found)})" if found else "VNNI or its like: no"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
