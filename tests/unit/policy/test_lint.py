from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from clipwarden.errors import Problem, Severity
from clipwarden.policy.bundle import lint as lint_module
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.lint import lint_bundle, lint_with_model
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.language.load import parse_policy
from clipwarden.textfiles.findings import Positions
from kit.lines import chosen_text
from kit.policies import FINGERPRINT, FULL_POLICY, FakeModel, FakeText, FakeTokenizer, unit_vector

# Enforced without a calibration, the full policy is warned about.
IN_SHADOW = FULL_POLICY.replace("  mode: enforce\n", "  mode: shadow\n")
OTHER = "sha256:" + "cd" * 32
STALE = '{bias: 1.0, prevalence: 0.1, fitted_on: "sha256:' + "1" * 64 + '"}'


def lint(text: str, model: FakeModel, cache: VectorCache | None = None) -> list[tuple[str, str, int, int]]:
    loaded = parse_policy(chosen_text(text, fingerprint=FINGERPRINT), file="p.yaml")
    problems = lint_with_model(loaded.policy, model, loaded.positions, cache=cache)
    assert all(problem.file == "p.yaml" for problem in problems)
    return [short(problem) for problem in problems]


def short(problem: Problem) -> tuple[str, str, int, int]:
    return problem.severity.value, problem.code, problem.line, problem.column


def line_of(text: str, part: str) -> tuple[int, int]:
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def test_clean_policy_has_no_findings() -> None:
    assert lint(IN_SHADOW, FakeModel()) == []


def test_thresholds_on_scores_without_a_scale_are_warned_about_once_they_are_enforced() -> None:
    place = line_of(FULL_POLICY, "{unit: score, review: 0.55")
    assert lint(FULL_POLICY, FakeModel()) == [("warning", "uncalibrated-thresholds", *place)]


def test_linting_first_makes_compiling_free() -> None:
    cache, model = VectorCache(), FakeModel()
    loaded = parse_policy(chosen_text(FULL_POLICY))
    lint_with_model(loaded.policy, model, loaded.positions, cache=cache)
    assert model.text is not None
    model.text.seen.clear()
    compile_policy(loaded.policy, model=model, cache=cache)
    assert model.text.seen == []


def test_another_model_is_an_error_at_the_fingerprint() -> None:
    text = FULL_POLICY.replace("scoring: {method: margin, pool: max}", f"calibration: {STALE}")
    # Stale calibrations follow from the model, and would only repeat that.
    assert lint(text, FakeModel(fingerprint=OTHER)) == [
        ("error", "fingerprint-mismatch", *line_of(text, f'"{FINGERPRINT}'))
    ]


def test_truncation_counts_tokens_after_the_template() -> None:
    # "a photo of a pistol on a table" has eight words, the longest without its template has five.
    model = FakeModel(text=FakeText(tokenizer=FakeTokenizer(capacity=7)))
    assert lint(IN_SHADOW, model) == [("error", "truncated", *line_of(IN_SHADOW, '"a pistol'))]
    assert lint(IN_SHADOW, FakeModel(text=FakeText(tokenizer=FakeTokenizer(capacity=8)))) == []


def test_disabled_categories_are_not_measured() -> None:
    text = IN_SHADOW.replace("an old thing", "one two three four five six seven eight nine ten eleven twelve thirteen")
    assert lint(text, FakeModel()) == []


class OneVector(FakeText):
    """Hears the same in every text."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([unit_vector("x") for _ in texts])


def test_look_alikes_are_warned_about_at_the_negative() -> None:
    found = [each for each in lint(IN_SHADOW, FakeModel(text=OneVector())) if each[1] == "look-alike"]
    negative = line_of(IN_SHADOW, '"a toy water gun"')
    assert found == [
        ("warning", "look-alike", *negative),
        ("warning", "look-alike", *negative),
        ("warning", "look-alike", *line_of(IN_SHADOW, '"a bedroom"')),
    ]


TWINS = """\
api: clipwarden/v1
metadata: {id: twins}
categories:
- {id: weapons, severity: 3, definition: "Arms.", prompts: ["a gun", "a knife", "a firearm"]}
- {id: toys, severity: 1, definition: "Toys.", prompts: ["a toy", "one gun"], negatives: ["the knife"]}
"""


class SameThings(FakeText):
    """Hears the same in texts of the same thing."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        things = {"a firearm": "gun", "a gun": "gun", "one gun": "gun", "a knife": "knife", "the knife": "knife"}
        return np.stack([unit_vector(things.get(text, text)) for text in texts])


def test_prompts_that_say_the_same_are_warned_about_once_each_within_a_category_and_across() -> None:
    loaded = parse_policy(TWINS, file="p.yaml")
    found = lint_with_model(loaded.policy, FakeModel(text=SameThings()), loaded.positions)
    # A negative may well be what another category looks for.
    assert [short(problem) for problem in found] == [
        ("warning", "same-prompt", *line_of(TWINS, '"a firearm"')),
        ("warning", "same-prompt", *line_of(TWINS, '"one gun"')),
    ]
    assert "it adds nothing" in found[0].message
    assert '"a gun" of "weapons"' in found[1].message
    assert '"toys" fires wherever that does' in found[1].message


@pytest.mark.parametrize(("text", "heard"), [(TWINS, SameThings()), (FULL_POLICY, OneVector())])
def test_a_bundle_is_warned_of_what_its_policy_was(text: str, heard: FakeText) -> None:
    loaded, model = parse_policy(chosen_text(text, fingerprint=FINGERPRINT)), FakeModel(text=heard)
    found = lint_with_model(loaded.policy, model, loaded.positions)
    again = lint_bundle(compile_policy(loaded.policy, model=model), model, "p.bundle")
    told = {(each.code, each.message, each.fix) for each in again}
    # Of scales reading a bundle warns.
    assert told == {(each.code, each.message, each.fix) for each in found if each.code != "uncalibrated-thresholds"}
    assert told
    assert all(str(each).startswith("p.bundle: warning: ") for each in again)


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 8, 256])
def test_twins_are_found_however_many_prompts_are_compared_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lint_module, "_ROWS_AT_ONCE", at_once)
    things = ["a gun", "x", "a firearm", "y", "one gun", "a knife", "z", "the knife"]
    text = TWINS.replace('["a gun", "a knife", "a firearm"]', str(things)).replace('"one gun"', '"w"')
    loaded = parse_policy(text)
    found = lint_with_model(loaded.policy, FakeModel(text=SameThings()), loaded.positions)
    named = [problem.message.split(" is nearly ")[0] for problem in found if problem.code == "same-prompt"]
    assert named == ['"a firearm"', '"one gun"', '"the knife"']


@pytest.mark.parametrize(("mode", "severity"), [("enforce", "error"), ("shadow", "warning")])
def test_stale_calibration_weighs_by_mode(mode: str, severity: str) -> None:
    text = FULL_POLICY.replace("mode: enforce", f"mode: {mode}").replace(
        "  reason_code", f"  calibration: {STALE}\n  reason_code"
    )
    assert lint(text, FakeModel()) == [(severity, "stale-calibration", *line_of(text, '"sha256:1111'))]


def test_changing_the_scale_makes_a_fit_stale() -> None:
    policy = parse_policy(FULL_POLICY).policy
    fitted = fit_digest(policy.categories[0], fingerprint=FINGERPRINT, calibration_scale=0.5, plan=policy.plan)
    fresh = FULL_POLICY.replace(
        "  reason_code", f'  calibration: {{bias: 1.0, prevalence: 0.1, fitted_on: "{fitted}"}}\n  reason_code'
    )
    assert lint(fresh, FakeModel()) == []
    assert [found[1] for found in lint(fresh.replace("scale: 0.5", "scale: 0.6"), FakeModel())] == ["stale-calibration"]


def test_model_without_text_or_background() -> None:
    found = lint(IN_SHADOW, FakeModel(text=None, background=None))
    assert [each[1] for each in found] == ["no-text-encoder", "no-background", "no-background"]
    assert found[0][2:] == (1, 1)


def test_findings_of_a_policy_without_a_file_have_no_place() -> None:
    policy = parse_policy(chosen_text(FULL_POLICY)).policy
    problems = lint_with_model(policy, FakeModel(text=OneVector()), Positions())
    assert {(problem.line, problem.severity) for problem in problems} == {(0, Severity.WARNING)}
