"""A mend in; whether the section of the file around it can be read with it, and could not without, out."""

import re
from collections.abc import Sequence
from itertools import pairwise

import yaml

from clipwarden.textfiles.spots import QUOTED, indent_of, says_something

Lines = tuple[str, ...]
MAX_SECTION = 20_000
"""Characters of the largest section that is parsed to try a mend, in about 0.2 s. A category has about 1,000."""

_DEEPEST = 20
"""Levels of a section, more than any file that is read has; PyYAML takes the square of them."""

_BLOCK_TEXT = re.compile(r"( *)((?:- +)*)([\w.-]+ *: +)?[|>][-+0-9]*\s*(?:#.*)?")
_OPEN_QUOTE = re.compile(r"\s*(?:- +)*(?:[\w.-]+ *: +)?(?:[\[{].*?)?(\"[^\"]*|'[^']*)")
_CLOSED = {'"': re.compile(r'[^"]*"\s*[,\]}]*\s*(?:#.*)?'), "'": re.compile(r"[^']*'\s*[,\]}]*\s*(?:#.*)?")}


def pieces(lines: Lines, mended: Lines, index: int, size: int, *, whole: bool) -> tuple[Lines, Lines]:
    """Return the section around a mend, without it and with it.

    Args:
        lines: The file's, without their ends.
        mended: The same with the mend.
        index: Of the first line that is mended.
        size: How many lines the mend has.
        whole: Whether to return all of the section, or what comes before the end of the mend.
    """
    start = min(_start(lines, index), _start(mended, index))
    end = index + size
    if whole:
        end = max(end, _end(lines, index), _end(mended, index))
        if mended[index].startswith("- ") and not lines[index].startswith("-"):
            end = _end(mended, end)  # an item at the top shows beside the next one
    if any(_is_key(line) for line in mended[start + 1 : end]):
        # Keys at the top follow items at the top: only from the key above the items is that readable.
        start = next((at for at in range(start, -1, -1) if _is_key(mended[at])), 0)
    # Of a line that was split the mend is longer than what it replaces.
    return lines[start : end + len(lines) - len(mended)], mended[start:end]


def _start(lines: Lines, index: int) -> int:
    """Return where the section of a line begins: at a top-level key, or at an item of the outermost lists."""
    width = _item_width(lines)
    return next((at for at in range(index, -1, -1) if _opens(lines[at], width)), 0)


def _end(lines: Lines, index: int) -> int:
    width = _item_width(lines)
    return next((at for at in range(index + 1, len(lines)) if _opens(lines[at], width)), len(lines))


def _opens(line: str, item_width: int) -> bool:
    # What a tab or a non-breaking space indents is no key at the top.
    at_top = not line[:1].isspace()
    return says_something(line) and (at_top or (indent_of(line) == item_width and _is_item(line)))


def _is_key(line: str) -> bool:
    return says_something(line) and line[0] not in " -"


def _item_width(lines: Lines) -> int:
    return min((indent_of(line) for line in lines if _is_item(line)), default=0)


def _is_item(line: str) -> bool:
    return re.match(r" *- +\w+:", line) is not None


def shape_of(lines: Sequence[str]) -> tuple[str, ...] | None:
    """Return the kinds of events in a section; None where it cannot be read, or is no section but texts or several."""
    events: list[str] = []
    depth = 0
    try:
        for event in yaml.parse("\n".join(lines), Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                return None
            events.append(type(event).__name__)
    except (yaml.YAMLError, ValueError, OverflowError):
        return None
    return None if "ScalarEvent" in events[2:3] or events.count("DocumentStartEvent") > 1 else tuple(events)


def outline_of(lines: Sequence[str]) -> tuple[object, ...] | None:
    """Return a file's shape, its keys, and its unquoted texts but for their blanks; None where `shape_of` has none."""
    shape = shape_of(lines)
    if shape is None:
        return None
    tokens = list(yaml.scan("\n".join(lines), Loader=yaml.SafeLoader))
    texts = [token for token in tokens if isinstance(token, yaml.ScalarToken)]
    pairs = [(before, token) for before, token in pairwise(tokens) if isinstance(token, yaml.ScalarToken)]
    keys = tuple(token.value for before, token in pairs if isinstance(before, yaml.KeyToken))
    return shape, keys, tuple("".join(token.value.split()) if token.plain else None for token in texts)


def inside_texts(lines: Lines) -> frozenset[int]:
    """Return the indices of lines that go on with a text: behind | or >, or in a quote that an earlier line opened."""
    inside: set[int] = set()
    for index, line in enumerate(lines):
        if index in inside:
            continue
        below = range(index + 1, len(lines))
        if match := _BLOCK_TEXT.fullmatch(line):
            width = len(match[1]) + (len(match[2]) if match[3] else max(0, len(match[2]) - 2))
            end = next((at for at in below if lines[at].strip(" ") and indent_of(lines[at]) <= width), len(lines))
            inside.update(range(index + 1, end))
        elif match := _OPEN_QUOTE.fullmatch(re.sub(QUOTED, "x", line)):
            quote = match[1][0]
            end = next((at for at in below if quote in lines[at]), index)
            # Where the next quote closes nothing the one above is a slip.
            if _CLOSED[quote].fullmatch(lines[end]):
                inside.update(range(index + 1, end + 1))
    return frozenset(inside)
