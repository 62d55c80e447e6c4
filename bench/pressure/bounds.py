"""Shares and bounds: sixty callers of which one wants nearly all, and two hundred large messages at once."""

from dataclasses import dataclass

from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import DEADLINE, Bench
from bench.pressure.loads import Summary
from bench.pressure.overload import BOUND_MIB, MEBIBYTE
from bench.pressure.processes import Clipwarden, Server
from bench.pressure.watch import Watch

CALLERS, GREEDY_SHARE = 60, 0.9
ASKING_MORE, ASKING_LESS = 1.1, 0.5
"""What each modest caller asks for, in fair shares."""
FAIR_BAR = 0.5
FAIR_IMAGES = 30
"""Of a run that makes a fair share: of 59 counts that chance alone spread around 3, the least would be 0."""

MESSAGES, MESSAGE_BYTES = 200, 20 * MEBIBYTE
A_DECODE_MIB = 32
"""1/32 of `max_decode_bytes`, which each decode thread may hold beside all other bounds: of these files the comments,
which Pillow keeps as long as the image is open."""
LAG_SECONDS = 0.25
"""Of the server's event loop, and a bucket of its metric: what delays a health check by as much."""
PATIENCE_SECONDS = 30.0
"""Of a client that sends 20 MiB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shares:
    """One round: images in a fair share, and what callers got."""

    images: float
    least: float
    mean: float
    greedy: float
    least_of_less: float


def run_fair(bench: Bench) -> Outcome:
    """Send over sixty connections, one of which offers 90 %; the others ask for more than their share, then less."""
    server, size = bench.clipwarden(), bench.options.sizes[-1]
    rounds = [_shares(bench, server, size) for _ in range(bench.options.rounds)]
    more, less = f"asking for {ASKING_MORE} of a fair share", f"asking for {ASKING_LESS} of it"
    figures = [
        Figure(name="images in a fair share of a run, the fewest", value=min(each.images for each in rounds)),
        paired(f"{more}: the least that any of 59 got, in fair shares", [each.least for each in rounds], bar=FAIR_BAR),
        paired("what each of them got in the mean, in fair shares", [each.mean for each in rounds]),
        paired("what the greedy one got meanwhile, in fair shares", [each.greedy for each in rounds]),
        paired(
            f"{less}: the least part of their own calls that any got", [each.least_of_less for each in rounds], bar=1.0
        ),
    ]
    notes = [
        (
            f"{size}; a fair share is a sixtieth of the capacity measured before each run; deadline {DEADLINE:g} s. "
            "Counted are the calls that were due in the run's measured part, the same one for all sixty."
        ),
    ]
    return bench.outcome("fairness", "sixty connections, one of which offers 90 %", figures, notes)


def _shares(bench: Bench, server: Server, size: str) -> _Shares:
    fair = bench.saturate(server, size, kind="capacity").verdicts_a_second / CALLERS
    seconds = max(3 * bench.options.seconds, FAIR_IMAGES / fair)
    more = _crowd(bench, server, size, ASKING_MORE * fair, seconds)
    less = _crowd(bench, server, size, ASKING_LESS * fair, seconds)
    greedy, *got = [verdicts / (fair * seconds) for verdicts in more.verdicts_by_stream]
    served = zip(less.verdicts_by_stream[1:], less.offered_by_stream[1:], strict=True)
    return _Shares(
        images=fair * seconds,
        least=min(got),
        mean=sum(got) / len(got),
        greedy=greedy,
        least_of_less=min(verdicts / asked for verdicts, asked in served if asked),
    )


def _crowd(bench: Bench, server: Server, size: str, each: float, seconds: float) -> Summary:
    """Let 59 connections ask for as much each, and one for nine times as much as all of them."""
    modest = [each] * (CALLERS - 1)
    greedy = sum(modest) * GREEDY_SHARE / (1 - GREEDY_SHARE)
    return bench.load(
        server,
        size,
        kind="crowd",
        rates=(greedy, *modest),
        deadline=DEADLINE,
        seconds=seconds,
        warm_seconds=DEADLINE + bench.options.warm_seconds,
    )


def run_large(bench: Bench) -> Outcome:
    """Send two hundred messages of 20 MiB at once, and watch memory and health."""
    server, size = bench.clipwarden(), "224x224"
    warm = bench.saturate(server, size, kind="warm").peak_bytes
    watch = Watch(server, every_seconds=0.05, health=True)
    summary = bench.load(
        server,
        size,
        kind="large",
        beside=watch,
        burst=MESSAGES,
        padding=MESSAGE_BYTES,
        connections=MESSAGES // 10,
        seconds=PATIENCE_SECONDS,
        deadline=PATIENCE_SECONDS,
    )
    seen, refused = watch.seen, summary.outcomes.get("refused", 0)
    bound = BOUND_MIB + A_DECODE_MIB * bench.cores
    at_work, peak = (warm - server.ready_bytes) / MEBIBYTE, (max(seen.resident) - warm) / MEBIBYTE
    figures = [
        Figure(name="memory of usual images at saturation, beyond READY", value=at_work, unit="MiB"),
        Figure(name="memory of large ones beyond that, the most", value=peak, unit="MiB", bar=bound, sense="<"),
        Figure(name="refusals without RetryInfo", value=summary.unadvised, bar=1, sense="<"),
        Figure(name="health checks that did not say SERVING within 1 s", value=seen.unhealthy, bar=1, sense="<"),
        Figure(name="health checks", value=seen.checks),
        Figure(name="the slowest one", value=seen.slowest_check_ms, unit="ms"),
        Figure(name="when that was asked", value=seen.slowest_at, unit="s"),
        Figure(name=f"times that the server's event loop was {LAG_SECONDS:g} s late", value=_lags(bench, server)),
        Figure(name="verdicts", value=summary.outcomes.get("verdict", 0)),
        Figure(name="refused", value=refused),
        Figure(name="other ends", value=summary.offered - summary.outcomes.get("verdict", 0) - refused),
        Figure(name="median refusal", value=summary.refused_ms["p50"], unit="ms"),
        Figure(name="p50 of the generator's own lag, part of it", value=summary.lag_ms["p50"], unit="ms"),
    ]
    notes = [
        (
            f"{MESSAGES} messages of 20 MiB over {MESSAGES // 10} connections, all due at once. The bound is that "
            "of docs/operate.md: queue_bytes, twice max_message_bytes, 64 KiB of each of queue_items unread calls, and "
            "1/32 of max_decode_bytes for each decode thread. What the encoder's runs hold is no part of it, and is "
            "there at saturation already."
        ),
    ]
    return bench.outcome("large", "two hundred concurrent messages of 20 MiB", figures, notes)


def _lags(bench: Bench, server: Clipwarden) -> float:
    """Count the samples, ten a second, of an event loop that was so late."""
    name = "clipwarden_loop_lag_seconds"
    with bench.only(server):
        return server.metric(f"{name}_count") - server.metric(f"{name}_bucket", le=f"{LAG_SECONDS:g}")
