"""A policy's negatives in; warnings about those that exclude no harm, out."""

from clipwarden.policy.language.rules import concepts_with_paths, phrases_with_paths
from clipwarden.policy.schema import Category, Policy
from clipwarden.policy.subjects.broad import breadth_of
from clipwarden.textfiles.findings import Findings


def check_breadth(policy: Policy, findings: Findings) -> None:
    """Warn of negatives behind which a picture of the harm could hide; an attribute looks for no harm.

    Args:
        policy: As read.
        findings: Receives the problems; knows where each value was written.
    """
    for path, concept in concepts_with_paths(policy):
        for here, text in phrases_with_paths(path, concept) if isinstance(concept, Category) else ():
            breadth = breadth_of(text) if isinstance(text, str) and "negatives" in here else None
            if breadth:
                message = f'The negative "{text}" does not exclude the harm: {breadth.may}. Harm could hide there.'
                fix = f"Say what is seen in its place and excludes it, as in {breadth.better}, or delete it."
                findings.warn(findings.positions.find(*here), "broad-negative", message, fix)
