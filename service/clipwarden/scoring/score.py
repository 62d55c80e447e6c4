"""Turn image embeddings into cosines, and cosines into each concept's score, with the texts and views behind it.

Numbers, so that a stranger can check them:

- A cosine is a float32 dot product of two vectors, and depends on those two vectors alone: not on the batch, not on
  the other prompts. `np.vecdot` gives that, a BLAS `gemm` does not: with 1,001 rows of width 512 its last bits
  changed with the number of images (1, 2, 3, 4, 5, 7, 8, 16, 33, 64 tried) and with the order of the rows. The price
  is 40 against 31 microseconds for one image, and 40 against 13 for each of 32 (one core, OpenBLAS, Zen 3).
- From there on everything is float64. A float32 widens exactly, nothing is rounded, and the doubles in a report are
  the very ones that were compared: whoever repeats `score >= bound` on them gets the same band.
- Cosines of unit vectors may pass 1 by a rounding error of float32; they are clipped to [-1, 1] before use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.compiled import CompiledPolicy
from clipwarden.scoring.tables import Tables
from clipwarden.scoring.verdict import Match, Scored, ScoreKind, ViewRef

LOWEST_LOGIT = -700.0
"""Logits below this count as this: their sigmoid is 1e-304, and exp overflows a float64 above 709.78."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptScores:
    """Every concept's numbers for every row of cosines; V rows, C concepts.

    Attributes:
        texts: `[V,P]` float64, the clipped cosines; 0 where they were not finite.
        cosine: `[V,C]` float64, pooled.
        margin: `[V,C]` float64, in logits; without meaning under Method.COSINE.
        score: `[V,C]` float64: the number thresholds compare with.
        finite: `[V,C]` bool; where false the other numbers mean nothing.
    """

    texts: Floats
    cosine: Floats
    margin: Floats
    score: Floats
    finite: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class _BestView:
    """`ConceptScores` of the view that each concept is reported on: `[C]`, and `[P]` for texts."""

    view: NDArray[np.intp]
    texts: Floats
    cosine: Floats
    margin: Floats
    score: Floats
    finite: NDArray[np.bool_]


def cosines(embeddings: NDArray[np.float32], compiled: CompiledPolicy) -> NDArray[np.float32]:
    """Compare every view of a batch with every text, in one call.

    Args:
        embeddings: `[V,D]` float32, unit rows: all views of all images of the batch.
        compiled: Its `vectors` are `[P+1,D]`.

    Returns:
        `[V,P+1]` float32; the last column is the mean cosine to the background. A row that holds NaN or infinity
        yields values that are not finite, which `score_rows` reports.
    """
    # [V,1,D] . [1,P+1,D] -> [V,P+1]. An encoder's NaN or infinity is for the judgement to report, not for a warning.
    with np.errstate(invalid="ignore", over="ignore"):
        rows: NDArray[np.float32] = np.vecdot(embeddings[:, np.newaxis], compiled.vectors[np.newaxis])
    return rows


def score_rows(rows: NDArray[np.float32], tables: Tables) -> ConceptScores:
    """Score every concept on every row of cosines; rows do not touch one another.

    Args:
        rows: `[V,P+1]` from `cosines`; the V rows may be views of one image, or a whole data set.
        tables: Of the policy that `rows` was computed with.

    Returns:
        The numbers of all concepts.

    Source:
        margin `m = s * ((P - B) - lambda * max(0, N - P))`, score `p = sigmoid(a*m + b)`; `b = 0` when uncalibrated.
    """
    wide = rows.astype(np.float64)
    sound = _sound(wide, tables)
    if sound is not None:
        wide = np.where(np.isfinite(wide), wide, 0.0)
    texts, background = np.clip(wide[:, :-1], -1.0, 1.0), wide[:, -1:]
    tops = np.maximum.reduceat(texts, tables.rows.starts, axis=1)
    pooled = _pool(texts, tops, tables)
    excess = np.maximum(0.0, tops[:, tables.rows.negative_segment] - pooled)
    margin = tables.compiled.logit_scale * ((pooled - background) - tables.methods.penalties * excess)
    slope = tables.compiled.policy.model.calibration_scale
    score = np.where(tables.methods.is_margin, sigmoid(slope * margin + tables.methods.biases), pooled)
    return ConceptScores(
        texts=texts,
        cosine=pooled,
        margin=margin,
        score=score,
        finite=np.isfinite(score) if sound is None else sound & np.isfinite(score),
    )


def sigmoid(logits: Floats) -> Floats:
    """Compute `1 / (1 + exp(-x))`, never decreasing in x also after rounding, as thresholds need it.

    The usual split by sign, `e / (1 + e)` for one half, is not monotone in its last bit.

    Args:
        logits: Any shape.

    Returns:
        The same shape, in (0, 1]; NaN stays NaN.
    """
    return 1.0 / (1.0 + np.exp(-np.maximum(logits, LOWEST_LOGIT)))


def best_views(scores: ConceptScores, views: Sequence[ViewRef], tables: Tables) -> list[Scored | None]:
    """Report each concept on the view where it scored highest; the first of equals.

    Args:
        scores: Of the views of one image.
        views: V names, in row order.
        tables: Those that `scores` came from.

    Returns:
        C entries. None where any view's numbers were not finite: the view that is missing may be the worst one.
    """
    raw_cosine = ScoreKind.RAW_COSINE
    best = _best_view(scores, tables)
    prompts, contrasts = _winners(best.texts, tables)
    columns = zip(
        tables.methods.kinds,
        best.finite.tolist(),
        best.score.tolist(),
        best.cosine.tolist(),
        best.margin.tolist(),
        _pair_probabilities(best.texts[prompts], tables),
        _matches(best.texts, prompts, tables),
        _matches(best.texts, contrasts, tables),
        tables.rows.has_negatives,
        best.view.tolist(),
        strict=True,
    )
    return [
        Scored(
            kind=kind,
            score=score,
            cosine=cosine,
            margin=None if kind is raw_cosine else margin,
            pair_probability=pair_probability,
            prompt=prompt,
            contrast=contrast if has_contrast else None,
            view=views[view],
        )
        if finite
        else None
        for kind, finite, score, cosine, margin, pair_probability, prompt, contrast, has_contrast, view in columns
    ]


def _sound(wide: Floats, tables: Tables) -> NDArray[np.bool_] | None:
    """Find `[V,C]`, the concepts whose every cosine is finite; None, quickly, where all are."""
    good = np.isfinite(wide)
    if good.all():
        return None
    segments = np.logical_and.reduceat(good[:, :-1], tables.rows.starts, axis=1)
    prompts = segments[:, tables.rows.prompt_segment]
    negatives = segments[:, tables.rows.negative_segment] | np.logical_not(tables.rows.has_negatives)
    background = good[:, -1:] | ~tables.methods.is_margin
    sound: NDArray[np.bool_] = prompts & negatives & background
    return sound


def _pool(texts: Floats, tops: Floats, tables: Tables) -> Floats:
    """Make one cosine of each concept's prompts: [V,P], [V,S] -> [V,C]."""
    pooled: Floats = tops[:, tables.rows.prompt_segment]
    if tables.methods.any_mean:
        pooled = np.where(tables.methods.is_mean, _mean(texts, tables), pooled)
    if tables.methods.any_lse:
        pooled = np.where(tables.methods.is_lse, _log_sum_exp(texts, tables), pooled)
    return pooled


def _mean(texts: Floats, tables: Tables) -> Floats:
    """Compute `sum w_i cos_i / sum w_i`."""
    sums = np.add.reduceat(texts * tables.rows.weights, tables.rows.starts, axis=1)
    mean: Floats = sums[:, tables.rows.prompt_segment] / tables.rows.weight_sums
    return mean


def _log_sum_exp(texts: Floats, tables: Tables) -> Floats:
    """Compute `log(sum w_i exp(s cos_i) / sum w_i) / s`, with the greatest exponent taken out of the sum."""
    scale = tables.compiled.logit_scale
    exponents = scale * texts + tables.rows.log_weights
    greatest = np.maximum.reduceat(exponents, tables.rows.starts, axis=1)
    shares = np.exp(exponents - greatest[:, tables.rows.segment_of_row])
    logs = greatest + np.log(np.add.reduceat(shares, tables.rows.starts, axis=1))
    pooled: Floats = (logs[:, tables.rows.prompt_segment] - np.log(tables.rows.weight_sums)) / scale
    return pooled


def _best_view(scores: ConceptScores, tables: Tables) -> _BestView:
    """Choose each concept's view: [V,C] -> [C]."""
    if len(scores.score) == 1:  # The common case, without the cost of choosing.
        view = np.zeros(scores.score.shape[1], dtype=np.intp)
        return _BestView(
            view=view,
            texts=scores.texts[0],
            cosine=scores.cosine[0],
            margin=scores.margin[0],
            score=scores.score[0],
            finite=scores.finite[0],
        )
    # The raw number chooses, not the sigmoid of it, which is 1.0 for many and would hide which was higher.
    view = np.where(tables.methods.is_margin, scores.margin, scores.cosine).argmax(axis=0)
    cell = (view, np.arange(len(view)))
    return _BestView(
        view=view,
        texts=scores.texts[view[tables.rows.concept_of_row], np.arange(scores.texts.shape[1])],
        cosine=scores.cosine[cell],
        margin=scores.margin[cell],
        score=scores.score[cell],
        finite=np.logical_and.reduce(scores.finite, axis=0),
    )


def _winners(texts: Floats, tables: Tables) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the rows of each concept's best prompt and best negative, the first of equals: [P] -> [C], [C]."""
    tops = np.maximum.reduceat(texts, tables.rows.starts)
    hits = np.flatnonzero(texts == tops[tables.rows.segment_of_row])
    first = hits[np.searchsorted(hits, tables.rows.starts)]
    return first[tables.rows.prompt_segment], first[tables.rows.negative_segment]


def _matches(texts: Floats, winners: NDArray[np.intp], tables: Tables) -> list[Match]:
    names = tables.rows.texts
    pairs = zip(winners.tolist(), texts[winners].tolist(), strict=True)
    return [Match(text=names[row], cosine=cosine) for row, cosine in pairs]


def _pair_probabilities(best: Floats, tables: Tables) -> list[float] | list[None]:
    """Read the winning prompts' cosines as SigLIP does: `sigmoid(s*cos + bias)`. A pair is one image and one text."""
    bias = tables.compiled.logit_bias
    if bias is None:
        return [None] * len(best)
    probabilities: list[float] = sigmoid(tables.compiled.logit_scale * best + bias).tolist()
    return probabilities
