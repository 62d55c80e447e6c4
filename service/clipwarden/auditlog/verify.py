"""Files of an audit log in, what is wrong with them out: lines changed, missing, doubled, torn, or dropped.

Order of the files does not matter. Each file is read once, line by line; the lines of one process make runs of
consecutive numbers, and afterwards its runs are put in order and joined, across files.

What a chain proves: that every line between two known ones is there as it was written. There is no key in it. Who can
rewrite the whole log can compute all hashes anew; who can append can write a process that never was; and who can cut
off the end, or take out a process that no other follows, leaves chains without a fault. Against these helps what is
kept elsewhere: the server logs a hash and its process once a minute, and both have to be here still.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from clipwarden.auditlog.lines import NO_HASH, Place, Sealed
from clipwarden.auditlog.reading import Line, read_lines


class Kind(StrEnum):
    """What is wrong, from bad to none."""

    BROKEN = "broken"
    """A line is not as it was written, or not where it stood."""
    MISSING = "missing"
    """Lines are not there that were written."""
    UNCHAINED = "unchained"
    """Lines have no hashes, so that only their numbers tell."""
    TORN = "torn"
    """Half a line."""
    DROPPED = "dropped"
    """The log itself says that it lacks lines."""
    NOTE = "note"
    """Nothing to mend."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing to know.

    Attributes:
        where: File and line; the file alone, or empty, where no line is to be shown.
        count: Of lines it is about.
    """

    kind: Kind
    where: str
    message: str
    count: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        lines: Whole lines of ours.
        findings: In the order of files, then of joining.
        heads: Each process's last line.
    """

    lines: int
    findings: tuple[Finding, ...]
    heads: tuple[Place, ...]

    def of(self, *kinds: Kind) -> list[Finding]:
        """Pick the findings of some kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]


@dataclass(slots=True)
class _Run:
    """Consecutive lines of one process in one file."""

    where: str
    first: Sealed
    last: Place
    ended: bool = False


@dataclass(slots=True)
class _Found:
    lines: int = 0
    findings: list[Finding] = field(default_factory=list)
    runs: dict[str, list[_Run]] = field(default_factory=dict)
    follows: list[tuple[str, Place]] = field(default_factory=list)
    seen_head: bool = False

    def note(self, kind: Kind, where: str, message: str, count: int = 1) -> None:
        self.findings.append(Finding(kind=kind, where=where, message=message, count=count))


def verify(paths: Sequence[Path], *, head: str | None = None) -> Verification:
    """Check a log.

    Args:
        paths: All its files, in any order.
        head: A hash that was kept elsewhere, which has to be in the chain.

    Returns:
        What was found.

    Raises:
        AuditLogError: A file cannot be read, or is of another schema.
    """
    found = _Found()
    for path in paths:
        _read(path, found, head)
    heads = [_join(process, sorted(runs, key=_first_seq), found) for process, runs in found.runs.items()]
    for where, place in found.follows:
        _check_link(where, place, found)
    if head is not None and not found.seen_head:
        found.note(Kind.MISSING, "", f"no line has the hash {head}: lines were cut off, or the log was written anew")
    return Verification(lines=found.lines, findings=tuple(found.findings), heads=tuple(heads))


def _read(path: Path, found: _Found, head: str | None) -> None:
    current: dict[str, _Run] = {}
    for line in read_lines(path):
        sealed = line.sealed
        if sealed is None:
            found.note(
                Kind.TORN, line.where, "is no whole line, as a process leaves one that is killed while it writes"
            )
            continue
        found.lines += 1
        found.seen_head = found.seen_head or (head is not None and sealed.place.hash == head)
        _add(line, sealed, current, found)
        _note_what_it_says(line, sealed, found)


def _add(line: Line, sealed: Sealed, current: dict[str, _Run], found: _Found) -> None:
    place = sealed.place
    run = current.get(place.process)
    if run is None or place.seq != run.last.seq + 1:
        if run is not None and place.seq <= run.last.seq:
            found.note(Kind.BROKEN, line.where, f"is number {place.seq}, but stands behind number {run.last.seq}")
        run = current[place.process] = _Run(where=line.where, first=sealed, last=place)
        found.runs.setdefault(place.process, []).append(run)
    else:
        _check(line.where, sealed, run.last, found)
    run.last, run.ended = place, sealed.data.get("record") == "stopped"


def _check(where: str, sealed: Sealed, before: Place, found: _Found) -> None:
    """Check a line's hash by the line before."""
    if (sealed.place.hash is None) != (before.hash is None):
        found.note(Kind.BROKEN, where, "begins or ends a chain in the middle of a process")
    elif before.hash is not None and not sealed.follows(before.hash):
        found.note(Kind.BROKEN, where, "is not as it was written, or the line before it is not")


def _note_what_it_says(line: Line, sealed: Sealed, found: _Found) -> None:
    data = sealed.data
    count = data.get("count")
    if data.get("record") == "dropped" and isinstance(count, int):
        when = f"from {data.get('since')} to {data.get('until')}"
        found.note(Kind.DROPPED, line.where, f"{count} lines were dropped {when}: {data.get('why')}", count)
    if sealed.place.seq == 0 and (before := _followed(sealed)):
        found.follows.append((line.where, before))


def _followed(sealed: Sealed) -> Place | None:
    """Read which line a process found before its first one; None where there was none, or it makes no sense."""
    match sealed.data.get("follows"):
        case {"process": str(process), "seq": int(seq), "hash": str() | None as digits}:
            return Place(process=process, seq=seq, hash=digits)
    return None


def _first_seq(run: _Run) -> int:
    return run.first.place.seq


def _join(process: str, runs: Sequence[_Run], found: _Found) -> Place:
    """Join the runs of one process, and return its last line."""
    _check_begin(process, runs[0], found)
    last = runs[0]
    for run in runs[1:]:
        ahead = run.first.place.seq - last.last.seq - 1
        if ahead > 0:
            between = f"{last.last.seq + 1} to {run.first.place.seq - 1}"
            found.note(Kind.MISSING, run.where, f"lines {between} of process {process} are missing before it", ahead)
        elif ahead < 0:
            found.note(Kind.BROKEN, run.where, f"number {run.first.place.seq} of process {process} is there twice")
        else:
            _check(run.where, run.first, last.last, found)
        last = run if run.last.seq >= last.last.seq else last
    if last.last.hash is None:
        found.note(Kind.UNCHAINED, last.where, f"process {process} wrote no hashes: only numbers were checked")
    if not last.ended:
        why = "it still runs, was killed, or could not write any more"
        found.note(Kind.NOTE, "", f"process {process} has no end after number {last.last.seq}: {why}")
    return last.last


def _check_begin(process: str, run: _Run, found: _Found) -> None:
    first = run.first
    if first.place.seq:
        note = f"process {process} begins with number {first.place.seq}: what was before is in none of the files"
        found.note(Kind.NOTE, run.where, note)
        return
    before = _followed(first)
    if first.place.hash is not None and not first.follows((before and before.hash) or NO_HASH):
        found.note(Kind.BROKEN, run.where, "is not as it was written")


def _check_link(where: str, place: Place, found: _Found) -> None:
    """Check that the line is there that a process found before its first one."""
    runs = found.runs.get(place.process)
    if runs is None:
        found.note(Kind.NOTE, where, f"follows process {place.process}, which is in none of the files")
        return
    last = max((run.last for run in runs), key=lambda each: each.seq)
    if place.seq > last.seq:
        missing = f"lines {last.seq + 1} to {place.seq} of process {place.process} are missing before it"
        found.note(Kind.MISSING, where, missing, place.seq - last.seq)
    elif place.seq == last.seq and place.hash != last.hash:
        found.note(Kind.BROKEN, where, f"follows another line {place.seq} of process {place.process} than is there")


def worst(findings: Iterable[Finding]) -> Kind:
    """Pick the worst kind there is; NOTE where there is none."""
    kinds = {finding.kind for finding in findings}
    return next((kind for kind in Kind if kind in kinds), Kind.NOTE)
