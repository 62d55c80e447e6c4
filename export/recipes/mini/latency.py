"""Time one image through the image tower on one core."""

import time
from typing import Final

import numpy as np

from clipwarden.modelfolder.load import Model

_WARM_UP: Final = 20
_ROUNDS: Final = 200


def measure_latency(model: Model) -> dict[str, float]:
    """Run single images, one after the other.

    Args:
        model: Loaded with one thread.

    Returns:
        Milliseconds at the 10th, 50th and 90th percentile.
    """
    side = model.manifest.image.side
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    spent = []
    for _ in range(_WARM_UP + _ROUNDS):
        began = time.perf_counter()
        model.image.encode(picture)
        spent.append((time.perf_counter() - began) * 1e3)
    low, middle, high = np.quantile(spent[_WARM_UP:], [0.1, 0.5, 0.9])
    return {"p10_ms": float(low), "p50_ms": float(middle), "p90_ms": float(high)}
