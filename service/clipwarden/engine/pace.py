"""How fast the machine works: the cost of what was done while somebody waited in, seconds a second of cost out.

Only while somebody waits does what gets done in a while tell what can be done in it. So the pace takes in whatever
slows the machine down (stages that share its cores, other programs on them, a device that is slower than thought), and
costs have to be right relative to one another only.
"""

import math

MEMORY_SECONDS = 1.0
"""How long what was seen counts while somebody waits: half of a common deadline, so that a machine that slows down is
known to while those let in can still make it, and long enough for tens of images at tens a second."""
LEAST_SEEN = 16
"""Pieces of work that always count: of those that take a second each, one alone would say little."""
IDLE_MEMORY_SECONDS = 10.0
"""How long it counts while nobody waits: what made the machine slow in one rush is often gone in the next."""
PRIOR_COST = 0.1
"""Seconds of cost that the pace it starts from counts as: a few images, so that a rush corrects it at once."""


class Pace:
    """Seconds of the clock that a second of cost takes. Plain bookkeeping; whoever owns it says what time it is."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._waits = False
        self._open = 0.0  # seconds that somebody waited since work was last done
        self._seconds = 0.0
        self._cost = 0.0

    def wait(self, now: float) -> None:
        """Hear that somebody waits from now on."""
        self._advance(now)
        self._waits = True

    def rest(self, now: float) -> None:
        """Hear that nobody does."""
        self._advance(now)
        self._waits = False

    def forget(self, now: float) -> None:
        """Forget what was seen."""
        self._last = now
        self._open = self._seconds = self._cost = 0.0

    def note(self, now: float, cost: float) -> None:
        """Hear that work was done.

        Args:
            now: When it ended.
            cost: In seconds, as it was estimated.
        """
        self._advance(now)
        if not self._waits:
            return
        keep = max(math.exp(-self._open / MEMORY_SECONDS), 1 - 1 / LEAST_SEEN)
        self._seconds = self._seconds * keep + self._open
        self._cost = self._cost * keep + cost
        self._open = 0.0

    def value(self, now: float, prior: float) -> float:
        """Say how many seconds a second of cost takes.

        Args:
            now: What has not come about for a long while counts too.
            prior: What to think until something has been seen.
        """
        seconds, cost = self._seen(now)
        return (seconds + prior * PRIOR_COST) / (cost + PRIOR_COST)

    def _advance(self, now: float) -> None:
        if self._waits:
            self._open += now - self._last
        else:
            self._seconds, self._cost = self._seen(now)
            self._open = 0.0
        self._last = now

    def _seen(self, now: float) -> tuple[float, float]:
        passed = now - self._last
        if self._waits:
            return self._seconds + self._open + passed, self._cost
        keep = math.exp(-passed / IDLE_MEMORY_SECONDS)
        return (self._seconds + self._open) * keep, self._cost * keep
