import pytest

from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.shipped import shipped_policies
from clipwarden.policy.subjects.broad import breadth_of

POLICY = """\
api: clipwarden/v1
metadata: {{id: p}}
categories:
- {{id: weapons, severity: 3, definition: "Arms.", prompts: ["a gun"], negatives: [{negatives}]}}
attributes:
- {{id: museum, prompts: ["a museum hall"], negatives: ["a person"]}}
"""


@pytest.mark.parametrize(
    "text",
    ["a person", "People", "hands", "the back of a hand", "A hand gesture.", "portraits", "a religious symbol",
     "national flags", "a place of worship", "an object"],
)  # fmt: skip
def test_bare_nouns_are_too_broad(text: str) -> None:
    assert breadth_of(text)


@pytest.mark.parametrize(
    "text",
    ["a person bowing", "a person with a skullcap", "a firefighter", "a bow tie", "a bullet train", "thumbs up",
     "clapping hands", "a flag of three plain stripes", "a church steeple", "a handbag", "", "a"],
)  # fmt: skip
def test_what_excludes_a_harm_is_not(text: str) -> None:
    assert breadth_of(text) is None


def test_lint_warns_of_each_in_its_place_and_says_what_to_write() -> None:
    text = POLICY.format(negatives='"a person bowing", "a hand"')
    (warning,) = parse_policy(text, file="p.yaml").warnings  # an attribute looks for no harm
    assert warning.code == "broad-negative"
    assert warning.column == text.splitlines()[warning.line - 1].index('"a hand"') + 1
    assert '"a hand" does not exclude the harm: a hand may hold a cigarette.' in warning.message
    assert "clapping hands" in warning.fix


def test_what_the_warnings_offer_is_no_bare_noun_itself() -> None:
    for text in ("a person", "a hand", "a portrait", "a flag", "a place", "a thing"):
        breadth = breadth_of(text)
        assert breadth
        offered = breadth.better.split('"')[1::2]
        assert offered
        assert not any(breadth_of(each) for each in offered)


def test_no_shipped_policy_holds_one() -> None:
    for path in shipped_policies():
        for category in parse_policy(path.read_text("utf-8"), file=path.name).policy.categories:
            assert [str(each) for each in category.negatives if breadth_of(str(each))] == [], category.id
