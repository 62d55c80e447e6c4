"""Turn a compiled policy into the arrays that judging reads, once, so that judging an image only looks things up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Attribute, Category, Concept, Method, Phrase, Pool, Unit
from clipwarden.scoring.rules import CategoryRule, category_rule, ground
from clipwarden.scoring.verdict import Adjusted, Ground, ScoreKind

NEGATIVE_PENALTY = 0.5
"""`lambda` of the margin. Source: mean AUROC over 14 category and set cells of an early trial model was 0.892 with
this capped penalty, 0.659 with the plain difference to the best negative, which lets one benign look-alike veto.
No digest covers it, so changing it means changing `policy.schema.SCHEMA_VERSION`: old calibrations no longer hold."""


SCORED_METHODS = frozenset({Method.MARGIN, Method.COSINE, Method.HEAD})
"""What `score.score_rows` has a formula for; a method that the policy language gains has to be added to both."""

_ONE_ZERO = np.zeros(1, dtype=np.intp)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTable:
    """Where each text's cosine lies in a row of cosines, and how it counts.

    A segment is an unbroken run of rows: one concept's prompts, or one concept's negatives. C concepts, S segments.

    A concept scored by a head has no texts, and no segment. Where none has any, one text of nobody's stands in, since
    `prompt_segment` has to point at something.

    Attributes:
        count: P.
        phrases: P texts and learned vectors, in row order.
        starts: `[S]` intp, first row of each segment, rising: what `ufunc.reduceat` wants.
        segment_of_row: `[P]` intp.
        concept_of_row: `[P]` intp.
        weights: `[P]` float64, above 0; 1 for negatives.
        log_weights: `[P]` float64, natural logarithm of `weights`.
        prompt_segment: `[C]` intp; 0, and without meaning, under Method.HEAD.
        negative_segment: `[C]` intp; 0, and without meaning, where `has_negatives` is false.
        has_negatives: C bools.
        weight_sums: `[C]` float64, over prompts; 1 without any.
    """

    count: int
    phrases: tuple[Phrase, ...]
    starts: NDArray[np.intp]
    segment_of_row: NDArray[np.intp]
    concept_of_row: NDArray[np.intp]
    weights: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    prompt_segment: NDArray[np.intp]
    negative_segment: NDArray[np.intp]
    has_negatives: tuple[bool, ...]
    weight_sums: NDArray[np.float64]


class Reported(NamedTuple):
    """What of a concept's numbers is reported, and as what.

    Attributes:
        kind: How its score may be read.
        is_margin: Whether it has a margin.
        is_head: Whether it has a head's logit, and no cosine.
        prompts: Segment of its prompts; None without any.
        negatives: Segment of its negatives; None without any.
    """

    kind: ScoreKind
    is_margin: bool
    is_head: bool
    prompts: int | None
    negatives: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodTable:
    """How each concept's cosines become its score; one entry a concept.

    Attributes:
        is_margin: `[C]` bool.
        is_head: `[C]` bool; where neither this nor `is_margin`, the cosine is used as it is.
        by_logit: `[C]` bool, either of the two.
        head_column: `[C]` intp, which of the H logits is the concept's; 0, and without meaning, where it has none.
        any_head: So that a policy without heads does not pay for them.
        any_cosine: Whether some concept is neither.
        penalties: `[C]` float64: `lambda` of the margin, 0 without negatives.
        is_mean: `[C]` bool.
        is_lse: `[C]` bool; where neither this nor `is_mean`, the pool is `max`.
        any_mean: So that a policy without that pool does not pay for it.
        any_lse: Likewise.
        slopes: `[C]` float64, `a`: the calibration's own; without one the model's for margins, 1 for heads.
        biases: `[C]` float64, `b` in logits; 0 where uncalibrated.
    """

    is_margin: NDArray[np.bool_]
    is_head: NDArray[np.bool_]
    by_logit: NDArray[np.bool_]
    head_column: NDArray[np.intp]
    any_head: bool
    any_cosine: bool
    penalties: NDArray[np.float64]
    is_mean: NDArray[np.bool_]
    is_lse: NDArray[np.bool_]
    any_mean: bool
    any_lse: bool
    slopes: NDArray[np.float64]
    biases: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdjustmentTable:
    """All adjustments, category by category; A adjustments of R categories.

    Within a category the greatest comes first, and of equals the one whose attribute's id does: of those that hold the
    first counts, so that policies with one digest name the same one.

    Attributes:
        asked: `[A]` intp, the attribute's index among the concepts.
        bounds: `[A]` float64, inclusive, compared with the attribute's own score in the same view.
        rises: `[A+1]` float64, above 0; the last is 0, for none.
        named: What each is reported as; the last is None.
        starts: `[R]` intp, first adjustment of each category: what `ufunc.reduceat` wants.
        raised: `[R]` intp, the category's index among the concepts.
    """

    asked: NDArray[np.intp]
    bounds: NDArray[np.float64]
    rises: NDArray[np.float64]
    named: tuple[Adjusted | None, ...]
    starts: NDArray[np.intp]
    raised: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """Everything that judging needs from a compiled policy. Immutable, so safe to share between threads.

    Attributes:
        compiled: What it was made from.
        rows: Where cosines lie.
        methods: How they become scores.
        reported: What is reported of each concept.
        adjustments: What raises scores; None where nothing does, so that such a policy does not pay for it.
        categories: One rule a category, disabled ones among them, in file order.
        exemptible: The rules with exemptions, so that the others do not pay for them.
        attributes: Each attribute and its index among the concepts, in file order.
        grounds: By context, and under None without one.
    """

    compiled: CompiledPolicy
    rows: RowTable
    methods: MethodTable
    reported: tuple[Reported, ...]
    adjustments: AdjustmentTable | None
    categories: tuple[CategoryRule, ...]
    exemptible: tuple[CategoryRule, ...]
    attributes: tuple[tuple[Attribute, int], ...]
    grounds: Mapping[str | None, Ground]

    @property
    def unbound(self) -> tuple[str, ...]:
        """Ids of the categories that are scored and whose thresholds do not hold, in file order."""
        ids = (rule.category.id for rule in self.categories if rule.index is not None)
        return tuple(name for name in ids if name in self.compiled.unbound)


def prepare(compiled: CompiledPolicy) -> Tables:
    """Make the tables of a compiled policy; milliseconds, once per policy.

    Args:
        compiled: Its `vectors` hold one row a text and a last one for the background.

    Returns:
        The tables.

    Raises:
        ValueError: If the policy's texts and the vectors' rows differ in number: a fault of whoever compiled it.
    """
    policy = compiled.policy
    scored = scored_concepts(policy)
    indexes = {concept.id: index for index, concept in enumerate(scored)}
    rows = _row_table(scored)
    if len(compiled.vectors) != rows.count + 1:
        raise ValueError(f"{rows.count} texts and a background need as many vectors, not {len(compiled.vectors)}")
    names = [context.name for context in policy.contexts]
    rules = tuple(category_rule(category, names, indexes, compiled) for category in policy.categories)
    return Tables(
        compiled=compiled,
        rows=rows,
        methods=_method_table(scored, compiled),
        reported=tuple(_reported(index, concept, rows, compiled) for index, concept in enumerate(scored)),
        adjustments=_adjustment_table(policy.categories, indexes),
        categories=rules,
        exemptible=tuple(rule for rule in rules if rule.exemptions),
        attributes=tuple((attribute, indexes[attribute.id]) for attribute in policy.attributes),
        grounds={name: ground(compiled, rules, name) for name in (None, *names)},
    )


def _row_table(concepts: Sequence[Concept]) -> RowTable:
    """Lay the concepts' texts out in the row order that `CompiledPolicy.vectors` promises."""
    runs = [len(run) for concept in concepts for run in (concept.prompts, concept.negatives)]
    starts = [0, *accumulate(runs)][:-1]
    # A concept without negatives has no segment for them: reduceat has no meaning for an empty run.
    filled = [run for run, length in enumerate(runs) if length]
    segment = {run: number for number, run in enumerate(filled)}
    phrases = tuple(phrase for concept in concepts for phrase in concept.phrases)
    lonely = bool(concepts) and not phrases  # heads alone: one text of nobody's stands in
    weights = np.array(
        [weight for concept in concepts for weight in _weights(concept)] + [1.0] * lonely, dtype=np.float64
    )
    owned = np.repeat(np.arange(len(concepts)), [len(concept.phrases) for concept in concepts])
    return RowTable(
        count=len(phrases),
        phrases=("",) if lonely else phrases,
        starts=_ONE_ZERO if lonely else np.array([starts[run] for run in filled], dtype=np.intp),
        segment_of_row=_ONE_ZERO if lonely else np.repeat(np.arange(len(filled)), [runs[run] for run in filled]),
        concept_of_row=_ONE_ZERO if lonely else owned,
        weights=weights,
        log_weights=np.log(weights),
        prompt_segment=np.array([segment.get(2 * index, 0) for index in range(len(concepts))], dtype=np.intp),
        negative_segment=np.array([segment.get(2 * index + 1, 0) for index in range(len(concepts))], dtype=np.intp),
        has_negatives=tuple(bool(concept.negatives) for concept in concepts),
        weight_sums=np.array(
            [sum(prompt.weight for prompt in concept.prompts) or 1.0 for concept in concepts], dtype=np.float64
        ),
    )


def _weights(concept: Concept) -> list[float]:
    return [*(prompt.weight for prompt in concept.prompts), *(1.0 for _ in concept.negatives)]


def _method_table(concepts: Sequence[Concept], compiled: CompiledPolicy) -> MethodTable:
    columns = {head: column for column, head in enumerate(compiled.heads)}
    calibrations = [compiled.calibration(concept) for concept in concepts]
    pools = [concept.pool for concept in concepts]
    if unknown := {concept.method for concept in concepts} - SCORED_METHODS:
        raise ValueError(f"there is no formula for the method {unknown.pop()}")
    is_margin = np.array([concept.method is Method.MARGIN for concept in concepts], dtype=np.bool_)
    is_head = np.array([concept.method is Method.HEAD for concept in concepts], dtype=np.bool_)
    return MethodTable(
        is_margin=is_margin,
        is_head=is_head,
        by_logit=is_margin | is_head,
        head_column=np.array([columns.get(concept.head, 0) for concept in concepts], dtype=np.intp),
        any_head=bool(is_head.any()),
        any_cosine=not (is_margin | is_head).all(),
        penalties=np.array([NEGATIVE_PENALTY if concept.negatives else 0.0 for concept in concepts], dtype=np.float64),
        is_mean=np.array([pool is Pool.MEAN for pool in pools], dtype=np.bool_),
        is_lse=np.array([pool is Pool.LSE for pool in pools], dtype=np.bool_),
        any_mean=Pool.MEAN in pools,
        any_lse=Pool.LSE in pools,
        slopes=np.array([slope_of(concept, compiled) or 1.0 for concept in concepts], dtype=np.float64),
        biases=np.array([fitted.bias if fitted else 0.0 for fitted in calibrations], dtype=np.float64),
    )


def slope_of(concept: Concept, compiled: CompiledPolicy) -> float | None:
    """Return `a` of `p = sigmoid(a*m + b)` for one of a policy's concepts; None under Method.COSINE."""
    if METHODS[concept.method].unit is Unit.COSINE:
        return None
    fitted = compiled.calibration(concept)
    if fitted and fitted.slope is not None:
        return fitted.slope
    return compiled.policy.model.calibration_scale if METHODS[concept.method].scale_is_open else 1.0


def _reported(index: int, concept: Concept, rows: RowTable, compiled: CompiledPolicy) -> Reported:
    return Reported(
        kind=score_kind(concept, compiled),
        is_margin=concept.method is Method.MARGIN,
        is_head=concept.method is Method.HEAD,
        prompts=int(rows.prompt_segment[index]) if concept.prompts else None,
        negatives=int(rows.negative_segment[index]) if concept.negatives else None,
    )


def score_kind(concept: Concept, compiled: CompiledPolicy) -> ScoreKind:
    """Tell how the scores of one of a policy's concepts may be read."""
    if METHODS[concept.method].unit is Unit.COSINE:
        return ScoreKind.RAW_COSINE
    return ScoreKind.CALIBRATED if compiled.calibration(concept) else ScoreKind.UNCALIBRATED


def _adjustment_table(categories: Iterable[Category], indexes: Mapping[str, int]) -> AdjustmentTable | None:
    # Categories that are disabled everywhere are no concepts.
    adjusted = [category for category in categories if category.adjustments and category.id in indexes]
    if not adjusted:
        return None
    runs = [sorted(category.adjustments, key=lambda item: (-item.add, item.attribute)) for category in adjusted]
    items = [item for run in runs for item in run]
    return AdjustmentTable(
        asked=np.array([indexes[item.attribute] for item in items], dtype=np.intp),
        bounds=np.array([item.gte for item in items], dtype=np.float64),
        rises=np.array([*(item.add for item in items), 0.0], dtype=np.float64),
        named=(*(Adjusted(attribute=item.attribute, add=item.add) for item in items), None),
        starts=np.array([0, *accumulate(len(run) for run in runs)][:-1], dtype=np.intp),
        raised=np.array([indexes[category.id] for category in adjusted], dtype=np.intp),
    )
