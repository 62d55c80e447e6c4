"""Lines that YAML cannot read in; the slip of the hand that explains it out, with the author's own line corrected."""

import re
from collections.abc import Collection, Iterator
from itertools import islice, takewhile

from clipwarden.textfiles.findings import Findings, Place
from clipwarden.textfiles.indents import TABS
from clipwarden.textfiles.linemends import DASHES, SLIPS
from clipwarden.textfiles.sections import MAX_SECTION, Lines, pieces, shape_of
from clipwarden.textfiles.spots import Mend, Slip, Spot, indent_of

MAX_TAB_FINDINGS = 10
"""A file indented with tabs throughout needs no finding for each line."""
MAX_TRIED = 1_000_000
"""Characters that are parsed to try mends of one file: 8 s for whoever tries to make it slow, else some 100,000."""
MAX_LINE = 5000
"""Characters of the longest line that is looked at; some patterns take the square of its length."""
_MOST_RUNS = 50
_LONGEST_SHOWN = 120
"""Characters of a mended line that a message shows; of a longer one, those around the mend."""
_AROUND = 40
_TAB_INDENT = re.compile(r" *\t")


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
        for whole in (True, False):
            for slip in (slip for slip in SLIPS if whole or not slip.surely):
                for index in range(last, max(-1, last - slip.reach - 1), -1):
                    if (mended := self._try(slip, lines, index, whole=whole)) is not None:
                        return mended
        return None

    def mend_tabs(self, lines: Lines) -> Lines:
        """Mend lines that are indented with tabs; beyond the first such lines they are left to the parser."""
        for index, match in tabs(lines):
            mended = self._try(TABS, lines, index, whole=True) or self._try(TABS, lines, index, whole=False)
            if mended is None:
                report_tab(index, match.end(), self._findings)
            lines = mended or lines
        return lines

    def mend_items(self, lines: Lines) -> Lines:
        """Mend pasted bullets and dashes that touch their text, where YAML reads several items as one text."""
        found = {index: found for index in range(len(lines)) if (found := self._as_item(lines, index))}
        first = (index for index in found if index - 1 not in found)
        opening = (index for index in first if Spot(lines=lines, index=index).above.rstrip().endswith(":"))
        for index in islice(opening, _MOST_RUNS):
            run = list(takewhile(found.__contains__, range(index, len(lines))))
            mended = (*lines[:index], *(found[at][1] for at in run), *lines[run[-1] + 1 :])
            before, after = map(shape_of, pieces(lines, mended, index, len(run), whole=True))
            if before and after and before != after:
                for at in run:
                    self._report(found[at][0], lines, at, (found[at][1],))
                lines = mended
        return lines

    def _as_item(self, lines: Lines, index: int) -> tuple[Slip, str] | None:
        """Return a line that begins with something like a dash as the item of a list, and the slip in it."""
        spot = Spot(lines=lines, index=index)
        return next(((slip, mend[0]) for slip in DASHES for mend in slip.mends(spot)), None)

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
        length = sum(map(len, after))
        self._left -= length + len(lines)
        if self._left < 0 or length > MAX_SECTION:
            return False
        return shape_of(after) is not None and shape_of(before) is None

    def _report(self, slip: Slip, lines: Lines, index: int, mend: Mend) -> None:
        old, new = lines[index], mend[0]
        pairs = enumerate(zip(old, new, strict=False))
        column = next((at for at, (was, becomes) in pairs if was != becomes), min(len(old), len(new)))
        fix = _split_fix(mend) if slip.splits else _fix(old, new, column, len(mend), index)
        self._findings.error(Place(line=index + 1, column=column + 1), slip.code, slip.message, fix)


def report_tab(index: int, column: int, findings: Findings) -> None:
    """Report a tab where nobody can know how many spaces it stands for."""
    findings.error(Place(line=index + 1, column=column), TABS.code, TABS.message, "Indent with spaces.")


def tabs(lines: Lines) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the first lines that are indented with a tab, and what indents them."""
    found = ((index, match) for index, line in enumerate(lines) if (match := _TAB_INDENT.match(line)))
    return islice(found, MAX_TAB_FINDINGS)


def _split_fix(mend: Mend) -> str:
    return f"Write {' and '.join(f'`{line.strip()}`' for line in mend)}, each on a line of its own."


def _fix(old: str, new: str, column: int, size: int, index: int) -> str:
    shown = f"`{_excerpt(new, column)}`"
    if new.strip() != old.strip() or new == old:
        return f"Write {shown}{', and the lines below likewise' if size > 1 else ''}."
    begin = f"with {indent_of(new) or 'no'} space{'' if indent_of(new) == 1 else 's'}: {shown}."
    if size > 1:
        return f"Move lines {index + 1} to {index + size} so that the first of them begins {begin}"
    return f"Begin the line {begin}"


def _excerpt(line: str, column: int) -> str:
    if len(line.strip()) <= _LONGEST_SHOWN:
        return line.strip()
    start = line.rfind(", ", 0, max(0, column - _AROUND)) + 2 if column > _AROUND else 0
    end = line.find(", ", column + _AROUND)
    return line[start : end if end > 0 else len(line)].strip()[: 2 * _LONGEST_SHOWN]
