"""Worlds in which the truth is known, in; how often intervals hold it, and how wide they are, out.

A world is a store of 200,000 uploads. Harmless uploads score as N(0,1) and harmful ones as N(d,1), which fixes the
AUROC; the limit stands where recall has a given value. A run draws harmful uploads anew, and a sample of all by the
real `inclusion`. So recall's truth is that of traffic to come, not of one store.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from clipwarden.tuning.design import rates
from clipwarden.tuning.design.sampling import inclusion

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

UPLOADS: Final = 200_000
RATES: Final = ("recall", "precision", "false positives", "prevalence")
FEWEST_POSITIVES: Final = 6  # with fewer, nothing is claimed
_CAMPAIGN: Final = 20  # copies of one picture
_JITTER: Final = 0.02  # what a copy's score differs by


@dataclass(frozen=True, kw_only=True)
class World:
    """One world.

    Attributes:
        name: In the table.
        prevalence: Share of uploads that are harmful.
        auroc: Of the scores.
        labels: How many are labelled, in the mean.
        recall: True recall at the limit.
        copies: Share of harmful uploads that are near-copies of another.
        step: Scores are rounded to multiples of it, so that they tie; 0 for none.
        uniform: Share of the sample that is drawn whatever the scores.
    """

    name: str
    prevalence: float
    auroc: float
    labels: int
    recall: float
    copies: float = 0.0
    step: float = 0.0
    uniform: float = 0.2

    @property
    def distance(self) -> float:
        """How far apart harmful and harmless scores lie."""
        return float(np.sqrt(2.0) * ndtri(self.auroc))

    @property
    def limit(self) -> float:
        """Where the limit stands; between two levels where scores tie."""
        exact = self.distance - float(ndtri(self.recall))
        return (np.floor(exact / self.step) + 0.5) * self.step if self.step else exact

    @property
    def truth(self) -> float:
        """Recall at the limit."""
        return float(ndtr(self.distance - self.limit))

    def rounded(self, scores: Floats) -> Floats:
        """Let scores tie, if they do in this world."""
        return np.round(scores / self.step) * self.step if self.step else scores


WORLDS: Final = (
    World(name="0.1 %, hard", prevalence=0.001, auroc=0.85, labels=5000, recall=0.5),
    World(name="0.1 %, middling", prevalence=0.001, auroc=0.9, labels=5000, recall=0.7),
    World(name="0.1 %, easy", prevalence=0.001, auroc=0.96, labels=5000, recall=0.9),
    World(name="0.3 %, hard", prevalence=0.003, auroc=0.85, labels=3000, recall=0.8),
    World(name="0.3 %, middling", prevalence=0.003, auroc=0.9, labels=2000, recall=0.7),
    World(name="0.3 %, easy", prevalence=0.003, auroc=0.96, labels=2000, recall=0.95),
    World(name="0.5 %, strict", prevalence=0.005, auroc=0.93, labels=2000, recall=0.3),
    World(name="0.5 %, middling", prevalence=0.005, auroc=0.93, labels=1000, recall=0.8),
    World(name="1 %, hard", prevalence=0.01, auroc=0.85, labels=3000, recall=0.9),
    World(name="1 %, middling", prevalence=0.01, auroc=0.9, labels=1000, recall=0.8),
    World(name="1 %, easy", prevalence=0.01, auroc=0.96, labels=1000, recall=0.9),
    World(name="2 %, hard", prevalence=0.02, auroc=0.85, labels=1000, recall=0.9),
    World(name="2 %, middling", prevalence=0.02, auroc=0.9, labels=300, recall=0.7),
    World(name="2 %, easy", prevalence=0.02, auroc=0.96, labels=1000, recall=0.95),
    World(name="1 %, ties", prevalence=0.01, auroc=0.9, labels=1000, recall=0.8, step=0.5),
    World(name="0.3 %, 10 % copies", prevalence=0.003, auroc=0.9, labels=4000, recall=0.7, copies=0.1),
    World(name="0.3 %, 20 % copies", prevalence=0.003, auroc=0.9, labels=4000, recall=0.7, copies=0.2),
    World(name="0.3 %, 30 % copies", prevalence=0.003, auroc=0.9, labels=4000, recall=0.7, copies=0.3),
    World(name="0.3 %, 80 % uniform", prevalence=0.003, auroc=0.9, labels=5000, recall=0.7, uniform=0.8),
    World(name="1 %, 80 % uniform", prevalence=0.01, auroc=0.93, labels=2000, recall=0.8, uniform=0.8),
    World(name="2 %, 80 % uniform", prevalence=0.02, auroc=0.9, labels=1000, recall=0.7, copies=0.2, uniform=0.8),
)
GRID: Final = tuple(
    World(name=f"{share:g} {auroc} {labels} {recall}", prevalence=share, auroc=auroc, labels=labels, recall=recall)
    for share, auroc, labels, recall in product(
        (0.001, 0.003, 0.01, 0.02), (0.85, 0.9, 0.96), (300, 1000, 3000), (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
    )
)
"""Worlds of every kind, most of them with too few labels to say much."""


@dataclass(frozen=True, kw_only=True)
class Heed:
    """What the analysis heeds; a test leaves one out and must fail."""

    weights: bool = True
    groups: bool = True


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Labels of a run: columns [N]."""

    score: Floats
    positive: Flags
    pi: Floats
    group: Places


@dataclass(frozen=True, kw_only=True)
class Store:
    """A world's uploads: harmless ones stay, harmful ones are drawn anew each run."""

    world: World
    harmless: Floats
    harmless_pi: Floats
    levels: Floats = field(repr=False)
    level_pi: Floats = field(repr=False)

    @classmethod
    def of(cls, world: World, chance: np.random.Generator) -> "Store":
        """Draw a world's uploads, and their chances to be labelled."""
        harmful = round(UPLOADS * world.prevalence)
        scores = world.rounded(chance.normal(size=UPLOADS) + world.distance * (np.arange(UPLOADS) < harmful))
        pi = inclusion(scores, world.labels, uniform=world.uniform)
        levels, first = np.unique(scores, return_index=True)
        return cls(
            world=world,
            harmless=scores[harmful:],
            harmless_pi=pi[harmful:],
            levels=levels,
            level_pi=pi[first],
        )

    @cached_property
    def false_positive_rate(self) -> float:
        """The truth."""
        return float((self.harmless >= self.world.limit).mean())

    @cached_property
    def precision(self) -> float:
        """The truth."""
        found = self.world.prevalence * self.world.truth
        return found / (found + (1.0 - self.world.prevalence) * self.false_positive_rate)

    def pi_of(self, scores: Floats) -> Floats:
        """Give uploads of another day the chance that their score has in this store."""
        return np.interp(scores, self.levels, self.level_pi)

    def harmful(self, chance: np.random.Generator) -> tuple[Floats, Places]:
        """Draw a day's harmful uploads: scores and groups [M]."""
        count = max(1, int(chance.binomial(UPLOADS, self.world.prevalence)))
        copies = round(count * self.world.copies)
        pictures = count - copies
        group = np.r_[np.arange(pictures), np.arange(copies) // _CAMPAIGN % pictures]
        scores = chance.normal(self.world.distance, 1.0, pictures)[group]
        scores[pictures:] += chance.normal(0.0, _JITTER, copies)
        return self.world.rounded(scores), group

    def sample(self, chance: np.random.Generator) -> Sample:
        """Draw a day, and label a sample of it."""
        scores, group = self.harmful(chance)
        pi = self.pi_of(scores)
        taken = chance.random(len(pi)) < pi
        others = np.flatnonzero(chance.random(len(self.harmless), np.float32) < self.harmless_pi)
        return Sample(
            score=np.r_[scores[taken], self.harmless[others]],
            positive=np.arange(taken.sum() + len(others)) < taken.sum(),
            pi=np.r_[pi[taken], self.harmless_pi[others]],
            group=np.r_[group[taken], len(group) + np.arange(len(others))],
        )


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What one interval of one run said."""

    truth: float
    estimate: rates.Estimate
    outcome: Flags
    weight: Floats
    group: Places


def observe(store: Store, runs: int, heed: Heed, seed: int, names: Sequence[str] = RATES) -> dict[str, list[Observed]]:
    """Run a world.

    Args:
        store: The world's store.
        runs: How many samples.
        heed: What the analysis heeds.
        seed: Of the runs.
        names: Of `RATES`.

    Returns:
        Of each rate, one entry a run in which at least `FEWEST_POSITIVES` were drawn.
    """
    chance = np.random.default_rng(seed)
    seen: dict[str, list[Observed]] = {name: [] for name in names}
    for _ in range(runs):
        sample = store.sample(chance)
        if sample.positive.sum() >= FEWEST_POSITIVES:
            for name in names:
                seen[name].append(_judged(store, sample, heed, name))
    return seen


def _judged(store: Store, sample: Sample, heed: Heed, name: str) -> Observed:
    stopped, positive = sample.score >= store.world.limit, sample.positive
    pi = sample.pi if heed.weights else np.ones(len(sample.pi))
    group = sample.group if heed.groups else None
    truth, outcome, member = {
        "recall": (store.world.truth, stopped, positive),
        "precision": (store.precision, positive, stopped),
        "false positives": (store.false_positive_rate, stopped, ~positive),
        "prevalence": (store.world.prevalence, positive, np.ones(len(pi), np.bool_)),
    }[name]
    return Observed(
        truth=truth,
        estimate=rates.prevalence(positive, pi, group=group)
        if name == "prevalence"
        else rates.share(outcome, member, positive, pi, group=group),
        outcome=outcome[member],
        weight=1.0 / sample.pi[member],
        group=sample.group[member],
    )
