"""A policy and a model's fingerprint in; the categories whose thresholds don't hold, and why, out."""

from collections.abc import Mapping
from enum import StrEnum

from clipwarden.policy.calibrations import is_stale
from clipwarden.policy.digest import lines_digest
from clipwarden.policy.schema import Category, Policy


class Unbound(StrEnum):
    """Why a category with thresholds has no band."""

    NOT_CHOSEN = "NOT_CHOSEN"
    """Nothing says what the thresholds were chosen on."""
    CHOSEN_ON_OTHER = "CHOSEN_ON_OTHER"
    """They were chosen on something else: other texts, scoring, numbers, calibrations or another model."""


def unbound_lines(policy: Policy, fingerprint: str) -> Mapping[str, Unbound]:
    """Find the categories whose thresholds were not chosen on what the policy holds now.

    Args:
        policy: As parsed.
        fingerprint: Of the model in use.

    Returns:
        By category id; categories without thresholds have nothing to bind and are left out.
    """
    found = {category.id: _unbound(category, policy, fingerprint) for category in policy.categories}
    return {name: why for name, why in found.items() if why}


def _unbound(category: Category, policy: Policy, fingerprint: str) -> Unbound | None:
    if category.thresholds is None:
        return None
    if category.thresholds.chosen_on is None:
        return Unbound.NOT_CHOSEN
    # A calibration that is dropped takes its scale along, whatever somebody wrote by hand beside it.
    holds = category.thresholds.chosen_on.digest == lines_digest(category, policy, fingerprint=fingerprint)
    return None if holds and not is_stale(category, policy, fingerprint) else Unbound.CHOSEN_ON_OTHER
