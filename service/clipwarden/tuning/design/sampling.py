"""Scores of pictures in; each picture's chance of being labelled, and who is drawn, out.

The design is Poisson sampling: every picture is drawn or not on its own, with a chance `pi` that is known for all of
them. Whether it is depends on the picture and the seed alone, so that the same store, scores and seed give the same
sample on every machine, in any order.

- **Later rounds** of one seed reuse each picture's number u, so whoever was drawn stays drawn when n grows, and the
  chance of being in any of the rounds is the greatest of its chances: `later_rounds`.
- **Independent samples**, with seeds of their own, combine as 1 - prod(1 - pi): `combine`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_CATEGORIES: Final = 3
"""A sample that serves thirteen categories is nearly uniform: recall 1.20 points wide, against 0.68 for one."""


def inclusion(scores: ArrayLike, n: int, *, uploads: ArrayLike | None = None) -> Floats:
    """Give every picture its chance of being labelled: likelier where a limit may come to lie.

    Args:
        scores: `[P,k]` or `[P]`, k at most three categories; only their order counts, ties share a chance.
        n: How many pictures are to be labelled, in the mean.
        uploads: `[P]`, how often each picture was uploaded; once by default. Rates count uploads, so the chance grows
            with it.

    Returns:
        float64 `[P]` in (0,1], summing to n, or to P where n is greater.

    Raises:
        DesignError: Too many categories, scores that are not finite, n below 1.
    """
    raise NotImplementedError


def draw(sha256s: Sequence[str], pi: ArrayLike, seed: str) -> Flags:
    """Draw the sample.

    Args:
        sha256s: `[P]`, of distinct pictures.
        pi: `[P]` in (0,1].
        seed: Of this sample; another one is independent of it.

    Returns:
        bool `[P]`.

    Raises:
        DesignError: A chance is outside (0,1].
    """
    raise NotImplementedError


def chances(sha256s: Sequence[str], seed: str) -> Floats:
    """Give every picture its number u in [0,1), uniform for whoever does not know the seed.

    Args:
        sha256s: `[P]`, hexadecimal.
        seed: Of the sample.

    Returns:
        float64 `[P]`.
    """
    raise NotImplementedError


def later_rounds(*pi: ArrayLike) -> Floats:
    """Say the chance of being in any of several rounds that were drawn with one seed.

    Args:
        pi: Each `[P]`, for the same pictures; 0 where a picture was not in the store of that round.

    Returns:
        float64 `[P]`, the greatest.

    Raises:
        DesignError: A chance is outside [0,1], or 0 in all rounds.
    """
    raise NotImplementedError


def combine(*pi: ArrayLike) -> Floats:
    """Say the chance of being in any of several samples that were drawn with different seeds.

    Args:
        pi: Each `[P]`, for the same pictures; 0 where a picture could not be drawn.

    Returns:
        float64 `[P]`: 1 - prod(1 - pi).

    Raises:
        DesignError: A chance is outside [0,1], or 0 in all samples.
    """
    raise NotImplementedError


def checked(pi: ArrayLike) -> Floats:
    """Refuse chances that no sample has.

    Args:
        pi: `[P]`.

    Returns:
        float64 `[P]`, all in (0,1].

    Raises:
        DesignError: One of them is not, or is no number.
    """
    raise NotImplementedError
