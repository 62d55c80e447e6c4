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
    """`ConceptScores` of the view that each concept is reported on: `[C]`, `[P]` for texts, `[S]` for tops."""

    view: Sequence[int]
    texts: Floats
    tops: Floats
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
    matches, pairs = _matches(best, tables), _pair_probabilities(best.tops, tables)
    columns = zip(
        tables.reported,
        best.finite.tolist(),
        best.score.tolist(),
        best.cosine.tolist(),
        best.margin.tolist(),
        best.view,
        _adjusted(best.adjustments, tables),
        strict=True,
    )
    return [
        tuple.__new__(
            Scored,
            (
                kind,
                score,
                None if is_head else cosine,
                margin if is_margin else None,
                margin if is_head else None,
                None if prompts is None else pairs[prompts],
                None if prompts is None else matches[prompts],
                None if negatives is None else matches[negatives],
                views[view],
                adjustment,
            ),
        )
        if finite
        else None
        for (kind, is_margin, is_head, prompts, negatives), finite, score, cosine, margin, view, adjustment in columns
    ]


def _best_view(scores: ConceptScores, tables: Tables, chosen: NDArray[np.intp] | None) -> _BestView:
    """Choose each concept's view: [V,C] -> [C]."""
    if len(scores.score) == 1:  # The common case, without the cost of choosing.
        return _BestView(
            view=(0,) * len(tables.reported),
            texts=scores.texts[0],
            tops=scores.tops[0],
            cosine=scores.cosine[0],
            margin=scores.margin[0],
            score=scores.score[0],
            adjustments=None if scores.adjustments is None else scores.adjustments[0],
            finite=scores.finite[0],
        )
    view = raw_scores(scores, tables).argmax(axis=0) if chosen is None else chosen
    cell = (view, np.arange(len(view)))
    texts = scores.texts[view[tables.rows.concept_of_row], np.arange(scores.texts.shape[1])]
    return _BestView(
        view=view.tolist(),
        texts=texts,
        tops=np.maximum.reduceat(texts, tables.rows.starts),
        cosine=scores.cosine[cell],
        margin=scores.margin[cell],
        score=scores.score[cell],
        adjustments=None if scores.adjustments is None else scores.adjustments[cell],
        finite=np.logical_and.reduce(scores.finite, axis=0),
    )


def _adjusted(chosen: NDArray[np.intp] | None, tables: Tables) -> Sequence[Adjusted | None]:
    """Name what raised each concept's score: [C] -> C."""
    if chosen is None or tables.adjustments is None:
        return (None,) * len(tables.reported)
    return [tables.adjustments.named[index] for index in chosen.tolist()]


def _matches(best: _BestView, tables: Tables) -> list[Match]:
    """Name the winner of each segment, the first of equals: [P] -> S."""
    rows = tables.rows
    hits = (best.texts == best.tops[rows.segment_of_row]).nonzero()[0]
    firsts = hits.take(hits.searchsorted(rows.starts))
    cosines = best.texts.take(firsts)  # Not the tops: 0.0 equals -0.0.
    named = zip([rows.phrases[row] for row in firsts.tolist()], cosines.tolist(), strict=True)
    return [tuple.__new__(Match, pair) for pair in named]


def _pair_probabilities(tops: Floats, tables: Tables) -> Sequence[float | None]:
    """Read the winning prompts' cosines as SigLIP does: `sigmoid(s*cos + bias)`. A pair is one image and one text."""
    bias = tables.compiled.logit_bias
    if bias is None:
        return (None,) * len(tops)
    probabilities: list[float] = sigmoid(tables.compiled.logit_scale * tops + bias).tolist()
    return probabilities
