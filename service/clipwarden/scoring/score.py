"""Turn image embeddings into cosines and logits, and those into scores, with the texts and views behind it.

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

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.head import head_logits
from clipwarden.scoring.tables import AdjustmentTable, Tables
from clipwarden.scoring.verdict import Adjusted, Match, Scored, ViewRef

LOWEST_LOGIT = -700.0
"""Logits below this count as this: their sigmoid is 1e-304, and exp overflows a float64 above 709.78."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptScores:
    """Every concept's numbers for every row of cosines; V rows, C concepts.

    Attributes:
        texts: `[V,P]` float64, the clipped cosines; 0 where they were not finite.
        cosine: `[V,C]` float64, pooled; without meaning under Method.HEAD.
        margin: `[V,C]` float64, in logits; under Method.HEAD the head's own; without meaning under Method.COSINE.
        score: `[V,C]` float64: the number thresholds compare with.
        adjustments: `[V,C]` intp, the place in the `AdjustmentTable` of the one that raised the score, A for none; None
            where the policy has none.
        finite: `[V,C]` bool; where false the other numbers mean nothing.
    """

    texts: Floats
    cosine: Floats
    margin: Floats
    score: Floats
    adjustments: NDArray[np.intp] | None
    finite: NDArray[np.bool_]


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


def cosines(embeddings: NDArray[np.float32], compiled: CompiledPolicy) -> NDArray[np.float32]:
    """Compare every view of a batch with every text, and run every head on it, in one call.

    Args:
        embeddings: `[V,D]` float32, unit rows: all views of all images of the batch.
        compiled: Its `vectors` are `[P+1,D]`; it has H different heads, usually none.

    Returns:
        `[V,P+1+H]` float32: the texts, the mean cosine to the background, and each head's logit. A row that holds NaN
        or infinity yields values that are not finite, which `score_rows` reports.
    """
    # [V,1,D] . [1,P+1,D] -> [V,P+1]. An encoder's NaN or infinity is for the judgement to report, not for a warning.
    with np.errstate(invalid="ignore", over="ignore"):
        rows: NDArray[np.float32] = np.vecdot(embeddings[:, np.newaxis], compiled.vectors[np.newaxis])
    return np.concatenate([rows, head_logits(embeddings, compiled.heads)], axis=1) if compiled.heads else rows


def score_rows(rows: NDArray[np.float32], tables: Tables) -> ConceptScores:
    """Score every concept on every row of cosines; rows do not touch one another.

    Args:
        rows: `[V,P+1+H]` from `cosines`; the V rows may be views of one image, or a whole data set.
        tables: Of the policy that `rows` was computed with.

    Returns:
        The numbers of all concepts.

    Source:
        margin `m = s * ((P - B) - lambda * max(0, N - P))`, score `p = sigmoid(a*m + b)`; `b = 0` when uncalibrated;
        of a head, `p = sigmoid(logit + b)`: the scale `a` is that of margins.
        adjustments: the "special care" concepts of the Stable Diffusion safety checker add 0.01 to the others, once.
    """
    wide = rows.astype(np.float64)
    sound = _sound(wide, tables)
    if sound is not None:
        wide = np.where(np.isfinite(wide), wide, 0.0)
    count = tables.rows.count
    background = wide[:, count : count + 1]
    texts = np.clip(wide[:, :count] if count else np.zeros((len(wide), len(tables.rows.texts))), -1.0, 1.0)
    tops = np.maximum.reduceat(texts, tables.rows.starts, axis=1)
    pooled = _pool(texts, tops, tables)
    excess = np.maximum(0.0, tops[:, tables.rows.negative_segment] - pooled)
    margin = tables.compiled.logit_scale * ((pooled - background) - tables.methods.penalties * excess)
    slope = tables.compiled.policy.model.calibration_scale
    score = np.where(tables.methods.is_margin, sigmoid(slope * margin + tables.methods.biases), pooled)
    if tables.methods.any_head:
        margin = np.where(tables.methods.is_head, wide[:, count + 1 :][:, tables.methods.head_column], margin)
        score = np.where(tables.methods.is_head, sigmoid(margin + tables.methods.biases), score)
    finite = np.isfinite(score) if sound is None else sound & np.isfinite(score)
    adjustments = _adjust(score, finite, tables.adjustments) if tables.adjustments else None
    return ConceptScores(texts=texts, cosine=pooled, margin=margin, score=score, adjustments=adjustments, finite=finite)


def _adjust(score: Floats, finite: NDArray[np.bool_], table: AdjustmentTable) -> NDArray[np.intp]:
    """Raise the scores `[V,C]` in place where attributes of the same view ask for it, and say by which adjustment.

    A category whose attribute could not be scored is not finite either: the rise that is missing may be the one that
    would have blocked. Attributes are never raised, so it does not matter who comes first.

    Returns:
        `[V,C]` intp, as `ConceptScores.adjustments`.
    """
    none = len(table.asked)
    holds = score[:, table.asked] >= table.bounds  # [V,A]
    first = np.minimum.reduceat(np.where(holds, np.arange(none), none), table.starts, axis=1)  # [V,R]
    score[:, table.raised] += table.rises[first]
    finite[:, table.raised] &= np.logical_and.reduceat(finite[:, table.asked], table.starts, axis=1)
    chosen = np.full(score.shape, none, dtype=np.intp)
    chosen[:, table.raised] = first
    return chosen


def sigmoid(logits: Floats) -> Floats:
    """Compute `1 / (1 + exp(-x))`, never decreasing in x also after rounding, as thresholds need it.

    The usual split by sign, `e / (1 + e)` for one half, is not monotone in its last bit.

    Args:
        logits: Any shape.

    Returns:
        The same shape, in (0, 1]; NaN stays NaN.
    """
    return 1.0 / (1.0 + np.exp(-np.maximum(logits, LOWEST_LOGIT)))


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
        chosen: `[C]`, the place of each concept's view; None takes where it scored highest.

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
        _matches(best.texts, prompts, tables),
        _matches(best.texts, contrasts, tables),
        tables.rows.has_negatives,
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
            pair_probability=None if is_head else pair_probability,
            prompt=None if is_head else prompt,
            contrast=contrast if has_contrast else None,
            view=views[view],
            adjustment=adjustment,
        )
        if finite
        else None
        for (
            kind,
            finite,
            score,
            cosine,
            margin,
            pair_probability,
            prompt,
            contrast,
            has_contrast,
            view,
            adjustment,
            is_margin,
            is_head,
        ) in columns
    ]


def _adjusted(chosen: NDArray[np.intp] | None, tables: Tables) -> Sequence[Adjusted | None]:
    """Name what raised each concept's score: [C] -> C."""
    if chosen is None or tables.adjustments is None:
        return (None,) * len(tables.methods.kinds)
    return [tables.adjustments.named[place] for place in chosen.tolist()]


def _sound(wide: Floats, tables: Tables) -> NDArray[np.bool_] | None:
    """Find `[V,C]`, the concepts whose every cosine is finite; None, quickly, where all are."""
    good = np.isfinite(wide)
    if good.all():
        return None
    count = tables.rows.count
    texts = good[:, :count] if count else np.ones((len(good), len(tables.rows.texts)), dtype=np.bool_)
    segments = np.logical_and.reduceat(texts, tables.rows.starts, axis=1)
    prompts = segments[:, tables.rows.prompt_segment]
    negatives = segments[:, tables.rows.negative_segment] | np.logical_not(tables.rows.has_negatives)
    background = good[:, count : count + 1] | ~tables.methods.is_margin
    sound: NDArray[np.bool_] = prompts & negatives & background
    if tables.methods.any_head:
        sound = np.where(tables.methods.is_head, good[:, count + 1 :][:, tables.methods.head_column], sound)
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


def _winners(texts: Floats, tables: Tables) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the rows of each concept's best prompt and best negative, the first of equals: [P] -> [C], [C]."""
    tops = np.maximum.reduceat(texts, tables.rows.starts)
    hits = np.flatnonzero(texts == tops[tables.rows.segment_of_row])
    first = hits[np.searchsorted(hits, tables.rows.starts)]
    return first[tables.rows.prompt_segment], first[tables.rows.negative_segment]


def _matches(texts: Floats, winners: NDArray[np.intp], tables: Tables) -> list[Match]:
    names, digests = tables.rows.texts, tables.rows.vector_digests
    pairs = zip(winners.tolist(), texts[winners].tolist(), strict=True)
    return [Match(text=names[row], cosine=cosine, vector_digest=digests[row]) for row, cosine in pairs]


def _pair_probabilities(best: Floats, tables: Tables) -> list[float] | list[None]:
    """Read the winning prompts' cosines as SigLIP does: `sigmoid(s*cos + bias)`. A pair is one image and one text."""
    bias = tables.compiled.logit_bias
    if bias is None:
        return [None] * len(best)
    probabilities: list[float] = sigmoid(tables.compiled.logit_scale * best + bias).tolist()
    return probabilities
