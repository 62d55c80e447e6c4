"""Labels of pictures that the store was made to forget: none of them is left out of a promise, however labels grow."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from clipwarden.modelfolder.load import Model
from kit.cli import Run
from kit.tunes import World, filled_in, make_world, policy_text

Do = Callable[..., Result]
GONE = 6


@pytest.fixture
def world(tmp_path: Path, toy_model: Model) -> World:
    return make_world(tmp_path / "uploads.store", toy_model, others=860, traffic=True)


@pytest.fixture
def do(
    *, run: Run, world: World, toy_model: Model, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Do:
    """Run `sample` or `tune` for the world's store."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    policy = tmp_path / "mine.yaml"
    policy.write_text(policy_text(toy_model))

    def done(command: str, *options: object) -> Result:
        result = run(command, policy, "--store", world.store, "--model", toy_folder, *options)
        assert result.exit_code in {0, 10}, result.output
        return result

    return done


@pytest.fixture
def forgotten(do: Do, run: Run, world: World, tmp_path: Path) -> Path:
    """Draw nearly all, say the truth of it, call all the same as phones do, and forget some of the red ones."""
    drawn = tmp_path / "drawn.jsonl"
    do("sample", "-n", 890, "--categories", "red", "-o", drawn)
    done = filled_in(drawn, world)
    head, *rows = (json.loads(line) for line in done.read_text().splitlines())
    done.write_text("".join(f"{json.dumps(each)}\n" for each in (head, *({**row, "uri": "a.jpg"} for row in rows))))
    reds = [row["sha256"] for row in rows if row["sha256"] in world.red][:GONE]
    assert run("store", "forget", world.store, *reds).exit_code == 0
    return done


def promise(do: Do, labels: Path) -> str:
    (said,) = json.loads(do("tune", "--labels", labels, "--review-recall", "20%", "--json").stdout)["categories"]
    return str(said["review"]["sentence"])


def test_pictures_of_one_address_are_as_many_as_they_are(do: Do, forgotten: Path) -> None:
    assert f"the {GONE} that the store lacks by now counted as missed" in promise(do, forgotten)


def test_a_sample_grows_without_losing_what_was_forgotten(
    do: Do, forgotten: Path, world: World, tmp_path: Path
) -> None:
    grown = tmp_path / "grown.jsonl"
    said = " ".join(do("sample", "-n", 893, "--add", forgotten, "-o", grown).stdout.split())
    assert f"{GONE} of them, not on the page: the store lacks them" in said
    before, after = ({row["sha256"]: row for row in rows(path)} for path in (forgotten, grown))
    assert before.keys() < after.keys()
    lost = [sha256 for sha256 in before if sha256 in world.red][:GONE]
    for sha256 in lost:
        assert after[sha256]["pi"] == before[sha256]["pi"]
        assert "uri" not in after[sha256]
    assert f"the {GONE} that the store lacks by now counted as missed" in promise(do, filled_in(grown, world))


def test_what_was_forgotten_is_on_no_page(do: Do, run: Run, world: World, tmp_path: Path) -> None:
    drawn, grown = tmp_path / "drawn.jsonl", tmp_path / "grown.jsonl"
    do("sample", "-n", 400, "--categories", "red", "-o", drawn)
    gone = rows(drawn)[0]["sha256"]
    assert run("store", "forget", world.store, gone).exit_code == 0
    do("sample", "-n", 500, "--add", drawn, "-o", grown)
    assert gone in {row["sha256"] for row in rows(grown)}
    assert gone not in grown.with_suffix(".html").read_text()


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]
