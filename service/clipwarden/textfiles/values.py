"""Read texts, numbers, choices and keys out of the tree; report what is wrong and carry on with None."""

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import TypeVar

from clipwarden.textfiles.findings import Findings, Path, Place
from clipwarden.textfiles.traps import forbidden_character, number_trap, text_trap
from clipwarden.textfiles.tree import BrokenNode, ListNode, MapNode, Node, TextNode

T = TypeVar("T")

MAX_TEXT = 1000
"""Longest text, in characters, unless a reader says otherwise: CLIP reads 75 tokens, a definition is one sentence."""

_LONGEST_QUOTE = 80
"""Characters of the file's own text that a message repeats."""

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Value:
    """One value of the file and where it was written.

    Args:
        node: The node of the tree.
        path: Keys and indices that lead to it.
        findings: Receives what is wrong; learns the value's place.
    """

    def __init__(self, node: Node, path: Path, findings: Findings) -> None:
        self._node = node
        self.path = path
        self.findings = findings
        findings.places[path] = node.place

    @property
    def place(self) -> Place:
        """Line and column of the value."""
        return self._node.place

    @property
    def name(self) -> str:
        """The path as people write it: `categories[0].thresholds.review`."""
        return name_of(self.path)

    @property
    def is_map(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self._node, MapNode)

    def error(self, code: str, message: str, fix: str) -> None:
        """Report an error at this value."""
        self.findings.error(self.place, code, message, fix)

    def items(self, *, least: int = 0, most: int, example: str) -> list["Value"]:
        """Read a list.

        Args:
            least: Fewest items allowed.
            most: Most items allowed.
            example: What a right list looks like.

        Returns:
            Its items; empty after a finding.
        """
        if not isinstance(self._node, ListNode):
            self._wrong_kind("a list", f"Write it as a list: {example}.")
            return []
        values = [Value(item, (*self.path, index), self.findings) for index, item in enumerate(self._node.items)]
        if len(values) < least:
            self.error("empty-value", f"{self.name} is empty.", f"Write at least one item: {example}.")
        if len(values) > most:
            self.error("too-many", f"{self.name} has {len(values)} items; at most {most} are read.", "Split it up.")
            return []
        return values

    def entries(self, *, example: str) -> Iterator[tuple[TextNode, "Value"]]:
        """Read a map with free keys, each key once.

        Args:
            example: What a right map looks like.

        Yields:
            The key and its value; a repeated or merge key is reported and left out.
        """
        if not isinstance(self._node, MapNode):
            self._wrong_kind("a map of keys and values", f"Write it as a map: {example}.")
            return
        seen: dict[str, Place] = {}
        for key, node in self._node.entries:
            if key.plain and key.text == "<<":
                self.findings.error(
                    key.place, "merge-key", "Merge keys (<<) are not allowed.", "Write the keys out here."
                )
            elif key.text in seen:
                message = f'The key "{shown(key.text)}" was already given on line {seen[key.text].line}.'
                self.findings.error(key.place, "duplicate-key", message, "Keep one of the two.")
            else:
                seen[key.text] = key.place
                yield key, Value(node, (*self.path, key.text), self.findings)

    def text(self, *, limit: int = MAX_TEXT, example: str) -> str | None:
        """Read a text; runs of white space become single spaces.

        Args:
            limit: Longest text, in characters.
            example: What a right text looks like.

        Returns:
            The text without surrounding white space, never empty; None after a finding.
        """
        node = self._scalar("a text", example)
        if node is None:
            return None
        if node.plain and (trap := text_trap(node.text)):
            self.error("yaml-trap", f"{self.name}: {trap}.", f'Put it in quotes: "{shown(node.text)}".')
            return None
        return self._tidy(node, limit, example)

    def choice(self, choices: Mapping[str, T], *, habits: Mapping[str, str] | None = None) -> T | None:
        """Read one of a few words.

        Args:
            choices: What each word means.
            habits: Words that people write instead, and the right ones; `off` for `disabled`.

        Returns:
            The meaning, or None after a finding.
        """
        allowed = ", ".join(choices)
        node = self._scalar(f"one of {allowed}", next(iter(choices)))
        if node is None:
            return None
        if node.text in choices:
            return choices[node.text]
        guess = (habits or {}).get(node.text.casefold()) or closest(node.text, choices)
        fix = f'Did you mean "{guess}"?' if guess else f"Write one of: {allowed}."
        trap = text_trap(node.text) if node.plain else None
        message = f'{self.name} is "{shown(node.text)}"{f" ({trap})" if trap else ""}; it must be one of {allowed}.'
        self.error("unknown-value", message, fix)
        return None

    def number(self, *, low: float, high: float, open_low: bool = False, open_high: bool = False) -> float | None:
        """Read a finite number.

        Args:
            low: Smallest value allowed.
            high: Largest value allowed.
            open_low: Whether `low` itself is refused.
            open_high: Whether `high` itself is refused.

        Returns:
            The number; None after a finding.
        """
        node = self._scalar("a number", "0.5")
        if node is None:
            return None
        value = self._parse_number(node)
        if value is None:
            return None
        if not low <= value <= high or (open_low and value == low) or (open_high and value == high):
            wanted = _range(low, high, open_low=open_low, open_high=open_high)
            self.error("out-of-range", f"{self.name} is {shown(node.text)}.", f"Write a number {wanted}.")
            return None
        return value + 0.0  # -0.0 becomes 0.0: they compare equal, so they must render and digest equal

    def integer(self, *, low: int, high: int) -> int | None:
        """Read a whole number within `[low, high]`; None after a finding."""
        value = self.number(low=low, high=high)
        if value is None:
            return None
        if not value.is_integer():
            self.error("out-of-range", f"{self.name} must be a whole number.", f"Write one of {low} to {high}.")
            return None
        return int(value)

    def day(self) -> date | None:
        """Read a date; None after a finding."""
        node = self._scalar("a date", "2027-06-01")
        if node is None:
            return None
        try:
            if _DATE.fullmatch(node.text):
                return date.fromisoformat(node.text)
        except ValueError:
            pass  # a date that no calendar has, such as 2027-02-30
        self.error(
            "bad-date", f'{self.name} is "{shown(node.text)}", which is no date.', "Write year-month-day: 2027-06-01."
        )
        return None

    def _scalar(self, kind: str, example: str) -> TextNode | None:
        if not isinstance(self._node, TextNode):
            self._wrong_kind(kind, f"Write {kind}, such as {example}.")
            return None
        if self._node.plain and self._node.text in ("", "~", "null", "Null", "NULL"):
            self.error(
                "empty-value", f"{self.name} has no value.", f"Write {kind}, such as {example}, or leave the key out."
            )
            return None
        return self._node

    def _tidy(self, node: TextNode, limit: int, example: str) -> str | None:
        if found := forbidden_character(node.text):
            message = f"{self.name} holds the invisible character U+{ord(found):04X}."
            self.error("bad-character", message, "Delete it.")
            return None
        text = " ".join(node.text.split())
        if not text:
            self.error("empty-value", f"{self.name} is empty.", f"Write a text, such as {example}, or leave it out.")
            return None
        if len(text) > limit:
            message = f"{self.name} has {len(text)} characters; at most {limit} are read."
            self.error("too-long", message, "Shorten it.")
            return None
        return text

    def _parse_number(self, node: TextNode) -> float | None:
        if trap := number_trap(node.text):
            self.error(trap.code, f"{self.name}: {trap.message}.", trap.fix)
            return None
        if not _NUMBER.fullmatch(node.text):
            self.error(
                "wrong-type",
                f'{self.name} is "{shown(node.text)}", which is no number.',
                "Write a number, such as 0.5.",
            )
            return None
        if not node.plain:
            message = f"{self.name} is a text because of its quotes."
            self.error("wrong-type", message, f"Remove the quotes: {shown(node.text)}.")
            return None
        value = float(node.text)
        if not math.isfinite(value):
            self.error("not-finite", f"{self.name} is too large for a number.", "Write a finite number, such as 0.5.")
            return None
        return value

    def _wrong_kind(self, wanted: str, fix: str) -> None:
        if isinstance(self._node, BrokenNode):
            return  # already reported
        kinds = {TextNode: "a single value", ListNode: "a list", MapNode: "a map"}
        self.error("wrong-type", f"{self.name} is {kinds[type(self._node)]}; it must be {wanted}.", fix)


def name_of(path: Path) -> str:
    """Render a path as people write it: `categories[0].thresholds.review`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path]
    return "".join(parts).removeprefix(".") or "The file"


def shown(text: str) -> str:
    """Return a text as messages quote it: cut off where it would bury the sentence."""
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def closest(word: str, candidates: Collection[str]) -> str | None:
    """Return the candidate that a misspelt word was most likely meant to be, or None."""
    if len(word) > _LONGEST_QUOTE:
        return None
    tidy = word.casefold().replace("-", "_").strip()
    return next(iter(difflib.get_close_matches(tidy, candidates, n=1, cutoff=0.6)), None)


def _range(low: float, high: float, *, open_low: bool, open_high: bool) -> str:
    if open_low is open_high:
        return f"between {low:g} and {high:g}, {'ends excluded' if open_low else 'ends included'}"
    return f"{'above' if open_low else 'from'} {low:g}, {'below' if open_high else 'up to'} {high:g}"
