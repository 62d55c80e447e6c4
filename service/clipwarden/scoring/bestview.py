"""Choose the view that each concept is reported on: scores of V views in, one `Scored` with all it rests on out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.scoring.score import ConceptScores, Floats, sigmoid
from clipwarden.scoring.tables import Tables
from clipwarden.scoring.verdict import Adjusted, Match, Scored, ViewRef


@dataclass(frozen=True, kw_only=True, slots=True)
class _BestView:
    """`ConceptScores` of the view that each concept is reported on: `[C]`, and `[P]` for texts."""

    view: NDArray[np.intp]
    texts: Floats
    cosine: Floats
    margin: Floats
    score: Floats
    adjustments: NDArray[np.intp] | None
    finite: NDArray[np.bool_]


def raw_scores(scores: ConceptScores, tables: Tables) -> Floats:
    """Return what views are compared by: the raw number, not the sigmoid of it, which is 1.0 for many.

    Args:
        scores: Of V views.
        tables: Those that `scores` came from.

    Returns:
        `[V,C]` float64.
    """
    return np.where(tables.methods.by_logit, scores.margin, scores.score)


def best_views(
    scores: ConceptScores, views: Sequence[ViewRef], tables: Tables, chosen: NDArray[np.intp] | None = None
) -> list[Scored | None]:
    """Report each concept on one view, by default the one where it scored highest; the first of equals.

    Args:
        scores: Of the views of one image.
        views: V names, in row order.
        tables: Those that `scores` came from.
        chosen: `[C]`, the index of each concept's view; None takes where it scored highest.

    Returns:
        C entries. None where any view's numbers were not finite: the view that is missing may be the worst one.
    """
    best = _best_view(scores, tables, chosen)
    prompts, contrasts = _winners(best.texts, tables)
    columns = zip(
        tables.methods.kinds,
        best.finite.tolist(),
        best.score.tolist(),
        best.cosine.tolist(),
        best.margin.tolist(),
        _pair_probabilities(best.texts[prompts], tables),
        _matches(best.texts, prompts, tables.rows.has_prompts, tables),
        _matches(best.texts, contrasts, tables.rows.has_negatives, tables),
        best.view.tolist(),
        _adjusted(best.adjustments, tables),
        tables.methods.is_margin.tolist(),
        tables.methods.is_head.tolist(),
        strict=True,
    )
    return [
        Scored(
            kind=kind,
            score=score,
            cosine=None if is_head else cosine,
            margin=margin if is_margin else None,
            logit=margin if is_head else None,
            pair_probability=None if is_head else pair,
            prompt=prompt,
            contrast=contrast,
            view=views[view],
            adjustment=adjustment,
        )
        if finite
        else None
        for kind, finite, score, cosine, margin, pair, prompt, contrast, view, adjustment, is_margin, is_head in columns
    ]


def _best_view(scores: ConceptScores, tables: Tables, chosen: NDArray[np.intp] | None) -> _BestView:
    """Choose each concept's view: [V,C] -> [C]."""
    if len(scores.score) == 1:  # The common case, without the cost of choosing.
        view = np.zeros(scores.score.shape[1], dtype=np.intp)
        return _BestView(
            view=view,
            texts=scores.texts[0],
            cosine=scores.cosine[0],
            margin=scores.margin[0],
            score=scores.score[0],
            adjustments=None if scores.adjustments is None else scores.adjustments[0],
            finite=scores.finite[0],
        )
    view = raw_scores(scores, tables).argmax(axis=0) if chosen is None else chosen
    cell = (view, np.arange(len(view)))
    return _BestView(
        view=view,
        texts=scores.texts[view[tables.rows.concept_of_row], np.arange(scores.texts.shape[1])],
        cosine=scores.cosine[cell],
        margin=scores.margin[cell],
        score=scores.score[cell],
        adjustments=None if scores.adjustments is None else scores.adjustments[cell],
        finite=np.logical_and.reduce(scores.finite, axis=0),
    )


def _adjusted(chosen: NDArray[np.intp] | None, tables: Tables) -> Sequence[Adjusted | None]:
    """Name what raised each concept's score: [C] -> C."""
    if chosen is None or tables.adjustments is None:
        return (None,) * len(tables.methods.kinds)
    return [tables.adjustments.named[index] for index in chosen.tolist()]


def _winners(texts: Floats, tables: Tables) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the rows of each concept's best prompt and best negative, the first of equals: [P] -> [C], [C]."""
    tops = np.maximum.reduceat(texts, tables.rows.starts)
    hits = np.flatnonzero(texts == tops[tables.rows.segment_of_row])
    first = hits[hits.searchsorted(tables.rows.starts)]
    return first.take(tables.rows.prompt_segment), first.take(tables.rows.negative_segment)


def _matches(texts: Floats, winners: NDArray[np.intp], owned: Sequence[bool], tables: Tables) -> list[Match | None]:
    """Name each concept's winner: [C] -> C; None where a concept owns no phrase of the kind."""
    phrases = tables.rows.phrases
    found = zip(owned, winners.tolist(), texts[winners].tolist(), strict=True)
    return [Match(phrase=phrases[row], cosine=cosine) if owns else None for owns, row, cosine in found]


def _pair_probabilities(best: Floats, tables: Tables) -> list[float] | list[None]:
    """Read the winning prompts' cosines as SigLIP does: `sigmoid(s*cos + bias)`. A pair is one image and one text."""
    bias = tables.compiled.logit_bias
    if bias is None:
        return [None] * len(best)
    probabilities: list[float] = sigmoid(tables.compiled.logit_scale * best + bias).tolist()
    return probabilities
