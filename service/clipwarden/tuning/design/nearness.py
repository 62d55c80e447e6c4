"""Unit vectors in; the pairs of them that lie near each other out, without measuring all pairs at full width.

Along any few directions two vectors are at most as far apart as they are in full, so a pair that is too far apart there
needs no full product. The directions are those in which the vectors differ most; of the others the length counts:
`|x - y|^2 >= |x' - y'|^2 + (|x''| - |y''|)^2`. Bounds are computed tile by tile as one product of short rows; what
passes is measured at full width. How many directions pay is decided on a sample: few let too much through, many cost
as much as full products.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Places = NDArray[np.intp]
Told = Callable[[int, int], None]
"""Called with how much is done, and how much there is; for a progress bar."""

SLACK: Final = 1e-5
"""Products in float32 err by less; who is near is decided in float64."""
_SHORT_SLACK: Final = 1e-4  # of a squared distance: twice SLACK, and rounding of some hundred short products
_ROWS: Final = 512
_COLUMNS: Final = 4_096  # a tile of float32 is 8 MiB, and its comparison stays in the cache
_AT_ONCE: Final = 8_192  # pairs that are measured at once: 32 MiB of vectors of width 512
_FEW: Final = 2_048  # vectors of which all products cost less than to find directions
_SAMPLE: Final = 16_384
_TRIED: Final = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_PER_DIRECTION: Final = 0.006
_PER_SURVIVOR: Final = 1_000.0
"""Nanoseconds on one machine with two cores (AVX-512): of a pair's bound for each direction, and of a full product."""
_DENSE: Final = 1 / 200
"""Share of a tile above which full products of all its pairs cost less than of those that pass, likewise."""


class Nearness:
    """Finds near pairs among unit vectors.

    Args:
        unit: float32 `[P,D]`, unit rows.
        reach: Greatest cosine distance of a pair that is near.
    """

    def __init__(self, unit: Vectors, reach: float) -> None:
        self._unit = unit
        self._least = 1.0 - reach - SLACK
        self._short = _shortened(unit, reach) if len(unit) > _FEW else None
        along = np.zeros(len(unit)) if self._short is None else self._short.left[:, 0]
        self._order = np.argsort(along, kind="stable")
        self._along = along[self._order]
        self._window = np.sqrt(2.0 * reach + _SHORT_SLACK)
        if self._short is not None:
            self._short = self._short.take(self._order)

    def pairs(self, told: Told | None = None) -> Iterator[tuple[Places, Places]]:
        """Find all near pairs, each once, the lesser place first; in no order, some at a time."""
        count = len(self._unit)
        for top in range(0, count, _ROWS):
            rows = slice(top, min(top + _ROWS, count))
            end = int(np.searchsorted(self._along, self._along[rows.stop - 1] + self._window, side="right"))
            for left in range(top, end, _COLUMNS):
                one, other = self._near(rows, slice(left, min(left + _COLUMNS, end)))
                once = one < other
                one, other = self._order[one[once]], self._order[other[once]]
                yield np.minimum(one, other), np.maximum(one, other)
            if told is not None:
                # Done are the pairs of the rows so far with all that come after them.
                told(count * rows.stop - rows.stop * rows.stop // 2, count * count - count * count // 2)

    def _near(self, rows: slice, columns: slice) -> tuple[Places, Places]:
        """Find near pairs of a tile, as places in our order."""
        if self._short is not None:
            passes = self._short.left[rows] @ self._short.right[columns].T >= 0.0
            one, other = _found(passes)
            if len(one) <= _DENSE * passes.size:
                one, other = one + rows.start, other + columns.start
                near = products(self._unit, self._order[one], self._order[other]) >= self._least
                return one[near], other[near]
        full = self._unit[self._order[rows]] @ self._unit[self._order[columns]].T
        one, other = _found(full >= self._least)
        return one + rows.start, other + columns.start


@dataclass(frozen=True, slots=True)
class Short:
    """Short rows: a left one times a right one is not negative if the pair may be near; `[P,K]` float32 each.

    The first of the numbers is a coordinate, along the direction in which vectors differ most.
    """

    left: Vectors
    right: Vectors

    def take(self, places: Places) -> "Short":
        """Return some rows, in that order."""
        return Short(self.left[places], self.right[places])


def products(unit: Vectors, one: Places, other: Places) -> Vectors:
    """Multiply pairs of vectors in float32, some thousand at a time."""
    found = np.empty(len(one), np.float32)
    for start in range(0, len(one), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = np.vecdot(unit[one[part]], unit[other[part]])
    return found


def distances(unit: Vectors, one: Places, other: Places) -> Floats:
    """Measure pairs in float64, some thousand at a time: the vectors of a million pairs are gigabytes."""
    found = np.empty(len(one))
    for start in range(0, len(one), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = 1.0 - np.vecdot(unit[one[part]].astype(np.float64), unit[other[part]].astype(np.float64))
    return found


def _found(flags: NDArray[np.bool_]) -> tuple[Places, Places]:
    """Find what is true, bool `[R,C]`; eight at a time, since hardly anything is."""
    flat = flags.reshape(-1)
    words = np.flatnonzero(flat.view(np.uint64)) if flat.size % 8 == 0 else None
    if words is None or 64 * len(words) > flat.size:
        rows, columns = np.nonzero(flags)
        return rows, columns
    within, byte = np.nonzero(flat.reshape(-1, 8)[words])
    rows, columns = np.divmod(8 * words[within] + byte, flags.shape[1])
    return rows, columns


def _shortened(unit: Vectors, reach: float) -> Short | None:
    """Choose directions; None where full products cost less."""
    every = max(1, len(unit) // _SAMPLE)
    sample = unit[::every].astype(np.float64)
    middle = sample.mean(axis=0)
    sample -= middle
    directions = np.linalg.eigh(sample.T @ sample)[1][:, ::-1]
    count = _how_many(sample @ directions, reach)
    return None if count is None else _short_rows(unit, middle, directions[:, :count], reach)


def _how_many(turned: Floats, reach: float) -> int | None:
    """Choose how many directions are cheapest, by half a million pairs: turned `[S,D]`, the widest first."""
    width = turned.shape[1]
    turned = turned[:: max(1, len(turned) // 2_048)]
    rows = turned[:: max(1, len(turned) // 256)]
    full, squared = _PER_DIRECTION * width, (turned * turned).cumsum(axis=1)
    of_rows = (rows * rows).cumsum(axis=1)
    costs: dict[int | None, float] = {None: full}
    for count in (*(each for each in _TRIED if each < width), width):
        tail, of_tail = (np.sqrt(np.maximum(each[:, -1] - each[:, count - 1], 0.0)) for each in (squared, of_rows))
        apart = of_rows[:, count - 1, np.newaxis] + squared[:, count - 1] - 2 * rows[:, :count] @ turned[:, :count].T
        apart += (of_tail[:, np.newaxis] - tail) ** 2
        passes = float((apart <= 2 * reach + _SHORT_SLACK).mean()) if count < width else 0.0
        costs[count] = _PER_DIRECTION * count + _PER_SURVIVOR * passes
    return min(costs, key=lambda count: costs[count])


def _short_rows(unit: Vectors, middle: Floats, directions: Floats, reach: float) -> Short:
    """Write `2 * reach - |x' - y'|^2 - (|x''| - |y''|)^2` as a product, halved: `[P,K+3]`."""
    count = directions.shape[1]
    left = np.ones((len(unit), count + 3), np.float32)
    right = np.ones((len(unit), count + 3), np.float32)
    for start in range(0, len(unit), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        centred = unit[part].astype(np.float64) - middle
        along = centred @ directions
        square = np.vecdot(centred, centred)
        tail = np.sqrt(np.maximum(square - np.vecdot(along, along), 0.0))  # in float64: a root of rounding is large
        for side in (left, right):
            side[part, :count], side[part, count] = along, tail
        left[part, count + 1] = reach + _SHORT_SLACK / 2 - square / 2
        right[part, count + 2] = -square / 2
    return Short(left, right)
