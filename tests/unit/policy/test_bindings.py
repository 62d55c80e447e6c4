"""Numbers that do not hold are found from the fingerprint alone, and what to do is said in lines to paste."""

import re

import pytest

from clipwarden.errors import Problem
from clipwarden.policy.bundle.bindings import lint_without_model
from clipwarden.policy.bundle.lint import lint_with_model
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.language.load import parse_policy
from clipwarden.textfiles.findings import in_file_order
from clipwarden.vision.plan import WHOLE
from kit.lines import chosen_text
from kit.policies import FINGERPRINT, FULL_POLICY, FakeModel

IN_SHADOW = FULL_POLICY.replace("  mode: enforce\n", "  mode: shadow\n")
BLIND = IN_SHADOW.replace(f'fingerprint: "{FINGERPRINT}", ', "")
EXPLAIN = "`clipwarden moderate FOLDER --policy 'my shop.yaml' --explain`"
PUT_BACK = "Put back what changed (`clipwarden diff OLD 'my shop.yaml'` says what, OLD being a version that held)"
REFIT = "`clipwarden tune 'my shop.yaml' --store STORE --labels LABELS --refit --write"
NO_BAND = "it has no band until that is mended, and shadow verdicts say that they are incomplete."


def found(text: str) -> list[Problem]:
    """Return what is said of numbers that do not hold."""
    loaded = parse_policy(text, file="my shop.yaml")
    problems = lint_without_model(loaded.policy, loaded.positions)
    return [each for each in problems if each.code not in {"uncalibrated-thresholds", "calibration-without-thresholds"}]


def filled_in(fix: str) -> str:
    """Write words where a line to paste has dots."""
    return fix.replace('"..."', '"somebody looked"')


def calibrated(text: str) -> str:
    """Give `weapons` a calibration that holds."""
    policy = parse_policy(text).policy
    right = fit_digest(policy.categories[0], fingerprint=FINGERPRINT, calibration_scale=0.5, plan=policy.plan)
    line = f'  calibration: {{bias: -2.5, prevalence: 0.1, fitted_on: "{right}"}}\n  reason_code'
    return text.replace("  reason_code", line)


def place(text: str, part: str) -> tuple[int, int]:
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def test_numbers_that_hold_are_no_finding() -> None:
    assert found(chosen_text(FULL_POLICY)) == []
    assert found(chosen_text(calibrated(FULL_POLICY))) == []


@pytest.mark.parametrize(("text", "severity"), [(FULL_POLICY, "error"), (IN_SHADOW, "warning")])
def test_thresholds_that_say_nothing_are_told_with_the_line_to_add(text: str, severity: str) -> None:
    weapons, drugs = found(text)
    assert (weapons.severity, weapons.code) == (severity, "unbound-thresholds")
    assert (weapons.line, weapons.column) == place(text, "{unit: score, review: 0.55")
    assert drugs.severity == "warning"
    assert drugs.message == f'Nothing says what the thresholds of "drugs.hard" were chosen on; {NO_BAND}'
    assert drugs.fix.startswith(f"Compare them with the scores of your images ({EXPLAIN}), and add to them `chosen_on:")
    assert ("approved_by" in weapons.fix) == ("or write `mode: shadow`" in weapons.fix) == (severity == "error")
    for problem in (weapons, drugs):
        line = re.search(r"`(chosen_on: \{.*?\})`", filled_in(problem.fix))
        assert line is not None
        text = re.sub(r"(block: 0.92|review: 0.2)\}", lambda own: f"{own[1]}, {line[1]}}}", text, count=1)  # noqa: B023
    assert found(text) == []


def test_an_edit_is_told_where_the_digest_stands() -> None:
    text = chosen_text(FULL_POLICY).replace('"a toy water gun"', '"a toy water gun", "a banana"')
    (problem,) = found(text)
    assert (problem.line, problem.column) == place(text, '"sha256:' + parse_digest(text))
    assert problem.message == (
        'The thresholds of "weapons" were chosen on another calibration, other texts, scoring, views or numbers, or '
        "another model, and an enforced verdict rests on it."
    )
    assert problem.fix.startswith(
        f"{PUT_BACK}; or {REFIT} --approved-by NAME` chooses them again; or compare them with the scores of your "
        f"images ({EXPLAIN}, in shadow)"
    )


def parse_digest(text: str) -> str:
    thresholds = parse_policy(text).policy.categories[0].thresholds
    assert thresholds is not None
    assert thresholds.chosen_on is not None
    return thresholds.chosen_on.digest.removeprefix("sha256:")


def test_what_the_model_finds_and_what_its_name_finds_is_the_same() -> None:
    for text in (FULL_POLICY, IN_SHADOW, chosen_text(calibrated(FULL_POLICY)).replace("a rifle", "a pistol")):
        loaded = parse_policy(text)
        with_model = lint_with_model(loaded.policy, FakeModel(), loaded.positions)
        without = lint_without_model(loaded.policy, loaded.positions)
        assert in_file_order(each for each in with_model if each.code != "look-alike") == in_file_order(without)


STALE = 'calibration: {bias: 1.5, prevalence: 0.1, fitted_on: "sha256:' + "1" * 64 + '"}'


@pytest.mark.parametrize("edit", ['"a toy water gun", "a banana"', "the scale"])
def test_a_calibration_falls_with_its_thresholds_and_no_number_is_offered_for_another_scale(edit: str) -> None:
    text = chosen_text(calibrated(FULL_POLICY)).replace('"a toy water gun"', edit)
    if edit == "the scale":
        text = chosen_text(calibrated(FULL_POLICY)).replace("calibration_scale: 0.5", "calibration_scale: 3.2")
    problem = found(text)[0]
    assert (problem.severity, problem.code) == ("error", "stale-calibration")
    assert problem.fix == (
        f"{PUT_BACK}; or fit it again by labelled pictures ({REFIT} --approved-by NAME`); or write `mode: shadow`; or "
        "delete the calibration and choose thresholds on scores without it "
        f"({EXPLAIN}, in shadow), after which lint prints the line to add."
    )
    text = re.sub(r"  calibration: .*\n", "", text, count=1)
    second = found(text)[0]
    assert second.code == "unbound-thresholds"
    assert "another calibration" in second.message
    line = re.search(r"`(chosen_on: \{.*?\})`", filled_in(second.fix))
    assert line is not None
    text = re.sub(r'chosen_on: "[^"]*"', lambda _: line[1], text, count=1)
    assert not any('"weapons"' in each.message for each in found(text))
    assert [each.code for each in everything(text)] == ["uncalibrated-thresholds"]


def everything(text: str) -> list[Problem]:
    loaded = parse_policy(text)
    return [each for each in lint_without_model(loaded.policy, loaded.positions) if '"weapons"' in each.message]


def test_where_the_calibration_holds_fix_is_named_as_the_way_out() -> None:
    museum = parse_policy(FULL_POLICY).policy.attributes[0]
    right = fit_digest(museum, fingerprint=FINGERPRINT, calibration_scale=0.5, plan=WHOLE)
    held = STALE.replace("sha256:" + "1" * 64, right)
    for text, approved in ((FULL_POLICY, " --approved-by NAME"), (IN_SHADOW, "")):
        weapons = found(calibrated(text).replace('["a bedroom"]', f'["a bedroom"], {held}'))[0]
        assert weapons.fix.startswith(
            f"`clipwarden lint 'my shop.yaml' --fix{approved}` takes them over on trust, since the calibration holds; "
            "or compare them with the scores"
        )
        doubtful = found(calibrated(text))[0]  # its attribute has none
        assert "--fix" not in doubtful.fix


def test_no_digest_is_offered_that_an_attributes_own_mend_would_undo() -> None:
    weapons = found(chosen_text(FULL_POLICY).replace('["a bedroom"]', f'["a bedroom"], {STALE}'))[0]
    assert weapons.code == "unbound-thresholds"
    assert 'mend the calibration of "museum" first, after which lint prints the line to add' in weapons.fix
    assert "sha256:" not in weapons.fix


def test_in_shadow_a_fallen_calibration_says_that_its_thresholds_fall_with_it() -> None:
    (problem,) = found(chosen_text(calibrated(IN_SHADOW)).replace("a rifle", "a cannon"))
    assert (problem.severity, problem.code) == ("warning", "stale-calibration")
    assert problem.message.endswith(f", and its thresholds fall with it: {NO_BAND}")
    assert "approved_by" not in problem.fix


@pytest.mark.parametrize(("text", "severity"), [(FULL_POLICY, "error"), (IN_SHADOW, "warning")])
def test_an_attribute_that_does_not_hold_exempts_nothing(text: str, severity: str) -> None:
    (problem,) = found(chosen_text(text.replace('["a bedroom"]', f'["a bedroom"], {STALE}')))
    assert (problem.severity, problem.code) == (severity, "stale-calibration")
    assert '"museum"' in problem.message
    assert ("no exemption by it holds" in problem.message) == (severity == "warning")
    shadow = "; or write `mode: shadow` where it exempts" if severity == "error" else ""
    delete = f"; or delete the calibration and choose `gte` on its scores without it ({EXPLAIN}), after which lint"
    assert problem.fix == f"{PUT_BACK}{shadow}{delete} prints the line to add."


def test_a_calibration_without_thresholds_is_told_and_so_is_what_may_go() -> None:
    text = re.sub(r"  thresholds: \{unit: score.*\n", "", IN_SHADOW)
    text = re.sub(r"  contexts: \{hunting.*\n", "", text)
    for written in (calibrated(text), text.replace("  reason_code", f"  {STALE}\n  reason_code")):
        (problem,) = everything(written)
        assert (problem.code, problem.severity) == ("calibration-without-thresholds", "warning")
        assert "Put its `thresholds` back" in problem.fix
        assert problem.fix.endswith("or delete the calibration too.")
        assert "weapons" not in "".join(each.message for each in found(written))


def test_without_a_fingerprint_it_is_said_what_was_not_checked() -> None:
    weapons, drugs = found(BLIND)
    assert {weapons.code, drugs.code} == {"unbound-thresholds"}
    assert weapons.fix == "Check with `--model`, which prints the line to add."
    chosen = found(chosen_text(BLIND, fingerprint=FINGERPRINT))
    assert [each.code for each in chosen] == ["numbers-unchecked"] * 2
    assert all("--model" in each.fix for each in chosen)
    stale = found(BLIND.replace('["a bedroom"]', f'["a bedroom"], {STALE}'))
    assert [each.code for each in stale] == ["unbound-thresholds", "unbound-thresholds", "numbers-unchecked"]


def test_what_is_disabled_everywhere_is_not_told() -> None:
    disabled = FULL_POLICY.replace("  mode: enforce\n", "  mode: disabled\n")
    assert '"drugs.hard"' in found(disabled)[0].message
    assert not any('"weapons"' in each.message for each in found(disabled))
