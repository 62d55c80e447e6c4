"""Vectors that ought to be of unit length in, an error of the caller's own where they are not."""

import numpy as np
from numpy.typing import NDArray

UNIT_TOLERANCE = 1e-3
"""How far from 1 a length may be. Rounding to float32 moves it by about 1e-6, a graph that normalises in fp16 by about
5e-4 (2^-11 an element). Beyond that it is no unit vector, and its dot products are no cosines."""


def row_lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure each row: float32 [N,D] -> float64 [N].

    No float32 overflows a float64 when squared, so that NaN and infinity warn of nothing here. Unlike `vecdot`, einsum
    converts a few thousand numbers at a time: a table of 400 MB is not copied.
    """
    squares: NDArray[np.float64] = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.sqrt(squares)


def require_unit(vectors: NDArray[np.float32], error: Exception, *, tolerance: float = UNIT_TOLERANCE) -> None:
    """Refuse rows that are not finite and of unit length.

    Args:
        vectors: float32 [N,D]; N may be 0.
        error: What to raise.
        tolerance: How far from 1 a length may be.
    """
    # Written so that a length of NaN fails too.
    if not np.all(np.abs(row_lengths(vectors) - 1.0) <= tolerance):
        raise error
