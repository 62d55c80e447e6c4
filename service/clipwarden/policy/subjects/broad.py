"""A negative in; why it says too little to exclude any harm, by the reviewed nouns of broad.yaml, out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from clipwarden.policy.subjects.wordlist import forms, normalised, read_list

_ARTICLES = frozenset({"a", "an", "the", "some", "one"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Breadth:
    """What is said of a noun that is too broad.

    Attributes:
        may: How harm stands beside it.
        better: What could be written in its place.
    """

    may: str
    better: str


def breadth_of(text: str) -> Breadth | None:
    """Tell why a negative excludes no harm.

    Args:
        text: The negative.

    Returns:
        None where it says more than a noun of the list does.
    """
    return _broad_nouns().get(_without_articles(text))


def _without_articles(text: str) -> tuple[str, ...]:
    return tuple(token for token in normalised(text) if token not in _ARTICLES)


@cache
def _broad_nouns() -> Mapping[tuple[str, ...], Breadth]:
    found: dict[tuple[str, ...], Breadth] = {}
    for kind in read_list("broad")["kinds"]:
        breadth = Breadth(may=kind["may"], better=kind["better"])
        for noun in kind["nouns"]:
            *others, last = normalised(noun)
            found |= {(*others, form): breadth for form in forms(last)}
    return found
