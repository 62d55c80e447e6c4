"""Recognise scalars that YAML, or a person, reads as something other than what was meant."""

import re
from dataclasses import dataclass

from yaml import ScalarNode
from yaml.resolver import Resolver

from clipwarden.textfiles.reading import FORBIDDEN

_READ_AS = {
    "bool": "YAML reads {} as true or false",
    "int": "YAML reads {} as a number",
    "float": "YAML reads {} as a number",
    "null": "YAML reads {} as no value",
    "timestamp": "YAML reads {} as a date",
    "merge": "YAML reads {} as a merge key",
    "value": "YAML reads {} as a default value",
}
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_LONGEST_NUMBER = 100
"""Characters. No trap is longer, and a megabyte of digits is not worth matching."""

_NOT_FINITE = re.compile(r"[-+]?\.?(nan|inf|infinity)", re.IGNORECASE)
_OCTAL = re.compile(r"[-+]?0[0-9_]+(\.[0-9]*)?")
_OTHER_BASE = re.compile(r"[-+]?0[xob][0-9a-f_]+", re.IGNORECASE)
_UNDERSCORES = re.compile(r"[-+]?[0-9_]*(\.[0-9_]*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberTrap:
    """Why something that looks like a number is not taken as one.

    Attributes:
        code: Rule name of the finding.
        message: What is wrong.
    """

    code: str
    message: str


def text_trap(text: str) -> str | None:
    """Say what YAML takes an unquoted scalar for, when that is no text.

    Args:
        text: The scalar as written, without quotes.

    Returns:
        The end of a sentence, or None when YAML reads a text too.

    Source: YAML 1.1 implicit types (yaml.org/type), as PyYAML resolves them; 1.2 readers differ, which is the trap.
    """
    if len(text) > _LONGEST_NUMBER:
        return None
    tag: str = Resolver().resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # untyped stubs
    sentence = _READ_AS.get(tag.rpartition(":")[2])
    return sentence.format(f"`{text}`") if sentence else None


def number_trap(text: str) -> NumberTrap | None:
    """Recognise notations that readers of YAML disagree about.

    Args:
        text: The scalar as written.

    Returns:
        What is wrong; None when there is no trap.
    """
    if len(text) > _LONGEST_NUMBER:
        return None
    if _NOT_FINITE.fullmatch(text):
        return NumberTrap(code="not-finite", message=f"`{text}` is not finite")
    return _base_trap(text)


def _base_trap(text: str) -> NumberTrap | None:
    reading = None
    if _SEXAGESIMAL.fullmatch(text):
        reading = "as base 60"
    elif _OCTAL.fullmatch(text):
        reading = "as base 8, or as base 10"
    elif _OTHER_BASE.fullmatch(text):
        reading = "as another base"
    elif "_" in text and _UNDERSCORES.fullmatch(text):
        reading = "without its underscores, or as a text"
    if reading is None:
        return None
    return NumberTrap(code="yaml-trap", message=f"YAML reads `{text}` {reading}")


def forbidden_character(text: str) -> str | None:
    """Return the first invisible or bidirectional control in a text, or None."""
    match = FORBIDDEN.search(text)
    return match[0] if match else None
