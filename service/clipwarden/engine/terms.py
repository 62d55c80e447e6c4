"""What a caller asks for beside its image: until when, how urgently, and in whose name."""

import math
from dataclasses import dataclass
from enum import IntEnum


class Priority(IntEnum):
    """How urgent an image is; lower values go first, until those behind them have waited long enough (`line`)."""

    INTERACTIVE = 0
    """Somebody waits for the answer."""
    BULK = 1
    """Nobody does: a backfill, which takes what the interactive leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The terms of one call.

    Attributes:
        deadline: `time.monotonic()` after which nobody waits any more; None waits as long as the task lives.
        priority: How urgent it is.
        caller: Whose share of the machine it takes: an authenticated identity, else the peer; all calls without a
            name share one.
        origin: Where it comes from, by which callers beyond number are told from others; all without one are from
            one place.
    """

    deadline: float | None = None
    priority: Priority = Priority.INTERACTIVE
    caller: str = ""
    origin: str = ""

    @property
    def latest(self) -> float:
        """The deadline; infinite for none."""
        return math.inf if self.deadline is None else self.deadline


UNBOUND = Terms()
"""No deadline, no name: calls of this process's own."""
