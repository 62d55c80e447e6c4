"""Two frames' views in, whether one counts as seen where the other was judged out.

Compared is what the model is given, on each background: what no view shows is not compared. A view's difference is the
greatest, over all windows of half its side, of the root of the mean square of all differences, in 8-bit levels. A
window, so that a change of a part counts wherever it stands; the square, so that a thin line on a blank page does not
vanish in the mean of what has not changed. Windows lie an eighth of a side apart.

What may differ goes by what there is to see: by the standard deviation of the plainer of both views. A model tells a
drawing from a blank page at a tenth of its contrast, and hardly from another picture at a fifth. Measured on the
embedded model, with 39 drawings that its policy blocks, each as strong as still counts as seen on eight kinds of
harmless frames: 4 of 312 would have been blocked, 3 of them under a caption on a blank page; and none of 312 that were
made as small. `python -m bench.animations` prints the like for the demo's drawings.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

LEAST_LEVELS: Final = 4.0
"""What may differ of a view that is blank, in 8-bit levels: a drawing at 2 to 4 % of its contrast, of which none of 39
was blocked or reviewed; codecs alone make 1 to 3 of one."""
SHARE_OF_DEVIATION: Final = 0.5
"""What may differ besides, as a share of the plainer view's standard deviation; by 0.6 and 36 levels 6 of 312 pass."""
MOST_LEVELS: Final = 32.0
"""The most that may differ of any view."""
SURE_LEVELS: Final = 12.0
"""What may differ of a frame that is not judged though there is room. Of 24 drawings that are blocked, each blended
with harmless ones into an allowed frame, 9 were near to one by 32 levels (64 of 857 blends), 1 by 16, none by 12."""

_CELLS = 16
"""Cells a side; a window is half of them wide and high, and the next one two further."""

SEEN_BYTES: Final = 4 * (3 * _CELLS**2 + 1)
"""Of `Seen`, a view, beside its pixels."""

Floats = NDArray[np.float32]
Number = TypeVar("Number", np.uint8, np.float32)


class Seen(NamedTuple):
    """What a frame is compared by.

    Attributes:
        pixels: uint8 [V,S,S,3]: all parts, on one background or on white and then on black.
        means: Of cells, float32 [V,C,C,3].
        deviations: Float32 [V], in 8-bit levels.
    """

    pixels: NDArray[np.uint8]
    means: Floats
    deviations: Floats


def seen(pixels: NDArray[np.uint8]) -> Seen:
    """Prepare a frame to be compared.

    Args:
        pixels: uint8 [V,S,S,3].
    """
    side = pixels.shape[1]
    edges, counts = _cells(side)
    # [V,S,S,3] -> [V,C,S,3] -> [V,C,C,3]
    sums = np.add.reduceat(np.add.reduceat(pixels, edges, axis=1, dtype=np.int32), edges, axis=2)
    channels = sums.sum(axis=(1, 2), dtype=np.int64) / side**2
    flat = pixels.reshape(len(pixels), -1).astype(np.uint16)
    squares = np.einsum("vi,vi->v", flat, flat, dtype=np.int64) / (3 * side**2)
    variance = squares - (channels**2).mean(axis=1)
    deviations = np.sqrt(np.maximum(variance, 0)).astype(np.float32)
    return Seen(pixels, (sums / counts[..., np.newaxis]).astype(np.float32), deviations)


def is_near(one: Seen, other: Seen) -> bool:
    """Tell whether a frame counts as seen where another was judged; by pixels."""
    return nearness(one, other) is not None


def nearness(one: Seen, other: Seen) -> float | None:
    """Return how far two frames are apart that are near, by the greatest difference of any view; None where not."""
    if not comparable(one, other):
        return None
    most = 0.0
    views = zip(*_matched(one.pixels, other.pixels), _allowed(*_matched(one.deviations, other.deviations)), strict=True)
    for mine, others, allowed in views:
        difference = _difference(mine, others)
        if difference > allowed:
            return None
        most = max(most, difference)
    return most


class Estimate(NamedTuple):
    """How far a frame is from others, by the means of cells: never farther than it is by pixels.

    Attributes:
        apart: Float32 [K]: the greatest difference of any view, in 8-bit levels; infinite where there are other parts.
        may_be_near: Bool [K]: False only where `is_near` would be.
    """

    apart: Floats
    may_be_near: NDArray[np.bool_]


def estimate(one: Seen, others: Sequence[Seen]) -> Estimate:
    """Compare a frame with many, for a hundredth of what comparing pixels takes.

    Args:
        one: The frame.
        others: K frames.
    """
    apart, may_be_near = np.full(len(others), np.inf, np.float32), np.zeros(len(others), np.bool_)
    for count in {len(other.pixels) for other in others if comparable(one, other)}:
        places = [place for place, other in enumerate(others) if len(other.pixels) == count]
        means = np.stack([others[place].means for place in places])  # [K,W,C,C,3]
        deviations = np.stack([others[place].deviations for place in places])  # [K,W]
        differences, allowed = _by_means(one, means, deviations)
        apart[places] = differences.max(axis=1)
        may_be_near[places] = (differences <= allowed).all(axis=1)
    return Estimate(apart, may_be_near)


def comparable(one: Seen, other: Seen) -> bool:
    """Tell whether two frames have the same parts, each on one background or on both."""
    few, many = sorted((len(one.pixels), len(other.pixels)))
    return many in (few, 2 * few)


def _difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Measure two views' greatest difference: [S,S,3] each."""
    side = len(one)
    gaps = np.subtract(one, other, dtype=np.int16)
    squares = np.multiply(gaps, gaps, dtype=np.int32).reshape(side, -1)
    edges, _ = _cells(side)
    # [S,S*3] -> [C,S*3] -> [C,C]
    sums = np.add.reduceat(np.add.reduceat(squares, edges, axis=0), edges * 3, axis=1, dtype=np.int64)
    return float(_greatest(sums[np.newaxis] / 3, side)[0])


def _by_means(one: Seen, means: Floats, deviations: Floats) -> tuple[Floats, Floats]:
    """Compare with K frames of as many views each, [K,W,C,C,3]; both results are [K,V]."""
    side = one.pixels.shape[1]
    mine, others = _matched(one.means, means)
    gaps = mine - others
    squares = (gaps * gaps).mean(axis=-1) * _cells(side)[1]  # [K,V,C,C]
    differences = _greatest(squares.reshape(-1, *squares.shape[2:]), side).reshape(squares.shape[:2])
    return differences, _allowed(*_matched(one.deviations, deviations))


def _allowed(mine: Floats, others: Floats) -> Floats:
    return np.minimum(LEAST_LEVELS + SHARE_OF_DEVIATION * np.minimum(mine, others), MOST_LEVELS)


def _matched(one: NDArray[Number], other: NDArray[Number]) -> tuple[NDArray[Number], NDArray[Number]]:
    """Repeat the views of an opaque frame, which are the same on white and on black, where the other is see-through.

    Args:
        one: [V,...].
        other: [K,W,...], or [W,...] of a single one.
    """
    axis = other.ndim - one.ndim
    if len(one) < other.shape[axis]:
        return np.concatenate([one, one]), other
    if other.shape[axis] < len(one):
        return one, np.concatenate([other, other], axis=axis)
    return one, other


def _greatest(sums: NDArray[np.float64], side: int) -> Floats:
    """Find the greatest root of a mean over a window, of sums of cells: [V,C,C] to [V]."""
    counts = _windows(_cells(side)[1][np.newaxis])
    greatest: Floats = np.sqrt((_windows(sums) / counts).max(axis=(1, 2)))
    return greatest


def _windows(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum windows of half the cells a side, two cells apart: [V,C,C] to [V,C/4+1,C/4+1]."""
    size = cells.shape[1]
    starts = np.arange(0, size // 2 + 1, 2)
    ends = starts + size // 2
    sums = np.zeros((len(cells), size + 1, size + 1))
    np.cumsum(np.cumsum(cells, axis=1), axis=2, out=sums[:, 1:, 1:])
    rows = sums[:, ends] - sums[:, starts]
    windows: NDArray[np.float64] = rows[:, :, ends] - rows[:, :, starts]
    return windows


@cache
def _cells(side: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return where cells begin along a side, and how many pixels each has, [C,C]; a short side has four a side."""
    cells = _CELLS if side >= _CELLS else 4
    edges = np.arange(cells) * side // cells
    # Of a side below 4 a cell that begins where the next one does is that one pixel, as `reduceat` has it.
    sizes = np.maximum(np.diff(np.append(edges, side)), 1).astype(np.float64)
    return edges, np.outer(sizes, sizes)
