"""What a line promises, on what it was tested, and what is missing where no line can keep the promise."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clipwarden.tuning.lines.edges import Edge
from clipwarden.tuning.lines.saying import counted, percent


class Kind(StrEnum):
    """What is promised."""

    FALSE_POSITIVES = "false_positives"
    """At most a share of harmless pictures is stopped."""
    REVIEWED = "reviewed"
    """At most a share of harmless pictures goes to people, or is stopped."""
    WRONG_STOPS = "wrong_stops"
    """At most a share of all uploads is harmless and stopped."""
    FLAGS = "flags"
    """At most a share of all uploads is stopped, rightly or not; see `line_for_flag_rate` for what that is worth."""
    RECALL = "recall"
    """At least a share of harmful pictures is stopped."""
    REVIEWS = "reviews"
    """At most a share of all uploads goes to people."""


class Lacking(StrEnum):
    """What stands in the way of a promise."""

    LABELS = "labels"
    """Drawn pictures with a label: those without one were not left out by chance."""
    STORED = "stored"
    """Drawn pictures that the store has: what is not there was not lost by chance."""
    CLEAN = "clean"
    """Harmless pictures with a label."""
    HARMFUL = "harmful"
    """Harmful pictures with a label."""
    UPLOADS = "uploads"
    """Uploads, with or without labels."""
    CAPACITY = "capacity"
    """Reviews a day: what goes to people whatever the lines is more than there are."""


# Of which things a share is promised, and what happens to them.
_OF: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.FALSE_POSITIVES: ("harmless pictures", "are stopped"),
    Kind.REVIEWED: ("harmless pictures", "go to people or are stopped"),
    Kind.WRONG_STOPS: ("uploads", "are harmless and stopped"),
    Kind.FLAGS: ("uploads", "are stopped, rightly or not"),
    Kind.RECALL: ("harmful pictures", "are found"),
    Kind.REVIEWS: ("uploads", "go to people"),
}
_NAMES: Final[Mapping[Lacking, str]] = {
    Lacking.LABELS: "drawn pictures with a label",
    Lacking.STORED: "of the drawn pictures in the store",
    Lacking.CLEAN: "harmless pictures with a label",
    Lacking.HARMFUL: "harmful pictures with a label",
    Lacking.UPLOADS: "uploads",
    Lacking.CAPACITY: "reviews a day",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """What holds unless the sample was unlucky, and on what it was tested.

    Attributes:
        kind: What is promised.
        limit: The greatest share, 0..1; of RECALL the least.
        delta: The greatest chance that the promise is broken, 0..1, for this line alone, looked at once.
        tested: How many pictures, or uploads, it was tested on; groups of near-duplicates count once where `distinct`.
        allowed: How many of them might have been on the wrong side of the line.
        seen: How many are.
        distinct: Whether it speaks of distinct pictures, since near-duplicates counted once.
        weighted: Whether it speaks of uploads, by labels that stand for many or few of them: then counts are of labels.
    """

    kind: Kind
    limit: float
    delta: float
    tested: int
    allowed: int
    seen: int
    distinct: bool = False
    weighted: bool = False

    @property
    def sentence(self) -> str:
        """The promise as staff read it, in one sentence."""
        return self.said()

    def said(self, looks: int = 1) -> str:
        """Say the promise as staff read it, in one sentence.

        Args:
            looks: How often the labels were looked at: each look had a chance of its own to break it.
        """
        things, happens = _OF[self.kind]
        seen = (
            f"{counted(self.tested - self.seen if self.kind is Kind.RECALL else self.seen)} of {counted(self.tested)}"
        )
        which = " of distinct pictures, near-duplicates counted once," if self.distinct else ""
        if self.distinct and self.kind is Kind.WRONG_STOPS:
            things, which = f"distinct {things}, near-duplicates counted once,", ""
        sure = f"{percent(max(0.0, 1.0 - looks * self.delta))} confidence"
        after = f" after {looks} looks at these labels" if looks > 1 else ""
        bound = "at least" if self.kind is Kind.RECALL else "at most"
        here = (
            f"{seen} labels, some of which stand for more uploads than others"
            if self.weighted
            else f"{seen}{which} here"
        )
        return f"{bound} {percent(self.limit)} of {things} {happens}, with {sure}{after} ({here})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A limit on a score before its calibration; whatever scores as high or higher is stopped.

    Attributes:
        at: The line, strictly above `below` and not above `above`.
        below: The greatest score seen that stays below it; None when none does.
        above: The least score seen that reaches it; None when none does.
        promise: What holds of it, and of any line between the same two scores.
    """

    at: float
    below: float | None
    above: float | None
    promise: Promise


@dataclass(frozen=True, kw_only=True, slots=True)
class NotMet:
    """No line keeps the promise, and what is missing.

    Attributes:
        kind: What was to be promised.
        limit: The share that was asked for.
        delta: The chance of breaking it that was allowed.
        lacking: Of what there is too little.
        have: How many of it there are.
        need: How many are needed at least; of harmful pictures of a sample, and of uploads for a capacity, about so
            many.
        advice: What makes it cheaper; "" where nothing does.
    """

    kind: Kind
    limit: float
    delta: float
    lacking: Lacking
    have: int
    need: int
    advice: str = ""

    @property
    def missing(self) -> int:
        """How many more are needed."""
        return max(0, self.need - self.have)

    @property
    def sentence(self) -> str:
        """What is missing as staff read it, in one sentence."""
        things, happens = _OF[self.kind]
        bound = "at least" if self.kind is Kind.RECALL else "at most"
        return (
            f"no line can promise that {bound} {percent(self.limit)} of {things} {happens}, with"
            f" {percent(1.0 - self.delta)} confidence: it takes {counted(self.need)} {_NAMES[self.lacking]}, there are"
            f" {counted(self.have)}, so {counted(self.missing)} are missing{self.advice and '; '}{self.advice}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """What is to be promised, before it is known whether a line can.

    Attributes:
        kind: What.
        limit: The greatest share, of RECALL the least.
        delta: The greatest chance that the promise is broken.
        distinct: Whether near-duplicates count once.
        weighted: Whether labels stand for as many uploads as their chances say.
    """

    kind: Kind
    limit: float
    delta: float
    distinct: bool = False
    weighted: bool = False

    def kept(self, edge: Edge, *, tested: int, allowed: int, seen: int) -> Line:
        """Promise it of a line.

        Args:
            edge: Where the line lies.
            tested: What it was tested on.
            allowed: How many exceptions the test allows.
            seen: How many there are.

        Returns:
            The line.
        """
        return Line(
            at=edge.at,
            below=edge.below,
            above=edge.above,
            promise=Promise(
                kind=self.kind,
                limit=self.limit,
                delta=self.delta,
                tested=tested,
                allowed=allowed,
                seen=seen,
                distinct=self.distinct,
                weighted=self.weighted,
            ),
        )

    def missed(self, lacking: Lacking, *, have: int, need: int, advice: str = "") -> NotMet:
        """Say what is missing.

        Args:
            lacking: Of what there is too little.
            have: How many there are.
            need: How many it takes.
            advice: What makes it cheaper.

        Returns:
            What is missing.
        """
        return NotMet(
            kind=self.kind, limit=self.limit, delta=self.delta, lacking=lacking, have=have, need=need, advice=advice
        )
