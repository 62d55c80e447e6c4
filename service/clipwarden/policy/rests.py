"""A category's evidence in; by what each of its limits was chosen, and by whom, out."""

from typing import Final

from clipwarden.policy.schema import Category, Drawn, Evidence

CHOSEN_ON: Final = " (chosen on {day} by labels whose design is {design})"
"""What a promise says of itself where it is older than the evidence that it stands in."""
_OF: Final = " by labels of the design "


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
    """
    for promise in evidence.promises:
        if promise.startswith(f"{limit}: ") and _OF in promise:
            return Drawn(promise.rpartition(_OF)[2].rstrip(")"))
    return evidence.design


def stops_unlabelled(category: Category) -> bool:
    """Tell whether a category has a block limit that was chosen on pictures of which nobody said what they show."""
    evidence = evidence_of(category)
    if evidence is None or category.thresholds is None or category.thresholds.bounds.block is None:
        return False
    return design_of(evidence, "block") is Drawn.TRAFFIC


def chooser_of(category: Category, author: str | None) -> str | None:
    """Say who chose a category's limits: whom its evidence names, else whoever wrote the version.

    Args:
        category: Of the policy.
        author: `metadata.author`.
    """
    evidence = evidence_of(category)
    return author if evidence is None else evidence.author
