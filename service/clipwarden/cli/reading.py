"""What was found in, the bytes of its files out, as many at once as memory is meant to hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clipwarden.cli.inputs import Input
from clipwarden.cli.leftovers import LeftOut
from clipwarden.engine.memory import ByteBudget

BYTES_AT_WORK = 256 * 2**20
"""Files read and not yet judged, however many images are at work; as a server's own default for `queue_bytes`."""


class Reading:
    """Reads files in turn. Lives on one event loop.

    Args:
        limit: Most bytes of one that can be judged; a larger one is not read.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._budget = ByteBudget(max_bytes=max(BYTES_AT_WORK, limit + 1), small_bytes=0)

    @asynccontextmanager
    async def read(self, item: Input) -> AsyncIterator[bytes | LeftOut]:
        """Wait for room, and yield the encoded image, or why there is none to judge; leaving gives the room back.

        Raises:
            ImageError: IMAGE_TOO_LARGE.
            OSError: The file cannot be read.
        """
        size = await asyncio.to_thread(item.most_bytes, limit=self._limit)
        await self._budget.borrow(size)
        try:
            yield await asyncio.to_thread(item.read, limit=self._limit)
        finally:
            self._budget.give_back(size)
