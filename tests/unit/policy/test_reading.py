"""What a model hardly reads, by the embedded model's own tokenizer; CLIP's is held to the same in tests/parity."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from clipwarden.modelfolder.load import embedded_model_path, load_manifest
from clipwarden.modelfolder.tokenizer import Tokenizer
from clipwarden.policy.bundle.reading import check_reading, foreign_word, is_cut, script, words
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.language.rules import concepts_with_paths
from clipwarden.policy.shipped import shipped_policies
from clipwarden.textfiles.findings import Findings
from kit.prompts import ENGLISH, PROMPTS

HEAD = 'api: clipwarden/v1\nmetadata: {id: a}\ncategories: [{id: a, severity: 1, definition: ".", prompts: '


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    folder = embedded_model_path()
    settings = load_manifest(folder).text
    assert settings is not None
    return Tokenizer(folder / "tokenizer.json", settings)


def found_in(tokenizer: Tokenizer, prompts: Sequence[str]) -> list[tuple[str, int]]:
    """Return the rules that a category of these prompts breaks, each with the prompt that it is found at."""
    lines = "\n".join(f'  - "{prompt}"' for prompt in prompts)
    head = 'api: clipwarden/v1\nmetadata: {id: a}\ncategories:\n- id: weapons\n  severity: 1\n  definition: "."\n'
    loaded = parse_policy(f"{head}  prompts:\n{lines}\n")
    findings = Findings("p.yaml", loaded.positions.places)
    check_reading(concepts_with_paths(loaded.policy), tokenizer.pieces, findings)
    return [(problem.code, problem.line - 8) for problem in findings.problems]


@pytest.mark.parametrize("path", shipped_policies(), ids=lambda path: path.stem)
def test_shipped_policies_are_read(tokenizer: Tokenizer, path: Path) -> None:
    findings = Findings(str(path))
    check_reading(concepts_with_paths(load_policy(path).policy), tokenizer.pieces, findings)
    assert findings.problems == ()


def test_english_prompts_are_read_all_at_once_or_one_by_one(tokenizer: Tokenizer) -> None:
    assert found_in(tokenizer, ENGLISH) == []
    assert [prompt for prompt in ENGLISH if found_in(tokenizer, [prompt])] == []


@pytest.mark.parametrize("language", ["German", "French", "Spanish"])
def test_a_category_in_another_language_is_named_once(tokenizer: Tokenizer, language: str) -> None:
    assert [code for code, _ in found_in(tokenizer, PROMPTS[language])] == ["unread-language"]


@pytest.mark.parametrize(("language", "least"), [("German", 15), ("French", 15), ("Spanish", 17)])
def test_a_single_text_among_english_ones_is_mostly_named(tokenizer: Tokenizer, language: str, least: int) -> None:
    found = [prompt for prompt in PROMPTS[language] if found_in(tokenizer, [*ENGLISH, prompt])]
    assert len(found) >= least
    assert all(foreign_word(prompt, tokenizer.pieces) for prompt in found)


@pytest.mark.parametrize(
    ("language", "rule"),
    [
        ("Russian", "unread-script"),
        ("Arabic", "unread-script"),
        ("Chinese", "unknown-token"),
        ("Greek", "unread-script"),
    ],
)
def test_every_text_in_another_script_is_named_at_its_place(tokenizer: Tokenizer, language: str, rule: str) -> None:
    for prompt in PROMPTS[language]:
        ((code, place),) = found_in(tokenizer, [*ENGLISH, prompt])
        assert code in {rule, "unknown-token", "unread-script"}
        assert place == len(ENGLISH)
    assert rule in {code for code, _ in found_in(tokenizer, PROMPTS[language])}


def test_a_sign_that_the_tokenizer_does_not_know_is_named_with_its_neighbours_only(tokenizer: Tokenizer) -> None:
    loaded = parse_policy(f"{HEAD}['a 🔫 gun']}}]")
    findings = Findings("p.yaml", loaded.positions.places)
    check_reading(concepts_with_paths(loaded.policy), tokenizer.pieces, findings)
    (problem,) = findings.problems
    assert problem.code == "unknown-token"
    assert 'does not know "🔫":' in problem.message


def test_words_are_runs_of_letters_with_their_marks() -> None:
    assert words("an AK-47, naïve हिन्दी") == ("an", "AK", "naïve", "हिन्दी")
    assert [script(word) for word in ("naïve", "сила", "हिन्दी", "枪")] == ["LATIN", "CYRILLIC", "DEVANAGARI", "CJK"]


def multilingual(text: str) -> list[str | None]:
    """Know every word of a script with blanks, and cut others into pieces of two signs, as large vocabularies do."""
    return [
        word[start : start + 2] if script(word) == "CJK" else word
        for word in words(text)
        for start in range(0, len(word) if script(word) == "CJK" else 1, 2)
    ]


@pytest.mark.parametrize("language", list(PROMPTS))
def test_a_tokenizer_that_knows_the_words_raises_no_alarm(language: str) -> None:
    assert [prompt for prompt in PROMPTS[language] if any(is_cut(word, multilingual) for word in words(prompt))] == []
    loaded = parse_policy(f"{HEAD}{PROMPTS[language]!r}}}]")
    findings = Findings("p.yaml")
    check_reading(concepts_with_paths(loaded.policy), multilingual, findings)
    assert findings.problems == ()
