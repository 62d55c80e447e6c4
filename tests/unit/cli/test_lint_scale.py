"""Lint that knows the scale: the embedded model and its drawings, and the real pictures of the demo."""

import functools
import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from typer.testing import CliRunner, Result

from clipwarden import Moderator
from clipwarden.cli import loading
from clipwarden.cli.demo import DEMO_IMAGES, show_demo
from clipwarden.cli.main import app
from clipwarden.engine import snapshot
from clipwarden.engine.linefindings import scale_problems
from clipwarden.modelfolder import references
from clipwarden.modelfolder.load import Model, load_model, resolve_model
from clipwarden.modelfolder.references import load_references, references_path
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.digest import lines_digests
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Bounds
from clipwarden.policy.shipped import shipped_policy
from clipwarden.scoring.lineuse import Pictures, measure
from clipwarden.scoring.tables import prepare
from clipwarden.textfiles.findings import Positions
from kit.cli import Run

STICKERS = shipped_policy("stickers").read_text(encoding="utf-8")
FINGERPRINT = load_policy(shipped_policy("stickers")).policy.model.fingerprint
CATEGORIES = len(load_policy(shipped_policy("stickers")).policy.categories)


@pytest.fixture(scope="module")
def cache() -> Path:
    """The cache of all tests."""
    return Path(os.environ["XDG_CACHE_HOME"])


@pytest.fixture(scope="module")
def load_once() -> Callable[..., Model]:
    """Load a model as the commands do, but once for all tests."""
    return functools.cache(load_model)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, load_once: Callable[..., Model]) -> Run:
    """Run `clipwarden ARGS` in a folder of its own; model and texts are loaded and embedded once for all tests."""
    monkeypatch.setattr(loading, "load_model", load_once)
    monkeypatch.setattr(snapshot, "load_model", load_once)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


def bound(text: str) -> str:
    """Say of every category's lines that they were chosen on what the text holds now."""
    Path("unbound.yaml").write_text(text)
    policy = load_policy(Path("unbound.yaml")).policy
    digests = iter(lines_digests(policy.categories, policy, fingerprint=FINGERPRINT or "").values())
    return re.sub(r'chosen_on: "[^"]*"', lambda _: f'chosen_on: "{next(digests)}"', text)


def at_lines(text: str, review: float, block: float) -> str:
    return re.sub(r"review: [\d.]+, block: [\d.]+,", f"review: {review}, block: {block},", text)


def with_bias_moved(text: str, logits: float) -> str:
    return re.sub(r"bias: (-[\d.]+)", lambda found: f"bias: {float(found[1]) + logits:.3f}", text)


def codes(result: Result) -> list[str]:
    return re.findall(r"\[([a-z-]+)\]$", result.stdout, re.MULTILINE)


def warned(result: Result) -> list[str]:
    return [code for code in codes(result) if code != "line-use"]


def facts(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_shipped_policy_is_told_what_it_stops_and_warned_of_nothing(run: Run) -> None:
    result = run("lint", "stickers", "--model", "mini", "--strict")
    assert (result.exit_code, set(codes(result))) == (0, {"line-use"})
    lines = result.stdout.splitlines()
    assert len(lines) == CATEGORIES
    shape = (
        r'.*stickers\.yaml:\d+:\d+: note: "[a-z._]+"( \(shadow\))?: review [\d.]+ would send [\d,]+ of 1,600 neutral '
        r"drawings \(\d+\.\d %\) to a person, block [\d.]+ would block \d+ \(\d+\.\d %\); of \d+ drawings? of "
        r"it, \d+ to a person and \d+ blocked; the highest score is [\d.]+ \((noto-v1|fa7-solid)/[a-z0-9-]+\)\. "
        r"\[line-use\]"
    )
    assert [line for line in lines if not re.fullmatch(shape, line)] == []
    assert f"1 policy checked: nothing to mend, {CATEGORIES} notes." in result.stderr
    assert "the very ones that the shipped policy's lines were chosen on" in result.stderr.replace("\n", " ")


def test_numbers_of_another_scale_are_named(run: Run) -> None:
    Path("trap.yaml").write_text(bound(at_lines(STICKERS, 0.6, 0.9)))
    result = run("lint", "trap.yaml", "--model", "mini", "--strict")
    assert result.exit_code == 3
    assert warned(result) == ["out-of-reach"] * CATEGORIES
    # Each finding stands with the note on the same category's lines, in the file's order.
    assert codes(result) == ["line-use", "out-of-reach"] * CATEGORIES
    assert result.stdout.count("comes to review 0.6 or block 0.9; the highest was 0.") == CATEGORIES


@pytest.mark.parametrize("holds", [True, False])
def test_a_bias_moved_by_4_is_named_whether_or_not_its_lines_are_void(run: Run, *, holds: bool) -> None:
    moved = with_bias_moved(STICKERS, 4.0)
    Path("moved.yaml").write_text(bound(moved) if holds else moved)
    result = run("lint", "moved.yaml", "--model", "mini")
    assert codes(result).count("fires-on-most") == CATEGORIES
    assert ("unbound-thresholds" in codes(result)) == (not holds)
    assert result.stdout.count("no band now") == (0 if holds else 2 * CATEGORIES)
    assert result.exit_code == (0 if holds else 3)


def test_a_bundle_is_told_the_same(run: Run) -> None:
    Path("trap.yaml").write_text(bound(at_lines(STICKERS, 0.6, 0.9)))
    compiled = run("compile", "trap.yaml", "-o", "trap.bundle")
    assert compiled.stderr.count("[out-of-reach]") == 1
    assert f"And {CATEGORIES - 1} more such: lines " in compiled.stderr
    result = run("lint", "trap.bundle", "--model", "mini")
    assert warned(result) == ["out-of-reach"] * CATEGORIES
    assert result.stdout.count("trap.bundle: note: ") == CATEGORIES


def test_a_bundle_of_another_model_is_refused_whatever_it_is_tried_on(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path
) -> None:
    assert run("compile", policy_file, "--model", toy_folder, "-o", "toy.bundle").exit_code == 0
    for more in ((), ("--on", pictures)):
        result = run("lint", "toy.bundle", "--model", "mini", *more)
        assert result.exit_code == 3
        assert "toy.bundle: error: The bundle toy.bundle was compiled for model sha256:" in result.stdout
        assert "Compile the policy again with this model. [fingerprint-mismatch]" in result.stdout
        assert "line-use" not in result.stdout
    assert run("lint", "toy.bundle", "--model", toy_folder).exit_code == 0


def test_pictures_of_ones_own_are_counted(run: Run) -> None:
    result = run("lint", "stickers", "--model", "mini", "--on", DEMO_IMAGES, "--json")
    assert (result.exit_code, {note["code"] for note in facts(result)}) == (0, {"line-use"})
    count = len(list(DEMO_IMAGES.glob("*.png")))
    assert result.stdout.count(f" of {count} pictures (") == CATEGORIES
    assert "neutral drawings" not in result.stdout
    judged = run("moderate", DEMO_IMAGES, "--json")
    lines = [json.loads(line) for line in judged.stdout.splitlines()]
    moderations = [line["moderation"] for line in lines if "left_out" not in line]
    for note in facts(result):
        results = {
            name: next(item for item in moderation["categories"] if item["id"] == note["category"])
            for name, moderation in zip(sorted(DEMO_IMAGES.glob("*.png")), moderations, strict=True)
        }
        bands = [item["band"] for item in results.values()]
        assert note["neutral"] == {
            "pictures": count,
            "review": bands.count("VERDICT_REVIEW"),
            "block": bands.count("VERDICT_BLOCK"),
        }
        by_score = sorted(results, key=lambda name: -results[name]["score"])[:5]
        assert [top["name"] for top in note["top"]] == [str(name) for name in by_score]  # type: ignore[attr-defined]
        assert note["highest"] == results[by_score[0]]["score"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's drawings turned and mirrored, ten times each, some in a folder inside."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "inside").mkdir()
    for path in DEMO_IMAGES.glob("*.png"):
        with Image.open(path) as opened:
            drawing = opened.convert("RGB")
        for turn in range(10):
            turned = (ImageOps.mirror(drawing) if turn % 2 else drawing).rotate(turn * 9, fillcolor="white")
            turned.save(folder / ("inside" if turn > 7 else "") / f"{path.stem}-{turn}.png")
    return folder


def test_the_trap_and_the_moved_bias_are_named_on_pictures_of_ones_own(run: Run, many: Path) -> None:
    Path("trap.yaml").write_text(bound(at_lines(STICKERS, 0.6, 0.9)))
    Path("moved.yaml").write_text(bound(with_bias_moved(STICKERS, 4.0)))
    result = run("lint", "trap.yaml", "moved.yaml", "--model", "mini", "--on", many, "--json")
    trap, moved = ([each for each in facts(result) if each["file"] == name] for name in ("trap.yaml", "moved.yaml"))
    assert [each["code"] for each in trap if each["severity"] == "warning"] == ["out-of-reach"] * CATEGORIES
    count = len(list(many.rglob("*.png")))
    assert f"none of {count} pictures comes to review 0.6 or block 0.9; the highest was 0." in result.stdout
    # Nobody said what these pictures show, so that only what stops half of them is surely wrong. Where the scores had
    # been very low, 4 logits more stop fewer: the note says how many.
    stopped = {
        str(note["category"]): (note["neutral"]["review"] + note["neutral"]["block"]) / count  # type: ignore[index]
        for note in moved
        if note["code"] == "line-use"
    }
    named = {str(each["message"]).split('"')[1] for each in moved if each["code"] == "fires-on-most"}
    assert named == {category for category, share in stopped.items() if share >= 0.5}
    assert len(named) >= CATEGORIES - 1
    assert min(stopped.values()) > 0.25


def test_sound_lines_are_hardly_ever_called_out_of_reach_and_the_trap_nearly_always(
    compiled: CompiledPolicy, drawings: Pictures
) -> None:
    trap = [
        replace(category, thresholds=replace(category.thresholds, bounds=Bounds(review=0.6, block=0.9)))
        for category in compiled.policy.categories
        if category.thresholds
    ]
    tables = [
        prepare(replace(compiled, policy=replace(compiled.policy, categories=tuple(categories))))
        for categories in (compiled.policy.categories, trap)
    ]
    random, neutral = np.random.default_rng(0), np.flatnonzero(drawings.neutral)
    found: list[list[int]] = [[], []]
    for _ in range(100):
        chosen = random.choice(neutral, 100, replace=False)
        some = Pictures.of({str(index): drawings.embeddings[index : index + 1] for index in chosen})
        for counts, each in zip(found, tables, strict=True):
            problems = scale_problems(measure(each, some), Positions())
            counts.append([problem.code for problem in problems].count("out-of-reach"))
    assert np.count_nonzero(found[0]) <= 1
    assert np.mean(found[1]) > 0.95 * CATEGORIES
    assert min(found[1]) >= CATEGORIES - 1


def test_broken_pictures_are_counted_and_named_and_spoil_nothing(run: Run) -> None:
    shutil.copytree(DEMO_IMAGES, "own")
    whole = min(Path("own").glob("*.png")).read_bytes()
    for number in range(7):
        Path("own", f"broken-{number}.png").write_bytes(whole[: 200 + number])
    for copy in range(3):
        Path("own", f"zz-{copy}.png").write_bytes(whole)
    result = run("lint", "stickers", "--model", "mini", "--on", "own", "--json")
    count = len(list(DEMO_IMAGES.glob("*.png")))
    assert result.exit_code == 0
    left_out, copied, *lines = facts(result)
    message = str(left_out["message"])
    assert message.startswith(f"7 of {count + 10} pictures cannot be read and are left out: own/broken-0.png (")
    assert "own/broken-4.png" in message
    assert "own/broken-5.png" not in message
    assert message.endswith(", and 2 more.")
    assert (left_out["code"], len(left_out["left_out"])) == ("pictures-left-out", 7)  # type: ignore[arg-type]
    # Equal files count once, so that nobody makes many of few.
    assert (copied["code"], copied["copies"]) == ("pictures-copied", [f"own/zz-{copy}.png" for copy in range(3)])
    assert str(copied["message"]).startswith(f"3 of {count + 10} pictures are copies")
    assert {line["code"] for line in lines} == {"line-use"}
    assert all(f" of {count} pictures (" in str(line["message"]) for line in lines)
    assert f"nothing to mend, {CATEGORIES + 2} notes." in result.stderr


def test_pictures_that_end_early_count_where_the_policy_judges_them(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path
) -> None:
    text = policy_file.read_text()
    for truncated, count in (("refuse", "3"), ("judge", "4")):
        policy_file.write_text(text.replace("on_error: review", f"on_error: review, on_truncated: {truncated}"))
        result = run("lint", policy_file, "--model", toy_folder, "--on", pictures)
        assert set(re.findall(r" of (\d) pictures \(", result.stdout)) == {count}
        assert ("cut.png (ends too early" in result.stdout) == (truncated == "refuse")


def test_pictures_are_looked_at_as_each_policy_looks(
    run: Run, policy_file: Path, toy_folder: Path, tmp_path: Path
) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    # What the model folder's crop cuts off is red, and all between is blue.
    picture = Image.new("RGB", (128, 32), "blue")
    picture.paste("red", (0, 0, 24, 32))
    picture.save(wide / "flag.png")
    text = policy_file.read_text()
    auto = policy_file.with_name("auto.yaml")
    auto.write_text(text.replace("on_error: review", "on_error: review, views: auto"))

    def highest(*files: Path) -> dict[str, list[float]]:
        result = run("lint", *files, "--model", toy_folder, "--on", wide, "--json")
        notes = [note for note in facts(result) if note["code"] == "line-use" and note["category"] == "colour.red"]
        found: dict[str, list[float]] = {}
        for note in notes:
            found.setdefault(Path(str(note["file"])).name, []).append(note["highest"])  # type: ignore[arg-type]
        return found

    both = highest(policy_file, auto)
    assert highest(policy_file) == {policy_file.name: both[policy_file.name]}
    assert both["auto.yaml"][0] > both[policy_file.name][0]


def test_a_folder_of_pictures_that_are_not_looked_at_is_answered_with_their_names(
    run: Run, policy_file: Path, toy_folder: Path
) -> None:
    Path("shy").mkdir()
    shutil.copy(next(DEMO_IMAGES.glob("*.png")), "shy/.hidden.png")
    result = run("lint", policy_file, "--model", toy_folder, "--on", "shy")
    sentence = "There is no picture in shy that is looked at; left out: shy/.hidden.png (hidden image or folder).\n"
    assert (result.exit_code, result.stderr) == (2, sentence)


def test_a_folder_without_a_picture_that_can_be_read_is_refused(run: Run, policy_file: Path, toy_folder: Path) -> None:
    Path("none").mkdir()
    Path("none", "broken.png").write_bytes(b"\x89PNG")
    for folder, message in (("none", "No picture in none can be read"), ("nowhere", "no file or folder")):
        result = run("lint", policy_file, "--model", toy_folder, "--on", folder)
        assert result.exit_code == 2
        assert message in result.stderr


def test_pictures_need_a_model_to_see_them(run: Run) -> None:
    result = run("lint", "stickers", "--on", DEMO_IMAGES)
    assert result.exit_code == 2
    assert "--on needs --model" in result.stderr


def test_a_model_without_drawings_says_nothing_of_scale_unless_it_is_given_pictures(
    run: Run, policy_file: Path, toy_folder: Path, pictures: Path
) -> None:
    result = run("lint", policy_file, "--model", toy_folder)
    assert "note:" not in result.stdout
    (pictures / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")  # half of it would still be seen
    result = run("lint", policy_file, "--model", toy_folder, "--on", pictures)
    # Three pictures, of which one is in a folder inside again; a context of other bounds has a note of its own.
    assert re.findall(r'note: ("\S+"(?: in the context shop)?).*? of (\d) pictures', result.stdout) == [
        ('"colour.red"', "3"),
        ('"colour.red" in the context shop', "3"),
        ('"colour.blue"', "3"),
    ]
    assert f"{pictures}: note: 1 of 5 pictures cannot be read" in result.stdout
    assert f"{pictures}: note: 1 of 5 pictures are copies" in result.stdout


def test_moderate_says_warnings_once_on_stderr_and_never_in_json(run: Run) -> None:
    Path("trap.yaml").write_text(bound(at_lines(STICKERS, 0.6, 0.9)))
    result = run("moderate", DEMO_IMAGES, "--policy", "trap.yaml", "--json")
    assert result.stderr.count("[out-of-reach]") == 1
    assert f"And {CATEGORIES - 1} more such: lines " in result.stderr
    assert all("moderation" in line or "left_out" in line for line in facts(result))
    assert "out-of-reach" not in result.stdout


@pytest.mark.usefixtures("run")
def test_a_moderator_logs_warnings_once_a_load(caplog: pytest.LogCaptureFixture) -> None:
    Path("trap.yaml").write_text(bound(at_lines(STICKERS, 0.6, 0.9)))
    picture = next(DEMO_IMAGES.glob("*.png"))
    with caplog.at_level(logging.WARNING), Moderator(policies="trap.yaml") as moderator:
        for _ in range(3):
            moderator.moderate(picture)
    records = [record for record in caplog.records if record.name == "clipwarden.engine.snapshot"]
    assert len(records) == 1
    assert records[0].levelno == logging.WARNING
    assert records[0].getMessage().startswith("trap.yaml:")
    assert f"[out-of-reach] And {CATEGORIES - 1} more such: lines " in records[0].getMessage()


@pytest.mark.usefixtures("run")
def test_a_damaged_file_of_drawings_stops_no_judging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "mini.references.safetensors"
    damaged.write_bytes(references_path().read_bytes()[:1000])
    monkeypatch.setattr(references, "references_path", lambda: damaged)
    with caplog.at_level(logging.WARNING), Moderator() as moderator:
        moderator.moderate(next(DEMO_IMAGES.glob("*.png")))
    assert [record.getMessage().partition(" cannot")[0] for record in caplog.records] == [damaged.name]


@pytest.mark.usefixtures("run")
def test_serve_and_the_demo_say_warnings_once(capfd: pytest.CaptureFixture[str]) -> None:
    Path("trap.yaml").write_text(bound(at_lines(STICKERS, 0.6, 0.9)))
    picture = next(DEMO_IMAGES.glob("*.png"))
    assert show_demo([picture], model="mini", policy="trap.yaml") == []
    captured = capfd.readouterr()
    assert captured.err.count("[out-of-reach]") == 1
    assert "out-of-reach" not in captured.out


@pytest.fixture(scope="module")
def compiled(cache: Path, load_once: Callable[..., Model]) -> CompiledPolicy:
    model = load_once(resolve_model("mini"))
    return load_compiled(shipped_policy("stickers"), model=model, cache=VectorCache(cache / "clipwarden" / "vectors"))


@pytest.fixture(scope="module")
def drawings(compiled: CompiledPolicy) -> Pictures:
    found = load_references(compiled.fingerprint)
    assert found is not None
    return Pictures.shipped_with(found)


@settings(max_examples=40)
@given(logits=st.floats(3.0, 8.0), index=st.integers(0, CATEGORIES - 1), sign=st.sampled_from([1.0, -2.0]))
def test_whichever_bias_moves_far_its_category_is_named_and_no_other(
    compiled: CompiledPolicy, drawings: Pictures, logits: float, index: int, sign: float
) -> None:
    category = compiled.policy.categories[index]
    assert category.calibration is not None
    moved = replace(category.calibration, bias=category.calibration.bias + sign * logits)
    categories = [*compiled.policy.categories]
    categories[index] = replace(category, calibration=moved)
    policy = replace(compiled.policy, categories=tuple(categories))
    scale = measure(prepare(replace(compiled, policy=policy)), drawings)
    (problem,) = scale_problems(scale, Positions())
    assert problem.code == ("fires-on-most" if sign > 0 else "out-of-reach")
    assert problem.message.startswith(f'"{category.id}"')


def test_lines_far_too_low_are_both_to_be_raised_and_nothing_is_undone_that_did_not_move(run: Run) -> None:
    Path("low.yaml").write_text(bound(at_lines(STICKERS, 0.0001, 0.0002)))
    fires = [
        line for line in run("lint", "low.yaml", "--model", "mini").stdout.splitlines() if "[fires-on-most]" in line
    ]
    assert fires
    assert all(" Raise review and block: one in a hundred of them comes to " in line for line in fires)
    Path("moved.yaml").write_text(at_lines(STICKERS, 0.0001, 0.0002))
    moved = [
        line for line in run("lint", "moved.yaml", "--model", "mini").stdout.splitlines() if "[fires-on-most]" in line
    ]
    assert len(moved) == len(fires)
    assert all(" Undo what moved its scores, or raise review and block: " in line for line in moved)


def test_pictures_are_found_by_content_behind_links_and_what_was_not_looked_at_is_said(run: Run) -> None:
    shutil.copytree(DEMO_IMAGES, "real")
    Path("own").mkdir()
    for number, path in enumerate(sorted(Path("real").glob("*.png"))):
        Path("own", f"{number}").symlink_to(path.absolute())
    Path("own", ".hidden").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("own", "broken").symlink_to("nowhere")
    Path("own", "notes.txt").write_text("no picture")
    result = run("lint", "stickers", "--model", "mini", "--on", "own", "--json")
    first, *lines = facts(result)
    assert first["code"] == "not-looked-at"
    named = "own/.hidden (hidden image or folder), own/broken (link that cannot be followed)"
    assert first["message"] == f"2 beside the pictures were not looked at: {named}."
    count = len(list(DEMO_IMAGES.glob("*.png")))
    assert all(f" of {count} pictures (" in str(line["message"]) for line in lines)
