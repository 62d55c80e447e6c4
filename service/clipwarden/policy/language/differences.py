"""Two policies in, what changed from one to the other out, in the order of the page that explains every key.

It walks the schema's own dataclasses and names what differs by the tables of keys, so that a new key shows up by
itself. What has no order in a digest has none here: lists are matched by what their items are called.
"""

import dataclasses
import difflib
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum
from typing import cast

from clipwarden.policy.digest import counts
from clipwarden.policy.language.keys import POLICY
from clipwarden.policy.language.learned import head_content
from clipwarden.policy.language.tables import Keys, inside
from clipwarden.policy.schema import ANY_ORDER, Category, Context, Head, LearnedVector, Metadata, Policy, Prompt

SAME_TEXT = 0.7
"""Similarity (difflib's ratio) from which a text that went and one that came are one text in other words. Chosen."""

MOST_PAIRS = 1_000
"""Most pairs of texts that went and came, in one list, that are compared: 50 ms (measured), and beyond it the list is
another one."""


class Reach(StrEnum):
    """What a change can reach."""

    VERDICTS = "verdicts"
    """Scores, bands or verdicts."""
    RESULTS = "results"
    """Only what results and reviewers read; part of the digest."""
    NOTES = "notes"
    """Only those who keep the policy; no part of the digest."""


class Kind(StrEnum):
    """How something changed."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REWORDED = "reworded"
    """One of several texts that stand in a list."""


class Item(str):
    """A part of a path that is no key but the name of one item: a category's id, a prompt's text."""

    __slots__ = ()


Path = tuple[str, ...]
"""Keys as a policy file writes them, and names of items."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        path: Where.
        kind: How.
        old: As JSON values; vectors and heads by content. None where it was added.
        new: None where it was removed.
        reach: How far it can reach.
    """

    path: Path
    kind: Kind
    old: object
    new: object
    reach: Reach

    @property
    def concept(self) -> str | None:
        """Id of the category or attribute that it is in."""
        return self.path[1] if self.path[0] in ("categories", "attributes") else None

    @property
    def where(self) -> str:
        """The path as people write it: `categories[weapons].thresholds.review`."""
        parts = (f"[{part}]" if isinstance(part, Item) else f".{part}" for part in self.path)
        return "".join(parts).removeprefix(".")


# Where a file keeps a field under another name than the schema does.
_KEYS: Mapping[str, Path] = {
    "method": ("scoring", "method"),
    "pool": ("scoring", "pool"),
    "head": ("scoring", "file"),
    "on_error": ("defaults", "on_error"),
    "on_partial": ("defaults", "on_partial"),
    "attribute": ("when", "attribute"),
    "gte": ("when", "gte"),
    "values": ("file",),
    "bounds": (),
    "text": (),
}
# Severity sorts the categories that a verdict names, and moves none.
_READ_ONLY: Mapping[type, frozenset[str]] = {
    Metadata: frozenset({"id"}),
    Category: frozenset({"severity", "definition", "reason_code"}),
    Context: frozenset({"description"}),
    LearnedVector: frozenset({"name"}),
}
_NO_KEYS = Keys(keys=())


def differences(old: Policy, new: Policy) -> tuple[Change, ...]:
    """Name everything that differs between two policies.

    Args:
        old: As parsed.
        new: As parsed.

    Returns:
        Nothing for equal policies, in whatever order their lists are. Every change is among `Reach.NOTES` exactly when
        the digests are equal.
    """
    return tuple(_Walk((), Reach.VERDICTS, POLICY).record(old, new))


def plain(value: object) -> object:
    """Return a value of the schema as JSON values, under a policy file's keys.

    What is empty, and a weight of 1, is left out; learned numbers are named by their content.
    """
    if isinstance(value, Prompt) and value.weight == 1.0:
        return plain(value.text)
    if isinstance(value, LearnedVector):
        return {"vector": value.name, "content": value.content}
    if dataclasses.is_dataclass(value):
        return _plain_record(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | frozenset):
        return [plain(item) for item in value]
    return _plain_scalar(value)


def _plain_record(record: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in dataclasses.fields(cast("Policy", record)):
        value = _plain_field(field.name, getattr(record, field.name))
        if value in (None, [], {}):
            continue
        if isinstance(value, dict) and _KEYS.get(field.name) == ():
            found |= value
            continue
        *above, key = _KEYS.get(field.name) or (field.name,)
        inner = found
        for part in above:
            inner = cast("dict[str, object]", inner.setdefault(part, {}))
        inner[key] = value
    return found


def _plain_field(name: str, value: object) -> object:
    if name == "head":
        return head_content(cast("Head", value)) if value else None
    return plain(value)


def _plain_scalar(value: object) -> object:
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, bytes):
        return f"sha256:{hashlib.sha256(value).hexdigest()}"
    return value.isoformat() if isinstance(value, date) else value


@dataclass(frozen=True, slots=True)
class _Walk:
    """A place in both policies.

    Attributes:
        path: That leads to it.
        reach: Of all that changes here.
        keys: Known keys of the map here; says in which order people read them.
    """

    path: Path
    reach: Reach
    keys: Keys

    def record(self, old: object, new: object, *, but: str = "") -> Iterator[Change]:
        """Compare two records of one type, leaving out the field that `but` names."""
        fields = dataclasses.fields(cast("Policy", old))
        for field in sorted(fields, key=lambda each: self._rank(_KEYS.get(each.name, (each.name,)))):
            if field.name != but:
                there = self._into(type(old), field.name)
                before, after = getattr(old, field.name), getattr(new, field.name)
                # No order judges in what does not judge at all.
                free = ANY_ORDER.items() <= field.metadata.items() or there.reach is Reach.NOTES
                any_order = free and isinstance(before, tuple) and field.name != "head"
                yield from there.value(before, after, field.name, any_order)

    def value(self, old: object, new: object, name: str, any_order: bool) -> Iterator[Change]:  # noqa: FBT001
        """Compare what a field holds."""
        if any_order or isinstance(old, frozenset):
            yield from self._items(cast("Sequence[object]", old), cast("Sequence[object]", new))
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self._entries(old, new)
        elif type(old) is type(new) and dataclasses.is_dataclass(old):
            yield from self.record(old, new)
        elif old != new:
            yield self._leaf(_plain_field(name, old), _plain_field(name, new))

    def _leaf(self, old: object, new: object) -> Change:
        kind = Kind.ADDED if old is None else Kind.REMOVED if new is None else Kind.CHANGED
        return self.change(kind, old, new)

    def _entries(self, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[Change]:
        for name in dict.fromkeys((*new, *old)):
            yield from self._at(name).value(old.get(name), new.get(name), name, any_order=False)

    def _items(self, old: Sequence[object], new: Sequence[object]) -> Iterator[Change]:
        before, after = _by_name(old), _by_name(new)
        gone = {name: item for name, item in before.items() if name not in after}
        come = {name: item for name, item in after.items() if name not in before}
        reworded = dict(_reworded(gone, come))
        for name, item in after.items():
            if name in before:
                yield from self._at(name[0]).value(before[name], item, "", any_order=False)
            elif name in reworded:
                yield from self._reworded(gone.pop(reworded[name]), item)
            else:
                yield self._at(name[0]).change(Kind.ADDED, None, plain(item))
        for name, item in gone.items():
            yield self._at(name[0]).change(Kind.REMOVED, plain(item), None)

    def _reworded(self, old: object, new: object) -> Iterator[Change]:
        there = self._at(_name(new))
        texts = [each.text if isinstance(each, Prompt) else each for each in (old, new)]
        if isinstance(texts[0], LearnedVector):
            there = dataclasses.replace(there, reach=there.within(LearnedVector, "name"))
        yield there.change(Kind.REWORDED, plain(texts[0]), plain(texts[1]))
        if isinstance(old, Prompt):
            yield from there.record(old, new, but="text")

    def change(self, kind: Kind, old: object, new: object) -> Change:
        """Make a change of what stands here."""
        return Change(path=self.path, kind=kind, old=old, new=new, reach=self.reach)

    def _at(self, name: str) -> "_Walk":
        return _Walk((*self.path, Item(name)), self.reach, self.keys)

    def _into(self, record: type, field: str) -> "_Walk":
        parts = _KEYS.get(field, (field,))
        keys = self.keys
        for part in parts:
            keys = next((inside(key.kind) or _NO_KEYS for key in keys if key.name == part), _NO_KEYS)
        return _Walk((*self.path, *parts), self.within(record, field), keys)

    def within(self, record: type, field: str) -> Reach:
        """Tell how far a field of a record here can reach."""
        if self.reach is Reach.NOTES or not counts(record, field):
            return Reach.NOTES
        return Reach.RESULTS if field in _READ_ONLY.get(record, ()) else self.reach

    def _rank(self, parts: Path) -> list[int]:
        ranks, keys = [], self.keys
        for part in parts:
            ranks.append(keys.names.index(part) if part in keys.names else len(keys.names))
            keys = next((inside(key.kind) or _NO_KEYS for key in keys if key.name == part), _NO_KEYS)
        return ranks


_Name = tuple[str, int]
"""What an item is called, and the how-manieth of that name it is."""


def _by_name(items: Sequence[object]) -> dict[_Name, object]:
    named = defaultdict(list)
    for item in items:
        named[_name(item)].append(item)
    return {
        (name, place): item
        for name, same in named.items()
        # By their fields in turn, so that two waivers of one rule are told apart by their texts.
        for place, item in enumerate(sorted(same, key=lambda each: json.dumps(plain(each))))
    }


def _name(item: object) -> str:
    """Return what people call an item of a list: itself, or the first field of a record (its id, name, text, ...)."""
    if dataclasses.is_dataclass(item) and not isinstance(item, LearnedVector):
        return str(getattr(item, dataclasses.fields(item)[0].name))
    return str(item)


def _reworded(gone: Mapping[_Name, object], come: Mapping[_Name, object]) -> Iterator[tuple[_Name, _Name]]:
    """Pair texts that came with texts that went, most similar first."""
    if len(gone) * len(come) > MOST_PAIRS:
        return
    pairs = [
        (likeness, new, old)
        for new, item in come.items()
        for old, before in gone.items()
        if (likeness := _likeness(before, item)) >= SAME_TEXT
    ]
    used: set[_Name] = set()
    paired: set[_Name] = set()
    for _, new, old in sorted(pairs, key=lambda pair: -pair[0]):
        if new not in paired and old not in used:
            paired.add(new)
            used.add(old)
            yield new, old


def _likeness(old: object, new: object) -> float:
    before, after = (each.text if isinstance(each, Prompt) else each for each in (old, new))
    if isinstance(before, LearnedVector) and isinstance(after, LearnedVector):
        return float(before.values == after.values)
    if isinstance(before, str) and isinstance(after, str):
        matcher = difflib.SequenceMatcher(None, before, after)
        # The cheap bound first.
        return matcher.ratio() if matcher.quick_ratio() >= SAME_TEXT else 0.0
    return 0.0
