"""Names and signatures of drawings in; which of them count as one, out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recipes.mini.signatures import TWIN_DISTANCE


def group_drawings(names: Sequence[str], signatures: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Group twins, and drawings whose renders are nearly equal.

    Args:
        names: What twins share, one for each drawing.
        signatures: As `recipes.mini.signatures.signature` makes them [K,D]; NaN for blank drawings.

    Returns:
        int64 [K]: equal numbers for drawings that count once.
    """
    number: dict[str, int] = {}
    named = np.array([number.setdefault(name, len(number)) for name in names])
    parent = np.arange(len(number))
    leaders = np.zeros_like(signatures)
    led: list[int] = []
    for row, signature in enumerate(signatures):
        if np.isnan(signature).any():
            continue  # blank drawings look like nothing
        if led:
            distance = ((leaders[: len(led)] - signature) ** 2).mean(1)
            nearest = int(distance.argmin())
            if distance[nearest] < TWIN_DISTANCE**2:
                parent[_root(parent, int(named[row]))] = _root(parent, led[nearest])
                continue
        leaders[len(led)] = signature
        led.append(int(named[row]))
    return np.array([_root(parent, int(group)) for group in named], np.int64)


def _root(parent: npt.NDArray[np.int64], group: int) -> int:
    while parent[group] != group:
        group = int(parent[group])
    return group
