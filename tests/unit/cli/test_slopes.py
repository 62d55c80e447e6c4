"""`clipwarden lint --fix --own-slopes`: calibrations with slopes of their own in a new version that judges the same."""

import json
import re
from pathlib import Path

import pytest

from clipwarden.policy.digest import fit_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.lines import choose_lines
from kit.cli import Run

SLOPES = ("--fix", "--own-slopes", "--author", "sam")


@pytest.fixture
def shared(policy_file: Path) -> Path:
    """Make a policy whose red has a calibration beside a scale of the file, and lines that hold."""
    text = policy_file.read_text().replace('"}\ndefaults', '", calibration_scale: 0.25}\ndefaults')
    policy = parse_policy(text).policy
    model = policy.model.fingerprint or ""
    fitted = fit_digest(policy.categories[0], fingerprint=model, calibration_scale=0.25, plan=policy.plan)
    calibration = f'  calibration: {{bias: -1.5, prevalence: 0.1, fitted_on: "{fitted}"}}  # in May\n'
    text = text.replace("  thresholds: {unit: score", f"{calibration}  thresholds: {{unit: score")
    for category in choose_lines(parse_policy(text).policy, model).categories:
        if category.thresholds and category.thresholds.chosen_on:
            unit, digest = category.thresholds.unit, category.thresholds.chosen_on.digest
            text = re.sub(rf'(unit: {unit}.*chosen_on: ")[^"]*', rf"\g<1>{digest}", text)
    policy_file.write_text(text)
    return policy_file


def test_two_lines_change_and_lint_finds_nothing_more(run: Run, shared: Path) -> None:
    before = shared.read_text()
    result = run("lint", shared, *SLOPES)
    assert result.exit_code == 0
    assert shared.read_text() == before
    new = shared.with_name("colours-1.1.yaml")
    changed = [line for line in new.read_text().splitlines() if line not in before.splitlines()]
    assert [line.strip().partition(":")[0] for line in changed] == ["metadata", "calibration", "thresholds"]
    assert "slope: 0.25, bias: -1.5" in changed[1]
    assert changed[1].endswith("  # in May")
    assert "It judges as before, score for score" in result.stderr
    assert f"clipwarden restore {shared} 1.1" in result.stderr
    assert load_policy(new).policy.categories[0].mode is load_policy(shared).policy.categories[0].mode


def test_what_does_not_hold_is_named_and_nothing_is_written(run: Run, shared: Path) -> None:
    shared.write_text(shared.read_text().replace('"yellow"', '"orange"').replace("mode: enforce", "mode: shadow"))
    result = run("lint", shared, *SLOPES)
    assert "No slope of its own for colour.red, since its calibration was fitted on something else" in result.stderr
    assert "no file was written" in result.stderr
    assert [*shared.parent.glob("*.yaml")] == [shared]


def test_facts_as_json(run: Run, shared: Path) -> None:
    facts = json.loads(run("lint", shared, *SLOPES, "--json").stdout.splitlines()[0])
    assert (facts["given"], facts["refused"]) == (["colour.red"], {})
    assert facts["written"] == str(shared.with_name("colours-1.1.yaml"))
    assert facts["comparison"]["voided"] == []


def test_it_is_about_what_fix_writes(run: Run, shared: Path) -> None:
    result = run("lint", shared, "--own-slopes")
    assert result.exit_code == 2
    assert "write --fix --own-slopes" in result.stderr
