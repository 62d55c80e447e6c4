"""Bind the thresholds of policies in tests to what they hold, as a tool that chose them would."""

import re

from clipwarden.policy.digest import lines_digests
from clipwarden.policy.language.learned import LearnedSource
from clipwarden.policy.language.load import parse_policy


def chosen_text(text: str, *, fingerprint: str | None = None, learned: LearnedSource | None = None) -> str:
    """Add `chosen_on` at the end of every `thresholds: {...}`.

    Args:
        text: A policy in YAML whose thresholds stand on one line each and do not say what they were chosen on.
        fingerprint: Of the model; None takes what the policy names.
        learned: Where its learned vectors and heads are found.
    """
    policy = parse_policy(text, learned=learned).policy
    fingerprint = fingerprint or policy.model.fingerprint or ""
    chosen = [category for category in policy.categories if category.thresholds]
    digests = iter(lines_digests(chosen, policy, fingerprint=fingerprint).values())
    bound = re.sub(r"( thresholds: \{[^}]*)\}", lambda found: f'{found[1]}, chosen_on: "{next(digests)}"}}', text)
    assert next(digests, None) is None, "thresholds that are not on one line"
    return bound
