"""Labelled drawings of some sets in; two halves that share no drawing house, out: one is tuned on, one is held out."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.tuning.labelled import Drawings
from clipwarden.tuning.labels.model import Mark

Flags = NDArray[np.bool_]

# Sets of one drawing house share shapes, so they stay together.
_HOUSES: Final = {"streamline-color": "streamline", "streamline-ultimate-color": "streamline"}


def houses(drawings: Drawings) -> tuple[str, ...]:
    """Name the drawing house of each drawing."""
    return tuple(_HOUSES.get(name, name) for name in drawings.sets)


def first_half(drawings: Drawings) -> Flags:
    """Deal whole houses to two halves, by labels alone: as even as can be in the harmful drawings of every category.

    Args:
        drawings: All of them.

    Returns:
        bool `[N]`, true in the first half.
    """
    own = np.array(houses(drawings))
    names = sorted(set(own.tolist()))
    counts = np.array([[*(drawings.marks[own == name] == Mark.POSITIVE).sum(0), (own == name).sum()] for name in names])
    best = min(_deals(len(names)), key=lambda deal: _uneven(counts, deal))
    chosen: Flags = np.isin(own, [name for name, first in zip(names, best, strict=True) if first])
    return chosen


def _deals(houses: int) -> Iterator[tuple[bool, ...]]:
    """Yield every way to deal them; the first house is in the first half, so that no way comes twice."""
    return ((True, *rest) for rest in product((True, False), repeat=houses - 1))


def _uneven(counts: NDArray[np.int64], deal: tuple[bool, ...]) -> float:
    """Sum how far each column is from even, 0..1 each."""
    first, all_ = counts[np.array(deal)].sum(0), counts.sum(0)
    return float(np.abs(2 * first / all_ - 1).sum())
