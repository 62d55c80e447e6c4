"""Say how well a policy judges held-out drawings: areas, rates at the shipped thresholds, calibration."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.schema import Bounds, Calibration, Category
from clipwarden.scoring.score import cosines, score_rows
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.fitting import probability_at
from clipwarden.tuning.metrics import (
    Floats,
    auroc,
    auroc_interval,
    balanced_weights,
    brier_skill,
    calibration_error,
    wilson,
)
from recipes.mini.evidence import Truth
from recipes.mini.heldout import SEED, HeldOut
from recipes.mini.labels import Label

# Beside every labelled drawing, harder views show this many of the others.
_HARD_VIEW_REST: Final = 4000


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The drawings a policy is tried on.

    Attributes:
        rows: Of the rendered pixels.
        families: Set and first word of each name: near copies such as `dice-1` and `dice-2` share one.
        truth: Label of each drawing by category; `negative` where the file says nothing.
    """

    rows: npt.NDArray[np.int64]
    families: list[str]
    truth: dict[str, Truth]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the scorer says of each case, one column a category.

    Attributes:
        categories: In column order.
        calibrations: Those in force; None where a category has none.
        cosine: Best prompt's cosine [K,C].
        max_margin: That less the best negative's cosine [K,C].
        margin: The margin of the policy, in logits [K,C].
        score: The number thresholds compare with [K,C].
    """

    categories: tuple[Category, ...]
    calibrations: tuple[Calibration | None, ...]
    cosine: Floats
    max_margin: Floats
    margin: Floats
    score: Floats


def gather_cases(held: HeldOut, sets: Iterable[str], labels: list[Label], *, sample: bool = False) -> Cases:
    """Collect the drawings of some sets with what is known of them.

    Args:
        held: The held-out drawings.
        sets: Iconify prefixes.
        labels: moderation_eval.csv.
        sample: Whether to keep only labelled drawings and a seeded sample of the others.

    Returns:
        The cases.
    """
    rows = np.concatenate([held.rows_of(s) for s in sets])
    where = {(held.drawing(r).icon_set, held.drawing(r).icon): r for r in rows}
    known = {(m.icon_set, m.icon) for m in labels}
    decided = {(m.icon_set, m.icon) for m in labels if m.label == "positive"}
    rows = held.without_copies(rows, {int(where[key]) for key in decided if key in where})
    kept_rows = frozenset(rows.tolist())
    where = {key: row for key, row in where.items() if row in kept_rows}
    if sample:
        rest = np.array([r for key, r in where.items() if key not in known])
        kept = np.random.default_rng(SEED).choice(rest, min(_HARD_VIEW_REST, len(rest)), replace=False)
        rows = np.array(sorted({*kept.tolist(), *(where[k] for k in known if k in where)}))
    place = {(held.drawing(r).icon_set, held.drawing(r).icon): i for i, r in enumerate(rows)}
    truth: dict[str, Truth] = {}
    for label in labels:
        column = truth.setdefault(label.category, np.full(len(rows), "negative", dtype="<U16"))
        index = place.get((label.icon_set, label.icon))
        if index is not None:
            column[index] = label.label
    drawings = [held.drawing(r) for r in rows]
    return Cases(rows=rows, families=[f"{d.icon_set}:{d.icon.split('-')[0]}" for d in drawings], truth=truth)


def score_cases(vectors: npt.NDArray[np.float32], compiled: CompiledPolicy) -> Scores:
    """Score embeddings with the judging arithmetic of `clipwarden.scoring`.

    Args:
        vectors: Unit vectors [K,D].
        compiled: A compiled policy.

    Returns:
        The scores of its categories.
    """
    tables = prepare(compiled)
    result = score_rows(cosines(vectors, compiled), tables)
    concepts = scored_concepts(compiled.policy)
    chosen = [i for i, c in enumerate(concepts) if isinstance(c, Category)]
    tops = np.maximum.reduceat(result.texts, tables.rows.starts, axis=1)
    negative = np.where(tables.rows.has_negatives, tops[:, tables.rows.negative_segment], 0.0)
    return Scores(
        categories=tuple(c for c in concepts if isinstance(c, Category)),
        calibrations=tuple(compiled.calibration(c) for c in concepts if isinstance(c, Category)),
        cosine=result.cosine[:, chosen],
        max_margin=(result.cosine - negative)[:, chosen],
        margin=result.margin[:, chosen],
        score=result.score[:, chosen],
    )


def category_report(scores: Scores, cases: Cases, column: int) -> dict[str, object]:
    """Write every figure of one category.

    Args:
        scores: Of the cases.
        cases: The drawings.
        column: The category's column.

    Returns:
        A record for the report.
    """
    category = scores.categories[column]
    truth = cases.truth[category.id]
    positive, clear = truth == "positive", truth != "ambiguous"
    negative, hard = clear & ~positive, truth == "hard_negative"
    margin = scores.margin[:, column]
    families = [f for f, p in zip(cases.families, positive, strict=True) if p]
    report: dict[str, object] = {
        "category": category.id,
        "mode": str(category.mode),
        "positives": int(positive.sum()),
        "families": len(set(families)),
        "negatives": int(negative.sum()),
        "hard_negatives": int(hard.sum()),
        "auroc": asdict(auroc_interval(margin[positive], families, margin[negative])),
        "auroc_hard": asdict(auroc_interval(margin[positive], families, margin[hard])),
        "auroc_cosine": auroc(scores.cosine[positive, column], scores.cosine[negative, column]),
        "auroc_max_margin": auroc(scores.max_margin[positive, column], scores.max_margin[negative, column]),
    }
    bounds = category.thresholds.bounds if category.thresholds else Bounds()
    for band, threshold in (("review", bounds.review), ("block", bounds.block)):
        if threshold is not None:
            report[band] = _rates(scores.score[:, column] >= threshold, positive, negative, hard, threshold)
    if calibration := scores.calibrations[column]:
        weights = balanced_weights(positive[clear])
        balanced = probability_at(scores.score[clear, column], calibration.prevalence)
        report["brier_skill"] = brier_skill(balanced, positive[clear], weights)
        report["calibration_error"] = calibration_error(balanced, positive[clear], weights)
    return report


def _rates(
    flagged: npt.NDArray[np.bool_],
    positive: npt.NDArray[np.bool_],
    negative: npt.NDArray[np.bool_],
    hard: npt.NDArray[np.bool_],
    threshold: float,
) -> dict[str, object]:
    def share(of: npt.NDArray[np.bool_]) -> dict[str, object]:
        hits, total = int((flagged & of).sum()), int(of.sum())
        return {"hits": hits, "of": total, **asdict(wilson(hits, total))}

    return {
        "threshold": threshold,
        "recall": share(positive),
        "false_positive_rate": share(negative),
        "false_positive_rate_hard": share(hard),
    }
