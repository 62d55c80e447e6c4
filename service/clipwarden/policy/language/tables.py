"""What a table of keys is made of, and the kinds of values that hold keys again; `keys` fills the tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from clipwarden.policy.language.kinds import Json, Kind, Plain, Shape, Text, written
from clipwarden.policy.methods import METHODS


@dataclass(frozen=True, kw_only=True, slots=True)
class Misuse:
    """The finding about a key that does nothing under the method of its concept; `{method}` stands for that."""

    code: str
    message: str
    fix: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key of the policy language.

    Attributes:
        name: As written; where its kind is plain, also the field of the record that is read from it.
        kind: What its value looks like.
        help: What it is for, as the end of a sentence; Markdown.
        required: Whether lint refuses a map without it (for a method that has a use for it).
        default: What holds where it is left out, as JSON; None where nothing does, or where `absent` says what.
        absent: What it means to leave the key out.
        inherited: Whether the key of this name in `defaults` holds where this one is left out.
        misuse: Set where not every method has a use for it (`METHODS`).
        narrower: The range in words, where it depends on something else in the file.
    """

    name: str
    kind: Kind
    help: str
    required: bool = False
    default: object = None
    absent: str = "none"
    inherited: bool = False
    misuse: Misuse | None = None
    narrower: str = ""

    @property
    def range(self) -> str:
        """What is allowed, as people say it; empty where there is nothing to say."""
        return self.narrower or self.kind.range

    @property
    def default_text(self) -> str:
        """Whether it must be written, and else what holds without it."""
        text = self.absent if self.default is None else f"`{written(self.default)}`"
        if self.required or self.inherited:
            text = "required" if self.required else f"`defaults.{self.name}`"
        if self.misuse is None:
            return text
        first, *others = (method for method, facts in METHODS.items() if self.name in facts.takes)
        return f"{text}; only under `method: {first}`{''.join(f' or `{other}`' for other in others)}"

    @property
    def sentences(self) -> str:
        """Help, range and default in one line, for an editor."""
        text = self.help[:1].upper() + self.help[1:]
        allowed = f" Range: {self.range}." if self.range else ""
        default = f"R{self.default_text[1:]}" if self.required else f"Default: {self.default_text}"
        return f"{text}.{allowed} {default}."


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Keys:
    """The keys of one map; a table equals none but itself.

    Attributes:
        keys: In the order that pages show them.
        any_of: Groups of keys of which one group must be there; empty asks for none.
        exclusive: Whether keys of two groups exclude each other.
    """

    keys: tuple[Key, ...]
    any_of: tuple[tuple[str, ...], ...] = ()
    exclusive: bool = False

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    @property
    def names(self) -> tuple[str, ...]:
        """Every key's name."""
        return tuple(key.name for key in self.keys)

    @property
    def example(self) -> str:
        """A map with the keys that it must have, and those of which it must have one."""
        due = {name for group in self.any_of for name in group}
        keys = [key for key in self.keys if key.required or (key.name in due and not self.exclusive)] or self.keys
        return "{" + ", ".join(f"{key.name}: {key.kind.offer}" for key in keys) + "}"

    def json_schema(self) -> Json:
        """Return an object that holds these keys and no other; what a method rules out is not in it."""
        schema: Json = {
            "type": "object",
            "additionalProperties": False,
            "properties": {key.name: key.kind.json_schema() | _told(key) for key in self.keys},
        }
        if required := [key.name for key in self.keys if key.required and not key.misuse]:
            schema["required"] = required
        if self.any_of:
            schema["anyOf"] = [{"required": list(group), "properties": self._excluded(group)} for group in self.any_of]
        return schema

    def _excluded(self, group: tuple[str, ...]) -> Json:
        others = {name for other in self.any_of for name in other} - set(group) if self.exclusive else ()
        return dict.fromkeys(sorted(others), False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Map(Kind):
    """A map of known keys.

    Attributes:
        keys: Which.
        make: What the record is that its values fill, where all of them are plain; None where a reader of its own does.
    """

    keys: Keys
    make: Callable[..., object] | None = None

    def json_schema(self) -> Json:
        """Return an object."""
        return self.keys.json_schema()


@dataclass(frozen=True, kw_only=True, slots=True)
class TextOrMap(Kind):
    """A text, or a map in its place."""

    text: Text
    keys: Keys

    def json_schema(self) -> Json:
        """Return either."""
        return {"anyOf": [self.text.json_schema(), self.keys.json_schema()]}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOf(Kind):
    """A list of maps, or of what may be maps."""

    item: Map | TextOrMap
    least: int = 0
    most: int

    @property
    def range(self) -> str:
        """How many."""
        return f"{self.least} to {self.most}" if self.least else f"at most {self.most}"

    def json_schema(self) -> Json:
        """Return an array."""
        bounds = {"minItems": self.least, "maxItems": self.most}
        return {"type": "array", "items": self.item.json_schema(), **bounds}


@dataclass(frozen=True, kw_only=True, slots=True)
class MapOf(Kind):
    """A map from names that the author chooses to maps of known keys.

    Attributes:
        item: What each name stands for.
        names: The form of a name; None where other rules check it.
        most: Most of them.
    """

    item: Map
    names: Shape | None = None
    most: int

    @property
    def range(self) -> str:
        """How many."""
        return f"at most {self.most}"

    def json_schema(self) -> Json:
        """Return an object with free keys."""
        schema: Json = {"type": "object", "additionalProperties": self.item.json_schema(), "maxProperties": self.most}
        if self.names:
            schema["propertyNames"] = {"pattern": f"^(?:{self.names.pattern.pattern})$"}
        return schema


def inside(kind: Kind) -> Keys | None:
    """Return the keys that a value of this kind holds, itself or in each of its items."""
    if isinstance(kind, ListOf | MapOf):
        kind = kind.item
    return kind.keys if isinstance(kind, Map | TextOrMap) else None


def chains(keys: Keys) -> Iterator[tuple[Key, ...]]:
    """Yield every key at or below a table, each behind the keys that lead to it."""
    for key in keys:
        yield (key,)
        for chain in chains(inside(key.kind) or Keys(keys=())):
            yield (key, *chain)


def write_plain(keys: Keys, record: object) -> Json:
    """Return what readers need no more than the table for, as a file would hold it; None and () are left out."""
    pairs = ((key, getattr(record, key.name)) for key in keys if is_plain(key.kind))
    return {key.name: _write(key.kind, value) for key, value in pairs if value not in (None, ())}


def is_plain(kind: Kind) -> bool:
    """Tell whether a value can be read and written by its table alone."""
    return isinstance(kind, Plain) or (isinstance(kind, Map) and kind.make is not None)


def _write(kind: Kind, value: object) -> object:
    return write_plain(kind.keys, value) if isinstance(kind, Map) else cast("Plain[object]", kind).write(value)


def _told(key: Key) -> Json:
    default = {} if key.default is None else {"default": key.default}
    return {"description": key.sentences, **default}
