import re
from pathlib import Path

import pytest

from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Category, Concept, Mode

POLICY = Path(__file__).parents[3] / "policies" / "default.yaml"
LOADED = load_policy(POLICY)
CONCEPTS = (*LOADED.policy.categories, *LOADED.policy.attributes)

# Words that would aim a prompt at who somebody is, or at minors, who are nobody's category here.
IDENTITY = re.compile(
    r"\b(man|men|woman|women|boy|girl|male|female|gay|lesbian|trans\w*|black|asian|african|arab|latino|jew\w*|muslim\w*"
    r"|christian\w*|hindu\w*|buddhist\w*|american|russian|chinese|german|mexican|young|old|elderly|teen\w*)\b"
)
MINORS = re.compile(
    r"\b(child\w*|kid|kids|minor|minors|infant\w*|bab(y|ies)|toddler\w*|teen\w*|school\w*|boy|girl|underage)\b"
)


def test_default_policy_is_clean() -> None:
    assert LOADED.warnings == ()


def test_it_has_the_taxonomy_of_the_design() -> None:
    assert {category.id for category in LOADED.policy.categories} == {
        "sexual.nudity", "sexual.suggestive", "violence.graphic", "weapons", "hate.symbols", "hate.racist_imagery",
        "drugs", "substances.alcohol", "substances.tobacco", "gambling", "self_harm", "disturbing", "rude_gesture",
    }  # fmt: skip
    assert {attribute.id for attribute in LOADED.policy.attributes} == {"text_overlay", "museum", "medical"}


def test_nothing_is_enforced_and_no_number_is_invented() -> None:
    for category in LOADED.policy.categories:
        assert category.mode is Mode.SHADOW
        assert category.thresholds is None
        assert not category.contexts
    assert all(concept.calibration is None for concept in CONCEPTS)
    assert LOADED.policy.model.fingerprint is None


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.id)
def test_prompts_and_negatives_are_four_to_eight(concept: Concept) -> None:
    assert 4 <= len(concept.prompts) <= 8
    assert 4 <= len(concept.negatives) <= 8


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.id)
def test_positives_name_no_identity_and_no_text_names_minors(concept: Concept) -> None:
    for prompt in concept.prompts:
        assert not IDENTITY.search(prompt.text.casefold()), prompt.text
    for text in (*(prompt.text for prompt in concept.prompts), *concept.negatives):
        assert not MINORS.search(text.casefold()), text


@pytest.mark.parametrize("category", LOADED.policy.categories, ids=lambda category: category.id)
def test_every_category_has_a_reason_code_of_its_own(category: Category) -> None:
    codes = [each.reason_code for each in LOADED.policy.categories]
    assert category.reason_code
    assert codes.count(category.reason_code) == 1


def test_self_harm_asks_for_support_and_not_for_silence() -> None:
    definition = next(each.definition for each in LOADED.policy.categories if each.id == "self_harm")
    assert "support resources" in definition
    assert "never a silent block" in definition
