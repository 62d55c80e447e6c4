"""Turn untrusted YAML into a small tree of texts, lists and maps that knows lines and columns.

Built on PyYAML's events rather than its loader: nothing is constructed, aliases can't multiply, depth is
bounded, and no scalar is turned into a number or a boolean behind the author's back. The pure-Python parser is
used on purpose: the C one differs in messages and columns, and the default policy takes a tenth of a second.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import yaml

from clipwarden.textfiles.findings import WHOLE_FILE, Findings, Place
from clipwarden.textfiles.habits import mend_habits, report_tabs
from clipwarden.textfiles.reading import check_characters, split_lines
from clipwarden.textfiles.sections import Lines
from clipwarden.textfiles.slips import Mender

MAX_NODES = 100_000
"""Most values. The default policy has 400; parsing this many takes about 5 s on a core (measured)."""
MAX_DEPTH = 16
"""Deepest nesting. The deepest value that anybody reads (an exemption's `gte` in a policy) sits at depth 6."""

MAX_MENDED = 100_000
"""Characters of the largest file whose slips are looked for: after each it is parsed again, in 0.8 s at this size."""
MAX_SLIPS = 20
"""Most slips of the hand in one file; whoever has more will run lint again."""
_TIGHT_COMMENT = re.compile(r"\s+(#[^\s#].*?)\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextNode:
    """A scalar.

    Attributes:
        text: As written, escapes resolved.
        plain: Without quotes, so that YAML may read it as something other than text.
        rows: Its lines, where it is plain and has several; YAML reads them as one.
        cut: What follows on its line and counts as a comment although no space is behind the #: `#1 fan`.
    """

    text: str
    plain: bool
    place: Place
    rows: tuple[str, ...] = ()
    cut: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListNode:
    """A sequence; `dashed` where each item has a line of its own, behind a dash."""

    items: tuple["Node", ...]
    place: Place
    dashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class MapNode:
    """A mapping; keys may repeat here, and are checked by the reader."""

    entries: tuple[tuple[TextNode, "Node"], ...]
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenNode:
    """Something already reported; readers pass over it in silence."""

    place: Place


class _Mark(Protocol):
    """What PyYAML's two mark classes share."""

    line: int
    column: int


Node = TextNode | ListNode | MapNode | BrokenNode


def parse_tree(text: str, findings: Findings, *, keys: Collection[str] = ()) -> Node | None:
    """Parse one YAML document.

    Args:
        text: The file's text.
        findings: Receives every problem of the YAML itself.
        keys: Words that the file's language knows as keys: `mode shadow` lacks a colon.

    Returns:
        The root node, or None when there is nothing to go on with: after a finding, or where the file is empty or
        holds comments alone, which is for the caller to judge.
    """
    check_characters(text, findings)
    if findings.failed:
        return None
    lines = split_lines(text)
    if len(text) > MAX_MENDED:
        report_tabs(lines, findings)
        return None if findings.failed else _parse(lines, findings, None).root
    mender = Mender(findings, keys)
    lines = mend_habits(lines, findings)
    for _ in range(MAX_SLIPS):
        lines = mender.mend_rows(lines)
        parsed = _parse(lines, findings, mender)
        if parsed.mended is None:
            return parsed.root
        lines = parsed.mended
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parsed:
    """What came of one try: a root, or None after findings, or the lines to try next."""

    root: Node | None = None
    mended: Lines | None = None


def _parse(lines: Lines, findings: Findings, mender: Mender | None) -> _Parsed:
    loader = yaml.SafeLoader("\n".join(lines))
    try:
        return _Parsed(root=_Builder(loader, lines, findings).document())
    except _StopReadingError:
        return _Parsed()
    except (yaml.YAMLError, ValueError, OverflowError) as exc:
        # ValueError and OverflowError: PyYAML calls chr() and int() on escapes and %YAML versions unchecked.
        mark = getattr(exc, "problem_mark", None) or loader.get_mark()
        if mender and (mended := mender.mend_line(lines, mark.line)):
            return _Parsed(mended=mended)
        _report_syntax(exc, mark, findings)
        return _Parsed()
    finally:
        loader.dispose()


def _report_syntax(exc: Exception, mark: _Mark, findings: Findings) -> None:
    # Only PyYAML's own errors carry a problem; ValueError and OverflowError come from a chr() or int() inside it.
    problem = getattr(exc, "problem", None) or "a number in an escape or directive is out of range"
    message = f"This is not valid YAML: {problem}."
    findings.error(_place(mark), "yaml-syntax", message, _syntax_fix(problem))


def _syntax_fix(problem: str) -> str:
    """Say what most often causes a parser message, which itself speaks of tokens."""
    for part, fix in _SYNTAX_FIXES.items():
        if part in problem:
            return fix
    return "Check this line and the one above for a missing quote, bracket, colon or space."


_SYNTAX_FIXES = {
    "mapping values are not allowed": 'Put quotes around a text that holds a colon ("a: b"), or fix the indentation.',
    r"'\t' that cannot start": "Replace the tab with spaces.",
    "that cannot start any token": "Put quotes around a text that starts with a special character.",
    "found unexpected end of stream": "Close the quote that was opened above.",
    "expected ',' or": "Close the bracket that was opened above, or put a comma between its items.",
    "expected the node content": "Close the bracket that was opened above.",
    "<block end>": "Indent this line exactly as the keys it belongs with.",
    "could not find expected ':'": "Write a colon and a space after the key.",
    "out of range": "Write the character itself instead of its number.",
    "escape": 'Use single quotes, or double each backslash inside "...".',
}


class _StopReadingError(Exception):
    """Nothing after this point can be read; the reason is already reported."""


class _Builder:
    """Builds the tree from PyYAML's events, one document, no anchors, no tags."""

    def __init__(self, loader: yaml.SafeLoader, lines: Lines, findings: Findings) -> None:
        self._loader = loader
        self._lines = lines
        self._findings = findings
        self._nodes = 0

    def document(self) -> Node | None:
        """Build the only document of the stream."""
        self._next()  # stream start
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if isinstance(start, yaml.DocumentStartEvent) and (start.version or start.tags):
            self._error(
                start, "directive", "YAML directives (%) are not allowed.", "Delete the lines that start with %."
            )
        root = self._node(self._next(), depth=1)
        self._next()  # document end
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            message = "A second YAML document starts here; a file holds one."
            self._error(
                after, "several-documents", message, "Delete the `---` line, or move what follows to its own file."
            )
        return root

    def _node(self, event: yaml.Event, *, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._error(
                event,
                "too-deep",
                f"Nested more than {MAX_DEPTH} levels deep.",
                "No key nests this deep; flatten it.",
            )
            raise _StopReadingError
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._error(event, "too-many", f"The file holds more than {MAX_NODES} values.", "Split it up.")
            raise _StopReadingError
        broken = self._refuse_extras(event)
        node = self._content(event, depth)
        return BrokenNode(place=node.place) if broken else node

    def _content(self, event: yaml.Event, depth: int) -> Node:
        place = _place(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style is None
            rows, cut = (self._rows(event), self._cut(event)) if plain else ((), "")
            return TextNode(text=event.value, plain=plain, place=place, rows=rows, cut=cut)
        if isinstance(event, yaml.SequenceStartEvent):
            return ListNode(items=self._items(depth), place=place, dashed=not event.flow_style)
        if isinstance(event, yaml.MappingStartEvent):
            return MapNode(entries=self._entries(depth), place=place)
        return BrokenNode(place=place)  # an alias: already reported

    def _rows(self, event: yaml.Event) -> tuple[str, ...]:
        start, end = event.start_mark, event.end_mark
        if start is None or end is None or start.line == end.line:
            return ()
        first, *rest = self._lines[start.line : end.line + 1]
        return tuple(row.strip() for row in (first[start.column :], *rest) if row.strip())

    def _cut(self, event: yaml.Event) -> str:
        mark = event.end_mark
        if mark is None or mark.line >= len(self._lines):
            return ""
        match = _TIGHT_COMMENT.fullmatch(self._lines[mark.line], mark.column)
        return match[1] if match else ""

    def _items(self, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth=depth + 1))
        return tuple(items)

    def _entries(self, depth: int) -> tuple[tuple[TextNode, Node], ...]:
        entries: list[tuple[TextNode, Node]] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            value = self._node(self._next(), depth=depth + 1)
            if isinstance(key, TextNode):
                entries.append((key, value))
            elif not isinstance(key, BrokenNode):
                self._error(event, "complex-key", "A list or map cannot be a key.", "Write the key as one word.")
        return tuple(entries)

    def _refuse_extras(self, event: yaml.Event) -> bool:
        if isinstance(event, yaml.AliasEvent):
            message = f"Aliases (*{event.anchor}) are not allowed: a file says everything where it applies."
            self._error(
                event, "alias", message, "Write the values out here; put quotes around a text that begins with *."
            )
            return True
        if anchor := getattr(event, "anchor", None):
            self._error(
                event,
                "anchor",
                f"Anchors (&{anchor}) are not allowed.",
                f"Delete &{anchor}, or put quotes around a text that begins with it.",
            )
        # "!" alone is YAML's non-specific tag, which changes how a scalar is read: refused like any other.
        if (tag := getattr(event, "tag", None)) is not None:
            self._error(
                event,
                "tag",
                f"YAML tags ({tag}) are not allowed.",
                "Delete the tag; put quotes around a text that begins with !.",
            )
            return True
        return False

    def _next(self) -> yaml.Event:
        event: yaml.Event = self._loader.get_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped
        return event

    def _error(self, event: yaml.Event, code: str, message: str, fix: str) -> None:
        self._findings.error(_place(event.start_mark), code, message, fix)


def _place(mark: _Mark | None) -> Place:
    if mark is None:  # the stubs allow it; PyYAML's own parser always sets one
        return WHOLE_FILE
    return Place(line=mark.line + 1, column=mark.column + 1)
