"""A line that YAML reads, though not as it was meant, in; the line that was meant out, one slip a function.

Nothing here knows whether a mend is right: `slips` offers one only where the section means something else with it.
"""

import re
from collections.abc import Collection, Iterator

from clipwarden.textfiles.linemends import CURLY, DASHES, EQUALS, TIGHT_COLON
from clipwarden.textfiles.spots import Mend, Slip, Spot, indent_of, says_something

_KEY = re.compile(r"\s*(?:- +)?([A-Za-z_]\w*)\s*[:=]")
_WIDE_COLON = "：﹕꞉∶︰"  # noqa: RUF001  what East Asian keyboards and web pages put for a colon
_CURLY = f"[{CURLY[:6]}]"
_LONGEST = 1000
"""Characters of a line in which commas between quotes are looked for, in the square of its length."""
_MOST_LINES = 60
"""Lines of an item that are looked at; a category has about 20."""


def opens_item(spot: Spot) -> bool:
    """Tell whether a line may be an item of a list: by the line above, or by such an item elsewhere."""
    above, key = spot.above, _KEY.match(spot.line.lstrip(" -–—―‒−•·‣▪●○◦*"))  # noqa: RUF001
    beside = re.match(r"\s*- ", above) is not None and indent_of(above) == spot.indent
    first = key is not None and any(re.match(rf" *- +{key[1]}:", line) for line in spot.lines)
    return above.rstrip().endswith(":") or beside or first


def _wide_colon(spot: Spot) -> Iterator[Mend]:
    mended = re.sub(rf"((?:^|[{{,])\s*(?:- +)?([A-Za-z_]\w*))\s*[{_WIDE_COLON}]\s*", r"\1: ", spot.line)
    if mended != spot.line and (key := _KEY.match(mended)) and key[1] in spot.keys:
        yield (mended,)


def _stars(spot: Spot) -> Iterator[Mend]:
    match = re.fullmatch(r"(\s*(?:- +)?)([*_]{1,3})([A-Za-z_]\w*?)(?:\2\s*:|:\s*\2)\s*(.*)", spot.line)
    if match and match[3] in spot.keys:
        yield (f"{match[1]}{match[3]}: {match[4]}".rstrip(),)


def _curly_commas(spot: Spot) -> Iterator[Mend]:
    """A comma inside pasted quotes parts the text in brackets."""
    if len(spot.line) <= _LONGEST and re.search(
        rf"[\[{{].*{_CURLY}[^{_CURLY[1:-1]}\"]*,[^{_CURLY[1:-1]}\"]*{_CURLY}", spot.line
    ):
        yield (re.sub(_CURLY, '"', spot.line),)


def _no_dash(spot: Spot) -> Iterator[Mend]:
    match = re.fullmatch(r"( *)  (([A-Za-z_]\w*):(?:\s.*)?)", spot.line)
    if match and match[3] in spot.keys and _is_repeated(spot, spot.indent, first=match[3]):
        yield (f"{match[1]}- {match[2]}",)


def _hidden_dash(spot: Spot) -> Iterator[Mend]:
    match = re.fullmatch(r"( *)#\s*(- +([A-Za-z_]\w*):.*)", spot.line)
    if match and match[3] in spot.keys and _is_repeated(spot, len(match[1]) + 2, first=match[3]):
        yield (f"{match[1]}{match[2]}",)


def _is_repeated(spot: Spot, width: int, *, first: str) -> bool:
    """Tell whether the key `first` opens a second item: it and keys below stand above too, in one item of a list.

    The key that begins the item above must be among them, and the line above `first` must not repeat a key itself:
    the item would begin there.
    """
    above: list[str] = []
    for line in reversed(spot.lines[max(0, spot.index - _MOST_LINES) : spot.index]):
        if not says_something(line):
            continue
        key = _KEY.match(line)
        if key and indent_of(line) == width:
            above.append(key[1])
        elif indent_of(line) < width:
            if key is None or indent_of(line) != width - 2 or not line.lstrip().startswith("- "):
                return False
            above.append(key[1])
            below = set(_keys_below(spot, width))
            return (
                first in above
                and key[1] in {first, *below}
                and not below.isdisjoint(above)
                and above[0] not in above[1:]
            )
    return False


def _keys_below(spot: Spot, width: int) -> Iterator[str]:
    for line in filter(says_something, spot.lines[spot.index + 1 : spot.index + _MOST_LINES]):
        if indent_of(line) < width:
            return
        if (key := _KEY.match(line)) and indent_of(line) == width:
            yield key[1]


def _of_known_keys(slip: Slip) -> Slip:
    def mends(spot: Spot) -> Iterator[Mend]:
        key = _KEY.match(spot.line)
        return slip.mends(spot) if key and key[1] in spot.keys else iter(())

    return Slip(message=slip.message, mends=mends, everywhere=slip.everywhere)


def rows_of(keys: Collection[str]) -> tuple[Slip, ...]:
    """Return the slips, with those about keys where keys are known."""
    return ITEMS + KEYS if keys else ITEMS


ITEMS = DASHES
KEYS = (
    _of_known_keys(TIGHT_COLON),
    _of_known_keys(EQUALS),
    Slip(
        message="The colon behind the key is not that of the keyboard.",
        mends=_wide_colon,
        everywhere="Put a colon and a space behind each key.",
    ),
    Slip(
        message="These are not the quotes that YAML knows.",
        mends=_curly_commas,
        everywhere="Put straight quotes around each text.",
    ),
    Slip(message="A key stands alone, without stars.", mends=_stars, everywhere="Delete the stars."),
    Slip(message="The dash before the first key of this item is missing.", mends=_no_dash),
    Slip(
        message="The first line of this item is commented out, and its other lines count to the item above it.",
        mends=_hidden_dash,
    ),
)
