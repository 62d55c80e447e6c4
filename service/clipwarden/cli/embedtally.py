"""What became of each upload in, what a run says at its end out: a few sentences, or one JSON object."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from clipwarden.cli.exits import Exit
from clipwarden.cli.leftovers import NAMED, LeftOut, LeftOuts
from clipwarden.tuning.store.records import PictureRecord, UploadRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What became of one upload.

    Attributes:
        name: Of the file, as it is to be shown.
        upload: What is known of it now.
        picture: What was made of its file; None where that was known before, or the file could not be read.
    """

    name: str
    upload: UploadRecord
    picture: PictureRecord | None = None

    @property
    def detail(self) -> str:
        """Why it cannot be judged, as a sentence; empty where it can, or where another upload of its file said so."""
        return self.upload.detail or (self.picture.detail if self.picture else None) or ""


@dataclass(kw_only=True, slots=True)
class EmbedTally:
    """Counts of one run.

    Attributes:
        uploads: That were found.
        added: That are new to the store.
        other_slices: That are in the store with other slices than now, and stay as they were.
        encoded: Pictures that were encoded.
        bad: Uploads whose file cannot be judged, by reason.
        left_out: What of folders was left out.
        exit: The highest code that applies.
    """

    uploads: int = 0
    added: int = 0
    other_slices: int = 0
    encoded: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    left_out: LeftOuts = field(default_factory=LeftOuts)
    exit: Exit = Exit.OK
    _named: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def leave_out(self, item: LeftOut) -> None:
        """Count what is no upload."""
        self.left_out.add(item)
        self.exit = max(self.exit, item.kind.exit)

    def add(self, taken: Taken, *, reason: str | None) -> None:
        """Count an upload, and why its file cannot be judged, if it cannot."""
        self.uploads += 1
        if reason is None:
            return
        self.bad[reason] += 1
        self.exit = max(self.exit, Exit.UNJUDGED)
        if len(self._named[reason]) < NAMED:
            self._named[reason].append(f"{taken.name}: {taken.detail}" if taken.detail else taken.name)

    def bad_lines(self) -> Iterator[str]:
        """Yield a line for each reason: `IMAGE_CORRUPT: 12 (a.png: ...; b.png: ...; ...)`."""
        for reason, count in sorted(self.bad.items()):
            more = "; ..." if count > NAMED else ""
            yield f"{reason}: {count:,} ({'; '.join(self._named[reason])}{more})"

    def record(self, seconds: float) -> Mapping[str, object]:
        """Say all of it as JSON."""
        return {
            "uploads": {"found": self.uploads, "added": self.added, "other_slices": self.other_slices},
            "encoded": self.encoded,
            "cannot_be_judged": dict(sorted(self.bad.items())),
            "left_out": {reason.value: count for reason, count in self.left_out.counts.items()},
            "seconds": round(seconds, 3),
            "exit": int(self.exit),
        }
