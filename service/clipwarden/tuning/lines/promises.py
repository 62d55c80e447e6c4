"""What a line promises, on what it was tested, and what is missing where no line can keep the promise."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is promised."""

    FALSE_POSITIVES = "false_positives"
    """At most a share of harmless pictures is stopped."""
    WRONG_STOPS = "wrong_stops"
    """At most a share of all uploads is harmless and stopped."""
    FLAGS = "flags"
    """At most a share of all uploads is stopped, rightly or not; see `line_for_flag_rate` for what that is worth."""
    RECALL = "recall"
    """At least a share of harmful pictures is stopped."""
    REVIEWS = "reviews"
    """At most so many uploads a day go to people, on average or on 95 of 100 days."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """What holds unless the sample was unlucky, and on what it was tested.

    Attributes:
        kind: What is promised.
        limit: The greatest share, 0..1; of RECALL the least.
        delta: The greatest chance that the promise is broken, 0..1, for this line alone, looked at once.
        tested: How many pictures, or uploads, it was tested on; groups of near-duplicates count once where `distinct`.
        allowed: How many of them may be on the wrong side of the line.
        seen: How many are.
        distinct: Whether it speaks of distinct pictures, since near-duplicates counted once.
    """

    kind: Kind
    limit: float
    delta: float
    tested: int
    allowed: int
    seen: int
    distinct: bool = False

    @property
    def sentence(self) -> str:
        """The promise as staff read it, in one sentence."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A limit on a score before its calibration; whatever scores as high or higher is stopped.

    Attributes:
        at: The line, strictly above `below` and not above `above`.
        below: The greatest score seen that stays below it; None when none does.
        above: The least score seen that reaches it; None when none does.
        promise: What holds of it.
    """

    at: float
    below: float | None
    above: float | None
    promise: Promise


class Lacking(StrEnum):
    """What stands in the way of a promise."""

    CLEAN = "clean"
    """Harmless pictures with a label."""
    HARMFUL = "harmful"
    """Harmful pictures with a label."""
    UPLOADS = "uploads"
    """Uploads, with or without labels."""
    CAPACITY = "capacity"
    """Reviews a day: what goes to people whatever the lines is more than there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotMet:
    """No line keeps the promise, and what is missing.

    Attributes:
        kind: What was to be promised.
        limit: The share that was asked for.
        delta: The chance of breaking it that was allowed.
        lacking: Of what there is too little.
        have: How many of it there are.
        need: How many are needed at least; of harmful pictures of a sample about so many.
    """

    kind: Kind
    limit: float
    delta: float
    lacking: Lacking
    have: int
    need: int

    @property
    def missing(self) -> int:
        """How many more are needed."""
        return max(0, self.need - self.have)

    @property
    def sentence(self) -> str:
        """What is missing as staff read it, in one sentence."""
        raise NotImplementedError
