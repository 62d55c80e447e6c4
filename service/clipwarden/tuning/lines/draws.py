"""A sample in; the pictures of it that exact tests may count, out: independent, and drawn with the same chance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.errors import LineError
from clipwarden.tuning.design.groups import one_of_each
from clipwarden.tuning.design.sampling import checked

Flags = NDArray[np.bool_]


def one_each(group: ArrayLike, u: ArrayLike, uploads: ArrayLike | None = None) -> Flags:
    """Choose one random upload of each group of near-duplicates.

    The least of c uniform numbers is below u with a chance of `1 - (1 - u)^c`, so a picture that was uploaded c times
    competes with the c-th root: as if each upload had a number of its own.

    Args:
        group: `[N]`.
        u: `[N]` uniform in [0,1), of `design.sampling.chances`.
        uploads: `[N]`, how often each picture was uploaded; once by default.

    Returns:
        bool `[N]`, true once a group; the same whatever the order of pictures.
    """
    numbers = np.asarray(u, dtype=np.float64)
    if uploads is not None:
        numbers = -np.expm1(np.log1p(-numbers) / np.asarray(uploads, dtype=np.float64))
    return one_of_each(group, numbers)


def independent(
    count: int, group: ArrayLike | None, u: ArrayLike | None, uploads: ArrayLike | None
) -> NDArray[np.intp]:
    """Find the rows that exact tests count: all, or one a group.

    Args:
        count: N.
        group: `[N]` or None.
        u: `[N]`, needed with `group`.
        uploads: `[N]` or None.

    Returns:
        intp, rising.

    Raises:
        LineError: Groups without numbers to choose by, or another count of them.
    """
    if group is None:
        return np.arange(count)
    if u is None:
        raise LineError("which one of near-duplicates counts is chosen by u; give it with the groups")
    for name, values in (("group", group), ("u", u)) if uploads is None else (("group", group), ("uploads", uploads)):
        if len(np.asarray(values)) != count:
            raise LineError(f"{name} has {len(np.asarray(values))} entries for {count} scores")
    return np.flatnonzero(one_each(group, u, uploads))


def evenly(pi: ArrayLike, u: ArrayLike) -> Flags:
    """Thin a sample until every picture had the same chance of being in it: the least of the chances.

    Args:
        pi: `[N]`, the chance that each was drawn with, in (0,1].
        u: `[N]` uniform in [0,1) by *another seed* than the sample's, of `design.sampling.chances`.

    Returns:
        bool `[N]`.

    Raises:
        DesignError: A chance is outside (0,1].
    """
    chances = checked(pi)
    return np.asarray(u, dtype=np.float64) * chances < (chances.min() if len(chances) else 1.0)
