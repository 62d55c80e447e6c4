"""The event loop's lateness in, a sample at a time: how long whatever came would have stood before anybody saw it."""

import asyncio
from collections.abc import Callable

SECONDS = 0.1
"""Between samples: ten a second cost some 0.03 % of a core, and a pause of as much is always seen."""


async def watch_lag(note: Callable[[float], None], *, seconds: float = SECONDS) -> None:
    """Measure, until cancelled, how late the loop wakes a task that sleeps.

    Args:
        note: Told of each sample, in seconds.
        seconds: Between samples.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + seconds
        await asyncio.sleep(seconds)
        note(max(0.0, loop.time() - due))
