"""`clipwarden models upgrade`: a new folder, what it says of policies, and how these go on."""

import json
import re
from pathlib import Path

import pytest

from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.load import load_manifest
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.modelfolder.upgrade import plan_upgrade, write_upgrade
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.lines import unbound_lines
from clipwarden.policy.schema import By, Concept
from clipwarden.vision.plan import WHOLE
from kit.cli import Run, write_policy
from kit.lines import chosen_text
from kit.toymodel import SIDE, build_toy_model

BEFORE = Preprocessing(side=SIDE, colour="ignore")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of before colours; read-only by convention."""
    return build_toy_model(tmp_path_factory.mktemp("old") / "toy", preprocessing=BEFORE)


@pytest.fixture(scope="module")
def new(old: Path) -> Path:
    """Its upgrade; read-only by convention."""
    write_upgrade(plan_upgrade(old), old.with_name("new"))
    return old.with_name("new")


@pytest.fixture
def policy(old: Path, tmp_path: Path) -> Path:
    """Make a policy for it: red is enforced on a calibration, and exempted by an attribute that has one too."""
    path = write_policy(tmp_path / "shop.yaml", old, mode="enforce")
    text = re.sub(r', chosen_on: "[^"]*"', "", path.read_text())
    exempted = "  exemptions: [{when: {attribute: museum, gte: 0.8}, effect: block_to_review}]\n"
    text = text.replace("  contexts: {shop:", f"{exempted}  contexts: {{shop:")
    bare = parse_policy(text).policy
    red, museum = (calibration(each, old) for each in (bare.categories[0], bare.attributes[0]))
    text = text.replace("  thresholds: {unit: score", f"  {red}\n  thresholds: {{unit: score")
    path.write_text(chosen_text(text.replace('["a statue"]}', f'["a statue"], {museum}}}')))
    return path


def calibration(concept: Concept, folder: Path) -> str:
    digest = fit_digest(concept, fingerprint=fingerprint(load_manifest(folder)), calibration_scale=1.0, plan=WHOLE)
    return f'calibration: {{bias: -1.5, prevalence: 0.1, fitted_on: "{digest}"}}'


def test_a_copy_is_written_and_it_is_said_what_became_of_it(run: Run, old: Path, tmp_path: Path) -> None:
    result = run("models", "upgrade", old, "-o", tmp_path / "new")
    assert result.exit_code == 0
    before, after = (fingerprint(load_manifest(each)) for each in (old, tmp_path / "new"))
    for expected in (
        f"Fingerprint  {after}",
        f"Before       {before}",
        "as a browser shows them",
        "drift ",
        "all well",
    ):
        assert expected in result.stdout
    assert f"grep -rl {before.removeprefix('sha256:')} FOLDER" in result.stderr
    assert "as a browser shows them, whatever profile" in run("models", tmp_path / "new").stdout
    assert "`clipwarden models upgrade` mends that" in run("models", old).stdout


def test_json_says_it_too(run: Run, old: Path, new: Path, policy: Path, tmp_path: Path) -> None:
    asked = ("models", "upgrade", old, "-o", tmp_path / "new", "--policy", policy, "--policy", "default", "--json")
    record = json.loads(run(*asked).stdout)
    assert (record["folder"], record["written"]) == (str(old), str(tmp_path / "new"))
    assert (record["before"], record["after"]) == (plan_upgrade(old).before, plan_upgrade(new).before)
    assert record["verified"]["golden_drift"] < 1e-6
    ours, shipped = record["policies"]
    assert (ours["file"], ours["bound"], ours["refit"]) == (str(policy), True, True)
    assert ours["calibrations"] == ["colour.red", "museum"]
    assert ours["thresholds"] == ["colour.red", "colour.blue"]
    assert (shipped["id"], shipped["bound"], shipped["refit"]) == ("default", False, False)
    assert (shipped["calibrations"], shipped["thresholds"]) == ([], [])


def test_policies_and_bundles_hear_what_falls(run: Run, old: Path, policy: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "shop.bundle"
    assert run("compile", policy, "--model", old, "-o", bundle).exit_code == 0
    unbound = tmp_path / "unbound.yaml"
    unbound.write_text(re.sub(r"(?m)^model: .*$", "", policy.read_text()).replace("mode: enforce", "mode: shadow"))
    bare = tmp_path / "bare.yaml"
    bare.write_text(re.sub(r"(?m)^  (calibration|thresholds|contexts|exemptions): .*\n", "", policy.read_text()))
    bare.write_text(re.sub(r", calibration: \{.*?\}|mode: enforce, ", "", bare.read_text()))
    files = (policy, bundle, unbound, bare)
    result = run("models", "upgrade", old, "-o", tmp_path / "new", *(f"--policy={file}" for file in files))
    said = dict(line.split(": ", 1) for line in result.stdout.splitlines() if line.startswith(f"{tmp_path}/"))
    falls = "Fallen calibrations: colour.red, museum. Fallen thresholds: colour.red, colour.blue."
    assert said == {
        str(policy): f"must be refitted. {falls}",
        str(bundle): f"must be compiled again, from a policy that holds for the new model. {falls}",
        str(unbound): f"must be refitted. {falls}",
        str(bare): "is bound to the old model: write the new fingerprint into it. None of its numbers falls.",
    }
    assert f"`clipwarden lint FILE --fix --model {tmp_path / 'new'} --approved-by NAME`" in result.stderr


def test_what_is_up_to_date_is_left_alone(run: Run, new: Path, tmp_path: Path) -> None:
    result = run("models", "upgrade", new, "-o", tmp_path / "again")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{new} is up to date: {plan_upgrade(new).before}. Nothing was written." in result.stderr
    record = json.loads(run("models", "upgrade", new, "-o", tmp_path / "again", "--json").stdout)
    assert (record["written"], record["before"] == record["after"]) == (None, True)
    assert not (tmp_path / "again").exists()


def test_policies_of_before_hear_what_fell_when_the_folder_was_upgraded(run: Run, new: Path, policy: Path) -> None:
    result = run("models", "upgrade", new, "-o", new.with_name("again"), "--policy", policy)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{policy}: must be refitted. Fallen calibrations: colour.red, museum.")
    assert f"`clipwarden lint FILE --fix --model {new} --approved-by NAME`" in result.stderr


def test_mistakes_are_found_before_anything_is_written(run: Run, old: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("api: clipwarden/v9\n")
    asked = ("models", "upgrade", old, "-o", tmp_path / "new")
    assert run(*asked, "--policy", tmp_path / "bad.yaml").exit_code == 3
    assert run(*asked, "--policy", tmp_path / "none.yaml").exit_code == 2
    assert run("models", "upgrade", tmp_path / "none", "-o", tmp_path / "new").exit_code == 4
    assert run("models", "upgrade", tmp_path, "-o", tmp_path / "new").exit_code == 4
    assert run("models", "upgrade", old, "-o", old).exit_code == 2
    assert run("models", "upgrade", old).exit_code == 2
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["bad.yaml"]


def test_numbers_are_taken_over_on_trust_and_two_people_stand_for_them(run: Run, new: Path, policy: Path) -> None:
    fix = ("lint", policy, "--fix", "--model", new, "--author", "sam")
    refused = run(*fix)
    assert (refused.exit_code, "--approved-by NAME" in refused.stderr) == (2, True)
    result = run(*fix, "--approved-by", "kim")
    assert result.exit_code == 0
    assert "the upgraded model sees pictures without a profile or transfer function as before" in " ".join(
        result.stderr.split()
    )
    was, now = load_policy(policy).policy, load_policy(policy.with_name("shop-1.1.yaml")).policy
    after = fingerprint(load_manifest(new))
    assert now.model.fingerprint == after
    assert (stale_calibrations(now, after), unbound_lines(now, after)) == (frozenset(), {})
    for before, category in zip(was.categories[:2], now.categories[:2], strict=True):
        assert category.thresholds.bounds == before.thresholds.bounds
        chosen = category.thresholds.chosen_on
        assert (chosen.by, chosen.approved_by, "upgraded model" in chosen.reason) == (By.HAND, "kim", True)
    assert now.categories[0].calibration.bias == -1.5
    assert run("lint", policy.with_name("shop-1.1.yaml"), "--model", new).exit_code == 0


def test_what_did_not_hold_before_is_not_taken_over(run: Run, new: Path, policy: Path) -> None:
    policy.write_text(policy.read_text().replace('prompts: ["blue"]', 'prompts: ["a blue dog"]'))
    result = run("lint", policy, "--fix", "--model", new, "--author", "sam", "--approved-by", "kim", "--json")
    record = json.loads(result.stdout.splitlines()[0])
    assert record["upgraded_from"] == load_policy(policy).policy.model.fingerprint
    assert (record["mended"], list(record["not_mended"])) == (["colour.red"], ["colour.blue"])
    now = load_policy(policy.with_name("shop-1.1.yaml")).policy
    assert set(unbound_lines(now, fingerprint(load_manifest(new)))) == {"colour.blue"}


def test_another_model_takes_nothing_over(run: Run, policy: Path, tmp_path: Path) -> None:
    other = build_toy_model(tmp_path / "other", seed=8, preprocessing=Preprocessing(side=SIDE, colour="srgb"))
    result = run("lint", policy, "--fix", "--model", other, "--author", "sam", "--approved-by", "kim")
    assert (result.exit_code, "is bound to model" in result.stderr) == (3, True)


def test_old_policy_hears_of_the_way_over(run: Run, new: Path, policy: Path) -> None:
    result = run("lint", policy, "--model", new)
    (line,) = [line for line in result.stdout.splitlines() if "fingerprint-mismatch" in line]
    assert result.exit_code == 3
    assert "which is what that one became by `clipwarden models upgrade`" in line
    assert f"`clipwarden lint {policy} --fix --model FOLDER --approved-by NAME`" in line
