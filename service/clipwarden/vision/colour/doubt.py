"""Ways that one profile offers in, whether readers that take different ones would show different pictures out."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from clipwarden.vision.colour.luts import LutSpace
from clipwarden.vision.colour.pixels import Converter
from clipwarden.vision.colour.spaces import MatrixSpace

# Ways of an honest profile differ by their intents: white, black, and what lies outside a gamut. A press by formula,
# with and without its black ink, differs by 7 levels.
MOST_DIFFERENCE = 24.0
_SAMPLES = 512
# Of the range of Lab or XYZ: between two ways to interpolate inside a cell of nodes. A smooth grid of 9 has 0.01.
_MOST_BEND = 0.1
_BENT_SHARE = 0.05
_CELLS = 4096


def sample_of(channels: int) -> NDArray[np.uint8]:
    """Draw colours, always the same ones: uint8 [512,channels]."""
    return np.random.default_rng(0).integers(0, 256, (_SAMPLES, channels), dtype=np.uint8)


def ways_differ(one: Converter, other: Converter, channels: int) -> bool:
    """Whether two ways show different colours, on the average of a fixed sample.

    Args:
        one: A way to sRGB.
        other: Another, from the same channels.
        channels: How many these are.
    """
    sample = sample_of(channels)
    difference = one.convert(sample).astype(np.int16) - other.convert(sample)
    return bool(np.abs(difference).mean() > MOST_DIFFERENCE)


def ways_of(space: MatrixSpace | LutSpace, others: tuple[MatrixSpace | LutSpace, ...], channels: int) -> bool:
    """Whether any other way differs from the one that is taken."""
    taken = Converter(space)
    return any(ways_differ(taken, Converter(other), channels) for other in others)


def is_bent(space: LutSpace) -> bool:
    """Whether interpolating by tetrahedra (littleCMS, qcms) and in all directions (skcms) come to different pictures.

    In the middle of a cell one is the mean of all corners, the other that of the two on the diagonal of greys.
    """
    if not space.grid:
        return False
    draw = np.random.default_rng(0)
    cells = [draw.integers(0, side - 1, _CELLS) for side in space.grid]
    corners = [
        space.nodes[:, np.ravel_multi_index([cell + bit for cell, bit in zip(cells, corner, strict=True)], space.grid)]
        for corner in product((0, 1), repeat=len(space.grid))
    ]
    values = np.stack(corners).astype(np.float32) / space.top
    bend = np.abs(values.mean(axis=0) - (values[0] + values[-1]) / 2).max(axis=0)
    return bool((bend > _MOST_BEND).mean() > _BENT_SHARE)
