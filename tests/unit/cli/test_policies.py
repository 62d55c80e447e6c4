"""`clipwarden policies`: what it prints of files and bundles."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from clipwarden.cli.bundletext import policy_text
from clipwarden.errors import PolicyError
from clipwarden.modelfolder.load import load_manifest, load_model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.file import write_bundle
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.schema import Policy
from clipwarden.policy.tensors import dump_tensors
from kit.cli import Run
from kit.policies import FULL_POLICY, learned_of, policies


@pytest.fixture
def bundle(run: Run, policy_file: Path, toy_folder: Path) -> Path:
    path = policy_file.with_suffix(".bundle")
    assert run("compile", policy_file, "--model", toy_folder, "-o", path).exit_code == 0
    return path


def test_a_file_is_printed_as_it_is(run: Run, policy_file: Path) -> None:
    result = run("policies", policy_file)
    assert (result.exit_code, result.stdout) == (0, policy_file.read_text())


def test_a_bundle_is_printed_as_a_policy_that_judges_alike(run: Run, policy_file: Path, bundle: Path) -> None:
    result = run("policies", bundle)
    assert result.exit_code == 0
    loaded = load_policy(policy_file).policy
    assert parse_policy(result.stdout).policy == loaded
    lines = result.stdout.splitlines()
    assert lines[1] == f"# digest:      {policy_digest(loaded)}"
    assert lines[2].startswith(f"# fingerprint: {loaded.model.fingerprint},")
    assert lines[3] == "# texts:       8 in their templates"
    # In the order of the page, and a line for what belongs together.
    assert "- id: colour.red\n  severity: 3\n  definition: Red.\n  mode: enforce\n  prompts: [red]\n" in result.stdout


def test_a_bundle_and_its_file_give_the_same_policy_as_json(run: Run, policy_file: Path, bundle: Path) -> None:
    ours, theirs = (json.loads(run("policies", path, "--json").stdout) for path in (policy_file, bundle))
    assert (ours["kind"], theirs["kind"]) == ("policy", "bundle")
    assert ours["digest"] == policy_digest(load_policy(policy_file).policy)
    for key in ("id", "version", "digest", "fingerprint", "learned", "policy"):
        assert ours[key] == theirs[key]


def test_what_a_bundle_learned_stands_above_it(run: Run, policy_file: Path, toy_folder: Path, tmp_path: Path) -> None:
    dim = load_manifest(toy_folder).dim
    (tmp_path / "v.safetensors").write_bytes(dump_tensors({"ones": np.ones(dim, np.float32)}))
    layers = {"layers.0.weight": np.ones((1, dim), np.float32), "layers.0.bias": np.zeros(1, np.float32)}
    (tmp_path / "h.safetensors").write_bytes(dump_tensors(layers))
    text = policy_file.read_text().replace('["blue"]', "[{vector: ones, file: v.safetensors}]")
    policy_file.write_text(f"{text}- {{id: trained, scoring: {{method: head, file: h.safetensors}}}}\n")
    bundle = tmp_path / "learned.bundle"
    assert run("compile", policy_file, "--model", toy_folder, "-o", bundle).exit_code == 0
    printed = run("policies", bundle).stdout
    vector, head = json.loads(run("policies", bundle, "--json").stdout)["learned"]
    assert f"# vector: ones, {vector['content']}, {dim} numbers, used by colour.blue\n" in printed
    assert f"# head: {head['content']}, {dim} -> 1 numbers, used by trained\n" in printed
    assert (vector["used_by"], head["widths"]) == (["colour.blue"], [dim, 1])


def test_a_broken_file_or_bundle_is_told_as_lint_tells_it(run: Run, policy_file: Path, bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-100])
    policy_file.write_text(policy_file.read_text().replace("severity: 3", "severity: 9"))
    for path in (bundle, policy_file):
        result = run("policies", path)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.split() == run("lint", path).stdout.split()


def test_the_shipped_policies_come_as_json_too(run: Run) -> None:
    records = [json.loads(line) for line in run("policies", "--json").stdout.splitlines()]
    assert [record["id"] for record in records] == ["default", "stickers"]
    assert records[0]["categories"] == {"shadow": 13}


def test_the_schema_is_json_already(run: Run) -> None:
    assert run("policies", "--schema", "--json").exit_code == 2


@given(policies())
@settings(deadline=None, max_examples=25)
def test_any_policy_is_read_back_from_its_text(policy: Policy) -> None:
    text = policy_text(policy)
    again = parse_policy(text, learned=learned_of(policy)).policy
    assert again == policy
    assert policy_text(again) == text


def test_contexts_called_like_keys_are_printed_too() -> None:
    text = FULL_POLICY.replace("hunting-shop", "review").replace("kids", "block")
    policy = parse_policy(text).policy
    assert parse_policy(policy_text(policy)).policy == policy


def test_a_bundle_that_enforces_numbers_of_before_is_refused_with_the_way_out_and_still_printed(
    run: Run, policy_file: Path, toy_folder: Path, tmp_path: Path
) -> None:
    text = re.sub(r', chosen_on: "[^"]*"', "", policy_file.read_text())
    model = load_model(toy_folder)
    policy = parse_policy(text).policy
    right = compile_policy(load_policy(policy_file).policy, model=model)
    old = tmp_path / "old.bundle"
    write_bundle(replace(right, policy=policy, digest=policy_digest(policy)), old)
    with pytest.raises(PolicyError) as caught:
        load_compiled(old, model=model)
    assert "thresholds that do not say what they were chosen on" in str(caught.value)
    assert f"`clipwarden policies {old} > mine.yaml`" in str(caught.value)
    printed = run("policies", old)
    assert (printed.exit_code, "Servers refuse this bundle" in printed.stderr) == (0, True)
    assert parse_policy(printed.stdout).policy == policy
    assert "[unbound-thresholds]" in run("lint", old).stdout
