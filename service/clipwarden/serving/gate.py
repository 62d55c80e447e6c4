"""Calls that come and go in; whether they may begin, and when the last one has ended, out."""

import asyncio
from contextlib import suppress

from clipwarden.errors import ShuttingDownError


class Gate:
    """Counts calls at work, and refuses new ones once the server drains. Lives on one event loop."""

    def __init__(self) -> None:
        self._active = 0
        self._came = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = asyncio.Event()

    def enter(self) -> None:
        """Count one call as at work, until it leaves.

        Raises:
            ShuttingDownError: The server drains; such a call is never at work, however often it comes.
        """
        self._came += 1
        self.require_open()
        self._active += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count a call that entered as at work no longer."""
        self._active -= 1
        if not self._active:
            self._idle.set()

    def require_open(self) -> None:
        """Refuse new work while draining.

        Raises:
            ShuttingDownError: The server drains.
        """
        if self.draining.is_set():
            raise ShuttingDownError("the server shuts down; another one, or this one later, may take the call")

    def close(self) -> None:
        """Refuse new work from now on; what is at work goes on."""
        self.draining.set()

    async def wait_quiet(self, seconds: float, *, at_most: float) -> None:
        """Wait until no call is at work, and then until none has come for a while.

        A call that is on its way when gRPC stops ends as CANCELLED, which few clients but ours try again; one that
        comes here in time is told UNAVAILABLE, and goes elsewhere.

        Args:
            seconds: Without a call.
            at_most: How long to wait for that. Callers that know no other server may come again without end.
        """
        await self._idle.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                came = None
                while came != self._came:
                    came = self._came
                    await asyncio.sleep(seconds)
