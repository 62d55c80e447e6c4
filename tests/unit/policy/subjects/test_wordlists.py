"""The word lists: what reviewers may rely on, both kinds of error, and each ambiguous word in both directions."""

import csv
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.policy.subjects.wordlist import Entry, Hit, normalised, word_list

IDENTITY, MINORS = word_list("identity"), word_list("minors")
LISTS = {"identity": IDENTITY, "minors": MINORS}
ENTRIES = [(name, entry) for name, words in LISTS.items() for entry in words.entries]
# The first 249 were written before the lists and the matcher, all others before the lists were mended by them.
with (Path(__file__).parent / "prompts.csv").open(encoding="utf-8", newline="") as lines:
    PROMPTS = [(row["text"], row["expected"]) for row in csv.DictReader(lines)]
GROUPS = {
    "religion", "ethnicity and nationality", "skin colour", "sex and gender", "orientation", "disability", "age",
    "migration", "caste", "pregnancy",
}  # fmt: skip

by_entry = pytest.mark.parametrize(
    ("name", "entry"), ENTRIES, ids=[f"{name}-{entry.lang}-{entry.words[0]}" for name, entry in ENTRIES]
)


def found_by(text: str) -> set[str]:
    return {name for name, words in LISTS.items() if words.find(text)}


def test_enough_prompts_of_each_kind_are_held_against_the_lists() -> None:
    assert sum(expected in LISTS for _, expected in PROMPTS) >= 60
    assert sum(expected == "none" for _, expected in PROMPTS) >= 60
    assert len({text for text, _ in PROMPTS}) == len(PROMPTS)


@pytest.mark.parametrize("text", [text for text, expected in PROMPTS if expected == "none"])
def test_a_text_about_nobody_in_particular_passes(text: str) -> None:
    assert found_by(text) == set()


@pytest.mark.parametrize(("text", "expected"), [prompt for prompt in PROMPTS if prompt[1] in LISTS])
def test_a_text_that_names_somebody_is_found(text: str, expected: str) -> None:
    assert expected in found_by(text)


@pytest.mark.parametrize("text", [text for text, expected in PROMPTS if expected == "missed"])
def test_what_is_missed_is_known(text: str) -> None:
    # Over words between that are not in the set `field`; brides wear veils, and temples have idols.
    assert found_by(text) == set()


def test_sets_are_sorted_and_used() -> None:
    assert set(IDENTITY.sets) == set(MINORS.sets)
    phrases = " ".join(phrase for _, entry in ENTRIES for phrase in (*entry.phrases, *entry.but))
    assert {name for name in IDENTITY.sets if f"<{name}>" not in phrases} == {
        "after",
        "things_in_er",
        "things_in_ing",
        "workers",
    }


def test_groups_are_stated() -> None:
    assert {entry.group for entry in IDENTITY.entries} == GROUPS
    assert {entry.group for entry in MINORS.entries} == {"minors"}
    assert {entry.lang for _, entry in ENTRIES} == {"en", "de", "es", "fr"}


@by_entry
def test_words_are_sorted_and_stand_once(name: str, entry: Entry) -> None:
    assert list(entry.words) == sorted(set(entry.words)), name
    assert list(entry.but) == sorted(set(entry.but)), name


@pytest.mark.parametrize("words", LISTS.values(), ids=LISTS)
def test_no_word_stands_in_two_entries_of_a_language(words: object) -> None:
    seen: set[tuple[str, str]] = set()
    for entry in words.entries:  # type: ignore[attr-defined]
        for word in entry.words:
            assert (entry.lang, word) not in seen
            seen.add((entry.lang, word))


@by_entry
def test_words_are_written_as_texts_are_read(name: str, entry: Entry) -> None:
    for word in entry.words:
        assert word == unicodedata.normalize("NFKD", word).casefold(), name
        assert normalised(word) == word.replace("*", "").split(), name


@by_entry
def test_every_word_is_found_where_its_entry_says(name: str, entry: Entry) -> None:
    assert entry.found
    for word in entry.words:
        for text in entry.found:
            hits = LISTS[name].find(text.replace("{}", word.replace("*", "")))
            assert any(hit.group == entry.group for hit in hits), (word, text)


@by_entry
def test_every_ambiguous_word_passes_where_its_entry_says(name: str, entry: Entry) -> None:
    ambiguous = bool(entry.but) or entry.phrases != ("{}",)
    assert ambiguous == bool(entry.passed) == bool(entry.why)
    for word in entry.words:
        for text in entry.passed:
            assert LISTS[name].find(text.replace("{}", word.replace("*", ""))) == (), (word, text)


@pytest.mark.parametrize(
    "text", ["a Muslim", "a MUSLIM", "muslims", "a muslim's", "a muslim\u2019s", "non-muslim", "mu\u0308slim"]
)
def test_case_plural_possessive_and_hyphen_are_passed_over(text: str) -> None:
    assert [hit.group for hit in IDENTITY.find(text)] == ["religion"]


@pytest.mark.parametrize("text", ["ein Mädchen", "ein Ma\u0308dchen", "EIN MÄDCHEN", "niñas", "nin\u0303as"])
def test_accents_are_passed_over(text: str) -> None:
    assert MINORS.find(text)


@pytest.mark.parametrize("text", ["humans", "a romance", "mankind", "a menu", "a kidney", "a babyish blue", "sage"])
def test_a_word_within_another_is_not_found(text: str) -> None:
    assert found_by(text) == set()


@pytest.mark.parametrize(
    ("text", "minors"),
    [("a 17-year-old", True), ("a 18-year-old", False), ("a 0 year old", True), ("17yo", True), ("18yo", False)],
)
def test_minority_ends_at_eighteen(text: str, minors: bool) -> None:  # noqa: FBT001
    assert bool(MINORS.find(text)) == minors


def test_hits_stand_in_the_order_of_the_text() -> None:
    assert IDENTITY.find("a Black man and an old man") == (
        Hit(words="black", group="skin colour", lang="en", place=range(1, 2)),
        Hit(words="man", group="sex and gender", lang="en", place=range(2, 3)),
        Hit(words="old", group="age", lang="en", place=range(5, 6)),
        Hit(words="man", group="sex and gender", lang="en", place=range(6, 7)),
    )


def test_ideologies_and_hate_groups_are_no_identities() -> None:
    for group in ("nazi", "neo-nazi", "kkk", "isis", "fascist", "white supremacist", "jihadist", "skinhead", "antifa"):
        assert found_by(f"a {group} holding a flag") == set()


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    tokens = normalised(text)
    for words in LISTS.values():
        for hit in words.find(text):
            assert " ".join(tokens[hit.place.start : hit.place.stop]) == hit.words


@given(
    st.sampled_from([text for text, expected in PROMPTS if expected == "identity"]), st.sampled_from(["upper", "title"])
)
def test_case_hides_nobody(text: str, case: str) -> None:
    assert IDENTITY.find(getattr(text, case)())
