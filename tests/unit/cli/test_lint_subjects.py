"""Identity in a prompt: refused by `lint`, passed with a warning by whatever loads a policy; and minors, by all."""

import json
import logging
from pathlib import Path

import pytest

from clipwarden.engine.snapshot import load_snapshot
from kit.cli import Run

SHADOW = """\
api: clipwarden/v1
metadata: {{id: subjects}}
categories:
- id: colour.red
  severity: 3
  definition: "Red."
  prompts: ["red", "{prompt}"]
  {waive}
"""
WAIVE = 'waive: [{rule: identity, texts: [a muslim smoking], reason: "a history archive", approved_by: m.okafor}]'
NAMES = 'names who somebody is, by "muslim" (religion)'


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    file = tmp_path / "identity.yaml"
    file.write_text(SHADOW.format(prompt="a muslim smoking", waive=""))
    return file


@pytest.fixture
def approved(tmp_path: Path) -> Path:
    file = tmp_path / "approved.yaml"
    file.write_text(SHADOW.format(prompt="a muslim smoking", waive=WAIVE))
    return file


@pytest.fixture
def minors(tmp_path: Path) -> Path:
    file = tmp_path / "minors.yaml"
    file.write_text(SHADOW.format(prompt="a child smoking", waive=""))
    return file


def test_lint_refuses_identity_and_offers_the_author_s_own_text(run: Run, identity: Path) -> None:
    result = run("lint", identity)
    assert result.exit_code == 3
    assert result.stdout.startswith(f'{identity}:7:20: error: "a muslim smoking" {NAMES}; ')
    assert 'Write "a person smoking"; or, if somebody answers for it, add `waive: ' in result.stdout
    assert result.stderr == "1 policy checked: 1 error.\n"


def test_lint_with_a_model_refuses_it_too(run: Run, identity: Path, toy_folder: Path) -> None:
    result = run("lint", identity, "--model", toy_folder)
    assert result.exit_code == 3
    assert result.stdout.count("[identity]") == 1


def test_lint_refuses_it_beside_errors_of_loading(run: Run, identity: Path) -> None:
    identity.write_text(identity.read_text().replace("severity: 3", "severity: 9"))
    result = run("lint", identity)
    assert [line.split(": ")[1] for line in result.stdout.splitlines()] == ["error", "error"]


def test_json_marks_what_only_lint_refuses(run: Run, identity: Path, minors: Path) -> None:
    result = run("lint", identity, minors, "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(each["code"], each["severity"], each["strict"]) for each in found] == [
        ("identity", "error", True),
        ("minors", "error", False),
    ]


def test_a_waived_finding_is_a_note_and_nothing_to_mend(run: Run, approved: Path) -> None:
    result = run("lint", approved, "--strict")
    assert result.exit_code == 0
    assert f'approved.yaml:7:20: note: "a muslim smoking" {NAMES}' in result.stdout
    assert 'Waived here by m.okafor: "a history archive". [identity]' in result.stdout
    assert result.stderr.startswith("1 policy checked: nothing to mend, 1 note; ")
    (line,) = run("lint", approved, "--json").stdout.splitlines()
    assert json.loads(line)["severity"] == "note"


def test_compile_goes_on_with_a_warning_and_lint_refuses_the_bundle(
    run: Run, identity: Path, toy_folder: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "identity.bundle"
    compiled = run("compile", identity, "--model", toy_folder, "-o", bundle)
    assert compiled.exit_code == 0
    assert f'warning: "a muslim smoking" {NAMES}' in compiled.stderr
    linted = run("lint", bundle)
    assert linted.exit_code == 3
    assert f'error: "a muslim smoking" {NAMES}' in linted.stdout


def test_a_bundle_carries_the_waiver(run: Run, approved: Path, toy_folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "approved.bundle"
    assert run("compile", approved, "--model", toy_folder, "-o", bundle).exit_code == 0
    result = run("lint", bundle, "--strict")
    assert result.exit_code == 0
    assert 'Waived here by m.okafor: "a history archive". [identity]' in result.stdout


def test_moderate_goes_on(run: Run, identity: Path, toy_folder: Path, pictures: Path) -> None:
    result = run("moderate", pictures / "blue.png", "--model", toy_folder, "--policy", identity)
    assert result.exit_code == 0, result.output


def test_a_server_loads_it_and_logs_the_warning_once(
    identity: Path, approved: Path, toy_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="clipwarden"):
        snapshot = load_snapshot(str(toy_folder), [str(identity)])
    assert list(snapshot.tables) == ["subjects"]
    assert [NAMES in record.getMessage() for record in caplog.records].count(True) == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="clipwarden"):
        load_snapshot(str(toy_folder), [str(approved)])
    assert not any(NAMES in record.getMessage() for record in caplog.records)


def test_minors_stop_everything(run: Run, minors: Path, toy_folder: Path, pictures: Path, tmp_path: Path) -> None:
    refusal = '"a child smoking" is about minors, by "child", whom no prompt may name.'
    assert run("lint", minors).exit_code == 3
    for command in (
        ("compile", minors, "--model", toy_folder, "-o", tmp_path / "minors.bundle"),
        ("moderate", pictures / "blue.png", "--model", toy_folder, "--policy", minors),
        ("serve", "--check", "--model", toy_folder, "--policy", minors),
    ):
        result = run(*command)
        assert getattr(result.exception, "problems", ()) or result.exit_code == 3, command
        assert refusal in result.output + str(result.exception), command
