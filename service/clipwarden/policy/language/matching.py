"""Two lists whose order means nothing in, what their items are called and which text became which out."""

import dataclasses
import difflib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from clipwarden.policy.language.plain import plain
from clipwarden.policy.schema import LearnedVector, Prompt

SAME_TEXT = 0.7
"""Similarity (difflib's ratio) from which a text that went and one that came are one text in other words. Chosen."""

MOST_PAIRS = 1_000
"""Most pairs of texts that went and came, in one list, that are compared: 50 ms (measured), and beyond it the list is
another one."""

Name = tuple[str, int]
"""What an item is called, and the how-manieth of that name it is."""


def by_name(items: Sequence[object]) -> dict[Name, object]:
    """Return a list's items by what they are called; those of one name by what they hold."""
    named = defaultdict(list)
    for item in items:
        named[name_of(item)].append(item)
    return {
        (name, place): item
        for name, same in named.items()
        # By their fields in turn, so that two waivers of one rule are told apart by their texts.
        for place, item in enumerate(sorted(same, key=lambda each: json.dumps(plain(each))))
    }


def name_of(item: object) -> str:
    """Return what people call an item of a list: itself, or the first field of a record (its id, name, text, ...)."""
    if dataclasses.is_dataclass(item) and not isinstance(item, LearnedVector):
        return str(getattr(item, dataclasses.fields(item)[0].name))
    return str(item)


def reworded(gone: Mapping[Name, object], come: Mapping[Name, object]) -> Iterator[tuple[Name, Name]]:
    """Pair texts that came with texts that went, most similar first."""
    if len(gone) * len(come) > MOST_PAIRS:
        return
    pairs = [
        (likeness, new, old)
        for new, item in come.items()
        for old, before in gone.items()
        if (likeness := _likeness(before, item)) >= SAME_TEXT
    ]
    used: set[Name] = set()
    paired: set[Name] = set()
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
