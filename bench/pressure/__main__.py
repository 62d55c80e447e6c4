"""Measure servers under pressure: `python -m bench.pressure [SCENARIO ...] [--seconds S] [--pairs N] [--check]`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.measure import commit
from bench.pressure import bounds, gil, lone, overload, quotas, saturation, soak, sweep
from bench.pressure.figures import Outcome, splice
from bench.pressure.harness import Bench, Options
from bench.pressure.material import SIZES, TINY, default_folder, make_material
from bench.pressure.rehearsal import Rehearsal
from bench.vit import VIT_B_32

SCENARIOS: dict[str, Callable[[Bench], Outcome]] = {
    "saturation": saturation.run,
    "peers": saturation.run_same_load,
    "lone": lone.run,
    "seen": lone.run_seen,
    "overload2x": overload.run,
    "client2x": overload.run_client,
    "overload10x": overload.run_tenfold,
    "fairness": bounds.run_fair,
    "large": bounds.run_large,
    "quotas": quotas.run,
    "gil": gil.run,
    "sweep": sweep.run,
    "soak": soak.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios asked for; one whose figures are saved already is only printed.

    Args:
        arguments: Of the command line; the process's own by default.

    Returns:
        Exit status: 1 when `--check` was given and a bar is missed, else 0.
    """
    options = _parse(arguments)
    if options.list:
        print(listing(options.names, options.folder, _options(options), lambda name: _is_kept(name, options)))
        return 0
    outcomes = [_outcome(name, options) for name in options.names]
    if options.json:
        print(json.dumps([outcome.as_json() for outcome in outcomes], indent=1))
    if options.markdown is not None:
        document = options.markdown.read_text(encoding="utf-8")
        options.markdown.write_text(splice(document, outcomes), encoding="utf-8")
    if options.plot is not None:
        sweep.draw(next(outcome for outcome in outcomes if outcome.scenario == "sweep"), options.folder, options.plot)
    missed = [f"{outcome.scenario}: {name}" for outcome in outcomes for name in outcome.missed]
    return 1 if options.check and missed else 0


def _outcome(name: str, options: argparse.Namespace) -> Outcome:
    """Read what was measured, or measure and save it."""
    path = _kept(name, options)
    if _is_kept(name, options):
        outcome = Outcome.read(path)
        measured, here = outcome.machine.get("commit"), commit()
        if measured != here:
            print(f"{name} was measured on {measured}, not on {here}", file=sys.stderr)
    else:
        material = make_material(options.folder, geometry=TINY if options.tiny else VIT_B_32)
        with Bench(material, _options(options)) as bench:
            outcome = SCENARIOS[name](bench)
        outcome.save(path)
    if not options.json:
        print(outcome.as_text(), end="\n\n", flush=True)
    return outcome


def _kept(name: str, options: argparse.Namespace) -> Path:
    """Name the file of what was measured: runs of another length, or of other sizes, are others."""
    sizes = "" if options.sizes == list(SIZES) else f"-{'-'.join(options.sizes)}"
    folder = f"results{'-tiny' if options.tiny else ''}-{options.pairs}x{options.seconds:g}s{sizes}"
    return Path(options.folder, folder, f"{name}.json")


def _is_kept(name: str, options: argparse.Namespace) -> bool:
    """Say whether a scenario was measured, and is not to be measured again."""
    return _kept(name, options).exists() and not options.again


def _options(options: argparse.Namespace) -> Options:
    return Options(seconds=options.seconds, pairs=options.pairs, warm_seconds=options.warm, sizes=tuple(options.sizes))


def listing(names: Sequence[str], folder: Path, options: Options, kept: Callable[[str], bool]) -> str:
    """Say what each scenario measures, and about how many minutes it takes.

    Args:
        names: Of scenarios.
        folder: Which has the environments.
        options: How much would be measured.
        kept: Whether a scenario was measured already.

    Returns:
        A line a scenario, and one of what all that is left to measure takes.
    """
    lines, left = [], 0.0
    for name in names:
        with Rehearsal(folder, options) as bench:
            title = SCENARIOS[name](bench).title
        left += 0 if kept(name) else bench.seconds
        lines.append(f"{bench.seconds / 60:6.1f} min  {name}: {title}{' (measured already)' if kept(name) else ''}")
    return "\n".join([*lines, f"{left / 60:6.1f} min  to measure what is not measured yet"])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.pressure",
        description="Measure servers under pressure. What is measured is kept, and not measured again unless asked.",
    )
    names = ", ".join(SCENARIOS)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"one of: {names}; all of them by default")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one run (default: 10)")
    parser.add_argument("--pairs", type=int, default=9, help="runs side by side (default: 9)")
    parser.add_argument("--warm", type=float, default=1.0, metavar="SECONDS", help="before each run (default: 1)")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES), help="of images (default: all)")
    parser.add_argument("--list", action="store_true", help="only say what each measures, and how long that takes")
    parser.add_argument("--again", action="store_true", help="measure again what was measured")
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of lines")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into this document")
    parser.add_argument("--plot", type=Path, metavar="PICTURE", help="draw the sweep into this file")
    parser.add_argument("--tiny", action="store_true", help="with an encoder that is too small to mean anything")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="keeps encoders and results")
    options = parser.parse_args(arguments)
    options.names = list(SCENARIOS) if options.names in ([], ["all"]) else options.names
    if unknown := [name for name in options.names if name not in SCENARIOS]:
        parser.error(f"no scenario {unknown[0]!r}; there are: {names}")
    if options.seconds <= 0 or options.pairs < 1 or options.warm < 0:
        parser.error("--seconds must be above 0, --pairs at least 1, and --warm no less than 0")
    if options.plot is not None and "sweep" not in options.names:
        parser.error("--plot draws the scenario sweep, which is not asked for")
    return options


if __name__ == "__main__":
    sys.exit(main())
