"""Read texts, choices and keys out of the tree; report what is wrong and carry on with None. See `numbers` too."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from clipwarden.textfiles.braces import is_empty, mend_entries
from clipwarden.textfiles.findings import Findings, Path, Place
from clipwarden.textfiles.linemends import straight
from clipwarden.textfiles.lists import all_items, dashed, meant_items, meant_row, second_list
from clipwarden.textfiles.meant import meant_quotes, within_quotes
from clipwarden.textfiles.spots import LONGEST_SHOWN, pasteable
from clipwarden.textfiles.traps import forbidden_character, text_trap
from clipwarden.textfiles.tree import BrokenNode, ListNode, MapNode, Node, TextNode
from clipwarden.textfiles.wording import closest, name_of, shown, such_as

T = TypeVar("T")

MAX_TEXT = 1000
"""Longest text, in characters, unless a reader says otherwise: CLIP reads 75 tokens, a definition is one sentence."""

_DOTS = re.compile(r"\.{2,}|…")
_NOTHING = ("", "~", "null", "Null", "NULL")


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
        return f"`{self._head}{self.word}`" if self.word and len(self.word) <= LONGEST_SHOWN else ""

    @property
    def word(self) -> str:
        """A single value, unread; empty for a list or a map."""
        return self._node.text if isinstance(self._node, TextNode) else ""

    @property
    def words(self) -> tuple[str, ...]:
        """The single values of a list, unread; empty where it holds another, or is none."""
        items = self._node.items if isinstance(self._node, ListNode) else ()
        found = tuple(item.text for item in items if isinstance(item, TextNode))
        return found if len(found) == len(items) else ()

    def peek(self, key: str) -> str:
        """Return the single value behind a key of a map, unread; empty where there is none."""
        entries = self._node.entries if isinstance(self._node, MapNode) else ()
        return next((node.text for name, node in entries if name.text == key and isinstance(node, TextNode)), "")

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
        return pasteable(f"{self._head}{text}", f"all of {self.name} anew, in straight quotes")

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
            elif key.text in seen:
                message = f'The key "{shown(key.text)}" was already given on line {seen[key.text].line}.'
                follows = entries[index - 1][0].text == key.text
                fix = second_list(follows=follows) if isinstance(node, ListNode) else "Keep one of the two."
                self.findings.error(key.place, "duplicate-key", message, fix)
            else:
                seen[key.text] = key.place
                whole = all_items(key.text, entries) if isinstance(node, ListNode) else node
                yield key, Value(whole, (*self.path, key.text), self.findings)

    def text(self, *, limit: int = MAX_TEXT, example: str, whole: bool = False) -> str | None:
        """Read a text; runs of white space become single spaces.

        Args:
            limit: Longest text, in characters.
            example: What a right text looks like.
            whole: Whether a # that cuts its end off is an error; else it is a warning.

        Returns:
            The text without surrounding white space, never empty; None after a finding.
        """
        node = self.scalar("a text", such_as(example))
        if node is None:
            return None
        if _DOTS.fullmatch(node.text):
            fix = "Say it in words, or delete it: dots in a message stand for what you know."
            self.error("placeholder", f'{self.name} is "{node.text}".', fix)
            return None
        if node.plain and (trap := text_trap(node.text)):
            self.error("yaml-trap", f"{self.name}: {trap}.", f'Put it in quotes: "{node.text}".')
            return None
        if node.plain and (meant := meant_quotes(node.text)):
            message = f"{self.name} needs straight quotes, one at each end."
            self.error("pasted-quotes", message, f"Write {self.rewritten(meant)}.")
            node = replace(node, text=within_quotes(node.text))
        if node.rows and self._head == "- ":
            message = f"These {len(node.rows)} lines count as one text, {self.name}."
            fix = f"For a text a line, {dashed(node.rows)}; for one text, put quotes around it."
            self.findings.warn(self.place, "wrapped-text", message, fix)
        if node.cut:
            message = f'"{shown(node.cut)}" counts as a comment here, so {self.name} is "{shown(node.text)}".'
            fix = (
                f"Write {self.rewritten(straight(f'{node.text} {node.cut}'))}; in a comment, put a space behind the #."
            )
            if whole:
                self.error("comment-in-text", message, fix)
            else:
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
        node = self.scalar(f"one of {allowed}")
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

    def scalar(self, kind: str, example: str = "") -> TextNode | None:
        """Return the node of a single value; None after a finding.

        Args:
            kind: What is wanted, in words.
            example: `, such as` an example, or empty.
        """
        if not isinstance(self._node, TextNode):
            meant = self.words[0] if len(self.words) == 1 else "{}" if self.is_map and not self.keys else ""
            fix = f"Write {self.rewritten(straight(meant))}." if meant else f"Write {kind}{example}."
            self._wrong_kind(kind, fix)
            return None
        if self._node.plain and self._node.text in _NOTHING:
            leave = "delete the line" if self._head == "- " else "leave the key out"
            fix = f"Write {kind}{example}, or {leave}."
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
            self.error("empty-value", f"{self.name} is empty.", f"Write a text{such_as(example)}, or leave it out.")
            return None
        if len(text) > limit:
            message = f"{self.name} has {len(text)} characters; at most {limit} are read."
            self.error("too-long", message, "Shorten it.")
            return None
        return text

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

    def _wrong_kind(self, wanted: str, fix: str) -> None:
        if isinstance(self._node, BrokenNode):
            return  # already reported
        kinds = {TextNode: "a single value", ListNode: "a list", MapNode: "a map"}
        self.error("wrong-type", f"{self.name} is {kinds[type(self._node)]}; it must be {wanted}.", fix)
