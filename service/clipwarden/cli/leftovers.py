"""Why something that was found is not judged, what that adds to the exit code, and how a folder's are counted."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from clipwarden.cli.exits import Exit

NAMED = 3
"""Of each kind that are named on stderr, as many as fit a line; the others are counted."""


class LeftOutReason(StrEnum):
    """Stable names, in the order in which they are counted on stderr; never renamed once released."""

    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    SPECIAL_FILE = "SPECIAL_FILE"
    FOLDER_SEEN = "FOLDER_SEEN"
    FOLDER_EMPTY = "FOLDER_EMPTY"
    FOLDER_INSIDE = "FOLDER_INSIDE"
    HIDDEN = "HIDDEN"
    LINK = "LINK"
    LINK_BROKEN = "LINK_BROKEN"
    FOLDER_UNREADABLE = "FOLDER_UNREADABLE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What is true of all that was left out for one reason.

    Attributes:
        label: For people.
        exit: OK where it is no image or is judged under another name; USAGE where a folder that was named holds none;
            LEFT_OUT where it is or may hold an image that an option would judge; UNJUDGED where no option would.
        option: Has it judged; empty where none does.
    """

    label: str
    exit: Exit
    option: str = ""


KINDS: Final = {
    LeftOutReason.NOT_AN_IMAGE: Kind(label="not an image", exit=Exit.OK),
    LeftOutReason.SPECIAL_FILE: Kind(label="special file, never opened", exit=Exit.OK),
    LeftOutReason.FOLDER_SEEN: Kind(label="folder found before", exit=Exit.OK),
    LeftOutReason.FOLDER_EMPTY: Kind(label="folder without an image to judge", exit=Exit.USAGE),
    LeftOutReason.FOLDER_INSIDE: Kind(label="folder inside", exit=Exit.LEFT_OUT, option="--recursive"),
    LeftOutReason.HIDDEN: Kind(label="hidden image or folder", exit=Exit.LEFT_OUT, option="--hidden"),
    LeftOutReason.LINK: Kind(label="link to an image or folder", exit=Exit.LEFT_OUT, option="--follow-links"),
    LeftOutReason.LINK_BROKEN: Kind(label="link that cannot be followed", exit=Exit.UNJUDGED),
    LeftOutReason.FOLDER_UNREADABLE: Kind(label="folder that cannot be read", exit=Exit.UNJUDGED),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """Something in a folder that is not judged.

    Attributes:
        name: Below the folder as the user wrote it.
        reason: Why.
        detail: What is known of this one beyond its reason, such as what the system said; may be empty.
    """

    name: str
    reason: LeftOutReason
    detail: str = ""

    @property
    def kind(self) -> Kind:
        """What is true of all of its reason."""
        return KINDS[self.reason]

    def __str__(self) -> str:
        """Say why in a sentence without its end: `hidden image or folder; add --hidden`."""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.kind.label}{detail}{_advice(self.kind)}"


@dataclass(kw_only=True, slots=True)
class LeftOuts:
    """What remains of all that was left out, without keeping more than a few names of each kind."""

    counts: Counter[LeftOutReason] = field(default_factory=Counter)
    _names: defaultdict[LeftOutReason, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, item: LeftOut) -> None:
        """Count one."""
        self.counts[item.reason] += 1
        if len(self._names[item.reason]) < NAMED:
            self._names[item.reason].append(item.name)

    @property
    def exceed_names(self) -> bool:
        """Whether some kind has more than its lines name."""
        return any(count > NAMED for count in self.counts.values())

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind: `hidden image or folder: 4 (a/.b.png, a/.c, a/.d.jpg, ...); add --hidden`."""
        for reason in LeftOutReason:
            if count := self.counts[reason]:
                more = ", ..." if count > NAMED else ""
                yield f"{KINDS[reason].label}: {count} ({', '.join(self._names[reason])}{more}){_advice(KINDS[reason])}"


def _advice(kind: Kind) -> str:
    return f"; add {kind.option}" if kind.option else ""


def _reasons_ending_with(code: Exit) -> str:
    return ", ".join(f"{reason} ({kind.label}{_advice(kind)})" for reason, kind in KINDS.items() if kind.exit == code)


LEFT_OUT_HELP = f"""**Left out of a folder**, counted on stderr, and with a line each under --json and --csv:
{_reasons_ending_with(Exit.OK)}, which leave the exit code as it is ·
{_reasons_ending_with(Exit.USAGE)}, which ends with {Exit.USAGE:d} at least ·
{_reasons_ending_with(Exit.LEFT_OUT)}, which end with {Exit.LEFT_OUT:d} at least ·
{_reasons_ending_with(Exit.UNJUDGED)}, which end with {Exit.UNJUDGED:d}."""
