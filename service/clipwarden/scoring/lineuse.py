"""Embedded pictures and a prepared policy in; how many of them each line would stop, and how high any comes, out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clipwarden.modelfolder.references import References
from clipwarden.policy.contexts import bounds_in
from clipwarden.policy.lines import Unbound
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Adjustment, Bounds, Category, Exemption, Mode, Unit
from clipwarden.scoring.rules import CategoryRule
from clipwarden.scoring.score import Floats, cosines, score_rows
from clipwarden.scoring.tables import Tables

TOP = 5
"""Pictures named of each line: enough to look at, few enough to read."""
RARE = 0.01
"""Share of neutral pictures that a line might be raised to. Named as a fact, never as the line to choose."""
_NUMBERS_AT_ONCE = 2**20
"""Cosines held at once, 8 MB as float64; several such tables live at a time while they become scores."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pictures:
    """Pictures as a model sees them; N pictures of R views.

    Attributes:
        names: N names.
        shows: For each picture, the categories that a person saw in it, by id; empty where nobody said.
        neutral: `[N]` bool, the pictures that shares are of; all of them, where nobody said what they show.
        starts: `[N]` intp, the first view of each picture, rising: what `ufunc.reduceat` wants.
        embeddings: `[R,D]` float32, unit rows.
        shipped: Whether they are the drawings that ship with the model, on which the shipped lines were chosen.
    """

    names: Sequence[str]
    shows: Sequence[Sequence[str]]
    neutral: Flags
    starts: NDArray[np.intp]
    embeddings: NDArray[np.float32]
    shipped: bool = False

    @classmethod
    def shipped_with(cls, references: References) -> Self:
        """Take the drawings that ship with a model."""
        drawings = references.drawings
        return cls(
            names=tuple(f"{drawing.icon_set}/{drawing.name}" for drawing in drawings),
            shows=tuple(drawing.shows for drawing in drawings),
            neutral=np.array([drawing.neutral for drawing in drawings], dtype=np.bool_),
            starts=np.arange(len(drawings), dtype=np.intp),
            embeddings=references.embeddings,
            shipped=True,
        )

    @classmethod
    def of(cls, embedded: Mapping[str, NDArray[np.float32]]) -> Self:
        """Take pictures of which nobody said anything: by name, their views `[V,D]`; at least one."""
        counts = [len(views) for views in embedded.values()]
        return cls(
            names=tuple(embedded),
            shows=((),) * len(embedded),
            neutral=np.ones(len(embedded), dtype=np.bool_),
            starts=np.cumsum([0, *counts[:-1]], dtype=np.intp),
            embeddings=np.concatenate(list(embedded.values())),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many pictures of some come into which band of one category."""

    pictures: int
    review: int
    block: int

    @property
    def stopped(self) -> int:
        """How many come into either."""
        return self.review + self.block


@dataclass(frozen=True, kw_only=True, slots=True)
class LineUse:
    """What the lines of one category do to some pictures, in one context.

    Attributes:
        category: As the policy wrote it.
        place: Of the category among the policy's.
        context: None where no context was named.
        mode: Of the category there.
        bounds: Of the category there.
        in_force: False where the thresholds were not chosen on what the policy holds, so that they give no band.
        moved: Whether `chosen_on` says that they were chosen on something else.
        neutral: Of the pictures that shares are of.
        showing: Of those that a person saw the category in.
        rare: The score that one in a hundred of the neutral pictures comes to.
        highest: Of all pictures; a line above it is one that none of them reaches.
        top: Names and scores of the highest, the highest first.
    """

    category: Category
    place: int
    context: str | None
    mode: Mode
    bounds: Bounds
    in_force: bool
    moved: bool
    neutral: Counts
    showing: Counts
    rare: float
    highest: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionUse:
    """On how many pictures an exemption or adjustment holds.

    Attributes:
        category: Whose it is.
        place: Of the category among the policy's.
        index: Of the condition among the category's, in the file's order.
        condition: As the policy wrote it.
        unit: Of the attribute's numbers.
        holds: Pictures with a view in which it does.
        pictures: N.
        highest: Of the attribute's numbers.
    """

    category: Category
    place: int
    index: int
    condition: Exemption | Adjustment
    unit: Unit
    holds: int
    pictures: int
    highest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """What a policy makes of some pictures.

    Attributes:
        pictures: What they are.
        lines: By category, in the file's order; contexts after, where their bounds are others.
        conditions: Of all categories that have lines.
    """

    pictures: Pictures
    lines: tuple[LineUse, ...]
    conditions: tuple[ConditionUse, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Scored:
    """Numbers of all views: `[R,C]`, minus infinity where they were not finite."""

    score: Floats
    pictures: Pictures

    def best(self, column: int) -> Floats:
        """Return `[N]`, each picture's highest number."""
        return np.maximum.reduceat(self.score[:, column], self.pictures.starts)

    def anywhere(self, views: Flags) -> Flags:
        """Turn `[R]` into `[N]`: whether it is so in any view of each picture."""
        found: Flags = np.logical_or.reduceat(views, self.pictures.starts)
        return found


def measure(tables: Tables, pictures: Pictures) -> Scale:
    """Count what each line of a policy would stop, exactly as `decide.judge` draws bands. Pure.

    Args:
        tables: Of the policy.
        pictures: Embedded by the policy's model.

    Returns:
        The counts; lines that are not in force count as if they were.
    """
    scored = _Scored(score=_scores(tables, pictures), pictures=pictures)
    live = [(place, rule) for place, rule in enumerate(tables.categories) if rule.index is not None]
    return Scale(
        pictures=pictures,
        lines=tuple(use for place, rule in live for use in _lines(tables, place, rule, scored)),
        conditions=tuple(use for place, rule in live for use in _conditions(tables, place, rule, scored)),
    )


def _scores(tables: Tables, pictures: Pictures) -> Floats:
    step = max(1, _NUMBERS_AT_ONCE // len(tables.compiled.vectors))
    blocks = []
    for start in range(0, len(pictures.embeddings), step):
        scores = score_rows(cosines(pictures.embeddings[start : start + step], tables.compiled), tables)
        blocks.append(np.where(scores.finite, scores.score, -np.inf))
    return np.concatenate(blocks)


def _lines(tables: Tables, place: int, rule: CategoryRule, scored: _Scored) -> Iterator[LineUse]:
    seen = {Bounds()}
    for context, mode in rule.modes.items():
        # The policy's own, not the rule's: those of lines that are not in force are empty.
        bounds = bounds_in(rule.category, context)
        if mode is not Mode.DISABLED and bounds not in seen:
            seen.add(bounds)
            unbound = tables.compiled.unbound.get(rule.category.id)
            yield _line(place, rule, scored, context, bounds, unbound=unbound)


def _line(
    place: int, rule: CategoryRule, scored: _Scored, context: str | None, bounds: Bounds, *, unbound: Unbound | None
) -> LineUse:
    assert rule.index is not None  # noqa: S101  its caller looked
    pictures, best = scored.pictures, scored.best(rule.index)
    block = scored.anywhere(_blocks(rule, scored, bounds))
    review = (best >= min(bound for bound in (bounds.review, bounds.block) if bound is not None)) & ~block
    showing = np.array([rule.category.id in shows for shows in pictures.shows], dtype=np.bool_)
    order = np.argsort(-best, kind="stable")[:TOP]

    def count(some: Flags) -> Counts:
        return Counts(pictures=int(some.sum()), review=int((review & some).sum()), block=int((block & some).sum()))

    return LineUse(
        category=rule.category,
        place=place,
        context=context,
        mode=rule.modes[context],
        bounds=bounds,
        in_force=unbound is None,
        moved=unbound is Unbound.CHOSEN_ON_OTHER,
        neutral=count(pictures.neutral),
        showing=count(showing),
        rare=float(np.quantile(best[pictures.neutral], 1.0 - RARE, method="higher")),
        highest=float(best[order[0]]),
        top=tuple((pictures.names[index], float(best[index])) for index in order),
    )


def _blocks(rule: CategoryRule, scored: _Scored, bounds: Bounds) -> Flags:
    """Find the views `[R]` that block: those above the line that no exemption excuses."""
    assert rule.index is not None  # noqa: S101  its caller looked
    blocks: Flags = scored.score[:, rule.index] >= (np.inf if bounds.block is None else bounds.block)
    for exemption in rule.exemptions:
        blocks &= scored.score[:, exemption.index] < exemption.exemption.gte
    return blocks


def _conditions(tables: Tables, place: int, rule: CategoryRule, scored: _Scored) -> Iterator[ConditionUse]:
    category = rule.category
    if category.thresholds is None:
        return
    attributes = {attribute.id: (attribute, column) for attribute, column in tables.attributes}
    conditions: list[tuple[int, Exemption | Adjustment]] = [
        *enumerate(category.exemptions),
        *enumerate(category.adjustments),
    ]
    for index, condition in conditions:
        if condition.attribute in tables.compiled.dropped_calibrations:
            continue  # it does not hold, and lint says so
        attribute, column = attributes[condition.attribute]
        best = scored.best(column)
        yield ConditionUse(
            category=category,
            place=place,
            index=index,
            condition=condition,
            unit=METHODS[attribute.method].unit,
            holds=int((best >= condition.gte).sum()),
            pictures=len(best),
            highest=float(best.max()),
        )
