"""Read the parts of a policy file that are no categories: metadata, model, defaults, declared contexts."""

import re
from dataclasses import dataclass

from clipwarden.policy.schema import SCHEMA_VERSION, Context, Metadata, Mode, ModelBinding, Verdict
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.maps import Fields
from clipwarden.textfiles.traps import text_trap
from clipwarden.textfiles.values import Value

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
DIGEST_RULE = "`sha256:` and 64 hexadecimal digits in lower case"
NAME_RULE = "lower-case letters, digits, `-`, `_` and `.`, at most 64, starting with a letter or digit"

MAX_TEMPLATES = 64
"""Most templates of a category; the largest published CLIP ensemble for photographs is pruned to 7 of 80."""
MAX_CONTEXTS = 256
"""Most declared contexts; each is a surface or tenant that somebody reviews by hand."""
MAX_CALIBRATION_SCALE = 1000.0
"""A scale multiplies margins already scaled by the logit scale (about 100), so real ones lie around 1."""

VERDICTS = {"allow": Verdict.ALLOW, "review": Verdict.REVIEW, "block": Verdict.BLOCK}
MODES = {mode.value: mode for mode in Mode}
MODE_HABITS = {
    **dict.fromkeys(("off", "false", "no", "none", "inactive"), "disabled"),
    **dict.fromkeys(("on", "true", "yes", "active", "enabled", "block"), "enforce"),
    **dict.fromkeys(("monitor", "log", "audit", "dry-run", "dry_run"), "shadow"),
}

_METADATA_KEYS = {
    "id": "default",
    "version": '"1.0.0"',
    "owner": "trust-and-safety@example.com",
    "reason": '"first version"',
    "review_by": "2027-06-01",
}
_MODEL_KEYS = {"fingerprint": '"sha256:..."', "calibration_scale": "1.0"}
_DEFAULTS_KEYS = {"mode": "shadow", "on_error": "review", "on_partial": "review", "templates": '["a photo of {}"]'}


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What categories and attributes fall back to."""

    mode: Mode = Mode.SHADOW
    on_error: Verdict = Verdict.REVIEW
    on_partial: Verdict = Verdict.REVIEW
    templates: tuple[str, ...] = ("{}",)


def read_api(value: Value | None) -> None:
    """Check that the file is of the version that this package reads."""
    text = value.text(example=SCHEMA_VERSION) if value else None
    if value and text and text != SCHEMA_VERSION:
        value.error("bad-version", f'The file is of version "{text}".', f"Write `api: {SCHEMA_VERSION}`.")


def read_metadata(value: Value | None, findings: Findings) -> Metadata:
    """Read who keeps the policy and why."""
    if value is None:
        return Metadata(id="")
    fields = Fields(value, _METADATA_KEYS, findings)
    name = fields.need("id")
    review_by = fields.get("review_by")
    return Metadata(
        id=(name and name.matching(NAME, code="bad-id", rule=NAME_RULE, example="default")) or "",
        version=_optional_text(fields, "version"),
        owner=_optional_text(fields, "owner"),
        reason=_optional_text(fields, "reason"),
        review_by=review_by.day() if review_by else None,
    )


def read_model(value: Value | None, findings: Findings) -> ModelBinding:
    """Read which model the numbers were chosen on."""
    if value is None:
        return ModelBinding()
    fields = Fields(value, _MODEL_KEYS, findings)
    fingerprint = fields.get("fingerprint")
    scale = fields.get("calibration_scale")
    return ModelBinding(
        fingerprint=read_digest(fingerprint) if fingerprint else None,
        calibration_scale=(scale and scale.number(low=0.0, high=MAX_CALIBRATION_SCALE, open_ends=True)) or 1.0,
    )


def read_digest(value: Value) -> str | None:
    """Read `sha256:` and 64 hexadecimal digits; None after a finding."""
    return value.matching(DIGEST, code="bad-digest", rule=DIGEST_RULE, example='"sha256:' + "0" * 8 + '..."')


def read_defaults(value: Value | None, findings: Findings) -> Defaults:
    """Read what applies where a category says nothing."""
    if value is None:
        return Defaults()
    fields = Fields(value, _DEFAULTS_KEYS, findings)
    standard = Defaults()
    mode, on_error = fields.get("mode"), fields.get("on_error")
    on_partial, templates = fields.get("on_partial"), fields.get("templates")
    return Defaults(
        mode=(mode and mode.choice(MODES, habits=MODE_HABITS)) or standard.mode,
        on_error=(on_error and on_error.choice(VERDICTS)) or standard.on_error,
        on_partial=(on_partial and on_partial.choice(VERDICTS)) or standard.on_partial,
        templates=(templates and read_templates(templates)) or standard.templates,
    )


def read_templates(value: Value) -> tuple[str, ...]:
    """Read sentences that a prompt is put into; broken ones are left out after a finding."""
    example = '["{}", "a photo of {}"]'
    templates = [_read_template(item) for item in value.items(least=1, most=MAX_TEMPLATES, example=example)]
    return tuple(template for template in templates if template)


def read_contexts(value: Value | None, findings: Findings) -> tuple[Context, ...]:
    """Read the surfaces and tenants that may override thresholds."""
    if value is None:
        return ()
    contexts = [
        Context(name=key.text, description=_read_description(inner, findings))
        for key, inner in value.entries(example='{shop: {description: "what is sold here"}}')
        if _check_context_name(key.text, inner, plain=key.plain)
    ]
    if len(contexts) > MAX_CONTEXTS:
        value.error("too-many", f"{len(contexts)} contexts are declared.", f"Declare at most {MAX_CONTEXTS}.")
    return tuple(contexts)


def _read_template(value: Value) -> str | None:
    text = value.text(example='"a photo of {}"')
    if text is None:
        return None
    rest = text.replace("{}", "", 1)
    if "{}" not in text or "{" in rest or "}" in rest:
        message = f'The template "{text}" must hold {{}} exactly once and no other braces.'
        value.error("bad-template", message, 'Write {} where the prompt goes: "a photo of {}".')
        return None
    return text


def _read_description(value: Value, findings: Findings) -> str:
    description = Fields(value, {"description": '"licensed sporting-goods listings"'}, findings).need("description")
    return (description and description.text(example='"what is shown here"')) or ""


def _check_context_name(name: str, value: Value, *, plain: bool) -> bool:
    trap = text_trap(name) if plain else None
    if trap:
        value.error("yaml-trap", f"The context name is no text: {trap}.", f'Put it in quotes: "{name}".')
    elif not NAME.fullmatch(name):
        value.error("bad-id", f'The context name "{name}" is not allowed.', f"Use {NAME_RULE}.")
    else:
        return True
    return False


def _optional_text(fields: Fields, key: str) -> str | None:
    value = fields.get(key)
    return value.text(example=_METADATA_KEYS[key]) if value else None
