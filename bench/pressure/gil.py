"""How long the server's interpreter lock is held an image, by samples from outside, and what that bounds."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.pressure.environments import tool
from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import Bench
from bench.pressure.processes import Server

SAMPLES_A_SECOND = 500
CORES = 16
"""Of the machine that the ceiling is told for."""


def run(bench: Bench) -> Outcome:
    """Sample who holds the lock while the server is saturated.

    Raises:
        RuntimeError: The tools' environment was not made.
    """
    spy = tool(bench.material.folder, "py-spy")
    if spy is None:
        raise RuntimeError("py-spy is not there: `make bench-peers` makes its environment")
    server = bench.clipwarden()
    figures: list[Figure] = []
    for size in bench.options.sizes:
        held, rates = [], list[float]()
        for _ in range(bench.options.rounds):
            share, rate = _sampled(bench, spy, server, size)
            held.append(share * 1000 / rate)
            rates.append(rate)
        one = paired(f"{size}: the lock is held, an image", held, unit="ms", sense="<=")
        lock, cores = 1000 / (one.value or 1), CORES / bench.cores * max(rates)
        figures += [
            one,
            Figure(name=f"{size}: ceiling by the lock", value=lock, unit="images/s"),
            Figure(name=f"{size}: what {CORES} such cores encode", value=cores, unit="images/s"),
            Figure(name=f"{size}: ceiling on {CORES} cores", value=min(lock, cores), unit="images/s"),
        ]
    notes = [f"Sampled by py-spy {SAMPLES_A_SECOND} times a second at saturation, without stopping the server."]
    return bench.outcome("gil", "how long the interpreter lock is held", figures, notes)


def _sampled(bench: Bench, spy: Path, server: Server, size: str) -> tuple[float, float]:
    """Return the share of the time in which the lock was held, and verdicts a second meanwhile."""
    out = bench.material.folder / "logs" / "gil.raw"
    seconds = max(1, round(bench.options.seconds))
    command = [str(spy), "record", "--pid", str(server.pids[0]), "--gil", "--nonblocking", "--format", "raw"]
    command += ["--duration", str(seconds), "--rate", str(SAMPLES_A_SECOND), "--output", str(out)]
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(bench.saturate, server, size, kind="clipwarden", seconds=seconds + 2.0)
        server.thaw()
        subprocess.run(command, check=True, capture_output=True)
        rate = load.result().verdicts_a_second
    stacks = out.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in stacks) / (SAMPLES_A_SECOND * seconds), rate
