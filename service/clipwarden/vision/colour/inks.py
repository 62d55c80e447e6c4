"""A space of four inks in, what is left of it without black ink out."""

from dataclasses import replace

import numpy as np

from clipwarden.vision.colour.luts import LutSpace
from clipwarden.vision.colour.spaces import MatrixSpace

_BLACK = 3


def without_black(space: MatrixSpace | LutSpace) -> MatrixSpace | LutSpace:
    """Lay the nodes that no black ink means over those of the other three."""
    if isinstance(space, MatrixSpace) or len(space.inputs) <= _BLACK:
        return space
    side = space.grid[_BLACK]
    position = float(np.clip(space.inputs[_BLACK](np.zeros(1, dtype=np.float32))[0], 0, 1)) * (side - 1)
    below = min(int(position), side - 2)
    share = np.float32(position - below)
    nodes = space.nodes.reshape(3, -1, side).astype(np.float32)
    mixed = nodes[..., below] * (1 - share) + nodes[..., below + 1] * share  # of the same top
    return replace(space, inputs=space.inputs[:_BLACK], grid=space.grid[:_BLACK], nodes=np.ascontiguousarray(mixed))
