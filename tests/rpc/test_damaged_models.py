"""`clipwarden serve` never starts on a model folder that is not whole: each damage has its sentence and one code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipwarden.cli.exits import Exit
from clipwarden.cli.main import app
from clipwarden.modelfolder.load import Model, load_manifest, write_model_folder
from kit.serving import colours_yaml
from kit.toymodel import build_toy_model

Harm = Callable[[Path], Path | None]


def cut(name: str) -> Harm:
    return lambda folder: _write(folder / name, (folder / name).read_bytes()[:-100])


def flip(name: str) -> Harm:
    def harm(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        _write(folder / name, bytes(data))

    return harm


def relist(name: str, content: Callable[[Path], bytes]) -> Harm:
    """Replace a file and list its digest, so that no digest tells: what a mix-up of two exports would leave."""

    def harm(folder: Path) -> None:
        manifest = load_manifest(folder)
        files = {other: (folder / other).read_bytes() for other in manifest.files} | {name: content(folder)}
        write_model_folder(folder, manifest, files=files, overwrite=True)

    return harm


def other_file(name: str) -> Callable[[Path], bytes]:
    return lambda folder: (other_model(folder) / name).read_bytes()


def other_model(folder: Path) -> Path:
    other = folder.parent / "other"
    return other if other.exists() else build_toy_model(other, seed=8)


def edit(**changes: object) -> Harm:
    def harm(folder: Path) -> None:
        path = folder / "model.json"
        _write(path, json.dumps(json.loads(path.read_text()) | changes).encode())

    return harm


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def never_published(folder: Path) -> Path:
    """What an export leaves that was killed right before its rename."""
    return folder.rename(folder.parent / ".model.unfinished.abcdefgh")


CASES: dict[str, tuple[Harm, str]] = {
    "corrupted image graph": (flip("image.onnx"), "image.onnx does not match its SHA-256 in model.json"),
    "corrupted text graph": (flip("text.onnx"), "text.onnx does not match its SHA-256 in model.json"),
    "corrupted tokenizer": (flip("tokenizer.json"), "tokenizer.json does not match its SHA-256 in model.json"),
    "corrupted background": (flip("background.safetensors"), "background.safetensors does not match its SHA-256"),
    "corrupted manifest": (lambda folder: _write(folder / "model.json", b"\x00" * 512), "model.json is not valid JSON"),
    "truncated image graph": (cut("image.onnx"), "it is truncated or was replaced"),
    "truncated background": (cut("background.safetensors"), "it is truncated or was replaced"),
    "truncated manifest": (cut("model.json"), "model.json is not valid JSON"),
    "emptied manifest": (lambda folder: _write(folder / "model.json", b""), "model.json is not valid JSON"),
    "mismatched manifest": (
        lambda folder: shutil.copyfile(other_model(folder) / "model.json", folder / "model.json"),
        "does not match its SHA-256 in model.json",
    ),
    "mismatched image graph": (
        relist("image.onnx", other_file("image.onnx")),
        "this runtime does not compute what was",
    ),
    "mismatched text graph": (relist("text.onnx", other_file("text.onnx")), "this runtime does not compute what was"),
    "mismatched roles": (
        relist("image.onnx", lambda folder: (folder / "text.onnx").read_bytes()),
        "image.onnx must have exactly one input; it has 2",
    ),
    "mismatched width": (edit(dim=15), "has 16 numbers; the model's dim is 15"),
    "half-copied": (lambda folder: (folder / "text.onnx").unlink(), "lacks text.onnx, which model.json lists"),
    "half-written": (lambda folder: (folder / "model.json").unlink(), "so it is not a finished model folder"),
    "never published": (never_published, "was never published: its export is still running, or was stopped"),
    "gone": (shutil.rmtree, "There is no model folder at"),
}


@pytest.fixture
def arguments(toy_folder: Path, toy_model: Model, tmp_path: Path, socket_folder: Path) -> list[str]:
    """A command line that would start a server, on a folder of its own."""
    shutil.copytree(toy_folder, tmp_path / "model")
    (tmp_path / "colours.yaml").write_text(colours_yaml(toy_model))
    return [
        *("serve", "--model", str(tmp_path / "model"), "--policy", str(tmp_path / "colours.yaml")),
        *("--listen", "", "--unix-socket", str(socket_folder / "s"), "--metrics-listen", "", "--vector-cache", ""),
    ]


@pytest.mark.parametrize("case", list(CASES))
def test_server_does_not_start_on_a_damaged_folder(
    case: str, arguments: list[str], tmp_path: Path, socket_folder: Path
) -> None:
    harm, sentence = CASES[case]
    moved = harm(tmp_path / "model")
    if isinstance(moved, Path) and moved.is_dir():
        arguments[2] = str(moved)
    result = CliRunner(env={"COLUMNS": "1000", "NO_COLOR": "1"}).invoke(app, arguments)
    assert result.exit_code == Exit.MODEL, result.output
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert not (socket_folder / "s").exists()


def test_the_same_folder_undamaged_loads(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, [*arguments, "--check"])
    assert result.exit_code == Exit.OK, result.output


def test_the_process_itself_ends_with_the_sentence(arguments: list[str], tmp_path: Path) -> None:
    flip("image.onnx")(tmp_path / "model")
    command = [sys.executable, "-m", "clipwarden.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (Exit.MODEL, "")
    assert "image.onnx does not match its SHA-256" in done.stderr
    assert "Traceback" not in done.stderr


def test_models_lists_what_was_published_and_nothing_else(toy_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_folder, tmp_path / "model")
    left = never_published(Path(shutil.copytree(toy_folder, tmp_path / "again" / "model")))
    shutil.move(left, tmp_path)
    listed = CliRunner().invoke(app, ["models", str(tmp_path), "--json"])
    assert [Path(json.loads(line)["path"]).name for line in listed.stdout.splitlines()] == ["model"]
    asked = CliRunner().invoke(app, ["models", str(tmp_path / left.name)])
    assert asked.exit_code == Exit.MODEL
    assert "was never published" in asked.stderr
