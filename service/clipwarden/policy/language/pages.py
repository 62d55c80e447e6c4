"""The tables of keys in, what people read about them out: Markdown tables, and the keys that a dotted path means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from clipwarden.errors import ConfigError
from clipwarden.policy.language.keys import POLICY
from clipwarden.policy.language.kinds import Choice, Json
from clipwarden.policy.language.tables import Key, Keys, ListOf, MapOf, chains, inside
from clipwarden.policy.methods import METHODS
from clipwarden.textfiles.wording import closest, shown

_ANY_NAME = "NAME"
"""Stands in a path for a name that the author of a policy chooses, such as a context's."""
_INDEX = re.compile(r"\[[0-9]*\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPlace:
    """A key where it may stand.

    Attributes:
        parts: Keys that lead to it, itself last; `NAME` for a name of the author's own.
        path: The same as people write it: `categories[].thresholds.review`.
        key: Its description.
    """

    parts: tuple[str, ...]
    path: str
    key: Key

    def is_meant_by(self, parts: tuple[str, ...], *, any_name: str) -> bool:
        """Tell whether a path, or the end of one, leads here; `any_name` stands for any name."""
        ours = self.parts[-len(parts) :]
        pairs = zip(ours, parts, strict=False)
        return len(ours) == len(parts) and all(mine in (theirs, any_name) for mine, theirs in pairs)


def keys_meant(path: str) -> tuple[KeyPlace, ...]:
    """Find the keys that somebody means.

    Args:
        path: A key, or the end of the path to it (`thresholds.review`), with or without the indices of findings.

    Returns:
        Each place where such a key may stand, in the order of the page; those of attributes are those of categories.

    Raises:
        ConfigError: There is no such key.
    """
    parts = tuple(_INDEX.sub("", path).strip(".").split("."))
    # What is written out wins: `thresholds.review` is no context that somebody calls "thresholds".
    found = _found(parts, any_name="") or _found(parts, any_name=_ANY_NAME)
    if not found:
        names = sorted({name for place in _places() for name in (place.key.name, ".".join(place.parts[-2:]))})
        guess = closest(".".join(parts[-2:]), names) or closest(parts[-1], names)
        hint = f"Did you mean {guess}?" if guess else f"At the top stand {', '.join(POLICY.names)}."
        raise ConfigError(f"No key of a policy is called {shown(path)}. {hint}")
    of_categories = tuple(place for place in found if place.parts[0] != "attributes" or len(place.parts) == 1)
    return of_categories or found


def describe(place: KeyPlace) -> Json:
    """Return all that the tables know about a key, by what it is; what there is nothing to say about is left out."""
    key, held = place.key, inside(place.key.kind)
    facts: Json = {
        "key": place.path,
        "help": key.help,
        "range": key.range,
        "default": key.default_text,
        "example": f"{key.name}: {key.kind.example}",
        "words": dict(key.kind.help) if isinstance(key.kind, Choice) else {},
        "keys": list(held.names) if held else [],
    }
    return {name: fact for name, fact in facts.items() if fact}


def keys_table(keys: Keys) -> str:
    """Render a table of keys as Markdown, for pages that a test holds against this module."""
    columns = {
        "key": [f"`{key.name}`" for key in keys],
        "value": [key.help for key in keys],
        "range": [key.range for key in keys],
        "default": [key.default_text for key in keys],
    }
    return _markdown({title: cells for title, cells in columns.items() if any(cells)})


def words_table(key: Key, title: str) -> str:
    """Render what each word of a key stands for as Markdown."""
    words = cast("Choice[object]", key.kind).help
    return _markdown({f"`{key.name}`": [f"`{word}`" for word in words], title: list(words.values())})


def methods_table() -> str:
    """Render what sets the scoring methods apart as Markdown."""
    return _markdown(
        {
            "`method`": [f"`{method}`" for method in METHODS],
            "the number that thresholds compare with": [facts.help for facts in METHODS.values()],
            "its `unit`": [f"`{facts.unit}`" for facts in METHODS.values()],
            "range": [f"{facts.lowest:g} to 1" for facts in METHODS.values()],
        }
    )


def _markdown(columns: dict[str, list[str]]) -> str:
    rows = [tuple(columns), *zip(*columns.values(), strict=True)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


def _found(parts: tuple[str, ...], *, any_name: str) -> tuple[KeyPlace, ...]:
    return tuple(place for place in _places() if place.is_meant_by(parts, any_name=any_name))


def _places() -> Iterator[KeyPlace]:
    for chain in chains(POLICY):
        parts: list[str] = []
        path = ""
        for key in chain:
            parts.append(key.name)
            path += f".{key.name}"
            if key is not chain[-1] and isinstance(key.kind, MapOf):
                parts.append(_ANY_NAME)
                path += f".{_ANY_NAME}"
            elif key is not chain[-1] and isinstance(key.kind, ListOf):
                path += "[]"
        yield KeyPlace(parts=tuple(parts), path=path.removeprefix("."), key=chain[-1])
