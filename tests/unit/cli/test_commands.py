import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from clipwarden.cli.main import COMMANDS
from clipwarden.modelfolder.load import load_manifest
from clipwarden.modelfolder.modeljson import dump_manifest
from clipwarden.policy.language.editor_schema import policy_schema
from clipwarden.policy.shipped import shipped_policies
from clipwarden.policy.tensors import dump_tensors
from kit.cli import Run


def test_lint_of_a_good_policy_ends_with_0(run: Run, policy_file: Path) -> None:
    result = run("lint", policy_file)
    (line,) = result.stdout.splitlines()
    assert (result.exit_code, line.endswith("[uncalibrated-thresholds]")) == (0, True)
    assert f"`clipwarden moderate FOLDER --policy {policy_file} --explain`" in line
    policy_file.write_text(policy_file.read_text().replace("mode: enforce", "mode: shadow"))
    result = run("lint", policy_file)
    assert (result.exit_code, result.stdout) == (0, "")
    untried = "nothing to mend; texts and numbers were not tried with the model: add `--model"
    assert f"1 policy checked: {untried} FOLDER`." in " ".join(result.stderr.split())
    assert f"{untried} mini`." in " ".join(run("lint", "stickers").stderr.split())


def test_lint_says_where_and_how_to_mend(run: Run, policy_file: Path) -> None:
    policy_file.write_text(policy_file.read_text().replace("severity: 3", "severity: 9"))
    result = run("lint", policy_file, policy_file)
    assert result.exit_code == 3
    assert result.stdout.startswith(f"{policy_file}:9:")
    assert "error:" in result.stdout
    assert "2 policies checked: 2 errors." in result.stderr


def test_lint_warnings_count_under_strict_only(run: Run, policy_file: Path) -> None:
    policy_file.write_text(policy_file.read_text().replace('"a statue"', '"no statue"'))
    assert run("lint", policy_file).exit_code == 0
    result = run("lint", policy_file, "--strict")
    assert result.exit_code == 3
    assert "1 policy checked: 2 warnings." in result.stderr


def test_lint_gives_json_lines(run: Run, policy_file: Path) -> None:
    policy_file.write_text(policy_file.read_text().replace("severity: 3", "severity: 9"))
    (line,) = run("lint", policy_file, "--json").stdout.splitlines()
    problem = json.loads(line)
    assert (problem["file"], problem["line"], problem["severity"]) == (str(policy_file), 9, "error")


def test_lint_explains_a_key_at_each_place_where_it_may_stand(run: Run) -> None:
    result = run("lint", "--explain", "mode")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[::5] == ["defaults.mode", "categories[].mode", "categories[].contexts.NAME.mode"]
    assert "`shadow`, `enforce` or `disabled`" in result.stdout


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("thresholds.review", "categories[].thresholds.review"),
        ("categories[3].thresholds.review", "categories[].thresholds.review"),
        ("scoring.method", "categories[].scoring.method"),
        ("contexts.kids.review", "categories[].contexts.NAME.review"),
        ("attributes[0].id", "attributes[].id"),
        ("weight", "categories[].prompts[].weight"),
        ("api", "api"),
    ],
)
def test_lint_finds_the_key_that_a_path_ends_in(run: Run, asked: str, path: str) -> None:
    (line,) = run("lint", "--explain", asked, "--json").stdout.splitlines()
    facts = json.loads(line)
    assert facts["key"] == path
    assert {"help", "default", "example"} <= set(facts)


def test_lint_explains_what_each_word_stands_for(run: Run) -> None:
    (line,) = run("lint", "--explain", "scoring.method", "--json").stdout.splitlines()
    assert list(json.loads(line)["words"]) == ["margin", "cosine", "head"]
    assert "  words    cosine: the plain similarity" in run("lint", "--explain", "scoring.method").stdout


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("treshold.reviw", "Did you mean thresholds.review?"),
        ("sevrity", "Did you mean severity?"),
        ("zzz", "At the top"),
    ],
)
def test_lint_has_a_guess_for_a_key_that_does_not_exist(run: Run, asked: str, hint: str) -> None:
    result = run("lint", "--explain", asked)
    assert result.exit_code == 2
    assert hint in result.stderr


def test_lint_wants_either_policies_or_a_key(run: Run, policy_file: Path) -> None:
    assert run("lint").exit_code == 2
    assert run("lint", policy_file, "--explain", "mode").exit_code == 2


def test_lint_with_a_model_finds_more(run: Run, policy_file: Path, toy_folder: Path) -> None:
    text = policy_file.read_text()
    policy_file.write_text(text.replace('"a statue"', f'"{"statue " * 20}"'))
    assert run("lint", policy_file).exit_code == 0
    result = run("lint", policy_file, "--model", toy_folder)
    assert result.exit_code == 3
    assert "truncated" in result.stdout
    assert run("lint", policy_file, "--model", policy_file.parent / "none").exit_code == 4


def test_lint_with_a_model_is_content_with_a_good_policy(run: Run, policy_file: Path, toy_folder: Path) -> None:
    assert run("lint", policy_file, "--model", toy_folder).exit_code == 0


def test_compile_writes_a_bundle_that_judges(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "colours.bundle"
    result = run("compile", policy_file, "--model", toy_folder, "-o", bundle)
    assert result.exit_code == 0
    assert "8 in their templates: 8 embedded now, 0 from the cache" in result.stdout
    again = run("compile", policy_file, "--model", toy_folder, "-o", bundle)
    assert "0 embedded now, 8 from the cache" in again.stdout
    afresh = run("compile", policy_file, "--model", toy_folder, "-o", bundle, "--no-cache")
    assert "8 embedded now" in afresh.stdout
    judged = run("moderate", pictures / "red.png", "--model", toy_folder, "--policy", bundle)
    assert judged.exit_code == 20
    assert run("lint", bundle).exit_code == 0


def test_learned_vectors_and_heads_go_from_file_to_json(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    dim = load_manifest(toy_folder).dim
    tensors = {
        "ones": np.ones(dim, np.float32),
        "layers.0.weight": np.ones((1, dim), np.float32),
        "layers.0.bias": np.zeros(1, np.float32),
    }
    (policy_file.parent / "vectors.safetensors").write_bytes(dump_tensors({"ones": tensors.pop("ones")}))
    (policy_file.parent / "head.safetensors").write_bytes(dump_tensors(dict(tensors)))
    text = policy_file.read_text()
    text = text.replace('["blue"]', "[{vector: ones, file: vectors.safetensors}]")
    text = text.replace(
        "  scoring: {method: cosine}",
        "  scoring: {method: cosine}\n  adjustments: [{when: {attribute: seen, gte: -1}, add: 0.25}]",
    )
    text += "- {id: seen, prompts: [{vector: ones, file: vectors.safetensors}], scoring: {method: cosine}}\n"
    text += "- {id: trained, scoring: {method: head, file: head.safetensors}}\n"
    policy_file.write_text(text)
    bundle = tmp_path / "learned.bundle"
    result = run("compile", policy_file, "--model", toy_folder, "-o", bundle)
    assert result.exit_code == 0, result.output
    assert "1 vector and 1 head, from the policy's own files" in result.stdout
    (line,) = run(
        "moderate", pictures / "blue.png", "--model", toy_folder, "--policy", bundle, "--json"
    ).stdout.splitlines()
    moderation = json.loads(line)["moderation"]
    blue = next(item for item in moderation["categories"] if item["id"] == "colour.blue")
    assert blue["adjustment"] == {"attribute": "seen", "add": 0.25}
    assert blue["score"] == blue["cosine"] + 0.25
    trained = next(item for item in moderation["attributes"] if item["id"] == "trained")
    assert "logit" in trained
    assert "winning_prompt" not in trained


def test_compile_shows_warnings(run: Run, policy_file: Path, toy_folder: Path, tmp_path: Path) -> None:
    policy_file.write_text(policy_file.read_text().replace('"a statue"', '"no statue"'))
    result = run("compile", policy_file, "--model", toy_folder, "-o", tmp_path / "b")
    assert result.exit_code == 0
    assert "warning:" in result.stderr


def test_compile_refuses_what_it_cannot_do(run: Run, policy_file: Path, toy_folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    run("compile", policy_file, "--model", toy_folder, "-o", bundle)
    refused = run("compile", bundle, "--model", toy_folder, "-o", tmp_path / "c")
    assert (refused.exit_code, "is a bundle already" in refused.stderr) == (2, True)
    over = run("compile", policy_file, "--model", toy_folder, "-o", policy_file)
    assert (over.exit_code, "is not overwritten" in over.stderr) == (2, True)
    nowhere = run("compile", policy_file, "--model", toy_folder, "-o", tmp_path / "none" / "c")
    assert (nowhere.exit_code, "There is no folder" in nowhere.stderr) == (2, True)
    policy_file.write_text(policy_file.read_text().replace("sha256:", "sha256:0000"))
    assert run("compile", policy_file, "--model", toy_folder, "-o", bundle).exit_code == 3


def test_a_damaged_bundle_is_told_by_lint(run: Run, policy_file: Path, toy_folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    run("compile", policy_file, "--model", toy_folder, "-o", bundle)
    bundle.write_bytes(bundle.read_bytes()[:-100])
    assert run("lint", bundle).exit_code == 3


def test_models_shows_a_folder(run: Run, toy_folder: Path) -> None:
    result = run("models", toy_folder)
    assert result.exit_code == 0
    for expected in ("toy", "Apache-2.0", "sha256:", "32 x 32 pixels", "image.onnx", "--verify"):
        assert expected in result.stdout


def test_models_verifies_on_request(run: Run, toy_folder: Path) -> None:
    assert "all well" in run("models", toy_folder, "--verify").stdout


def test_models_gives_json(run: Run, toy_folder: Path) -> None:
    record = json.loads(run("models", toy_folder, "--json").stdout)
    assert record["name"] == load_manifest(toy_folder).name
    assert record["verified"] is None
    assert record["golden"]["images"] == 3


def test_models_looks_for_folders_inside(run: Run, toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(toy_folder)
    (tmp_path / "b").symlink_to(toy_folder)
    assert run("models", tmp_path).stdout.count("Fingerprint") == 2


def test_models_of_no_model_folder_ends_with_4(run: Run, tmp_path: Path) -> None:
    result = run("models", tmp_path)
    assert result.exit_code == 4
    assert "clipwarden models --help" in result.stderr


def test_policies_lists_what_ships(run: Run) -> None:
    result = run("policies")
    assert result.exit_code == 0
    for path in shipped_policies():
        assert str(path) in result.stdout


def test_policies_prints_one(run: Run) -> None:
    path = next(path for path in shipped_policies() if path.stem == "default")
    assert run("policies", "default").stdout == path.read_text()
    assert run("policies", "nothing").exit_code == 2


def test_policies_prints_the_schema_for_editors(run: Run) -> None:
    assert json.loads(run("policies", "--schema").stdout) == policy_schema()
    assert run("policies", "default", "--schema").exit_code == 2


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(run: Run, command: str) -> None:
    for flag in ("-h", "--help"):
        result = run(command, flag, columns=80)
        assert result.exit_code == 0
        assert "_HELP" not in result.stdout


def write_manifest(folder: Path, toy_folder: Path, **changes: object) -> Path:
    folder.mkdir()
    manifest = dataclasses.replace(load_manifest(toy_folder), **changes)
    (folder / "model.json").write_bytes(dump_manifest(manifest))
    return folder


def test_models_shows_what_an_export_verified(run: Run, toy_folder: Path, tmp_path: Path) -> None:
    figures = {"images": {"worst_cosine": 0.99999123, "samples": 64}, "passed": True}
    folder = write_manifest(tmp_path / "m", toy_folder, verification=figures, logit_bias=-10.5, max_batch=1)
    text = run("models", folder).stdout
    for expected in ("Verified images: worst cosine", "0.999991", "64", "True", "logit bias -10.5", "at most 1"):
        assert expected in text


def test_models_says_what_an_image_only_copy_can_do(run: Run, toy_folder: Path, tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "m", toy_folder, omitted=("text.onnx", "tokenizer.json"))
    text = run("models", folder).stdout
    assert "loads compiled policies (bundles), and policies without texts" in text
    assert text.count("(left out of this copy)") == 2
