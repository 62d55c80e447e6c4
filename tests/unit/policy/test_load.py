from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from clipwarden.errors import PolicyError, Problem, Severity
from clipwarden.policy.language import category_keys, concept_keys, keys, rules
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.schema import (
    Bounds,
    Calibration,
    Context,
    Exemption,
    Metadata,
    Method,
    Mode,
    ModelBinding,
    OnTruncated,
    Override,
    Pool,
    Prompt,
    Thresholds,
    Unit,
    Verdict,
)
from clipwarden.textfiles import findings, habits
from clipwarden.textfiles import reading as textfile
from clipwarden.textfiles import tree as yamltree
from clipwarden.textfiles.findings import Positions
from kit.policies import FINGERPRINT, FULL_POLICY

MINIMAL = """\
api: clipwarden/v1
metadata: {id: shop}
categories:
- id: weapons
  severity: 3
  definition: Real firearms.
  prompts: [a rifle]
"""


def refused(text: str) -> tuple[Problem, ...]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    return caught.value.problems


def codes(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.code for problem in problems]


def test_full_policy_is_read_field_by_field() -> None:
    policy = parse_policy(FULL_POLICY).policy
    assert policy.metadata == Metadata(
        id="full", version="1.4.0", owner="team@example.com", reason="a test", review_by=date(2999, 6, 1)
    )
    assert policy.model == ModelBinding(fingerprint=FINGERPRINT, calibration_scale=0.5)
    assert (policy.on_error, policy.on_partial) == (Verdict.BLOCK, Verdict.ALLOW)
    assert policy.contexts[0] == Context(name="hunting-shop", description="licensed sporting goods")
    weapons, drugs, retired = policy.categories
    assert weapons.thresholds == Thresholds(unit=Unit.SCORE, bounds=Bounds(review=0.55, block=0.92))
    assert weapons.exemptions == (Exemption(attribute="museum", gte=0.8),)
    assert weapons.contexts == {"hunting-shop": Override(review=0.8, block=0.99), "kids": Override(review=0.3)}
    assert (weapons.mode, drugs.mode, retired.mode) == (Mode.ENFORCE, Mode.SHADOW, Mode.DISABLED)
    assert weapons.templates == ("{}", "a photo of {}")
    assert drugs.templates == ("a screenshot of {}",)
    assert (drugs.method, drugs.pool) == (Method.COSINE, Pool.LSE)
    assert drugs.prompts == (Prompt(text="white powder", weight=2.0), Prompt(text="a syringe"))
    assert policy.attributes[0].negatives == ("a bedroom",)


def test_full_policy_has_no_warnings() -> None:
    assert parse_policy(FULL_POLICY).warnings == ()


def test_defaults_of_a_minimal_policy() -> None:
    policy = parse_policy(MINIMAL).policy
    category = policy.categories[0]
    assert policy.model == ModelBinding(fingerprint=None, calibration_scale=1.0)
    assert (policy.on_error, policy.on_partial) == (Verdict.REVIEW, Verdict.REVIEW)
    assert policy.on_truncated is OnTruncated.REFUSE
    assert (category.mode, category.method, category.pool) == (Mode.SHADOW, Method.MARGIN, Pool.MAX)
    assert category.templates == ("{}",)
    assert category.thresholds is None
    assert policy.contexts == policy.attributes == ()


def test_calibration_is_read() -> None:
    fitted = "sha256:" + "1" * 64
    text = MINIMAL + f'  calibration: {{bias: -2.1, prevalence: 0.01, fitted_on: "{fitted}"}}\n'
    calibration = parse_policy(text).policy.categories[0].calibration
    assert calibration == Calibration(bias=-2.1, prevalence=0.01, fitted_on=fitted)


def test_every_problem_is_found_in_one_pass_and_in_file_order() -> None:
    text = """\
api: clipwarden/v9
metadata: {id: "no spaces", version: 1.10}
model: {fingerprint: abc}
defaults: {mode: on, on_error: maybe, templates: ["photo"]}
contexts: {kids: {description: ""}, forum: {description: x}}
categories:
- id: Weapons
  severity: 9
  prompts: a rifle
  thresholds: {unit: cosine, review: 2}
- id: b
  severity: 1
  definition: not ~
  prompts: [not a gun, NOT A GUN, {txt: a}]
  contexts: {kidz: {review: 0.5}}
attributes:
- id: b
  prompts: []
"""
    problems = refused(text)
    assert len(problems) >= 18
    places = [(problem.line, problem.column) for problem in problems]
    assert places == sorted(places)
    expected = {
        "bad-version", "bad-id", "yaml-trap", "bad-digest", "unknown-value", "bad-template", "empty-value",
        "out-of-range", "missing-key", "wrong-type", "unit-mismatch", "duplicate-text", "unknown-key",
        "context-without-thresholds", "unknown-context", "duplicate-id", "unused-context", "negation",
    }  # fmt: skip
    assert set(codes(problems)) == expected


def test_one_mistake_is_reported_once() -> None:
    # A broken value must not also count as missing, unenforced or crossed.
    text = MINIMAL.replace("[a rifle]", "[a rifle]\n  mode: enforce\n  thresholds: {unit: score, review: x, block: y}")
    problems = refused(f'model: {{fingerprint: "{FINGERPRINT}"}}\n' + text)
    assert codes(problems) == ["wrong-type", "wrong-type"]


def test_broken_fingerprint_is_not_also_missing() -> None:
    text = MINIMAL + "  mode: enforce\n  thresholds: {unit: score, block: 0.9}\nmodel: {fingerprint: abc}\n"
    assert codes(refused(text)) == ["bad-digest"]


@pytest.mark.parametrize("method", ["margn", "softmax"])
def test_unknown_method_does_not_spread(method: str) -> None:
    text = (
        MINIMAL + f"  scoring: {{method: {method}}}\n  negatives: [a toy]\n  thresholds: {{unit: cosine, block: 0.3}}\n"
    )
    assert len(refused(text)) == 1


def test_broken_parts_leave_the_rest_checked() -> None:
    text = MINIMAL + (
        "  scoring: 3\n  calibration: []\n  thresholds: high\n  exemptions: [1, {effect: block_to_review}]\n"
        "  contexts: [a]\n"
        "attributes: museum\ncontexts: shop\nmodel: 1\ndefaults: 2\n"
    )
    problems = refused(text.replace("{id: shop}", "shop"))
    assert codes(problems).count("wrong-type") == 10
    assert codes(problems).count("missing-key") == 1
    assert len(problems) == 11


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("  mode: [shadow]", "wrong-type"),
        ("  mode:", "empty-value"),
        ("  templates: [[a]]", "wrong-type"),
        ("  thresholds: {unit: score, block: [0.5]}", "wrong-type"),
        ("  *a : 1", "alias"),
        ("  ? [a]\n  : 1", "complex-key"),
        ("attributes: [{prompts: [a museum]}]", "missing-key"),
        ("attributes: [{id: 1, prompts: [a museum]}]", "yaml-trap"),
        ("attributes: [{id: museum}]", "missing-key"),
    ],
)
def test_value_of_the_wrong_kind_is_one_problem(line: str, code: str) -> None:
    assert codes(refused(MINIMAL + line + "\n")) == [code]


@pytest.mark.parametrize(
    ("line", "home"),
    [
        ("  review: 0.5", "thresholds"),
        ("  gte: 0.5", "when"),
        ("  file: x", "scoring"),
        ("  weight: 2", "prompts"),
        ("  fitted_on: x", "calibration"),
        ("  on_error: block", "defaults"),
        ("  calibration_scale: 1", "model"),
        ("mode: shadow", "defaults"),
        ("negatives: [a toy]", "categories"),
    ],
)
def test_misplaced_key_is_told_where_it_belongs(line: str, home: str) -> None:
    (problem,) = refused(MINIMAL + line + "\n")
    move = "" if "[" in line else f": move `{line.strip()}` there"
    assert (problem.code, problem.fix) == ("unknown-key", f"It belongs under `{home}`{move}.")


def test_refused_numbers_of_adjustments_are_not_compared() -> None:
    text = MINIMAL + (
        "  scoring: {method: cosine}\n"
        "  adjustments: [{when: {attribute: a, gte: 0.1}, add: 5}, {when: {attribute: a, gte: 0.2}, add: 0.1}]\n"
        "attributes: [{id: a, prompts: [b], scoring: {method: cosine}}]\n"
    )
    assert codes(refused(text)) == ["out-of-range"]


@pytest.mark.parametrize("day", ["soon", "[2027-01-01]", "", "2027-1-1", "20270101"])
def test_review_by_must_be_a_day(day: str) -> None:
    assert len(refused(MINIMAL.replace("id: shop", f"id: shop, review_by: {day}"))) == 1


def test_categories_must_be_there() -> None:
    assert codes(refused("api: clipwarden/v1\nmetadata: {id: a}\n")) == ["missing-key"]


def test_missing_metadata_id() -> None:
    assert codes(refused(MINIMAL.replace("{id: shop}", "{}"))) == ["missing-key"]


def test_white_space_of_texts_is_tidied() -> None:
    text = MINIMAL.replace("[a rifle]", '["  a   rifle "]').replace("Real firearms.", "|\n    Real\n    firearms.\n")
    category = parse_policy(text).policy.categories[0]
    assert category.prompts[0].text == "a rifle"
    assert category.definition == "Real firearms."


def test_json_is_a_policy_too() -> None:
    text = (
        '{"api":"clipwarden/v1","metadata":{"id":"a"},"categories":'
        '[{"id":"b","severity":1,"definition":"d","prompts":["p"],"thresholds":{"unit":"score","block":1e-05}}]}'
    )
    thresholds = parse_policy(text).policy.categories[0].thresholds
    assert thresholds is not None
    assert thresholds.bounds == Bounds(block=1e-5)


@pytest.mark.parametrize("number", ["0.5", ".5", "+0.5", "5e-1", "0.50"])
def test_plain_decimal_numbers_are_read(number: str) -> None:
    text = MINIMAL + f"  thresholds: {{unit: score, block: {number}}}\n"
    thresholds = parse_policy(text).policy.categories[0].thresholds
    assert thresholds is not None
    assert thresholds.bounds.block == 0.5


def test_minus_zero_is_zero() -> None:
    text = MINIMAL + "  scoring: {method: cosine}\n  thresholds: {unit: cosine, block: -0.0}\n"
    thresholds = parse_policy(text).policy.categories[0].thresholds
    assert thresholds is not None
    assert str(thresholds.bounds.block) == "0.0"


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf" + MINIMAL.encode(), MINIMAL.replace("\n", "\r\n").encode()])
def test_files_of_other_editors_are_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(data)
    assert load_policy(path).policy.metadata.id == "shop"


def test_place_of_bad_byte_after_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xef\xbb\xbfapi: \xff")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert (caught.value.problems[0].line, caught.value.problems[0].column) == (1, 6)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_unreadable_file_is_a_problem(tmp_path: Path, name: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / name)
    assert codes(caught.value.problems) == ["unreadable"]


def test_too_large_file_is_refused_unparsed(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"#" * (textfile.MAX_BYTES + 1))
    with pytest.raises(PolicyError) as caught:
        load_policy(str(path))
    assert codes(caught.value.problems) == ["too-large"]


def test_alias_bomb_costs_nothing() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    assert {"anchor", "alias"} <= set(codes(refused(bomb)))


def test_a_directive_beyond_numbers_is_a_problem() -> None:
    assert codes(refused(f"%YAML {'9' * 5000}.1\n---\na: 1\n")) == ["yaml-syntax"]


def test_findings_are_bounded() -> None:
    many = MINIMAL + "".join(f"key{index}: 1\n" for index in range(findings.MAX_PROBLEMS + 50))
    assert len(refused(many)) == findings.MAX_PROBLEMS


def test_tabs_throughout_are_a_few_findings() -> None:
    assert codes(refused("\t\n" * 300_000)) == ["tab"] * habits.MAX_TAB_FINDINGS


def test_values_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamltree, "MAX_NODES", 20)
    assert codes(refused("a: [" + "b," * 30 + "]")) == ["too-many"]


@pytest.mark.parametrize("text", ["1_" * 100_000 + "x", "1" * 100_000, "1:" * 100_000 + "x", "x" * 100_000])
def test_endless_values_are_refused_briefly(text: str) -> None:
    for line in (f"severity: {text}", f"mode: {text}", f"{text[:900]}: 1", f"reason_code: {text}"):
        problems = refused(MINIMAL.replace("severity: 3", line))
        assert all(len(str(problem)) < 600 for problem in problems)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (MINIMAL.replace("[a rifle]", str([f"gun {index}" for index in range(concept_keys.MAX_PROMPTS + 1)])), 1),
        (MINIMAL + f"  negatives: {[f'toy {index}' for index in range(concept_keys.MAX_PROMPTS + 1)]}\n", 1),
        (MINIMAL + f"  templates: {[f'{index} {{}}' for index in range(concept_keys.MAX_TEMPLATES + 1)]}\n", 1),
        (MINIMAL + f"attributes: {[f'a{index}' for index in range(keys.MAX_CONCEPTS + 1)]}\n", 1),
        (
            MINIMAL
            + "contexts:\n"
            + "".join(f"  c{index}: {{description: x}}\n" for index in range(category_keys.MAX_CONTEXTS + 1)),
            1,
        ),
    ],
)
def test_lists_are_bounded(text: str, count: int) -> None:
    assert codes(refused(text)).count("too-many") == count


def test_expansion_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_EMBEDDED_TEXTS", 3)
    text = MINIMAL.replace("[a rifle]", '[a rifle, a pistol]\n  templates: ["{}", "a {}"]')
    assert codes(refused(text)) == ["too-many"]


# Warnings.


def warnings(text: str, today: date | None = None) -> list[tuple[str, int, int]]:
    found = parse_policy(text, today=today).warnings
    assert all(problem.severity is Severity.WARNING for problem in found)
    return [(problem.code, problem.line, problem.column) for problem in found]


def test_overdue_policy_is_a_warning_from_the_day_after() -> None:
    text = MINIMAL.replace("id: shop", "id: shop, review_by: 2027-06-01")
    assert warnings(text, date(2027, 6, 1)) == []
    assert warnings(text, date(2027, 6, 2)) == [("review-overdue", 2, 33)]


def test_overdue_is_judged_by_the_clock_when_no_day_is_given() -> None:
    text = MINIMAL.replace("id: shop", "id: shop, review_by: 2000-01-01")
    assert datetime.now(tz=UTC).year > 2000
    assert warnings(text) == [("review-overdue", 2, 33)]


def test_unused_context_is_a_warning() -> None:
    assert warnings(MINIMAL + "contexts: {kids: {description: x}}\n") == [("unused-context", 8, 18)]


def test_exemption_that_never_acts_is_a_warning() -> None:
    text = MINIMAL + (
        "  thresholds: {unit: score, review: 0.5}\n"
        "  exemptions: [{when: {attribute: museum, gte: 0.5}}]\n"
        "attributes: [{id: museum, prompts: [a museum]}]\n"
    )
    assert warnings(text) == [("idle-exemption", 9, 15)]


def test_exemption_from_a_context_s_block_acts() -> None:
    text = MINIMAL + (
        "  thresholds: {unit: score, review: 0.5}\n"
        "  exemptions: [{when: {attribute: museum, gte: 0.5}}]\n"
        "  contexts: {kids: {block: 0.9}}\n"
        "contexts: {kids: {description: x}}\n"
        "attributes: [{id: museum, prompts: [a museum]}]\n"
    )
    assert warnings(text) == []


def test_cosine_attribute_takes_a_negative_exemption_bound() -> None:
    text = MINIMAL + (
        "  thresholds: {unit: score, block: 0.5}\n"
        "  exemptions: [{when: {attribute: museum, gte: -0.5}}]\n"
        "attributes: [{id: museum, prompts: [a museum], scoring: {method: cosine}}]\n"
    )
    assert warnings(text) == []


@pytest.mark.parametrize(
    "text", ["no gun", "a table without a gun", "it isn't a gun", "it isn\u2019t one", "Never a gun"]
)
def test_negation_is_a_warning(text: str) -> None:
    assert warnings(MINIMAL.replace("[a rifle]", f'["{text}"]')) == [("negation", 7, 13)]


@pytest.mark.parametrize("text", ["a notebook", "a knot", "a nose", "nothingness", "a northern town"])
def test_words_that_hold_a_negation_are_fine(text: str) -> None:
    assert warnings(MINIMAL.replace("[a rifle]", f'["{text}"]')) == []


def test_positions_fall_back_to_what_is_written() -> None:
    positions = parse_policy(MINIMAL).positions
    assert positions.find("categories", 0, "prompts", 0).line == 7
    assert positions.find("categories", 0, "negatives", 3).line == 4
    assert Positions().find("categories").line == 0
