"""Slips of the hand, in `mistakes/` and at random: found in their line, said once, and mended by what lint writes."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clipwarden.errors import PolicyError, Problem, Severity
from clipwarden.policy.language.dump import policy_document
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.schema import Policy
from clipwarden.policy.shipped import shipped_policy
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


def errors(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


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
    "mistake", [each for each in MISTAKES if re.search("[2-9] spaces", str(each.says))], ids=lambda each: each.name
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


PAIRS = random.Random(6).sample(list(combinations(MISTAKES, 2)), 100)  # noqa: S311  the same pairs in every run


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].name}+{pair[1].name}")
def test_two_mistakes_are_said_as_each_alone(pair: tuple[Mistake, Mistake]) -> None:
    """A slip may be beside any other: none may change what is said of the other, or add to it."""
    first, second = pair
    text = first.text
    if text.count(second.meant) != 1 or BESIDE & {first.name, second.name}:
        return
    said = said_of(text.replace(second.meant, second.typed))
    assert said == said_of(first.text) | said_of(second.text)


BESIDE = frozenset({"two-versions-met", "categories-twice", "two-prompts-behind-one-dash"})
"""What stands beside these is read another time: nobody knows which lines will be left."""


@cache
def said_of(text: str) -> frozenset[str]:
    """Return what lint says, without line numbers."""
    said = (f"{problem.message} {problem.fix}" for problem in lint(text))
    return frozenset(re.sub(r"[Ll]ines? [0-9]+( to [0-9]+)?", "line N", each) for each in said)


STICKERS = shipped_policy("stickers").read_text()
LONG_SLIPS = {
    "quote": (r'", ', ", "),
    "last quote": (r'"\]', "]"),
    "bracket": (r"\]", ""),
    "comma": (r'", "', '" "'),
    "semicolon": (r'", "', '"; "'),
    "comma twice": (r'", "', '", , "'),
    "equals": (": ", " = "),
    "tight": (": ", ":"),
    "round": (r"\[(.*)\]", r"(\1)"),
}


@pytest.mark.parametrize("key", ["prompts", "negatives"])
@pytest.mark.parametrize("slip", LONG_SLIPS)
def test_a_long_line_is_shown_whole_and_mends_the_shipped_policy(slip: str, key: str) -> None:
    lines = STICKERS.splitlines()
    index = max((at for at, line in enumerate(lines) if line.startswith(f"  {key}:")), key=lambda at: len(lines[at]))
    lines[index] = re.sub(*LONG_SLIPS[slip], lines[index], count=1)
    (problem,) = errors(lint("\n".join(lines)))
    assert problem.line == index + 1
    written = re.search(r"`(.*)`", problem.fix)
    assert written is not None
    lines[index] = f"  {written[1]}"
    assert lines == STICKERS.splitlines()  # what is pasted gives the policy that was meant


def test_of_a_line_too_long_to_show_the_slip_alone_is_told() -> None:
    texts = ", ".join(f'"a thing of kind {number}"' for number in range(40))
    typed = texts.replace('kind 20"', "kind 20")
    (problem,) = errors(lint(GOOD.replace('["a cigarette", "a cigar"]', f"[{typed}]")))
    column = len("  prompts: [") + typed.index("kind 20") + len("kind 20") + 1
    assert problem.fix == f'Write " at column {column} of this line, before what stands there.'


HABITS = {
    "tabs": (
        lambda text: re.sub(r"(?m)^ +", lambda blanks: "\t" * (len(blanks[0]) // 2), text),
        "each tab by 2 spaces",
    ),
    "soft spaces": (lambda text: re.sub(r"(?m)^  ", "\u00a0\u00a0", text), "all by plain spaces"),
    "soft spaces behind colons": (lambda text: text.replace(": ", ":\u00a0"), "all by plain spaces"),
    "soft spaces at the end": (lambda text: text.replace("\n", "\u00a0\n"), "all by plain spaces"),
    "long dashes": (lambda text: re.sub(r"(?m)^( *)- ", r"\1– ", text), "dash of the keyboard"),  # noqa: RUF001
    "tight colons": (lambda text: re.sub(r"(?m)^(  +\w+): ", r"\1:", text), "space behind each colon"),
    "equals signs": (lambda text: re.sub(r"(?m)^(  +\w+): ", r"\1 = ", text), "colon and a space"),
    "mail": (lambda text: re.sub(r"(?m)^", "> ", text.rstrip()), "on all 46 lines"),
    "fences": (lambda text: f"```yaml\n{text}```\n", "Delete lines 1 and 48"),
}


@pytest.mark.parametrize("habit", HABITS)
def test_what_runs_through_a_file_is_said_once(habit: str) -> None:
    typed, said = HABITS[habit]
    (problem,) = lint(typed(GOOD))
    assert said in problem.fix


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"{\\rtf1", b"\xd0\xcf\x11\xe0", b"%PDF-1"])
def test_a_document_of_another_program_is_told_as_such(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(start + GOOD.encode())
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    (problem,) = caught.value.problems
    assert problem.code == "not-text"
    assert "plain text" in problem.fix


@pytest.mark.parametrize(
    "text",
    ["a rifle, seen from above", "a red, white and blue flag", "a gun, seen at night, in a street", "a 24/7 shop"],
)
def test_commas_that_part_no_things_are_no_list(text: str) -> None:
    assert lint(GOOD.replace("a rifle or shotgun", text)) == ()


@pytest.mark.parametrize("typed", ["review: soon", "review: ''", "reveiw_by: x", "thresholds: high", "waive: x"])
def test_no_value_is_offered_that_the_author_did_not_write(typed: str) -> None:
    problems = lint(GOOD.replace("  severity: 1\n", f"  severity: 1\n  {typed}\n"))
    foreign = re.compile(r"0\.55|0\.92|20[0-9]{2}-|legal@|archive")
    assert problems
    assert not any(foreign.search(problem.fix) for problem in problems)


SOUND = {
    "a paragraph begins with an ideographic space": "|\n    \u3000一段\n    \u3000二段",
    "a price in a block": "|\n    Preis:\u00a05 EUR",
    "a line of a folded text ends with a soft space": ">\n    eins\u00a0\n    zwei",
    "brackets in a block": "|\n    a [b,\u00a0c]",
    "a quoted text goes on with >": '"eins\n> zwei"',
    "a quoted text goes on with a soft space": '"eins\n    \u00a0zwei"',
    "a tab in a block": "|\n    eins\n    \tzwei",
    "brackets in a plain text": "a [gun,\u00a0pistol]",
    "a plain text ends with a soft space": "a gun\u3000",
}


@pytest.mark.parametrize("typed", SOUND.values(), ids=SOUND)
def test_what_stands_inside_a_text_is_no_habit(typed: str) -> None:
    text = GOOD.replace('"Real firearms or blades shown as weapons."', typed)
    assert lint(text) == ()


@pytest.mark.parametrize("typed", list(SOUND.values())[:-1], ids=list(SOUND)[:-1])
def test_a_slip_elsewhere_makes_no_habit_of_what_stands_inside_a_text(typed: str) -> None:
    slip = next(mistake for mistake in MISTAKES if mistake.name == "long-dash-from-word")
    text = slip.text.replace('"Real firearms or blades shown as weapons."', typed)
    broken = text.replace("  severity: 1\n", "  severity 1\n")
    said = [problem.message for each in (text, broken) for problem in lint(each)]
    assert said
    assert not any(re.search(r"\bmails\b|non-breaking|\btabs?\b", each) for each in said)


def test_brackets_in_a_plain_item_are_no_habit() -> None:
    assert lint(GOOD.replace("- a toy water gun", "- a toy [water gun,\u00a0pistol]")) == ()


@pytest.mark.parametrize("typed", ["severity\u00a0: 3", "severity: 3\u00a0", "severity: \u00a03", "severity:\u00a03"])
def test_a_soft_space_around_a_key_or_a_number_is_answered(typed: str) -> None:
    (problem,) = lint(GOOD.replace("  severity: 3\n", f"  {typed}\n"))
    assert problem.line == GOOD[: GOOD.index("  severity: 3\n")].count("\n") + 1
    assert "`severity" in problem.fix


def test_an_item_without_its_dash_begins_where_keys_begin_to_repeat() -> None:
    text = GOOD.replace("- id: weapons\n  severity: 3\n", "- severity: 3\n  id: weapons\n")
    (problem,) = lint(text.replace("- id: tobacco\n", "  id: tobacco\n"))
    assert problem.line == text[: text.index("- id: tobacco")].count("\n") + 1
    assert "`- id: tobacco`" in problem.fix


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


TEXTS = ("prompts", "negatives", "text", "definition", "description", "owner", "author", "approved_by", "reason")


def tame(value: object, key: str = "") -> object:
    """Return a document whose texts are plain words, all different."""
    if isinstance(value, Mapping):
        return {name: tame(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [tame(inner, key) for inner in value]
    if isinstance(value, str) and key in TEXTS:
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
