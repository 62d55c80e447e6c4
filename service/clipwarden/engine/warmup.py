"""Run the encoder on plain images of every batch size, largest first, and choose the largest size that still pays."""

import logging
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from clipwarden.engine.batching import Batcher
from clipwarden.engine.waiting import Pixels
from clipwarden.modelfolder.load import Model

CPU_BATCH = 8
"""Most views of a run on CPUs. Source: queue simulation at 1 + 12 n ms a batch; larger ones only add latency."""
DEVICE_BATCH = 32
"""Most views of a run elsewhere. Source: the same, at 3 + 0.15 n ms."""
MAX_RUNS = 5
ENOUGH_SECONDS = 0.2
"""Times of short runs are noise, those of long ones cost the start: 0.2 s a size, or five runs."""
MIN_GAIN = 0.05
"""A doubling that gains less throughput than this is not worth its latency."""

log = logging.getLogger(__name__)


async def warm_up(batcher: Batcher, model: Model, *, max_batch: int) -> None:
    """Warm the encoder up, and set the batcher's largest batch and first idea of its pace.

    Largest first: the memory arena then takes its final size at once, and stays.

    Args:
        batcher: Not started yet.
        model: Whose encoder the batcher runs.
        max_batch: The user's choice; 0 lets the measurement decide.

    Raises:
        EncoderError: The encoder fails on plain images.
    """
    limit = max_batch or (CPU_BATCH if model.runtime.provider == "CPUExecutionProvider" else DEVICE_BATCH)
    limit = min(limit, model.manifest.max_batch or limit)
    side = model.manifest.image.side
    seconds: dict[int, float] = {}
    for size in reversed(bucket_sizes(limit)):
        pixels = np.zeros((size, side, side, 3), dtype=np.uint8)
        await batcher.run(pixels)  # the first run of a shape also plans and allocates
        seconds[size] = await _least_seconds(batcher, pixels)
    batcher.max_batch = limit if max_batch else best_size(seconds)
    batcher.note_pace(seconds[batcher.max_batch] / batcher.max_batch)
    log.info("warmed up", extra={"max_batch": batcher.max_batch, "batch_seconds": seconds})


async def _least_seconds(batcher: Batcher, pixels: Pixels) -> float:
    """Time a run; a short one several times, since a neighbour on the machine could triple it."""
    taken: list[float] = []
    while not taken or (len(taken) < MAX_RUNS and sum(taken) < ENOUGH_SECONDS):
        taken.append((await batcher.run(pixels))[1])
    return min(taken)


def bucket_sizes(limit: int) -> list[int]:
    """Return 1, 2, 4 ... up to a limit, which is always among them."""
    sizes = [1 << power for power in range(limit.bit_length()) if 1 << power < limit]
    return [*sizes, limit]


def best_size(seconds: Mapping[int, float]) -> int:
    """Choose the batch size after which the next one gains less than `MIN_GAIN` throughput.

    Args:
        seconds: Time of a run, by its views.

    Returns:
        One of the sizes.
    """
    sizes = sorted(seconds)
    for size, larger in pairwise(sizes):
        if seconds[size] / size < (1 + MIN_GAIN) * seconds[larger] / larger:
            return size
    return sizes[-1]
