"""A map's entries as YAML read them in; as they were meant out, where a comma or a colon inside braces misled it."""

import re

from clipwarden.textfiles.findings import Findings, Place
from clipwarden.textfiles.meant import meant_number
from clipwarden.textfiles.tree import MapNode, Node, TextNode

Entry = tuple[TextNode, Node]

_TIGHT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*([:=])\s*(\S+)")
_DECIMALS = re.compile(r"[0-9]+\s*%?")


def is_empty(node: Node) -> bool:
    """Tell whether nothing at all is written there."""
    return isinstance(node, TextNode) and node.plain and not node.text


def mend_entries(node: MapNode, name: str, findings: Findings) -> list[Entry]:
    """Put together what `{review: 0,55}` and `{review:0.55}` tear apart or run together, after a finding.

    Args:
        node: The map.
        name: What findings call it.
        findings: Receives one finding for all decimal commas, and one for each missing space.

    Returns:
        Its entries, so that the numbers meant are checked like any others.
    """
    entries: list[Entry] = []
    mended: dict[str, TextNode] = {}
    for key, value in (_spaced(entry, findings) for entry in node.entries):
        if entries and (number := _with_decimals(entries[-1][1], key, value)):
            entries[-1] = (entries[-1][0], number)
            mended[entries[-1][0].text] = number
        else:
            entries.append((key, value))
    if mended:
        pairs = ", ".join(f"{key}: {number.text}" for key, number in mended.items())
        message = f"{name} has commas for decimal points; in braces a comma ends the number."
        findings.error(next(iter(mended.values())).place, "decimal-comma", message, f"Write `{pairs}`.")
    return entries


def _spaced(entry: Entry, findings: Findings) -> Entry:
    key, value = entry
    match = _TIGHT.fullmatch(key.text) if key.plain and is_empty(value) else None
    if match is None:
        return entry
    lacks = "A space is missing behind the colon of" if match[2] == ":" else "A colon and a space are missing in"
    fix = f"Write `{match[1]}: {match[3]}`."
    findings.error(key.place, "space-missing", f"{lacks} `{match[0]}`.", fix)
    # As far as readers are concerned the value stands behind its colon.
    place = Place(line=key.place.line, column=key.place.column + match.start(3))
    return TextNode(text=match[1], plain=True, place=key.place), TextNode(text=match[3], plain=True, place=place)


def _with_decimals(value: Node, decimals: TextNode, rest: Node) -> TextNode | None:
    """Return the number that its comma split into the value of one key and a key without a value."""
    if not (isinstance(value, TextNode) and value.plain and decimals.plain and is_empty(rest)):
        return None
    number = f"{value.text},{decimals.text}"
    meant = meant_number(number) if _DECIMALS.fullmatch(decimals.text) else None
    if meant is None or decimals.place.line != value.place.line:
        return None
    return TextNode(text=meant, plain=True, place=value.place)
