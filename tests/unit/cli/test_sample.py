"""`clipwarden sample`: what is drawn, the files for it, and what is refused before anything is written."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipwarden.cli.shares import read_share
from clipwarden.errors import ConfigError
from clipwarden.tuning.labels.model import Design, Labels, Mark
from clipwarden.tuning.labels.reading import read_labels
from kit.cli import Run
from kit.pictures import encode, natural_picture

CATEGORIES = ["colour.red", "colour.blue", "colour.green"]
Sample = Callable[..., str]
RED = ("--categories", "colour.red")
COUNT = 80
DAYS = ("--traffic", "--from", "2026-10-01", "--to", "2026-10-31")


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of which none is like another."""
    folder = tmp_path_factory.mktemp("uploads")
    generator = np.random.default_rng(5)
    for number in range(COUNT):
        colour = tuple(generator.integers(0, 256, 3).tolist())
        picture = Image.blend(Image.new("RGB", (48, 48), colour), natural_picture(number, (48, 48)), 0.4)
        (folder / f"{number:02}.png").write_bytes(encode(picture, "PNG"))
    return folder


@pytest.fixture
def store(run: Run, uploads: Path, toy_folder: Path, tmp_path: Path) -> Path:
    return embedded(run, uploads, toy_folder, tmp_path / "uploads.store", *DAYS)


def embedded(run: Run, pictures: Path, model: Path, store: Path, *options: str) -> Path:
    result = run("embed", pictures, "-o", store, "--model", model, *options)
    assert result.exit_code == 0, result.output
    return store


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sample(run: Run, shadow_file: Path, toy_folder: Path, store: Path, work: Path) -> Sample:
    """Run `clipwarden sample` in a folder of its own."""
    assert list(work.iterdir()) == []

    def run_sample(*options: object, store: Path | None = store, code: int = 0) -> str:
        where = [] if store is None else ["--store", store, "--model", toy_folder]
        result = run("sample", shadow_file, *where, *options)
        assert result.exit_code == code, result.output
        return result.output if code else result.stdout

    return run_sample


def read(name: str) -> Labels:
    return read_labels(Path(name), categories=CATEGORIES)


def page(name: str) -> dict[str, Any]:
    text = Path(name).read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


def mark(name: str, marks: dict[str, object], labeller: str = "kim") -> None:
    """Label the rows of a file whose digests are named."""
    header, *rows = Path(name).read_text(encoding="utf-8").splitlines()
    said = [json.loads(row) for row in rows]
    for row in said:
        if row["sha256"] in marks:
            row.update(labels=marks[row["sha256"]], labeller=labeller)
    Path(name).write_text("\n".join([header, *map(json.dumps, said)]), encoding="utf-8")


def test_a_sample_is_a_label_file_and_a_page(sample: Sample, store: Path) -> None:
    said = sample("-n", 30, "--categories", "colour.blue,colour.red")
    labels = read("labels.jsonl")
    assert labels.design is Design.SAMPLE
    assert labels.categories == ("colour.red", "colour.blue")
    assert 10 < len(labels) < 50
    assert ((labels.pi > 0) & (labels.pi <= 1)).all()
    assert np.isclose((1 / labels.pi).sum(), COUNT, rtol=0.5)
    assert (labels.marks == Mark.UNKNOWN).all()
    assert [each["row"]["sha256"] for each in page("labels.html")["pictures"]] == list(labels.sha256)
    assert not any("blurred" in each for each in page("labels.html")["pictures"])
    assert page("labels.html")["categories"][0] == {"id": "colour.red", "definition": "Red."}
    assert f"Seed    {labels.seed}" in said
    assert labels.store is not None
    assert labels.store.removeprefix("sha256:").startswith(labels.seed or "-")
    assert "Rates of traffic follow from it" in said
    assert "with 10 of them: 44 to 97 %" in said
    assert "labels-NAME.jsonl with --labels." in said
    assert str(store) in said


def test_the_same_store_and_seed_give_the_same_files(sample: Sample) -> None:
    for name, options in (("a", ()), ("b", ()), ("c", ("--seed", "another"))):
        sample("-n", 30, "--categories", "colour.red", "-o", f"{name}.jsonl", "--json", *options)
    one, two, other = (Path(f"{name}.jsonl").read_bytes() for name in "abc")
    assert one == two != other
    assert read("c.jsonl").seed == "another"


def test_programs_get_json(sample: Sample) -> None:
    facts = json.loads(sample("-n", 20, "--categories", "colour.red", "--json"))
    assert facts["pictures"] == facts["to_label"] == len(read("labels.jsonl"))
    assert facts["design"] == "sample"
    assert facts["seed"] == read("labels.jsonl").seed
    assert (facts["labels"], facts["page"], facts["pictures_shown"]) == ("labels.jsonl", "labels.html", 0)


def test_no_file_is_overwritten(sample: Sample) -> None:
    for name in ("labels.jsonl", "labels.html"):
        Path(name).write_text("mine")
        said = sample("-n", 20, "--categories", "colour.red", code=2)
        assert said == f"{name} is there; nothing is overwritten. Name other files with -o and --sheet.\n"
        assert [path.name for path in Path().iterdir()] == [name]
        Path(name).unlink()
    assert "both to be x.jsonl" in sample(
        "-n", 2, "--categories", "colour.red", "-o", "x.jsonl", "--sheet", "x.jsonl", code=2
    )
    assert "no folder" in sample("-n", 2, "--categories", "colour.red", "-o", "none/x.jsonl", code=2)


def test_a_later_round_keeps_pictures_and_marks_and_takes_the_greater_chance(sample: Sample) -> None:
    sample("-n", 15, "--categories", "colour.red")
    first = read("labels.jsonl")
    known = {sha256: {"colour.red": at % 2 == 0} for at, sha256 in enumerate(first.sha256)}
    mark("labels.jsonl", known)
    said = sample("-n", 45, "--add", "labels.jsonl", "-o", "more.jsonl")
    second = read("more.jsonl")
    assert set(first.sha256) < set(second.sha256)
    chance = dict(zip(first.sha256, first.pi, strict=True))
    grown = dict(zip(second.sha256, second.pi, strict=True))
    assert all(grown[sha256] >= chance[sha256] for sha256 in chance)
    kept = dict(zip(second.sha256, second.column("colour.red").tolist(), strict=True))
    assert {sha256: kept[sha256] for sha256 in known} == {
        sha256: int(marks["colour.red"]) for sha256, marks in known.items()
    }
    new = [each["row"]["sha256"] for each in page("more.html")["pictures"]]
    assert set(new) == set(second.sha256) - set(first.sha256)
    assert f"{len(first)} of them labelled before" in said
    assert "more-NAME.jsonl, beside more.jsonl, with --labels." in said
    assert second.labellers == ("kim",)


def test_the_same_round_again_adds_nothing(sample: Sample) -> None:
    sample("-n", 20, "--categories", "colour.red")
    sample("-n", 20, "--add", "labels.jsonl", "-o", "more.jsonl")
    assert Path("more.jsonl").read_bytes() == Path("labels.jsonl").read_bytes()


def test_a_page_without_anything_to_label_is_not_written(sample: Sample) -> None:
    sample("-n", 5, *RED)
    mark("labels.jsonl", {sha256: {"colour.red": False} for sha256 in read("labels.jsonl").sha256})
    said = sample("-n", 5, "--add", "labels.jsonl", "-o", "more.jsonl", code=2)
    assert said == "All that was drawn has labels already; ask for more with -n.\n"
    assert not Path("more.html").exists()


def test_what_was_drawn_otherwise_cannot_grow(sample: Sample) -> None:
    sample("-n", 20, "--categories", "colour.red", "--seed", "one")
    add = ("-n", 30, "--add", "labels.jsonl", "-o", "more.jsonl")
    assert "about colour.red; it grows by --categories of the same" in sample(
        *add, "--categories", "colour.blue", code=2
    )
    assert "the seed one; it grows by --seed one" in sample(*add, "--seed", "two", code=2)
    Path("set.csv").write_text(f"sha256,colour.red\n{'a' * 64},1\n")
    said = sample("-n", 30, "--add", "set.csv", "--categories", "colour.red", "-o", "more.jsonl", code=2)
    assert said == "set.csv has the design set, and this store gives a sample; it cannot grow by it.\n"
    assert not Path("more.jsonl").exists()


def test_a_walk_goes_down_by_score_and_says_how_far(sample: Sample) -> None:
    said = sample("--from-the-top", "colour.red", "-n", 60, "--at-most", "10%", "-o", "top.jsonl")
    labels = read("top.jsonl")
    assert labels.design is Design.TOP
    assert (len(labels), labels.categories) == (60, ("colour.red",))
    walk = labels.walk
    assert walk is not None
    # P(Bin(60, 0.1) <= 1) = 0.0138, and of 2 or fewer 0.0530.
    assert (walk.uploads, walk.at_most, walk.confidence, walk.allowed) == (60, 0.1, 0.95, 1)
    assert np.isnan(labels.pi).all()
    reds = [redness(path) for path in labels.uri]
    assert np.mean(reds[:10]) > np.mean(reds[-10:])
    assert "Label from the top until 2 are not colour.red, or unsure: 2 labels, and one for each that is." in said
    assert "stops at most 10 % of distinct uploads wrongly, with 95 % confidence" in said
    assert page("top.html")["header"]["walk"]["allowed"] == 1


def redness(path: str | None) -> float:
    red, green, blue = np.asarray(Image.open(path or "")).mean(axis=(0, 1))
    return float(red - (green + blue) / 2)


def test_near_duplicates_are_walked_once(
    run: Run, sample: Sample, uploads: Path, toy_folder: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    shutil.copytree(uploads, copies)
    for number in range(40):
        picture = Image.open(copies / f"{number:02}.png")
        (copies / f"copy{number}.png").write_bytes(encode(picture.point(lambda level: min(255, level + 1)), "PNG"))
    doubled = embedded(run, copies, toy_folder, tmp_path / "copies.store", *DAYS)
    said = sample("--from-the-top", "colour.red", "--at-most", "10%", "-o", "top.jsonl", store=doubled)
    assert f"{COUNT + 40} uploads of {COUNT + 40} pictures" in said
    assert len(read("top.jsonl")) <= COUNT


def test_a_promise_needs_uniform_traffic_and_enough_of_it(
    run: Run, sample: Sample, uploads: Path, toy_folder: Path, tmp_path: Path
) -> None:
    said = sample("--from-the-top", "colour.red", code=2)
    assert "598" in said  # of which none may be wrong, for 0.5 % at 95 %
    assert "has " in sample("--from-the-top", "colour.red", "-n", 500, "--at-most", "10%", code=2)
    for kind in ("set", "queue"):
        other = embedded(run, uploads, toy_folder, tmp_path / f"{kind}.store", f"--{kind}")
        said = sample("--from-the-top", "colour.red", "--at-most", "10%", store=other, code=2)
        assert f"says that it is a {kind}, not uniform traffic" in said
        assert list(Path().iterdir()) == []
        said = sample("-n", 20, "--categories", "colour.red", "-o", f"{kind}.jsonl", store=other)
        assert "promise nothing of traffic" in said
        assert read(f"{kind}.jsonl").design == kind
        assert np.isnan(read(f"{kind}.jsonl").pi).all()
        for name in (f"{kind}.jsonl", f"{kind}.html"):
            Path(name).unlink()


def test_a_greater_uniform_share_raises_the_least_chance(sample: Sample, work: Path) -> None:
    least = []
    for name, options in (("fifth.jsonl", ()), ("most.jsonl", ("--uniform-share", "80%"))):
        sample("-n", 30, *RED, *options, "-o", name)
        least.append(read_labels([work / name], categories=CATEGORIES).pi.min())
    assert least[1] >= 0.8 * 30 / COUNT > least[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "Say with --categories what to look for, or with --from-the-top what to walk down by."),
        (("--categories", "colour.red"), "Say with -n how many pictures to draw."),
        (("-n", 0, *RED), "-n is 0; draw at least one picture."),
        (
            ("-n", 5, "--categories", "colour.rde"),
            'The policy has no category "colour.rde"; did you mean "colour.red"?',
        ),
        (
            ("-n", 5, "--categories", "colour.green"),
            "The policy has colour.green disabled, so no picture has a score *",
        ),
        (("-n", 5, "--categories", "a,b,c,d"), "--categories names 4; a sample serves 3 at most, since over many *"),
        (("--from-the-top", "colour.red", *RED), "--from-the-top is about its own category; drop --categories."),
        (
            ("--from-the-top", "colour.red", "--uniform-share", "80%"),
            "--from-the-top draws evenly*; drop --uniform-share.",
        ),
        (("-n", 5, *RED, "--uniform-share", "0"), '--uniform-share is "0"; write a share above 0*'),
        (
            ("-n", 5, *RED, "--at-most", "1%"),
            "--at-most and --confidence are about a promise that --from-the-top makes*",
        ),
        (
            ("--from-the-top", "colour.red", "--at-most", "0.5"),
            '--at-most is "0.5": write 0.5% if percent are meant, *',
        ),
        (
            ("-n", 5, *RED, "--reveal"),
            "--reveal puts clear pictures into the page; say with --pictures where they are.",
        ),
        (("-n", 5, *RED, "--pictures", "none"), "There is no folder none to take pictures from."),
        (("-n", 5, *RED, "-o", "labels.csv"), "labels.csv is to hold JSON lines; let its name end with .jsonl."),
        (("-n", 5, "--again", "x.jsonl"), "--again makes a new page for a sample as it was drawn; drop what says *"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_nothing_is_written(
    sample: Sample, options: tuple[object, ...], sentence: str
) -> None:
    (said,) = sample(*options, code=2).splitlines()
    assert fnmatchcase(said, sentence.replace("[", "[[]").replace("?", "[?]"))
    assert list(Path().iterdir()) == []


def test_no_store_is_told(sample: Sample) -> None:
    said = sample("-n", 5, "--categories", "colour.red", store=None, code=2)
    assert said == "Name the store to draw from with --store; `clipwarden embed` writes one.\n"


def test_pictures_come_blurred_and_clear_ones_only_if_asked(sample: Sample, uploads: Path) -> None:
    said = sample("-n", 20, "--categories", "colour.red", "--pictures", uploads)
    shown = page("labels.html")["pictures"]
    assert all(each["blurred"].startswith("data:image/jpeg;base64,") and "clear" not in each for each in shown)
    assert f"labels.html, {len(shown)} blurred pictures\n" in said
    sample("-n", 20, "--categories", "colour.red", "--pictures", uploads, "--reveal", "-o", "clear.jsonl")
    assert all("clear" in each for each in page("clear.html")["pictures"])


def test_animations_are_shown_by_the_frames_that_the_store_judged(
    run: Run, shadow_file: Path, toy_folder: Path, work: Path
) -> None:
    text = shadow_file.read_text()
    (work / "looking.yaml").write_text(text.replace("defaults: {", "defaults: {views: auto, frames: 4, "))
    (work / "files").mkdir()
    for number in range(8):
        frames = [natural_picture(10 * number + frame, (48, 48)) for frame in range(9)]
        frames[0].save(work / "files" / f"{number}.gif", save_all=True, append_images=frames[1:], duration=100)
    options: tuple[str, ...] = ("--views", "auto", "--frames", "4")
    for policy, name, judged in (("looking.yaml", "four", 4), (shadow_file, "one", 1)):
        store = embedded(run, work / "files", toy_folder, work / name, *DAYS, *options)
        asked = ("-n", 8, *RED, "--pictures", "files", "-o", f"{name}.jsonl")
        result = run("sample", policy, "--store", store, "--model", toy_folder, *asked)
        assert result.exit_code == 0, result.output
        shown = page(f"{name}.html")["pictures"]
        assert [each["frames"] for each in shown] == [[judged, 9]] * len(shown)
        options = ()
    again = run("sample", shadow_file, "--again", "one.jsonl", "--sheet", "again.html", "--pictures", "files")
    assert again.exit_code == 0, again.output
    assert {tuple(each["frames"]) for each in page("again.html")["pictures"]} == {(6, 9)}


@pytest.mark.parametrize("blurred", [True, False])
def test_a_page_without_clear_pictures_names_the_command_that_makes_one_with_them(
    sample: Sample, run: Run, uploads: Path, *, blurred: bool
) -> None:
    said = sample("-n", 20, "--categories", "colour.red", *(("--pictures", uploads) if blurred else ()))
    (command,) = re.findall(r"`clipwarden (sample .*--reveal)`", said)
    drawn = Path("labels.jsonl").read_bytes()
    result = run(*shlex.split(command.replace("FOLDER", str(uploads))))
    assert result.exit_code == 0, result.output
    assert all("clear" in each for each in page("labels-clear.html")["pictures"])
    assert Path("labels.jsonl").read_bytes() == drawn
    assert "--reveal" not in result.stdout


def test_files_that_are_gone_or_changed_are_left_out(
    sample: Sample, run: Run, uploads: Path, toy_folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(uploads, own)
    store = embedded(run, own, toy_folder, tmp_path / "own.store", *DAYS)
    sample("-n", 20, "--categories", "colour.red", store=store)
    first, second = (Path(uri or "") for uri in read("labels.jsonl").uri[:2])
    first.unlink()
    second.write_bytes((uploads / "00.png").read_bytes() + b"\n")
    said = sample("-n", 20, "--categories", "colour.red", "--pictures", own, "-o", "again.jsonl", store=store)
    assert "2 left out, whose files are missing, changed or escalated" in said
    assert ["blurred" in each for each in page("again.html")["pictures"]][:3] == [False, False, True]


def test_another_page_of_a_sample_leaves_out_what_was_escalated(sample: Sample, uploads: Path) -> None:
    sample("-n", 20, "--categories", "colour.red", "--pictures", uploads)
    header, first, *rest = Path("labels.jsonl").read_text().splitlines()
    stopped = {**json.loads(first), "escalated": True}
    Path("kim.jsonl").write_text("\n".join([header, json.dumps(stopped), *rest]))
    said = sample("--again", "kim.jsonl", "--sheet", "again.html", "--pictures", uploads, store=None)
    old, new = page("labels.html"), page("again.html")
    assert "1 of them escalated" in said
    assert (new["pictures"][0].get("escalated"), "blurred" in new["pictures"][0]) == (True, False)
    assert all("blurred" in each for each in new["pictures"][1:])
    assert new["digest"] == old["digest"]
    assert new["header"] == old["header"]
    assert not Path("again.jsonl").exists()


@pytest.mark.parametrize(("text", "share"), [("0.5%", 0.005), ("0.5 %", 0.005), ("0.005", 0.005), ("95%", 0.95)])
def test_shares_are_read(text: str, share: float) -> None:
    assert read_share(text, "--x") == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0,5%", '--x is "0,5%", which is no share; write 0.5%.'),
        ("few", '--x is "few", which is no share, such as 0.5%.'),
        ("0", '--x is "0"; write a share above 0 and below 100%, such as 0.5%.'),
        ("nan", '--x is "nan"; write a share above 0 and below 100%, such as 0.5%.'),
        ("100%", '--x is "100%"; write a share above 0 and below 100%, such as 0.5%.'),
    ],
)
def test_what_is_no_share_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_share(text, "--x")
    assert str(caught.value) == sentence
