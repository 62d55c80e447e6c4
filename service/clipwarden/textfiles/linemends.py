"""A line of YAML that fails in; the lines that its author may have meant out, one slip of the hand a function.

Nothing here knows whether a mend is right: `slips` offers one only where the file can be read with it.
"""

import re
from collections.abc import Callable, Iterator
from itertools import takewhile

from clipwarden.textfiles.indents import INDENTS
from clipwarden.textfiles.spots import QUOTED, Mend, Slip, Spot, indent_of, says_something

CURLY = "“”„‟«»‘’‚‹›"  # noqa: RUF001  what Word and web pages put for quotes
BULLETS = "–—―‒−•·‣▪●○◦*"  # noqa: RUF001  what they put for the dash of a list

_HEAD = re.compile(r"(\s*(?:- +)*(?:[A-Za-z_][\w.-]*\s*:\s+)?)(\S.*?)\s*")
_KEY_LINE = re.compile(r"\s*(?:- +)*[A-Za-z_][\w.-]*\s*:(\s|$)")
_BULLET = re.compile(rf"(\s*)(?:[{re.escape(BULLETS[:-1])}]\s*|\*\s+)(\S.*)")
_TIGHT_DASH = re.compile(r"(\s*)(?:-(?=[^\s\d.-])|--\s*(?=[^\s-]))(.*)")
_NUMBERED = re.compile(r"(\s*)[0-9]{1,2}[.)]\s+(\S.*)")
_ROW = re.compile(rf"\[?((?:{QUOTED})(?:\s*,?\s*(?:{QUOTED}))*)\s*,?\s*\]?")
_SPECIAL = "@`%&*!|>#,]}?"


def straight(text: str) -> str:
    """Return a text in straight double quotes, or in single ones where it holds double ones."""
    inner = text.strip().strip(CURLY + "\"'").strip()
    return f"'{inner}'" if '"' in inner and "'" not in inner else f'"{inner.replace(chr(34), "")}"'


def _slashes(spot: Spot) -> Iterator[Mend]:
    if match := re.fullmatch(r"(\s*)(?://|;|/\*)\s*(.*?)\s*(?:\*/)?", spot.line):
        yield (f"{match[1]}# {match[2]}",)


def _pasted_dash(spot: Spot) -> Iterator[Mend]:
    if match := _BULLET.fullmatch(spot.line) or _NUMBERED.fullmatch(spot.line):
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
    # Only a word that is a key, or is one elsewhere in the file, is taken for one.
    match = re.fullmatch(r"(\s*(?:- +)?)([A-Za-z_]\w*)(?:\s+(\S.*))?", spot.line)
    if match is None:
        return
    key = re.compile(rf"\s*(?:- +)?{match[2]}:(\s|$)")
    if match[2] in spot.keys or any(key.match(line) for line in spot.lines):
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
    row = _ROW.fullmatch(match[2]) if match and ":" in match[1] else None
    items = re.findall(QUOTED, row[1]) if row else []
    if match and match[2][0] != "[" and (len(items) > 1 or (items and match[2][-1] == "]")):
        yield (f"{match[1]}[{', '.join(items)}]",)


def _brackets(spot: Spot) -> Iterator[Mend]:
    closers = {"[": "]", "{": "}"}
    due: list[str] = []
    parts: list[str] = []
    line = spot.line.rstrip()
    for part in re.findall(rf"{QUOTED}|.", line):
        if part in closers:
            due.append(closers[part])
        elif part in closers.values():
            # The bracket that is due, whichever was typed; none where none is.
            parts.append(due.pop() if due else "")
            continue
        parts.append(part)
    mended = "".join(parts).removesuffix("," if due else "") + "".join(reversed(due))
    if mended != line:
        yield (mended,)


def _bracket_above(spot: Spot) -> Iterator[Mend]:
    """What an earlier line opened ends here."""
    line = spot.line.rstrip()
    if not any(_brackets(spot)) and not _KEY_LINE.match(line):
        yield from ((line.removesuffix(",") + closer,) for closer in "]}")


def _remark(spot: Spot) -> Iterator[Mend]:
    if match := re.fullmatch(r"(.*[\]}])\s+([^#\s\"':][^\"':]*)", spot.line):
        yield (f"{match[1]}  # {match[2]}",)


def _no_comma(spot: Spot) -> Iterator[Mend]:
    if re.match(r"\s*[\"']", "".join(spot.lines[spot.index + 1 : spot.index + 2])):
        yield (f"{spot.line.rstrip()},",)
    semicolons = re.sub(rf"({QUOTED})|;", lambda match: match[1] or ",", spot.line)
    if semicolons != spot.line and re.search(r"[\[{]", spot.line):
        yield (semicolons,)
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
        if line[-1] in "\"'":
            yield (line[:-1] + quote,)
        # Before the next quoted item or the end first: a comma may well be part of the text.
        for ends in (rf",\s*(?={quote})", r"\s*[\]}]+\s*,?$", r",?\s*$", r",\s+"):
            yield from ((line[: at.start()] + quote + line[at.start() :],) for at in re.finditer(ends, line))
        yield from ((line[: at.end()] + quote + line[at.end() :],) for at in re.finditer(r"[\[,]\s*|- +|:\s+", line))


def _open_quote_above(spot: Spot) -> Iterator[Mend]:
    if _BULLET.match(spot.line) or _KEY_LINE.match(spot.line):
        return
    if re.match(r"\s+[^\s\"'-][^\"']*$", spot.line):
        yield from ((spot.line.rstrip() + quote,) for quote in "\"'")


def _curly(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(f"[{CURLY[:6]}]", '"', spot.line)
    if mended != spot.line:
        yield (mended,)


def _weighted(spot: Spot) -> Iterator[Mend]:
    match = re.fullmatch(rf"(\s*- +)({QUOTED})\s*[(\[,;]?\s*weight\s*[:=]?\s*([0-9.]+)\s*[)\]]?\s*", spot.line)
    if match:
        yield (f"{match[1]}{{text: {match[2]}, weight: {match[3]}}}",)


def _round_braces(spot: Spot) -> Iterator[Mend]:
    if match := re.fullmatch(r"(\s*(?:- +)?[A-Za-z_]\w*: +)\(\s*([A-Za-z_]\w*: .*?)\s*\)\s*", spot.line):
        yield (f"{match[1]}{{{match[2]}}}",)


def _bracketed_text(spot: Spot) -> Iterator[Mend]:
    match = re.fullmatch(r"(\s*(?:- +)?([A-Za-z_]\w*): +)(\[[^\[\]\"',]*\] *[A-Za-z].*?)\s*", spot.line)
    is_list = re.compile(rf"\s*(?:- +)?{match[2]}: *(?:\[[^\[\]]*\]|#.*)?\s*") if match else None
    if match and is_list and not any(map(is_list.fullmatch, spot.lines)):
        yield (match[1] + straight(match[3]),)


def _double_comma(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(rf"({QUOTED})|,\s*(?=,)|(?<=[\[{{])\s*,\s*", lambda match: match[1] or "", spot.line)
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


def _bare_items(spot: Spot) -> Iterator[Mend]:
    bare = re.compile(r"(?<=[\[,])(\s*)([^\"'\s\[\]{},][^\"\[\]{},]*?)(?=\s*[,\]])")
    odd = [match for match in bare.finditer(spot.line) if re.search(rf"^[{re.escape(_SPECIAL)}]|\s#|\?", match[2])]
    for match in odd:
        yield (f"{spot.line[: match.start()]}{match[1]}{straight(match[2])}{spot.line[match.end() :]}",)
    if len(odd) > 1:
        yield (bare.sub(lambda match: match[1] + straight(match[2]), spot.line),)


def _quote_whole(spot: Spot, fits: Callable[[str], bool]) -> Iterator[Mend]:
    match = _HEAD.fullmatch(spot.line)
    if match and match[1].strip() and fits(match[2]) and match[2][0] not in "[{\"'":
        yield (match[1] + straight(match[2]),)


def _no_dash(spot: Spot) -> Iterator[Mend]:
    item = re.match(r"(\s*)- ", spot.above)
    if _BULLET.match(spot.line):
        return
    if item and not _KEY_LINE.match(spot.above) and not _KEY_LINE.match(spot.line) and says_something(spot.line):
        yield (f"{item[1]}- {spot.line.strip()}",)


def _no_dashes(spot: Spot) -> Iterator[Mend]:
    if not spot.above.rstrip().endswith(":"):
        return
    run = list(takewhile(re.compile(rf"\s*(?:{QUOTED})\s*").fullmatch, spot.lines[spot.index :]))
    if run:
        yield tuple(" " * indent_of(line) + f"- {line.strip()}" for line in run)


def _no_dash_before_key(spot: Spot) -> Iterator[Mend]:
    match = re.fullmatch(r"( *)  (([A-Za-z_]\w*):(?:\s.*)?)", spot.line)
    if match and any(re.match(rf" *- +{match[3]}:", line) for line in spot.lines):
        yield (f"{match[1]}- {match[2]}",)


DASHES = (
    Slip(
        message="A space is missing behind the dash.",
        mends=_tight_dash,
        everywhere="Put a space behind each dash at the beginning of a line.",
    ),
    Slip(
        message="An item of a list begins with the dash of the keyboard and a space.",
        mends=_pasted_dash,
        everywhere="Put the dash of the keyboard and a space at the beginning of each item.",
    ),
)
EQUALS = Slip(
    message="A colon belongs behind the key, not an equals sign.",
    mends=_equals,
    everywhere="Put a colon and a space behind each key.",
)
TIGHT_COLON = Slip(
    message="A space is missing behind the colon.", mends=_tight_colon, everywhere="Put a space behind each colon."
)
SLIPS = (
    Slip(message="A comment begins with #.", mends=_slashes),
    Slip(message="A number stands alone, without a sign of comparison.", mends=_comparison),
    EQUALS,
    TIGHT_COLON,
    Slip(message="An apostrophe ends a text in single quotes; double quotes hold it.", mends=_apostrophe),
    Slip(message="A quote is missing here.", mends=_open_quote, reach=40),
    Slip(message="A quote that was opened above is not closed.", mends=_open_quote_above, reach=12, surely=True),
    Slip(message="These are not the quotes that YAML knows.", mends=_curly),
    Slip(message="A bracket is missing, or one too many.", mends=_brackets, reach=12, surely=True, alone=True),
    Slip(message="A bracket is missing, or one too many.", mends=_bracket_above, reach=12, surely=True),
    Slip(message="Each item of a list has a dash, and a line of its own.", mends=_row_behind_dash, splits=True),
    Slip(message="Several texts need square brackets around them.", mends=_no_brackets),
    Slip(message="A text and its weight need braces around them, and their keys.", mends=_weighted),
    Slip(message="Keys and values need braces around them, not round brackets.", mends=_round_braces),
    Slip(message="A text that begins with a bracket needs quotes around it.", mends=_bracketed_text),
    Slip(message="There is a comma too many.", mends=_double_comma),
    Slip(message="Only a part of this text stands in quotes.", mends=_partly_quoted),
    Slip(message="A comma is missing between two items.", mends=_no_comma),
    Slip(message="A remark begins with #.", mends=_remark),
    Slip(message="There is a comma too many at the end of the line.", mends=_last_comma),
    Slip(message="A text that holds a colon needs quotes around it.", mends=_colon),
    Slip(message="A text that begins with a special character needs quotes around it.", mends=_special),
    Slip(message="This text needs quotes around it.", mends=_bare_items),
    *DASHES,
    Slip(message="A colon is missing behind the key.", mends=_no_colon),
    Slip(message="The dash before each of these items is missing.", mends=_no_dashes),
    Slip(message="The dash before this item is missing.", mends=_no_dash),
    Slip(message="The dash before the first key of this item is missing.", mends=_no_dash_before_key, reach=40),
    *INDENTS,
)
"""In the order in which they are tried: what says more about the line comes first."""
