"""A line that stands too far left or right in; where it may have been meant to stand out."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from clipwarden.textfiles.sections import Lines
from clipwarden.textfiles.spots import Mend, Slip, Spot, indent_of, says_something

SOFT_SPACE = "[\u00a0\u2007\u202f\u2002-\u2006\u2009\u3000]"
"""Spaces that YAML takes for letters, as a regular expression."""
_KEY_LINE = re.compile(r"\s*(?:- +)*[A-Za-z_][\w.-]*\s*:(\s|$)")
_MERGE = re.compile(r"<{7}|={7}|>{7}")
"""What version control leaves where two edits met."""
_MAX_SHIFTED = 60
"""Lines that are moved together; a category has about 20."""


def guessed_widths(lines: Lines, tabbed: Mapping[int, str]) -> dict[int, int]:
    """Guess how far in lines stand that tabs indent: as far as their section, read from the top, makes likely.

    Args:
        lines: The file's.
        tabbed: What indents a line, by its index.

    Returns:
        Blanks, by index.
    """
    known: dict[str, int] = {}
    widths: dict[int, int] = {}
    above = ""
    for index, line in enumerate(lines):
        if index in tabbed:
            indent, body = tabbed[index], line.lstrip()
            if indent not in known:
                known[indent] = _guess(above, body, known, len(indent.replace("\t", "  ")))
            widths[index] = known[indent]
            line = " " * widths[index] + body  # noqa: PLW2901  what follows goes by the line as it was meant
        elif says_something(line):
            known = {}
        above = line if says_something(line) else above
    return widths


def _guess(above: str, body: str, known: Mapping[str, int], plain: int) -> int:
    if above.rstrip().endswith(":") or (above.lstrip().startswith("- ") and _KEY_LINE.match(above)):
        below = _inner(above)
        # A key whose list follows stands two further in than its dash.
        return below + 2 if above.lstrip().startswith("- ") and above.rstrip().endswith(":") else below
    if not known:
        return indent_of(above)
    widths = sorted(known.values())
    return plain if plain in widths or not body else widths[0]


def _strayed_item(spot: Spot) -> Iterator[Mend]:
    """An item stands elsewhere than all others that begin with its key."""
    key = _KEY_LINE.match(spot.line)
    same = _key_widths(spot, spot.line)
    if key and _is_item(spot.line) and len(same) == 1 and spot.indent not in same:
        (width,) = same
        for size in _sizes(spot):
            yield tuple(_moved(line, width - spot.indent) for line in spot.lines[spot.index : spot.index + size])


def _odd_indent(spot: Spot) -> Iterator[Mend]:
    if spot.indent not in _used(spot):
        yield from _indent(spot)


def _indent(spot: Spot) -> Iterator[Mend]:
    if not says_something(spot.line) or _MERGE.match(spot.line):
        return
    for width in _widths(spot):
        yield (" " * width + spot.line.lstrip(" "),)
    for size in _sizes(spot):
        for width in _widths(spot):
            yield tuple(_moved(line, width - spot.indent) for line in spot.lines[spot.index : spot.index + size])


def _sizes(spot: Spot) -> Iterator[int]:
    """Yield how many lines may have to move together: an item alone; or every line below that is not further left."""
    rest = spot.lines[spot.index :]
    for own in (spot.indent + 1, spot.indent) if _is_item(spot.line) else (spot.indent,):
        below = (count for count, line in enumerate(rest) if count and line.strip() and _is_left(line, own))
        size = next(below, len(rest))
        size = next((count for count in range(size, 0, -1) if says_something(rest[count - 1])), 0)
        if 1 < size <= _MAX_SHIFTED:
            yield size


def _is_left(line: str, width: int) -> bool:
    return indent_of(line) < width and not (_is_item(line) and indent_of(line) == width - 1)


def _is_item(line: str) -> bool:
    return line.lstrip(" ").startswith("- ")


def _moved(line: str, by: int) -> str:
    return line if not line.strip() else " " * max(0, indent_of(line) + by) + line.lstrip(" ")


def _widths(spot: Spot) -> list[int]:
    """Return the indentations that lines around have: where the same key stands elsewhere, then the nearest."""
    own = spot.indent
    near = [line for line in spot.lines[max(0, spot.index - _MAX_SHIFTED) : spot.index + 3] if says_something(line)]
    found = {width for line in near for width in (indent_of(line), _inner(line))}
    used, same = _used(spot), _key_widths(spot, spot.line)
    widths = [width for width in found if used[width] > 1 and width != spot.indent]
    return sorted(widths, key=lambda width: (width not in same, abs(width - own), -width))


def _others(spot: Spot) -> list[str]:
    return [line for index, line in enumerate(spot.lines) if index != spot.index and says_something(line)]


def _used(spot: Spot) -> Counter[int]:
    """Count the indentations of the other lines, and those that could stand below them."""
    return Counter(width for line in _others(spot) for width in {indent_of(line), _inner(line)})


def _key_widths(spot: Spot, line: str) -> set[int]:
    """Return how far in the key of a line stands elsewhere."""
    key = _KEY_LINE.match(line)
    return {indent_of(each) for each in _others(spot) if key and each.lstrip().startswith(key[0].strip())}


def _inner(line: str) -> int:
    """Return where what stands inside an item begins, or inside a key."""
    return indent_of(line) + 2


_INDENTED = "This line is indented unlike those that it belongs with."
INDENTS = (
    Slip(message=_INDENTED, mends=_strayed_item, reach=40, surely=True, alone=True),
    Slip(message=_INDENTED, mends=_odd_indent, surely=True, alone=True),
    Slip(message=_INDENTED, mends=_indent, surely=True),
)
"""The odd one out before the line where reading failed."""
