"""What a newcomer sees first: the shipped images, judged by the shipped model under the shipped policy."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clipwarden
from kit.pages import CUT, blocks, is_shown

IMAGES = Path(clipwarden.__path__[0]) / "demo" / "images"
PROGRAM = [sys.executable, "-m", "clipwarden.cli.main"]


@pytest.fixture(scope="module", autouse=True)
def _wide_terminal() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "110")  # as the README says
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    empty = tmp_path_factory.mktemp("empty")
    return subprocess.run([*PROGRAM, "demo"], cwd=empty, capture_output=True, text=True, timeout=300, check=False)


def test_the_demo_works(demo: subprocess.CompletedProcess[str]) -> None:
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout


def test_every_image_and_verdict_is_shown(demo: subprocess.CompletedProcess[str]) -> None:
    names = [path.name for path in IMAGES.glob("*.png")]
    assert len(names) >= 8
    for expected in (*names, "ALLOW", "REVIEW", "BLOCK", "cut-in-half.png", "IMAGE_TRUNCATED", "decided by", "Next:"):
        assert expected in demo.stdout


def test_the_readme_shows_what_it_prints(demo: subprocess.CompletedProcess[str]) -> None:
    (shown,) = (block.text for block in blocks("README.md", "text"))
    assert is_shown(f"{CUT}\n{shown}{CUT}\n", demo.stdout), demo.stdout


def test_the_images_show_all_three_verdicts_far_from_any_threshold(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "moderate", IMAGES, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 20, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    moderations = [line["moderation"] for line in lines if "moderation" in line]
    assert [line["left_out"]["reason"] for line in lines if "left_out" in line] == ["NOT_AN_IMAGE"]  # their attribution
    assert {item["verdict"] for item in moderations} == {"VERDICT_ALLOW", "VERDICT_REVIEW", "VERDICT_BLOCK"}
    for item in moderations:
        for category in item["categories"]:
            for name in ("review_threshold", "block_threshold"):
                # Another CPU's last bits must not change what the documentation shows.
                assert name not in category or abs(category["score"] / category[name] - 1.0) > 0.01


def test_every_image_is_attributed() -> None:
    text = (IMAGES / "ATTRIBUTION.md").read_text()
    for path in IMAGES.glob("*.png"):
        assert path.name in text
