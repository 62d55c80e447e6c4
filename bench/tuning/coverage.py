"""Print how often intervals hold the truth, world by world."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.tuning import reference
from bench.tuning.worlds import WORLDS, Heed, Observed, Store, World, observe


@dataclass(frozen=True, kw_only=True)
class Covered:
    """One line of the table.

    Attributes:
        world: The world's name.
        rate: As in `recall`.
        runs: In which enough positives were drawn.
        positives: Drawn, in the mean.
        coverage: Share of runs whose interval held the truth.
        misses: Share of runs whose one-sided lower limit lay above it.
        width: Mean width of the interval, in points of a hundred.
        against_formula: Mean width by that of the formula, written down by another hand.
        against_plain: Mean width by that of Korn and Graubard without caps, which covers too little.
    """

    world: str
    rate: str
    runs: int
    positives: float
    coverage: float
    misses: float
    width: float
    against_formula: float
    against_plain: float


def measure(world: World, runs: int, *, heed: Heed | None = None, seed: int = 14) -> dict[str, Covered]:
    """Run a world.

    Args:
        world: Which.
        runs: How many samples.
        heed: What the analysis heeds; all by default.
        seed: Of store and runs.

    Returns:
        A line for each rate.
    """
    store = Store.of(world, np.random.default_rng(seed))
    seen = observe(store, runs, heed or Heed(), seed + 1)
    return {rate: _line(world.name, rate, each) for rate, each in seen.items()}


def _line(world: str, rate: str, seen: Sequence[Observed]) -> Covered:
    truth = np.array([each.truth for each in seen])
    low, high, alone, value = (
        np.array([getattr(each.estimate, name) for each in seen]) for name in ("low", "high", "one_sided_low", "value")
    )
    sizes = (
        {
            capped: np.array(
                [reference.effective_size(each.outcome, each.weight, each.group, capped=capped) for each in seen]
            )
            for capped in (True, False)
        }
        if rate == "recall"
        else {}
    )
    formula, plain = (
        float((high - low).mean() / reference.widths(value, sizes[capped]).mean()) if sizes else float("nan")
        for capped in (True, False)
    )
    return Covered(
        world=world,
        rate=rate,
        runs=len(seen),
        positives=float(np.mean([each.estimate.positives for each in seen])),
        coverage=float(((low <= truth) & (truth <= high)).mean()),
        misses=float((alone > truth).mean()),
        width=float((high - low).mean() * 100),
        against_formula=formula,
        against_plain=plain,
    )


HEAD = f"{'world':25}{'rate':17}{'runs':>6}{'positives':>11}{'coverage':>10}{'misses':>8}{'width':>8}{'/formula':>10}{'/plain':>8}"


def table(runs: int, worlds: Sequence[World] = WORLDS) -> Iterator[str]:
    """Print the table line by line."""
    yield HEAD
    for world in worlds:
        for line in measure(world, runs).values():
            yield (
                f"{line.world:25}{line.rate:17}{line.runs:6}{line.positives:11.1f}{line.coverage:10.3f}"
                f"{line.misses:8.3f}{line.width:8.2f}{line.against_formula:10.3f}{line.against_plain:8.3f}"
            )
