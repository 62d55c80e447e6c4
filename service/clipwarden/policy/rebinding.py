"""A policy and a model's fingerprint in, the `chosen_on` that may be written on trust out, and why others may not."""

from collections.abc import Iterator
from dataclasses import dataclass

from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import lines_digests
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.schema import Category, Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebinding:
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


def rebindings(policy: Policy, fingerprint: str) -> tuple[Rebinding, ...]:
    """Find the thresholds that are not bound, and whether they may be bound to what the policy holds now.

    They may where the category's calibration, and that of each attribute that it asks for, was fitted on just this:
    then nothing changed since the fit, and the numbers are likely to have been chosen after it. Nobody can know it.

    Args:
        policy: As parsed.
        fingerprint: Of the model that is to judge.

    Returns:
        One for each category whose thresholds are not bound, in file order.
    """
    return tuple(_rebindings(policy, fingerprint))


def _rebindings(policy: Policy, fingerprint: str) -> Iterator[Rebinding]:
    unbound, stale = unbound_lines(policy, fingerprint), stale_calibrations(policy, fingerprint)
    calibrated = calibrated_concepts(policy)
    digests = lines_digests((each for each in policy.categories if each.id in unbound), policy, fingerprint=fingerprint)
    for index, category in enumerate(policy.categories):
        if category.id not in unbound:
            continue
        why_not = why_not_on_trust(category, unbound[category.id], calibrated=calibrated, stale=stale)
        digest = None if why_not else digests[category.id]
        yield Rebinding(index=index, category=category.id, digest=digest, why_not=why_not)


def why_not_on_trust(category: Category, why: Unbound, *, calibrated: frozenset[str], stale: frozenset[str]) -> str:
    """Say why nothing speaks for the numbers of thresholds that are not bound, as the end of a sentence.

    Args:
        category: Of the policy.
        why: They are not bound.
        calibrated: Ids of the policy's concepts that have a calibration.
        stale: Of those whose calibration does not hold.

    Returns:
        Empty where the calibrations do: `rebindings` says what that is worth.
    """
    if why is Unbound.CHOSEN_ON_OTHER:
        return "its numbers were chosen on something else, as its `chosen_on` says"
    if doubt := _doubt(category.id, calibrated, stale):
        return f"its calibration {doubt}" if category.calibration else f"it {doubt}"
    for name in sorted({exemption.attribute for exemption in category.exemptions}):
        if doubt := _doubt(name, calibrated, stale):
            return f'it asks for "{name}", which {doubt}'
    return ""


def calibrated_concepts(policy: Policy) -> frozenset[str]:
    """Name the categories and attributes that have a calibration, whether or not it holds."""
    return frozenset(each.id for each in (*policy.categories, *policy.attributes) if each.calibration)


def _doubt(name: str, calibrated: frozenset[str], stale: frozenset[str]) -> str:
    if name not in calibrated:
        return "has no calibration, and nothing else says what its numbers were chosen on"
    return "was fitted on something else" if name in stale else ""
