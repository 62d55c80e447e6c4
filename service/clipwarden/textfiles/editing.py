"""A YAML text and what maps in it are to hold in, the same text with nothing else changed out.

A library that writes YAML again would fold lines, move comments and choose quotes of its own; whoever reviews a policy
should see two changed lines where two changed. So text is put in at the marks of PyYAML's parser.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

import yaml

from clipwarden.textfiles.findings import Path
from clipwarden.textfiles.rendering import Value, in_lines, in_one_line, is_deep

_BREAK = re.compile(r"\r\n|\r|\n")
_COMMA = re.compile(r"\s*,[ \t]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One key of a map, as it is to be.

    Attributes:
        path: Keys and indices that lead to the map, which is there and holds a key that stays.
        key: Its name.
        value: What it is to hold; None takes the key out. A map that holds maps or long lists stands in lines of its
            own, unless the map around it stands in braces.
        after: Keys behind the last of which a new one comes; the end of the map where none of them is there.
    """

    path: Path
    key: str
    value: Value | None
    after: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Splice:
    """Text in the place of characters from `start` to `end`."""

    start: int
    end: int
    text: str


def edit_maps(text: str, entries: Sequence[Entry]) -> str:
    """Set or delete keys of maps, and leave every other character as it is.

    A new key comes last in its map, or where it says: on lines of its own in a block map, behind a comma in a flow map.

    Args:
        text: YAML that `parse_tree` reads without a finding.
        entries: Each key once.

    Returns:
        The text, which reads as before but for these keys.

    Raises:
        KeyError: A path leads to no map.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    by_map: dict[Path, list[Entry]] = {}
    for entry in entries:
        by_map.setdefault(entry.path, []).append(entry)
    splices = [splice for path, each in by_map.items() for splice in _Map(text, _find(root, path)).splices(each)]
    pieces, done = [], 0
    for splice in sorted(splices, key=lambda each: each.start):  # stable: what is put in at one place keeps its order
        pieces += [text[done : splice.start], splice.text]
        done = max(done, splice.end)
    return "".join([*pieces, text[done:]])


class Layout(StrEnum):
    """How a map stands in a text."""

    BLOCK = "block"
    """On lines of its own."""
    FLOW = "flow"
    """In braces."""
    FLOW_WITH_COMMENTS = "flow_with_comments"
    """In braces over several lines that hold comments, which would be lost if it were written anew."""


def layout_of(text: str, path: Path) -> Layout | None:
    """Tell how a map stands in a text.

    Args:
        text: As for `edit_maps`.
        path: That leads to it.

    Returns:
        None where there is no map.
    """
    try:
        node = _find(yaml.compose(text, Loader=yaml.SafeLoader), path)
    except (KeyError, IndexError):
        return None
    if not node.flow_style:
        return Layout.BLOCK
    between = [*text[_start(node) : node.end_mark.index]]
    for scalar in _scalars(node):
        inside = slice(_start(scalar) - _start(node), scalar.end_mark.index - _start(node))
        between[inside] = " " * len(between[inside])
    return Layout.FLOW_WITH_COMMENTS if "#" in between else Layout.FLOW


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (*_scalars(key), *_scalars(value))


def _find(node: yaml.Node | None, path: Path) -> yaml.MappingNode:
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), None)
    if not isinstance(node, yaml.MappingNode):
        raise KeyError(path)
    return node


class _Map:
    """One map of the text."""

    def __init__(self, text: str, node: yaml.MappingNode) -> None:
        self._text = text
        self._node = node
        self._flow = bool(node.flow_style)
        self._entries: list[tuple[yaml.Node, yaml.Node]] = node.value

    def splices(self, wanted: Sequence[Entry]) -> Iterator[_Splice]:
        """Yield what turns the map into one that holds what is wanted."""
        there = {key.value: (key, value) for key, value in self._entries}
        gone = {entry.key for entry in wanted if entry.value is None}
        staying = [(key.value, value) for key, value in self._entries if key.value not in gone]
        for entry in wanted:
            if entry.value is None:
                if entry.key in there:
                    yield self._deletion(*there[entry.key], gone)
            elif entry.key in there:
                yield self._replacement(*there[entry.key], entry.value)
            else:
                before = [value for name, value in staying if name in entry.after] or [value for _, value in staying]
                yield self._insertion(before[-1], entry.key, entry.value)

    def _replacement(self, key: yaml.Node, value: yaml.Node, wanted: Value) -> _Splice:
        if isinstance(value, yaml.SequenceNode) and not value.flow_style and isinstance(wanted, tuple):
            begin = f"{_line_break(self._text)}{' ' * value.start_mark.column}"
            lines = begin.join(f"- {self._written(item)}" for item in wanted)
            return _Splice(start=_start(value), end=_end(value, self._text), text=lines)
        if self._flow or not is_deep(wanted):
            return _Splice(start=_start(value), end=_end(value, self._text), text=self._written(wanted))
        lines = self._lines(wanted)
        if isinstance(value, yaml.CollectionNode) and not value.flow_style:
            # It begins on a later line than its key, whose line may hold a comment.
            return _Splice(start=_line_end(self._text, key.end_mark.index), end=_end(value, self._text), text=lines)
        end = _line_end(self._text, _end(value, self._text))
        rest = self._text[_end(value, self._text) : end].strip()
        start = self._text.index(":", key.end_mark.index) + 1
        return _Splice(start=start, end=end, text=f" {rest}{lines}" if rest else lines)

    def _insertion(self, last: yaml.Node, key: str, value: Value) -> _Splice:
        end, name = _end(last, self._text), self._written_key(key)
        if self._flow:
            return _Splice(start=end, end=end, text=f", {name}: {self._written(value)}")
        line_end = _line_end(self._text, end)
        indent = " " * self._node.start_mark.column
        text = f"{name}:{self._lines(value)}" if is_deep(value) else f"{name}: {self._written(value)}"
        return _Splice(start=line_end, end=line_end, text=f"{_line_break(self._text)}{indent}{text}")

    def _lines(self, value: Mapping[str, Value]) -> str:
        breaks = _line_break(self._text)
        return "".join(f"{breaks}{line}" for line in in_lines(value, self._node.start_mark.column + 2))

    def _deletion(self, key: yaml.Node, value: yaml.Node, gone: AbstractSet[str]) -> _Splice:
        start, end = _start(key), _end(value, self._text)
        if not self._flow:
            found = _BREAK.match(self._text, _line_end(self._text, end))
            return _Splice(start=_line_start(self._text, start), end=found.end() if found else len(self._text), text="")
        stays = any(_start(each) > start for each, _ in self._entries if each.value not in gone)
        if stays and (comma := _COMMA.match(self._text, end)):
            return _Splice(start=start, end=comma.end(), text="")
        # None behind it stays: with the comma before it, unless a comment lies between.
        before = next((_end(each, self._text) for _, each in reversed(self._entries) if _start(each) < start), start)
        alone = _COMMA.sub("", self._text[before:start]).strip() == ""
        return _Splice(start=before if alone else start, end=end, text="")

    def _written_key(self, key: str) -> str:
        # JSON is YAML too, and stays JSON.
        first = self._entries[0][0]
        return json.dumps(key) if isinstance(first, yaml.ScalarNode) and first.style == '"' else key

    def _written(self, value: Value) -> str:
        return in_one_line(value, self._written_key)


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _end(node: yaml.Node, text: str) -> int:
    """Return where the last character of a value ends, before comments and line breaks that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last, text)
    start = _start(node)
    return start + len(text[start : node.end_mark.index].rstrip())


def _line_end(text: str, index: int) -> int:
    found = _BREAK.search(text, index)
    return found.start() if found else len(text)


def _line_start(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def _line_break(text: str) -> str:
    """Return how the text's own lines end."""
    found = _BREAK.search(text)
    return found[0] if found else "\n"
