"""A policy and a model's fingerprint in; the categories whose thresholds don't hold, and why, out."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from clipwarden.policy.calibrations import is_stale, plans_near
from clipwarden.policy.digest import lines_digest, lines_digests
from clipwarden.policy.schema import Category, ChosenOn, Policy
from clipwarden.vision.plan import ViewPlan


class Unbound(StrEnum):
    """Why a category with thresholds has no band."""

    NOT_CHOSEN = "NOT_CHOSEN"
    """Nothing says what the thresholds were chosen on."""
    CHOSEN_ON_OTHER = "CHOSEN_ON_OTHER"
    """They were chosen on something else: other texts, scoring, views, numbers, calibrations or another model."""


def unbound_lines(policy: Policy, fingerprint: str) -> Mapping[str, Unbound]:
    """Find the categories whose thresholds were not chosen on what the policy holds now.

    Args:
        policy: As parsed.
        fingerprint: Of the model in use.

    Returns:
        By category id; categories without thresholds have nothing to bind and are left out.
    """
    found = {}
    bounded = [(category, category.thresholds) for category in policy.categories if category.thresholds]
    now = lines_digests((category for category, _ in bounded), policy, fingerprint=fingerprint)
    for category, thresholds in bounded:
        chosen = thresholds.chosen_on
        if chosen is None:
            found[category.id] = Unbound.NOT_CHOSEN
        # A calibration that is dropped takes its scale along, whatever somebody wrote by hand beside it.
        elif chosen.digest != now[category.id] or is_stale(category, policy, fingerprint):
            found[category.id] = Unbound.CHOSEN_ON_OTHER
    return found


def chosen_over(category: Category, policy: Policy, fingerprint: str) -> ViewPlan | None:
    """Find the view plan under which thresholds that do not hold would hold: what somebody changed since.

    Args:
        category: Of the policy.
        policy: Knows the view plan of now.
        fingerprint: Of the model in use.

    Returns:
        None where they hold under none.
    """
    chosen = category.thresholds and category.thresholds.chosen_on
    if not chosen:
        return None
    before = (replace(policy, plan=plan) for plan in plans_near(policy))
    held = (each for each in before if chosen.digest == lines_digest(category, each, fingerprint=fingerprint))
    return next((each.plan for each in held if not is_stale(category, each, fingerprint)), None)


def choose_lines(policy: Policy, fingerprint: str) -> Policy:
    """Say of all thresholds that they were chosen on what the policy holds: for a tool that has just chosen them.

    Args:
        policy: As parsed.
        fingerprint: Of the model whose scores they were chosen on.

    Returns:
        The policy, in which every `chosen_on` holds; a category whose calibration is stale stays unbound all the same.
    """
    now = lines_digests(policy.categories, policy, fingerprint=fingerprint)
    return replace(policy, categories=tuple(_chosen(category, now[category.id]) for category in policy.categories))


def _chosen(category: Category, digest: str) -> Category:
    if category.thresholds is None:
        return category
    return replace(category, thresholds=replace(category.thresholds, chosen_on=ChosenOn(digest=digest)))
