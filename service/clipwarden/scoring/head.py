"""Image vectors in, the logits of trained heads out: small networks in float32, one image never touching another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.schema import HeadLayer

Vectors = NDArray[np.float32]


def head_logits(embeddings: Vectors, heads: Sequence[Sequence[HeadLayer]]) -> Vectors:
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


def _logit(embeddings: Vectors, layers: Sequence[HeadLayer]) -> NDArray[np.float32]:
    """Run one head: [V,D] -> [V]."""
    values = _or_nan(embeddings)
    for layer in layers:
        if layer.place:
            values = np.maximum(values, np.float32(0))
        bias = np.frombuffer(layer.bias, dtype="<f4")
        weight = np.frombuffer(layer.weight, dtype="<f4").reshape(len(bias), -1)  # [out,in]
        # As in `score.cosines`: a row's product does not depend on the rows beside it, which a gemm's does.
        with np.errstate(invalid="ignore", over="ignore"):
            values = _or_nan(np.vecdot(values[:, np.newaxis], weight[np.newaxis]) + bias)
    logits: NDArray[np.float32] = values[:, 0]
    return logits


def _or_nan(values: Vectors) -> Vectors:
    """Turn infinities into NaN: the next layer's maximum would make an innocent 0 of minus infinity."""
    return np.where(np.isfinite(values), values, np.float32(np.nan))
