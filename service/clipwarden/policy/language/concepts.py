"""Read categories and attributes: their texts, scoring, calibration, thresholds, exemptions, overrides."""

import re
from dataclasses import dataclass

from clipwarden.policy.language.bounds import check_order, merge_bounds, read_bounds
from clipwarden.policy.language.conditions import (
    ADJUSTMENTS_EXAMPLE,
    EXEMPTIONS_EXAMPLE,
    read_adjustments,
    read_exemptions,
)
from clipwarden.policy.language.learned import LearnedError, LearnedSource
from clipwarden.policy.language.prompts import NEGATIVES_EXAMPLE, PROMPTS_EXAMPLE, PromptReader
from clipwarden.policy.language.sections import MODE_HABITS, MODES, Defaults, read_digest, read_templates
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    Attribute,
    Bounds,
    Calibration,
    Category,
    Head,
    Method,
    Mode,
    Pool,
    Prompt,
    Thresholds,
    Unit,
)
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.maps import Fields
from clipwarden.textfiles.values import Value

CONCEPT_ID = re.compile(r"(?=.{1,64}$)[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
ID_RULE = "lower-case letters, digits and `_`, at most 64, starting with a letter; dots group"

MAX_CONCEPTS = 512
"""Most categories, or attributes, of one policy."""
MAX_SEVERITY = 4
MAX_BIAS = 1000.0
"""Logits; a sigmoid is 0 or 1 in double precision beyond 750."""

_CONCEPT_KEYS = {
    "id": "weapons",
    "prompts": PROMPTS_EXAMPLE,
    "negatives": NEGATIVES_EXAMPLE,
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
    "exemptions": EXEMPTIONS_EXAMPLE,
    "contexts": "{hunting-shop: {review: 0.8}}",
    "adjustments": ADJUSTMENTS_EXAMPLE,
}
_SCORING_KEYS = {"method": "margin", "pool": "max", "file": "nsfw-head.safetensors"}
_CALIBRATION_KEYS = {"bias": "-2.1", "prevalence": "0.01", "fitted_on": '"sha256:..."'}
_THRESHOLD_KEYS = {"unit": "score", "review": "0.55", "block": "0.92"}
_BOUND_KEYS = {"review": "0.8", "block": "0.99"}
_METHOD_HABITS = {"softmax": "margin", "similarity": "cosine", "mlp": "head", "classifier": "head"}
_POOL_HABITS = {"maximum": "max", "average": "mean", "logsumexp": "lse"}
_NO_PHRASES = "Delete them, or write `scoring: {method: margin}`."
_METHODS = {method.value: method for method in Method}
_POOLS = {pool.value: pool for pool in Pool}
_UNITS = {unit.value: unit for unit in Unit}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scoring:
    """How a concept's number is made; None stands for what is written but unreadable."""

    method: Method | None = Method.MARGIN
    pool: Pool | None = Pool.MAX
    head: Head = ()


class ConceptReader:
    """Reads the two lists of concepts.

    After a finding a reader returns a stand-in (an empty text, a default), so that the rest of the file is
    still checked; a policy with an error never leaves `load`.

    Args:
        defaults: What applies where a concept says nothing.
        findings: Receives what is wrong.
        learned: Where learned vectors and heads are found.
    """

    def __init__(self, defaults: Defaults, findings: Findings, learned: LearnedSource) -> None:
        self._defaults = defaults
        self._findings = findings
        self._phrases = PromptReader(learned, findings)
        self._learned = learned

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
        scoring = self._scoring(fields)
        return Attribute(
            id=self._id(fields.need("id")),
            prompts=self._prompts(fields, scoring),
            negatives=self._phrases.negatives(fields.get("negatives"), scoring.method),
            templates=self._templates(fields.get("templates"), scoring.method),
            method=scoring.method or Method.MARGIN,
            pool=scoring.pool or Pool.MAX,
            calibration=self._calibration(fields.get("calibration"), scoring.method),
            head=scoring.head,
        )

    def _category(self, value: Value) -> Category:
        fields = Fields(value, _CATEGORY_KEYS, self._findings)
        scoring = self._scoring(fields)
        thresholds = self._thresholds(fields.get("thresholds"), scoring.method)
        return Category(
            id=self._id(fields.need("id")),
            severity=_severity(fields.need("severity")),
            definition=_text(fields.need("definition"), _CATEGORY_KEYS["definition"]) or "",
            mode=self._mode(fields),
            prompts=self._prompts(fields, scoring),
            negatives=self._phrases.negatives(fields.get("negatives"), scoring.method),
            templates=self._templates(fields.get("templates"), scoring.method),
            method=scoring.method or Method.MARGIN,
            pool=scoring.pool or Pool.MAX,
            calibration=self._calibration(fields.get("calibration"), scoring.method),
            head=scoring.head,
            thresholds=thresholds,
            reason_code=_text(fields.get("reason_code"), "WPN-1", limit=64),
            exemptions=read_exemptions(fields.get("exemptions"), self._findings),
            contexts=self._overrides(fields, thresholds),
            adjustments=read_adjustments(fields.get("adjustments"), scoring.method, self._findings),
        )

    def _id(self, value: Value | None) -> str:
        if value is None:
            return ""
        return value.matching(CONCEPT_ID, code="bad-id", rule=ID_RULE, example="violence.graphic") or ""

    def _mode(self, fields: Fields) -> Mode:
        value = fields.get("mode")
        return (value and value.choice(MODES, habits=MODE_HABITS)) or self._defaults.mode

    def _prompts(self, fields: Fields, scoring: "_Scoring") -> tuple[Prompt, ...]:
        if scoring.method is None:  # nobody knows whether prompts are due
            return self._phrases.prompts(fields.get("prompts"), scoring.pool)
        if scoring.method is not Method.HEAD:
            return self._phrases.prompts(fields.need("prompts"), scoring.pool)
        if value := fields.get("prompts"):
            value.error("prompts-under-head", "Prompts do nothing under `method: head`.", _NO_PHRASES)
        return ()

    def _templates(self, value: Value | None, method: Method | None) -> tuple[str, ...]:
        if method is not Method.HEAD:
            return (value and read_templates(value)) or self._defaults.templates
        if value:
            value.error("templates-under-head", "Templates do nothing under `method: head`.", "Delete them.")
        return ()

    def _scoring(self, concept: Fields) -> "_Scoring":
        value = concept.get("scoring")
        if value is None:
            return _Scoring()
        fields = Fields(value, _SCORING_KEYS, self._findings)
        if not value.is_map:
            return _Scoring(method=None, pool=None)
        method, pool = fields.get("method"), fields.get("pool")
        read = method.choice(_METHODS, habits=_METHOD_HABITS) if method else Method.MARGIN
        if pool and read is Method.HEAD:
            pool.error("pool-under-head", "A head has no prompts to pool.", "Delete the pool.")
        return _Scoring(
            method=read,
            pool=pool.choice(_POOLS, habits=_POOL_HABITS) if pool else Pool.MAX,
            head=self._head(fields, read),
        )

    def _head(self, fields: Fields, method: Method | None) -> Head:
        value = fields.need("file") if method is Method.HEAD else fields.get("file")
        if value and method not in (Method.HEAD, None):
            message = f"A file does nothing under `method: {method}`."
            value.error("file-without-head", message, "Delete it, or write `method: head`.")
        file = value and value.text(example=_SCORING_KEYS["file"])
        if not value or not file or method is not Method.HEAD:
            return ()
        try:
            return self._learned.open(file).head()
        except LearnedError as error:
            value.error(error.code, error.message, error.fix)
            return ()

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
        if named and unit and method and unit is not METHODS[method].unit:
            message = f"The unit `{unit}` does not go with `method: {method}`."
            named.error("unit-mismatch", message, f"Write `unit: {METHODS[method].unit}`, and numbers in that unit.")
        if value.is_map and not (fields.get("review") or fields.get("block")):
            value.error("no-bound", "These thresholds hold no bound.", "Add `review:` or `block:`, or delete them.")
        bounds = read_bounds(fields, unit)
        check_order(value, bounds)
        return Thresholds(unit=unit or METHODS[method or Method.MARGIN].unit, bounds=bounds)

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


def _severity(value: Value | None) -> int:
    return (value and value.integer(low=0, high=MAX_SEVERITY)) or 0


def _text(value: Value | None, example: str, *, limit: int = 1000) -> str | None:
    return value.text(example=example, limit=limit) if value else None
