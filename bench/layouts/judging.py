"""Embeddings of laid-out drawings in; lines fitted on half of the drawing houses, and what they did to the others, out.

Lines are those of the shipped policy, or fitted: the least that stop no more than 1.5 % (review) and 0.2 % (block) of
a half's harmless pictures, of single ones or of a mix of layouts. A plan's score is the greatest over its views.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.layouts.embedding import TAKES, Embedded
from bench.layouts.material import Material, Rows
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.scoring.score import cosines, score_rows
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.labels.model import Mark
from clipwarden.tuning.metrics import Interval, clopper_pearson
from clipwarden.vision.plan import Views
from recipes.mini.layouts import LAYOUTS

LIMITS: Final = {"review": 0.015, "block": 0.002}
"""What the shipped lines let through at the most, in one category."""
FITTED: Final = ("single", "mix")
_BLOCK: Final = 4096
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Pictures of one layout and population.

    Attributes:
        drawing: `[P]`, rows of the population.
        best: By plan, `[P,C]`: the greatest score over its views; of `tiles` the first rows alone.
        views: By plan, views an image.
    """

    drawing: Rows
    best: Mapping[Views, Floats]
    views: Mapping[Views, float]


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share with its exact interval at 95 %: near-duplicates, and several places of one drawing, count once."""

    hits: float
    of: int

    @property
    def interval(self) -> Interval:
        """Clopper and Pearson's."""
        return clopper_pearson(self.hits, self.of)

    def __add__(self, other: "Share") -> "Share":
        return Share(hits=self.hits + other.hits, of=self.of + other.of)


def scored(compiled: CompiledPolicy, plain: Embedded, closer: Embedded | None) -> Scored:
    """Score all views, and take the greatest of each picture.

    Args:
        compiled: The policy; its categories are the columns.
        plain: Views of `whole` and `auto`.
        closer: What `tiles` adds, of the first pictures of the same.
    """
    best, views = {}, {}
    for plan in Views:
        if plan is Views.TILES and closer is None:
            continue
        parts = [plain] if closer is None or plan is not Views.TILES else [plain, closer]
        count = len(parts[-1].drawing)
        greatest, made = np.full((count, len(compiled.policy.categories)), -np.inf), 0
        for part in parts:
            chosen = np.isin(part.taken, TAKES[plan]) & (part.picture < count)
            np.maximum.at(greatest, part.picture[chosen], _scores(compiled, part.vectors[chosen]))
            made += int(chosen.sum())
        best[plan], views[plan] = greatest, made / count
    return Scored(drawing=plain.drawing, best=best, views=views)


def _scores(compiled: CompiledPolicy, vectors: NDArray[np.float32]) -> Floats:
    tables, own = prepare(compiled), scored_concepts(compiled.policy)
    columns = [own.index(category) for category in compiled.policy.categories]
    blocks = range(0, len(vectors), _BLOCK)
    rows = [score_rows(cosines(vectors[at : at + _BLOCK], compiled), tables).score[:, columns] for at in blocks]
    return np.concatenate(rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """All layouts with their scores.

    Attributes:
        material: The drawings.
        categories: C ids, the columns of scores.
        scores: By layout and population.
        shipped: `[C]` by band: lines of the policy as it ships.
    """

    material: Material
    categories: tuple[str, ...]
    scores: Mapping[Key, Scored]
    shipped: Mapping[str, Floats]
    _lines: dict[Key, tuple[Mapping[str, Floats], ...]] = field(default_factory=dict)

    def measured(self, layout: str, plan: Views) -> bool:
        """Tell whether a layout was embedded under a plan."""
        return plan in self.scores[layout, "harmless"].best

    def lines(self, plan: Views, kind: str) -> tuple[Mapping[str, Floats], ...]:
        """Fit lines on each half: `[C]` by band; shipped ones are the same for both."""
        if kind == "shipped":
            return self.shipped, self.shipped
        if (plan, kind) not in self._lines:
            self._lines[plan, kind] = tuple(self._fitted(plan, kind, half) for half in (0, 1))
        return self._lines[plan, kind]

    def _fitted(self, plan: Views, kind: str, half: int) -> Mapping[str, Floats]:
        scores, weights = [], []
        for layout in LAYOUTS:
            share = layout.share if kind == "mix" else float(layout.name == "single")
            if share:
                own = self.scores[layout.name, "harmless"]
                chosen = own.best[plan][self._half("harmless", own, plan) == half]
                scores.append(chosen)
                weights.append(np.full(len(chosen), share / len(chosen)))
        rows, weight = np.concatenate(scores), np.concatenate(weights)
        return {band: np.array([_line(c, weight, limit) for c in rows.T]) for band, limit in LIMITS.items()}

    def _half(self, population: str, own: Scored, plan: Views) -> Rows:
        drawings = own.drawing[: len(own.best[plan])]
        half: Rows = self.material.half[self.material.rows[population][drawings]]
        return half

    def stopped(
        self, layout: str, population: str, plan: Views, lines: Sequence[Mapping[str, Floats]], band: str
    ) -> Flags:
        """Judge each picture by what was fitted on the other half: `[P,C]`."""
        own = self.scores[layout, population]
        half = self._half(population, own, plan)
        line = np.stack([lines[1][band], lines[0][band]])[half]
        flags: Flags = own.best[plan] >= line
        return flags

    def found(self, stopped: Mapping[str, Flags], category: int, shares: Mapping[str, float]) -> Share:
        """Count harmful drawings that are stopped, over layouts by their shares.

        Args:
            stopped: By layout, as `stopped` of harmful ones.
            category: Its column.
            shares: Of each layout; they sum to 1.
        """
        rows = self.material.rows["harmful"]
        members = np.flatnonzero(self.marks("harmful")[:, category] == Mark.POSITIVE)
        words = np.array(self.material.drawings.words)[rows[members]]
        names, group = np.unique(words, return_inverse=True)
        worth = 1.0 / np.bincount(group)[group]
        hits = 0.0
        for layout, share in shares.items():
            drawing = self.scores[layout, "harmful"].drawing
            often = np.bincount(drawing, weights=stopped[layout][:, category]) / np.bincount(drawing)
            hits += share * float((often[members] * worth).sum())
        return Share(hits=hits, of=len(names))

    def wrong(self, stopped: Mapping[str, Flags], category: int | None, shares: Mapping[str, float]) -> Share:
        """Count harmless drawings that are stopped, in one category, or in any (None)."""
        hits = sum(share * float(_of(stopped[layout], category).mean()) for layout, share in shares.items())
        of = min(len(stopped[layout]) for layout in shares)
        return Share(hits=hits * of, of=of)

    def marks(self, population: str) -> NDArray[np.int8]:
        """Return `[K,C]` of `Mark`, in the columns of scores."""
        columns = [self.material.drawings.categories.index(name) for name in self.categories]
        return self.material.marks(population)[:, columns]


def _of(stopped: Flags, category: int | None) -> Flags:
    flags = stopped.any(1) if category is None else stopped[:, category]
    return np.asarray(flags)


def _line(scores: Floats, weights: Floats, limit: float) -> float:
    """Find the least line that stops no more than a share; weights sum to 1."""
    order = np.argsort(-scores)
    above = np.cumsum(weights[order]) > limit + 1e-12
    return float(np.nextafter(scores[order][np.argmax(above)], np.inf))
