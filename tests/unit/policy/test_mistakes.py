"""Slips of the hand, in `mistakes/` and at random: found in their line, said once, and mended by what lint writes."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clipwarden.errors import PolicyError, Problem, Severity
from clipwarden.policy.language.dump import policy_document
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.schema import Policy
from clipwarden.textfiles.tree import MAX_MENDED
from kit.policies import learned_of, policies

FOLDER = Path(__file__).parent / "mistakes"
GOOD = (FOLDER / "good.yaml").read_text()
TODAY = date(2027, 1, 1)


class Mistake(NamedTuple):
    """One entry of mistakes.yaml, which says what each field means."""

    name: str
    meant: str
    typed: str
    line: int = 1
    mend: Sequence[tuple[str, str]] = ()
    says: Sequence[str] = ()
    count: int = 1

    @property
    def text(self) -> str:
        return GOOD.replace(self.meant, self.typed)

    @property
    def place(self) -> int:
        return GOOD[: GOOD.index(self.meant)].count("\n") + self.line


MISTAKES = [Mistake(**each) for each in yaml.safe_load((FOLDER / "mistakes.yaml").read_text())]
MENDED = [mistake for mistake in MISTAKES if mistake.mend]
INDENTED = re.compile(r"begins? (?:the line )?with (\d+|no) spaces?: `(.*)`\.", re.IGNORECASE)


def lint(text: str, policy: Policy | None = None) -> Sequence[Problem]:
    try:
        learned = learned_of(policy) if policy else None
        return parse_policy(text, file="p.yaml", today=TODAY, learned=learned).warnings
    except PolicyError as error:
        return error.problems


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_mistake_is_said_once_in_its_line_with_the_text_mended(mistake: Mistake) -> None:
    assert GOOD.count(mistake.meant) == 1
    problems = lint(mistake.text)
    assert len(problems) == mistake.count
    assert problems[0].line == mistake.place
    said = "\n".join(str(problem) for problem in problems)
    for part in (*mistake.says, *(written for _, written in mistake.mend)):
        assert part in said
    assert said.count("\n") == mistake.count - 1  # a finding is a line


@pytest.mark.parametrize("mistake", MENDED, ids=lambda mistake: mistake.name)
def test_what_lint_writes_gives_the_policy_that_was_meant(mistake: Mistake) -> None:
    typed = mistake.typed
    for wrong, written in mistake.mend:
        assert wrong in typed
        assert any(written in problem.fix for problem in lint(mistake.text))
        typed = typed.replace(wrong, written, 1)
    mended = GOOD.replace(mistake.meant, typed)
    assert lint(mended) == ()
    assert parse_policy(mended, today=TODAY).policy == parse_policy(GOOD, today=TODAY).policy


@pytest.mark.parametrize(
    "mistake", [each for each in MISTAKES if "spaces" in str(each.says)], ids=lambda each: each.name
)
def test_a_line_indented_as_lint_says_gives_the_policy_that_was_meant(mistake: Mistake) -> None:
    (problem,) = lint(mistake.text)
    match = INDENTED.search(problem.fix)
    assert match is not None
    lines = mistake.text.splitlines()
    lines[problem.line - 1] = " " * int(match[1]) + match[2]
    mended = parse_policy("\n".join(lines), today=TODAY)
    assert mended.policy == parse_policy(GOOD, today=TODAY).policy


def test_every_mistake_is_found_in_one_go() -> None:
    """One slip, mended by lint for itself, does not hide the next one."""
    text = GOOD
    names = ("closing-quote-missing-in-a-list", "decimal-comma-in-braces", "comma-missing-in-brackets", "german-date")
    chosen = [mistake for mistake in MISTAKES if mistake.name in names]
    for mistake in chosen:
        text = text.replace(mistake.meant, mistake.typed)
    assert [problem.line for problem in lint(text)] == sorted(mistake.place for mistake in chosen)


@pytest.mark.parametrize(
    "typed",
    [
        "<<<<<<< mine\n  severity: 3\n=======\n  severity: 2\n>>>>>>> theirs\n",
        '  severity: 3\n  definition: "a \\q"\n',
        "  severity: {3: [}: ]\n",
    ],
)
def test_what_no_slip_explains_gets_no_guess(typed: str) -> None:
    (problem,) = lint(GOOD.replace("  severity: 3\n", typed))
    assert problem.code == "yaml-syntax"
    assert "`" not in problem.fix


def test_a_large_file_is_not_searched_for_slips() -> None:
    text = GOOD.replace('a rifle or shotgun"', "a rifle or shotgun") + "# a remark\n" * (MAX_MENDED // 10)
    (problem,) = lint(text)
    assert "`" not in problem.fix


def test_a_section_pasted_too_far_right_moves_as_one() -> None:
    start, end = GOOD.index("- id: tobacco"), GOOD.index("attributes:")
    section = GOOD[start:end].rstrip()
    (problem,) = lint(GOOD.replace(section, "\n".join(f"   {line}" for line in section.splitlines())))
    line = GOOD[:start].count("\n") + 1
    assert (problem.line, problem.code) == (line, "yaml-syntax")
    assert (
        f"Move lines {line} to {line + section.count(chr(10))} so that the first of them begins with no spaces"
        in problem.fix
    )


def test_a_text_over_two_lines_is_warned_about() -> None:
    (problem,) = lint(GOOD.replace("    - a toy water gun\n", "    - a toy water gun\n      a lighter\n"))
    assert (problem.severity, problem.code, problem.line) == ("warning", "wrapped-text", 24)
    assert "`- a toy water gun` and `- a lighter`" in problem.fix


# Below: the same slips in policies that nobody wrote.


def write_block(value: object, indent: int = 0) -> str:
    """Write a document as people do: a key or an item a line, texts in double quotes, small maps in braces."""
    pad = " " * indent
    if isinstance(value, Mapping):
        return "".join(f"{pad}{key}:{_after_key(inner, indent)}" for key, inner in value.items())
    assert isinstance(value, list)
    return "".join(f"{pad}- {_item(inner, indent)}" for inner in value)


def _after_key(value: object, indent: int) -> str:
    if not value or not isinstance(value, Mapping | list):
        return f" {json.dumps(value, ensure_ascii=False)}\n"
    return f"\n{write_block(value, indent + 2)}"


def _item(value: object, indent: int) -> str:
    if isinstance(value, Mapping) and len(value) > 2:  # a concept; conditions are written in braces
        return write_block(value, indent + 2).lstrip(" ")
    return f"{_braces(value)}\n"


def _braces(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_braces(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def tame(value: object, key: str = "") -> object:
    """Return a document whose texts are plain words, all different."""
    if isinstance(value, Mapping):
        return {name: tame(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [tame(inner, key) for inner in value]
    if isinstance(value, str) and key in ("prompts", "negatives", "text", "definition", "description", "owner"):
        return "a thing of the kind " + "".join(f"{ord(letter):x}" for letter in value)
    return value


class Hand(NamedTuple):
    """A slip: where it may happen, and what the line becomes."""

    name: str
    where: str
    becomes: str


HANDS = (
    Hand("closing quote", r'(\s*(?:- |\w+: )"[^"\\]+)"', r"\1"),
    Hand("long dash", r"(\s+)- (\".*\")", r"\1– \2"),  # noqa: RUF001
    Hand("tight dash", r"(\s+)- (\".*\")", r"\1-\2"),
    Hand("curly quotes", r'(\s*(?:- |(?:definition|owner): ))"([^"\\]+)"', r"\1“\2”"),
    Hand("decimal comma", r"(\s*(?:review|block|gte|bias|prevalence): -?[0-9]+)\.([0-9]+)", r"\1,\2"),
    Hand("tight colon", r"(\s*(?:review|block|severity|mode|unit|pool|method)): (.+)", r"\1:\2"),
    Hand("equals sign", r"(\s*(?:review|block|severity|mode|unit)): (.+)", r"\1 = \2"),
    Hand("comma at the end", r'(.*["0-9])', r"\1,"),
    Hand("tab", r" +(\w+: .+)", "\t\\1"),
    Hand("space too many", r"( {4}(?:severity|definition|mode): .+)", r" \1"),  # a lone key may stand anywhere
    Hand("key without a colon", r"( +(?:severity|mode|definition)): (.+)", r"\1 \2"),
    Hand("brace open", r"( +- \{.*)\}", r"\1"),
    Hand("space missing in braces", r"(.*\{.*(?:gte|weight)): (.*\}.*)", r"\1:\2"),
    Hand("comma missing in braces", r"(.*\{.*), ((?:gte|weight|file): .*\}.*)", r"\1 \2"),
    Hand("capital", r"( +)severity: (.+)", r"\1Severity: \2"),
)


class Slipped(NamedTuple):
    text: str
    line: int
    hand: Hand
    policy: Policy


@st.composite
def slipped(draw: st.DrawFn, *, tamed: bool) -> Slipped:
    policy = draw(policies())
    document = policy_document(policy)
    lines = write_block(tame(document) if tamed else document).splitlines()
    hand = draw(st.sampled_from(HANDS))
    possible = [index for index, line in enumerate(lines) if re.fullmatch(hand.where, line)]
    assume(possible)
    index = draw(st.sampled_from(possible))
    lines[index] = re.sub(f"^{hand.where}$", hand.becomes, lines[index])
    return Slipped("\n".join(lines), index + 1, hand, policy)


@given(slipped(tamed=True))
@settings(deadline=None, max_examples=80)
def test_a_slip_in_any_policy_is_found_in_its_line_and_nowhere_else(slip: Slipped) -> None:
    problems = [problem for problem in lint(slip.text, slip.policy) if problem.severity is Severity.ERROR]
    assert {problem.line for problem in problems} == {slip.line}, problems


@given(slipped(tamed=False))
@settings(deadline=None, max_examples=40)
def test_a_slip_among_any_texts_is_refused_and_nothing_worse(slip: Slipped) -> None:
    assert lint(slip.text, slip.policy)
