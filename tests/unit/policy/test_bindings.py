"""Numbers that do not hold are found from the fingerprint alone, and what to do is said in lines to paste."""

import re

import pytest

from clipwarden.errors import Problem
from clipwarden.policy.bundle.bindings import lint_without_model
from clipwarden.policy.bundle.lint import lint_with_model
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.language.load import parse_policy
from kit.lines import chosen_text
from kit.policies import FINGERPRINT, FULL_POLICY, FakeModel

IN_SHADOW = FULL_POLICY.replace("  mode: enforce\n", "  mode: shadow\n")
BLIND = IN_SHADOW.replace(f'fingerprint: "{FINGERPRINT}", ', "")
NO_BAND = "it has no band until that is mended, and shadow verdicts say that they are incomplete."


def found(text: str) -> list[Problem]:
    loaded = parse_policy(text)
    return [*lint_without_model(loaded.policy, loaded.positions)]


def filled_in(fix: str) -> str:
    """Write words where a line to paste has dots."""
    return fix.replace('"..."', '"somebody looked"')


def calibrated(text: str) -> str:
    """Give `weapons` a calibration that holds."""
    policy = parse_policy(text).policy
    right = fit_digest(policy.categories[0], fingerprint=FINGERPRINT, calibration_scale=0.5)
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
    compare = (
        "Compare them with the scores of your images (`clipwarden moderate --explain`), and add to them `chosen_on: "
    )
    assert drugs.fix.startswith(compare)
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
        'The thresholds of "weapons" were chosen on other texts, scoring, numbers or another model, and an enforced '
        "verdict rests on it."
    )
    assert problem.fix.startswith("Put back what changed, or fit and choose again; or compare them with the")


def parse_digest(text: str) -> str:
    thresholds = parse_policy(text).policy.categories[0].thresholds
    assert thresholds is not None
    assert thresholds.chosen_on is not None
    return thresholds.chosen_on.digest.removeprefix("sha256:")


def test_what_the_model_finds_and_what_its_name_finds_is_the_same() -> None:
    for text in (FULL_POLICY, IN_SHADOW, chosen_text(calibrated(FULL_POLICY)).replace("a rifle", "a pistol")):
        loaded = parse_policy(text)
        with_model = lint_with_model(loaded.policy, FakeModel(), loaded.positions)
        of_the_model = {"uncalibrated-thresholds", "look-alike"}
        assert [each for each in with_model if each.code not in of_the_model] == found(text)


def test_thresholds_fall_with_their_calibration_and_are_offered_for_the_scores_left() -> None:
    text = chosen_text(calibrated(FULL_POLICY)).replace('"a toy water gun"', '"a toy water gun", "a banana"')
    (problem,) = found(text)
    assert problem.code == "stale-calibration"
    # 0.55 at a bias of -2.5 is sigmoid(logit(0.55) + 2.5), and so on.
    assert "`thresholds: {unit: score, review: 0.9371, block: 0.9929" in problem.fix
    assert (
        ", and under `contexts` write 0.8393 for 0.3, 0.9799 for 0.8, 0.999172 for 0.99; or write `mode: shadow`."
        in problem.fix
    )
    line = re.search(r"`(thresholds: \{.*?\}\})`", filled_in(problem.fix))
    assert line is not None
    text = re.sub(r"  thresholds: \{unit: score.*\n", lambda _: f"  {line[1]}\n", text)
    text = re.sub(r"  calibration: .*\n", "", text)
    for old, new in (("review: 0.3}", "review: 0.8393}"), ("review: 0.8,", "review: 0.9799,"), ("0.99}", "0.999172}")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert found(text) == []


def test_in_shadow_a_fallen_calibration_says_that_its_thresholds_fall_with_it() -> None:
    (problem,) = found(chosen_text(calibrated(IN_SHADOW)).replace("a rifle", "a cannon"))
    assert (problem.severity, problem.code) == ("warning", "stale-calibration")
    assert problem.message.endswith(f", and its thresholds fall with it: {NO_BAND}")
    assert "approved_by" not in problem.fix


STALE = 'calibration: {bias: 1.5, prevalence: 0.1, fitted_on: "sha256:' + "1" * 64 + '"}'


@pytest.mark.parametrize(("text", "severity"), [(FULL_POLICY, "error"), (IN_SHADOW, "warning")])
def test_an_attribute_that_does_not_hold_exempts_nothing(text: str, severity: str) -> None:
    (problem,) = found(chosen_text(text.replace('["a bedroom"]', f'["a bedroom"], {STALE}')))
    assert (problem.severity, problem.code) == (severity, "stale-calibration")
    assert '"museum"' in problem.message
    assert ("no exemption by it holds" in problem.message) == (severity == "warning")
    shadow = "; or write `mode: shadow` where it exempts" if severity == "error" else ""
    assert problem.fix.endswith(f"; or delete the calibration, and under `gte` write 0.4716 for 0.8{shadow}.")


def test_a_calibration_that_nothing_rests_on_may_go() -> None:
    text = re.sub(r"  thresholds: \{unit: score.*\n", "", IN_SHADOW)
    text = re.sub(r"  contexts: \{hunting.*\n", "", text).replace("  reason_code", f"  {STALE}\n  reason_code")
    problem = found(text)[0]
    assert (problem.code, problem.severity) == ("stale-calibration", "warning")
    assert problem.message.endswith("; it is not used.")
    assert problem.fix.endswith("; or delete the calibration.")


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
