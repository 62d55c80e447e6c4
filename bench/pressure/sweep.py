"""Throughput against latency: fixed arrivals from a quarter of the capacity to twice as many, and the plot of it."""

import json
import subprocess
from pathlib import Path

from bench.pressure.environments import tool
from bench.pressure.figures import Figure, Outcome
from bench.pressure.harness import CALLERS, DEADLINE, Bench
from bench.pressure.saturation import peers

SHARES = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
"""Of the server's own capacity, offered."""


def run(bench: Bench) -> Outcome:
    """Offer more and more, to the server and to each peer."""
    servers = {"clipwarden": bench.clipwarden(), **peers(bench)}
    figures: list[Figure] = []
    for size in bench.options.sizes:
        capacity = bench.saturate(servers["clipwarden"], size, kind="capacity").verdicts_a_second
        for share in SHARES:
            for name, server in servers.items():
                summary = bench.load(
                    server,
                    size,
                    kind=name,
                    rates=(share * capacity,),
                    deadline=DEADLINE,
                    warm_seconds=DEADLINE + bench.options.warm_seconds,
                    connections=CALLERS,
                    protocol="grpc" if name == "clipwarden" else "http",
                )
                what = f"{size}, {share:.0%} offered: {name}"
                figures += [
                    Figure(name=f"{what}, goodput", value=summary.verdicts_a_second, unit="images/s"),
                    Figure(name=f"{what}, p50", value=summary.verdict_ms["p50"], unit="ms"),
                    Figure(name=f"{what}, p99", value=summary.verdict_ms["p99"], unit="ms"),
                ]
                bench.runs[-1]["offered_a_second"] = share * capacity
    notes = [f"Shares of clipwarden's own capacity; deadline {DEADLINE:g} s; only verdicts in time count."]
    return bench.outcome("sweep", "throughput against latency", figures, notes)


def draw(outcome: Outcome, folder: Path, picture: Path) -> None:
    """Draw the sweep.

    Args:
        outcome: Of `run`.
        folder: Which has the environments.
        picture: The file to write, of a type that matplotlib knows.

    Raises:
        RuntimeError: The tools' environment was not made.
    """
    python = tool(folder, "python")
    if python is None:
        raise RuntimeError("matplotlib is not there: `make bench-peers` makes its environment")
    points = [run for run in outcome.runs if "offered_a_second" in run]
    script = Path(__file__).parent / "peers" / "plot.py"
    asked = json.dumps({"points": points, "where": outcome.where})
    subprocess.run([str(python), str(script), str(picture)], input=asked, text=True, check=True)
