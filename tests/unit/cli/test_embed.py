"""clipwarden embed and store: sources in, a store out, whatever is in the way; what it says, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from clipwarden.cli import embedprogress, embedrun
from clipwarden.cli.embedprogress import SECONDS_BETWEEN, in_words, upload_progress
from clipwarden.cli.exits import Exit
from clipwarden.engine.moderator import Moderator
from clipwarden.engine.pipeline import Pipeline
from clipwarden.errors import EncoderError
from clipwarden.tuning import extra
from clipwarden.tuning.store import writing as writing_module
from clipwarden.tuning.store.columns import Kind
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.store.writing import StoreWriter, writing
from clipwarden.vision.plan import ViewPlan, Views
from kit.cli import Run
from kit.pictures import encode, natural_picture

Embed = Callable[..., Result]


@pytest.fixture
def embed(run: Run, toy_folder: Path, tmp_path: Path) -> Embed:
    """Run `clipwarden embed` with the toy model, into the store `store`."""

    def embed_sources(*args: object, store: str = "store") -> Result:
        return run("embed", *args, "-o", tmp_path / store, "--model", toy_folder)

    return embed_sources


@pytest.fixture
def store(tmp_path: Path) -> Callable[[], Store]:
    return lambda: open_store(tmp_path / "store")


def summary(result: Result) -> dict[str, object]:
    found: dict[str, object] = json.loads(result.stdout)
    return found


def manifest(folder: Path, *lines: str, name: str = "uploads.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_folder_becomes_a_store(embed: Embed, pictures: Path, store: Callable[[], Store]) -> None:
    result = embed(pictures)
    assert result.exit_code == Exit.LEFT_OUT  # the folder inside, and what is hidden
    assert "4 uploads added" in result.stdout
    assert "4 pictures encoded" in result.stdout
    assert "folder inside: 1" in result.stderr
    opened = store()
    assert [Path(uri).name for uri in sorted(opened.uploads.uri)] == ["blue.png", "cut.png", "red.png", "yellow.png"]
    assert all(Path(uri).is_absolute() for uri in opened.uploads.uri)
    assert (opened.pictures.share_shown < 1).sum() == 1
    assert (opened.info.source, opened.info.since) == ("set", None)


def test_duplicates_are_encoded_once_and_counted_each(embed: Embed, pictures: Path, store: Callable[[], Store]) -> None:
    result = embed(pictures, "-r", "--hidden", "--json")
    assert result.exit_code == Exit.OK
    found = summary(result)
    assert (found["encoded"], found["uploads"]) == (4, {"found": 6, "added": 6, "other_slices": 0})
    assert (len(store().uploads), len(store().pictures)) == (6, 4)


def test_copies_that_come_at_once_wait_for_one_another(
    embed: Embed, tmp_path: Path, store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever is read first, no upload is written before its picture."""
    folder = tmp_path / "in"
    folder.mkdir()
    data = encode(natural_picture(1, (64, 64)), "PNG")
    for number in range(32):
        (folder / f"{number:02}.png").write_bytes(data)
    monkeypatch.setattr(writing_module, "MOST_UPLOADS", 1)
    monkeypatch.setattr(writing_module, "MOST_PICTURES", 1)
    write = StoreWriter.write

    def look(self: StoreWriter) -> None:
        write(self)
        assert store().pictures.sha256

    monkeypatch.setattr(StoreWriter, "write", look)
    result = embed(folder, "--json")
    assert (summary(result)["encoded"], len(store().uploads)) == (1, 32)


def test_vectors_and_facts_are_those_of_the_engine(
    embed: Embed, pictures: Path, toy_folder: Path, policy_file: Path, store: Callable[[], Store]
) -> None:
    embed(pictures, "-r", "--hidden")
    opened = store()
    with Moderator(toy_folder, policy_file, vector_cache=False) as moderator:
        for uri, picture in zip(opened.uploads.uri, opened.uploads.picture.tolist(), strict=True):
            image = moderator.embed(uri)
            assert np.array_equal(opened.vectors(np.array([picture])).embeddings, image.embeddings)
            assert image.facts.file is not None
            assert opened.pictures.width[picture] == image.facts.file.width
            assert opened.pictures.partial[picture] == image.facts.partial
            assert opened.pictures.degraded[picture] == bool(image.facts.degraded)


def test_a_second_run_adds_nothing(embed: Embed, pictures: Path, store: Callable[[], Store]) -> None:
    embed(pictures)
    before = store().info.digest
    result = embed(pictures)
    assert "0 uploads added" in result.stdout
    assert "4 were there already" in result.stdout
    assert store().info.digest == before


def test_bad_files_are_rows_with_their_reasons_and_tried_again(
    embed: Embed, tmp_path: Path, store: Callable[[], Store]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = encode(natural_picture(1, (64, 64)), "PNG")
    (folder / "a.png").write_bytes(b"no picture at all")
    (folder / "b.png").write_bytes(b"no picture at all")
    (folder / "c.png").write_bytes(b"")
    (folder / "d.png").write_bytes(good)
    (folder / "e.png").write_bytes(good + bytes(100_000))
    result = embed(folder, "--max-image-bytes", "50000", "--json")
    assert result.exit_code == Exit.UNJUDGED
    reasons = {"IMAGE_EMPTY": 1, "IMAGE_FORMAT_UNSUPPORTED": 2, "IMAGE_TOO_LARGE": 1}
    assert summary(result)["cannot_be_judged"] == reasons
    opened = store()
    assert sorted(opened.failed.values()) == ["IMAGE_EMPTY", "IMAGE_FORMAT_UNSUPPORTED"]
    assert (opened.unread, (opened.uploads.picture == -1).sum(), len(opened.uploads)) == (1, 4, 5)
    text = embed(folder, "--max-image-bytes", "50000")
    assert text.exit_code == Exit.UNJUDGED
    assert "IMAGE_FORMAT_UNSUPPORTED: 2 (" in text.stderr
    assert len(list((tmp_path / "store" / Kind.EMBEDDINGS).glob("part-*"))) == 1
    # With more room the large one is read, and is the same upload.
    assert summary(embed(folder, "--json"))["cannot_be_judged"] == {"IMAGE_EMPTY": 1, "IMAGE_FORMAT_UNSUPPORTED": 2}
    assert (store().unread, len(store().uploads), len(store().pictures)) == (0, 5, 2)


def test_a_fault_of_the_encoder_is_a_row_that_the_next_run_mends(
    embed: Embed, pictures: Path, store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise EncoderError("broken by the test")

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "embed", fail)
        assert embed(pictures).exit_code == Exit.UNJUDGED
    assert {*store().failed.values()} == {"ENCODER_FAILED"}
    assert embed(pictures).exit_code == Exit.LEFT_OUT
    assert (store().failed, len(store().pictures)) == ({}, 4)


MANIFEST = (
    "path,time,country,slice:kind,remark",
    "pictures/red.png,2026-10-01T10:00:00+02:00,DE,avatar,x",
    "pictures/red.png,2026-10-01T12:00:00,FR,avatar,x",
    "pictures/blue.png,,DE,,x",
    "pictures/gone.png,2026-10-31T23:59:59Z,DE,,x",
    "pictures/notes.txt,2026-10-31,DE,,x",
)
OCTOBER = ("--traffic", "--from", "2026-10-01", "--to", "2026-10-31")


def test_a_manifest_says_when_and_of_what_slice_an_upload_is(
    embed: Embed, pictures: Path, tmp_path: Path, store: Callable[[], Store]
) -> None:
    result = embed(manifest(tmp_path, *MANIFEST), "--slice", "country", *OCTOBER, "--json")
    assert result.exit_code == Exit.UNJUDGED
    assert "nothing reads the columns remark" in result.stderr
    assert summary(result)["cannot_be_judged"] == {"FILE_UNREADABLE": 1, "IMAGE_FORMAT_UNSUPPORTED": 1}
    opened = store()
    assert (opened.info.source, str(opened.info.since), str(opened.info.until)) == (
        "traffic",
        "2026-10-01",
        "2026-10-31",
    )
    assert opened.uploads.time is not None
    rows = {
        (Path(uri).name, str(at)[:16], country, kind)
        for uri, at, country, kind in zip(
            opened.uploads.uri,
            opened.uploads.time,
            opened.uploads.slices["country"],
            opened.uploads.slices["kind"],
            strict=True,
        )
    }
    assert rows == {
        ("red.png", "2026-10-01T08:00", "DE", "avatar"),
        ("red.png", "2026-10-01T12:00", "FR", "avatar"),
        ("blue.png", "NaT", "DE", ""),
        ("gone.png", "2026-10-31T23:59", "DE", ""),
        ("notes.txt", "2026-10-31T00:00", "DE", ""),
    }
    assert {Path(uri).parent for uri in opened.uploads.uri} == {pictures}


def test_json_lines_say_the_same_as_csv(embed: Embed, pictures: Path, tmp_path: Path) -> None:
    assert pictures.is_dir()
    lines = [
        {
            "path": "pictures/red.png",
            "time": "2026-10-01T10:00:00+02:00",
            "country": "DE",
            "slices": {"kind": "avatar"},
        },
        {"uri": "pictures/blue.png", "country": "FR", "slice:kind": None},
        {"uri": "s3://bucket/1", "path": str(pictures / "yellow.png"), "country": 49},
        {"uri": (pictures / "yellow.png").as_uri(), "country": True},
    ]
    table = ["path;uri;time;country;slice:kind"]
    table += ["pictures/red.png;;2026-10-01T10:00:00+02:00;DE;avatar", ";pictures/blue.png;;FR;"]
    table += [f"{pictures / 'yellow.png'};s3://bucket/1;;49;", f";{(pictures / 'yellow.png').as_uri()};;true;"]
    json_lines = manifest(tmp_path, *map(json.dumps, lines), name="a.JSONL")
    csv = manifest(tmp_path, *table, name="b.csv")
    found = []
    for number, file in enumerate((json_lines, csv)):
        assert embed(file, "--slice", "country", store=f"store{number}").exit_code == Exit.OK
        found.append(open_store(tmp_path / f"store{number}"))
    one, two = found
    assert one.info.digest == two.info.digest
    assert sorted(one.uploads.uri) == sorted(two.uploads.uri)
    assert "s3://bucket/1" in one.uploads.uri


def test_relative_paths_may_begin_elsewhere(embed: Embed, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    assert embed(manifest(tmp_path / "lists", "path", "red.png"), "--root", pictures).exit_code == Exit.OK


def test_a_manifest_may_name_an_upload_as_often_as_it_was_uploaded(
    embed: Embed, pictures: Path, tmp_path: Path, store: Callable[[], Store]
) -> None:
    assert pictures.is_dir()
    file = manifest(tmp_path, "path", *["pictures/red.png"] * 3, "pictures/blue.png")
    for _ in range(2):
        embed(file)
        assert (len(store().uploads), len(store().pictures)) == (4, 2)
    file.write_text(file.read_text() + "pictures/red.png\n")
    embed(file)
    assert (len(store().uploads), len(store().pictures)) == (5, 2)


def test_other_slices_than_before_are_said(embed: Embed, pictures: Path, tmp_path: Path) -> None:
    assert pictures.is_dir()
    embed(manifest(tmp_path, "path,slice:country", "pictures/red.png,DE"))
    result = embed(manifest(tmp_path, "path,slice:country", "pictures/red.png,FR"))
    assert "1 uploads are in the store with other slices than now, which stay as they were" in result.stderr


WRONG = {
    "no column that names files": ((["name", "a.png"],), "has no column uri or path"),
    "nothing": (([""],), "names none"),
    "a column twice": ((["path,path", "a,b"],), "two columns are called 'path'"),
    "another number of cells": ((["path,time", "a.png"],), ":2: the row has 1 cells, and the header 2"),
    "an open quote": ((["path", '"a.png'],), "this is no CSV"),
    "a time that is none": ((["path,time", "red.png,yesterday"],), ":2: the time 'yesterday' cannot be read"),
    "a time beyond all calendars": ((["path,time", "a,0001-01-01T00:00:00+23:00"],), ":2: the time '0001"),
    "neither path nor uri": ((["path,time", ",2026-10-01"],), ":2: there is neither a uri nor a path"),
    "another machine's file": ((["uri", "https://x.invalid/a.png"],), "add a column path"),
    "a file of another host": ((["uri", "file://host/a.png"],), "is no file of this machine"),
    "a slice without a name": ((["path,slice:", "red.png,DE"],), ":2: a slice needs a name"),
    "no such slice": ((["path,country", "a.png,DE"], "--slice", "contry"), 'Did you mean "country"'),
    "a day outside of the traffic": ((["path,time", "a.png,2026-11-01"], *OCTOBER), "lies outside 2026-10-01 to"),
}
WRONG_JSON = {
    "no JSON": ("{", "this is no JSON"),
    "no object": ("[]", "a line has to be an object"),
    "a number as a path": ('{"path": 3}', "path has to be a text, not 3"),
    "slices that are a list": ('{"path": "a", "slices": []}', "slices has to be an object"),
    "a slice that is a list": ('{"path": "a", "slices": {"x": []}}', "the slice x has to be a text"),
    "half of a character": ('{"path": "a", "slices": {"x": "\\ud800"}}', "half of a character"),
    "a zero byte": ('{"path": "a\\u0000b"}', "holds a zero byte"),
    "seconds since 1970": ('{"path": "a", "time": 1760000000}', "the time '1760000000' cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_manifest_that_makes_no_sense_is_refused_by_line_before_anything_is_written(
    embed: Embed, tmp_path: Path, name: str
) -> None:
    (lines, *options), said = WRONG[name]
    result = embed(manifest(tmp_path, *lines), *options)
    assert (result.exit_code, said in result.stderr) == (Exit.USAGE, True), result.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", WRONG_JSON)
def test_json_lines_that_make_no_sense_are_refused_by_line(embed: Embed, tmp_path: Path, name: str) -> None:
    line, said = WRONG_JSON[name]
    result = embed(manifest(tmp_path, '{"path": "a.png"}', "", line, name="uploads.jsonl"))
    assert (result.exit_code, "uploads.jsonl:3: " in result.stderr, said in result.stderr) == (Exit.USAGE, True, True)


def test_a_manifest_in_another_encoding_is_refused(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "uploads.csv").write_bytes("path\nrot-grün.png\n".encode("utf-16"))
    result = embed(tmp_path / "uploads.csv")
    assert (result.exit_code, "is no UTF-8" in result.stderr) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--traffic",), "--traffic needs --from DAY and --to DAY"),
        (("--from", "2026-10-01"), "make sense with --traffic only"),
        (("--traffic", "--queue"), "exclude one another"),
        (("--traffic", "--from", "October", "--to", "2026-10-31"), "--from has to be a day such as 2026-10-01"),
        (("--traffic", "--from", "2026-10-31", "--to", "2026-10-01"), "lies before"),
        (("--views", "fisheye"), "--views has to be one of whole, auto, tiles, not 'fisheye'"),
        (("--frames", "0"), "--frames has to be a number from 1 to 64, not 0"),
        (("--frames", "65"), "--frames has to be a number from 1 to 64, not 65"),
        (("--concurrency", "0"), "--concurrency must be at least 1"),
        (("-",), "standard input has no name"),
        (("nowhere",), "There is no file or folder nowhere"),
    ],
)
def test_options_that_contradict_one_another_are_refused(
    embed: Embed, pictures: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    result = embed(pictures, *options)
    assert (result.exit_code, said in result.stderr) == (Exit.USAGE, True), result.stderr
    assert not (tmp_path / "store").exists()


def test_a_store_stays_what_it_was_said_to_be(embed: Embed, pictures: Path, store: Callable[[], Store]) -> None:
    assert embed(pictures / "red.png", *OCTOBER).exit_code == Exit.OK
    assert embed(pictures / "blue.png").exit_code == Exit.OK  # nothing said: as it is
    assert (store().info.source, len(store().pictures)) == ("traffic", 2)
    for options in (("--set",), ("--queue",), ("--traffic", "--from", "2026-10-01", "--to", "2026-11-30")):
        result = embed(pictures / "yellow.png", *options)
        assert (result.exit_code, "Name another folder" in result.stderr) == (Exit.DATA, True)


def test_another_models_store_is_refused(embed: Embed, run: Run, pictures: Path, tmp_path: Path) -> None:
    embed(pictures / "red.png")
    result = run("embed", pictures / "blue.png", "-o", tmp_path / "store")
    assert result.exit_code == Exit.DATA
    assert "is of the model sha256:" in result.stderr


def test_a_folder_without_images_leaves_no_store(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert embed(tmp_path / "in").exit_code == Exit.USAGE
    (tmp_path / "in" / "notes.txt").write_text("x")
    result = embed(tmp_path / "in")
    assert (result.exit_code, "There are no images in" in result.stderr) == (Exit.USAGE, True)
    assert not (tmp_path / "store").exists()


def test_names_that_are_no_utf8_are_kept_as_uris(embed: Embed, pictures: Path, store: Callable[[], Store]) -> None:
    odd = os.fsencode(pictures) + b"/\xff red.png"
    with open(odd, "wb") as file:  # noqa: PTH123  bytes
        file.write((pictures / "red.png").read_bytes())
    embed(pictures)
    (uri,) = [uri for uri in store().uploads.uri if "%FF" in uri]
    assert uri == f"file://{pictures}/%FF%20red.png"


def test_a_manifests_pipe_never_keeps_a_run_waiting(embed: Embed, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    result = embed(manifest(tmp_path, "path", "pipe.png"), "--json")
    assert summary(result)["cannot_be_judged"] == {"FILE_UNREADABLE": 1}


def test_somebody_elses_run_is_not_disturbed(embed: Embed, pictures: Path, tmp_path: Path) -> None:
    embed(pictures / "red.png")
    opened = open_store(tmp_path / "store")
    charter = embedrun.read_charter(tmp_path / "store")
    with writing(tmp_path / "store", charter):
        result = embed(pictures / "blue.png")
    assert (result.exit_code, "Another clipwarden writes into" in result.stderr) == (Exit.DATA, True)
    assert len(opened.pictures) == 1


def test_ctrl_c_keeps_what_is_done(
    embed: Embed, pictures: Path, store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_one = Pipeline.embed
    seen = 0

    async def interrupted(self: Pipeline, *args: object, **options: object) -> object:
        nonlocal seen
        seen += 1
        if seen == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return await embed_one(self, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "embed", interrupted)
        result = embed(pictures, "--concurrency", "1")
    assert result.exit_code == Exit.INTERRUPTED
    assert "of 7 are done and kept; the same command goes on with the others" in result.stderr
    before = len(store().pictures)
    assert 1 <= before < 4
    result = embed(pictures, "--json")
    assert (summary(result)["encoded"], len(store().pictures)) == (4 - before, 4)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        pixels = np.full((24, 24, 3), number % 200, dtype=np.uint8)
        pixels[0, 0] = (number // 256, number % 256, 7)
        (folder / f"{number:03}.png").write_bytes(encode(Image.fromarray(pixels), "PNG"))
    return folder


def parts_of(path: Path) -> Iterator[Path]:
    return (path / Kind.IMAGES).glob("part-*")


SMALL_PARTS = """
import sys
from clipwarden.tuning.store import writing
writing.MOST_PICTURES = 8
from clipwarden.cli.main import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_killed_goes_on_where_it_was(
    embed: Embed, many: Path, toy_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "store"
    command = [
        sys.executable,
        "-c",
        SMALL_PARTS,
        "embed",
        many,
        "-o",
        path,
        "--model",
        toy_folder,
        "--concurrency",
        "1",
    ]
    with subprocess.Popen([str(each) for each in command], stderr=subprocess.PIPE) as process:
        while process.poll() is None and not any(parts_of(path)):
            time.sleep(0.005)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    done = open_store(path)
    assert len(done.uploads) > 0
    if number is signal.SIGTERM and process.returncode:
        assert (process.returncode, b"are done and kept" in said) == (Exit.INTERRUPTED, True)
    result = embed(many, "--json")
    assert summary(result)["uploads"] == {"found": 300, "added": 300 - len(done.uploads), "other_slices": 0}
    opened = open_store(path)
    assert (len(opened.uploads), len(opened.pictures), opened.unused) == (300, 300, 0)
    assert embed(many, store="another").exit_code == Exit.OK
    assert open_store(tmp_path / "another").info.digest == opened.info.digest


def test_without_the_extra_a_sentence_says_how_to_get_it(
    embed: Embed, run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "pyarrow" else object())
    for result in (embed(pictures), run("store", "x"), run("store", "forget", "x", "y")):
        assert result.exit_code == Exit.FAILED
        assert "needs pyarrow, which is not installed: run `pip install 'clipwarden[tune]'`" in result.stderr


def test_store_says_what_it_holds(embed: Embed, run: Run, pictures: Path, tmp_path: Path) -> None:
    assert pictures.is_dir()
    embed(manifest(tmp_path, *MANIFEST), "--slice", "country", *OCTOBER)
    result = run("store", tmp_path / "store", "--check")
    assert (result.exit_code, "Every byte is sound." in result.stderr) == (Exit.OK, True)
    text = " ".join(result.stdout.split())
    for said in (
        "Uploads 5: uniform traffic, 2026-10-01 to 2026-10-31",
        "Pictures 2 that can be judged",
        "Not judged IMAGE_FORMAT_UNSUPPORTED 1",
        "Not read 1 upload",
        "By country DE 4, FR 1",
        "Times 2026-10-01T08:00:00Z to 2026-10-31T23:59:59Z",
    ):
        assert said in text
    record = json.loads(run("store", tmp_path / "store", "--json").stdout)
    assert (record["uploads"], record["slices"]) == (5, {"country": {"DE": 4, "FR": 1}, "kind": {"": 3, "avatar": 2}})
    assert record["digest"] in text


def test_views_and_frames_are_kept_told_and_held_to(
    embed: Embed, run: Run, tmp_path: Path, store: Callable[[], Store]
) -> None:
    folder = tmp_path / "wide"
    folder.mkdir()
    (folder / "wide.png").write_bytes(encode(natural_picture(1, (160, 90)), "PNG"))
    (folder / "square.png").write_bytes(encode(natural_picture(2, (64, 64)), "PNG"))
    assert embed(folder, "--views", "auto").exit_code == Exit.OK
    opened = store()
    assert opened.info.plan == ViewPlan(views=Views.AUTO)
    assert opened.pictures.coverage.tolist() == [1.0, 1.0]
    assert (opened.pictures.resolution > 0).all()
    boxes = [view.box for view in opened.pictures.views]
    assert boxes.count(None) == 1
    assert {box[:2] for box in boxes if box} >= {(0, 0), (70, 0)}
    text = " ".join(run("store", tmp_path / "store").stdout.split())
    assert "views auto" in text
    record = json.loads(run("store", tmp_path / "store", "--json").stdout)
    assert (record["views"], record["frames"], record["partial"], record["coverage_unknown"]) == ("auto", 1, 0, 0)
    for others in ((), ("--views", "tiles"), ("--views", "auto", "--frames", "2")):
        result = embed(folder, *others)
        assert result.exit_code == Exit.DATA
        assert "is of the view plan auto, not" in " ".join(result.stderr.split())
    assert embed(folder, "--views", "auto").exit_code == Exit.OK


def test_a_store_that_cannot_be_used_ends_with_its_own_code(
    embed: Embed, run: Run, pictures: Path, tmp_path: Path
) -> None:
    assert run("store", tmp_path).exit_code == Exit.DATA
    embed(pictures)
    part = next((tmp_path / "store" / Kind.EMBEDDINGS).glob("part-*"))
    data = part.read_bytes()
    part.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    result = run("store", tmp_path / "store", "--check")
    assert result.exit_code == Exit.DATA
    assert run("moderate", tmp_path / "store").exit_code == Exit.LEFT_OUT


def test_plain_lines_say_how_far_a_run_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with upload_progress("Embedding", 1000, clock=lambda: now) as advance:
        advance(10)
        now = SECONDS_BETWEEN
        advance(500)
        advance(501)
        now += 2 * SECONDS_BETWEEN
        advance(900)
    assert capsys.readouterr().err.splitlines() == [
        "Embedding: 500 of 1,000 (50%), 50.0/s, 10 s left",
        "Embedding: 900 of 1,000 (90%), 20.0/s, 5 s left",
    ]


def test_a_terminal_shows_a_bar_with_its_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert embedprogress.stderr().is_terminal
    with upload_progress("Embedding", 10) as advance:
        advance(4)
    assert "Embedding" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "said"), [(5.2, "5 s"), (119, "119 s"), (600, "10 min"), (12_600, "3.5 h")])
def test_times_are_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


def test_forget_takes_uploads_and_their_pictures(
    embed: Embed, run: Run, pictures: Path, store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_module, "MOST_PICTURES", 2)
    embed(pictures, "-r", "--hidden")
    before = store()
    path = before.path
    red = before.uploads.sha256[[*before.uploads.uri].index(str(pictures / "red.png"))]
    secret = before.vectors(before.pictures.sha256.find([red])).embeddings.tobytes()
    assert any(secret in each.read_bytes() for each in path.rglob("*.parquet"))
    result = run("store", "forget", path, pictures / "red.png", pictures / "blue.png")
    assert (result.exit_code, "2 uploads and 1 pictures are forgotten." in result.stdout) == (Exit.OK, True)
    assert f"The picture {red} stays: uploads of other names show it." in result.stderr
    assert (len(store().uploads), len(store().pictures)) == (4, 3)
    result = run("store", "forget", path, red, "nothing", "--json")
    assert result.exit_code == Exit.USAGE
    assert json.loads(result.stdout) == {
        "uploads": 2,
        "pictures": 1,
        "kept": [],
        "unknown": ["nothing"],
        "remains": None,
    }
    assert "nothing is not in the store." in result.stderr
    assert not any(secret in each.read_bytes() for each in path.rglob("*.parquet"))
    assert (len(store().uploads), len(store().pictures), store().unused) == (2, 2, 0)
    result = embed(pictures, "-r", "--hidden", "--json")
    assert (summary(result)["encoded"], store().info.digest) == (2, before.info.digest)


def test_forget_finds_an_upload_by_the_path_that_was_typed_to_embed_it(
    embed: Embed, run: Run, pictures: Path, store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(pictures, "-r", "--hidden")
    monkeypatch.chdir(pictures.parent)
    result = run("store", "forget", store().path, f"{pictures.name}/red.png", "nowhere.png", "--json")
    assert result.exit_code == Exit.USAGE
    told = json.loads(result.stdout)
    assert (told["uploads"], told["unknown"]) == (1, ["nowhere.png"])
    assert str(pictures / "red.png") not in [*store().uploads.uri]
    assert "by the path that they were embedded from" in result.stderr


def test_forgetting_everything_leaves_an_empty_store(embed: Embed, run: Run, pictures: Path, tmp_path: Path) -> None:
    embed(pictures / "red.png")
    assert run("store", "forget", tmp_path / "store", pictures / "red.png").exit_code == Exit.OK
    opened = open_store(tmp_path / "store")
    assert (len(opened.uploads), len(opened.pictures), list(opened.blocks())) == (0, 0, [])
    assert run("store", tmp_path / "store").exit_code == Exit.OK
    assert embed(pictures / "blue.png").exit_code == Exit.OK


def test_a_forgetting_that_was_ended_early_is_gone_on_with(
    embed: Embed, run: Run, pictures: Path, store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(pictures)
    path = store().path

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupt)
        assert run("store", "forget", path, pictures / "red.png").exit_code == Exit.INTERRUPTED
    assert len(list(parts_of(path))) == 2  # the new one, and the one that it replaces
    assert len(store().uploads) == 3
    assert run("store", "forget", path, pictures / "red.png").exit_code == Exit.USAGE  # its name is gone already
    assert len(list(parts_of(path))) == 1
    assert (len(store().uploads), len(store().pictures), store().unused) == (3, 3, 0)
