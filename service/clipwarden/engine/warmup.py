"""Run the encoder on plain images of every batch size, largest first, before anybody waits for it."""

import asyncio
import logging

import numpy as np

from clipwarden.engine.batching import Batcher
from clipwarden.engine.encoderplan import EncoderPlan

WARM_RUNS = 2
"""The first run of a shape plans and allocates; the second tells what the next ones will take."""

log = logging.getLogger(__name__)


async def warm_up(batcher: Batcher, plan: EncoderPlan, *, side: int) -> None:
    """Warm the encoder up, and tell the batcher what a view costs until it has seen so itself.

    Largest first, and as many runs at once as there will be: the memory arena then takes its final size at once, and
    stays. Nothing is chosen here, so that a start takes as long on a busy machine as the encoder does, and no longer.

    Args:
        batcher: Not started yet.
        plan: What it will run.
        side: S.

    Raises:
        EncoderError: The encoder fails on plain images.
    """
    seconds: dict[int, float] = {}
    for size in reversed(bucket_sizes(plan.max_batch)):
        pixels = np.zeros((size, side, side, 3), dtype=np.uint8)
        for _ in range(WARM_RUNS):
            runs = await asyncio.gather(*(batcher.run(pixels) for _ in range(plan.encoder_runs)))
        seconds[size] = min(taken for _, taken in runs)
    batcher.note_pace(seconds[plan.max_batch] / plan.max_batch)
    log.info("warmed up", extra={"batch_seconds": seconds})


def bucket_sizes(limit: int) -> list[int]:
    """Return 1, 2, 4 ... up to a limit, which is always among them."""
    sizes = [1 << power for power in range(limit.bit_length()) if 1 << power < limit]
    return [*sizes, limit]
