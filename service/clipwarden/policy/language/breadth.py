"""A policy's negatives in; warnings about those that exclude no harm, out."""

from clipwarden.policy.schema import Policy
from clipwarden.policy.subjects.broad import breadth_of
from clipwarden.textfiles.findings import Findings


def check_breadth(policy: Policy, findings: Findings) -> None:
    """Warn of negatives behind which a picture of the harm could hide; an attribute looks for no harm.

    Args:
        policy: As read.
        findings: Receives the problems; knows where each value was written.
    """
    for place, category in enumerate(policy.categories):
        for index, text in enumerate(category.negatives):
            if isinstance(text, str) and (breadth := breadth_of(text)):
                message = f'The negative "{text}" does not exclude the harm: {breadth.may}. Harm could hide there.'
                fix = f"Say what is seen in its place and excludes it, as in {breadth.better}, or delete it."
                here = findings.positions.find("categories", place, "negatives", index)
                findings.warn(here, "broad-negative", message, fix)
