"""How long the server's interpreter lock is held an image, by samples from outside, and what that bounds."""

from concurrent.futures import ThreadPoolExecutor

from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import Bench
from bench.pressure.processes import Server

SAMPLES_A_SECOND = 200
"""More and py-spy itself falls behind on a busy machine: 500 found 0.24 of a lock held for 0.30 of the time, 100 and
200 found it right."""
LOAD = 0.5
"""Of the capacity: at saturation a thread that holds the lock also waits for a core, which 16 cores would give it."""
CORES = 16
"""Of the machine that the ceiling is told for."""


def run(bench: Bench) -> Outcome:
    """Sample who holds the lock while the server works at half of its capacity."""
    server = bench.clipwarden()
    figures: list[Figure] = []
    for size in bench.options.sizes:
        held, rates = [], list[float]()
        for _ in range(bench.options.rounds):
            rates.append(bench.saturate(server, size, kind="capacity").verdicts_a_second)
            held.append(_held_ms(bench, server, size, LOAD * rates[-1]))
        one = paired(f"{size}: the lock is held, an image", held, unit="ms", sense="<=")
        lock, cores = 1000 / (one.value or 1), CORES / bench.cores * max(rates)
        figures += [
            one,
            Figure(name=f"{size}: ceiling by the lock", value=lock, unit="images/s"),
            Figure(name=f"{size}: what {CORES} such cores encode", value=cores, unit="images/s"),
            Figure(name=f"{size}: ceiling on {CORES} cores", value=min(lock, cores), unit="images/s"),
        ]
    notes = [
        (
            f"Sampled by py-spy {SAMPLES_A_SECOND} times a second at {LOAD:.0%} of capacity, without stopping it: "
            "the time from taking the lock to giving it back, whoever has the core."
        )
    ]
    return bench.outcome("gil", "how long the interpreter lock is held", figures, notes)


def _held_ms(bench: Bench, server: Server, size: str, rate: float) -> float:
    """Return for how many milliseconds an image the lock was held, by a spy beside the load."""
    out = bench.material.folder / "logs" / "gil.raw"
    seconds = max(1, round(bench.options.seconds))
    command = ["record", "--pid", str(server.pids[0]), "--gil", "--nonblocking", "--format", "raw"]
    command += ["--duration", str(seconds), "--rate", str(SAMPLES_A_SECOND), "--output", str(out)]
    with ThreadPoolExecutor(1) as pool:
        server.thaw()
        spying = pool.submit(bench.run_tool, "py-spy", command)
        # Longer than py-spy takes to start and to sample, so that all of its samples are of a server at work.
        judged = bench.load(server, size, kind="clipwarden", rates=(rate,), seconds=seconds + 2.0).verdicts_a_second
        spying.result()
    stacks = out.read_text(encoding="utf-8", errors="replace").splitlines() if out.exists() else []
    held = sum(int(line.rpartition(" ")[2]) for line in stacks) / (SAMPLES_A_SECOND * seconds)
    return held * 1000 / judged
