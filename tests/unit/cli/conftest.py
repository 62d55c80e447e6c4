"""Run the command in this process, with a toy model, policies for it, and pictures."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clipwarden.cli.main import app
from clipwarden.modelfolder.load import Model
from kit.cli import Run, make_pictures, write_policy
from kit.tunes import policy_text


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `clipwarden ARGS`; its terminal is as wide as `columns`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run_command(*args: object, stdin: bytes | None = None, columns: int = 400) -> Result:
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)

    return run_command


@pytest.fixture
def policy_file(toy_folder: Path, tmp_path: Path) -> Path:
    return write_policy(tmp_path / "colours.yaml", toy_folder, mode="enforce")


@pytest.fixture
def shadow_file(toy_folder: Path, tmp_path: Path) -> Path:
    return write_policy(tmp_path / "shadow.yaml", toy_folder, mode="shadow")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "pictures")


@pytest.fixture
def policy(tmp_path: Path, toy_model: Model) -> Path:
    """A policy in shadow for the worlds of `kit.tunes`."""
    path = tmp_path / "mine.yaml"
    path.write_text(policy_text(toy_model))
    return path
