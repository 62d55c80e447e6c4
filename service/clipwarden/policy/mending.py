"""A policy and a model's fingerprint in, the `chosen_on` that may be written on trust out, and why others may not."""

from collections.abc import Iterator
from dataclasses import dataclass

from clipwarden.policy.calibrations import is_stale
from clipwarden.policy.digest import lines_digests
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.schema import Category, Concept, Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Mend:
    """What to do about thresholds that are not bound.

    Attributes:
        index: Of the category in the file.
        category: Its id.
        digest: What `chosen_on` may hold; None where nothing speaks for the numbers.
        why_not: Why there is none, as the end of a sentence; empty where there is one.
    """

    index: int
    category: str
    digest: str | None = None
    why_not: str = ""


def unbound_mends(policy: Policy, fingerprint: str) -> tuple[Mend, ...]:
    """Find the thresholds that are not bound, and whether they may be bound to what the policy holds now.

    They may where the category's calibration, and that of each attribute that it asks for, was fitted on just this:
    then nothing changed since the fit, and the numbers are likely to have been chosen after it. Nobody can know it.

    Args:
        policy: As parsed.
        fingerprint: Of the model that is to judge.

    Returns:
        One for each category whose thresholds are not bound, in file order.
    """
    return tuple(_mends(policy, fingerprint))


def _mends(policy: Policy, fingerprint: str) -> Iterator[Mend]:
    unbound = unbound_lines(policy, fingerprint)
    digests = lines_digests((each for each in policy.categories if each.id in unbound), policy, fingerprint=fingerprint)
    for index, category in enumerate(policy.categories):
        if category.id not in unbound:
            continue
        why_not = _why_not(category, policy, fingerprint, unbound[category.id])
        digest = None if why_not else digests[category.id]
        yield Mend(index=index, category=category.id, digest=digest, why_not=why_not)


def _why_not(category: Category, policy: Policy, fingerprint: str, unbound: Unbound) -> str:
    if unbound is Unbound.CHOSEN_ON_OTHER:
        return "its numbers were chosen on something else, as its `chosen_on` says"
    if doubt := _doubt(category, policy, fingerprint):
        return f"its calibration {doubt}" if category.calibration else f"it {doubt}"
    exempting = {exemption.attribute for exemption in category.exemptions}
    for attribute in policy.attributes:
        if attribute.id in exempting and (doubt := _doubt(attribute, policy, fingerprint)):
            return f'it asks for "{attribute.id}", which {doubt}'
    return ""


def _doubt(concept: Concept, policy: Policy, fingerprint: str) -> str:
    if concept.calibration is None:
        return "has no calibration, and nothing else says what its numbers were chosen on"
    return "was fitted on something else" if is_stale(concept, policy, fingerprint) else ""
