"""Print how often intervals hold the truth, world by world."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.tuning import reference
from bench.tuning.reruns import PROMPTS, RERUNS, choose
from bench.tuning.worlds import GRID, RATES, WORLDS, Heed, Observed, Store, World, observe

BARS = "coverage >= 0.93, misses <= 0.06"
_SEED = 14


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
        formula_coverage: Of the interval of the formula, written down by another hand.
        formula_misses: Likewise.
        ratio: Mean width by that of the formula.
    """

    world: str
    rate: str
    runs: int
    positives: float
    coverage: float
    misses: float
    width: float
    formula_coverage: float
    formula_misses: float
    ratio: float

    @property
    def holds(self) -> bool:
        """Whether the bars are met."""
        return self.coverage >= 0.93 and self.misses <= 0.06


def measure(
    world: World, runs: int, *, heed: Heed | None = None, names: Sequence[str] = RATES, seed: int = _SEED
) -> dict[str, Covered]:
    """Run a world.

    Args:
        world: Which.
        runs: How many samples.
        heed: What the analysis heeds; all by default.
        names: Of `RATES`.
        seed: Of store and runs.

    Returns:
        A line for each rate.
    """
    store = Store.of(world, np.random.default_rng(seed))
    seen = observe(store, runs, heed or Heed(), seed + 1, names)
    return {rate: summarised(world.name, rate, each) for rate, each in seen.items() if each}


def summarised(world: str, rate: str, seen: Sequence[Observed]) -> Covered:
    """Count what a world's runs said."""
    truth = np.array([each.truth for each in seen])
    low, high, alone, value = (
        np.array([getattr(each.estimate, name) for each in seen]) for name in ("low", "high", "one_sided_low", "value")
    )
    capped = rate != "prevalence"
    size = np.array([reference.effective_size(each.outcome, each.weight, each.group, capped=capped) for each in seen])
    error = 1.0 - seen[0].estimate.confidence
    below, above = reference.limits(value, size, error / 2)
    return Covered(
        world=world,
        rate=rate,
        runs=len(seen),
        positives=float(np.mean([each.estimate.positives for each in seen])),
        coverage=float(((low <= truth) & (truth <= high)).mean()),
        misses=float((alone > truth).mean()),
        width=float((high - low).mean() * 100),
        formula_coverage=float(((below <= truth) & (truth <= above)).mean()),
        formula_misses=float((reference.limits(value, size, error)[0] > truth).mean()),
        ratio=float((high - low).mean() / (above - below).mean()),
    )


def table(runs: int, worlds: Sequence[World] = WORLDS) -> Iterator[str]:
    """Print the table line by line."""
    yield _HEAD
    for world in worlds:
        yield from map(_printed, measure(world, runs).values())
    for rule in (*PROMPTS, *RERUNS):
        yield _printed(summarised(rule.name, "recall", choose(rule, runs, _SEED)))


def wide(runs: int) -> Iterator[str]:
    """Run the grid for recall: print where a bar is missed, by ours or by the formula alone, and the counts."""
    yield _HEAD
    seeded = (measure(world, runs, names=["recall"], seed=_SEED + 2 * place) for place, world in enumerate(GRID))
    lines = [line for each in seeded if (line := each.get("recall")) and line.runs * 10 > runs]
    alone = [each for each in lines if each.formula_coverage < 0.93 or each.formula_misses > 0.06]
    yield from (_printed(each) for each in lines if each in alone or not each.holds)
    ours = sum(not each.holds for each in lines)
    yield f"{BARS}: missed in {ours} of {len(lines)} worlds; by the formula alone in {len(alone)}."
    yield f"Greatest mean width by the formula's: {max(each.ratio for each in lines):.3f}."


_HEAD = (
    f"{'world':25}{'rate':17}{'runs':>6}{'positives':>10}{'coverage':>9}{'misses':>8}{'width':>7}"
    f"{'  formula: coverage':>19}{'misses':>8}{'width by it':>13}"
)


def _printed(line: Covered) -> str:
    return (
        f"{line.world:25}{line.rate:17}{line.runs:6}{line.positives:10.1f}{line.coverage:9.3f}{line.misses:8.3f}"
        f"{line.width:7.2f}{line.formula_coverage:19.3f}{line.formula_misses:8.3f}{line.ratio:13.3f}"
    )
