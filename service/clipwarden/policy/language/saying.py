"""A change of a policy in, the line out that says it in words, for a terminal and for a log."""

import json

from clipwarden.policy.language.differences import Change, Item, Kind, Path
from clipwarden.policy.language.keys import DEFAULTS
from clipwarden.policy.language.kinds import Choice
from clipwarden.textfiles.rendering import plain_number

SHORT_DIGEST = len("sha256:") + 12
"""Characters of a digest that a line shows; `--json` has all."""
_MARKS = {
    Kind.ADDED: "+",
    Kind.REMOVED: "-",
    Kind.CHANGED: "~",
    Kind.REWORDED: "~",
}
IN_CONCEPT = 2
"""Parts of a path that lead to a category or attribute."""
_OF_EVIDENCE = ("design", "labelled", "positives", "looks", "day", "author", "promises", "slices")
"""What a line says of evidence: whoever approves numbers reads this; the file has the rest, and `--json`."""


def line_of(change: Change) -> str:
    """Say a change, without the category that it is in: `~ thresholds.block: from 0.92 to 0.95`."""
    return f"{_MARKS[change.kind]} {_words(change)}"


def _words(change: Change) -> str:
    path = change.path[IN_CONCEPT:] if change.concept else change.path
    if change.kind is Kind.REWORDED:
        return f"{_label(path[:-1])}{_quoted(change.old)} now reads {_quoted(change.new)}"
    if change.kind is Kind.CHANGED:
        return f"{_label(path)}from {_shown(change.old)} to {_shown(change.new)}{_aside(change)}"
    value = change.new if change.kind is Kind.ADDED else change.old
    if not isinstance(change.path[-1], Item):
        return f"{_label(path)}{change.kind} {_shown(value)}"
    if not isinstance(value, dict) or value.keys() == {"vector", "content"}:
        return f"{_label(path[:-1])}{change.kind} {_quoted(value)}"
    # The name stands before it, or above it where it is a whole category.
    rest = _shown({key: inner for key, inner in value.items() if inner != change.path[-1]})
    return f"{_label(path[:-1])}{change.kind} {path[-1]} ({rest})" if path else f"{change.kind}: {rest}"


def _aside(change: Change) -> str:
    """Say what a change of the view plan means."""
    if change.path == ("defaults", "frames"):
        return f" (animations: up to {_frames(change.new)} instead of {change.old})"
    if change.path == ("defaults", "views"):
        help_of = next(key.kind.help for key in DEFAULTS if key.name == "views" and isinstance(key.kind, Choice))
        return f" ({help_of[str(change.new)]})"
    return ""


def _frames(count: object) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"


def _label(path: Path) -> str:
    """Name a place: `thresholds.review: `; nothing for the category itself."""
    parts = (f'["{part}"]' if isinstance(part, Item) else f".{part}" for part in path)
    return f"{''.join(parts).removeprefix('.')}: " if path else ""


def _shown(value: object) -> str:
    if isinstance(value, dict):
        if value.keys() == {"vector", "content"}:
            return f"vector {value['vector']} ({_shown(value['content'])})"
        if {"design", "how"} <= value.keys():
            value = {key: value[key] for key in _OF_EVIDENCE if key in value}
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    if isinstance(value, list):  # in full: whoever approves a change reads its texts here
        return f"[{', '.join(map(_shown_item, value))}]"
    if not isinstance(value, str):
        return plain_number(value) if isinstance(value, float) else json.dumps(value)
    if value.startswith("sha256:"):
        return f"{value[:SHORT_DIGEST]}..."
    # A word of the language reads without quotes, a text of the author's own with them.
    return value if value.isidentifier() else _quoted(value)


def _shown_item(value: object) -> str:
    return f"({_shown(value)})" if isinstance(value, dict) else _quoted(value)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _shown(value)
