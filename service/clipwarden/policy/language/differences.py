"""Two policies in, what changed from one to the other out, in the order of the page that explains every key.

It walks the schema's own dataclasses and names what differs by the tables of keys, so that a new key shows up by
itself. What has no order in a digest has none here: lists are matched by what their items are called.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from clipwarden.policy.digest import counts
from clipwarden.policy.language.keys import POLICY
from clipwarden.policy.language.matching import by_name, name_of, reworded
from clipwarden.policy.language.plain import KEYS, plain, plain_field
from clipwarden.policy.language.tables import Keys, inside
from clipwarden.policy.schema import ANY_ORDER, Category, Context, LearnedVector, Metadata, Policy, Prompt


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


# Severity sorts the categories that a verdict names, and moves none.
_READ_ONLY: Mapping[type, frozenset[str]] = {
    Metadata: frozenset({"id"}),
    Category: frozenset({"severity", "definition", "reason_code"}),
    Context: frozenset({"description"}),
    LearnedVector: frozenset({"name"}),
}
_NOKEYS = Keys(keys=())


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
        for field in sorted(fields, key=lambda each: self._rank(KEYS.get(each.name, (each.name,)))):
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
            yield self._leaf(plain_field(name, old), plain_field(name, new))

    def _leaf(self, old: object, new: object) -> Change:
        kind = Kind.ADDED if old is None else Kind.REMOVED if new is None else Kind.CHANGED
        return self.change(kind, old, new)

    def _entries(self, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[Change]:
        for name in dict.fromkeys((*new, *old)):
            yield from self._at(name).value(old.get(name), new.get(name), name, any_order=False)

    def _items(self, old: Sequence[object], new: Sequence[object]) -> Iterator[Change]:
        before, after = by_name(old), by_name(new)
        gone = {name: item for name, item in before.items() if name not in after}
        come = {name: item for name, item in after.items() if name not in before}
        renamed = dict(reworded(gone, come))
        for name, item in after.items():
            if name in before:
                yield from self._at(name[0]).value(before[name], item, "", any_order=False)
            elif name in renamed:
                yield from self._reworded(gone.pop(renamed[name]), item)
            else:
                yield self._at(name[0]).change(Kind.ADDED, None, plain(item))
        for name, item in gone.items():
            yield self._at(name[0]).change(Kind.REMOVED, plain(item), None)

    def _reworded(self, old: object, new: object) -> Iterator[Change]:
        there = self._at(name_of(new))
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
        parts = KEYS.get(field, (field,))
        keys = self.keys
        for part in parts:
            keys = next((inside(key.kind) or _NOKEYS for key in keys if key.name == part), _NOKEYS)
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
            keys = next((inside(key.kind) or _NOKEYS for key in keys if key.name == part), _NOKEYS)
        return ranks
