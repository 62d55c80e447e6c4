"""What is left of a server offered more than it can do: twice, through our own client, and ten times as much."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.pressure import bare
from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import DEADLINE, Bench
from bench.pressure.loads import Summary
from bench.pressure.processes import Server

GOODPUT_BAR, REFUSAL_BAR_MS = 0.9, 10.0
CLIENT_GOODPUT_BAR, ATTEMPTS_BAR = 0.85, 1.2
LEFT_BAR = 0.9
CONNECTIONS = 16
MEBIBYTE = 2**20
BOUND_MIB = 512 + 2 * 80 + 32
"""What docs/operate.md lets the server hold beside what it held when it was ready, decodes and streams aside: images
(`queue_bytes`), copies (twice `max_message_bytes`) and unread calls (64 KiB each, `queue_items` of them)."""
LAG_MS = 50.0
"""A generator that sends later than this is named: its latencies are its own then."""


def run(bench: Bench) -> Outcome:
    """Offer twice the capacity for six times the seconds of a run, and compare goodput with capacity."""
    return _twice(bench, scenario="overload2x", title="twice the capacity, deadline 2 s", protocol="grpc")


def run_client(bench: Bench) -> Outcome:
    """Offer the same through our own retrying client."""
    return _twice(bench, scenario="client2x", title="the same through our own retrying client", protocol="client")


def _twice(bench: Bench, *, scenario: str, title: str, protocol: str) -> Outcome:
    server = bench.clipwarden()
    figures: list[Figure] = []
    late: list[Summary] = []
    for size in bench.options.sizes:
        ratios, runs = [], list[Summary]()
        for _ in range(bench.options.rounds):
            before = bench.saturate(server, size, kind="capacity").verdicts_a_second
            runs.append(_overload(bench, server, size, 2 * before, times=6, protocol=protocol))
            after = bench.saturate(server, size, kind="capacity").verdicts_a_second
            ratios.append(runs[-1].verdicts_a_second / ((before + after) / 2))
        figures += _client_figures(size, ratios, runs) if protocol == "client" else _figures(size, ratios, runs)
        late += runs
    return bench.outcome(scenario, title, figures, _lag_notes(late))


def _overload(bench: Bench, server: Server, size: str, rate: float, *, times: int, protocol: str = "grpc") -> Summary:
    return bench.load(
        server,
        size,
        kind="overload",
        rates=(rate,),
        deadline=DEADLINE,
        seconds=times * bench.options.seconds,
        warm_seconds=DEADLINE + bench.options.warm_seconds,  # until what waits is what the load makes wait
        connections=CONNECTIONS,
        protocol=protocol,
    )


def _figures(size: str, ratios: Sequence[float], runs: Sequence[Summary]) -> list[Figure]:
    return [
        paired(f"{size}: goodput / capacity", ratios, bar=GOODPUT_BAR),
        _worst(f"{size}: median refusal", [_of(run.refused_ms, "p50") for run in runs], "ms", REFUSAL_BAR_MS),
        _worst(f"{size}: p99 of refusals", [_of(run.refused_ms, "p99") for run in runs], "ms"),
        _worst(f"{size}: p50 of accepted calls", [_of(run.accepted_ms, "p50") for run in runs], "ms"),
        _worst(f"{size}: p99 of accepted calls", [_of(run.accepted_ms, "p99") for run in runs], "ms", DEADLINE * 1000),
        _worst(f"{size}: calls that passed their deadline", [_late(run) for run in runs]),
        _worst(f"{size}: refusals without RetryInfo", [run.unadvised for run in runs], bar=1),
        *_rest(size, runs),
    ]


def _client_figures(size: str, ratios: Sequence[float], runs: Sequence[Summary]) -> list[Figure]:
    return [
        paired(f"{size}: goodput / capacity", ratios, bar=CLIENT_GOODPUT_BAR),
        paired(f"{size}: attempts / calls", [run.attempts / run.offered for run in runs], bar=ATTEMPTS_BAR, sense="<="),
        _worst(f"{size}: p99 of accepted calls", [_of(run.accepted_ms, "p99") for run in runs], "ms", DEADLINE * 1000),
        _worst(f"{size}: calls that passed their deadline", [_late(run) for run in runs]),
        *_rest(size, runs),
    ]


def _rest(size: str, runs: Sequence[Summary]) -> list[Figure]:
    """Count what should not be, and what the generator took."""
    calls = [max(1, run.attempts) for run in runs]
    own = [run.generator_cpu * 1000 / count for run, count in zip(runs, calls, strict=True)]
    return [
        _worst(f"{size}: calls with any other end", [_other(run) for run in runs], bar=1),
        paired(f"{size}: the generator's processor time a call", own, unit="ms", sense="<="),
    ]


def run_tenfold(bench: Bench) -> Outcome:
    """Offer ten times the capacity, and compare goodput with what the machine has left beside bare refusals."""
    server, plain = bench.clipwarden(), bench.bare()
    figures: list[Figure] = []
    ten: list[Summary] = []
    for size in bench.options.sizes:
        lefts, parts, runs = list[float](), list[float](), list[Summary]()
        for _ in range(bench.options.rounds):
            capacity = bench.saturate(server, size, kind="capacity").verdicts_a_second
            limit, before = float(bench.limit(size)["images_a_second"]), _left(bench, plain, size, 10 * capacity)
            runs.append(_overload(bench, server, size, 10 * capacity, times=3))
            lefts.append((before + _left(bench, plain, size, 10 * capacity)) / 2)
            parts.append(capacity * lefts[-1] / limit)
        goodput = [run.verdicts_a_second for run in runs]
        held = [(run.peak_bytes - server.ready_bytes) / MEBIBYTE for run in runs]
        figures += [
            paired(f"{size}: goodput", goodput, unit="images/s"),
            paired(f"{size}: the limit's throughput left beside bare refusals", lefts, unit="images/s"),
            paired(f"{size}: goodput / what is left", _ratios(goodput, lefts), bar=LEFT_BAR),
            paired(f"{size}: goodput / our capacity's part of what is left", _ratios(goodput, parts)),
            _worst(f"{size}: calls that passed their deadline", [_late(run) for run in runs], bar=1),
            _worst(f"{size}: median refusal", [_of(run.refused_ms, "p50") for run in runs], "ms"),
            _worst(f"{size}: refusals without RetryInfo", [run.unadvised for run in runs], bar=1),
            _worst(f"{size}: memory beyond READY", held, "MiB", BOUND_MIB),
            *_rest(size, runs),
        ]
        ten += runs
    notes = [
        (
            "What is left: the limit's images a second in a process of its own, while a bare grpc.aio server refuses "
            "every call at the same rate, unread, and the same generator sends them. Nothing can do more, and so the "
            "ratio to it holds the whole of what our server costs: its capacity is below the limit without any "
            "overload. Our capacity's part of what is left is capacity x what is left / limit, all three of the same "
            "round: the ratio to that holds only what refusing costs us beyond the bare server's refusals."
        ),
        *_lag_notes(ten),
    ]
    return bench.outcome("overload10x", "ten times the capacity, deadline 2 s", figures, notes)


def _left(bench: Bench, plain: Server, size: str, rate: float) -> float:
    """Run the limit while a bare server refuses every call."""
    with ThreadPoolExecutor(1) as pool:
        what: dict[str, Any] = {
            "rates": (rate,),
            "deadline": DEADLINE,
            "connections": CONNECTIONS,
            "method": bare.REFUSE,
        }
        refused = pool.submit(bench.load, plain, size, kind="bare refusals", **what)
        left = float(bench.limit(size)["images_a_second"])
        refused.result()
    return left


def _worst(name: str, values: Sequence[float], unit: str = "", bar: float | None = None) -> Figure:
    return Figure(name=name, value=max(values), unit=unit, runs=len(values), bar=bar, sense="<")


def _ratios(values: Sequence[float], references: Sequence[float]) -> list[float]:
    return [value / reference for value, reference in zip(values, references, strict=True)]


def _late(run: Summary) -> int:
    return run.outcomes.get("late", 0) + run.outcomes.get("never sent", 0)


def _other(run: Summary) -> int:
    """Count calls that ended as none should: with an error of the server or of the connection."""
    return run.offered - run.outcomes.get("verdict", 0) - run.outcomes.get("refused", 0) - _late(run)


def _of(milliseconds: dict[str, float | None], name: str) -> float:
    """Return a percentile; infinite where no call had such an end, which meets no bar."""
    found = milliseconds[name]
    return float("inf") if found is None else found


def _lag_notes(runs: Sequence[Summary]) -> list[str]:
    worst = max(_of(run.lag_ms, "p99") for run in runs)
    if worst < LAG_MS:
        return [f"The generator sent on time: p99 of its own lag is {worst:.1f} ms at worst, and is part of latencies."]
    return [f"THE GENERATOR FELL BEHIND: p99 of its own lag is {worst:.0f} ms at worst, and is part of latencies."]
