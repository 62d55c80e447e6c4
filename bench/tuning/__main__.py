"""Measure what tuning promises: `python -m bench.tuning coverage [--runs N] [--wide]`; `embedded`, `roundtrip`.

`embedded --work DIR` and `roundtrip --work DIR` need drawings that never reach git: `python -m bench.tuning.drawings`.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.tuning import coverage, embedded, roundtrip

_WHAT = {
    "coverage": "how often intervals hold the truth, simulated",
    "embedded": "the shipped policy against tuned ones, on drawings that bench.tuning.drawings wrote into DIR",
    "roundtrip": "whether what is tuned is what is served, on the same drawings",
}

_ON_DRAWINGS: dict[str, Callable[[Path], Iterator[str]]] = {"embedded": embedded.run, "roundtrip": roundtrip.run}


def main() -> None:
    """Print the table asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.tuning", description="Measure what tuning promises.")
    parser.add_argument("what", choices=list(_WHAT), help="; ".join(f"{name}: {does}" for name, does in _WHAT.items()))
    parser.add_argument("--runs", type=int, default=1000, help="of coverage: samples a world (default: 1000)")
    parser.add_argument("--wide", action="store_true", help="of coverage: 216 worlds, recall alone; some minutes")
    parser.add_argument("--work", type=Path, help="of the others: folder with the drawings, outside git")
    options = parser.parse_args()
    if options.what != "coverage" and options.work is None:
        parser.error("name the folder with the drawings: --work DIR")
    for line in _lines(options):
        print(line, flush=True)


def _lines(options: argparse.Namespace) -> Iterator[str]:
    if options.what != "coverage":
        return _ON_DRAWINGS[options.what](options.work)
    return coverage.wide(options.runs) if options.wide else coverage.table(options.runs)


if __name__ == "__main__":
    main()
