"""Labels as numbers: a row a picture, a column a category, and how the pictures were drawn."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

FORMAT = "clipwarden.labels/1"
"""What the first line of a label file says it is."""
HARMLESS = "harmless"
"""The label, and the folder, of pictures that belong to no category."""


class Design(StrEnum):
    """How pictures came to be labelled: that decides what their labels can promise."""

    SAMPLE = "sample"
    """Drawn from uniform traffic with known probabilities: rates of traffic follow."""
    SET = "set"
    """Picked by hand: figures hold on these pictures, and promise nothing of others."""
    QUEUE = "queue"
    """Reviews and appeals, which the lines in force picked: examples to look at, never rates."""
    TOP = "top"
    """Uploads drawn uniformly and walked down by score: wrong stops per upload follow for one category."""


class Mark(IntEnum):
    """What is known of one picture in one category, as `Labels.marks` has it."""

    POSITIVE = 1
    NEGATIVE = 0
    UNSURE = -1
    """Somebody could not tell, or two who looked did not agree."""
    UNKNOWN = -2
    """Nobody said anything; that is not "no"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """How far, and for what, uniformly drawn uploads are labelled from the highest score down.

    Attributes:
        category: What is labelled; the only one.
        uploads: Distinct pictures that were drawn, labelled or not; the promise is about as many.
        at_most: Share of uploads that may be stopped wrongly, in (0, 1).
        confidence: With which that is promised, in (0, 1).
        allowed: Wrong stops that still keep the promise: the walk ends at one more.
        listed: How many of the uploads are rows, those with the highest scores; None where all are.
        by: Digest of what ordered them, where not all are listed.
    """

    category: str
    uploads: int
    at_most: float
    confidence: float
    allowed: int
    # A walk stays the same walk, however much of it is listed.
    listed: int | None = field(default=None, repr=False, compare=False)
    by: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement:
    """What two or more people who looked at the same picture said differently.

    Attributes:
        sha256: The picture, 64 hexadecimal digits.
        category: What it is about.
        marks: What each said, by their names, sorted.
    """

    sha256: str
    category: str
    marks: Mapping[str, Mark]


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """Labels of distinct pictures, in the order of their file.

    Attributes:
        design: How the pictures were drawn.
        categories: Ids of what was looked for, [C]; the columns of `marks`.
        sha256: Of each picture's file, 64 lower-case hexadecimal digits, [k], all different.
        uri: Where each was found, or None; [k].
        pi: Probability with which each was drawn, in (0, 1]; float64 [k], NaN where the design has none.
        group: Name of the group of near copies that the file puts a picture in, or None; [k].
        slices: By slice, the value of each picture, or None; [k] each.
        marks: int8 [k,C] of `Mark`.
        disagreements: Where labellers differ; those marks are UNSURE.
        labellers: Names of those who labelled, sorted; none where no file says.
        escalated: Rows that somebody stopped and escalated; their marks are UNSURE where nobody said more. intp.
        complete: Whether a picture that the file does not mention, or a category that it leaves out, is a "no".
        seed: What the sample was drawn with, or None.
        store: Digest of the store that it was drawn from, or None.
        policy: Digest of the policy by whose scores it was drawn, or None.
        walk: For `Design.TOP` alone.
        beyond: Rows of a walk that are not among the first that its file lists: they were labelled when other texts
            ordered it. intp.
        absent: sha256 (or uri) of labelled pictures that the store lacks, which are not among the rows.
        absent_pi: With which probability each of those was drawn; None where the design has none.
        unjudged: sha256 of labelled pictures that the store has but could not judge; not among the rows either.
        sources: The files that they were read from.
    """

    design: Design
    categories: tuple[str, ...]
    sha256: tuple[str, ...]
    uri: tuple[str | None, ...]
    pi: NDArray[np.float64]
    group: tuple[str | None, ...]
    slices: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    marks: NDArray[np.int8]
    disagreements: tuple[Disagreement, ...] = ()
    labellers: tuple[str, ...] = ()
    escalated: tuple[int, ...] = ()
    complete: bool = False
    seed: str | None = None
    store: str | None = None
    policy: str | None = None
    walk: Walk | None = None
    beyond: tuple[int, ...] = ()
    absent: tuple[str, ...] = ()
    absent_pi: tuple[float | None, ...] = ()
    unjudged: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.sha256)

    def column(self, category: str) -> NDArray[np.int8]:
        """Return the marks of one category, int8 [k].

        Args:
            category: One of `categories`.
        """
        return self.marks[:, self.categories.index(category)]

    def counts(self, category: str) -> Mapping[Mark, int]:
        """Count a category's marks; every kind is there."""
        column = self.column(category)
        return {mark: int(np.count_nonzero(column == mark)) for mark in Mark}

    @property
    def digest(self) -> str:
        """Name what the labels say by its content: `sha256:` and 64 digits, whatever the order of rows.

        Labels that were looked at before are known again by it.
        """
        order = sorted(range(len(self)), key=self.sha256.__getitem__)
        columns = sorted(range(len(self.categories)), key=self.categories.__getitem__)
        rows = (
            f"{self.sha256[row]} {self.pi[row]!r} {self.group[row]!r} {self.marks[row, columns].tolist()}"
            for row in order
        )
        head = f"{self.design} {[self.categories[column] for column in columns]} {self.complete} {self.walk}"
        return _digest([head, *rows])


def _digest(lines: Iterable[str]) -> str:
    hashed = hashlib.sha256()
    for line in lines:
        hashed.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return f"sha256:{hashed.hexdigest()}"


def no_marks(rows: int, categories: Sequence[str]) -> NDArray[np.int8]:
    """Make marks of which none is known, int8 [k,C]."""
    return np.full((rows, len(categories)), Mark.UNKNOWN, dtype=np.int8)
