from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from clipwarden.errors import PolicyError
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden.policy.schema import Verdict
from clipwarden_export.verification.decisions import TextVectors, agreement, decide, load_unbound, policy_texts

POLICY = """
api: clipwarden/v1
metadata: {{id: test}}
model: {{fingerprint: "sha256:{digits}"}}
defaults: {{mode: enforce, templates: ["{{}}", "a photo of {{}}"]}}
categories:
- id: thing
  severity: 2
  definition: A thing.
  prompts: ["one", "two"]
  scoring: {{method: cosine, pool: max}}
  thresholds: {{unit: cosine, review: 0.5, block: 0.9}}
"""


@dataclass
class Tokens:
    capacity: int = 10

    def content_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(digits="ab" * 32))
    return path


def side(texts: tuple[str, ...], rows: list[list[float]]) -> TextVectors:
    return TextVectors(
        facts=ModelFacts(fingerprint="sha256:none", name="test", dim=2, logit_scale=100.0, logit_bias=None),
        tokenizer=Tokens(),
        texts=texts,
        vectors=np.array(rows, dtype=np.float32),
        background=np.array([[0.0, 1.0]], dtype=np.float32),
    )


def test_policy_of_another_model_is_compared_all_the_same(policy_file: Path) -> None:
    policy = load_unbound(policy_file)
    assert policy.model.fingerprint is None
    assert policy_texts(policy) == ("one", "a photo of one", "two", "a photo of two")


def test_decisions_follow_the_vectors_and_differ_where_they_do(policy_file: Path) -> None:
    policy = load_unbound(policy_file)
    texts = policy_texts(policy)
    images = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], dtype=np.float32)
    right = decide(policy, side(texts, [[1, 0]] * 4), images)
    assert [one.verdict for one in right] == [Verdict.BLOCK, Verdict.REVIEW, Verdict.ALLOW]
    turned = decide(policy, side(texts, [[0, 1]] * 4), images)
    assert [one.verdict for one in turned] == [Verdict.ALLOW, Verdict.REVIEW, Verdict.BLOCK]
    assert agreement(right, right) == 1.0
    assert agreement(right, turned) == pytest.approx(1 / 3)


def test_a_text_that_the_tokenizer_cuts_short_is_no_fair_comparison(policy_file: Path) -> None:
    policy = load_unbound(policy_file)
    short = replace(side(policy_texts(policy), [[1, 0]] * 4), tokenizer=Tokens(capacity=3))
    with pytest.raises(PolicyError, match='"a photo of one" has 4 tokens'):
        decide(policy, short, np.array([[1.0, 0.0]], dtype=np.float32))
