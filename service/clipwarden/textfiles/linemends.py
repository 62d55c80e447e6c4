"""A line of YAML that fails in; the lines that its author may have meant out, one slip of the hand a function.

Nothing here knows whether a mend is right: `slips` offers one only where the file can be read with it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

QUOTED = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^']|'')*'"
CURLY = "“”„‟«»‘’‚‹›"  # noqa: RUF001  what Word and web pages put for quotes
BULLETS = "–—―‒−•·‣▪●○◦*"  # noqa: RUF001  what they put for the dash of a list
SOFT_BLANKS = re.compile("[\u00a0\u2007\u202f\u2002-\u2006\u2009\u3000]")

_HEAD = re.compile(r"(\s*(?:- +)*(?:[A-Za-z_][\w.-]*\s*:\s+)?)(\S.*?)\s*")
_KEY_LINE = re.compile(r"\s*(?:- +)*[A-Za-z_][\w.-]*\s*:(\s|$)")
_BULLET = re.compile(rf"(\s*)[{re.escape(BULLETS)}]\s*(\S.*)")
_TIGHT_DASH = re.compile(r"(\s*)-(?=[^\s\d.-])(.*)")
_ROW = re.compile(rf"\[?((?:{QUOTED})(?:\s*,\s*(?:{QUOTED}))*)\s*,?\s*\]?")
_SPECIAL = "@`%&*!|>#,]}?"
_MAX_SHIFTED = 60
"""Lines that are moved together; a category has about 20."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A line among the lines of its file; both count from 0."""

    lines: Sequence[str]
    index: int

    @property
    def line(self) -> str:
        """The line itself, without its end."""
        return self.lines[self.index]

    @property
    def indent(self) -> int:
        """How many blanks it begins with."""
        return indent_of(self.line)

    @property
    def above(self) -> str:
        """The nearest line above that says something; empty where none does."""
        return next((line for line in reversed(self.lines[: self.index]) if says_something(line)), "")


Mend = tuple[str, ...]
"""Lines: as many as they replace, from the slip's own on; or several for one, where a line has to be split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slip:
    """A slip of the hand.

    Attributes:
        message: What is wrong, in the author's words.
        mends: Yields what may have been meant, the likeliest first; nothing where the line does not look like it.
        splits: Whether a mend makes several lines of one.
        reach: How many lines above the one where reading failed the slip may be.
        code: Rule name of the finding.
    """

    message: str
    mends: Callable[[Spot], Iterator[Mend]]
    splits: bool = False
    reach: int = 3
    code: str = "yaml-syntax"


def says_something(line: str) -> bool:
    """Tell whether a line is neither blank nor a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def indent_of(line: str) -> int:
    """Count the blanks that a line begins with."""
    return len(line) - len(line.lstrip(" "))


def straight(text: str) -> str:
    """Return a text in straight double quotes, or in single ones where it holds double ones."""
    inner = text.strip().strip(CURLY + "\"'").strip()
    return f"'{inner}'" if '"' in inner and "'" not in inner else f'"{inner.replace(chr(34), "")}"'


def _soft_blanks(spot: Spot) -> Iterator[Mend]:
    if SOFT_BLANKS.search(spot.line):
        plain = SOFT_BLANKS.sub(" ", spot.line)
        yield (plain,)
        yield from ((" " * width + plain.lstrip(" "),) for width in _widths(spot))


def _tabs(spot: Spot) -> Iterator[Mend]:
    if "\t" in spot.line:
        body = spot.line.lstrip(" \t")
        yield from ((" " * width + body,) for width in _widths(spot))
        yield (spot.line.replace("\t", " "),)


def _slashes(spot: Spot) -> Iterator[Mend]:
    if match := re.fullmatch(r"(\s*)(?://|--|;|/\*)\s*(.*?)\s*(?:\*/)?", spot.line):
        yield (f"{match[1]}# {match[2]}",)


def _pasted_dash(spot: Spot) -> Iterator[Mend]:
    if match := _BULLET.fullmatch(spot.line):
        yield (f"{match[1]}- {match[2]}",)


def _tight_dash(spot: Spot) -> Iterator[Mend]:
    if match := _TIGHT_DASH.fullmatch(spot.line):
        yield (f"{match[1]}- {match[2]}",)


def _comparison(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(r"(?<=\w):\s*(?:>=?|=[>=]?|≥)\s*(?=[-+]?[\d.,])", ": ", spot.line)
    if mended != spot.line:
        yield (mended,)


def _equals(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(r"((?:^|[{,])\s*(?:- +)?[A-Za-z_]\w*)\s*=\s*(?=\S)", r"\1: ", spot.line)
    if mended != spot.line:
        yield (mended,)


def _tight_colon(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(r"^(\s*(?:- +)?[A-Za-z_]\w*):(?=[^\s:/])", r"\1: ", spot.line)
    if mended != spot.line:
        yield (mended,)


def _no_colon(spot: Spot) -> Iterator[Mend]:
    # Only a word that is a key elsewhere in the file is taken for one.
    match = re.fullmatch(r"(\s*(?:- +)?)([A-Za-z_]\w*)(?:\s+(\S.*))?", spot.line)
    if match and any(re.match(rf"\s*(?:- +)?{match[2]}:(\s|$)", line) for line in spot.lines):
        yield (f"{match[1]}{match[2]}: {match[3] or ''}".rstrip(),)


def _last_comma(spot: Spot) -> Iterator[Mend]:
    if match := re.fullmatch(r"(.*\S)\s*[,;]\s*", spot.line):
        yield (match[1],)


def _row_behind_dash(spot: Spot) -> Iterator[Mend]:
    match = re.fullmatch(r"(\s*- +)(.*\S)\s*", spot.line)
    if match and _ROW.fullmatch(match[2]):
        items = re.findall(QUOTED, match[2])
        if len(items) > 1:
            yield tuple(f"{match[1]}{item}" for item in items)


def _no_brackets(spot: Spot) -> Iterator[Mend]:
    match = _HEAD.fullmatch(spot.line)
    if match and ":" in match[1] and (row := _ROW.fullmatch(match[2])):
        yield (f"{match[1]}[{row[1]}]",)


def _open_bracket(spot: Spot) -> Iterator[Mend]:
    closers = {"[": "]", "{": "}"}
    due: list[str] = []
    for mark in re.sub(QUOTED, "", spot.line):
        if mark in closers:
            due.append(closers[mark])
        elif due and mark == due[-1]:
            due.pop()
    if due:
        yield (spot.line.rstrip().removesuffix(",") + "".join(reversed(due)),)


def _no_comma(spot: Spot) -> Iterator[Mend]:
    for pattern in (rf"({QUOTED})\s+(?={QUOTED})", r"((?<=[{,])[^{},:]*:\s+[^\s,:{}]+)\s+(?=[A-Za-z_]\w*:\s)"):
        mended = re.sub(pattern, r"\1, ", spot.line)
        if mended != spot.line:
            yield (mended,)


def _apostrophe(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(
        r"(?<=[\[,:-])(\s*)'([^\"\[\],]*?\w'\w[^\"\[\],]*?)'(?=\s*(?:[,\]}]|$))", r'\1"\2"', f" {spot.line}"
    )[1:]
    if mended != spot.line:
        yield (mended,)


def _open_quote(spot: Spot) -> Iterator[Mend]:
    line = spot.line.rstrip()
    for quote in ('"', "'"):
        if line.count(quote) % 2 == 0:
            continue
        ends = [match.start() for match in re.finditer(rf",\s*(?={quote})|\s*[\]}}]+\s*,?$|,\s+|,?\s*$", line)]
        starts = [match.end() for match in re.finditer(r"[\[,]\s*|- +|:\s+", line)]
        yield from ((line[:at] + quote + line[at:],) for at in (*dict.fromkeys(ends), *starts))


def _curly(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(f"[{CURLY[:6]}]", '"', spot.line)
    if mended != spot.line:
        yield (mended,)


def _partly_quoted(spot: Spot) -> Iterator[Mend]:
    match = _HEAD.fullmatch(spot.line)
    if match and re.match(rf"(?:{QUOTED})\s*[^\s,]", match[2]):
        inner = re.sub(r"[\"']", "", match[2])
        yield (f'{match[1]}"{inner}"',)


def _colon(spot: Spot) -> Iterator[Mend]:
    yield from _quote_whole(spot, lambda text: re.search(r":(\s|$)", text) is not None)


def _special(spot: Spot) -> Iterator[Mend]:
    yield from _quote_whole(spot, lambda text: text[0] in _SPECIAL)


def _quote_whole(spot: Spot, fits: Callable[[str], bool]) -> Iterator[Mend]:
    match = _HEAD.fullmatch(spot.line)
    if match and match[1].strip() and fits(match[2]) and match[2][0] not in "[{\"'":
        yield (match[1] + straight(match[2]),)


def _no_dash(spot: Spot) -> Iterator[Mend]:
    item = re.match(r"(\s*)- ", spot.above)
    if item and not _KEY_LINE.match(spot.line) and says_something(spot.line):
        yield (f"{item[1]}- {spot.line.strip()}",)


def _indent(spot: Spot) -> Iterator[Mend]:
    if not says_something(spot.line):
        return
    for width in _widths(spot):
        yield (" " * width + spot.line.lstrip(" "),)
    # A section that was pasted moves as a whole: every line below that is not further left.
    rest = spot.lines[spot.index :]
    size = next((count for count, line in enumerate(rest) if line.strip() and indent_of(line) < spot.indent), len(rest))
    if 1 < size <= _MAX_SHIFTED:
        for width in _widths(spot):
            yield tuple(_moved(line, width - spot.indent) for line in rest[:size])


def _moved(line: str, by: int) -> str:
    return line if not line.strip() else " " * max(0, indent_of(line) + by) + line.lstrip(" ")


def _widths(spot: Spot) -> list[int]:
    """Return the indentations that lines around have, the nearest to this line's own first."""
    near = [line for line in spot.lines[max(0, spot.index - 12) : spot.index + 3] if says_something(line)]
    plain = [line.lstrip(" \t") for line in near]
    found = {indent_of(line) for line in near if not line.startswith("\t")}
    found |= {indent_of(line) + 2 for line, body in zip(near, plain, strict=True) if body.startswith("- ")}
    if spot.above.rstrip().endswith(":"):
        found.add(indent_of(spot.above) + 2)
    own = indent_of(spot.above) if spot.line.startswith("\t") else spot.indent
    widths = sorted(found, key=lambda width: (abs(width - own), -width))
    return [width for width in widths if width != spot.indent or spot.line.startswith("\t")]


TABS = Slip(message="This line is indented with a tab, which YAML forbids.", mends=_tabs, code="tab")
DASHES = (
    Slip(message="A space is missing behind the dash.", mends=_tight_dash),
    Slip(message="This is not the dash that YAML knows, the one on the keyboard.", mends=_pasted_dash),
)
SLIPS = (
    Slip(message="This line holds a non-breaking space, which YAML takes for a letter.", mends=_soft_blanks),
    Slip(message="A comment begins with #.", mends=_slashes),
    Slip(message="A number stands alone, without a sign of comparison.", mends=_comparison),
    Slip(message="A colon belongs behind the key, not an equals sign.", mends=_equals),
    Slip(message="A space is missing behind the colon.", mends=_tight_colon),
    Slip(message="An apostrophe ends a text in single quotes; double quotes hold it.", mends=_apostrophe),
    Slip(message="A quote is missing here.", mends=_open_quote, reach=40),
    Slip(message="These are not the quotes that YAML knows.", mends=_curly),
    Slip(message="Only a part of this text stands in quotes.", mends=_partly_quoted),
    Slip(message="Each item of a list has a dash, and a line of its own.", mends=_row_behind_dash, splits=True),
    Slip(message="Several texts need square brackets around them.", mends=_no_brackets),
    Slip(message="A bracket is not closed.", mends=_open_bracket, reach=12),
    Slip(message="A comma is missing between two items.", mends=_no_comma),
    Slip(message="There is a comma too many at the end of the line.", mends=_last_comma),
    Slip(message="A text that holds a colon needs quotes around it.", mends=_colon),
    Slip(message="A text that begins with a special character needs quotes around it.", mends=_special),
    *DASHES,
    Slip(message="The dash before this item is missing.", mends=_no_dash),
    Slip(message="A colon is missing behind the key.", mends=_no_colon),
    Slip(message="This line is indented unlike those that it belongs with.", mends=_indent),
)
"""In the order in which they are tried: what says more about the line comes first."""
