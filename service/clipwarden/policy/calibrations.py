"""Find calibrations that were fitted on something else, and say which ones a verdict rests on."""

from clipwarden.policy.contexts import enforced_anywhere
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.schema import Concept, Policy


def is_stale(concept: Concept, policy: Policy, fingerprint: str) -> bool:
    """Tell whether a concept's calibration was fitted on other texts, scoring or another model.

    Args:
        concept: A category or attribute of the policy.
        policy: Knows the calibration scale.
        fingerprint: Of the model in use.

    Returns:
        False when there is no calibration.
    """
    if concept.calibration is None:
        return False
    scale = policy.model.calibration_scale
    return concept.calibration.fitted_on != fit_digest(concept, fingerprint=fingerprint, calibration_scale=scale)


def calibrations_enforced(policy: Policy) -> frozenset[str]:
    """Name the concepts whose numbers an enforced verdict rests on, so that dropping a calibration would move it.

    Args:
        policy: As parsed.

    Returns:
        Ids of categories that are enforced, if only in a context, and of the attributes that their exemptions ask for.
    """
    enforced = [category for category in policy.categories if enforced_anywhere(category)]
    asked = (exemption.attribute for category in enforced for exemption in category.exemptions)
    return frozenset((*(category.id for category in enforced), *asked))


def stale_calibrations(policy: Policy, fingerprint: str) -> frozenset[str]:
    """Name the concepts whose calibration no longer holds.

    Args:
        policy: As parsed.
        fingerprint: Of the model in use.

    Returns:
        Ids of categories and attributes.
    """
    concepts = (*policy.categories, *policy.attributes)
    return frozenset(concept.id for concept in concepts if is_stale(concept, policy, fingerprint))
