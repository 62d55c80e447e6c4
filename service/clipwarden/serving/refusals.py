"""Refused images and calls in, a log line a second and cause out: a line for each would cost more than refusing it."""

import asyncio
import logging
from collections import Counter

from clipwarden.errors import HeadersTooLargeError, UnauthenticatedError

Denial = UnauthenticatedError | HeadersTooLargeError

SECONDS = 1.0
"""What one line sums up."""

MOST_LINES = 20
"""Lines a second about calls that were not let in; what a port is flooded with fills no disk."""

log = logging.getLogger("clipwarden.access")


class RefusalLog:
    """Sums refusals up. Lives on one event loop."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._denied: Counter[tuple[str, str, str, str]] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, cause: str) -> None:
        """Count one image or call that was refused without having been looked at."""
        self._counts[cause] += 1
        self._flush_soon()

    def note_denied(self, error: Denial, *, method: str, peer: str) -> None:
        """Count one call that was not let in.

        Args:
            error: Why; its message holds nothing that was sent.
            method: That was called.
            peer: Address, without its port.
        """
        key = (str(error.reason), str(error), method, peer)
        if key not in self._denied and len(self._denied) >= MOST_LINES:
            key = (str(error.reason), str(error), "", "")
        self._denied[key] += 1
        self._flush_soon()

    def _flush_soon(self) -> None:
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
        for (reason, message, method, peer), count in self._denied.items():
            extra = {"count": count, "reason": reason, "method": method or "several", "peer": peer or "several"}
            log.warning("refused %d calls: %s", count, message, extra=extra)
        self._denied.clear()
