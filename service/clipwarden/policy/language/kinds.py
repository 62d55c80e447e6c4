"""What may stand behind a key: each kind reads and writes its values, and tells people and editors their range."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Generic, TypeVar

from clipwarden.textfiles.meant import meant_name
from clipwarden.textfiles.numbers import read_day, read_number, read_whole
from clipwarden.textfiles.values import MAX_TEXT, Value
from clipwarden.textfiles.wording import shown

T = TypeVar("T")

_FOREIGN = re.compile(
    r'"(?!\.\.\.|sha256:|[^"]*\{\})[^"]*"|[\w.-]+@[\w.-]+|(?<![\w.-])(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|-?[0-9]+(?:\.[0-9]+)?)(?![\w.])'
)

Json = dict[str, object]
"""A JSON object, such as a JSON Schema."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What a key's value looks like.

    Attributes:
        example: A right value as the file would write it; pages show it.
    """

    example: str

    @property
    def offer(self) -> str:
        """What messages offer: the example with dots for its numbers, days and texts, which are nobody's here."""
        return _FOREIGN.sub(lambda found: '"..."' if found[0][0] == '"' or "@" in found[0] else "...", self.example)

    @property
    def range(self) -> str:
        """What is allowed, as people say it; empty where there is nothing to say."""
        return ""

    def json_schema(self) -> Json:
        """Return what an editor may check, as JSON Schema."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain(Kind, Generic[T]):
    """A kind whose values mean the same wherever they stand: readers and writers need only the table of keys."""

    @property
    def stand_in(self) -> T:
        """What takes the place of a required value after a finding, so that the rest of the file is still checked."""
        raise NotImplementedError

    def read(self, value: Value) -> T | None:
        """Read a value; None after a finding."""
        raise NotImplementedError

    def write(self, value: T) -> object:
        """Return the value as JSON, which is YAML."""
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A form that a text must have.

    Attributes:
        pattern: Must match the whole text; kept to what ECMA 262 reads alike, for editors.
        code: Rule name of the finding.
        rule: What the form is, in words.
        aside: What else pages say about it.
        fix: What to write instead; None offers the example.
    """

    pattern: re.Pattern[str]
    code: str
    rule: str
    aside: str = ""
    fix: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Text(Plain[str]):
    """A text; runs of white space count as one space.

    Attributes:
        limit: Longest, in characters.
        shape: The form it must have, or None.
        whole: Whether a # that cuts its end off is an error.
    """

    limit: int = MAX_TEXT
    shape: Shape | None = None
    whole: bool = False

    @property
    def range(self) -> str:
        """Its form, or else its length."""
        if self.shape is None:
            return f"at most {self.limit} characters"
        return f"{self.shape.rule}; {self.shape.aside}" if self.shape.aside else self.shape.rule

    @property
    def stand_in(self) -> str:
        """No text at all, which no rule asks about."""
        return ""

    def read(self, value: Value) -> str | None:
        """Read a text, never empty."""
        text = value.text(limit=self.limit, example=self.offer, whole=self.whole)
        if text is None or self.shape is None or self.shape.pattern.fullmatch(text):
            return text
        message = f'{value.name} is "{shown(text)}"; it must be {self.shape.rule}.'
        value.error(self.shape.code, message, self.shape.fix or self._mend(value, text, self.shape))
        return None

    def _mend(self, value: Value, text: str, shape: Shape) -> str:
        name = meant_name(text)
        meant = shape.code == "bad-id" and shape.pattern.fullmatch(name)
        return f"Write {value.rewritten(name)}." if meant else f"Write, for example, {value.rewritten(self.offer)}."

    def json_schema(self) -> Json:
        """Return a string; one of white space alone is empty."""
        pattern = rf"^(?=[\s\S]*\S)(?:{self.shape.pattern.pattern})$" if self.shape else r"\S"
        return {"type": "string", "maxLength": self.limit, "pattern": pattern}


@dataclass(frozen=True, kw_only=True, slots=True)
class Number(Plain[float]):
    """A finite number.

    Attributes:
        low: Smallest allowed.
        high: Largest allowed.
        open_low: Whether `low` itself is refused.
        open_high: Whether `high` itself is refused.
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @property
    def range(self) -> str:
        """Both ends."""
        if not (self.open_low or self.open_high):
            return f"{self.low:g} to {self.high:g}"
        low, high = "above" if self.open_low else "from", "below" if self.open_high else "at most"
        return f"{low} {self.low:g}, {high} {self.high:g}"

    @property
    def stand_in(self) -> float:
        """The upper end."""
        return self.high

    def read(self, value: Value) -> float | None:
        """Read a number within the range."""
        return read_number(value, low=self.low, high=self.high, open_low=self.open_low, open_high=self.open_high)

    def json_schema(self) -> Json:
        """Return a number with both ends."""
        low = "exclusiveMinimum" if self.open_low else "minimum"
        high = "exclusiveMaximum" if self.open_high else "maximum"
        return {"type": "number", low: self.low, high: self.high}


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole(Plain[int]):
    """A whole number within `[low, high]`; `ends` says what the two mean."""

    low: int
    high: int
    ends: tuple[str, str] = ("", "")

    @property
    def range(self) -> str:
        """Both ends."""
        return f"{self.low} to {self.high}, whole"

    @property
    def stand_in(self) -> int:
        """The lower end."""
        return self.low

    def read(self, value: Value) -> int | None:
        """Read a whole number within the range."""
        return read_whole(value, low=self.low, high=self.high, ends=self.ends)

    def json_schema(self) -> Json:
        """Return an integer with both ends."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, kw_only=True, slots=True)
class Day(Plain[date]):
    """A date."""

    @property
    def range(self) -> str:
        """How it is written."""
        return "year-month-day"

    @property
    def stand_in(self) -> date:
        """The last day there is, which nothing is late for."""
        return date.max

    def read(self, value: Value) -> date | None:
        """Read a date."""
        return read_day(value)

    def write(self, value: date) -> object:
        """Return year-month-day."""
        return value.isoformat()

    def json_schema(self) -> Json:
        """Return a date; the pattern is for editors that don't look at formats."""
        return {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice(Plain[T]):
    """One of a few words.

    Attributes:
        words: What each means.
        habits: Words that people write instead, and the right ones.
        help: What each word stands for, to people; empty where the key's own help says it.
    """

    words: Mapping[str, T]
    habits: Mapping[str, str] | None = None
    help: Mapping[str, str] = field(default_factory=dict)

    @property
    def range(self) -> str:
        """The words."""
        *most, last = (f"`{word}`" for word in self.words)
        return f"{', '.join(most)} or {last}" if most else last

    @property
    def stand_in(self) -> T:
        """The first."""
        return next(iter(self.words.values()))

    def read(self, value: Value) -> T | None:
        """Read one of the words."""
        return value.choice(self.words, habits=self.habits)

    def write(self, value: T) -> object:
        """Return the word."""
        return next(word for word, meaning in self.words.items() if meaning == value)

    def json_schema(self) -> Json:
        """Return the words, and what editors show beside each."""
        told = {"enumDescriptions": list(self.help.values())} if self.help else {}
        return {"enum": list(self.words), **told}


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts(Plain[tuple[str, ...]]):
    """A list of texts.

    Attributes:
        item: What each of them is.
        most: Most of them; there is at least one.
    """

    item: Text
    most: int

    @property
    def range(self) -> str:
        """How many."""
        return f"1 to {self.most}"

    @property
    def stand_in(self) -> tuple[str, ...]:
        """No texts."""
        return ()

    def read(self, value: Value) -> tuple[str, ...] | None:
        """Read a list; broken items are left out after a finding, and None says that none is left."""
        texts = (self.item.read(item) for item in value.items(least=1, most=self.most, example=self.offer))
        return tuple(text for text in texts if text) or None

    def write(self, value: tuple[str, ...]) -> object:
        """Return a list."""
        return list(value)

    def json_schema(self) -> Json:
        """Return an array of them."""
        return {"type": "array", "items": self.item.json_schema(), "minItems": 1, "maxItems": self.most}


def written(value: object) -> str:
    """Render a plain value as a file would write it, for pages and messages."""
    return value if isinstance(value, str) else json.dumps(value)
