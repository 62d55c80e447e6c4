"""A parsed policy back into the shape of its file, with every default written out."""

import json

from clipwarden.policy.language.learned import head_content
from clipwarden.policy.schema import (
    SCHEMA_VERSION,
    Adjustment,
    Bounds,
    Category,
    Concept,
    Exemption,
    LearnedVector,
    Phrase,
    Policy,
    Pool,
    Prompt,
)

Document = dict[str, object]


def dump_policy(policy: Policy) -> str:
    """Render a policy as JSON, which is YAML: `parse_policy` reads back an equal one.

    Args:
        policy: As `parse_policy` returns it.

    Returns:
        Equal texts for equal policies; lists keep their order. Learned vectors and heads are named by their content: to
        read them back, `parse_policy` has to be given them (`learned.BundleTensors`).
    """
    return json.dumps(policy_document(policy), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def policy_document(policy: Policy) -> Document:
    """Return what a policy file of this policy holds.

    Args:
        policy: As parsed.

    Returns:
        Plain dicts, lists, texts and numbers, with the keys of policies/README.md.
    """
    metadata, model = policy.metadata, policy.model
    review_by = metadata.review_by.isoformat() if metadata.review_by else None
    return {
        "api": SCHEMA_VERSION,
        "metadata": _given(
            id=metadata.id,
            version=metadata.version,
            owner=metadata.owner,
            reason=metadata.reason,
            review_by=review_by,
        ),
        "model": _given(fingerprint=model.fingerprint, calibration_scale=model.calibration_scale),
        "defaults": {"on_error": policy.on_error.name.lower(), "on_partial": policy.on_partial.name.lower()},
        "contexts": {context.name: {"description": context.description} for context in policy.contexts},
        "categories": [_category(category) for category in policy.categories],
        "attributes": [_concept(attribute) for attribute in policy.attributes],
    }


def _category(category: Category) -> Document:
    thresholds = category.thresholds
    return _concept(category) | _given(
        severity=category.severity,
        definition=category.definition,
        mode=category.mode.value,
        thresholds=thresholds and {"unit": thresholds.unit.value, **_bounds(thresholds.bounds)},
        reason_code=category.reason_code,
        exemptions=[_exemption(exemption) for exemption in category.exemptions],
        # Sorted: mappings compare equal in any order, and equal policies must give equal bundles.
        contexts={name: _bounds(bounds) for name, bounds in sorted(category.contexts.items())} or None,
        adjustments=[_adjustment(adjustment) for adjustment in category.adjustments] or None,
    )


def _concept(concept: Concept) -> Document:
    calibration = concept.calibration
    fitted = calibration and {
        "bias": calibration.bias,
        "prevalence": calibration.prevalence,
        "fitted_on": calibration.fitted_on,
    }
    return _given(
        id=concept.id,
        prompts=[_prompt(prompt, concept.pool) for prompt in concept.prompts] or None,
        negatives=[_phrase(negative) for negative in concept.negatives] or None,
        templates=list(concept.templates) or None,
        scoring=_scoring(concept),
        calibration=fitted,
    )


def _scoring(concept: Concept) -> Document:
    if concept.head:
        return {"method": concept.method.value, "file": head_content(concept.head)}
    return {"method": concept.method.value, "pool": concept.pool.value}


def _prompt(prompt: Prompt, pool: Pool) -> object:
    phrase = _phrase(prompt.text)
    if pool is Pool.MAX:
        return phrase
    return {**(phrase if isinstance(phrase, dict) else {"text": phrase}), "weight": prompt.weight}


def _phrase(phrase: Phrase) -> str | Document:
    # By content, which is where a bundle keeps it (`learned.BundleTensors`).
    return {"vector": phrase.name, "file": phrase.content} if isinstance(phrase, LearnedVector) else phrase


def _adjustment(adjustment: Adjustment) -> Document:
    return {"when": {"attribute": adjustment.attribute, "gte": adjustment.gte}, "add": adjustment.add}


def _exemption(exemption: Exemption) -> Document:
    return {"when": {"attribute": exemption.attribute, "gte": exemption.gte}, "effect": exemption.effect.value}


def _bounds(bounds: Bounds) -> Document:
    return _given(review=bounds.review, block=bounds.block)


def _given(**values: object) -> Document:
    """Leave out what is None: a policy file has no empty values."""
    return {key: value for key, value in values.items() if value is not None}
