"""clipwarden-export from the outside: what it prints, what it publishes, and its exit codes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clipwarden.modelfolder.load import load_manifest, load_model
from clipwarden_export.cli import app
from clipwarden_export.exits import Exit
from clipwarden_export.verification.compare import BARS
from kit.pictures import natural_picture

POLICY = """
api: clipwarden/v1
metadata: {id: compare}
defaults: {mode: shadow, templates: ["{}"]}
categories:
- id: bicycle
  severity: 1
  definition: Bicycles.
  prompts: ["a bicycle"]
  scoring: {method: cosine, pool: max}
  thresholds: {unit: cosine, review: 0.0}
"""


def run(*arguments: object) -> Result:
    # Wide enough that no sentence is wrapped, and plain.
    terminal = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner(env=terminal).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(8):
        natural_picture(seed).save(folder / f"{seed}.png")
    return folder


def test_int8_export_is_published_with_its_caveats(tiny_checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    destination = tmp_path / "model"
    settings = ("--precision", "int8", "--images", photos, "--policy", tmp_path / "policy.yaml", "--refit")
    result = run("model", tiny_checkpoint, "-o", destination, *settings)
    assert result.exit_code == Exit.OK, result.output
    assert "int8 is unproven on real checkpoints" in result.output
    assert "max_batch: 1" in result.output
    assert "decisions" in result.output
    manifest = load_manifest(destination)
    assert (manifest.precision, manifest.max_batch) == ("int8", 1)
    load_model(destination)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_verify_repeats_the_checks_and_records_them(tiny_checkpoint: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    fingerprint = load_model(folder).fingerprint
    assert run("verify", folder).exit_code == Exit.OK
    result = run("verify", folder, "--against", tiny_checkpoint, "--record", "--json")
    assert result.exit_code == Exit.OK, result.output
    figures = json.loads(result.stdout)
    assert figures["self_check"]["CPUExecutionProvider"]["fingerprint"] == fingerprint
    assert figures["against"]["passed"] is True
    assert load_manifest(folder).verification == figures["against"]
    assert load_model(folder).fingerprint == fingerprint


def test_verify_accepts_again_what_the_export_accepted(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = {**BARS, "int8": replace(BARS["int8"], prompt_change=1e-6)}
    monkeypatch.setattr("clipwarden_export.verification.verify.BARS", strict)
    folder = tmp_path / "model"
    assert run("model", tiny_checkpoint, "-o", folder, "--precision", "int8", "--refit").exit_code == Exit.OK
    result = run("verify", folder, "--against", tiny_checkpoint, "--record")
    assert result.exit_code == Exit.OK, result.output
    assert "Accepted: prompts on CPUExecutionProvider: cosines to prompts move by" in result.output
    assert load_manifest(folder).verification["passed"] is True


def test_verify_against_another_checkpoint_of_the_same_shape_fails(
    tiny_checkpoint: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_checkpoint, other)
    preprocessing = json.loads((other / "preprocessor_config.json").read_text())
    preprocessing["image_mean"] = [0.5, 0.5, 0.5]
    (other / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    result = run("verify", tiny_model, "--against", other)
    assert result.exit_code == Exit.BELOW_BAR, result.output
    assert "Below the bar" in result.output
    assert "Not passed" in result.output


def test_damaged_folder_and_missing_provider_end_with_the_code_for_models(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "image.onnx").write_bytes(b"short")
    result = run("verify", folder)
    assert result.exit_code == Exit.MODEL
    assert "truncated or was replaced" in result.stderr
    assert run("verify", tiny_model, "--provider", "NoSuchExecutionProvider").exit_code == Exit.MODEL


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("no-such-folder",), Exit.SOURCE, "a hub id has the form owner/name"),
        (("x", "--precision", "int4"), Exit.USAGE, "must be one of fp32, fp16, int8"),
        (("x", "--calibration-images", "."), Exit.USAGE, "is for int8"),
        (("x", "--opset", "3"), Exit.USAGE, "opset"),
        # Said before a checkpoint of gigabytes is fetched.
        (("x", "--images", "no-such-folder"), Exit.FAILED, "no-such-folder holds no image"),
        (("x", "--precision", "int8", "--calibration-images", "none"), Exit.FAILED, "none holds no image"),
    ],
)
def test_mistakes_end_with_a_sentence_and_a_code(
    arguments: tuple[str, ...], code: Exit, sentence: str, tmp_path: Path
) -> None:
    result = run("model", *arguments, "-o", tmp_path / "model")
    assert result.exit_code == code
    assert sentence in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "option", [("--policy", "p.yaml"), ("--images", "photos"), ("--revision", "main"), ("--record",)]
)
def test_what_only_a_comparison_reads_is_not_passed_over(option: tuple[str, ...], tmp_path: Path) -> None:
    result = run("verify", tmp_path, *option)
    assert result.exit_code == Exit.USAGE
    assert f"{option[0]} belongs to the comparison with a checkpoint; add --against SOURCE" in result.stderr


def test_a_wrong_policy_is_found_before_the_checkpoint_is_fetched(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("api: other")
    result = run("verify", tiny_model, "--against", "no-such-checkpoint", "--policy", tmp_path / "policy.yaml")
    assert result.exit_code == Exit.POLICY, result.output


def test_overwrite_replaces_no_folder_of_another_kind(tiny_checkpoint: Path) -> None:
    before = sorted(path.name for path in tiny_checkpoint.iterdir())
    result = run("model", tiny_checkpoint, "-o", tiny_checkpoint, "--overwrite")
    assert result.exit_code == Exit.MODEL
    assert "is no model folder, so it is not replaced" in result.stderr
    assert sorted(path.name for path in tiny_checkpoint.iterdir()) == before


def test_pickle_is_refused_by_sentence(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    result = run("model", folder, "-o", tmp_path / "model")
    assert result.exit_code == Exit.SOURCE
    assert "could run code on loading" in result.stderr


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "siglip2"}, "NaFlex"),
        ({"model_type": "blip"}, "model_type 'blip'"),
        (None, "neither config.json"),
    ],
)
def test_unknown_architectures_are_refused_by_name(
    config: dict[str, str] | None, sentence: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "strange"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    result = run("model", folder, "-o", tmp_path / "model")
    assert result.exit_code == Exit.SOURCE
    assert sentence in result.stderr


def test_missing_weights_are_not_replaced_by_random_ones(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 - this test alone

    folder = tmp_path / "holed"
    shutil.copytree(tiny_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    result = run("model", folder, "-o", tmp_path / "model")
    assert result.exit_code == Exit.SOURCE
    assert "lacks 1 of the weights of CLIPModel, such as visual_projection.weight" in result.stderr


def test_help_lists_commands_and_exit_codes() -> None:
    result = run("--help")
    assert result.exit_code == Exit.OK
    assert all(word in result.output for word in ("model", "verify", "below the bar"))
