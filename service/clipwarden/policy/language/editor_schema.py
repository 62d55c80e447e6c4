"""The tables of keys in, a JSON Schema of policy files out, by which editors complete, explain and check while typing.

It says what one value, or one map, may be, and what the method of a concept rules out. What compares one part of a file
with another, or looks at the characters of the file, is left to lint. Since it sees texts before white space is tidied,
it refuses two that lint takes: an id with spaces around it, and a text over the limit by runs of white space alone.
"""

from typing import Any, cast

from clipwarden.policy.language.category_keys import BOUNDS, CATEGORY
from clipwarden.policy.language.concept_keys import ATTRIBUTE, SCORING
from clipwarden.policy.language.keys import POLICY
from clipwarden.policy.language.kinds import Json
from clipwarden.policy.language.tables import Keys
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import SCHEMA_VERSION, By, Method, Pool

DIALECT = "https://json-schema.org/draft/2020-12/schema"


_REASONED: Json = {
    "if": {"properties": {"by": {"const": By.HAND}}, "required": ["by"]},
    "then": {"required": ["reason"]},
}


def policy_schema() -> Json:
    """Return the JSON Schema (draft 2020-12) of a policy file."""
    schema: Json = {
        "$schema": DIALECT,
        "title": f"A policy of clipwarden ({SCHEMA_VERSION})",
        **POLICY.json_schema(),
    }
    properties = cast("dict[str, Json]", schema["properties"])
    for name, keys in (("categories", CATEGORY), ("attributes", ATTRIBUTE)):
        _add_method_rules(cast("Json", properties[name]["items"]), keys)
    return schema


def _add_method_rules(concept: Json, keys: Keys) -> None:
    scoring = cast("dict[str, Json]", concept["properties"])["scoring"]
    scoring["allOf"] = [{"if": _is("method", method), "then": _ruled_out(SCORING, method)} for method in METHODS]
    rules: list[Json] = [
        {"if": _scoring(_is("method", method)), "then": _concept_rules(keys, method)} for method in METHODS
    ]
    unweighted = {"properties": {"prompts": {"items": {"properties": {"weight": False}}}}}
    rules.append({"if": _scoring(_is("pool", Pool.MAX)), "then": unweighted})
    if "thresholds" in keys.names:
        thresholds = cast("dict[str, dict[str, Any]]", concept["properties"])["thresholds"]
        thresholds["properties"]["chosen_on"]["anyOf"][1] |= _REASONED
        modes_alone = {"additionalProperties": {"properties": dict.fromkeys(BOUNDS.names, False)}}
        rules.append({"if": {"properties": {"contexts": modes_alone}}, "else": {"required": ["thresholds"]}})
    concept["allOf"] = rules


def _is(name: str, value: str) -> Json:
    """Say that a key of `scoring` has this value, written or not."""
    default = next(key.default for key in SCORING if key.name == name)
    return {"properties": {name: {"const": value}}, "required": [] if value == default else [name]}


def _scoring(condition: Json) -> Json:
    return {"properties": {"scoring": condition}, "required": ["scoring"] if condition["required"] else []}


def _ruled_out(keys: Keys, method: Method) -> Json:
    by_method = [key for key in keys if key.misuse]
    return {
        "properties": {key.name: False for key in by_method if key.name not in METHODS[method].takes},
        "required": [key.name for key in by_method if key.required and key.name in METHODS[method].takes],
    }


def _concept_rules(keys: Keys, method: Method) -> Json:
    rules = _ruled_out(keys, method)
    if "thresholds" in keys.names:
        bounds = {name: {"minimum": METHODS[method].lowest} for name in BOUNDS.names}
        unit = {"unit": {"const": METHODS[method].unit}}
        rules["properties"] = cast("Json", rules["properties"]) | {
            "thresholds": {"properties": bounds | unit},
            "contexts": {"additionalProperties": {"properties": bounds}},
        }
    return rules
