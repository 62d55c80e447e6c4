"""`clipwarden serve`: options made from the settings' own documentation."""

import os
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from clipwarden.cli.serve import serve
from clipwarden.errors import ConfigError
from clipwarden.serving import process
from clipwarden.serving.config import SETTING_DOCS, Settings


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    for docs in SETTING_DOCS.values():
        monkeypatch.delenv(docs.variable, raising=False)
    app = typer.Typer()
    app.command()(serve)
    return app


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    settings: list[Settings] = []
    monkeypatch.setattr(process, "serve_until_signal", settings.append)
    return settings


def test_help_tells_every_setting_its_variable_and_default(app: typer.Typer) -> None:
    output = CliRunner(env={"COLUMNS": "400", "NO_COLOR": "1"}).invoke(app, ["--help"]).output
    plain = re.sub(r"\s+", " ", output)
    for docs in SETTING_DOCS.values():
        assert docs.flag in plain
        assert f"Default: {docs.default_text}. Variable: {docs.variable}." in plain, docs.name


def test_options_variables_and_file_become_settings(
    app: typer.Typer, served: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("queue_items: 5\nmax_batch: 5\n")
    monkeypatch.setenv("CLIPWARDEN_MAX_BATCH", "6")
    arguments = ["--config", str(file), "--listen", "", "--unix-socket", "s", "--policy", "a", "--policy", "b"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (settings,) = served
    assert (settings.queue_items, settings.max_batch, settings.listen) == (5, 6, None)
    assert (settings.unix_socket, settings.policies) == ("s", ("a", "b"))


def test_later_files_win_over_earlier_ones(
    app: typer.Typer, served: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, plan = tmp_path / "my settings.yaml", tmp_path / "plan.yaml"
    settings.write_text("queue_items: 5\nmax_batch: 5\npolicies: [a, b]\n")
    plan.write_text("max_batch: 7\nencoder_runs: 3\npolicies: [c]\n")
    assert CliRunner().invoke(app, ["--config", str(settings), "--config", str(plan)]).exit_code == 0
    monkeypatch.setenv("CLIPWARDEN_CONFIG", f"{settings}{os.pathsep}{plan}")
    assert CliRunner().invoke(app, []).exit_code == 0
    assert CliRunner().invoke(app, ["--config", str(plan), "--config", str(settings)]).exit_code == 0
    first, by_variable, other = served
    assert first == by_variable
    assert (first.queue_items, first.max_batch, first.encoder_runs, first.policies) == (5, 7, 3, ("c",))
    assert (other.max_batch, other.encoder_runs, other.policies) == (5, 3, ("a", "b"))


def test_bad_option_is_a_config_error(app: typer.Typer, served: list[Settings]) -> None:
    result = CliRunner().invoke(app, ["--max-batch", "many"])
    assert isinstance(result.exception, ConfigError)
    assert not served


def test_check_prints_what_was_loaded(
    app: typer.Typer, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "check_loads", lambda settings: f"model {settings.model}")
    result = CliRunner().invoke(app, ["--check", "--model", "m"])
    assert result.output == "model m\n"
    assert not served
