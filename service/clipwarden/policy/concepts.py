"""Read categories and attributes: their texts, scoring, calibration, thresholds, exemptions, overrides."""

import re

from clipwarden.policy.bounds import UNIT_OF, check_order, merge_bounds, read_bounds
from clipwarden.policy.fields import Value
from clipwarden.policy.findings import Findings
from clipwarden.policy.keys import Fields
from clipwarden.policy.schema import (
    Attribute,
    Bounds,
    Calibration,
    Category,
    Effect,
    Exemption,
    Method,
    Mode,
    Pool,
    Prompt,
    Thresholds,
    Unit,
)
from clipwarden.policy.sections import MODE_HABITS, MODES, Defaults, read_digest, read_templates

CONCEPT_ID = re.compile(r"(?=.{1,64}$)[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
ID_RULE = "lower-case letters, digits and `_`, at most 64, starting with a letter; dots group"

MAX_PROMPTS = 256
"""Most prompts, or negatives, of one concept; a staff member has to be able to read them."""
MAX_CONCEPTS = 512
"""Most categories, or attributes, of one policy."""
MAX_SEVERITY = 4
MAX_BIAS = 1000.0
"""Logits; a sigmoid is 0 or 1 in double precision beyond 750."""
MAX_WEIGHT = 1000.0
"""A weight is a share; three orders of magnitude already drop a prompt."""

_CONCEPT_KEYS = {
    "id": "weapons",
    "prompts": '["a rifle or shotgun"]',
    "negatives": '["a toy water gun"]',
    "templates": '["a photo of {}"]',
    "scoring": "{method: margin, pool: max}",
    "calibration": '{bias: -2.1, prevalence: 0.01, fitted_on: "sha256:..."}',
}
_CATEGORY_KEYS = {
    **_CONCEPT_KEYS,
    "severity": "3",
    "definition": '"Real firearms or blades shown as weapons."',
    "mode": "shadow",
    "thresholds": "{unit: score, review: 0.55, block: 0.92}",
    "reason_code": "WPN-1",
    "exemptions": "[{when: {attribute: museum, gte: 0.8}, effect: block_to_review}]",
    "contexts": "{hunting-shop: {review: 0.8}}",
}
_PROMPT_KEYS = {"text": '"a rifle or shotgun"', "weight": "1.0"}
_SCORING_KEYS = {"method": "margin", "pool": "max"}
_CALIBRATION_KEYS = {"bias": "-2.1", "prevalence": "0.01", "fitted_on": '"sha256:..."'}
_THRESHOLD_KEYS = {"unit": "score", "review": "0.55", "block": "0.92"}
_BOUND_KEYS = {"review": "0.8", "block": "0.99"}
_EXEMPTION_KEYS = {"when": "{attribute: museum, gte: 0.8}", "effect": "block_to_review"}
_WHEN_KEYS = {"attribute": "museum", "gte": "0.8"}
_METHODS = {method.value: method for method in Method}
_POOLS = {pool.value: pool for pool in Pool}
_UNITS = {unit.value: unit for unit in Unit}
_EFFECTS = {effect.value: effect for effect in Effect}


class ConceptReader:
    """Reads the two lists of concepts.

    After a finding a reader returns a stand-in (an empty text, a default), so that the rest of the file is
    still checked; a policy with an error never leaves `load`.

    Args:
        defaults: What applies where a concept says nothing.
        findings: Receives what is wrong.
    """

    def __init__(self, defaults: Defaults, findings: Findings) -> None:
        self._defaults = defaults
        self._findings = findings

    def categories(self, value: Value | None) -> tuple[Category, ...]:
        """Read `categories`."""
        if value is None:
            return ()
        items = value.items(least=1, most=MAX_CONCEPTS, example="[{id: weapons, ...}]")
        return tuple(self._category(item) for item in items)

    def attributes(self, value: Value | None) -> tuple[Attribute, ...]:
        """Read `attributes`."""
        if value is None:
            return ()
        items = value.items(most=MAX_CONCEPTS, example='[{id: museum, prompts: ["a museum exhibit"]}]')
        return tuple(self._attribute(item) for item in items)

    def _attribute(self, value: Value) -> Attribute:
        fields = Fields(value, _CONCEPT_KEYS, self._findings)
        method, pool = self._scoring(fields.get("scoring"))
        return Attribute(
            id=self._id(fields.need("id")),
            prompts=self._prompts(fields.need("prompts"), pool),
            negatives=self._negatives(fields.get("negatives"), method),
            templates=self._templates(fields.get("templates")),
            method=method or Method.MARGIN,
            pool=pool or Pool.MAX,
            calibration=self._calibration(fields.get("calibration"), method),
        )

    def _category(self, value: Value) -> Category:
        fields = Fields(value, _CATEGORY_KEYS, self._findings)
        method, pool = self._scoring(fields.get("scoring"))
        thresholds = self._thresholds(fields.get("thresholds"), method)
        return Category(
            id=self._id(fields.need("id")),
            severity=_severity(fields.need("severity")),
            definition=_text(fields.need("definition"), _CATEGORY_KEYS["definition"]) or "",
            mode=self._mode(fields),
            prompts=self._prompts(fields.need("prompts"), pool),
            negatives=self._negatives(fields.get("negatives"), method),
            templates=self._templates(fields.get("templates")),
            method=method or Method.MARGIN,
            pool=pool or Pool.MAX,
            calibration=self._calibration(fields.get("calibration"), method),
            thresholds=thresholds,
            reason_code=_text(fields.get("reason_code"), "WPN-1", limit=64),
            exemptions=self._exemptions(fields.get("exemptions")),
            contexts=self._overrides(fields, thresholds),
        )

    def _id(self, value: Value | None) -> str:
        if value is None:
            return ""
        return value.matching(CONCEPT_ID, code="bad-id", rule=ID_RULE, example="violence.graphic") or ""

    def _mode(self, fields: Fields) -> Mode:
        value = fields.get("mode")
        return (value and value.choice(MODES, habits=MODE_HABITS)) or self._defaults.mode

    def _templates(self, value: Value | None) -> tuple[str, ...]:
        return (value and read_templates(value)) or self._defaults.templates

    def _scoring(self, value: Value | None) -> tuple[Method | None, Pool | None]:
        """Read method and pool; None stands for one that is written but unreadable."""
        if value is None:
            return Method.MARGIN, Pool.MAX
        fields = Fields(value, _SCORING_KEYS, self._findings)
        method, pool = fields.get("method"), fields.get("pool")
        return (
            _method(method) if method else Method.MARGIN,
            pool.choice(_POOLS, habits={"maximum": "max", "average": "mean", "logsumexp": "lse"}) if pool else Pool.MAX,
        )

    def _prompts(self, value: Value | None, pool: Pool | None) -> tuple[Prompt, ...]:
        if value is None:
            return ()
        items = value.items(least=1, most=MAX_PROMPTS, example=_CONCEPT_KEYS["prompts"])
        return tuple(self._prompt(item, pool) for item in items)

    def _prompt(self, value: Value, pool: Pool | None) -> Prompt:
        if not value.is_map:
            return Prompt(text=_prompt_text(value))
        fields = Fields(value, _PROMPT_KEYS, self._findings)
        text, weight = fields.need("text"), fields.get("weight")
        share = weight and weight.number(low=0.0, high=MAX_WEIGHT, open_ends=True)
        if weight and pool is Pool.MAX:
            message = "A weight does nothing under `pool: max`, where the best prompt alone counts."
            weight.error("weight-under-max", message, "Delete the weight, or write `scoring: {pool: mean}` or `lse`.")
        return Prompt(text=_prompt_text(text) if text else "", weight=share or 1.0)

    def _negatives(self, value: Value | None, method: Method | None) -> tuple[str, ...]:
        if value is None:
            return ()
        items = value.items(most=MAX_PROMPTS, example=_CONCEPT_KEYS["negatives"])
        if method is Method.COSINE:
            message = "Negatives do nothing under `method: cosine`."
            value.error("negatives-under-cosine", message, "Delete them, or write `scoring: {method: margin}`.")
        return tuple(_prompt_text(item) for item in items)

    def _calibration(self, value: Value | None, method: Method | None) -> Calibration | None:
        if value is None:
            return None
        if method is Method.COSINE:
            message = "A calibration does nothing under `method: cosine`, which compares the cosine as it is."
            value.error("calibration-under-cosine", message, "Delete it, or write `scoring: {method: margin}`.")
        fields = Fields(value, _CALIBRATION_KEYS, self._findings)
        bias, prevalence = fields.need("bias"), fields.need("prevalence")
        fitted_on = fields.need("fitted_on")
        return Calibration(
            bias=(bias and bias.number(low=-MAX_BIAS, high=MAX_BIAS)) or 0.0,
            prevalence=(prevalence and prevalence.number(low=0.0, high=1.0, open_ends=True)) or 0.5,
            fitted_on=(fitted_on and read_digest(fitted_on)) or "",
        )

    def _thresholds(self, value: Value | None, method: Method | None) -> Thresholds | None:
        if value is None:
            return None
        fields = Fields(value, _THRESHOLD_KEYS, self._findings)
        named = fields.need("unit")
        unit = named.choice(_UNITS, habits={"probability": "score", "percent": "score"}) if named else None
        if named and unit and method and unit is not UNIT_OF[method]:
            message = f"The unit `{unit}` does not go with `method: {method}`."
            named.error("unit-mismatch", message, f"Write `unit: {UNIT_OF[method]}`, and numbers in that unit.")
        if value.is_map and not (fields.get("review") or fields.get("block")):
            value.error("no-bound", "These thresholds hold no bound.", "Add `review:` or `block:`, or delete them.")
        bounds = read_bounds(fields, unit)
        check_order(value, bounds)
        return Thresholds(unit=unit or UNIT_OF[method or Method.MARGIN], bounds=bounds)

    def _exemptions(self, value: Value | None) -> tuple[Exemption, ...]:
        if value is None:
            return ()
        items = value.items(most=MAX_CONCEPTS, example=_CATEGORY_KEYS["exemptions"])
        return tuple(self._exemption(item) for item in items)

    def _exemption(self, value: Value) -> Exemption:
        fields = Fields(value, _EXEMPTION_KEYS, self._findings)
        when, effect = fields.need("when"), fields.get("effect")
        if effect:
            effect.choice(_EFFECTS, habits={"allow": "block_to_review", "review": "block_to_review"})
        if when is None:
            return Exemption(attribute="", gte=0.0)
        inner = Fields(when, _WHEN_KEYS, self._findings)
        attribute, gte = inner.need("attribute"), inner.need("gte")
        number = gte and gte.number(low=-1.0, high=1.0)
        return Exemption(attribute=_text(attribute, "museum") or "", gte=number or 0.0)

    def _overrides(self, fields: Fields, thresholds: Thresholds | None) -> dict[str, Bounds]:
        value = fields.get("contexts")
        if value is None:
            return {}
        if thresholds is None:
            message = "Context overrides need thresholds to override, and a unit."
            value.error("context-without-thresholds", message, f"Add `thresholds: {_CATEGORY_KEYS['thresholds']}`.")
        return {
            key.text: self._override(inner, thresholds) for key, inner in value.entries(example="{shop: {review: 0.8}}")
        }

    def _override(self, value: Value, thresholds: Thresholds | None) -> Bounds:
        fields = Fields(value, _BOUND_KEYS, self._findings)
        if value.is_map and not (fields.get("review") or fields.get("block")):
            value.error("no-bound", "This override changes nothing.", "Add `review:` or `block:`, or delete it.")
        bounds = read_bounds(fields, thresholds.unit if thresholds else None)
        if thresholds:
            check_order(value, merge_bounds(thresholds.bounds, bounds))
        return bounds


def _method(value: Value) -> Method | None:
    if value.reads("head"):
        message = "`method: head` (a model trained on labelled images) is not supported yet."
        value.error("not-supported-yet", message, "Write `method: margin`.")
        return None
    return value.choice(_METHODS, habits={"softmax": "margin", "similarity": "cosine"})


def _severity(value: Value | None) -> int:
    return (value and value.integer(low=0, high=MAX_SEVERITY)) or 0


def _text(value: Value | None, example: str, *, limit: int = 1000) -> str | None:
    return value.text(example=example, limit=limit) if value else None


def _prompt_text(value: Value) -> str:
    text = value.text(example='"a rifle or shotgun"')
    if text and "{}" in text:
        value.error(
            "bad-prompt", f'The prompt "{text}" holds {{}}, which only templates do.', "Move it to `templates`."
        )
    return text or ""
