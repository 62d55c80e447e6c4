"""Characters that no reader sees: which are refused, and which stand where a script or an emoji needs them."""

import unicodedata

import pytest

from clipwarden.errors import PolicyError
from clipwarden.policy.language.load import parse_policy
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.reading import check_characters
from clipwarden.textfiles.traps import forbidden_character

UNSEEN = [
    *("\u00ad", "\u034f", "\u115f", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u202e", "\u2060", "\u2064"),
    *("\u2068", "\u206f", "\u3164", "\ufe00", "\ufe0e", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\U000e0041"),
]
POLICY = """\
api: clipwarden/v1
metadata: {{id: shop}}
categories:
- {{id: weapons, severity: 1, definition: d, prompts: ["a gun", "{}"]}}
"""


@pytest.mark.parametrize("char", UNSEEN, ids=[f"U+{ord(char):04X}" for char in UNSEEN])
def test_what_nobody_sees_is_refused_by_name(char: str) -> None:
    findings = Findings("shop.yaml")
    check_characters(f"a\nchi{char}ld", findings)
    (problem,) = findings.problems
    assert (problem.line, problem.column, problem.code) == (2, 4, "bad-character")
    assert f"U+{ord(char):04X} ({unicodedata.name(char)})" in problem.message
    assert forbidden_character(f"chi{char}ld") == char


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f692",  # a woman who is a firefighter, by a joiner
        "\u2764\ufe0f\u200d\U0001f525",  # a heart in colour, on fire
        "\U0001f44d\U0001f3fd",
        *(
            "1\ufe0f\u20e3",
            "#\ufe0f\u20e3",
            "\u00a9\ufe0f",
            "\u2122\ufe0f",
            "\u2139\ufe0f",
            "\u203c\ufe0f",
        ),  # keycaps, signs
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England, by tags
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, by a non-joiner
        "\u0915\u094d\u200d\u0937",  # Devanagari, by a joiner
        "e\u0301",
        "\u00a0",
    ],
)
def test_joiners_stand_where_they_are_seen(text: str) -> None:
    assert forbidden_character(text) is None


@pytest.mark.parametrize(
    "text", ["chi\u00adld smoking", "chi\u200bld smoking", "chi\\u00adld smoking", "chi\\u200bld smoking"]
)
def test_no_character_hides_a_child_from_lint(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(POLICY.format(text))
    assert [problem.code for problem in caught.value.problems if problem.severity == "error"] == ["bad-character"]
