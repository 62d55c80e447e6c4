"""What the pages show is run, in their order: commands, Python, and the output below them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipwarden.cli.subserver import running_subserver
from clipwarden.client import Client
from kit.pages import ADDRESS, PAGES, ROOT, blocks, is_shown, run_commands, run_python

IMAGES = ROOT / "service" / "clipwarden" / "demo" / "images"
WIDTH = "100"
"""Columns of the terminal that the pages' output was printed on."""

ELSEWHERE = ("docs/tuning.md",)
"""Pages that are followed by a test of their own, since people act between their commands."""
TESTED_PAGES = [
    page for page in PAGES if page not in ELSEWHERE and any(block.tested for block in blocks(page, "sh", "python"))
]


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What commands remember, away from the user's."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def server(state: Path) -> Iterator[str]:
    assert state.is_dir()
    with running_subserver(["--policy", "stickers"]) as process:
        with Client(process.target, sleep=process.sleep) as client:
            client.wait_until_ready()
        yield process.target


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hold what the pages say that examples run beside."""
    (tmp_path / "stickers").mkdir()
    for image in IMAGES.glob("*.png"):
        shutil.copy(image, tmp_path / "stickers")
    shutil.copy(IMAGES / "beer-mug.png", tmp_path / "sticker.png")
    shutil.copy(IMAGES / "beer-mug.png", tmp_path / "beer-mug.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("shown", "fits"),
    [
        ("a\nb 1\n\nc", True),
        ("a\n...\nc", True),
        ("a\n...\nb 1\nc", True),
        ("...\nb ...\n...", True),
        ("a\nc", False),
        ("a\nb 1", False),
        ("b 1\nc", False),
        ("a\nb\nc", False),
        ("a\n...\nd", False),
        ("c\n...\na", False),
    ],
)
def test_what_a_page_leaves_out_it_marks(shown: str, *, fits: bool) -> None:
    assert is_shown(shown, "a\nb 1 \nc\n\n") == fits


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", TESTED_PAGES)
def test_examples_do_what_the_page_says(page: str, server: str) -> None:
    for block in blocks(page, "sh", "python"):
        if not block.tested:
            continue
        text = block.text.replace(ADDRESS, server)
        printed = run_python(text) if block.language == "python" else run_commands(text, environment={"COLUMNS": WIDTH})
        assert block.output is None or is_shown(block.output, printed), printed
