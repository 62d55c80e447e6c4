"""The policy language's page says what the code does."""

import re
from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest

from clipwarden.policy.language import concepts, conditions, load, prompts, sections
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.schema import Bounds, Verdict
from clipwarden.textfiles import maps as keys
from clipwarden.textfiles.findings import Findings

PAGE = (Path(__file__).parents[3] / "policies" / "README.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_worked_example_is_a_clean_policy() -> None:
    assert EXAMPLE is not None
    text = EXAMPLE[1].replace("sha256:3f5a...", "sha256:" + "3f" * 32)
    loaded = parse_policy(text, today=date(2026, 1, 1))  # before it is due for review
    assert loaded.warnings == ()
    assert loaded.policy.categories[0].contexts == {"hunting-shop": Bounds(review=0.8, block=0.99)}


@pytest.mark.parametrize(
    "names",
    [
        load._TOP_KEYS,
        sections._METADATA_KEYS,
        sections._MODEL_KEYS,
        sections._DEFAULTS_KEYS,
        concepts._CATEGORY_KEYS,
        concepts._CALIBRATION_KEYS,
        concepts._THRESHOLD_KEYS,
        conditions._EXEMPTION_KEYS,
        conditions._ADJUSTMENT_KEYS,
        conditions._WHEN_KEYS,
        prompts._PROMPT_KEYS,
        concepts._SCORING_KEYS,
        [verdict.name.lower() for verdict in Verdict],
        keys.LATER,
    ],
)
def test_every_key_is_explained(names: list[str]) -> None:
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_defaults_are_the_ones_in_the_code() -> None:
    defaults = sections.read_defaults(None, Findings("x"))
    assert defaults.templates == ("{}",)
    assert '| `["{}"]` |' in PAGE
    for field in fields(defaults):
        assert f"| `{field.name}` |" in PAGE


def test_bounds_are_the_ones_in_the_code() -> None:
    assert f"at most {sections.MAX_CONTEXTS}" in PAGE
    assert f"1 to {concepts.MAX_CONCEPTS}" in PAGE
    assert f"1 to {prompts.MAX_PROMPTS}" in PAGE
    assert f"1 to {sections.MAX_TEMPLATES}" in PAGE
    assert f"0 to {concepts.MAX_SEVERITY}" in PAGE
