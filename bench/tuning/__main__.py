"""Simulate what tuning promises: `python -m bench.tuning coverage [--runs N] [--wide]`."""

import argparse

from bench.tuning import coverage


def main() -> None:
    """Print the table asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.tuning", description="Simulate what tuning promises.")
    parser.add_argument("what", choices=["coverage"], help="coverage: how often intervals hold the truth")
    parser.add_argument("--runs", type=int, default=1000, help="samples a world (default: 1000)")
    parser.add_argument("--wide", action="store_true", help="216 worlds, recall alone; some minutes")
    options = parser.parse_args()
    for line in coverage.wide(options.runs) if options.wide else coverage.table(options.runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
