"""Shares and bounds: sixty callers of which one wants nearly all, and two hundred large messages at once."""

from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import DEADLINE, Bench
from bench.pressure.loads import Summary
from bench.pressure.overload import BOUND_MIB, MEBIBYTE
from bench.pressure.processes import Server
from bench.pressure.watch import Watch

CALLERS, GREEDY_SHARE = 60, 0.9
ASKING_MORE, ASKING_LESS = 1.1, 0.5
"""What each modest caller asks for, in fair shares."""
FAIR_BAR = 0.5

MESSAGES, MESSAGE_BYTES = 200, 20 * MEBIBYTE
PATIENCE_SECONDS = 30.0
"""Of a client that sends 20 MiB."""


def run_fair(bench: Bench) -> Outcome:
    """Send over sixty connections, one of which offers 90 %; the others ask for more than their share, then less."""
    server, size = bench.clipwarden(), bench.options.sizes[-1]
    more, less, greedy = [], list[float](), list[float]()
    for _ in range(bench.options.rounds):
        fair = bench.saturate(server, size, kind="capacity").verdicts_a_second / CALLERS
        summary = _crowd(bench, server, size, ASKING_MORE * fair)
        more.append(min(summary.verdicts_by_stream[1:]) / summary.seconds / fair)
        greedy.append(summary.verdicts_by_stream[0] / summary.seconds / fair)
        summary = _crowd(bench, server, size, ASKING_LESS * fair)
        served = zip(summary.verdicts_by_stream[1:], summary.offered_by_stream[1:], strict=True)
        less.append(min(got / asked for got, asked in served if asked))
    figures = [
        paired(
            f"asking for {ASKING_MORE} of a fair share: the least that any of 59 got, in fair shares",
            more,
            bar=FAIR_BAR,
        ),
        paired("what the greedy one got meanwhile, in fair shares", greedy),
        paired(f"asking for {ASKING_LESS} of it: the least part of their own calls that any got", less, bar=1.0),
    ]
    notes = [f"{size}; a fair share is a sixtieth of the capacity measured before each run; deadline {DEADLINE:g} s."]
    return bench.outcome("fairness", "sixty connections, one of which offers 90 %", figures, notes)


def _crowd(bench: Bench, server: Server, size: str, each: float) -> Summary:
    """Let 59 connections ask for as much each, and one for nine times as much as all of them."""
    modest = [each] * (CALLERS - 1)
    greedy = sum(modest) * GREEDY_SHARE / (1 - GREEDY_SHARE)
    return bench.load(
        server,
        size,
        kind="crowd",
        rates=(greedy, *modest),
        deadline=DEADLINE,
        seconds=3 * bench.options.seconds,
        warm_seconds=DEADLINE + bench.options.warm_seconds,
    )


def run_large(bench: Bench) -> Outcome:
    """Send two hundred messages of 20 MiB at once, and watch memory and health."""
    server, size = bench.clipwarden(), "224x224"
    bench.saturate(server, size, kind="warm")
    with Watch(server, every_seconds=0.05, health=True) as watch:
        summary = bench.load(
            server,
            size,
            kind="large",
            burst=MESSAGES,
            padding=MESSAGE_BYTES,
            connections=MESSAGES // 10,
            seconds=PATIENCE_SECONDS,
            deadline=PATIENCE_SECONDS,
        )
    seen, refused = watch.seen, summary.outcomes.get("refused", 0)
    peak = (max(seen.resident) - server.ready_bytes) / MEBIBYTE
    figures = [
        Figure(name="memory beyond READY, the most", value=peak, unit="MiB", bar=BOUND_MIB, sense="<"),
        Figure(name="refusals without RetryInfo", value=summary.unadvised, bar=1, sense="<"),
        Figure(name="health checks that did not say SERVING within 1 s", value=seen.unhealthy, bar=1, sense="<"),
        Figure(name="health checks", value=seen.checks),
        Figure(name="the slowest one", value=seen.slowest_check_ms, unit="ms"),
        Figure(name="verdicts", value=summary.outcomes.get("verdict", 0)),
        Figure(name="refused", value=refused),
        Figure(name="other ends", value=summary.offered - summary.outcomes.get("verdict", 0) - refused),
        Figure(name="median refusal", value=summary.refused_ms["p50"], unit="ms"),
        Figure(name="p50 of the generator's own lag, part of it", value=summary.lag_ms["p50"], unit="ms"),
    ]
    notes = [
        (
            f"{MESSAGES} messages of 20 MiB over {MESSAGES // 10} connections, all due at once. The bound is that "
            "of docs/operate.md: queue_bytes, twice max_message_bytes, and 64 KiB of each of queue_items unread calls."
        ),
    ]
    return bench.outcome("large", "two hundred concurrent messages of 20 MiB", figures, notes)
