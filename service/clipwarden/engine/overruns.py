"""What images took from their turn to their end in, how much longer than it would alone one may take out.

By class of cost, since each kind has its own: a large image overruns by tenths of a second because it is large, and a
small one is not to be refused for that. And each refusal that comes of an estimate takes a part of it away: whoever is
refused tells nothing of how long it would have taken, so that a stall would else be believed for ever.
"""

import math
from dataclasses import dataclass

_SMOOTHING = 1 / 16
"""Weight of the newest image, and of a refusal. TCP gives 1/8 and 1/4 to some ten samples a second; here are more."""
_DEVIATIONS = 2
_MOST_NOTED, _MOST_COSTS_NOTED = 1.0, 4.0
"""Seconds, and times the cost, up to which an overrun counts: a machine that stood still for a minute is no rule."""


@dataclass(kw_only=True, slots=True)
class _Class:
    """Mean and mean deviation, much as TCP keeps those of round trips (RFC 6298, section 2)."""

    mean: float = 0.0
    deviation: float = 0.0


class Overruns:
    """Learns. Lives on one event loop."""

    def __init__(self) -> None:
        self._classes: dict[int, _Class] = {}

    def note(self, cost: float, seconds: float) -> None:
        """Hear how long an image took from its turn to its end, or to its deadline, which it then passed.

        Args:
            cost: Seconds that it was thought to take alone.
            seconds: That it took.
        """
        known = self._class(cost)
        off = min(seconds - cost, _MOST_NOTED + _MOST_COSTS_NOTED * cost) - known.mean
        known.deviation += (abs(off) - known.deviation) * _SMOOTHING
        known.mean += off * _SMOOTHING

    def most(self, cost: float) -> float:
        """Say how many seconds more than its cost an image seldom exceeds.

        Args:
            cost: Its.

        Returns:
            At least 0.
        """
        known = self._class(cost)
        return max(0.0, known.mean + _DEVIATIONS * known.deviation)

    def doubt(self, cost: float) -> None:
        """Hear that an image was refused for what was said."""
        known = self._class(cost)
        known.mean -= known.mean * _SMOOTHING
        known.deviation -= known.deviation * _SMOOTHING

    def _class(self, cost: float) -> _Class:
        # By powers of two: some twenty of them lie between a microsecond and the longest decode.
        return self._classes.setdefault(math.frexp(cost)[1], _Class())
