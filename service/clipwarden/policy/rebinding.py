"""A policy and a model's fingerprint in, the `chosen_on` that may be written on trust out, and why others may not.

And where an upgraded model takes the place of what it was: which numbers fall, and the policy that takes them over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import fit_digest, lines_digests
from clipwarden.policy.lines import Unbound, unbound_lines
from clipwarden.policy.schema import Category, ChosenOn, Concept, Policy

AnyConcept = TypeVar("AnyConcept", bound=Concept)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebinding:
    """What to do about thresholds that are not bound.

    Attributes:
        index: Of the category in the file.
        category: Its id.
        digest: What `chosen_on` may hold; None where nothing speaks for the numbers.
        why_not: Why there is none, as the end of a sentence; empty where there is one.
        taken_over: Whether it holds for what the model was before its upgrade (`taken_over`).
    """

    index: int
    category: str
    digest: str | None = None
    why_not: str = ""
    taken_over: bool = False


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallen:
    """What holds under one model and not under another, by id, in file order.

    Attributes:
        calibrations: Categories and attributes whose calibration falls.
        thresholds: Categories whose thresholds fall.
    """

    calibrations: tuple[str, ...]
    thresholds: tuple[str, ...]


def fallen(policy: Policy, before: str, after: str) -> Fallen:
    """Find what has to be fitted or chosen again once a model takes another's place.

    Args:
        policy: As parsed.
        before: Fingerprint of the model that leaves; what does not hold under it has not fallen now.
        after: Of the model that comes.
    """
    stale = stale_calibrations(policy, after) - stale_calibrations(policy, before)
    unbound = unbound_lines(policy, after).keys() - unbound_lines(policy, before).keys()
    concepts = [each.id for each in (*policy.categories, *policy.attributes)]
    return Fallen(
        calibrations=tuple(each for each in concepts if each in stale),
        thresholds=tuple(each for each in concepts if each in unbound),
    )


def taken_over(policy: Policy, before: str, after: str) -> Policy:
    """Bind to a model what holds for the one that it was upgraded from; what held for neither stays as it is.

    Args:
        policy: As parsed; it names the model that leaves, or none.
        before: Fingerprint of the model that leaves.
        after: Of the model that comes.

    Returns:
        The policy with other digests: every number is the same.
    """
    falls = fallen(policy, before, after)
    fingerprint = after if policy.model.fingerprint else None
    scale = policy.model.calibration_scale
    digest = partial(fit_digest, fingerprint=after, calibration_scale=scale, plan=policy.plan)
    refitted = replace(
        policy,
        model=replace(policy.model, fingerprint=fingerprint),
        categories=tuple(_refitted(each, digest(each), falls) for each in policy.categories),
        attributes=tuple(_refitted(each, digest(each), falls) for each in policy.attributes),
    )
    now = lines_digests(refitted.categories, refitted, fingerprint=after)
    chosen = (_rechosen(each, now[each.id], falls) for each in refitted.categories)
    return replace(refitted, categories=tuple(chosen))


def _refitted(concept: AnyConcept, digest: str, falls: Fallen) -> AnyConcept:
    if concept.calibration is None or concept.id not in falls.calibrations:
        return concept
    return replace(concept, calibration=replace(concept.calibration, fitted_on=digest))


def _rechosen(category: Category, digest: str, falls: Fallen) -> Category:
    if category.thresholds is None or category.id not in falls.thresholds:
        return category
    return replace(category, thresholds=replace(category.thresholds, chosen_on=ChosenOn(digest=digest)))
