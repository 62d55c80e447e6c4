"""What the way through the server costs one caller, and what a seen image costs the server."""

import hashlib
import time
from typing import Any

from bench.photos import Photo
from bench.pressure import bare
from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import Bench
from bench.pressure.loads import Summary
from bench.pressure.material import SIZES
from bench.pressure.processes import Clipwarden, Server

LONE_BAR_MS = 2.0
SEEN_BAR_MS = 0.5
PLAN_THREADS = 1
"""Of the encoder by the default plan."""
SEEN_CALLERS = 4
"""That ask again and again for the same image; one alone would mostly wait for the way there and back."""


def run(bench: Bench) -> Outcome:
    """Compare a lone caller's p50 with plain decode and encode, and a bare echo of the same bytes."""
    server, plain = bench.clipwarden(), bench.bare()
    figures: list[Figure] = []
    for size in bench.options.sizes:
        through, alone, echo, answer = ([] for _ in range(4))  # type: list[float], list[float], list[float], list[float]
        for _ in range(bench.options.pairs):
            through.append(_p50(bench.load(server, size, kind="clipwarden", callers=1, connections=1)))
            alone.append(bench.limit(size, threads=1, encoder_threads=PLAN_THREADS)["image_ms"]["p50"])
            echo.append(_p50(bench.load(plain, size, kind="echo", callers=1, connections=1, method=bare.ECHO)))
            answer.append(_p50(bench.load(plain, size, kind="answer", callers=1, connections=1, method=bare.ANSWER)))
        figures += [
            paired(f"{size}: clipwarden, p50", through, unit="ms", sense="<="),
            paired(f"{size}: plain decode + encode, p50", alone, unit="ms", sense="<="),
            paired(f"{size}: bare echo of the same bytes, p50", echo, unit="ms", sense="<="),
            paired(f"{size}: the same, answered with as many bytes as a verdict has", answer, unit="ms", sense="<="),
            paired(f"{size}: beyond the shorter answer", _beyond(through, alone, answer), unit="ms", sense="<="),
            paired(f"{size}: beyond the echo", _beyond(through, alone, echo), unit="ms", bar=LONE_BAR_MS, sense="<="),
        ]
    notes = [f"Encoder of {PLAN_THREADS} thread a run, as by the default plan."]
    return bench.outcome("lone", "what the way through the server adds for one caller", figures, notes)


def _p50(summary: Summary) -> float:
    return summary.verdict_ms["p50"] or float("inf")


def _beyond(whole: list[float], *parts: list[float]) -> list[float]:
    return [total - sum(others) for total, *others in zip(whole, *parts, strict=True)]


def run_seen(bench: Bench) -> Outcome:
    """Compare the server's processor time for a seen image with an echo and a hash of the same bytes."""
    server, plain = bench.clipwarden(), bench.bare()
    figures: list[Figure] = []
    for size in bench.options.sizes:
        ours, echo, answer, hashing, work = ([] for _ in range(5))  # type: list[float], list[float], list[float], list[float], list[float]
        for _ in range(bench.options.pairs):
            before = _work(bench, server)
            ours.append(_again(bench, server, size, "clipwarden"))
            work.append(_work(bench, server) - before)
            echo.append(_again(bench, plain, size, "echo", method=bare.ECHO))
            answer.append(_again(bench, plain, size, "answer", method=bare.ANSWER))
            hashing.append(_hash_ms(size))
        figures += [
            paired(f"{size}: clipwarden, processor time a call", ours, unit="ms", sense="<="),
            paired(f"{size}: bare echo of the same bytes", echo, unit="ms", sense="<="),
            paired(f"{size}: the same, answered with as many bytes as a verdict has", answer, unit="ms", sense="<="),
            paired(f"{size}: SHA-256", hashing, unit="ms", sense="<="),
            paired(
                f"{size}: beyond the shorter answer and SHA-256", _beyond(ours, answer, hashing), unit="ms", sense="<="
            ),
            paired(
                f"{size}: beyond echo and SHA-256", _beyond(ours, echo, hashing), unit="ms", bar=SEEN_BAR_MS, sense="<="
            ),
            Figure(
                name=f"{size}: decodes and encodes in a run, beyond the first", value=max(work) - 2, bar=0, sense="<="
            ),
        ]
    return bench.outcome("seen", "what an image that was seen before costs the server", figures)


def _again(bench: Bench, server: Server, size: str, kind: str, **what: Any) -> float:  # noqa: ANN401  fields of a load
    """Send the same image again and again: milliseconds of the server's processor time a call."""
    summary = bench.load(server, size, kind=kind, callers=SEEN_CALLERS, connections=2, same=True, **what)
    return summary.server_cpu * 1000 / max(1, summary.offered)


def _work(bench: Bench, server: Clipwarden) -> float:
    """Count the images decoded and encoded so far."""
    with bench.only(server):
        return sum(server.metric("clipwarden_stage_seconds_count", stage=stage) for stage in ("decode", "encode"))


def _hash_ms(size: str, *, times: int = 200) -> float:
    data = Photo(SIZES[size]).next()
    start = time.process_time()
    for _ in range(times):
        hashlib.sha256(data).digest()
    return (time.process_time() - start) * 1000 / times
