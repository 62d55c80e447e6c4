"""A sample in; the pictures of it that exact tests may count, out: independent, and drawn with the same chance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Flags = NDArray[np.bool_]


def one_each(group: ArrayLike, u: ArrayLike, uploads: ArrayLike | None = None) -> Flags:
    """Choose one random upload of each group of near-duplicates.

    Args:
        group: `[N]`.
        u: `[N]` uniform in [0,1), of `design.sampling.chances`.
        uploads: `[N]`, how often each picture was uploaded; once by default.

    Returns:
        bool `[N]`, true once a group; the same whatever the order of pictures.
    """
    raise NotImplementedError


def evenly(pi: ArrayLike, u: ArrayLike) -> Flags:
    """Thin a sample until every picture had the same chance of being in it: the least of the chances.

    Args:
        pi: `[N]`, the chance that each was drawn with, in (0,1].
        u: `[N]` uniform in [0,1) by *another seed* than the sample's, of `design.sampling.chances`.

    Returns:
        bool `[N]`.
    """
    raise NotImplementedError
