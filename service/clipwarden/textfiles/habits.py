"""A file's lines in; what runs through many of them at once, said once, and the lines as they were meant out."""

import re
from collections.abc import Mapping
from itertools import islice

from clipwarden.textfiles.edits import column_of, fix_of
from clipwarden.textfiles.findings import Findings, Place
from clipwarden.textfiles.indents import SOFT_SPACE, guessed_widths
from clipwarden.textfiles.sections import Lines, inside_texts, outline_of
from clipwarden.textfiles.spots import QUOTED, says_something

MOST_SINGLE = 5
"""Lines with the same slip that get a finding each; of more the first stands for all."""
MAX_TAB_FINDINGS = 10
"""A file indented with tabs in no regular way needs no finding for each line."""
TAB = "tab"
TABBED = "This line is indented with a tab, which YAML forbids."
_FENCE = re.compile(r"\s*(?:```|~~~)\s*[A-Za-z]*\s*")
_MAIL = re.compile(r"(?:> ?)+")
_MERGE = ("<" * 7, "=" * 7, "|" * 7, ">" * 7)
_TAB_INDENT = re.compile(r" *\t[ \t]*")
_LOOSE = re.compile(
    rf"^ *-? *{SOFT_SPACE}|{SOFT_SPACE} *$|{SOFT_SPACE} *[:#]|(?:^|[{{,\[]|- ) *[\w.-]+ *: *{SOFT_SPACE}"
)
"""A non-breaking space where YAML wants a plain one; inside a text it does no harm."""
_OPENED = re.compile(rf"(?:^|[:-](?: |{SOFT_SPACE}))(?: |{SOFT_SPACE})*[\[{{]")
"""A list or map begins; a bracket inside a text begins none."""
_LOOSE_ITEM = re.compile(rf", *{SOFT_SPACE}")


def mend_habits(lines: Lines, findings: Findings) -> Lines:
    """Undo what other programs put around and into a file: fences, mail quotes, merge marks, spaces, tabs.

    Args:
        lines: Without their ends.
        findings: Receives one finding for each kind, but for each line where they are few.

    Returns:
        As many lines; those of before where the file can be read and says the same without a mend. Of two
        versions that met those of the first.
    """
    for habit in (_merged, _fences, _mail_quotes, _soft_spaces, _tabs):
        mended = habit(lines, Findings(findings.file))
        # Where the file says the same either way, the slip is a part of some text.
        if mended != lines and ((outline := outline_of(lines)) is None or outline != outline_of(mended)):
            lines = habit(lines, findings)
    return lines


def report_lines(
    slip: tuple[str, str], lines: Lines, mended: Mapping[int, str], findings: Findings, *, everywhere: str
) -> None:
    """Report lines that share a slip: each, or the first for all where they are many.

    Args:
        slip: Code and message.
        lines: As they stand.
        mended: By index, as they were meant.
        findings: Receives the findings.
        everywhere: What to do to all of them, as a sentence.
    """
    code, message = slip
    first = min(mended)
    places = {at: Place(line=at + 1, column=column_of(lines[at], new) + 1) for at, new in mended.items()}
    if len(mended) <= MOST_SINGLE:
        for index, new in sorted(mended.items()):
            findings.error(places[index], code, message, fix_of(lines[index], new))
        return
    message = f"{message} It is so on {len(mended)} lines, the first being this one."
    findings.error(places[first], code, message, f"{fix_of(lines[first], mended[first])} {everywhere}")


def report_tabs(lines: Lines, findings: Findings) -> None:
    """Report lines that are indented with tabs where nobody looks for what they were meant to be."""
    found = ((index, match) for index, line in enumerate(lines) if (match := _TAB_INDENT.match(line)))
    for index, match in islice(found, MAX_TAB_FINDINGS):
        findings.error(Place(line=index + 1, column=match.end()), TAB, TABBED, "Indent with spaces.")


def _merged(lines: Lines, findings: Findings) -> Lines:
    for _ in range(MOST_SINGLE):
        start = next((index for index, line in enumerate(lines) if line.startswith(_MERGE[0])), len(lines))
        end = next((at for at in range(start, len(lines)) if lines[at].startswith(_MERGE[-1])), None)
        if end is None:
            break
        message = f"Lines {start + 1} to {end + 1} hold two versions of one part, where version control met both."
        fix = "Keep the lines of one version; delete the others and those that begin with <<<<<<<, ======= or >>>>>>>."
        findings.error(Place(line=start + 1, column=1), "yaml-syntax", message, fix)
        # The first version is read on with.
        first = next(at for at in range(start + 1, end + 1) if lines[at].startswith(_MERGE[1:]))
        lines = (*lines[:start], "", *lines[start + 1 : first], *[""] * (end + 1 - first), *lines[end + 1 :])
    return lines


def _fences(lines: Lines, findings: Findings) -> Lines:
    found = [index for index, line in enumerate(lines) if _FENCE.fullmatch(line)]
    first = next((index for index, line in enumerate(lines) if says_something(line)), 0)
    if not found or found[0] != first:
        return lines
    where = " and ".join(str(index + 1) for index in found[:2])
    message = "The marks that show a text as code in a chat or on a web page are no part of a policy."
    plural = "s" if len(found) > 1 else ""
    findings.error(Place(line=first + 1, column=1), "yaml-syntax", message, f"Delete line{plural} {where}.")
    return tuple("" if index in found[:2] else line for index, line in enumerate(lines))


def _mail_quotes(lines: Lines, findings: Findings) -> Lines:
    inside = inside_texts(lines)
    quoted = ((index, match) for index, line in enumerate(lines) if (match := _MAIL.match(line)))
    mended = {index: lines[index][match.end() :] for index, match in quoted if index not in inside}
    if mended:
        message = "A > at the beginning of a line is how mails quote each other, and no part of a policy."
        first = min(mended)
        fix = f"Delete it, and the space behind it{f', on all {len(mended)} lines' if len(mended) > 1 else ''}."
        findings.error(Place(line=first + 1, column=1), "yaml-syntax", message, fix)
    return _with(lines, mended)


def _soft_spaces(lines: Lines, findings: Findings) -> Lines:
    soft = re.compile(SOFT_SPACE)
    inside = inside_texts(lines)
    found = [index for index, line in enumerate(lines) if soft.search(line) and index not in inside]
    loose = {index: soft.sub(" ", lines[index]) for index in found if _is_loose(lines[index])}
    if len(loose) > 1:
        count = len(soft.findall("".join(lines)))
        message = f"This file has {count} non-breaking spaces, the first being here; YAML takes them for letters."
        fix = "Replace them all by plain spaces: copy one, from here, into what your editor searches for."
        column = next(match.start() for match in soft.finditer(lines[min(loose)])) + 1
        findings.error(Place(line=min(loose) + 1, column=column), "yaml-syntax", message, fix)
    elif loose:
        slip = ("yaml-syntax", "This line holds a non-breaking space, which YAML takes for a letter.")
        report_lines(slip, lines, {at: line.rstrip() for at, line in loose.items()}, findings, everywhere="")
    return _with(lines, loose)


def _is_loose(line: str) -> bool:
    bare = re.sub(QUOTED, lambda match: "x" * len(match[0]), line)
    bare = re.sub(r"(?:^|(?<=\s))#.*", "", bare)
    opened = _OPENED.search(bare)
    return bool(_LOOSE.search(bare) or (opened and _LOOSE_ITEM.search(bare, opened.end())))


def _tabs(lines: Lines, findings: Findings) -> Lines:
    inside = inside_texts(lines)
    indents = ((index, match[0]) for index, line in enumerate(lines) if (match := _TAB_INDENT.match(line)))
    found = {index: indent for index, indent in indents if index not in inside}
    if not found:
        return lines
    widths = guessed_widths(lines, found)
    mended = {index: " " * widths[index] + lines[index][len(indent) :] for index, indent in found.items()}
    telling = [index for index in found if says_something(lines[index])] or [min(found)]
    each = next((n for n in range(1, 9) if all(len(found[i].replace("\t", " " * n)) == widths[i] for i in telling)), 0)
    if each and len(telling) > MOST_SINGLE:
        message = f"{len(telling)} lines are indented with tabs, which YAML forbids, the first being this one."
        fix = f"Replace each tab by {each} space{'' if each == 1 else 's'}, in the whole file."
        findings.error(Place(line=telling[0] + 1, column=len(found[telling[0]])), TAB, message, fix)
        return _with(lines, mended)
    for index in telling[:MAX_TAB_FINDINGS]:
        fix = fix_of(lines[index], mended[index])
        findings.error(Place(line=index + 1, column=len(found[index])), TAB, TABBED, fix)
    return _with(lines, mended)


def _with(lines: Lines, mended: Mapping[int, str]) -> Lines:
    return tuple(mended.get(index, line) for index, line in enumerate(lines)) if mended else lines
