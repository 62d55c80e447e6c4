"""Find calibrations that were fitted on something else, and say which ones a verdict rests on."""

from collections.abc import Iterator

from clipwarden.policy.contexts import enforced_anywhere
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.schema import Concept, Policy
from clipwarden.vision.plan import MAX_VIEWS, ViewPlan, Views


def is_stale(concept: Concept, policy: Policy, fingerprint: str) -> bool:
    """Tell whether a concept's calibration was fitted on other texts, scoring or views, or another model.

    Args:
        concept: A category or attribute of the policy.
        policy: Knows the calibration scale and the view plan.
        fingerprint: Of the model in use.

    Returns:
        False when there is no calibration.
    """
    if concept.calibration is None:
        return False
    return concept.calibration.fitted_on != _fit(concept, policy, fingerprint, policy.plan)


def fitted_over(concept: Concept, policy: Policy, fingerprint: str) -> ViewPlan | None:
    """Find the view plan that a calibration which does not hold would hold under: what somebody changed since.

    Args:
        concept: A category or attribute of the policy, whose calibration is stale.
        policy: Knows the view plan of now.
        fingerprint: Of the model in use.

    Returns:
        None where it holds under none.
    """
    fitted = concept.calibration and concept.calibration.fitted_on
    return next((plan for plan in plans_near(policy) if fitted == _fit(concept, policy, fingerprint, plan)), None)


def plans_near(policy: Policy) -> Iterator[ViewPlan]:
    """Yield the view plans that a policy's own may have been before, the likelier first: as many frames, or one."""
    for frames in dict.fromkeys((1, policy.plan.frames, *range(1, MAX_VIEWS + 1))):
        for views in Views:
            plan = ViewPlan(views=views, frames=frames)
            if plan != policy.plan:
                yield plan


def _fit(concept: Concept, policy: Policy, fingerprint: str, plan: ViewPlan) -> str:
    scale = policy.model.calibration_scale
    return fit_digest(concept, fingerprint=fingerprint, calibration_scale=scale, plan=plan)


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
