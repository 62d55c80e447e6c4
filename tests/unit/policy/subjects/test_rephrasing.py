"""What messages offer in the place of a text that names somebody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.policy.subjects.rephrasing import about_anybody
from clipwarden.policy.subjects.wordlist import word_list

IDENTITY = word_list("identity")
PIECES = st.sampled_from(
    ["a", "an", "two", "black", "Muslim", "women", "man", "person", "old", "gun", "smoking", "with", "e-cigarette", "-"]
)


def rephrased(text: str) -> str | None:
    return about_anybody(text, IDENTITY.find(text), IDENTITY)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a muslim smoking", "a person smoking"),
        ("a Black man with an E-cigarette", "a person with an E-cigarette"),
        ("Mexicans crossing a border", "people crossing a border"),
        ("two chinese smoking", "two people smoking"),
        ("gypsies begging", "people begging"),
        ("an African crowd, and a woman in lingerie", "a crowd, and a person in lingerie"),
        ("an african tribe with spears", "a tribe with spears"),
        ("a Muslim athlete smoking", "an athlete smoking"),
        ("a person in a wheelchair", None),
        ("a Mexican-looking person", None),
        ("a 70-year-old with a cigarette", None),
        ("an amputee", None),
        ("eine Frau im Bikini", None),
        ("a muslim\u2019s rifle", None),
    ],
)
def test_the_author_s_own_text_is_offered_without_identity(text: str, plain: str | None) -> None:
    assert IDENTITY.find(text)
    assert rephrased(text) == plain


@given(st.lists(PIECES, max_size=7).map(" ".join))
def test_what_is_offered_names_nobody(text: str) -> None:
    plain = rephrased(text)
    if IDENTITY.find(text) and plain is not None:
        assert IDENTITY.find(plain) == ()
        assert "  " not in plain
