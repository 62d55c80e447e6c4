"""The README promises what the code does: its table, its links, its commands."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipwarden.cli.main import app
from clipwarden.serving.config import settings_table

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", "policies/README.md", "export/README.md"]


def test_the_settings_table_is_the_one_the_settings_render() -> None:
    assert settings_table().strip() in README


@pytest.mark.parametrize("page", PAGES)
def test_local_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


def test_every_command_it_names_exists() -> None:
    named = set(re.findall(r"clipwarden (moderate|serve|demo|lint|compile|models|policies)\b", README))
    listed = CliRunner().invoke(app, ["--help"]).output
    assert named
    assert [name for name in named if name not in listed] == []


def test_no_placeholder_is_left() -> None:
    assert "<!--" not in README
