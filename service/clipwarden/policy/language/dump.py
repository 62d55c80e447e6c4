"""A parsed policy back into the shape of its file, with every default written out."""

import json

from clipwarden.policy.language.category_keys import BOUNDS, CATEGORY, CHOSEN_ON, OVERRIDE
from clipwarden.policy.language.concept_keys import ATTRIBUTE, WAIVER
from clipwarden.policy.language.keys import METADATA, MODEL
from clipwarden.policy.language.kinds import Json
from clipwarden.policy.language.learned import head_content
from clipwarden.policy.language.tables import Keys, write_plain
from clipwarden.policy.schema import (
    SCHEMA_VERSION,
    Adjustment,
    Category,
    ChosenOn,
    Concept,
    Exemption,
    LearnedVector,
    OnTruncated,
    Phrase,
    Policy,
    Pool,
    Prompt,
    Thresholds,
)
from clipwarden.vision.plan import Views


def dump_policy(policy: Policy) -> str:
    """Render a policy as JSON, which is YAML: `parse_policy` reads back an equal one.

    Args:
        policy: As `parse_policy` returns it.

    Returns:
        Equal texts for equal policies; lists keep their order. Learned vectors and heads are named by their content: to
        read them back, `parse_policy` has to be given them (`learned.BundleTensors`).
    """
    return json.dumps(policy_document(policy), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def policy_document(policy: Policy) -> Json:
    """Return what a policy file of this policy holds.

    Args:
        policy: As parsed.

    Returns:
        Plain dicts, lists, texts and numbers, with the keys of policies/README.md.
    """
    return {
        "api": SCHEMA_VERSION,
        "metadata": write_plain(METADATA, policy.metadata),
        "model": write_plain(MODEL, policy.model),
        "defaults": _defaults(policy),
        "contexts": {context.name: {"description": context.description} for context in policy.contexts},
        "categories": [_category(category) for category in policy.categories],
        "attributes": [_concept(attribute, ATTRIBUTE) for attribute in policy.attributes],
    }


def _defaults(policy: Policy) -> Json:
    verdicts: Json = {"on_error": policy.on_error.name.lower(), "on_partial": policy.on_partial.name.lower()}
    # Releases before these keys read bundles that do not use them.
    later: Json = {
        "on_truncated": None if policy.on_truncated is OnTruncated.REFUSE else policy.on_truncated.value,
        "views": None if policy.plan.views is Views.WHOLE else policy.plan.views.value,
        "frames": None if policy.plan.frames == 1 else policy.plan.frames,
        "least_coverage": policy.least_coverage,
        "least_resolution": policy.least_resolution,
    }
    return verdicts | _given(**later)


def _category(category: Category) -> Json:
    return _concept(category, CATEGORY) | _given(
        thresholds=category.thresholds and _thresholds(category.thresholds),
        exemptions=[_exemption(exemption) for exemption in category.exemptions],
        # Sorted: mappings compare equal in any order, and equal policies must give equal bundles.
        contexts={name: write_plain(OVERRIDE, override) for name, override in sorted(category.contexts.items())},
        adjustments=[_adjustment(adjustment) for adjustment in category.adjustments],
    )


def _thresholds(thresholds: Thresholds) -> Json:
    bounds = write_plain(BOUNDS, thresholds.bounds)
    return {"unit": thresholds.unit.value, **bounds, **_given(chosen_on=_chosen_on(thresholds.chosen_on))}


def _chosen_on(chosen: ChosenOn | None) -> object:
    if chosen is None or chosen == ChosenOn(digest=chosen.digest):
        return chosen and chosen.digest
    return write_plain(CHOSEN_ON, chosen)


def _concept(concept: Concept, keys: Keys) -> Json:
    return write_plain(keys, concept) | _given(
        prompts=[_prompt(prompt, concept.pool) for prompt in concept.prompts],
        negatives=[_phrase(negative) for negative in concept.negatives],
        scoring=_scoring(concept),
        waive=[write_plain(WAIVER, waiver) for waiver in concept.waive],
    )


def _scoring(concept: Concept) -> Json:
    if concept.head:
        return {"method": concept.method.value, "file": head_content(concept.head)}
    return {"method": concept.method.value, "pool": concept.pool.value}


def _prompt(prompt: Prompt, pool: Pool) -> object:
    phrase = _phrase(prompt.text)
    if pool is Pool.MAX:
        return phrase
    return {**(phrase if isinstance(phrase, dict) else {"text": phrase}), "weight": prompt.weight}


def _phrase(phrase: Phrase) -> str | Json:
    # By content, which is where a bundle keeps it (`learned.BundleTensors`).
    return {"vector": phrase.name, "file": phrase.content} if isinstance(phrase, LearnedVector) else phrase


def _adjustment(adjustment: Adjustment) -> Json:
    return {"when": {"attribute": adjustment.attribute, "gte": adjustment.gte}, "add": adjustment.add}


def _exemption(exemption: Exemption) -> Json:
    return {"when": {"attribute": exemption.attribute, "gte": exemption.gte}, "effect": exemption.effect.value}


def _given(**values: object) -> Json:
    """Leave out what is empty: a policy file has no empty values."""
    return {key: value for key, value in values.items() if value}
