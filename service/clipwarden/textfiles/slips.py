"""Lines that YAML cannot read in; the slip of the hand that explains it out, with the author's own line corrected."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from clipwarden.textfiles.edits import column_of, fix_of, split_fix
from clipwarden.textfiles.findings import Findings, Place
from clipwarden.textfiles.habits import report_lines
from clipwarden.textfiles.linemends import SLIPS
from clipwarden.textfiles.rowmends import ITEMS, opens_item, rows_of
from clipwarden.textfiles.sections import MAX_SECTION, Lines, pieces, shape_of
from clipwarden.textfiles.spots import Mend, Slip, Spot

MAX_TRIED = 1_000_000
"""Characters that are parsed to try mends of one file: 8 s for whoever tries to make it slow, else some 100,000."""
MAX_LINE = 5000
"""Characters of the longest line that is looked at; some patterns take the square of its length."""
_MOST_RUNS = 50


class Mender:
    """Finds the slips in one file, reports each, and returns the lines as they were meant, as many.

    Args:
        findings: Receives the slips.
        keys: Words that the file's language knows as keys.
    """

    def __init__(self, findings: Findings, keys: Collection[str]) -> None:
        self._findings = findings
        self._keys = keys
        self._left = MAX_TRIED

    def mend_line(self, lines: Lines, failed: int) -> Lines | None:
        """Mend the slip at or above the line where reading failed.

        Args:
            lines: The file's, without their ends.
            failed: Index of the line where the parser gave up; may lie behind the last.

        Returns:
            The lines; None, without a finding, where no mend makes them readable.
        """
        last = min(failed, len(lines) - 1)
        tries = (
            *((slip, True) for slip in SLIPS),
            *((slip, False) for slip in SLIPS if not slip.surely),
            *((slip, False) for slip in SLIPS if slip.alone),
        )
        for slip, whole in tries:
            for index in range(last, max(-1, last - slip.reach - 1), -1):
                if (mended := self._try(slip, lines, index, whole=whole)) is not None:
                    return mended
        return None

    def mend_rows(self, lines: Lines) -> Lines:
        """Mend what YAML reads as something else than was meant: several items as one text, a key as a part of one.

        Args:
            lines: The file's, without their ends.

        Returns:
            As many lines; findings name those that are mended.
        """
        found = {index: row for index in range(len(lines)) if (row := self._as_row(lines, index))}
        mended: dict[Slip, dict[int, str]] = {}
        old = lines
        for run in islice(_runs(found), _MOST_RUNS):
            slip = found[run[0]][0]
            if slip in ITEMS and not opens_item(Spot(lines=lines, index=run[0])):
                continue
            after = (*lines[: run[0]], *(found[at][1] for at in run), *lines[run[-1] + 1 :])
            if self._changes(lines, after, run[0], len(run)):
                mended.setdefault(slip, {}).update((at, found[at][1]) for at in run)
                lines = after
        for slip, rows in mended.items():
            report_lines((slip.code, slip.message), old, rows, self._findings, everywhere=slip.everywhere)
        return lines

    def _as_row(self, lines: Lines, index: int) -> tuple[Slip, str] | None:
        """Return a line as it may have been meant, and the slip in it."""
        if len(lines[index]) > MAX_LINE:
            return None
        spot = Spot(lines=lines, index=index, keys=self._keys)
        return next(((slip, mend[0]) for slip in rows_of(self._keys) for mend in slip.mends(spot)), None)

    def _changes(self, before: Lines, after: Lines, index: int, size: int) -> bool:
        """Tell whether a section, or what comes before the end of a mend, can be read with it and is another then."""
        for whole in (True, False):
            if self._left < 0:
                return False
            self._left -= len(before)
            old, new = pieces(before, after, index, size, whole=whole)
            if self._affords(new) and (shape := shape_of(new)):
                return shape != shape_of(old)
        return False

    def _try(self, slip: Slip, lines: Lines, index: int, *, whole: bool) -> Lines | None:
        if len(lines[index]) > MAX_LINE or self._left < 0:
            return None
        for mend in slip.mends(Spot(lines=lines, index=index, keys=self._keys)):
            mended = (*lines[:index], *mend, *lines[index + (1 if slip.splits else len(mend)) :])
            if self._helps(lines, mended, index, len(mend), whole=whole):
                self._report(slip, lines, index, mend)
                # What lies below keeps its line number: of a line that was split the first part stands for all.
                return (*lines[:index], mend[0], *lines[index + 1 :]) if slip.splits else mended
        return None

    def _helps(self, lines: Lines, mended: Lines, index: int, size: int, *, whole: bool) -> bool:
        """Tell whether a mend makes readable what was not: all of the section around it, or that up to the mend."""
        before, after = pieces(lines, mended, index, size, whole=whole)
        self._left -= len(lines)
        return self._affords(after) and shape_of(after) is not None and shape_of(before) is None

    def _affords(self, section: Lines) -> bool:
        length = sum(map(len, section))
        self._left -= length
        return self._left >= 0 and length <= MAX_SECTION

    def _report(self, slip: Slip, lines: Lines, index: int, mend: Mend) -> None:
        old, new = lines[index], mend[0]
        fix = split_fix(mend) if slip.splits else fix_of(old, new, len(mend), index)
        self._findings.error(Place(line=index + 1, column=column_of(old, new) + 1), slip.code, slip.message, fix)


def _runs(indices: Mapping[int, tuple[Slip, str]]) -> Iterator[list[int]]:
    """Yield indices of lines that follow each other and share a slip."""
    run: list[int] = []
    for index in indices:
        if run and not (index == run[-1] + 1 and indices[index][0] is indices[run[0]][0]):
            yield run
            run = []
        run.append(index)
    if run:
        yield run
