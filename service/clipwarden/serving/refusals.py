"""Refused images in, a log line a second and cause out: a line for each would cost more than refusing it."""

import asyncio
import logging
from collections import Counter

SECONDS = 1.0
"""What one line sums up."""

log = logging.getLogger("clipwarden.access")


class RefusalLog:
    """Sums refusals up. Lives on one event loop."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, cause: str) -> None:
        """Count one image or call that was refused without having been looked at."""
        self._counts[cause] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was counted since the last lines."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        for cause, count in self._counts.items():
            log.info("refused %d images: %s", count, cause, extra={"count": count, "cause": cause})
        self._counts.clear()
