"""Read texts, numbers, choices and keys out of the tree; report what is wrong and carry on with None."""

import difflib
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import TypeVar

from clipwarden.textfiles.braces import is_empty, mend_entries
from clipwarden.textfiles.findings import Findings, Path, Place
from clipwarden.textfiles.linemends import straight
from clipwarden.textfiles.lists import dashed, meant_items, meant_row
from clipwarden.textfiles.meant import meant_day, meant_number, meant_quotes
from clipwarden.textfiles.traps import forbidden_character, number_trap, text_trap
from clipwarden.textfiles.tree import BrokenNode, ListNode, MapNode, Node, TextNode

T = TypeVar("T")

MAX_TEXT = 1000
"""Longest text, in characters, unless a reader says otherwise: CLIP reads 75 tokens, a definition is one sentence."""

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_LONGEST_QUOTE = 80
"""Characters of the file's own text that a message repeats."""
_PERCENT = 100
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Value:
    """One value of the file and where it was written.

    Args:
        node: The node of the tree.
        path: Keys and indices that lead to it.
        findings: Receives what is wrong; learns the value's place.
        dashed: Whether it stands behind the dash of a list.
    """

    def __init__(self, node: Node, path: Path, findings: Findings, *, dashed: bool = False) -> None:
        self._node = node
        self._head = f"{shown(path[-1])}: " if path and isinstance(path[-1], str) else "- " if dashed else ""
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

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a map, as written; none of anything else."""
        return tuple(key.text for key, _ in self._node.entries) if isinstance(self._node, MapNode) else ()

    @property
    def written(self) -> str:
        """A single value as messages show it, with its key or its dash; empty for a list or a map."""
        return self.rewritten(shown(self._node.text)) if isinstance(self._node, TextNode) else ""

    def peek(self, key: str) -> str:
        """Return the single value behind a key of a map, unread; empty where there is none."""
        entries = self._node.entries if isinstance(self._node, MapNode) else ()
        return next((shown(node.text) for name, node in entries if name.text == key and isinstance(node, TextNode)), "")

    def text_with_colon(self, known: Collection[str]) -> str | None:
        """Return the text that a colon outside quotes turned into a map of one entry.

        Args:
            known: Keys that such a map may have.

        Returns:
            The text in quotes; None where a map was meant.
        """
        if not isinstance(self._node, MapNode) or len(self._node.entries) != 1:
            return None
        key, value = self._node.entries[0]
        if not isinstance(value, TextNode) or closest(key.text, known):
            return None
        return straight(f"{key.text}: {value.text}")

    def rewritten(self, text: str) -> str:
        """Return what the author would write for this value to be another: with its key, or with its dash."""
        return f"`{self._head}{text}`"

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
            self._no_list(example, least)
            return []
        dashed = self._node.dashed
        values = [
            Value(item, (*self.path, index), self.findings, dashed=dashed)
            for index, item in enumerate(self._node.items)
        ]
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
        entries = mend_entries(self._node, self.name, self.findings)
        for index, (key, node) in enumerate(entries):
            if key.plain and key.text == "<<":
                self.findings.error(
                    key.place, "merge-key", "Merge keys (<<) are not allowed.", "Write the keys out here."
                )
            elif key.text in seen and self._begins_again(key, seen, (each for each, _ in entries[index + 1 :])):
                message = f"A second `{key.text}` in one item, the first being on line {seen[key.text].line}."
                value = f"{key.text}: {node.text if isinstance(node, TextNode) else '...'}"
                self.findings.error(key.place, "duplicate-key", message, f"Begin a new item with a dash: `- {value}`.")
                return
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
        if node.plain and (meant := meant_quotes(node.text)):
            message = f"{self.name} needs straight quotes, one at each end."
            self.error("pasted-quotes", message, f"Write {self.rewritten(meant)}.")
            return None
        if node.rows and self._head == "- ":
            message = f"These {len(node.rows)} lines count as one text, {self.name}."
            fix = f"For a text a line, write {dashed(node.rows)}; for one text, put quotes around it."
            self.findings.warn(self.place, "wrapped-text", message, fix)
        if node.cut:
            message = f'"{shown(node.cut)}" counts as a comment here, so {self.name} is "{shown(node.text)}".'
            fix = (
                f"Write {self.rewritten(straight(f'{node.text} {node.cut}'))}; in a comment, put a space behind the #."
            )
            self.findings.warn(self.place, "comment-in-text", message, fix)
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
        habits = habits or {}
        word = closest(node.text, [*choices, *habits])
        guess = habits.get(node.text.casefold()) or habits.get(word or "", word)
        fix = f'Did you mean "{guess}"?' if guess else f"Write one of: {allowed}."
        trap = text_trap(node.text) if node.plain else None
        message = f'{self.name} is "{shown(node.text)}"{f" ({trap})" if trap else ""}; it must be one of {allowed}.'
        self.error("unknown-value", message, fix)
        return None

    def number(
        self, *, low: float, high: float, open_low: bool = False, open_high: bool = False, example: str = "0.5"
    ) -> float | None:
        """Read a finite number.

        Args:
            low: Smallest value allowed.
            high: Largest value allowed.
            open_low: Whether `low` itself is refused.
            open_high: Whether `high` itself is refused.
            example: A right one.

        Returns:
            The number; None after a finding.
        """
        value = self._read_number(f"a number, such as {self.rewritten(example)}", example)
        if value is None:
            return None
        if not low <= value <= high or (open_low and value == low) or (open_high and value == high):
            wanted = _range(low, high, open_low=open_low, open_high=open_high)
            # A share is at most 1; what lies above was likely meant in percent.
            share = high == 1 < value < _PERCENT
            percent = f" For {value:g} %, write {self.rewritten(f'{value / _PERCENT:g}')}." if share else ""
            self.error("out-of-range", f"{self.name} is {value:g}.", f"Write a number {wanted}.{percent}")
            return None
        return value + 0.0  # -0.0 becomes 0.0: they compare equal, so they must render and digest equal

    def integer(self, *, low: int, high: int, example: str) -> int | None:
        """Read a whole number within `[low, high]`; None after a finding."""
        wanted = f"a whole number from {low} to {high}, such as {self.rewritten(example)}"
        value = self._read_number(wanted, example)
        if value is None:
            return None
        if not (low <= value <= high and value.is_integer()):
            self.error("out-of-range", f"{self.name} is {value:g}.", f"Write {wanted}.")
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
        fix = f"Write year-month-day: {self.rewritten(meant_day(node.text) or '2027-06-01')}."
        self.error("bad-date", f'{self.name} is "{shown(node.text)}", which is no date.', fix)
        return None

    def _scalar(self, kind: str, example: str) -> TextNode | None:
        if not isinstance(self._node, TextNode):
            self._wrong_kind(kind, f"Write {kind}, such as {example}.")
            return None
        if self._node.plain and self._node.text in ("", "~", "null", "Null", "NULL"):
            leave = "delete the line" if self._head == "- " else "leave the key out"
            fix = f"Write {kind}, such as {example}, or {leave}."
            self.error("empty-value", f"{self.name} has no value.", fix)
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

    def _read_number(self, wanted: str, example: str) -> float | None:
        node = self._scalar("a number", example)
        if node is None:
            return None
        if trap := number_trap(node.text):
            fix = f"Write a plain decimal number, such as {self.rewritten(example)}."
            self.error(trap.code, f"{self.name}: {trap.message}.", fix)
            return None
        if not _NUMBER.fullmatch(node.text):
            meant = meant_number(node.text)
            fix = f"Write {self.rewritten(meant) if meant else wanted}."
            self.error("wrong-type", f'{self.name} is "{shown(node.text)}"; {_lacking(node.text, meant)}.', fix)
            return None
        if not node.plain:
            message = f"{self.name} is a text because of its quotes."
            self.error("wrong-type", message, f"Remove the quotes: {self.rewritten(shown(node.text))}.")
            return None
        value = float(node.text)
        if not math.isfinite(value):
            fix = f"Write a finite number, such as {self.rewritten(example)}."
            self.error("not-finite", f"{self.name} is too large for a number.", fix)
            return None
        return value

    def _no_list(self, example: str, least: int) -> None:
        if is_empty(self._node):
            fix = f"Write at least one item: {self.rewritten(example)}."
            if least == 0:
                fix = f"Write {self.rewritten('[]')}, or delete the line; to fill it: {self.rewritten(example)}."
            self.error("empty-value", f"{self.name} has nothing in it.", fix)
        elif items := meant_items(self._node, example):
            self._wrong_kind("a list", items)
        else:
            row = meant_row(self._node, example) or example
            self._wrong_kind("a list", f"Write {self.rewritten(row)}.")

    def _begins_again(self, key: TextNode, seen: Mapping[str, Place], rest: Iterable[TextNode]) -> bool:
        """Tell whether a repeated key begins a new item of a list, whose dash is missing."""
        in_list = bool(self.path) and isinstance(self.path[-1], int)
        return in_list and key.text == next(iter(seen)) and any(each.text in seen for each in rest)

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


def _lacking(text: str, meant: str | None) -> str:
    if meant and "%" in text:
        return "a number has no percent sign"
    return "a number has a decimal point, not a comma" if meant and "," in text[:-1] else "that is no number"


def _range(low: float, high: float, *, open_low: bool, open_high: bool) -> str:
    if open_low is open_high:
        return f"between {low:g} and {high:g}, {'ends excluded' if open_low else 'ends included'}"
    return f"{'above' if open_low else 'from'} {low:g}, {'below' if open_high else 'up to'} {high:g}"
