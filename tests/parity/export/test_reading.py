"""What lint says of texts that a model hardly reads, by the vocabulary that CLIP was trained with."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import pytest
import transformers
from tokenizers import pre_tokenizers

from clipwarden.modelfolder.manifest import TextSettings
from clipwarden.modelfolder.tokenizer import Tokenizer
from clipwarden.policy.bundle.reading import check_reading
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.language.rules import concepts_with_paths
from clipwarden.policy.shipped import shipped_policies
from clipwarden.textfiles.findings import Findings, Positions
from kit.prompts import ENGLISH, PROMPTS

VOCABULARY = 49408
"""Of CLIP: 256 bytes, each also at the end of a word, 48,894 merges, and two marks."""

HEAD = 'api: clipwarden/v1\nmetadata: {id: a}\ncategories: [{id: a, severity: 1, definition: ".", prompts: '


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """CLIP's own: open_clip carries its merges, transformers its rules."""
    found = find_spec("open_clip")
    assert found is not None
    assert found.origin is not None
    packed = (Path(found.origin).parent / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")[1 : VOCABULARY - 2 - 512 + 1]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    # In whatever order: numbers of tokens matter to a model, and not here.
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*signs, *(f"{sign}</w>" for sign in signs), *map("".join, merges), "<|startoftext|>", "<|endoftext|>"]
    clip = transformers.CLIPTokenizer(vocab={name: number for number, name in enumerate(names)}, merges=merges)
    path = tmp_path_factory.mktemp("clip") / "tokenizer.json"
    clip.backend_tokenizer.save(str(path))
    return Tokenizer(path, TextSettings(context_length=77, pad_id=0, lowercase=False))


def rules(tokenizer: Tokenizer, prompts: list[str]) -> list[str]:
    loaded = parse_policy(f"{HEAD}{prompts!r}}}]")
    findings = Findings(Positions().file)
    check_reading(concepts_with_paths(loaded.policy), tokenizer.pieces, findings)
    return [problem.code for problem in findings.problems]


def test_it_is_the_real_vocabulary(tokenizer: Tokenizer) -> None:
    assert tokenizer.pieces("a photo of a cat") == ("a</w>", "photo</w>", "of</w>", "a</w>", "cat</w>")


@pytest.mark.parametrize("path", shipped_policies(), ids=lambda path: path.stem)
def test_shipped_policies_are_read(tokenizer: Tokenizer, path: Path) -> None:
    findings = Findings(str(path))
    check_reading(concepts_with_paths(load_policy(path).policy), tokenizer.pieces, findings)
    assert findings.problems == ()


def test_english_prompts_are_read(tokenizer: Tokenizer) -> None:
    assert rules(tokenizer, ENGLISH) == []
    assert [prompt for prompt in ENGLISH if rules(tokenizer, [prompt])] == []


@pytest.mark.parametrize(("language", "least"), [("German", 14), ("French", 15), ("Spanish", 15)])
def test_another_language_is_named(tokenizer: Tokenizer, language: str, least: int) -> None:
    assert rules(tokenizer, PROMPTS[language]) == ["unread-language"]
    assert sum(rules(tokenizer, [*ENGLISH, prompt]) == ["unread-language"] for prompt in PROMPTS[language]) >= least


@pytest.mark.parametrize("language", ["Russian", "Greek", "Arabic", "Chinese"])
def test_another_script_is_named(tokenizer: Tokenizer, language: str) -> None:
    assert [prompt for prompt in PROMPTS[language] if rules(tokenizer, [*ENGLISH, prompt]) != ["unread-script"]] == []
