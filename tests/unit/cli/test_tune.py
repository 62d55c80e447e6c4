"""clipwarden tune: every target and every mistake, on stores whose truth is known."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from clipwarden.cli.exits import Exit
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Bounds, Evidence, Mode, Verdict
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.design.groups import group_pictures
from clipwarden.tuning.labels import drawing
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.store.store import open_store
from clipwarden.tuning.tune import cases
from clipwarden.tuning.verdicts import judge_store
from clipwarden.vision.plan import ViewPlan, Views
from kit.cli import Run
from kit.lines import chosen_text
from kit.tunes import World, filled_in, make_world

Tune = Callable[..., Result]
BARE = """\
api: clipwarden/v1
metadata: {id: bare}
defaults: {mode: shadow, on_error: review}
categories:
- {id: red, severity: 1, definition: Red., prompts: ["red"]}
"""


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> World:
    return make_world(tmp_path_factory.mktemp("stores") / "drawings.store", toy_model)


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> World:
    return make_world(tmp_path_factory.mktemp("stores") / "uploads.store", toy_model, others=3000, traffic=True)


@pytest.fixture
def tune(run: Run, policy: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tune:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def tuned(world: World, *args: object, **options: object) -> Result:
        of = options.pop("policy", policy)
        return run("tune", of, "--store", world.store, "--model", toy_folder, *args, **options)

    return tuned


@pytest.fixture
def labels(drawings: World, tmp_path: Path) -> Path:
    return drawings.labels(tmp_path / "labels.jsonl")


def answers(result: Result) -> dict[str, Any]:
    """Return what `--json` says of the one category."""
    assert result.exit_code in {0, 10}, result.output
    (category,) = json.loads(result.stdout)["categories"]
    return dict(category)


def logits(world: World, model: Model, policy: Path, category: str) -> tuple[list[float], list[bool]]:
    store = open_store(world.store)
    scores = score_store(store, prepare(compile_policy(load_policy(policy).policy, model=model)))
    column = scores.logit[:, scores.concepts.index(category)].tolist()
    return column, [digest in world.red for digest in store.pictures.sha256]


def test_it_answers_in_the_order_that_staff_ask(tune: Tune, drawings: World, labels: Path) -> None:
    result = tune(drawings, "--labels", labels, "--prevalence", "1%")
    assert result.exit_code == 0, result.output
    asked = re.findall(r"^(\d)\. (.*)$", result.stdout, re.MULTILINE)
    assert [number for number, _ in asked] == ["1", "2", "3", "4"]
    assert asked[0][1] == "Can these labels decide it?"
    assert re.search(r"\d+ of 40 found means \d", result.stdout)
    assert "none wrong here" in result.stdout
    assert re.search(r"lowering the limit finds (no more|one more)", result.stdout)
    assert 'looks like "red' in result.stdout
    assert "0.4" not in result.stdout.partition("3. Which")[0].partition("2. What")[2]  # counts, not shares


def test_counts_are_those_of_brute_force(
    tune: Tune, drawings: World, labels: Path, policy: Path, toy_model: Model
) -> None:
    said = answers(tune(drawings, "--labels", labels, "--block-wrong", "3", "--prevalence", "1%", "--json"))
    scores, red = logits(drawings, toy_model, policy, "red")
    clean = sorted((score for score, is_red in zip(scores, red, strict=True) if not is_red), reverse=True)
    choice, at = said["block"]["choice"], said["block"]["at"]
    assert clean[3] < at <= clean[2]
    assert choice["wrong"] == 3
    assert choice["found"] == sum(score >= at for score, is_red in zip(scores, red, strict=True) if is_red)
    assert (choice["harmful"], choice["harmless"]) == (40, 400)
    assert said["block"]["promised"] is False
    rows = {(row["option"], row["most_wrong"]): row["wrong"] for row in said["choices"]}
    assert rows["none_wrong", None] == 0
    assert rows["at_most", 9] == 9


def test_a_version_is_written_as_predicted_and_lint_takes_it(
    *, tune: Tune, run: Run, drawings: World, labels: Path, policy: Path, toy_model: Model, tmp_path: Path
) -> None:
    before = policy.read_bytes()
    args = ("--labels", labels, "--block-wrong", "3", "--review-wrong", "12", "--prevalence", "1%")
    said = answers(tune(drawings, *args, "--json"))
    result = tune(drawings, *args, "--write", "--version", "1.1", "--author", "kim", "--reason", "first limits")
    assert result.exit_code == 0, result.output
    assert "+ thresholds: added" in result.stdout
    new = tmp_path / "mine-1.1.yaml"
    for command in (f"lint {new} --strict", f"diff {policy} {new}", f"serve --policy {policy} --candidate {new}"):
        assert f"  clipwarden {command}\n" in result.stderr
    assert f"  clipwarden diff {policy} {policy.with_stem('mine-1.1')}\n" in result.stderr
    assert policy.read_bytes() == before
    assert "# what this test is about" in new.read_text()
    assert run("lint", new, "--strict").exit_code == 0, run("lint", new, "--strict").output
    loaded = load_policy(new).policy
    red = loaded.categories[0]
    assert (loaded.metadata.version, loaded.metadata.author, red.mode) == ("1.1", "kim", Mode.SHADOW)
    assert red.thresholds is not None
    assert red.thresholds.chosen_on is not None
    evidence = red.thresholds.chosen_on.evidence
    assert evidence is not None
    assert (evidence.labelled, evidence.positives, evidence.design.value) == (440, 40, "set")
    assert evidence.targets == ("block-wrong 3", "review-wrong 12", "prevalence 0.01")
    store = open_store(drawings.store)
    verdicts = judge_store(store, prepare(compile_policy(loaded, model=toy_model)))
    scores, _ = logits(drawings, toy_model, policy, "red")
    block, review = said["block"]["at"], said["review"]["at"]
    predicted = [
        Verdict.BLOCK if each >= block else Verdict.REVIEW if each >= review else Verdict.ALLOW for each in scores
    ]
    assert verdicts.band[:, verdicts.categories.index("red")].tolist() == predicted
    assert len(set(predicted)) == 3


def test_a_sample_promises_rates_of_traffic(
    *, tune: Tune, run: Run, traffic: World, policy: Path, toy_folder: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / "drawn.jsonl"
    sampled = run(
        *("sample", policy, "--store", traffic.store, "--model", toy_folder),
        *("-n", "700", "--categories", "red", "-o", drawn),
    )
    assert sampled.exit_code == 0, sampled.output
    done = filled_in(drawn, traffic)
    result = tune(
        traffic, "--labels", done, "--block-fpr", "2%", "--review-recall", "50%", "--json", "--write", "--yes"
    )
    said = answers(result)
    assert said["deciding"]["labelled"] == len(done.read_text().splitlines()) - 1
    prevalence = said["prevalence"]
    assert prevalence["low"] < 40 / 3040 < prevalence["high"]
    assert said["block"]["met"]
    assert said["block"]["promised"]
    assert "at most 2 % of harmless pictures are stopped" in said["block"]["sentence"]
    store = open_store(traffic.store)
    scores = dict(zip(store.pictures.sha256, logits_of(traffic, policy, toy_folder), strict=True))
    wrong = [digest for digest, score in scores.items() if score >= said["block"]["at"] and digest not in traffic.red]
    assert len(wrong) / 3000 <= 0.02
    version = json.loads(result.stdout)["version"]
    assert version["written"]
    assert Path(version["file"]).exists()


def logits_of(world: World, policy: Path, toy_folder: Path) -> list[float]:
    from clipwarden.modelfolder.load import load_model  # noqa: PLC0415  onnxruntime, where it is needed

    return logits(world, load_model(toy_folder, threads=1), policy, "red")[0]


def test_labels_from_the_top_promise_few_wrong_stops(
    *, tune: Tune, run: Run, traffic: World, policy: Path, toy_folder: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / "top.jsonl"
    sampled = run(
        *("sample", policy, "--store", traffic.store, "--model", toy_folder),
        *("--from-the-top", "red", "--at-most", "1%", "-o", drawn),
    )
    assert sampled.exit_code == 0, sampled.output
    done = filled_in(drawn, traffic)
    said = answers(tune(traffic, "--labels", done, "--wrong-stops", "1%", "--json"))
    assert said["block"]["promised"]
    told = said["block"]["sentence"]
    assert "distinct uploads, near-duplicates counted once, are harmless and stopped" in told
    assert re.search(
        r"(\d+) wrong above the limit; label \d+ from the top was harmless, and the limit lies above", told
    )
    wrong = sum(
        score >= said["block"]["at"] and digest not in traffic.red
        for score, digest in zip(
            logits_of(traffic, policy, toy_folder), open_store(traffic.store).pictures.sha256, strict=True
        )
    )
    assert 0 < wrong / 3040 <= 0.01
    refused = tune(traffic, "--labels", done, "--block-fpr", "1%")
    assert (refused.exit_code, "`--wrong-stops` is what they promise" in refused.stderr) == (2, True)
    bare = tune(traffic, "--labels", drawn, "--wrong-stops", "1%", "--json")
    assert "the walk is not at its end: at least" in answers(bare)["block"]["sentence"]


def from_the_top(run: Run, traffic: World, policy: Path, model: Path, *options: object) -> Result:
    return run("sample", policy, "--store", traffic.store, "--model", model, "--from-the-top", "red", *options)


def listed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_LEAST_LISTED", 10**6)


def test_the_first_rows_of_a_walk_promise_what_all_of_it_does(
    *,
    tune: Tune,
    run: Run,
    traffic: World,
    policy: Path,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = []
    for name in ("first", "all"):
        if name == "all":
            listed_whole(monkeypatch)
        drawn = tmp_path / f"{name}.jsonl"
        assert from_the_top(run, traffic, policy, toy_folder, "--at-most", "1%", "-o", drawn).exit_code == 0
        args = ("--wrong-stops", "1%", "--json", "--labels", filled_in(drawn, traffic))
        said.append(answers(tune(traffic, *args))["block"])
    first, whole = (tmp_path / f"{name}.jsonl" for name in ("first", "all"))
    assert said[0] == said[1]
    head, *rows = first.read_text().splitlines()
    walk = json.loads(head)["walk"]
    assert (len(rows), walk["listed"]) == (300, 300)
    assert walk["uploads"] == len(whole.read_text().splitlines()) - 1 > 2900
    assert rows == whole.read_text().splitlines()[1:301]
    assert "listed" not in json.loads(whole.read_text().partition("\n")[0])["walk"]


def test_a_walk_that_uses_up_its_rows_is_taken_up_by_the_next(
    *,
    tune: Tune,
    run: Run,
    traffic: World,
    policy: Path,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawing, "_LEAST_LISTED", 30)
    monkeypatch.setattr(drawing, "_LISTED_EACH", 1)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert from_the_top(run, traffic, policy, toy_folder, "--at-most", "1%", "-o", first).exit_code == 0
    args = ("--wrong-stops", "1%", "--json", "--labels")
    early = answers(tune(traffic, *args, filled_in(first, traffic)))["block"]
    assert early["promised"]
    assert "the walk is not at its end: at least" in early["sentence"]
    done = filled_in(first, traffic)
    more = from_the_top(run, traffic, policy, toy_folder, "--add", done, "-o", second)
    assert more.exit_code == 0, more.output
    assert "Listed" in more.output
    rows = [[json.loads(line) for line in path.read_text().splitlines()[1:]] for path in (done, second)]
    assert len(rows[1]) == 2 * len(rows[0])
    assert [(row["sha256"], row["labels"]) for row in rows[1][: len(rows[0])]] == [
        (row["sha256"], row["labels"]) for row in rows[0]
    ]
    late = answers(tune(traffic, *args, filled_in(second, traffic)))["block"]
    assert "not at its end" not in late["sentence"]
    assert late["at"] <= early["at"]
    listed_whole(monkeypatch)
    whole = tmp_path / "whole.jsonl"
    assert from_the_top(run, traffic, policy, toy_folder, "--at-most", "1%", "-o", whole).exit_code == 0
    assert answers(tune(traffic, *args, filled_in(whole, traffic)))["block"] == late
    alone = tmp_path / "page.jsonl"  # as the page for the second half saves it
    head, *both = second.read_text().splitlines()
    alone.write_text("\n".join([head, *both[len(rows[0]) :]]) + "\n")
    refused = tune(traffic, *args, filled_in(alone, traffic))
    assert refused.exit_code == 2
    assert "those without a label are needed too; name the file that" in " ".join(refused.stderr.split())
    together = tune(traffic, *args, done, "--labels", filled_in(alone, traffic))
    assert answers(together)["block"] == late


def test_the_first_rows_of_a_walk_say_nothing_once_texts_order_otherwise(
    *, tune: Tune, run: Run, traffic: World, policy: Path, toy_folder: Path, tmp_path: Path
) -> None:
    first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl"
    assert from_the_top(run, traffic, policy, toy_folder, "--at-most", "1%", "-o", first).exit_code == 0
    done = filled_in(first, traffic)
    policy.write_text(policy.read_text().replace('"a weapon"', '"a gun"'))
    refused = tune(traffic, "--wrong-stops", "1%", "--labels", done)
    assert refused.exit_code == 2
    assert "lists the pictures that stood highest by other texts of red" in " ".join(refused.stderr.split())
    more = from_the_top(run, traffic, policy, toy_folder, "--add", done, "-o", again)
    assert more.exit_code == 0, more.output
    digests = {json.loads(line)["sha256"] for line in first.read_text().splitlines()[1:]}
    assert digests <= {json.loads(line)["sha256"] for line in again.read_text().splitlines()[1:]}
    assert answers(tune(traffic, "--wrong-stops", "1%", "--json", "--labels", filled_in(again, traffic)))["block"][
        "promised"
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-n", "600"), "--add lists more of a walk as it was drawn; drop -n,"),
        ((), "lists all that was drawn for its walk already"),
        (("another",), "is no walk from the top of red"),
    ],
)
def test_only_a_walk_of_which_more_is_left_is_added_to(
    *,
    run: Run,
    traffic: World,
    policy: Path,
    toy_folder: Path,
    tmp_path: Path,
    options: tuple[object, ...],
    sentence: str,
) -> None:
    drawn = tmp_path / "top.jsonl"
    assert from_the_top(run, traffic, policy, toy_folder, "-n", 299, "--at-most", "1%", "-o", drawn).exit_code == 0
    if options == ("another",):
        drawn, options = traffic.labels(tmp_path / "set.jsonl"), ()
    refused = from_the_top(run, traffic, policy, toy_folder, *options, "--add", drawn, "-o", tmp_path / "more.jsonl")
    assert refused.exit_code == 2
    assert sentence in " ".join(refused.stderr.split())
    assert not (tmp_path / "more.jsonl").exists()


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_table_is_cut_nowhere(
    tune: Tune, drawings: World, labels: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    args = ("--labels", labels, "--block-wrong", "3", "--prevalence", "1%")
    result = tune(drawings, *args)
    table = result.stdout.partition("2. What")[2].partition("Limits that allow")[0]
    said = answers(tune(drawings, *args, "--json"))
    folded = re.sub(r"\s", "", table)
    for header in ("harmless", "stopped", "wrongly"):
        assert all(letter in folded for letter in header)
    for row in said["choices"]:
        assert len(re.findall(rf"{row['found']}\s+of", table)) >= 1
    assert table.count("(") == table.count(")") >= len(said["choices"])  # no interval lacks its end


def test_the_end_says_what_comes_next_or_is_missing(
    tune: Tune, drawings: World, labels: Path, policy: Path, tmp_path: Path
) -> None:
    asked = tune(drawings, "--labels", labels, "--prevalence", "1%", "--show", "0")
    assert asked.stdout.strip().endswith(
        "such as --block-fpr 1% --review-recall 80%; with --write a new version has them."
    )
    assert re.search(r"\d+ missed\.$", asked.stdout, re.MULTILINE)
    assert "the first 0" not in asked.stdout
    some = ("--labels", labels, "--prevalence", "1%", "--review-recall", "60%", "--write")
    result = tune(drawings, *some, "--block-fpr", "0.1%")
    assert result.exit_code == 10, result.output
    assert "red has no block limit now: no line can promise that at most 0.1 %" in result.stderr.partition("Next:")[2]
    first = tmp_path / "mine-1.1.yaml"
    author = load_policy(first).policy.metadata.author
    assert f"clipwarden enforce {first} red --author {author} --approved-by NAME\n" in result.stderr
    assert "clipwarden restore" not in result.stderr  # it only watches
    assert "chosen_on" not in result.stdout
    assert re.search(
        r"^red, review: .*at least 60 % of harmful pictures are found",
        result.stdout.partition("6. What")[2],
        re.MULTILINE,
    )
    assert "log-loss" not in result.stdout
    again = tune(drawings, *some[:4], "--block-wrong", "3", "--write", policy=first)
    assert f"clipwarden serve --policy {policy} --candidate {tmp_path / 'mine-1.2.yaml'}\n" in again.stderr


def test_without_labels_nothing_is_said_of_looks_and_a_capacity_is_said_once(tune: Tune, traffic: World) -> None:
    text = tune(traffic, "--only", "red,blue", "--review-capacity", "3000", "--daily-volume", "100000").stdout
    text = text.partition("6. What")[0]
    assert text.count("of uploads go to people") == 1
    assert text.count("each line keeps its promise") <= 1
    assert "looked at" not in text


def test_without_labels_it_says_how_much_is_stopped_and_no_more(tune: Tune, traffic: World, drawings: World) -> None:
    result = tune(traffic, "--block-fpr", "0.5%", "--only", "red", "--json")
    said = answers(result)
    assert said["deciding"] is None
    assert "nothing was labelled" in said["block"]["sentence"]
    flagged = said["flagged"]["block"]
    assert 0 < flagged["value"] <= 0.005
    text = tune(traffic, "--only", "green").stdout
    assert "No labels: what follows says how much is stopped, and nothing of whether rightly." in text
    assert "as now, block" in text
    refused = tune(drawings, "--block-fpr", "0.5%")
    assert refused.exit_code == 2
    assert "needs a store of uniform traffic" in refused.stderr


def test_limits_that_nobody_labelled_are_summed_and_lead_to_labels_first(
    tune: Tune, traffic: World, toy_model: Model, tmp_path: Path
) -> None:
    result = tune(traffic, "--block-fpr", "2%", "--only", "red,green", "--write", "--author", "kim")
    assert result.exit_code == 0, result.output
    written = tmp_path / "mine-1.1.yaml"
    store = open_store(traffic.store)
    of_each = [logits(traffic, toy_model, written, name)[0] for name in ("red", "green")]
    said = json.loads(tune(traffic, "--block-fpr", "2%", "--only", "red,green", "--json").stdout)
    at = [each["block"]["at"] for each in said["categories"]]
    stopped = sum(any(score >= line for score, line in zip(row, at, strict=True)) for row in zip(*of_each, strict=True))
    assert said["together"]["value"] == pytest.approx(stopped / len(store.pictures))
    assert re.search(
        r"All 2 block limits together stop \S+ of 1,000 \(.*\) uploads; what was asked allows 40\.", result.stdout
    )
    assert "Nobody labelled what red, green would stop." in result.stderr
    assert f"clipwarden sample {written} --store {traffic.store} -n 600 --categories red,green\n" in result.stderr
    assert "clipwarden enforce" not in result.stderr


def test_capacity_is_shared_by_the_categories(tune: Tune, traffic: World) -> None:
    result = tune(traffic, "--only", "red,blue", "--review-capacity", "3000", "--daily-volume", "100000", "--json")
    assert result.exit_code == 0, result.output
    said = {each["category"]: each for each in json.loads(result.stdout)["categories"]}
    assert set(said) == {"red", "blue"}
    assert all("of uploads go to people" in each["review"]["sentence"] for each in said.values())
    assert all("kept on average" in each["review"]["sentence"] for each in said.values())
    few = tune(traffic, "--only", "red", "--review-capacity", "1", "--daily-volume", "100000", "--json")
    assert few.exit_code == 10
    assert json.loads(few.stdout)["missing"]


def test_what_cannot_be_had_is_said_with_what_is_missing(tune: Tune, drawings: World, labels: Path) -> None:
    result = tune(drawings, "--labels", labels, "--block-fpr", "0.1%", "--prevalence", "1%")
    assert result.exit_code == 10
    assert "it takes 2,995 harmless pictures with a label, there are" in result.stdout
    assert "Nothing: red, block: no line can promise" in result.stdout


def test_near_duplicates_count_once(tune: Tune, toy_model: Model, tmp_path: Path) -> None:
    world = make_world(tmp_path / "copies.store", toy_model, red=8, others=60, copies=5)
    said = answers(tune(world, "--labels", world.labels(tmp_path / "l.jsonl"), "--json"))["deciding"]
    assert (said["positives"], said["distinct_positives"]) == (40, 8)
    assert "40 harmful pictures of 8 distinct ones (near-duplicates count once)" in said["sentences"][0]


def test_what_is_unsure_is_left_out_with_both_extremes(tune: Tune, drawings: World, tmp_path: Path) -> None:
    doubtful = [*sorted(drawings.red)[:3], next(each for each in drawings.digests if each not in drawings.red)]
    rows = {digest: {"labels": {"red": "unsure"}} for digest in doubtful}
    said = answers(tune(drawings, "--labels", drawings.labels(tmp_path / "l.jsonl", rows=rows), "--json"))
    told = " ".join(said["deciding"]["sentences"])
    assert "Left out: 4 unsure." in told
    assert "Were the unsure ones all harmful, it would find" in told
    assert said["deciding"]["left_out"]["unsure"] == 4


def test_what_was_escalated_is_shown_nowhere(tune: Tune, drawings: World, labels: Path, tmp_path: Path) -> None:
    args = ("--block-wrong", "3", "--json", "--show", "50")
    shown = answers(tune(drawings, "--labels", labels, *args))["gallery"]
    missed = [each["sha256"] for each in shown["misses"]]
    assert len(missed) == shown["missed"] > 0
    rows = {missed[0]: {"escalated": True}}
    again = answers(tune(drawings, "--labels", drawings.labels(tmp_path / "l.jsonl", rows=rows), *args))["gallery"]
    assert again["missed"] == shown["missed"]
    assert [each["sha256"] for each in again["misses"]] == missed[1:]


def test_a_text_that_moves_nothing_is_told(tune: Tune, drawings: World, labels: Path, policy: Path) -> None:
    policy.write_text(policy.read_text().replace('"a statue"', '"a photo of a screenshot"'))
    said = answers(tune(drawings, "--labels", labels, "--block-wrong", "3", "--json"))
    texts = {each["text"]: each for each in said["texts"]}
    assert set(texts) == {"red", "a weapon", "yellow", "a photo of a screenshot"}
    assert texts["red"]["hurts"]
    assert texts["red"]["found"][1] < texts["red"]["found"][0]
    assert all(each["harmful"] == 40 for each in texts.values())
    idle = [each["sentence"] for each in texts.values() if each["moved"] == 0]
    assert all("moves no image: no score by more than" in sentence for sentence in idle)


def mistakes() -> dict[str, tuple[tuple[str, ...], str]]:
    """By what is wrong, what is typed beside store and policy, and what is said."""
    return {
        "no target": (("--labels", "LABELS", "--write"), "--write needs to know what limits are to keep"),
        "two for one": (
            ("--labels", "LABELS", "--block-fpr", "1%", "--block-wrong", "3"),
            "--block-fpr and --block-wrong place the same limit: give one of them.",
        ),
        "half a capacity": (("--review-capacity", "3"), "--review-capacity and --daily-volume go together"),
        "a share that may be percent": (
            ("--labels", "LABELS", "--block-fpr", "0.5"),
            "write 0.5% if percent are meant",
        ),
        "an unknown category": (("--labels", "LABELS", "--only", "rde"), 'did you mean "red"?'),
        "a disabled one": (("--labels", "LABELS", "--only", "black"), "has black disabled"),
        "one that nobody labelled": (("--labels", "LABELS", "--only", "blue"), "says nothing of blue"),
        "no file": (("--labels", "nowhere.jsonl"), "There is no file nowhere.jsonl"),
        "one class": (("--labels", "CLEAN", "--block-wrong", "3"), "are harmless: label some that are red."),
        "no prevalence": (
            ("--labels", "LABELS", "--block-wrong", "3", "--write"),
            "say it with --prevalence, such as 0.002",
        ),
        "a set for capacity": (
            ("--labels", "LABELS", "--review-capacity", "3", "--daily-volume", "9"),
            "--review-capacity needs a store of uniform traffic",
        ),
        "a walk that is none": (
            ("--labels", "LABELS", "--wrong-stops", "1%"),
            "`clipwarden sample --from-the-top red`",
        ),
        "a queue": (("--labels", "QUEUE", "--block-wrong", "3"), "Labels from a queue choose no limit"),
        "a sample of elsewhere": (("--labels", "SAMPLE"), "name the store that it was drawn from"),
        "all may be wrong": (("--labels", "LABELS", "--block-wrong", "400"), "allows all 400 harmless pictures of red"),
        "about nothing": (("--version", "2"), "are about the version that --write writes"),
        "nothing to be complete": (("--complete",), "--design and --complete are about labels"),
        "a design that is none": (
            ("--labels", "LABELS", "--design", "sett"),
            '--design is "sett"; there is sample, set',
        ),
        "slices without": (("--labels", "LABELS", "--slice-ceiling", "2%"), "--slice-ceiling found nothing to compare"),
    }


@pytest.mark.parametrize("wrong", mistakes())
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    wrong: str, tune: Tune, drawings: World, tmp_path: Path
) -> None:
    files = {
        "LABELS": drawings.labels(tmp_path / "labels.jsonl"),
        "CLEAN": drawings.labels(tmp_path / "clean.jsonl", of=set(drawings.digests) - drawings.red),
        "QUEUE": drawings.labels(tmp_path / "queue.jsonl", design="queue"),
        "SAMPLE": drawings.labels(
            tmp_path / "sample.jsonl", design="sample", rows={each: {"pi": 0.5} for each in drawings.digests}
        ),
    }
    before = sorted(path.name for path in tmp_path.glob("*.yaml"))
    args, said = mistakes()[wrong]
    result = tune(drawings, *(files.get(arg, arg) for arg in args))
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split()), result.stderr
    assert "Traceback" not in result.output
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == before


def test_a_store_of_another_model_is_refused(run: Run, drawings: World, labels: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(BARE)
    result = run("tune", other, "--store", drawings.store, "--labels", labels)  # the embedded model
    assert result.exit_code == 8, result.output
    assert "embed the pictures with the policy's model" in result.stderr


def test_what_is_enforced_needs_a_second_person_and_nothing_is_raised(
    tune: Tune, drawings: World, labels: Path, tmp_path: Path
) -> None:
    args = ("--labels", labels, "--block-wrong", "3", "--prevalence", "1%", "--author", "kim", "--write")
    assert tune(drawings, *args).exit_code == 0
    enforced = tmp_path / "mine-2.yaml"
    text = (tmp_path / "mine-1.1.yaml").read_text().replace('version: "1.1"', 'version: "2"').replace('"1.1"', '"2"')
    enforced.write_text(text.replace("  severity: 3\n", "  severity: 3\n  mode: enforce\n"))
    result = tune(drawings, *args[:3], "5", *args[4:], policy=enforced)
    assert result.exit_code == 2, result.output
    assert "Say who else stands for them with --approved-by NAME" in result.stderr
    looked = tune(drawings, *args[:3], "5", *args[4:6], policy=enforced)
    assert "Nothing: The numbers of red change, and would be enforced." in looked.stdout
    done = tune(drawings, *args[:3], "5", *args[4:], "--approved-by", "lee", policy=enforced)
    assert done.exit_code == 0, done.output
    modes = [each.mode for each in load_policy(tmp_path / "mine-3.yaml").policy.categories]
    assert modes == [Mode.ENFORCE, Mode.SHADOW, Mode.SHADOW, Mode.DISABLED]
    moved = done.stdout.partition("red is enforced: once this version is live, uploads are stopped by these limits.")[2]
    assert re.search(r"^  block was \S+: finds \d+ of 40 harmful, stops 3 of 400 harmless", moved, re.MULTILINE)
    assert re.search(r"^  block is \S+: finds \d+ of 40 harmful, stops 5 of 400 harmless", moved, re.MULTILINE)
    assert (
        "was written by kim and approved by lee: version 3. Once it is live, red stops uploads by the new"
        in done.stderr
    )
    assert f"clipwarden restore {tmp_path / 'mine.yaml'} 3\n" in done.stderr
    assert "clipwarden enforce" not in done.stderr


def test_after_an_edit_the_command_that_lint_names_fits_it_again(
    *, tune: Tune, run: Run, drawings: World, labels: Path, policy: Path, tmp_path: Path
) -> None:
    args = ("--labels", labels, "--prevalence", "1%")
    assert tune(drawings, *args, "--block-wrong", "3", "--review-recall", "60%", "--write").exit_code == 0
    first = tmp_path / "mine-1.1.yaml"
    holds = tune(drawings, "--labels", labels, "--refit", policy=first)
    assert "there is nothing to fit again" in holds.stderr
    first.write_text(first.read_text().replace('"a weapon"', '"a gun"'))
    told = run("lint", first)
    assert f"`clipwarden tune {first} --store STORE --labels LABELS --refit --write`" in told.output
    again = tune(drawings, "--labels", labels, "--refit", "--write", "--version", "1.2", policy=first)
    assert again.exit_code == 0, again.output
    second = tmp_path / "mine-1.2.yaml"
    assert run("lint", second, "--strict").exit_code == 0
    red = load_policy(second).policy.categories[0]
    assert red.thresholds is not None
    assert red.thresholds.chosen_on is not None
    evidence = red.thresholds.chosen_on.evidence
    assert evidence is not None
    assert evidence.targets == ("block-wrong 3", "review-recall 0.6", "prevalence 0.01")
    assert evidence.looks == 1 + 1 + 3  # a negative is another, after four texts were compared
    assert "texts chosen by what leaving out each of 4 did on these labels: 4 looks" in evidence.how
    policy.write_text(policy.read_text().replace("review: 0.5", "review: 0.6"))
    nobody = tune(drawings, "--labels", drawings.labels(tmp_path / "g.jsonl", categories=["green"]), "--refit")
    assert (nobody.exit_code, "Nothing says what was asked of green" in nobody.stderr) == (2, True)


def test_another_view_plan_is_fitted_again_on_a_store_of_its_own(
    *, tune: Tune, run: Run, toy_model: Model, drawings: World, tmp_path: Path
) -> None:
    labels = drawings.labels(tmp_path / "red.jsonl", categories=["red"])
    args = ("--labels", labels, "--prevalence", "1%")
    assert tune(drawings, *args, "--block-wrong", "3", "--write").exit_code == 0
    first = tmp_path / "mine-1.1.yaml"
    text = first.read_text()
    looking = text.replace("defaults: {", "defaults: {views: auto, frames: 16, ")
    assert looking != text
    first.write_text(looking)
    told = run("lint", first)
    assert "on another view plan (whole; the policy looks at auto with up to 16 frames)" in told.output
    assert "`clipwarden embed SOURCE -o STORE --views auto --frames 16`, then `clipwarden tune" in told.output
    refused = tune(drawings, "--labels", labels, "--refit", policy=first)
    assert refused.exit_code == Exit.DATA, refused.output
    assert "holds the views whole, and the policy looks at auto with up to 16 frames: embed the pictures so" in (
        " ".join(refused.stderr.split())
    )
    seen = make_world(tmp_path / "auto.store", toy_model, plan=ViewPlan(views=Views.AUTO, frames=16))
    again = tune(seen, "--labels", labels, "--refit", "--only", "red", "--write", "--version", "1.2", policy=first)
    assert again.exit_code == 0, again.output
    assert "views auto with up to 16 frames" in " ".join(again.output.split())
    second = tmp_path / "mine-1.2.yaml"
    left = run("lint", second).output
    assert ('of "red"' in left, 'The thresholds of "green" were chosen on another view plan' in left) == (False, True)
    red = load_policy(second).policy.categories[0]
    evidence = red.thresholds and red.thresholds.chosen_on and red.thresholds.chosen_on.evidence
    assert evidence
    assert "views auto with up to 16 frames" in evidence.how
    facts = json.loads(tune(seen, "--labels", labels, "--json", policy=second).stdout)
    assert (facts["store"]["views"], facts["store"]["frames"]) == ("auto", 16)


def test_looks_are_counted_by_questions_and_survive_a_folder_that_cannot_be_written(
    tune: Tune, drawings: World, tmp_path: Path, policy: Path
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    labels = drawings.labels(folder / "labels.jsonl")

    def looks(*args: str) -> int:
        return int(answers(tune(drawings, "--labels", labels, "--json", *args))["confidence"]["looks"])

    assert looks() == 1
    assert looks("--block-wrong", "3") == 1  # what was looked at is what was asked
    assert looks("--block-wrong", "3", "--prevalence", "2%") == 1
    assert looks("--block-wrong", "1") == 2
    policy.write_text(policy.read_text().replace('"a weapon"', '"a weapon", "a knife"'))  # nothing compared goes
    assert looks("--block-wrong", "1") == 3
    assert (folder / "labels.jsonl.looks").exists()
    (folder / "labels.jsonl.looks").unlink()
    (folder / "labels.jsonl.looks").mkdir()  # nothing can be written there, whoever runs this
    assert looks("--block-wrong", "1") == 3
    assert looks("--block-wrong", "0") == 4


def test_acting_on_what_would_help_counts_all_that_was_compared(
    tune: Tune, drawings: World, policy: Path, tmp_path: Path
) -> None:
    labels = drawings.labels(tmp_path / "labels.jsonl")
    shown = tune(drawings, "--labels", labels).stdout
    assert "chooses by these labels: all 4 of these count as looks at them" in shown
    policy.write_text(policy.read_text().replace('"a weapon"', '"a weapon", "a knife"'))
    assert answers(tune(drawings, "--labels", labels, "--json"))["confidence"]["looks"] == 2
    policy.write_text(policy.read_text().replace('"a weapon", ', ""))
    told = tune(drawings, "--labels", labels, "--block-wrong", "3")
    assert "Texts were taken out or reworded after 9 were compared on these labels" in told.stdout
    said = json.loads(tune(drawings, "--labels", labels, "--block-wrong", "3", "--json").stdout)
    assert said["texts_chosen"] == {"red": 4 + 5}
    assert said["categories"][0]["confidence"]["looks"] == 3 + (4 - 1) + (5 - 1)


def test_labels_without_a_seed_are_known_again_with_rows_less_or_more(
    tune: Tune, drawings: World, tmp_path: Path
) -> None:
    def looks(count: int, wrong: str, name: str) -> int:
        path = drawings.labels(tmp_path / name, of=drawings.digests[:count])
        args = ("--labels", path, "--block-wrong", wrong, "--json")
        return int(answers(tune(drawings, *args))["confidence"]["looks"])

    assert looks(400, "3", "one.jsonl") == 1
    assert looks(399, "2", "two.jsonl") == 2
    assert looks(440, "1", "three.jsonl") == 3
    path = drawings.labels(tmp_path / "other.jsonl", of=[*drawings.digests[:10], *drawings.digests[100:]])
    assert answers(tune(drawings, "--labels", path, "--json"))["confidence"]["looks"] == 3


def test_slices_twins_and_fixtures(tune: Tune, toy_model: Model, tmp_path: Path) -> None:
    world = make_world(
        tmp_path / "slices.store", toy_model, others=600, slices={"country": ["de", "fr", "de", "de", "de", "de", "de"]}
    )
    red = sorted(world.red)
    rows = {
        red[0]: {"slices": {"fixture": "must-stop"}},
        **{digest: {"slices": {"twin": "cup"}} for digest in red[1:3]},
    }
    labels = world.labels(tmp_path / "l.jsonl", rows=rows)
    result = tune(world, "--labels", labels, "--block-wrong", "0", "--slice-ceiling", "2%", "--json")
    assert result.exit_code == 10
    gates = {gate["name"]: gate for gate in json.loads(result.stdout)["slices"]}
    parts = {part["value"]: part["outcome"] for part in gates["country"]["parts"]}
    assert parts == {"de": "pass", "fr": "unknown"}
    assert gates["country"]["outcome"] == "unknown"
    assert set(gates) == {"country", "twin", "fixture"}
    assert gates["twin"]["outcome"] in {"pass", "fail"}
    text = tune(world, "--labels", labels, "--block-wrong", "0", "--slice-ceiling", "2%").stdout
    assert "UNKNOWN  red, slice country, by the block limit" in text
    assert "cannot be told from 2 %" in text
    odd = world.labels(tmp_path / "odd.jsonl", rows={red[0]: {"slices": {"fixture": "never"}}})
    refused = tune(world, "--labels", odd, "--block-wrong", "0", "--slice-ceiling", "2%")
    assert (refused.exit_code, "it says must-allow or must-stop" in refused.stderr) == (2, True)


def test_slices_of_other_limits_are_not_known_and_asked_about_again_by_a_refit(
    tune: Tune, toy_model: Model, policy: Path, tmp_path: Path
) -> None:
    world = make_world(tmp_path / "slices.store", toy_model, others=600, slices={"country": ["de", "fr"]})
    harmless = next(each for each in world.digests if each not in world.red)
    labels = world.labels(tmp_path / "l.jsonl", rows={harmless: {"slices": {"fixture": "must-allow"}}})

    def version(number: int, *args: str, after: int) -> dict[str, str]:
        of = policy.with_name(f"mine-1.{after}.yaml") if after else policy
        asked = ("--labels", labels, "--prevalence", "1%", "--write", "--yes", "--version", f"1.{number}")
        result = tune(world, *asked, *args, policy=of)
        assert result.exit_code in {0, 10}, result.output
        slices = chosen(policy.with_name(f"mine-1.{number}.yaml"))[1].slices
        return {each.partition(":")[0].strip('"'): each.partition(": ")[2] for each in slices}

    first = version(1, "--block-wrong", "3", "--slice-ceiling", "2.5%", after=0)
    assert first == {"country": "PASS by the block limit at 2.5 %", "fixture": "PASS by the block limit"}
    unknown = {name: told.replace("PASS", "UNKNOWN") for name, told in first.items()}
    # Its block limit stays; but what is to be allowed may now go to people.
    assert version(2, "--review-wrong", "100", after=1) == {**first, "fixture": unknown["fixture"]}
    assert version(3, "--block-wrong", "300", after=2) == unknown
    for number, edit in ((4, "mode: shadow"), (5, "contexts: {shop: {mode: enforce}}")):
        text = policy.with_name("mine-1.1.yaml").read_text().replace('version: "1.1"', f'version: "1.{number}"')
        again = policy.with_name(f"mine-1.{number}.yaml")
        again.write_text(text.replace('"a weapon"', '"a gun"').replace("  severity: 3", f"  {edit}\n  severity: 3"))
        told = version(number + 2, "--refit", "--author", "kim", "--approved-by", "lee", after=number)
        assert told == first
    no_slices = make_world(tmp_path / "none.store", toy_model, others=600)
    asked = ("--labels", no_slices.labels(tmp_path / "n.jsonl"), "--prevalence", "1%", "--refit", "--write", "--yes")
    by = ("--author", "kim", "--approved-by", "lee", "--version", "9")
    refused = tune(no_slices, *asked, *by, policy=again)
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert 'red is enforced, and by the new limits slice "fixture" is UNKNOWN by the block limit, "country" is' in said


def test_json_has_keys_that_stay(tune: Tune, drawings: World, labels: Path) -> None:
    result = tune(drawings, "--labels", labels, "--block-wrong", "3", "--prevalence", "1%", "--json")
    whole = json.loads(result.stdout)
    assert set(whole) == {
        *(
            "policy",
            "store",
            "labels",
            "looks",
            "texts_chosen",
            "notes",
            "categories",
            "slices",
            "missing",
            "version",
            "together",
            "not_written",
        ),
    }
    assert set(whole["categories"][0]) == {
        *("category", "targets", "deciding", "choices", "now", "lowering", "gallery", "texts", "prevalence", "flagged"),
        *("block", "review", "calibration", "no_calibration", "quality", "bounds", "confidence", "notes"),
    }
    assert whole["version"]["written"] is False
    assert not np.isnan(json.loads(result.stdout, parse_constant=lambda _: pytest.fail("no number"))["looks"]["red"])
    assert whole["categories"][0]["choices"][0]["harmful"] == 40


def test_people_at_a_terminal_are_asked(
    drawings: World, labels: Path, policy: Path, toy_folder: Path, tmp_path: Path
) -> None:
    # By its name alone: a dumb terminal has 80 columns, and breaks long paths in the middle.
    command = [sys.executable, "-m", "clipwarden", "tune", policy.name, "--store", str(drawings.store)]
    command += ["--labels", str(labels), "--model", str(toy_folder)]
    said = talk(
        command,
        tmp_path,
        [("BLOCK may stop", "many"), ("no share", "3"), ("REVIEW is", ""), ("1,000", ""), ("Write", "y")],
    )
    assert "such as 1%" in said
    assert "mine-1.1.yaml was written by" in said
    loaded = load_policy(tmp_path / "mine-1.1.yaml").policy
    assert loaded.categories[0].calibration is not None
    assert loaded.categories[0].calibration.prevalence == 0.002
    refused = talk(command, tmp_path, [("BLOCK may stop", "1"), ("REVIEW is", "50%"), ("1,000", "5"), ("Write", "")])
    assert "mine-1.2.yaml?" in refused
    assert not (tmp_path / "mine-1.2.yaml").exists()
    nothing = talk(command, tmp_path, [("BLOCK may stop", "none"), ("REVIEW is", ""), ("1,000", "")])
    assert "6. What would be written?" not in nothing


def talk(command: list[str], folder: Path, turns: list[tuple[str, str]]) -> str:
    """Run a command on a terminal, and answer what it asks."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "dumb", "XDG_STATE_HOME": str(folder / "state")}
    with subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        said, seen = "", 0
        for question, answer in [*turns, ("", "")]:
            while question == "" or question not in said[seen:]:
                more = _read(ours)
                if not more:
                    break
                said += more
            if question:
                assert question in said[seen:], said
                seen = len(said)
                os.write(ours, f"{answer}\n".encode())
        process.wait(60)
    os.close(ours)
    return said


def _read(terminal: int) -> str:
    """Read what is there; nothing once the other side is closed."""
    assert select.select([terminal], [], [], 100)[0], "it says nothing more"
    try:
        return os.read(terminal, 4096).decode("utf-8", "replace")
    except OSError:  # Linux's way to say that it was closed
        return ""


def test_what_cannot_be_written_in_one_category_spoils_no_other(
    tune: Tune, drawings: World, policy: Path, tmp_path: Path
) -> None:
    both = drawings.labels(tmp_path / "both.jsonl", categories=["red", "green"])
    said = tune(drawings, "--labels", both, "--review-wrong", "12", "--json")  # without a prevalence
    assert said.exit_code == 0, said.output
    whole = json.loads(said.stdout)
    bounds = {each["category"]: each["bounds"] for each in whole["categories"]}
    assert bounds["red"] is None
    assert bounds["green"]["review"] is not None
    assert "--prevalence" in " ".join(whole["categories"][0]["notes"])
    assert policy.with_name("mine-1.1.yaml").name == Path(whole["version"]["file"]).name


def sampled(world: World, path: Path, *, rows: dict[str, dict[str, object]] | None = None) -> Path:
    """Write labels of a sample that took in all there is."""
    pi = {digest: {"pi": 1.0, **(rows or {}).get(digest, {})} for digest in world.digests}
    return world.labels(path, design="sample", seed="x", rows=pi)


def test_half_a_sample_promises_nothing(tune: Tune, traffic: World, tmp_path: Path) -> None:
    bare: dict[str, dict[str, object]] = {digest: {"labels": {}} for digest in traffic.digests[200:]}
    half = sampled(traffic, tmp_path / "half.jsonl", rows=bare)
    result = tune(traffic, "--labels", half, "--block-fpr", "5%", "--review-recall", "50%", "--json")
    assert result.exit_code == 10, result.output
    said = answers(result)
    for name in ("block", "review"):
        assert not said[name]["promised"]
        told = "it takes 3,040 drawn pictures with a label, there are 200, so 2,840 are missing"
        assert told in said[name]["sentence"]
    assert said["prevalence"] is None
    assert "2,840 of 3,040 drawn have no label" in " ".join(said["deciding"]["sentences"])
    refused = tune(traffic, "--labels", half, "--complete", "--block-fpr", "5%")
    assert (refused.exit_code, "2,840 of 3,040 pictures lack a label" in refused.stderr) == (2, True)


def test_what_is_unsure_in_a_sample_counts_against_every_promise(tune: Tune, traffic: World, tmp_path: Path) -> None:
    unsure: dict[str, dict[str, object]] = {
        digest: {"labels": {"red": "unsure"}} for digest in [*sorted(traffic.red)[:8], traffic.digests[-1]]
    }
    args = ("--block-fpr", "5%", "--review-recall", "50%", "--json", "--labels")
    sure = answers(tune(traffic, *args, sampled(traffic, tmp_path / "sure.jsonl")))
    said = answers(tune(traffic, *args, sampled(traffic, tmp_path / "unsure.jsonl", rows=unsure)))
    assert "the 9 unsure counted as harmless" in said["block"]["sentence"]
    assert "the 9 unsure counted as missed" in said["review"]["sentence"]
    assert said["block"]["at"] >= sure["block"]["at"]
    assert said["review"]["at"] <= sure["review"]["at"]
    assert said["prevalence"]["low"] < sure["prevalence"]["low"]
    assert said["prevalence"]["high"] > sure["prevalence"]["high"]


def test_looks_are_told_in_the_promise_that_is_written(
    tune: Tune, traffic: World, policy: Path, tmp_path: Path
) -> None:
    labels = sampled(traffic, tmp_path / "labels.jsonl")
    for share in ("3%", "4%"):
        tune(traffic, "--labels", labels, "--block-fpr", share)
    assert tune(traffic, "--labels", labels, "--block-fpr", "5%", "--write", "--yes").exit_code == 0
    (red, *_) = load_policy(policy.with_name("mine-1.1.yaml")).policy.categories
    assert red.thresholds is not None
    assert red.thresholds.chosen_on is not None
    assert red.thresholds.chosen_on.evidence is not None
    assert "with 85 % confidence after 3 looks at these labels" in red.thresholds.chosen_on.evidence.promises[0]


@pytest.mark.parametrize("block", [0.99964, 0.90004])
def test_a_limit_that_nobody_asked_for_stays_as_it_is_written(
    tune: Tune, drawings: World, policy: Path, tmp_path: Path, block: float
) -> None:
    bare = re.sub(r', chosen_on: "[^"]*"', "", policy.read_text())
    policy.write_text(chosen_text(bare.replace("block: 0.9}", f"block: {block}}}")))
    green = drawings.labels(tmp_path / "green.jsonl", categories=["green"])
    said = answers(tune(drawings, "--labels", green, "--review-wrong", "12", "--json"))
    assert said["bounds"]["block"] == block
    assert "The block limit stays where it is." in said["notes"]


def test_a_block_limit_that_finds_nothing_is_not_written(tune: Tune, drawings: World, tmp_path: Path) -> None:
    green = drawings.labels(tmp_path / "green.jsonl", categories=["green"])
    said = answers(tune(drawings, "--labels", green, "--block-wrong", "0", "--json"))
    assert (said["block"]["met"], said["block"]["threshold"], said["bounds"]) == (False, None, None)
    assert "it would stop none of the 40 harmful pictures here, so that it is not written" in said["block"]["sentence"]
    refused = tune(drawings, "--labels", green, "--block-wrong", "0", "--write", "--yes")
    assert (refused.exit_code, list(tmp_path.glob("mine-*"))) == (10, [])
    args = ("--block-wrong", "0", "--review-wrong", "12", "--write", "--yes")
    assert tune(drawings, "--labels", green, *args).exit_code == 10
    bounds, evidence = chosen(tmp_path / "mine-1.1.yaml", 2)
    assert bounds.block == 0.9
    assert [each.partition(": ")[0] for each in evidence.promises] == ["review"]
    assert evidence.how == "review by counting wrong stops"


def chosen(path: Path, index: int = 0) -> tuple[Bounds, Evidence]:
    """Return a category's limits, and what they rest on."""
    thresholds = load_policy(path).policy.categories[index].thresholds
    assert thresholds is not None
    assert thresholds.chosen_on is not None
    assert thresholds.chosen_on.evidence is not None
    return thresholds.bounds, thresholds.chosen_on.evidence


def test_what_the_other_limit_rests_on_stays_in_the_file(
    *, tune: Tune, run: Run, traffic: World, policy: Path, toy_folder: Path, tmp_path: Path
) -> None:
    labels = sampled(traffic, tmp_path / "sample.jsonl")
    kim = ("--author", " kim  (shop)")
    assert tune(traffic, "--labels", labels, "--review-recall", "60%", "--write", "--yes", *kim).exit_code == 0
    first, second = policy.with_name("mine-1.1.yaml"), policy.with_name("mine-1.2.yaml")
    top = tmp_path / "top.jsonl"
    drawn = run(
        *("sample", first, "--store", traffic.store, "--model", toy_folder),
        *("--from-the-top", "red", "--at-most", "1%", "-o", top),
    )
    assert drawn.exit_code == 0, drawn.output
    args = ("--labels", filled_in(top, traffic), "--wrong-stops", "1%", "--write", "--yes", "--author", "amy")
    written = tune(traffic, *args, policy=first)
    assert written.exit_code == 0, written.output
    evidences = []
    for path in (first, second):
        thresholds = load_policy(path).policy.categories[0].thresholds
        assert thresholds is not None
        assert thresholds.chosen_on is not None
        assert thresholds.chosen_on.evidence is not None
        evidences.append((thresholds.bounds, thresholds.chosen_on.evidence))
    (old, before), (new, after) = evidences
    assert new.review == old.review
    kept = f" (chosen on {before.day} by labels whose design is sample, by kim (shop))"
    assert [f"{each}{kept}" for each in before.promises] == list(after.promises[1:])
    assert after.promises[0].startswith("block: at most 1 % of distinct uploads")
    assert after.targets == ("wrong-stops 0.01", "review-recall 0.6")
    assert "review by a bet on weighted labels" in after.how
    for chooser in ("amy", "Kim (shop)"):
        refused = run("enforce", second, "red", "--author", "bob", "--approved-by", chooser)
        assert (refused.exit_code, " chose the limits of red and cannot be" in refused.stderr) == (2, True)
    assert run("enforce", second, "red", "--author", "bob", "--approved-by", "lee", "--dry-run").exit_code == 0
    second.write_text(second.read_text().replace('"a weapon"', '"a gun"'))
    again = tune(traffic, "--labels", labels, "--refit", "--json", policy=second)
    assert again.exit_code == 0, again.output
    assert "these labels do not serve --wrong-stops 0.01" in " ".join(again.stderr.split())
    assert answers(again)["review"]["asked"] == "review-recall 0.6"


def test_a_sample_of_which_the_store_lacks_a_part_promises_nothing(tune: Tune, traffic: World, tmp_path: Path) -> None:
    labels = sampled(traffic, tmp_path / "labels.jsonl")
    row = {"pi": 1.0, "labels": {"red": False}}
    with labels.open("a") as file:
        file.writelines(json.dumps({"sha256": f"{number:064x}", **row}) + "\n" for number in range(20))
    args = ("--block-fpr", "5%", "--review-recall", "50%", "--json", "--labels", labels)
    assert answers(tune(traffic, *args))["review"]["promised"]
    with labels.open("a") as file:
        file.writelines(json.dumps({"sha256": f"{number:064x}", **row}) + "\n" for number in range(20, 400))
    said = answers(tune(traffic, *args))
    assert not said["review"]["promised"]
    assert "it takes 3,440 of the drawn pictures in the store, there are 3,040" in said["block"]["sentence"]
    assert said["prevalence"] is None


def without_rows(path: Path, gone: int) -> Path:
    """Pretend that some rows are of pictures that the store has forgotten since."""
    head, *rows = path.read_text().splitlines()
    moved = [json.dumps({**json.loads(row), "sha256": f"{number:064x}"}) for number, row in enumerate(rows[:gone])]
    path.write_text("\n".join([head, *moved, *rows[gone:]]) + "\n")
    return path


def test_what_the_store_forgot_of_a_sample_counts_against_every_promise(
    tune: Tune, traffic: World, tmp_path: Path
) -> None:
    labels = sampled(traffic, tmp_path / "sample.jsonl")
    args = ("--block-fpr", "3%", "--review-recall", "50%", "--json")
    whole = answers(tune(traffic, "--labels", labels, *args))
    less = answers(tune(traffic, "--labels", without_rows(labels, 2), *args))
    for name, counted in (("block", "harmless and stopped"), ("review", "missed")):
        assert whole[name]["met"]
        assert f"the 2 that the store lacks by now counted as {counted}" in less[name]["sentence"]
        assert "the store lacks" not in whole[name]["sentence"]
    assert less["block"]["at"] > whole["block"]["at"]
    assert less["review"]["at"] <= whole["review"]["at"]


def test_a_walk_says_what_share_of_uploads_it_stops_and_counts_the_forgotten(
    *, tune: Tune, run: Run, traffic: World, policy: Path, toy_folder: Path, tmp_path: Path
) -> None:
    top = tmp_path / "top.jsonl"
    drawn = ("sample", policy, "--store", traffic.store, "--model", toy_folder, "--from-the-top", "red", "-o", top)
    assert run(*drawn).exit_code == 0
    args = ("--wrong-stops", "1%", "--json")
    whole = answers(tune(traffic, "--labels", filled_in(top, traffic), *args))["block"]
    stops = whole["stops"]
    assert stops["of"] == len(traffic.digests)
    said = f"it stops {stops['uploads']:,} of the {stops['of']:,} uploads in the store"
    assert said in whole["sentence"]
    shown = tune(traffic, "--labels", filled_in(top, traffic), "--wrong-stops", "1%").stdout
    assert said in " ".join(shown.split())
    lost = answers(tune(traffic, "--labels", without_rows(filled_in(top, traffic), 2), *args))["block"]
    assert "the 2 that the store lacks by now count as harmless and stopped" in lost["sentence"]
    assert lost["at"] >= whole["at"]


def test_a_sample_is_no_complete_file_and_chances_have_a_least(tune: Tune, traffic: World, tmp_path: Path) -> None:
    labels = sampled(traffic, tmp_path / "sample.jsonl")
    assert tune(traffic, "--labels", labels, "--complete").exit_code == 0  # all that was drawn has a mark
    head, first, *rows = labels.read_text().splitlines()
    bare = json.dumps({**json.loads(first), "labels": {}})
    labels.write_text("\n".join([head, bare, *rows]) + "\n")
    refused = tune(traffic, "--labels", labels, "--complete")
    assert (refused.exit_code, "of a sample that is no no" in refused.stderr) == (2, True)
    tiny = json.dumps({**json.loads(first), "pi": 1e-300})
    labels.write_text("\n".join([head, tiny, *rows]) + "\n")
    refused = tune(traffic, "--labels", labels)
    assert (refused.exit_code, "no sample draws with less than one in 1,000,000,000" in refused.stderr) == (2, True)


def test_a_review_limit_may_be_bounded_by_harmless_pictures(tune: Tune, traffic: World, tmp_path: Path) -> None:
    labels = sampled(traffic, tmp_path / "labels.jsonl")
    args = ("--block-fpr", "1%", "--review-fpr", "5%", "--json")
    said = answers(tune(traffic, "--labels", labels, *args))
    assert "at most 5 % of harmless pictures go to people or are stopped, with 95 %" in said["review"]["sentence"]
    assert said["review"]["at"] < said["block"]["at"]
    assert said["targets"] == ["block-fpr 0.01", "review-fpr 0.05"]
    bare = answers(tune(traffic, "--only", "red", *args))
    assert "at most 5 % of uploads are stopped, rightly or not" in bare["review"]["sentence"]
    assert 0.01 < bare["flagged"]["review"]["value"] <= 0.05
    for more, why in (("--review-recall", "place the same limit"), ("--review-wrong", "place the same limit")):
        refused = tune(traffic, "--labels", labels, "--review-fpr", "5%", more, "20" if "wrong" in more else "50%")
        assert (refused.exit_code, why in refused.stderr) == (2, True)
    low = tune(traffic, "--labels", labels, "--review-fpr", "1%", "--block-fpr", "2%")
    assert (low.exit_code, "has to be more than --block-fpr" in low.stderr) == (2, True)


def test_what_was_refused_is_no_look(tune: Tune, drawings: World, labels: Path) -> None:
    for wrong in ("400", "401", "402"):
        assert tune(drawings, "--labels", labels, "--block-wrong", wrong).exit_code == 2
    assert answers(tune(drawings, "--labels", labels, "--block-wrong", "3", "--json"))["confidence"]["looks"] == 1


def test_one_prevalence_is_of_one_category(tune: Tune, drawings: World, tmp_path: Path) -> None:
    both = drawings.labels(tmp_path / "both.jsonl", categories=["red", "green"])
    refused = tune(drawings, "--labels", both, "--prevalence", "1%")
    assert (refused.exit_code, "this is about red, green: choose one with --only" in refused.stderr) == (2, True)
    assert tune(drawings, "--labels", both, "--prevalence", "1%", "--only", "red").exit_code == 0


def test_too_few_drawn_evenly_are_explained_with_what_helps(tune: Tune, traffic: World, tmp_path: Path) -> None:
    rows = {digest: {"pi": 0.5 if number % 2 else 0.1} for number, digest in enumerate(traffic.digests)}
    labels = traffic.labels(tmp_path / "l.jsonl", of=traffic.digests[:120], design="sample", seed="x", rows=rows)
    told = answers(tune(traffic, "--labels", labels, "--block-fpr", "1%", "--json"))["block"]["sentence"]
    assert "of 80 harmless ones" in told
    assert "count as drawn evenly" in told
    assert "`clipwarden sample --from-the-top red`" in told


def test_what_nobody_labelled_of_a_walk_is_compared_with_nothing(
    *,
    tune: Tune,
    run: Run,
    traffic: World,
    policy: Path,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = tmp_path / "top.jsonl"
    args = ("sample", policy, "--store", traffic.store, "--model", toy_folder, "--from-the-top", "red", "-o", drawn)
    assert run(*args).exit_code == 0
    head, *rows = drawn.read_text().splitlines()
    marked = [json.dumps({**json.loads(row), "labels": {"red": True}}) for row in rows[:5]]
    drawn.write_text("\n".join([head, *marked, *rows[5:]]) + "\n")
    compared: list[int] = []

    def counted(vectors: Any, named: Any, **told: Any) -> Any:  # noqa: ANN401
        compared.append(len(vectors))
        return group_pictures(vectors, named, **told)

    monkeypatch.setattr(cases, "group_pictures", counted)
    assert tune(traffic, "--labels", drawn, "--wrong-stops", "1%").exit_code in {0, 10}
    assert compared == [5]


def test_promises_of_other_categories_count_and_slices_stand_in_the_evidence(
    tune: Tune, toy_model: Model, policy: Path, tmp_path: Path
) -> None:
    world = make_world(
        tmp_path / "w.store", toy_model, others=600, traffic=True, slices={"country": ["de", "fr", "de", "de", "de"]}
    )
    labels = sampled(world, tmp_path / "red.jsonl")
    args = ("--block-fpr", "3%", "--review-recall", "50%", "--slice-ceiling", "2%", "--write", "--yes")
    result = tune(world, "--labels", labels, *args)
    assert result.exit_code == 10, result.output
    assert "clipwarden enforce" not in result.stderr
    first = policy.with_name("mine-1.1.yaml")
    thresholds = load_policy(first).policy.categories[0].thresholds
    assert thresholds is not None
    assert thresholds.chosen_on is not None
    assert thresholds.chosen_on.evidence is not None
    assert any('"country=' in each and " by the " in each for each in thresholds.chosen_on.evidence.slices)
    green = world.labels(
        tmp_path / "green.jsonl",
        design="sample",
        seed="x",
        categories=["green"],
        rows={each: {"pi": 1.0} for each in world.digests},
    )
    said = answers(tune(world, "--labels", green, "--review-recall", "50%", "--json", policy=first))
    assert said["confidence"]["lines"] == 3
