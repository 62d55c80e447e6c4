"""Throughput at saturation against the machine's limit and against peers, in rounds side by side; memory beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.pressure.environments import PEERS, environment_python
from bench.pressure.figures import Figure, Outcome, paired
from bench.pressure.harness import CALLERS, DEADLINE, Bench
from bench.pressure.loads import Summary
from bench.pressure.processes import Server

LIMIT_BAR, PEER_BAR = 0.90, 1.0
BARE = "the bare gRPC server"
"""Measured beside the peers: `bench.pressure.barejudge`."""
OFFERED = 0.8
"""Of the slowest server's throughput: what peers are offered to compare their latencies."""
MEBIBYTE = 2**20


@dataclass(kw_only=True, slots=True)
class _Rounds:
    """One entry a round in each list."""

    limit: list[float] = field(default_factory=list)
    served: dict[str, list[Summary]] = field(default_factory=dict)


def run(bench: Bench) -> Outcome:
    """Measure limit, server and peers in turn, every other round in reverse."""
    ours = bench.clipwarden()
    servers: dict[str, Server] = {"clipwarden": ours, BARE: bench.bare_judge(), **peers(bench)}
    figures: list[Figure] = []
    for size in bench.options.sizes:
        rounds = _measure(bench, servers, size)
        figures += _figures(bench, rounds, size)
    figures += [
        Figure(name="memory at READY", value=ours.ready_bytes / MEBIBYTE, unit="MiB"),
        Figure(name="memory at saturation, the most", value=_peak(bench) / MEBIBYTE, unit="MiB"),
    ]
    notes = [
        (
            f"Closed loop of {CALLERS} callers, every image a new one. The bar holds throughput over the limit "
            "less the generator's share of the cores, which the limit need not share; the row above leaves it in. "
            f"{BARE[0].upper()}{BARE[1:]} is a grpc.aio server on the same wire method that decodes, encodes and takes "
            "1,000 cosines, checks nothing and always gives the same answer: what any server in Python over gRPC "
            "can reach here. It is no peer."
        ),
    ]
    if not servers.keys() & PEERS.keys():
        notes.append("No peers: `make bench-peers` makes their environments.")
    return bench.outcome("saturation", "throughput at saturation over the limit, and over peers", figures, notes)


def peers(bench: Bench) -> dict[str, Server]:
    """Start the peers whose environments are there."""
    found: dict[str, Server] = {}
    for name in PEERS:
        python = environment_python(bench.material.folder, name)
        if python is not None:
            script = Path(__file__).parent / "peers" / f"{name}_server.py"
            found[name] = bench.peer(python, script)
    return found


def _protocol(name: str) -> str:
    return "http" if name in PEERS else "grpc"


def _measure(bench: Bench, servers: dict[str, Server], size: str) -> _Rounds:
    rounds = _Rounds(served={name: [] for name in servers})

    def served(name: str) -> Callable[[], None]:
        protocol = _protocol(name)
        return lambda: rounds.served[name].append(bench.saturate(servers[name], size, kind=name, protocol=protocol))

    works = [lambda: rounds.limit.append(bench.limit(size)["images_a_second"]), *(served(name) for name in servers)]
    for number in range(bench.options.pairs):
        for work in works if number % 2 == 0 else reversed(works):
            work()
    return rounds


def _figures(bench: Bench, rounds: _Rounds, size: str) -> list[Figure]:
    ours, bare, limit = rounds.served["clipwarden"], rounds.served[BARE], rounds.limit
    figures = [
        paired(f"{size}: limit", limit, unit="images/s"),
        *(paired(f"{size}: {name}", _rates(runs), unit="images/s") for name, runs in rounds.served.items()),
        paired(
            f"{size}: clipwarden / limit, the generator's share left in",
            [run.verdicts_a_second / most for run, most in zip(ours, limit, strict=True)],
        ),
        paired(f"{size}: clipwarden / limit", _of_limit(bench, ours, limit), bar=LIMIT_BAR),
        paired(f"{size}: {BARE} / limit", _of_limit(bench, bare, limit)),
        paired(f"{size}: clipwarden / {BARE}", _over(ours, bare)),
    ]
    if rounds.served.keys() & PEERS.keys():
        figures += _against_peers(rounds, size)
    for name, runs in rounds.served.items():
        figures += [
            paired(f"{size}: {name}, p99 of {CALLERS} callers", _p99(runs), unit="ms", sense="<="),
            paired(
                f"{size}: {name}, its processor time a call", [_call_ms(run.server_cpu, run) for run in runs], unit="ms"
            ),
            paired(
                f"{size}: the generator's, beside {name}", [_call_ms(run.generator_cpu, run) for run in runs], unit="ms"
            ),
        ]
    return figures


def _against_peers(rounds: _Rounds, size: str) -> list[Figure]:
    ours = rounds.served["clipwarden"]
    others = [runs for name, runs in rounds.served.items() if name in PEERS]
    best = max(others, key=lambda runs: paired("", _rates(runs)).value or 0)
    tails = [mine / theirs for mine, theirs in zip(_p99(ours), _p99(best), strict=True)]
    return [
        paired(f"{size}: clipwarden / the best peer", _over(ours, best), bar=PEER_BAR),
        paired(f"{size}: p99 over the best peer's", tails, bar=1.0, sense="<="),
    ]


def _of_limit(bench: Bench, runs: Sequence[Summary], limit: Sequence[float]) -> list[float]:
    """Divide by what the limit would do with the part of the cores that the generator leaves."""
    return [run.verdicts_a_second / (most * (1 - bench.cpu_share(run))) for run, most in zip(runs, limit, strict=True)]


def _over(runs: Sequence[Summary], others: Sequence[Summary]) -> list[float]:
    return [run.verdicts_a_second / other.verdicts_a_second for run, other in zip(runs, others, strict=True)]


def _rates(runs: Sequence[Summary]) -> list[float]:
    return [run.verdicts_a_second for run in runs]


def _p99(runs: Sequence[Summary]) -> list[float]:
    return [run.verdict_ms["p99"] or float("inf") for run in runs]


def _call_ms(seconds: float, run: Summary) -> float:
    return seconds * 1000 / max(1, run.offered)


def _peak(bench: Bench) -> float:
    peaks = [run["peak_bytes"] for run in bench.runs if run["kind"] == "clipwarden"]
    return max(float(str(peak)) for peak in peaks)


def run_same_load(bench: Bench) -> Outcome:
    """Offer the same load to the server and to each peer, and compare what callers wait."""
    servers: dict[str, Server] = {"clipwarden": bench.clipwarden(), **peers(bench)}
    figures: list[Figure] = []
    for size in bench.options.sizes:
        protocols = {name: _protocol(name) for name in servers}
        slowest = min(
            bench.saturate(server, size, kind=f"{name} saturated", protocol=protocols[name]).verdicts_a_second
            for name, server in servers.items()
        )
        rate, runs = OFFERED * slowest, {name: list[Summary]() for name in servers}
        for _ in range(bench.options.pairs):
            for name, server in servers.items():
                what: dict[str, Any] = {"protocol": protocols[name], "deadline": 5 * DEADLINE, "connections": CALLERS}
                runs[name].append(bench.load(server, size, kind=name, rates=(rate,), **what))
        for name, own in runs.items():
            p50 = [run.verdict_ms["p50"] or float("inf") for run in own]
            figures += [
                paired(f"{size} at {rate:.1f}/s: {name}, p50", p50, unit="ms", sense="<="),
                paired(f"{size} at {rate:.1f}/s: {name}, p99", _p99(own), unit="ms", sense="<="),
            ]
    notes = [f"Open loop at {OFFERED:.0%} of the slowest one's throughput; latencies count from when a call was due."]
    return bench.outcome("peers", "what callers wait at the same offered load", figures, notes)
