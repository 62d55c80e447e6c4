"""The policy language's page says what the code does."""

import copy
import dataclasses
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clipwarden.policy import schema
from clipwarden.policy.language import concept_keys, keys
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.language.pages import keys_table, methods_table, words_table
from clipwarden.policy.language.tables import Keys, Map, chains, inside
from clipwarden.policy.schema import SCHEMA_VERSION, Mode, Override

PAGE = (Path(__file__).parents[3] / "policies" / "README.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
# The page says in a sentence which of a category's keys an attribute has.
TABLES = {
    id(table): table
    for chain in chains(keys.POLICY)
    if (table := inside(chain[-1].kind)) not in (None, concept_keys.ATTRIBUTE)
}


def test_worked_example_is_a_clean_policy() -> None:
    assert EXAMPLE is not None
    text = re.sub(r"sha256:(\w{4})\.\.\.", lambda match: "sha256:" + match[1] * 16, EXAMPLE[1])
    loaded = parse_policy(text, today=date(2026, 1, 1))  # before it is due for review
    assert loaded.warnings == ()
    assert loaded.policy.categories[0].contexts == {
        "hunting-shop": Override(review=0.8, block=0.99),
        "war-museum": Override(mode=Mode.SHADOW),
    }


@pytest.mark.parametrize("table", [keys.POLICY, *TABLES.values()], ids=lambda table: table.names[0])
def test_every_table_of_keys_is_the_one_that_the_reader_uses(table: Keys) -> None:
    assert keys_table(table) in PAGE, f"write into policies/README.md:\n{keys_table(table)}"


def test_attributes_are_told_apart() -> None:
    names = ", ".join(f"`{name}`" for name in concept_keys.ATTRIBUTE.names[:-1])
    assert f"An **attribute** has {names} and `{concept_keys.ATTRIBUTE.names[-1]}`, and nothing else." in PAGE


def test_words_are_the_ones_in_the_code() -> None:
    pool = next(key for key in concept_keys.SCORING if key.name == "pool")
    assert methods_table() in PAGE
    assert words_table(pool, "several prompts become one number by") in PAGE
    views = next(key for key in keys.DEFAULTS if key.name == "views")
    assert words_table(views, "what is looked at") in PAGE


def test_the_page_names_the_fields_that_came_after_digests() -> None:
    paragraph = PAGE.partition("Fields that came after digests were in use (")[2].partition(")")[0]
    later = {
        field.name
        for kind in (schema.Category, schema.Calibration, schema.Policy, schema.Thresholds, schema.Override)
        for field in dataclasses.fields(kind)
        if field.metadata.get("added_later")
    }
    assert later == set(re.findall(r"`(\w+)`", paragraph))


def test_keys_of_later_are_announced() -> None:
    assert [name for name in keys.LATER if f"`{name}`" not in PAGE] == []


BARE = {
    "api": SCHEMA_VERSION,
    "metadata": {"id": "a"},
    "categories": [
        {
            "id": "b",
            "severity": 1,
            "definition": "c",
            "prompts": [{"text": "d"}],
            "scoring": {"pool": "mean"},
            "thresholds": {"unit": "score", "block": 0.5},
            "exemptions": [{"when": {"attribute": "e", "gte": 0.5}}],
        },
    ],
    "attributes": [{"id": "e", "prompts": ["f"]}],
}


def written_out(document: dict[str, Any], table: Keys) -> dict[str, Any]:
    """Add each default of the tables that a policy file leaves out."""
    for key in table:
        held = inside(key.kind)
        if key.default is not None:
            document.setdefault(key.name, key.default)
        elif isinstance(key.kind, Map) and any(inner.default is not None for inner in key.kind.keys):
            document.setdefault(key.name, {})
        value = document.get(key.name)
        for inner in value if isinstance(value, list) else [value]:
            if held and isinstance(inner, dict):
                written_out(inner, held)
    return document


def test_defaults_are_the_ones_in_the_code() -> None:
    full = written_out(copy.deepcopy(BARE), keys.POLICY)
    assert full["categories"][0]["scoring"] == {"method": "margin", "pool": "mean"}
    assert full["categories"][0]["prompts"] == [{"text": "d", "weight": 1}]
    assert full["model"] == {"calibration_scale": 1}
    assert set(keys.DEFAULTS.names) - set(full["defaults"]) == {"least_coverage", "least_resolution"}
    assert parse_policy(json.dumps(full)).policy == parse_policy(json.dumps(BARE)).policy
