"""Simulate what tuning promises: `python -m bench.tuning coverage [--runs N]`."""

import argparse

from bench.tuning import coverage


def main() -> None:
    """Print the table asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.tuning", description="Simulate what tuning promises.")
    parser.add_argument("what", choices=["coverage"], help="coverage: how often intervals hold the truth")
    parser.add_argument("--runs", type=int, default=2000, help="samples a world (default: 2000)")
    options = parser.parse_args()
    for line in coverage.table(options.runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
