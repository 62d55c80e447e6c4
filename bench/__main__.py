"""Run benchmarks and print ratios: `python -m bench [NAME ...] [--json] [--check]`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from bench import animations, candidates, colour, decode, parts, scoring, serving
from bench.measure import Ratio, describe_machine, stay_on_one_core

BENCHMARKS: dict[str, Callable[[], list[Ratio]]] = {
    "scoring": scoring.run,
    "serving": serving.run,
    "candidates": candidates.run,
    "colour": colour.run,
    "decode": decode.run,
    "parts": parts.run,
    "animations": animations.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks asked for, all of them by default.

    Args:
        arguments: Of the command line; the process's own by default.

    Returns:
        Exit status: 1 when `--check` was given and a bar is missed, else 0.
    """
    options = _parse(arguments)
    machine = describe_machine()
    stay_on_one_core()
    results = {name: BENCHMARKS[name]() for name in options.names or BENCHMARKS}
    print(_as_json(machine, results) if options.json else _as_text(machine, results))
    missed = any(not ratio.holds for ratios in results.values() for ratio in ratios)
    return 1 if options.check and missed else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Print ratios measured on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    return options


def _as_text(machine: dict[str, str], results: dict[str, list[Ratio]]) -> str:
    lines = [f"{name}: {value}" for name, value in machine.items()]
    for name, ratios in results.items():
        lines += [
            "",
            f"{name}, on one core, median of {ratios[0].cost.rounds} rounds (best in brackets)",
        ]
        lines += [_line(ratio) for ratio in ratios]
    return "\n".join(lines)


def _line(ratio: Ratio) -> str:
    cost, reference = ratio.cost, ratio.reference
    times = (
        f"{ratio.clock}: {cost.median_seconds * 1e6:.0f} ({cost.best_seconds * 1e6:.0f}) us"
        f" / {reference.median_seconds * 1e3:.1f} ({reference.best_seconds * 1e3:.1f}) ms"
    )
    bar = "" if ratio.bar is None else f"; bar {ratio.bar:.1%}: {'met' if ratio.holds else 'MISSED'}"
    return f"  {ratio.name}\n    {times} = {ratio.of_medians:.2%} ({ratio.of_bests:.2%}){bar}"


def _as_json(machine: dict[str, str], results: dict[str, list[Ratio]]) -> str:
    figures = {
        name: [
            {**asdict(ratio), "of_medians": ratio.of_medians, "of_bests": ratio.of_bests, "holds": ratio.holds}
            for ratio in ratios
        ]
        for name, ratios in results.items()
    }
    return json.dumps({"machine": machine, "results": figures}, indent=2)


if __name__ == "__main__":
    sys.exit(main())
