"""Resident memory over ten minutes of all kinds of images: whether its slope is more than noise."""

from typing import Any

from bench.pressure.figures import Figure, Outcome
from bench.pressure.harness import Bench
from bench.pressure.statistics import slope
from bench.pressure.watch import Watch

LOAD = 0.7
"""Of the capacity for the mix."""
SETTLED = 1 / 3
"""Part of the run after which memory has to be level: pools, arenas and the cache fill first."""
LEAK_BAR = 1.0
"""MiB a minute that the interval has to exclude. At 50 calls a second it is 350 bytes a call: less than what a call
could leave behind, be it an embedding (2 KiB), a verdict (3 KB) or a task with its frames. A bar on the lower end alone
would be met by any noise that is wide enough."""
MEBIBYTE = 2**20


def run(bench: Bench) -> Outcome:
    """Send a mix of images for sixty times the seconds of a run, and fit a line to the server's memory."""
    # A small cache fills within the first third; the default one would grow, as it should, for longer than this runs.
    server = bench.clipwarden("--cache-bytes", "1MiB")
    size = bench.options.sizes[-1]
    capacity = bench.saturate(server, size, kind="capacity", protocol="mix")
    rate = LOAD * capacity.offered / capacity.seconds
    seconds = 60 * bench.options.seconds
    watch = Watch(server, every_seconds=min(1.0, seconds / 60), health=True)
    what: dict[str, Any] = {"rates": (rate,), "protocol": "mix", "seconds": seconds, "connections": 16}
    summary = bench.load(server, size, kind="soak", beside=watch, **what)
    seen = watch.seen
    first = int(len(seen.seconds) * SETTLED)
    minutes = [second / 60 for second in seen.seconds[first:]]
    fitted = slope(minutes, [resident / MEBIBYTE for resident in seen.resident[first:]])
    bench.runs.append({"kind": "memory", "seconds": seen.seconds, "resident": seen.resident})
    calls_a_minute = summary.offered / summary.seconds * 60
    figures = [
        Figure(name="slope of resident memory", value=fitted.median, unit="MiB/min", runs=fitted.runs),
        Figure(name="lower end of its 95 % interval", value=fitted.low, unit="MiB/min"),
        Figure(name="upper end", value=fitted.high, unit="MiB/min", bar=LEAK_BAR, sense="<"),
        Figure(name="the upper end, of a call", value=fitted.high * MEBIBYTE / calls_a_minute, unit="bytes"),
        Figure(name="memory at READY", value=server.ready_bytes / MEBIBYTE, unit="MiB"),
        Figure(name="memory at the end", value=seen.resident[-1] / MEBIBYTE, unit="MiB"),
        Figure(name="calls", value=summary.offered),
        *(Figure(name=f"of them {name}", value=count) for name, count in sorted(summary.outcomes.items())),
        Figure(name="health checks that did not say SERVING within 1 s", value=seen.unhealthy, bar=1, sense="<"),
    ]
    notes = [
        (
            f"{seconds / 60:.1f} minutes at {LOAD:.0%} of capacity; the line is fitted to the last two thirds, in "
            f"{fitted.runs} blocks. An interval that reaches below zero is noise; the bar is on its upper end, so that "
            "a noisy run does not pass for a level one. Photographs of three sizes, PNG, WebP, broken files, callers "
            "that leave, repeats. `--cache-bytes 1MiB`, which is full by then; the default goes on filling for longer."
        ),
    ]
    return bench.outcome("soak", "resident memory under a mixed load", figures, notes)
