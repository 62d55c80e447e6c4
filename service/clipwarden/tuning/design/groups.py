"""Embeddings of pictures in; which of them are near-duplicates of one another, and splits that respect it, out.

Near-duplicates say one thing, not several: whoever counts them apart promises too much. A group is as wide as the
threshold at most, so that a chain of small changes does not make one group of different pictures: complete linkage, in
`linkage.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipwarden.errors import DesignError
from clipwarden.tuning.design.linkage import MOST_EDGES, complete_linkage
from clipwarden.tuning.design.nearness import Told

Vectors = NDArray[np.float32]
Groups = NDArray[np.intp]
Flags = NDArray[np.bool_]

NEAR: Final = 0.05
"""Greatest cosine distance within a group. Measured with the embedded model on 1,200 coloured drawings of 96 pixels:
copies lie within it after JPEG at quality 75 in 100 %, at 40 in 99 %, at half the size in 100 %, both in 97 %, 10 %
darker in 99 %, cut by 5 % a side in 74 %, with a margin of 10 % in 81 %; mirrored ones in 43 %, since this model tells
left from right. Of pairs with different names 25 in a million lie within it, most of them one drawing in two skin
tones, and 2.5 % of drawings have such a neighbour; at 0.10 it would be 93 and 8 %."""


_AT_ONCE: Final = 8_192


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """Pictures in groups.

    Attributes:
        number: intp `[P]`: numbers from 0 in the order in which groups first appear.
        groups: How many there are.
        rough: Pictures that stood in a crowd too dense to be linked exactly: their groups may be wider than the
            threshold, which makes intervals wider, never too narrow. Usually 0.
    """

    number: Groups
    groups: int
    rough: int


def group_pictures(
    embeddings: Vectors,
    names: Sequence[str | None] | None = None,
    *,
    threshold: float = NEAR,
    most_edges: int = MOST_EDGES,
    told: Told | None = None,
) -> Grouping:
    """Group near-duplicates, and let a column of names overrule.

    Args:
        embeddings: float32 `[P,D]`, one vector a picture, none of them zero.
        names: `[P]`, as in `named`.
        threshold: Greatest cosine distance within a group, 0..2.
        most_edges: Near pairs that are kept; of more, crowds are thinned out first.
        told: For a progress bar, called with how much is done and how much there is.

    Returns:
        The groups.

    Raises:
        DesignError: Vectors that are not finite, or zero; names that are not one a picture.
    """
    linked, rough = complete_linkage(_unit(embeddings), threshold, most_edges=most_edges, told=told)
    number = _in_order(linked) if names is None else named(linked, names)
    return Grouping(number=number, groups=int(number.max(initial=-1)) + 1, rough=rough)


def near_duplicates(embeddings: Vectors, threshold: float = NEAR, *, told: Told | None = None) -> Groups:
    """Group pictures so that no two of a group are farther apart than the threshold.

    Args:
        embeddings: float32 `[P,D]`, one vector a picture, none of them zero.
        threshold: Greatest cosine distance within a group, 0..2.
        told: As for `group_pictures`.

    Returns:
        intp `[P]`: numbers from 0 in the order in which groups first appear. `group_pictures` also says where
        groups are rough.

    Raises:
        DesignError: Vectors that are not finite, or zero.
    """
    return group_pictures(embeddings, threshold=threshold, told=told).number


def named(groups: ArrayLike, names: Sequence[str | None]) -> Groups:
    """Let a column of names overrule: pictures of one name are one group, the others stay as they were grouped.

    Args:
        groups: `[P]` from `near_duplicates`.
        names: `[P]`; None, or empty, where nothing is said.

    Returns:
        intp `[P]`: numbers from 0 in the order in which groups first appear.

    Raises:
        DesignError: There are not as many names as pictures.
    """
    numbers = np.asarray(groups, np.intp)
    if len(names) != len(numbers):
        raise DesignError(
            f"There are {len(names)} names of groups for {len(numbers)} pictures: give each one, or none."
        )
    number_of: dict[str | int, int] = {}
    keys = [name or int(number) for name, number in zip(names, numbers, strict=True)]
    return np.array([number_of.setdefault(key, len(number_of)) for key in keys], np.intp)


def one_of_each(groups: ArrayLike, u: ArrayLike) -> Flags:
    """Choose one picture of each group at random: what exact tests count.

    Args:
        groups: `[K]`.
        u: `[K]`, the pictures' numbers from `sampling.chances`, with a seed that has nothing to do with scores.

    Returns:
        bool `[K]`, true once a group.
    """
    numbers = np.asarray(groups)
    order = np.lexsort((np.asarray(u), numbers))
    chosen = np.zeros(len(numbers), np.bool_)
    chosen[order[np.r_[True, np.diff(numbers[order]) != 0]] if len(order) else order] = True
    return chosen


def worst_of(values: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Take the greatest value of each group: a group is stopped when one of its pictures is.

    Args:
        values: `[K]`.
        groups: `[K]`.

    Returns:
        float64, one a group, in the order of their numbers.
    """
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    worst = np.full(int(member.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(worst, member, np.asarray(values, np.float64))
    return worst


def folds(groups: ArrayLike, u: ArrayLike, parts: int, *, positive: ArrayLike | None = None) -> Groups:
    """Deal pictures to parts, groups whole: what is chosen on some parts is measured on the others.

    Args:
        groups: `[K]`.
        u: `[K]`, as for `one_of_each`; they decide, so that the order of the pictures does not.
        parts: How many, at least 2.
        positive: bool `[K]`; where given, groups that hold a positive are dealt evenly too.

    Returns:
        intp `[K]` in 0..parts-1; of `parts` groups or more, none is empty.
    """
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    count = int(member.max(initial=-1)) + 1
    first = np.full(count, np.inf)
    np.minimum.at(first, member, np.asarray(u, np.float64))
    holds = np.zeros(count) if positive is None else np.bincount(member, np.asarray(positive, np.float64), count) > 0
    part = np.empty(count, np.intp)
    part[np.lexsort((first, holds))] = np.arange(count) % parts
    dealt: Groups = part[member]
    return dealt


def _unit(embeddings: Vectors) -> Vectors:
    unit = np.array(embeddings, np.float32)
    lengths = np.sqrt(np.einsum("pd,pd->p", unit, unit, dtype=np.float64))
    if not (np.isfinite(lengths) & (lengths > 0.0)).all():
        raise DesignError("An embedding is zero or not finite, so it resembles nothing: embed that picture again.")
    for start in range(0, len(unit), _AT_ONCE):  # float64 of all of them would be twice as large as they are
        part = slice(start, start + _AT_ONCE)
        unit[part] = unit[part] / lengths[part, np.newaxis]
    return unit


def _in_order(number: Groups) -> Groups:
    _, first, member = np.unique(number, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: Groups = rank[member]
    return renumbered
