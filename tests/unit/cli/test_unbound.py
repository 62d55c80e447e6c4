"""A category whose thresholds do not hold: what each command says of it, and that none passes it off as ALLOW."""

import json
from pathlib import Path

import pytest

from kit.cli import Run

EDIT = ('prompts: ["blue"]', 'prompts: ["blue", "a cat"]')
"""In shadow, even where the policy enforces."""
ENFORCED_EDIT = ('prompts: ["red"]', 'prompts: ["red", "a cat"]')
NOTICE = "Shadow verdicts are incomplete: they lack colour.blue, without thresholds that hold"


def edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return path


@pytest.fixture
def unbound(policy_file: Path) -> Path:
    """Enforces one category; the shadow one has a prompt that its thresholds were not chosen on."""
    return edit(policy_file, *EDIT)


def test_tables_mark_the_shadow_verdict_and_name_what_it_lacks(
    run: Run, unbound: Path, toy_folder: Path, pictures: Path
) -> None:
    judge = ("moderate", pictures / "blue.png", pictures / "red.png", "--model", toy_folder, "--policy", unbound)
    wide = run(*judge, columns=200)
    assert wide.exit_code == 20
    assert "ALLOW? (without colour.blue)" in wide.stdout
    assert "BLOCK? (without colour.blue)" in wide.stdout
    narrow = run(*judge, columns=90)
    assert "shadow ALLOW?" in narrow.stdout
    assert "shadow without colour.blue" in narrow.stdout
    for result in (wide, narrow):
        assert " ".join(result.stderr.split()).count(NOTICE) == 1  # once, however many images
        assert "chosen on something else" not in result.stdout  # the enforced category leads


def test_explaining_says_why_there_is_no_band(run: Run, unbound: Path, toy_folder: Path, pictures: Path) -> None:
    for columns in (90, 200):
        judge = ("moderate", pictures / "blue.png", "--model", toy_folder, "--policy", unbound, "--explain")
        text = " ".join(run(*judge, columns=columns).stdout.split())
        assert "With shadow categories enforced it would be ALLOW? (without colour.blue)." in text
        if columns > 100:
            assert "(thresholds chosen on something else)" in text


def test_json_holds_what_is_lacking_and_why(run: Run, unbound: Path, toy_folder: Path, pictures: Path) -> None:
    judge = ("moderate", pictures / "blue.png", "--model", toy_folder, "--policy", unbound, "--json")
    result = run(*judge)
    moderation = json.loads(result.stdout)["moderation"]
    assert moderation["shadow_incomplete"] == ["colour.blue"]
    red, blue, green = moderation["categories"]
    assert blue["no_band_reason"] == "NO_BAND_REASON_CHOSEN_ON_OTHER"
    assert (blue["band"], blue["threshold_unit"]) == ("VERDICT_UNSPECIFIED", "THRESHOLD_UNIT_UNSPECIFIED")
    assert not {"review_threshold", "block_threshold"} & set(blue)
    assert blue["score"] > 0
    assert red["no_band_reason"] == "NO_BAND_REASON_UNSPECIFIED"
    assert green["no_band_reason"] == "NO_BAND_REASON_NO_THRESHOLDS"
    assert NOTICE in " ".join(result.stderr.split())


def test_a_policy_that_holds_says_nothing_of_the_kind(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path
) -> None:
    result = run("moderate", pictures / "blue.png", "--model", toy_folder, "--policy", policy_file)
    assert "?" not in result.stdout
    assert "incomplete" not in result.stderr


def test_lint_refuses_without_a_model_what_loading_refuses(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    edit(policy_file, *ENFORCED_EDIT)
    lint = run("lint", policy_file)
    assert lint.exit_code == 3
    (line,) = (line for line in lint.stdout.splitlines() if line.endswith("[unbound-thresholds]"))
    load = run("moderate", pictures / "red.png", "--model", toy_folder, "--policy", policy_file)
    compiled = run("compile", policy_file, "--model", toy_folder, "-o", tmp_path / "bundle")
    assert (load.exit_code, compiled.exit_code) == (3, 3)
    assert line in " ".join(load.stderr.split())
    assert line in " ".join(compiled.stderr.split())


def test_a_bundle_keeps_what_does_not_hold_and_lint_tells_it(
    run: Run, unbound: Path, toy_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    compiled = run("compile", unbound, "--model", toy_folder, "-o", bundle)
    assert compiled.exit_code == 0
    assert "[unbound-thresholds]" in compiled.stderr
    assert run("lint", bundle).exit_code == 0
    strict = run("lint", bundle, "--strict")
    assert strict.exit_code == 3
    assert '"colour.blue"' in strict.stdout
    judged = run("moderate", pictures / "blue.png", "--model", toy_folder, "--policy", bundle, "--json")
    assert json.loads(judged.stdout)["moderation"]["shadow_incomplete"] == ["colour.blue"]


def test_chosen_by_hand_is_accepted_once_somebody_approves(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path
) -> None:
    edit(policy_file, *ENFORCED_EDIT)
    (line,) = (line for line in run("lint", policy_file).stdout.splitlines() if "[unbound-thresholds]" in line)
    pasted = line.partition("`chosen_on: ")[2].partition("`")[0]
    chosen = pasted.replace('"..."', '"seen"')
    text = policy_file.read_text()
    start = text.index('chosen_on: "')
    end = text.index('"', start + len('chosen_on: "')) + 1
    alone = chosen.replace(', approved_by: "seen"', "")
    for written, code in ((pasted, 3), (alone, 3), (chosen, 0)):
        policy_file.write_text(f"{text[:start]}chosen_on: {written}{text[end:]}")
        assert run("lint", policy_file).exit_code == code
    judged = run("moderate", pictures / "red.png", "--model", toy_folder, "--policy", policy_file)
    assert judged.exit_code == 20
