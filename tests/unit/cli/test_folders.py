"""What a folder holds: every file is judged, or named with the reason why not, and the exit code says so."""

import json
import os
import shutil
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from clipwarden.cli.exits import Exit
from clipwarden.cli.inputs import Input, Search, find_items
from clipwarden.cli.leftovers import KINDS, NAMED, LeftOut, LeftOutReason
from clipwarden.cli.outcome import Outcome
from clipwarden.cli.report import make_report
from clipwarden.cli.selection import RESULTS
from clipwarden.v1 import moderation_pb2 as v1
from kit.cli import Run

Judge = Callable[..., Result]

JPEG_XL = b"\xff\x0a" + bytes(200)
LONG = "n" * 250


@pytest.fixture
def judge(run: Run, toy_folder: Path, policy_file: Path) -> Judge:
    """Run `clipwarden moderate` with the toy model and its policy."""

    def judge_files(*args: object, **choices: object) -> Result:
        return run("moderate", *args, "--model", toy_folder, "--policy", policy_file, **choices)

    return judge_files


@pytest.fixture
def here(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder `in` to fill, beside `blue` and `red`, in which we are."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(pictures / "blue.png", "blue")
    shutil.copy(pictures / "red.png", "red")
    Path("in").mkdir()
    return Path("in")


def lines(result: Result) -> dict[str, dict[str, dict[str, object]]]:
    return {line["path"]: line for line in map(json.loads, result.stdout.splitlines())}


def left_out(result: Result) -> dict[str, object]:
    """Return reasons by path."""
    return {path: line["left_out"]["reason"] for path, line in lines(result).items() if "left_out" in line}


def errors(result: Result) -> dict[str, object]:
    return {path: line["error"]["reason"] for path, line in lines(result).items() if "error" in line}


def verdicts(result: Result) -> dict[str, object]:
    return {path: line["moderation"]["verdict"] for path, line in lines(result).items() if "moderation" in line}


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def make_unreadable(folder: Path) -> Path:
    """Make folders so deep that their path is longer than the system reads, for root too; return the last it reads."""
    start = Path.cwd()
    os.chdir(folder)
    path = folder
    while len(str(start / path)) < 4096:
        Path(LONG).mkdir()
        os.chdir(LONG)
        path /= LONG
    os.chdir(start)
    return path


def test_every_kind_of_leftover_is_named_with_its_reason_counted_and_gives_its_exit_code(
    judge: Judge, here: Path
) -> None:
    shutil.copy("blue", here / "photo")
    (here / "notes.txt").write_text("BMW, GIF, PNG")
    (here / "nothing").touch()
    shutil.copy("red", here / ".hidden")
    (here / ".hidden.txt").write_text("no image")
    (here / ".folder").mkdir()
    (here / "inside").mkdir()
    (here / "link").symlink_to("photo")
    (here / "link.txt").symlink_to("notes.txt")
    (here / "link-to-folder").symlink_to("inside")
    (here / "dangling").symlink_to("nowhere")
    (here / "circle").symlink_to("circle")
    (here / "cut.png").write_bytes(Path("red").read_bytes()[:200])
    (here / "new").write_bytes(JPEG_XL)
    (here / "vector").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (here / "stand-in.jpg").write_text("version https://git-lfs.github.com/spec/v1\n")
    (here / "._photo.jpg").write_bytes(b"\0\5\x16\7" + bytes(78))
    os.mkfifo(here / "pipe")
    bind_socket(here / "socket")
    Path("texts").mkdir()
    result = judge("in", "texts", "--json")
    assert left_out(result) == {
        "in/.folder": "HIDDEN",
        "in/.hidden": "HIDDEN",
        "in/.hidden.txt": "NOT_AN_IMAGE",
        "in/._photo.jpg": "NOT_AN_IMAGE",
        "in/circle": "LINK_BROKEN",
        "in/dangling": "LINK_BROKEN",
        "in/inside": "FOLDER_INSIDE",
        "in/link": "LINK",
        "in/link-to-folder": "LINK",
        "in/link.txt": "NOT_AN_IMAGE",
        "in/nothing": "NOT_AN_IMAGE",
        "in/notes.txt": "NOT_AN_IMAGE",
        "in/pipe": "SPECIAL_FILE",
        "in/socket": "SPECIAL_FILE",
        "texts": "FOLDER_EMPTY",
    }
    assert errors(result) == {
        "in/cut.png": "IMAGE_TRUNCATED",
        "in/new": "IMAGE_FORMAT_UNSUPPORTED",
        "in/stand-in.jpg": "IMAGE_FORMAT_UNSUPPORTED",
        "in/vector": "IMAGE_FORMAT_UNSUPPORTED",
    }
    assert list(verdicts(result)) == ["in/photo"]
    assert [*lines(result)][:-1] == sorted(str(path) for path in here.iterdir())
    assert result.exit_code == 30
    messages = {path: line["left_out"]["message"] for path, line in lines(result).items() if "left_out" in line}
    assert messages["in/nothing"] == "not an image (empty)"
    assert messages["in/pipe"] == "special file, never opened (pipe)"
    assert messages["in/link"] == "link to an image or folder; add --follow-links"
    assert messages["in/dangling"] == "link that cannot be followed (No such file or directory)"
    said = result.stderr.splitlines()
    assert said[said.index("Left out: 15.") - 1 :] == [
        "5 images: 1 ALLOW, 4 NOT JUDGED.",
        "Left out: 15.",
        "  not an image: 5 (in/._photo.jpg, in/.hidden.txt, in/link.txt, ...)",
        "  special file, never opened: 2 (in/pipe, in/socket)",
        "  folder without an image to judge: 1 (texts)",
        "  folder inside: 1 (in/inside); add --recursive",
        "  hidden image or folder: 2 (in/.folder, in/.hidden); add --hidden",
        "  link to an image or folder: 2 (in/link, in/link-to-folder); add --follow-links",
        "  link that cannot be followed: 2 (in/circle, in/dangling)",
    ]


def hidden_image(folder: Path) -> None:
    shutil.copy("blue", folder / ".x")


def broken_link(folder: Path) -> None:
    (folder / "x").symlink_to("nowhere")


def folder_seen(folder: Path) -> None:
    (folder / "x").symlink_to(".")


EXITS: list[tuple[str, Callable[[Path], object], tuple[str, ...], LeftOutReason | str | None, int]] = [
    ("a text", lambda folder: (folder / "x").write_text("no image"), (), LeftOutReason.NOT_AN_IMAGE, 0),
    ("a hidden text", lambda folder: (folder / ".x").write_text("no image"), (), LeftOutReason.NOT_AN_IMAGE, 0),
    ("a pipe", lambda folder: os.mkfifo(folder / "x"), (), LeftOutReason.SPECIAL_FILE, 0),
    ("a socket", lambda folder: bind_socket(folder / "x"), (), LeftOutReason.SPECIAL_FILE, 0),
    ("a link to a device", lambda folder: (folder / "x").symlink_to("/dev/zero"), (), LeftOutReason.SPECIAL_FILE, 0),
    ("a circle", folder_seen, ("--follow-links", "-r"), LeftOutReason.FOLDER_SEEN, 0),
    ("a folder inside", lambda folder: (folder / "x").mkdir(), (), LeftOutReason.FOLDER_INSIDE, 5),
    ("an empty folder inside", lambda folder: (folder / "x").mkdir(), ("-r",), None, 0),
    ("a hidden image", hidden_image, (), LeftOutReason.HIDDEN, 5),
    ("a hidden image that is looked at", hidden_image, ("--hidden",), None, 0),
    ("a hidden folder", lambda folder: (folder / ".x").mkdir(), ("-r",), LeftOutReason.HIDDEN, 5),
    ("a hidden link that leads nowhere", lambda folder: (folder / ".x").symlink_to("-"), (), LeftOutReason.HIDDEN, 5),
    ("a link to an image", lambda folder: (folder / "x").symlink_to("../blue"), (), LeftOutReason.LINK, 5),
    ("a link that is followed", lambda folder: (folder / "x").symlink_to("../blue"), ("--follow-links",), None, 0),
    ("a link to a folder", lambda folder: (folder / "x").symlink_to("."), ("-r",), LeftOutReason.LINK, 5),
    ("a broken link", broken_link, (), LeftOutReason.LINK_BROKEN, 30),
    ("a broken link to follow", broken_link, ("--follow-links",), LeftOutReason.LINK_BROKEN, 30),
    ("an unreadable folder", make_unreadable, ("-r",), LeftOutReason.FOLDER_UNREADABLE, 30),
    ("a damaged image", lambda folder: (folder / "x").write_bytes(Path("red").read_bytes()[:99]), (), "error", 30),
    ("an empty image", lambda folder: (folder / "x.jpg").touch(), (), "error", 30),
]


@pytest.mark.parametrize("case", [case[1:] for case in EXITS], ids=[case[0] for case in EXITS])
def test_beside_an_allowed_image_each_kind_has_an_exit_code_of_its_own(
    judge: Judge, here: Path, case: tuple[Callable[[Path], object], tuple[str, ...], str | None, int]
) -> None:
    make, options, reason, code = case
    shutil.copy("blue", here / "photo")
    make(here)
    result = judge("in", *options, "--json")
    assert list(left_out(result).values()) == ([] if reason in {None, "error"} else [reason])
    assert len(errors(result)) == (reason == "error")
    assert result.exit_code == code
    assert ("ends with 5 and not with 0" in result.stderr) == (code == 5)
    if isinstance(reason, LeftOutReason):
        assert KINDS[reason].exit == code


def test_every_reason_has_its_exit_code_tried() -> None:
    tried = {case[3] for case in EXITS if isinstance(case[3], LeftOutReason)}
    assert tried | {LeftOutReason.FOLDER_EMPTY} == set(LeftOutReason) == set(KINDS)


def test_a_review_or_block_comes_before_what_was_left_out(judge: Judge, here: Path) -> None:
    shutil.copy("red", here / "photo")
    hidden_image(here)
    assert judge("in", "--json").exit_code == 20


@pytest.mark.parametrize("options", [(), ("--json",), ("--csv", "-"), ("--explain",)])
@pytest.mark.parametrize("make", [lambda _: None, lambda folder: (folder / "x").write_text("no image")])
def test_a_folder_with_nothing_to_judge_ends_with_2(
    judge: Judge, here: Path, make: Callable[[Path], object], options: tuple[str, ...]
) -> None:
    make(here)
    result = judge("in", *options)
    assert result.exit_code == 2
    assert "There are no images in in.\n" in result.stderr
    assert ("FOLDER_EMPTY" in result.stdout) == (options in {("--json",), ("--csv", "-")})
    assert "image" not in result.stdout.replace("NOT_AN_IMAGE", "").replace("an image", "").replace("hidden image", "")


@pytest.mark.parametrize(
    "make", [hidden_image, lambda folder: (folder / "x").mkdir(), lambda folder: (folder / "x").symlink_to("../blue")]
)
def test_a_folder_in_which_all_was_left_out_ends_with_5_and_says_so(
    judge: Judge, here: Path, make: Callable[[Path], object]
) -> None:
    make(here)
    result = judge("in", "--csv", "verdicts.csv")
    assert result.exit_code == 5
    assert "There are no images" not in result.stderr
    assert "ends with 5 and not with 0" in result.stderr
    assert result.stdout == "verdicts.csv is written.\n"
    rows = Path("verdicts.csv").read_text().splitlines()
    assert [len(rows), "FOLDER_EMPTY" in rows[-1]] == [3, True]


def test_a_folder_where_nothing_can_be_looked_at_ends_with_30(judge: Judge, here: Path) -> None:
    broken_link(here)
    result = judge("in", "--json")
    assert (result.exit_code, left_out(result)) == (30, {"in/x": "LINK_BROKEN", "in": "FOLDER_EMPTY"})


def test_one_empty_folder_among_others_is_not_hidden_by_them(judge: Judge, here: Path) -> None:
    shutil.copy("blue", here / "photo")
    Path("in2").mkdir()
    result = judge("in/", "in2", "--json")
    assert (result.exit_code, left_out(result)) == (2, {"in2": "FOLDER_EMPTY"})


def test_files_are_told_by_content_whatever_their_name(judge: Judge, here: Path) -> None:
    shutil.copy("blue", here / "photo.txt")
    (here / "BIG.JPG.txt").write_text("no image")
    result = judge("in", "--json")
    assert (list(verdicts(result)), left_out(result)) == (["in/photo.txt"], {"in/BIG.JPG.txt": "NOT_AN_IMAGE"})


def test_links_are_followed_to_each_folder_once_and_what_is_hidden_is_looked_at(judge: Judge, here: Path) -> None:
    Path("elsewhere").mkdir()
    shutil.copy("blue", "elsewhere/.photo")
    (here / ".first").symlink_to("../elsewhere")
    (here / "second").symlink_to("../elsewhere")
    (here / "up").symlink_to("..")
    (here / "file").symlink_to("../red")
    result = judge("in", "-r", "--follow-links", "--hidden", "--json")
    assert verdicts(result) == {
        "in/.first/.photo": "VERDICT_ALLOW",
        "in/file": "VERDICT_BLOCK",
        "in/up/blue": "VERDICT_ALLOW",
        "in/up/red": "VERDICT_BLOCK",
    } | {path: verdict for path, verdict in verdicts(result).items() if path.startswith("in/up/pictures/")}
    seen = {path: line["left_out"]["message"] for path, line in lines(result).items() if "left_out" in line}
    assert seen["in/second"] == "folder found before (as in/.first)"
    assert seen["in/up/elsewhere"] == "folder found before (as in/.first)"
    assert seen["in/up/in"] == "folder found before (as in)"


@pytest.mark.parametrize("options", [(), ("-r",)])
def test_what_is_named_and_found_as_well_is_judged_once(judge: Judge, here: Path, options: tuple[str, ...]) -> None:
    (here / "sub").mkdir()
    shutil.copy("blue", here / "photo")
    shutil.copy("blue", here / ".shy")
    shutil.copy("blue", here / "sub" / "photo")
    result = judge("in", "in/sub", "in/photo", "./in/.shy", "in/", "--json", *options)
    assert list(verdicts(result)) == ["in/sub/photo", "in/photo", "./in/.shy"]
    assert (result.exit_code, left_out(result)) == (0, {"in/": "FOLDER_SEEN"})
    again = judge("in/sub", "in", "./in", "--json", *options)
    assert list(verdicts(again)) == ["in/sub/photo", "in/photo"]
    assert left_out(again) == {"in/.shy": "HIDDEN", "in/sub": "FOLDER_SEEN", "./in": "FOLDER_SEEN"}
    shutil.rmtree(here / "sub")
    (here / "sub").mkdir()
    assert left_out(judge("in/sub", "in", "--json", *options))["in/sub"] == "FOLDER_EMPTY"


def test_what_has_become_a_link_since_it_was_found_is_not_followed(here: Path) -> None:
    (here / "x.png").touch()
    (item,) = find_items(["in"], Search(follow_links=True))
    assert isinstance(item, Input)
    (here / "x.png").unlink()
    (here / "x.png").symlink_to("../blue")
    with pytest.raises(OSError, match="symbolic link"):
        item.read(limit=10)


def test_a_folder_behind_a_followed_link_still_takes_recursive(judge: Judge, here: Path) -> None:
    shutil.copy("blue", here / "photo")
    (here / "link").symlink_to("..")
    assert left_out(judge("in", "--follow-links", "--json")) == {"in/link": "FOLDER_INSIDE"}


def test_what_is_named_is_judged_though_it_is_hidden_or_a_link(judge: Judge, here: Path) -> None:
    shutil.copy("blue", here / "photo")
    Path(".link").symlink_to("red")
    Path(".folder").symlink_to("in")
    assert verdicts(judge(".link", ".folder", "--json")) == {
        ".link": "VERDICT_BLOCK",
        ".folder/photo": "VERDICT_ALLOW",
    }
    Path("broken").symlink_to("nowhere")
    refused = judge("broken")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "There is no file or folder broken. It is a link that leads nowhere.\n",
    )


def test_what_is_named_and_cannot_be_looked_at_could_not_be_judged(judge: Judge, here: Path) -> None:
    Path("circle").symlink_to("circle")
    deepest = make_unreadable(here)
    result = judge("circle", deepest / LONG, "--json")
    assert (result.exit_code, set(errors(result).values())) == (30, {"FILE_UNREADABLE"})
    assert "Too many levels of symbolic links" in result.stdout
    assert "File name too long" in result.stdout


def test_a_pipe_that_is_named_is_read(judge: Judge, here: Path) -> None:
    os.mkfifo(here / "pipe")
    writer = threading.Thread(target=(here / "pipe").write_bytes, args=(Path("red").read_bytes(),))
    writer.start()
    assert verdicts(judge("in/pipe", "--json")) == {"in/pipe": "VERDICT_BLOCK"}
    writer.join()


def test_what_has_become_a_pipe_since_it_was_found_is_not_waited_for(here: Path) -> None:
    (here / "x.png").touch()
    (item,) = find_items(["in"], Search())
    assert isinstance(item, Input)
    (here / "x.png").unlink()
    os.mkfifo(here / "x.png")
    with pytest.raises(OSError, match="it is a file no longer"):
        item.read(limit=10)


def test_what_vanished_could_not_be_judged(judge: Judge, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("blue", here / "photo")
    (here / "gone").touch()
    read = Input.read

    def remove_first(self: Input, *, limit: int) -> bytes | LeftOut:
        (here / "gone").unlink(missing_ok=True)
        return read(self, limit=limit)

    monkeypatch.setattr(Input, "read", remove_first)
    result = judge("in", "--json")
    assert (result.exit_code, errors(result)) == (30, {"in/gone": "FILE_UNREADABLE"})
    assert "No such file or directory" in result.stdout


@pytest.fixture
def deep(here: Path) -> Iterator[str]:
    """A file below more folders than Python can call functions, and below little enough text for the system."""
    paths = [here.joinpath(*["d"] * 200 * depth) for depth in range(7)]
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)
    shutil.copy("blue", paths[-1] / "photo")
    yield str(paths[-1] / "photo")
    # By us, as pytest's own way calls itself.
    (paths[-1] / "photo").unlink()
    os.removedirs(paths[-1])


def test_folders_may_lie_deeper_than_functions_call_each_other(deep: str) -> None:
    assert [item.name for item in find_items(["in"], Search(recursive=True))] == [deep]


def test_a_huge_video_is_called_a_video_and_not_too_large(here: Path) -> None:
    with (here / "x.mp4").open("wb") as file:
        file.write(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0))
        file.truncate(2**40)
    (item,) = find_items(["in"], Search())
    assert isinstance(item, Input)
    data = item.read(limit=10_000)
    assert isinstance(data, bytes)
    assert len(data) < 10_000


def test_only_some_results_are_shown_and_all_are_counted(judge: Judge, pictures: Path) -> None:
    table = judge(pictures, "--only", "block,not judged")
    assert table.exit_code == 30
    shown = [line.split()[0] for line in table.stdout.splitlines() if ".png" in line]
    assert shown == ["NOT", "BLOCK"]
    assert table.stdout.splitlines()[-1] == "4 images: 2 ALLOW, 1 BLOCK, 1 NOT JUDGED. 2 images not shown."
    explained = judge(pictures, "--only", "BLOCK", "--explain")
    assert explained.stdout.count("Verdict ") == 1
    assert explained.stdout.splitlines()[-1].endswith("1 NOT JUDGED. 3 images not shown.")
    as_lines = judge(pictures, "--only", "allow", "--json")
    assert list(verdicts(as_lines).values()) == ["VERDICT_ALLOW"] * 2
    assert len(as_lines.stdout.splitlines()) == 2
    assert "4 images: 2 ALLOW, 1 BLOCK, 1 NOT JUDGED. 2 images not shown.\n" in as_lines.stderr
    assert as_lines.exit_code == 30


def test_only_finds_nothing_to_show_and_says_so(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "blue.png", "--only", "BLOCK")
    assert (result.exit_code, result.stdout.strip()) == (0, "1 image: 1 ALLOW. 1 image not shown.")


def test_only_left_out_lists_all_that_was_left_out(judge: Judge, here: Path) -> None:
    shutil.copy("blue", here / "photo")
    for number in range(NAMED + 1):
        (here / f"{number}.txt").touch()
    plain = judge("in")
    assert (
        "Left out: 4; --only LEFT-OUT shows all.\n  not an image: 4 (in/0.txt, in/1.txt, in/2.txt, ...)" in plain.stderr
    )
    assert "LEFT OUT" not in plain.stdout
    for columns in (80, 200):
        listed = judge("in", "--only", "left-out", columns=columns)
        assert listed.stdout.count("LEFT OUT") == NAMED + 1
        assert "NOT_AN_IMAGE" in listed.stdout
        assert "; --only" not in listed.stderr


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        ("BLOK", "Did you mean BLOCK? Write some of ALLOW, REVIEW, BLOCK, NOT-JUDGED, LEFT-OUT, with commas."),
        ("block;review", "there is no such result."),
        ("notjudged", "Did you mean NOT-JUDGED?"),
        ("BLOCK,", "--only 'BLOCK,': a result is missing. Write some of ALLOW, "),
        ("", "--only '': a result is missing. Write"),
        ("-BLOCK", "--only '-BLOCK': there is no such result. Did you mean BLOCK?"),
    ],
)
def test_a_wrong_result_is_answered_with_the_right_ones(judge: Judge, here: Path, only: str, sentence: str) -> None:
    result = judge(here, "--only", only)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_verdict_that_only_a_newer_server_knows_is_always_shown(capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(as_json=True, explain=False, only=frozenset({"BLOCK"}))
    newer = v1.Moderation(verdict=99)  # type: ignore[arg-type]
    assert "99" not in RESULTS
    report.add(Outcome(name="x", moderation=newer))
    assert '"verdict":99' in capsys.readouterr().out
    assert report.tally.exit == Exit.UNJUDGED


class Watched(Outcome):
    """An outcome that can be told to be gone."""


@pytest.mark.parametrize("choice", [{"as_json": True}, {"as_json": False, "csv": "-"}])
def test_lines_and_rows_are_not_kept(choice: dict[str, object]) -> None:
    report = make_report(explain=False, **choice)  # type: ignore[arg-type]
    kept = []
    for number in range(50):
        outcome = Watched(name=f"{number}", moderation=v1.Moderation(verdict=v1.VERDICT_ALLOW))
        kept.append(weakref.ref(outcome))
        report.add(outcome)
        report.add(Outcome(name="t", left_out=LeftOut(name=f"t{number}", reason=LeftOutReason.NOT_AN_IMAGE)))
    del outcome
    assert [reference() for reference in kept] == [None] * 50
    assert sum(line.count("t") for line in report.tally.left_out.lines()) < 10


def test_help_tells_every_reason_and_option(run: Run) -> None:
    helped = " ".join(run("moderate", "--help").stdout.split())
    for reason in LeftOutReason:
        assert reason in helped
    for option in ("--follow-links", "--hidden", "--only", "--csv"):
        assert option in helped
