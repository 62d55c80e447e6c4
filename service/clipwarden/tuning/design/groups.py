"""Embeddings of pictures in; which of them are near-duplicates of one another, out."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Groups = NDArray[np.intp]
Flags = NDArray[np.bool_]

NEAR: Final = 0.05
"""Greatest cosine distance within a group."""


def near_duplicates(embeddings: NDArray[np.float32], threshold: float = NEAR) -> Groups:
    """Group pictures so that no two of a group are farther apart than the threshold: complete linkage.

    Args:
        embeddings: `[P,D]`, one vector a picture, none of them zero.
        threshold: Greatest cosine distance within a group, 0..2.

    Returns:
        intp `[P]`: numbers from 0 in the order in which groups first appear.

    Raises:
        DesignError: Vectors that are not finite, or zero.
    """
    raise NotImplementedError


def named(groups: ArrayLike, names: Sequence[str | None]) -> Groups:
    """Let a column of names overrule: pictures of one name are one group, the others stay as they were grouped.

    Args:
        groups: `[P]` from `near_duplicates`.
        names: `[P]`; None, or empty, where nothing is said.

    Returns:
        intp `[P]`: numbers from 0 in the order in which groups first appear.
    """
    raise NotImplementedError


def one_of_each(groups: ArrayLike, u: ArrayLike) -> Flags:
    """Choose one picture of each group at random: what exact tests count.

    Args:
        groups: `[K]`.
        u: `[K]`, the pictures' numbers from `sampling.chances`, with a seed that has nothing to do with scores.

    Returns:
        bool `[K]`, true once a group.
    """
    raise NotImplementedError
