"""Read a map of a policy by its table of keys; whatever the table does not hold is refused, with what was meant."""

import unicodedata
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, cast

from clipwarden.policy.language.keys import LATER, POLICY
from clipwarden.policy.language.kinds import Choice, Number, Plain, Whole
from clipwarden.policy.language.tables import Key, Keys, ListOf, Map, MapOf, chains, is_plain
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Method
from clipwarden.textfiles.tree import TextNode
from clipwarden.textfiles.values import Value
from clipwarden.textfiles.wording import closest, shown

_YES = ("", "true", "yes", "on", "1")


class MapReader:
    """The values of one map, by key; reports keys that are unknown, repeated, missing or out of place.

    After a finding a reader returns a stand-in (an empty text, a default), so that the rest of the file is still
    checked; a policy with an error never leaves `load`.

    Args:
        value: The map.
        keys: What may stand in it.
    """

    def __init__(self, value: Value, keys: Keys) -> None:
        self.value = value
        self._table = keys
        self._keys = {key.name: key for key in keys}
        self._values: dict[str, Value] = {}
        self._not_due: set[str] = set()
        self._idle: set[str] = set()
        self._offers: dict[str, str] = {}
        for name, inner in value.entries(example=keys.example):
            if name.text in self._keys:
                self._values[name.text] = inner
            else:
                self._refuse(name, inner)

    def apply_method(self, method: Method | None) -> None:
        """Refuse the keys that do nothing under the concept's method; without a method nobody knows which are due."""
        for key in self._keys.values():
            if key.misuse is None or (method and key.name in METHODS[method].takes):
                continue
            self._not_due.add(key.name)
            if method is None:
                continue
            self._idle.add(key.name)
            if value := self._values.pop(key.name, None):
                code, message, fix = (
                    text.format(method=method) for text in (key.misuse.code, key.misuse.message, key.misuse.fix)
                )
                value.error(code, message, fix)

    def get(self, name: str) -> Value | None:
        """Return the value of a key; None when it is absent, after a finding if it is required."""
        return self.need(name) if self._keys[name].required else self._values.get(name)

    def need(self, name: str) -> Value | None:
        """Return the value of a key that must be here, or None after a finding."""
        value = self._values.get(name)
        # A value that is no map at all is already reported; its missing keys would only repeat that.
        if value is None and self.value.is_map and name not in self._not_due:
            fix = f"Add `{name}: {self.offer(name)}`{self._wanted(name)}."
            self.value.error("missing-key", f"{self.value.name} lacks the key `{name}`.", fix)
        return value

    def items(self, name: str) -> list[Value]:
        """Return the items of a list."""
        value, kind = self.get(name), cast("ListOf", self._keys[name].kind)
        return value.items(least=kind.least, most=kind.most, example=kind.offer) if value else []

    def entries(self, name: str) -> list[tuple[TextNode, Value]]:
        """Return the names and values of a map whose names the author chooses."""
        value = self.get(name)
        return list(value.entries(example=self.offer(name))) if value else []

    def nested(self, name: str) -> "MapReader | None":
        """Return a reader of the map behind a key."""
        value = self.get(name)
        return MapReader(value, cast("Map", self._keys[name].kind).keys) if value else None

    @property
    def complete(self) -> bool:
        """Whether one of the groups of keys is there of which one must be; also where no map is, which is reported."""
        groups = self._table.any_of
        return not self.value.is_map or any(all(name in self._values for name in group) for group in groups)

    def offer(self, name: str) -> str:
        """Return what messages offer for a key."""
        return self._offers.get(name) or self._keys[name].kind.offer

    def offer_instead(self, name: str, text: str) -> None:
        """Let messages offer another text for a key."""
        self._offers[name] = text

    def _wanted(self, name: str) -> str:
        kind = self._keys[name].kind
        return f", {self._keys[name].range}" if isinstance(kind, Number | Whole) else ""

    def read(self, name: str, *, absent: object = None) -> Any:  # noqa: ANN401  what it is, the key's kind says
        """Read a value that its table alone explains.

        Args:
            name: Its key.
            absent: What it counts as where it is left out.

        Returns:
            The value; None after a finding.
        """
        value = self.get(name)
        return _read(self._keys[name], value) if value else absent

    def plain(self, inherited: object = None) -> dict[str, Any]:
        """Read every value that its table alone explains.

        Args:
            inherited: Holds what applies where a key that inherits is left out.

        Returns:
            By key, which is the name of the record's field too. What is absent or broken is left out, unless it is
            required (then a stand-in is there) or inherited.
        """
        found: dict[str, Any] = {}
        for key in self._keys.values():
            if is_plain(key.kind) and (read := self._read(key, inherited)) is not None:
                found[key.name] = read
        return found

    def _read(self, key: Key, inherited: object) -> object:
        read = self.read(key.name)
        if read is None and key.required:
            return _stand_in(key)
        if read is None and key.inherited and key.name not in self._idle:
            return getattr(inherited, key.name)
        return read

    def _refuse(self, name: TextNode, value: Value) -> None:
        if name.text in LATER:
            message = f"The key `{name.text}` is not supported yet; nothing would read it."
            self.value.findings.error(name.place, "not-supported-yet", message, "Delete it.")
            return
        message = f"{self.value.name} has the unknown key `{shown(name.text)}`."
        home, guess = _home(name.text, self._table), _guess(name.text, self._table)
        if chosen := _choice_of(name.text, self._table):
            key, words = chosen
            written = [name.text] if value.word.casefold() in _YES else words
            fix = f"Write {' or '.join(f'`{key}: {word}`' for word in written)}."
        elif guess:
            hidden = next((letter for letter in name.text if unicodedata.category(letter) == "Cf"), "")
            retype = f" Retype it: it holds the invisible character U+{ord(hidden):04X}." if hidden else ""
            fix = f"Did you mean `{guess}`?{retype}"
            # Read as what was meant, so that nothing is said to lack it.
            self._values.setdefault(guess, value)
        elif home:
            fix = f"It belongs under `{home}`{f': move {text} there' if (text := value.written) else ''}."
        else:
            fix = f"Delete it; the keys here are {', '.join(self._table.names)}."
        self.value.findings.error(name.place, "unknown-key", message, fix)


def _read(key: Key, value: Value) -> object:
    if isinstance(key.kind, Map) and key.kind.make:
        return key.kind.make(**MapReader(value, key.kind.keys).plain())
    return cast("Plain[object]", key.kind).read(value)


def _stand_in(key: Key) -> object:
    if isinstance(key.kind, Map) and key.kind.make:
        return key.kind.make(**{inner.name: _stand_in(inner) for inner in key.kind.keys if inner.required})
    return cast("Plain[object]", key.kind).stand_in


def _choice_of(name: str, keys: Keys) -> tuple[str, Collection[str]] | None:
    """Return the key, and the words that it takes, where a word of it was written for a key: `enforce: true`."""
    found = ((key.name, key.kind.words) for key in keys if isinstance(key.kind, Choice))
    return next(((key, words) for key, words in found if name in words), None)


def _guess(name: str, keys: Keys) -> str | None:
    """Return the key of this map that was meant, or None."""
    # The beginning of a key here, as `reason` in a category, is more likely that key than one of its name elsewhere.
    if longer := next((key for key in keys.names if key.startswith(f"{name}_")), None):
        return longer
    # A word that is right elsewhere is no misspelling: `mode` at the top is not meant to be `model`.
    return None if _home(name, keys) else closest(name, keys.names)


def _home(name: str, keys: Keys) -> str | None:
    """Return the key under which this one belongs, or None."""
    return _homes_below(keys).get(name) or _only_homes().get(name)


# Cached: a file may hold a hundred thousand unknown keys.
@cache
def _homes_below(keys: Keys) -> Mapping[str, str]:
    """Name, for each key below a map, the key that it stands under; maps before lists."""
    homes: dict[str, str] = {}
    below = [chain for chain in chains(keys) if len(chain) > 1]
    for *_, parent, key in sorted(below, key=lambda chain: not isinstance(chain[-2].kind, Map)):
        homes.setdefault(key.name, parent.name)
    return homes


@cache
def _only_homes() -> Mapping[str, str]:
    """Name the map or list that a key stands in, where that is the only place for it in all the language.

    Categories and attributes are no homes: a key of theirs would be at home in each of them. Nor are overrides, which
    repeat the keys that they override.
    """
    homes: dict[str, dict[str, bool]] = {}
    for *above, parent, key in (chain for chain in chains(POLICY) if len(chain) > 1):
        if not isinstance(parent.kind, MapOf):
            in_list = above and isinstance(parent.kind, ListOf) and isinstance(parent.kind.item, Map)
            homes.setdefault(key.name, {})[parent.name] = bool(in_list) or isinstance(parent.kind, Map)
    return {name: next(iter(found)) for name, found in homes.items() if [*found.values()] == [True]}
