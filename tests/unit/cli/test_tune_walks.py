"""Walks from the top whose files were cut, re-ordered by an edit, or put together: a promise of the list, or none."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from clipwarden.modelfolder.load import Model
from clipwarden.tuning.labels import drawing
from kit.cli import Run
from kit.tunes import World, filled_in, make_world

Do = Callable[..., Result]
STOPS = ("--wrong-stops", "2%")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> World:
    return make_world(tmp_path_factory.mktemp("stores") / "uploads.store", toy_model, others=800, traffic=True)


@pytest.fixture
def do(
    *, run: Run, world: World, policy: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Do:
    """Run `sample` or `tune` for the world's store; walks list 60 at once."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(drawing, "_LEAST_LISTED", 60)

    def done(command: str, *options: object, code: int = 0, of: Path = policy) -> Result:
        result = run(command, of, "--store", world.store, "--model", toy_folder, *options)
        assert result.exit_code == code or (code == 0 and result.exit_code == 10), result.output
        return result

    return done


def walk(do: Do, path: Path, *options: object) -> Path:
    do("sample", "--from-the-top", "red", "-o", path, *options)
    return path


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    head, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    return head, rows


def write(path: Path, head: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in (head, *rows)))
    return path


def edit(policy: Path) -> None:
    """Change a text so that another order follows."""
    policy.write_text(policy.read_text().replace('prompts: ["red", "a weapon"]', 'prompts: ["a weapon"]'))


def refused(do: Do, *options: object) -> str:
    return " ".join(do("tune", *options, *STOPS, code=2).stderr.split())


def promise(do: Do, *options: object, of: Path | None = None) -> dict[str, Any]:
    (said,) = json.loads(do("tune", *options, *STOPS, "--json", **({} if of is None else {"of": of})).stdout)[
        "categories"
    ]
    return dict(said["block"])


@pytest.fixture
def reordered(do: Do, world: World, policy: Path, tmp_path: Path) -> Path:
    """Label a list, edit the texts, and list the first by those of now: labels of before stand below it."""
    first = filled_in(walk(do, tmp_path / "first.jsonl", "--at-most", "2%"), world)
    second = filled_in(walk(do, tmp_path / "second.jsonl", "--add", first), world)
    edit(policy)
    return walk(do, tmp_path / "third.jsonl", "--add", second)


def test_rows_below_the_list_make_up_for_none_that_was_cut(do: Do, reordered: Path, tmp_path: Path) -> None:
    head, rows = read(reordered)
    listed = head["walk"]["listed"]
    assert [row.get("beyond", False) for row in rows] == [False] * listed + [True] * (len(rows) - listed)
    assert promise(do, "--labels", reordered)["promised"]
    bare = [row for row in rows if not row.get("labels")]
    some = write(tmp_path / "some.jsonl", head, [row for row in rows if row not in bare[: len(rows) - listed]])
    assert len(read(some)[1]) >= listed
    none = write(tmp_path / "none.jsonl", head, [row for row in rows if row not in bare])
    assert len(read(none)[1]) >= listed
    for cut in (some, none):
        assert f"of the {listed:,} first pictures of its walk, and those without a label are needed too" in refused(
            do, "--labels", cut
        )


def test_an_older_file_does_not_say_which_rows_are_the_list(do: Do, reordered: Path, tmp_path: Path) -> None:
    head, rows = read(reordered)
    unmarked = [{name: value for name, value in row.items() if name != "beyond"} for row in rows]
    older = write(tmp_path / "older.jsonl", head, unmarked)
    assert "so that nobody knows which those are; list them anew, labels are kept" in refused(do, "--labels", older)
    anew = walk(do, tmp_path / "anew.jsonl", "--add", older)
    assert promise(do, "--labels", anew)["at"] == promise(do, "--labels", reordered)["at"]


def test_what_was_labelled_below_the_list_moves_no_limit(do: Do, reordered: Path, world: World, tmp_path: Path) -> None:
    head, rows = read(filled_in(reordered, world))
    whole = promise(do, "--labels", write(tmp_path / "whole.jsonl", head, rows))
    alone = write(tmp_path / "alone.jsonl", head, [row for row in rows if not row.get("beyond")])
    assert promise(do, "--labels", alone) == whole


def test_a_walk_that_lists_all_needs_all(do: Do, world: World, tmp_path: Path) -> None:
    first = filled_in(walk(do, tmp_path / "first.jsonl", "--at-most", "20%", "-n", 61), world)
    whole = filled_in(walk(do, tmp_path / "whole.jsonl", "--add", first), world)
    head, rows = read(whole)
    assert (head["walk"].get("listed"), len(rows)) == (None, 61)
    cut = write(tmp_path / "cut.jsonl", head, rows[7:])
    told = " ".join(do("tune", "--labels", cut, "--wrong-stops", "20%", code=2).stderr.split())
    assert "has 54 of the 61 first pictures of its walk" in told


@pytest.mark.parametrize("edited", [False, True])
def test_a_list_and_the_whole_walk_that_followed_it_go_together(
    *, do: Do, world: World, policy: Path, tmp_path: Path, edited: bool
) -> None:
    first = filled_in(walk(do, tmp_path / "first.jsonl", "--at-most", "20%", "-n", 61), world)
    if edited:
        edit(policy)
    more = filled_in(walk(do, tmp_path / "more.jsonl", "--add", first), world)
    args = ("--wrong-stops", "20%", "--json")
    alone = json.loads(do("tune", "--labels", more, *args).stdout)["categories"][0]["block"]
    for pair in ((first, more), (more, first)):
        both = do("tune", "--labels", pair[0], "--labels", pair[1], *args)
        assert json.loads(both.stdout)["categories"][0]["block"]["at"] == alone["at"]


def test_two_lists_by_other_texts_are_told_what_to_leave_out(do: Do, reordered: Path, tmp_path: Path) -> None:
    told = refused(do, "--labels", tmp_path / "done-second.jsonl", "--labels", reordered)
    assert "list the first of one walk by other texts: name the one that `clipwarden sample --add` wrote last" in told


def test_a_calibration_orders_nothing(do: Do, world: World, policy: Path, tmp_path: Path) -> None:
    top = filled_in(walk(do, tmp_path / "top.jsonl", "--at-most", "2%"), world)
    before = promise(do, "--labels", top)
    sample = tmp_path / "sample.jsonl"
    do("sample", "-n", 300, "--categories", "red", "-o", sample)
    done = filled_in(sample, world)
    do("tune", "--labels", done, "--review-recall", "50%", "--write", "--yes", "--version", "2.0", "--author", "kim")
    fitted = policy.with_name("mine-2.0.yaml")
    assert "slope:" in fitted.read_text()
    assert promise(do, "--labels", top, of=fitted)["at"] == before["at"]
    later = walk(do, tmp_path / "later.jsonl", "--at-most", "2%")
    assert read(later)[0]["walk"]["by"] == read(top)[0]["walk"]["by"]


def test_the_forgotten_of_a_walk_count_by_picture(
    *, run: Run, toy_model: Model, toy_folder: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    world = make_world(tmp_path / "own.store", toy_model, others=800, traffic=True)
    args = (policy, "--store", world.store, "--model", toy_folder)
    top = tmp_path / "top.jsonl"
    drawn = run("sample", *args, "--from-the-top", "red", "--at-most", "2%", "-o", top)
    assert drawn.exit_code == 0, drawn.output
    head, rows = read(filled_in(top, world))
    write(top, head, [{**row, "uri": "a.jpg"} for row in rows])
    assert run("store", "forget", world.store, *(row["sha256"] for row in rows[:4])).exit_code == 0
    said = run("tune", *args, "--labels", top, *STOPS, "--json")
    assert said.exit_code in {0, 10}, said.output
    told = json.loads(said.stdout)["categories"][0]["block"]["sentence"]
    assert "the 4 that the store lacks by now count as harmless and stopped" in told


def test_the_evidence_of_a_walk_counts_the_labels_that_it_took(
    do: Do, world: World, policy: Path, tmp_path: Path
) -> None:
    top = filled_in(walk(do, tmp_path / "top.jsonl", "--at-most", "2%"), world)
    told = promise(do, "--labels", top)["sentence"]
    do("tune", "--labels", top, *STOPS, "--write", "--yes", "--version", "2.0", "--author", "kim")
    written = policy.with_name("mine-2.0.yaml").read_text()
    took = next(int(word) for word, after in zip(told.split(), told.split()[1:], strict=False) if after == "from")
    assert took < len(read(top)[1])
    found = sum(row["labels"]["red"] for row in read(top)[1][:took])
    for name, count in (("labelled", took), ("positives", found), ("groups", took)):
        assert f"{name}: {count}" in written
