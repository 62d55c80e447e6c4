"""A value in, YAML that reads as it out: in one line, or in lines of its own."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeGuard

Value = str | int | float | date | Sequence[str] | Mapping[str, Any]
"""What a key may be set to; a map holds values again. Texts are written in double quotes, which YAML reads as JSON
does, words (`Word`) bare."""
_LONGEST_LIST = 60
"""Characters up to which a list stands in the line of its key."""


class Word(str):
    """A word of a policy's own language, which needs no quotes."""

    __slots__ = ()


def is_deep(value: Value | None) -> TypeGuard[Mapping[str, Value]]:
    """Tell whether a value is better read in lines of its own: a map that holds a map, or a long list."""
    if not isinstance(value, Mapping):
        return False
    return any(isinstance(inner, Mapping) or _is_long(inner) for inner in value.values())


def _is_long(value: Value) -> TypeGuard[Sequence[str]]:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(in_one_line(value)) > _LONGEST_LIST


def in_one_line(value: Value, key: Callable[[str], str] = str) -> str:
    """Write a value as flow style.

    Args:
        value: Any.
        key: Writes a key's name.
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key(name)}: {in_one_line(inner, key)}' for name, inner in value.items())}}}"
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        return f"[{', '.join(in_one_line(item, key) for item in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    return plain_number(value)


def plain_number(value: float) -> str:
    """Write a number without an exponent: people misread 1e-05, and YAML takes it for a text."""
    return format(Decimal(repr(value)), "f")


def in_lines(value: Mapping[str, Value], indent: int) -> Iterator[str]:
    """Write a map as block style.

    Args:
        value: The map.
        indent: Spaces before each of its keys.
    """
    space = " " * indent
    for name, inner in value.items():
        if is_deep(inner):
            yield f"{space}{name}:"
            yield from in_lines(inner, indent + 2)
        elif _is_long(inner):
            yield f"{space}{name}:"
            yield from (f"{space}- {in_one_line(item)}" for item in inner)
        else:
            yield f"{space}{name}: {in_one_line(inner)}"
