"""Lines that YAML cannot read in; the slip of the hand that explains it out, with the author's own line corrected."""

import re
from collections.abc import Sequence
from itertools import islice, takewhile

import yaml

from clipwarden.textfiles.findings import Findings, Place
from clipwarden.textfiles.linemends import (
    DASHES,
    SLIPS,
    TABS,
    Mend,
    Slip,
    Spot,
    indent_of,
    says_something,
)

MAX_TAB_FINDINGS = 10
"""A file indented with tabs throughout needs no finding for each line."""
MAX_CHUNK = 300
"""Lines that are parsed to try a mend: about 10 ms. A category has about 20."""
_LONGEST_SHOWN = 120
"""Characters of a mended line that a message shows; of a longer one, those around the mend."""
_AROUND = 40

Lines = tuple[str, ...]
_Shape = tuple[str, ...]
_TAB_INDENT = re.compile(r" *\t")


def mend_line(lines: Lines, failed: int, findings: Findings) -> Lines | None:
    """Find and report the slip at or above the line where reading failed.

    Args:
        lines: The file's, without their ends.
        failed: Index of the line where the parser gave up; may lie behind the last.
        findings: Receives the slip.

    Returns:
        The lines, as many, as they were meant; None, without a finding, where no mend makes them readable.
    """
    for whole in (True, False):
        for slip in SLIPS:
            last = min(failed, len(lines) - 1)
            for index in range(last, max(-1, last - slip.reach - 1), -1):
                if (mended := _try(slip, lines, index, findings, whole=whole)) is not None:
                    return mended
    return None


def _try(slip: Slip, lines: Lines, index: int, findings: Findings, *, whole: bool) -> Lines | None:
    for mend in slip.mends(Spot(lines=lines, index=index)):
        mended = (*lines[:index], *mend, *lines[index + (1 if slip.splits else len(mend)) :])
        if _helps(lines, mended, index, len(mend), whole=whole):
            _report(findings, slip, lines, index, mend)
            # What lies below keeps its line number: of a line that was split the first part stands for all.
            return (*lines[:index], mend[0], *lines[index + 1 :]) if slip.splits else mended
    return None


def mend_tabs(lines: Lines, findings: Findings, *, mends: bool) -> Lines:
    """Report lines that are indented with tabs.

    Args:
        lines: The file's, without their ends.
        findings: Receives a finding for each of the first such lines, with its mend where one is sure.
        mends: Whether to look for mends.

    Returns:
        The lines, mended.
    """
    indented = ((index, match) for index, line in enumerate(lines) if (match := _TAB_INDENT.match(line)))
    for index, match in islice(indented, MAX_TAB_FINDINGS):
        if mends and (mended := _mend_tab(lines, index, findings)):
            lines = mended
        else:
            findings.error(Place(line=index + 1, column=match.end()), TABS.code, TABS.message, "Indent with spaces.")
    return lines


def _mend_tab(lines: Lines, index: int, findings: Findings) -> Lines | None:
    return _try(TABS, lines, index, findings, whole=True) or _try(TABS, lines, index, findings, whole=False)


def mend_items(lines: Lines, findings: Findings) -> Lines:
    """Report pasted bullets and dashes that touch their text, where YAML reads several items as one text.

    Args:
        lines: The file's, without their ends.
        findings: Receives a finding for each such line.

    Returns:
        The lines, mended.
    """
    found = {index: found for index in range(len(lines)) if (found := _as_item(lines, index))}
    for index in found:
        if index - 1 in found or not Spot(lines=lines, index=index).above.rstrip().endswith(":"):
            continue
        run = list(takewhile(lambda at: at in found, range(index, len(lines))))
        mended = (*lines[:index], *(found[at][1] for at in run), *lines[run[-1] + 1 :])
        before, after = _shape(_chunk(lines, index)), _shape(_chunk(mended, index))
        if before and after and before != after:
            for at in run:
                _report(findings, found[at][0], lines, at, (found[at][1],))
            lines = mended
    return lines


def _as_item(lines: Lines, index: int) -> tuple[Slip, str] | None:
    """Return a line that begins with something like a dash as the item of a list, and the slip in it."""
    spot = Spot(lines=lines, index=index)
    return next(((slip, mend[0]) for slip in DASHES for mend in slip.mends(spot)), None)


def _helps(lines: Lines, mended: Lines, index: int, size: int, *, whole: bool) -> bool:
    """Tell whether a mend makes readable what was not: all of the section around it, or that up to the mend."""
    if whole:
        return _shape(_chunk(mended, index)) is not None and _shape(_chunk(lines, index)) is None
    here = index - _start(mended, index)
    upto = _chunk(mended, index)[: here + size]
    return _shape(upto) is not None and _shape(_chunk(lines, index)[: here + 1]) is None


def _chunk(lines: Lines, index: int) -> Lines:
    """Return the section that a line stands in: a top-level key, or an item of the outermost lists."""
    start = _start(lines, index)
    width = _item_width(lines)
    end = next((at for at in range(index + 1, len(lines)) if _opens(lines[at], width)), len(lines))
    return lines[start : min(end, start + MAX_CHUNK)]


def _start(lines: Lines, index: int) -> int:
    width = _item_width(lines)
    return next((at for at in range(index, -1, -1) if _opens(lines[at], width)), 0)


def _opens(line: str, item_width: int) -> bool:
    return says_something(line) and (indent_of(line) == 0 or (indent_of(line) == item_width and _is_item(line)))


def _item_width(lines: Lines) -> int:
    return min((indent_of(line) for line in lines if _is_item(line)), default=0)


def _is_item(line: str) -> bool:
    return re.match(r" *- +\w+:", line) is not None


def _shape(lines: Sequence[str]) -> _Shape | None:
    """Return the kinds of events in a piece of YAML; None where it cannot be read."""
    try:
        # Two documents, a directive or a lone text are readable, and never what a section was meant to be.
        events = tuple(type(event).__name__ for event in yaml.parse("\n".join(lines), Loader=yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, OverflowError):
        return None
    return events if events.count("DocumentStartEvent") <= 1 else None


def _report(findings: Findings, slip: Slip, lines: Lines, index: int, mend: Mend) -> None:
    old, new = lines[index], mend[0]
    column = next(
        (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    fix = _split_fix(mend) if slip.splits else _fix(old, new, column, len(mend), index)
    findings.error(Place(line=index + 1, column=column + 1), slip.code, slip.message, fix)


def _split_fix(mend: Mend) -> str:
    return f"Write {' and '.join(f'`{line.strip()}`' for line in mend)}, each on a line of its own."


def _fix(old: str, new: str, column: int, size: int, index: int) -> str:
    if new.strip() != old.strip() or new == old:
        return f"Write `{_excerpt(new, column)}`."
    begin = f"with {indent_of(new) or 'no'} space{'' if indent_of(new) == 1 else 's'}: `{_excerpt(new, column)}`."
    if size > 1:
        return f"Move lines {index + 1} to {index + size} so that the first of them begins {begin}"
    return f"Begin the line {begin}"


def _excerpt(line: str, column: int) -> str:
    if len(line.strip()) <= _LONGEST_SHOWN:
        return line.strip()
    return line[max(0, column - _AROUND) : column + _AROUND].strip()
