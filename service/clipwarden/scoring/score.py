"""Turn image embeddings into cosines and logits, and those into scores, view by view.

Numbers, so that a stranger can check them:

- A cosine is a float32 dot product of two vectors, and depends on those two vectors alone: not on the batch, not on
  the other prompts. `np.vecdot` gives that, a BLAS `gemm` does not: with 1,001 rows of width 512 its last bits
  changed with the number of images (1, 2, 3, 4, 5, 7, 8, 16, 33, 64 tried) and with the order of the rows. The price
  is 40 against 31 microseconds for one image, and 40 against 13 for each of 32 (one core, OpenBLAS, Zen 3).
- From there on everything is float64. A float32 widens exactly, nothing is rounded, and the doubles in a report are
  the very ones that were compared: whoever repeats `score >= bound` on them gets the same band.
- Cosines of unit vectors may pass 1 by a rounding error of float32; they are clipped to [-1, 1] before use.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import HeadLayer
from clipwarden.scoring.tables import AdjustmentTable, Tables

LOWEST_LOGIT = -700.0
"""Logits below this count as this: their sigmoid is 1e-304, and exp overflows a float64 above 709.78."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptScores:
    """Every concept's numbers for every row of cosines; V rows, C concepts.

    Attributes:
        texts: `[V,P]` float64, the clipped cosines; 0 where they were not finite.
        tops: `[V,S]` float64, the greatest of each segment of them.
        cosine: `[V,C]` float64, pooled; without meaning under Method.HEAD.
        margin: `[V,C]` float64, in logits; under Method.HEAD the head's own; without meaning under Method.COSINE.
        score: `[V,C]` float64: the number thresholds compare with.
        adjustments: `[V,C]` intp, the index in the `AdjustmentTable` of the one that raised the score, A for none; None
            where the policy has none.
        finite: `[V,C]` bool; where false the other numbers mean nothing.
    """

    texts: Floats
    tops: Floats
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


def head_logits(embeddings: NDArray[np.float32], heads: Sequence[Sequence[HeadLayer]]) -> NDArray[np.float32]:
    """Run every head on every view.

    Args:
        embeddings: `[V,D]` float32, unit rows.
        heads: H heads, each reading D numbers and giving one.

    Returns:
        `[V,H]` float32. A view with NaN or infinity, in its embedding or on the way, yields NaN.

    Source:
        A multilayer perceptron: `x -> max(0, W x + b)`, the last layer without the maximum.
    """
    columns = [_logit(embeddings, sorted(head, key=lambda layer: layer.place)) for head in heads]
    return np.stack(columns, axis=1) if columns else np.empty((len(embeddings), 0), dtype=np.float32)


def _logit(embeddings: NDArray[np.float32], layers: Sequence[HeadLayer]) -> NDArray[np.float32]:
    """Run one head: [V,D] -> [V]."""
    values = _or_nan(embeddings)
    for layer in layers:
        if layer.place:
            values = np.maximum(values, np.float32(0))
        bias = np.frombuffer(layer.bias, dtype="<f4")
        weight = np.frombuffer(layer.weight, dtype="<f4").reshape(len(bias), -1)  # [out,in]
        # As in `cosines`: a row's product does not depend on the rows beside it, which a gemm's does.
        with np.errstate(invalid="ignore", over="ignore"):
            values = _or_nan(np.vecdot(values[:, np.newaxis], weight[np.newaxis]) + bias)
    logits: NDArray[np.float32] = values[:, 0]
    return logits


def _or_nan(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn infinities into NaN: the next layer's maximum would make an innocent 0 of minus infinity."""
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def score_rows(rows: NDArray[np.float32], tables: Tables) -> ConceptScores:
    """Score every concept on every row of cosines; rows do not touch one another.

    Args:
        rows: `[V,P+1+H]` from `cosines`; the V rows may be views of one image, or a whole data set.
        tables: Of the policy that `rows` was computed with.

    Returns:
        The numbers of all concepts.

    Source:
        margin `m = s * ((P - B) - lambda * max(0, N - P))`, score `p = sigmoid(a*m + b)`; `b = 0` when uncalibrated;
        of a head, `m` is its logit. `a` is the calibration's slope (`MethodTable.slopes`).
        adjustments: the "special care" concepts of the Stable Diffusion safety checker add 0.01 to the others, once.
    """
    sound = _sound(rows, tables)
    if sound is not None:
        rows = np.where(np.isfinite(rows), rows, np.float32(0))
    count = tables.rows.count
    others = rows[:, count:].astype(np.float64)  # The background, then heads.
    texts = _texts(rows[:, :count], tables)
    tops = np.maximum.reduceat(texts, tables.rows.starts, axis=1)
    pooled = _pool(texts, tops, tables)
    excess = np.maximum(0.0, tops.take(tables.rows.negative_segment, axis=1) - pooled)
    margin = tables.compiled.logit_scale * ((pooled - others[:, :1]) - tables.methods.penalties * excess)
    if tables.methods.any_head:
        margin = np.where(tables.methods.is_head, others[:, 1:][:, tables.methods.head_column], margin)
    score = sigmoid(tables.methods.slopes * margin + tables.methods.biases)
    if tables.methods.any_cosine:
        score = np.where(tables.methods.by_logit, score, pooled)
    finite = np.isfinite(score) if sound is None else sound & np.isfinite(score)
    adjustments = _adjust(score, finite, tables.adjustments) if tables.adjustments else None
    return ConceptScores(
        texts=texts, tops=tops, cosine=pooled, margin=margin, score=score, adjustments=adjustments, finite=finite
    )


def _texts(rows: NDArray[np.float32], tables: Tables) -> Floats:
    """Clip the texts' cosines and widen them, in one go: [V,P] -> [V,P], or [V,1] where heads have no texts."""
    if not tables.rows.count:
        return np.zeros((len(rows), len(tables.rows.phrases)))
    clipped: Floats = rows.clip(-1.0, 1.0, dtype=np.float64)
    return clipped


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


def _sound(rows: NDArray[np.float32], tables: Tables) -> NDArray[np.bool_] | None:
    """Find `[V,C]`, the concepts whose every cosine is finite; None, quickly, where all are."""
    flat = rows.reshape(-1)
    # One product, without a temporary: NaN and infinity stay what they are, and what is too large is looked at below.
    with np.errstate(over="ignore"):
        square = flat.dot(flat)
    if math.isfinite(square):
        return None
    good = np.isfinite(rows)
    if good.all():
        return None
    count = tables.rows.count
    texts = good[:, :count] if count else np.ones((len(good), len(tables.rows.phrases)), dtype=np.bool_)
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
    pooled: Floats = tops.take(tables.rows.prompt_segment, axis=1)
    if tables.methods.any_mean:
        pooled = np.where(tables.methods.is_mean, _mean(texts, tables), pooled)
    if tables.methods.any_lse:
        pooled = np.where(tables.methods.is_lse, _log_sum_exp(texts, tables), pooled)
    return pooled


def _mean(texts: Floats, tables: Tables) -> Floats:
    """Compute `sum w_i cos_i / sum w_i`."""
    sums = np.add.reduceat(texts * tables.rows.weights, tables.rows.starts, axis=1)
    mean: Floats = sums.take(tables.rows.prompt_segment, axis=1) / tables.rows.weight_sums
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
