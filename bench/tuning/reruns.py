"""Staff who choose among texts, and who look again at the same labels, in; what their intervals still hold, out.

Every text gives other scores of the same quality: the true recall is one, and whichever text looks best was lucky.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.tuning.worlds import FEWEST_POSITIVES, Observed, Sample, Store, World
from clipwarden.tuning.design import rates
from clipwarden.tuning.design.groups import folds

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ALIKE: Final = 0.5  # correlation of two texts' scores


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How staff work.

    Attributes:
        name: In the table.
        texts: How many they try.
        split: Whether they choose on other groups than they measure on.
        looks: How many of the texts they measure, to keep the best; 1 where they choose beforehand.
        counted: Whether the looks share the error.
    """

    name: str
    texts: int
    split: bool = True
    looks: int = 1
    counted: bool = True

    @property
    def world(self) -> World:
        """What they work on."""
        return World(name=self.name, prevalence=0.01, auroc=0.9, labels=2000, recall=0.7)

    @property
    def confidence(self) -> float:
        """Of the interval that they read."""
        return rates.split_confidence(0.95, self.looks if self.counted else 1)


PROMPTS: Final = (Rule(name="best of 10 texts, split", texts=10), Rule(name="best of 30 texts, split", texts=30))
RERUNS: Final = (Rule(name="five re-runs, counted", texts=5, looks=5),)


def choose(rule: Rule, runs: int, seed: int) -> list[Observed]:
    """Run staff.

    Args:
        rule: How they work.
        runs: How many samples they draw.
        seed: Of store and runs.

    Returns:
        What they read at the end, of each run with enough positives measured.
    """
    chance = np.random.default_rng(seed)
    store = Store.of(rule.world, chance)
    each = (_read(store, rule, store.sample(chance), chance) for _ in range(runs))
    return [observed for observed in each if observed is not None]


def _read(store: Store, rule: Rule, sample: Sample, chance: np.random.Generator) -> Observed | None:
    stopped = _stopped(store.world, rule.texts, sample, chance)
    part = folds(sample.group, chance.random(len(sample.pi)), 2, positive=sample.positive)
    measured = part == 1 if rule.split else np.ones(len(part), np.bool_)
    chosen_on = part == 0 if rule.split and rule.looks == 1 else measured
    best = int(np.argmax([_recall(each, sample, chosen_on) for each in stopped]))
    members = sample.positive & measured
    if members.sum() < FEWEST_POSITIVES:
        return None
    estimate = rates.recall(
        stopped[best][measured],
        sample.positive[measured],
        sample.pi[measured],
        group=sample.group[measured],
        confidence=rule.confidence,
    )
    return Observed(
        truth=store.world.truth,
        estimate=estimate,
        outcome=stopped[best][members],
        weight=1.0 / sample.pi[members],
        group=sample.group[members],
    )


def _stopped(world: World, texts: int, sample: Sample, chance: np.random.Generator) -> Flags:
    """Say what each text stops [T,N]: of harmful uploads, its own; harmless ones as they were."""
    centre = world.distance * sample.positive
    noise = chance.normal(size=(texts, len(centre)))
    own = centre + np.sqrt(_ALIKE) * (sample.score - centre) + np.sqrt(1.0 - _ALIKE) * noise
    found: Flags = np.where(sample.positive, own, sample.score) >= world.limit
    return found


def _recall(stopped: Flags, sample: Sample, among: Flags) -> float:
    weight = (sample.positive & among) / sample.pi
    return float((weight * stopped).sum() / max(weight.sum(), 1e-9))
