"""A category's evidence in; by what each of its limits was chosen, and by whom, out."""

import re
from collections.abc import Iterator
from typing import Final

from clipwarden.policy.schema import Category, Drawn, Evidence

CHOSEN_ON: Final = " (chosen on {day} by labels whose design is {design}, by {author})"
"""What a promise says of itself where it is older than the evidence that it stands in."""
OLDER: Final = CHOSEN_ON.partition("{")[0]
"""How that begins."""
_OLDER: Final = re.compile(r"[0-9-]+ by labels whose design is (?P<design>[a-z]+), by (?P<author>.+)\)")
_DESIGNS: Final = frozenset(drawn.value for drawn in Drawn)


def evidence_of(category: Category) -> Evidence | None:
    """Return what a tool chose a category's limits on; None where none did, or it has no limits."""
    chosen = category.thresholds and category.thresholds.chosen_on
    return chosen.evidence if chosen else None


def told_promises(category: Category) -> tuple[str, ...]:
    """Return what a category's evidence promises of its limits; what it says of scores is for engineers."""
    evidence = evidence_of(category)
    return tuple(each for each in evidence.promises if not each.startswith("calibration: ")) if evidence else ()


def design_of(evidence: Evidence, limit: str) -> Drawn:
    """Say how the pictures came together that a limit was chosen on, which may be older than the rest.

    Args:
        evidence: Of the category.
        limit: "block" or "review".

    Returns:
        It; what nobody can read counts as labelled by nobody, since people may have edited the file.
    """
    for promise in evidence.promises:
        if promise.startswith(f"{limit}: ") and OLDER in promise:
            told = _origin(promise)
            design = told["design"] if told else ""
            return Drawn(design) if design in _DESIGNS else Drawn.TRAFFIC
    return evidence.design


def _origin(promise: str) -> re.Match[str] | None:
    """Read where a promise is from that is older than the evidence that it stands in."""
    return _OLDER.fullmatch(promise.partition(OLDER)[2])


def stops_unlabelled(category: Category) -> bool:
    """Tell whether a category has a block limit that was chosen on pictures of which nobody said what they show."""
    evidence = evidence_of(category)
    if evidence is None or category.thresholds is None or category.thresholds.bounds.block is None:
        return False
    return design_of(evidence, "block") is Drawn.TRAFFIC


def choosers_of(category: Category, author: str | None) -> tuple[str, ...]:
    """Name who chose a category's numbers: whom its evidence names, and who chose what stayed since; else the author.

    Args:
        category: Of the policy.
        author: `metadata.author`.
    """
    evidence = evidence_of(category)
    if evidence is None:
        return () if author is None else (author,)
    return tuple(dict.fromkeys((evidence.author, *_authors(evidence))))


def _authors(evidence: Evidence) -> Iterator[str]:
    for promise in evidence.promises:
        if told := _origin(promise):
            yield told["author"]
