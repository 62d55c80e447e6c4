"""Whatever the file holds, only PolicyError comes out."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.errors import PolicyError
from clipwarden.policy.language.load import parse_policy
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.reading import decode
from kit.policies import FULL_POLICY

SNIPPETS = st.sampled_from(
    [
        "", " ", "\n", "\n\n", "\t", ":", ": ", "- ", "[", "]", "{", "}", "{}", "[]", '"', "'", "#", "&a ", "*a",
        "!!str ", "!", "<<: ", "? ", "| ", ">\n", "---\n", "...\n", "%YAML 1.1\n", "%TAG ! x\n", "~", "null", "off",
        "010", ".nan", "1e999", "-0.0", "0x1", "1:30", "2026-11-21", "\\", '"\\x00"', '"\\ud800"', '"\\UFFFFFFFF"',
        "\x00", "\x85", "\u2028", "\ufeff", "\ud800", "\U0001f408", "references: []\n", "weight: 2", "mode: enforce",
        "head", "@", "`", ",", "é",
    ]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = FULL_POLICY
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(SNIPPETS | st.text(max_size=5)) + text[end:]
    return text


@st.composite
def shuffled_lines(draw: st.DrawFn) -> str:
    lines = FULL_POLICY.splitlines(keepends=True)
    picked = draw(st.lists(st.sampled_from(lines), max_size=30))
    return "".join(draw(st.permutations(lines))) if draw(st.booleans()) else "".join(picked)


def parse(text: str) -> None:
    with contextlib.suppress(PolicyError):
        parse_policy(text)


@given(mutated())
@settings(deadline=None, max_examples=300)
def test_mutated_policies_raise_nothing_else(text: str) -> None:
    parse(text)


@given(shuffled_lines())
@settings(deadline=None, max_examples=100)
def test_shuffled_policies_raise_nothing_else(text: str) -> None:
    parse(text)


@given(st.text(max_size=80) | st.lists(SNIPPETS, max_size=25).map("".join))
@settings(deadline=None, max_examples=300)
def test_any_text_raises_nothing_else(text: str) -> None:
    parse(text)


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_end_in_findings(data: bytes) -> None:
    findings = Findings("fuzz.yaml")
    text = decode(data, findings)
    if text is None:
        assert findings.failed
        return
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert caught.value.problems
