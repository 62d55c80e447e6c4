"""A policy whose calibrations share one scale in; the same judgements with a slope in each calibration out.

A calibration without a slope was fitted beside the file's `calibration_scale`, so that moving that scale voids every
calibration of the file. With a slope of its own each stands alone, and can be fitted again alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import fit_digest, lines_digests
from clipwarden.policy.lines import unbound_lines
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Category, Concept, Policy

AnyConcept = TypeVar("AnyConcept", bound=Concept)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnSlopes:
    """What became of a policy's calibrations.

    Attributes:
        policy: In which each of `given` has a slope; scores, bands and verdicts are the same.
        given: Ids of categories and attributes, in file order.
        refused: Why others got none, as the end of a sentence, by id.
    """

    policy: Policy
    given: tuple[str, ...]
    refused: Mapping[str, str]


def own_slopes(policy: Policy, fingerprint: str) -> OwnSlopes:
    """Give each calibration of a margin that holds the slope that it had from the file.

    Args:
        policy: As parsed.
        fingerprint: Of the model that judges.

    Returns:
        The policy, in which thresholds that held go on to hold: they are bound to the same numbers.
    """
    stale = stale_calibrations(policy, fingerprint)
    wanting = [each.id for each in (*policy.categories, *policy.attributes) if _shares(each)]
    given = tuple(each for each in wanting if each not in stale)
    sloped = replace(
        policy,
        categories=tuple(_sloped(each, policy, given, fingerprint) for each in policy.categories),
        attributes=tuple(_sloped(each, policy, given, fingerprint) for each in policy.attributes),
    )
    held = {each.id for each in policy.categories} - unbound_lines(policy, fingerprint).keys()
    now = lines_digests(sloped.categories, sloped, fingerprint=fingerprint)
    categories = tuple(_bound(each, now[each.id]) if each.id in held else each for each in sloped.categories)
    refused = {each: "its calibration was fitted on something else: fit it again" for each in wanting if each in stale}
    return OwnSlopes(policy=replace(sloped, categories=categories), given=given, refused=refused)


def _shares(concept: Concept) -> bool:
    fitted = concept.calibration
    return fitted is not None and fitted.slope is None and METHODS[concept.method].scale_is_open


def _sloped(concept: AnyConcept, policy: Policy, given: tuple[str, ...], fingerprint: str) -> AnyConcept:
    if concept.id not in given or concept.calibration is None:
        return concept
    scale = policy.model.calibration_scale
    own = replace(concept, calibration=replace(concept.calibration, slope=scale))
    digest = fit_digest(own, fingerprint=fingerprint, calibration_scale=scale, plan=policy.plan)
    return replace(own, calibration=replace(concept.calibration, slope=scale, fitted_on=digest))


def _bound(category: Category, digest: str) -> Category:
    thresholds = category.thresholds
    if thresholds is None or thresholds.chosen_on is None:
        return category
    return replace(category, thresholds=replace(thresholds, chosen_on=replace(thresholds.chosen_on, digest=digest)))
