"""What `moderate --csv` writes: whole, readable by spreadsheets, and harmless there whatever a file is called."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import Result

from clipwarden.cli import csvreport
from clipwarden.cli.csvreport import COLUMNS, csv_line
from clipwarden.cli.judges import LocalJudge
from clipwarden.cli.leftovers import LeftOut, LeftOutReason
from clipwarden.cli.outcome import Outcome
from clipwarden.v1 import moderation_pb2 as v1
from kit.cli import Run

Judge = Callable[..., Result]


@pytest.fixture
def judge(run: Run, toy_folder: Path, policy_file: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Run `clipwarden moderate` with the toy model and its policy, beside `pictures`."""
    monkeypatch.chdir(pictures.parent)

    def judge_files(*args: object, **choices: object) -> Result:
        return run("moderate", *args, "--model", toy_folder, "--policy", policy_file, **choices)

    return judge_files


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in csv.DictReader(StringIO(text, newline=""), strict=True)}


def cell(path: str) -> str:
    """Write a path, as a spreadsheet reads it."""
    line = csv_line(Outcome(name=path, left_out=LeftOut(name=path, reason=LeftOutReason.NOT_AN_IMAGE)))
    (row,) = csv.reader(StringIO(line, newline=""), strict=True)
    return row[0]


def test_a_row_holds_what_json_holds(judge: Judge) -> None:
    found = rows(judge("pictures", "--csv", "-").stdout)
    as_json = {line["path"]: line for line in map(json.loads, judge("pictures", "--json").stdout.splitlines())}
    assert list(found) == list(as_json)
    red, moderation = found["pictures/red.png"], as_json["pictures/red.png"]["moderation"]
    category = next(each for each in moderation["categories"] if each["id"] == "colour.red")
    expected = {
        "verdict": "BLOCK",
        "shadow_verdict": "BLOCK",
        "decided_by": "colour.red",
        "category": "colour.red",
        "mode": "enforce",
        "score": str(category["score"]),
        "threshold_kind": "block",
        "threshold": "0.9",
        "text": "red",
        "contrast": "yellow",
        "reason": "",
        "format": "PNG",
        "width": "64",
        "height": "64",
        "frames_total": "1",
        "frames_judged": "1",
        "share_shown": "1.0",
        "partial": "FALSE",
        "unseen": "",
        "sha256": moderation["image"]["sha256"],
        "policy_id": "colours",
        "policy_version": "1.0",
        "policy_digest": moderation["policy"]["digest"],
        "model": "toy",
        "model_fingerprint": moderation["model"]["fingerprint"],
    }
    assert {column: red[column] for column in expected} == expected
    cut, error = found["pictures/cut.png"], as_json["pictures/cut.png"]["error"]
    assert (cut["verdict"], cut["reason"], cut["message"]) == ("NOT JUDGED", "IMAGE_TRUNCATED", error["message"])
    assert (cut["policy_verdict"], cut["score"]) == ("REVIEW", "")
    more = found["pictures/more"]
    assert (more["verdict"], more["reason"]) == ("LEFT OUT", "FOLDER_INSIDE")
    assert more["message"] == as_json["pictures/more"]["left_out"]["message"]


def test_a_file_is_written_for_spreadsheets_and_the_last_line_says_so(judge: Judge) -> None:
    result = judge("pictures", "--csv", "verdicts.csv")
    assert result.exit_code == 30
    assert result.stdout == "4 images: 2 ALLOW, 1 BLOCK, 1 NOT JUDGED. verdicts.csv is written.\n"
    written = Path("verdicts.csv").read_bytes()
    assert written.startswith(b'\xef\xbb\xbf"path",')
    assert written.count(b"\r\n") == written.count(b"\n") == 8
    text = written.decode("utf-8-sig")
    assert list(rows(text)) == sorted(str(path) for path in Path("pictures").iterdir())
    assert next(csv.reader(StringIO(text, newline=""))) == list(COLUMNS)


def test_standard_output_has_no_byte_order_mark_and_nothing_but_rows(judge: Judge) -> None:
    result = judge("pictures", "--csv", "-")
    assert result.stdout_bytes.startswith(b'"path",')
    assert len([*csv.reader(StringIO(result.stdout, newline=""))]) == 8
    assert "Left out: 3." in result.stderr


def test_only_some_results_get_a_row(judge: Judge) -> None:
    result = judge("pictures", "--csv", "-", "--only", "BLOCK,LEFT-OUT")
    assert [row["verdict"] for row in rows(result.stdout).values()] == ["LEFT OUT", "LEFT OUT", "LEFT OUT", "BLOCK"]
    assert "4 images: 2 ALLOW, 1 BLOCK, 1 NOT JUDGED. 3 images not shown." in result.stderr
    assert result.exit_code == 30


def test_a_table_written_before_is_written_over_and_no_other_file(judge: Judge) -> None:
    Path("verdicts.CSV").write_text("old")
    assert judge("pictures/red.png", "--csv", "verdicts.CSV").exit_code == 20
    assert "red.png" in Path("verdicts.CSV").read_text()
    image = Path("pictures/blue.png").read_bytes()
    refused = judge("pictures/red.png", "--csv", "pictures/blue.png")
    assert (refused.exit_code, Path("pictures/blue.png").read_bytes()) == (2, image)
    assert "only .csv files are written over" in refused.stderr
    assert judge("pictures/red.png", "--csv", "/dev/null").exit_code == 20


def test_what_was_there_outlives_a_command_that_is_wrong(run: Run, judge: Judge) -> None:
    Path("verdicts.csv").write_text("old")
    assert run("moderate", "pictures", "--csv", "verdicts.csv", "--model", "nothing").exit_code == 4
    assert judge("nothing", "--csv", "verdicts.csv").exit_code == 2
    assert Path("verdicts.csv").read_text() == "old"


def test_a_file_that_cannot_be_written_fails_with_its_name(judge: Judge) -> None:
    result = judge("pictures", "--csv", "nowhere/verdicts.csv")
    assert (result.exit_code, "nowhere/verdicts.csv: No such file or directory." in result.stderr) == (1, True)


def test_a_place_where_nothing_can_be_written_is_found_before_a_model_is_loaded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.csv").mkdir()
    for target, said in (("folder.csv", "Is a directory"), ("no/where.csv", "No such file or directory")):
        result = run("moderate", ".", "--csv", target, "--model", "nothing")
        assert (result.exit_code, result.stderr) == (1, f"{target}: {said}.\n")


def test_a_full_disk_is_named_with_its_file(judge: Judge) -> None:
    result = judge("pictures", "--csv", "/dev/full")
    assert result.exit_code == 1
    assert "/dev/full: No space left on device.\n" in result.stderr
    assert "/dev/full is incomplete." in result.stdout


def test_a_file_that_was_not_finished_is_called_incomplete(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalJudge, "judge", interrupted)
    result = judge("pictures", "--csv", "verdicts.csv", "--concurrency", "1")
    assert (result.exit_code, result.stdout) == (130, "verdicts.csv is incomplete.\n")
    assert list(rows(Path("verdicts.csv").read_text("utf-8-sig"))) == ["pictures/.hidden.png"]


@pytest.mark.parametrize("options", [("--csv", "-", "--json"), ("--json", "--explain"), ("--explain", "--csv", "x")])
def test_ways_to_show_the_same_exclude_one_another(judge: Judge, options: tuple[str, ...]) -> None:
    result = judge("pictures", *options)
    assert result.exit_code == 2
    assert "--json, --csv and --explain exclude one another" in result.stderr
    assert not Path("x").exists()


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0.png", "+1", "-1+1", "@SUM(1)", "\uff1dA1", "\uff0b1", "'=1", "'"])
def test_no_cell_begins_like_a_formula_and_what_was_added_can_be_taken_off(name: str) -> None:
    assert cell(name) == f"'{name}"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a,b;c.png", "a,b;c.png"),
        ('say "=1".png', 'say "=1".png'),
        ("\u00fc\u6f22.png", "\u00fc\u6f22.png"),
        ("\t=1", "\\t=1"),
        ("\r\n=1.png", "\\r\\n=1.png"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\udce9.png"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a=1", "a=1"),
    ],
)
def test_names_stay_readable_on_one_line_and_harmless_for_terminals(name: str, written: str) -> None:
    assert cell(name) == written


def test_texts_are_quoted_so_that_semicolons_begin_no_cells_and_numbers_are_numbers(judge: Judge) -> None:
    shutil.copy("pictures/blue.png", "pictures/a;=1+1;.png")
    line = judge("pictures/a;=1+1;.png", "--csv", "-").stdout.splitlines()[1]
    assert line.startswith('"pictures/a;=1+1;.png","ALLOW"')
    assert ',"PNG",64,64,1,1,1.0,"FALSE",' in line


def test_a_text_of_a_policy_is_no_formula_either_and_a_negative_score_stays_a_number() -> None:
    category = v1.CategoryResult(
        id="-x",
        status=v1.EVALUATION_STATUS_EVALUATED,
        mode=v1.MODE_SHADOW,
        score=-0.25,
        winning_prompt=v1.TextMatch(text="=1+1"),
    )
    moderation = v1.Moderation(verdict=v1.VERDICT_ALLOW, categories=[category])
    line = csv_line(Outcome(name="x", moderation=moderation))
    assert '"\'-x","shadow",-0.25,"","","\'=1+1"' in line


def test_what_of_an_image_was_not_seen_has_columns_and_a_newer_servers_values_do_no_harm() -> None:
    image = v1.ImageFacts(
        partial=True,
        frames_total=3,
        frames_judged=1,
        share_shown=0.5,
        unseen=[v1.UNSEEN_FRAMES, v1.UNSEEN_ROWS, 99],  # type: ignore[list-item]
        degradations=[v1.DEGRADATION_TINY, 98],  # type: ignore[list-item]
    )
    line = csv_line(Outcome(name="x", moderation=v1.Moderation(verdict=v1.VERDICT_REVIEW, image=image)))
    (values,) = csv.reader(StringIO(line, newline=""), strict=True)
    row = dict(zip(COLUMNS, values, strict=True))
    assert (row["frames_total"], row["frames_judged"], row["share_shown"]) == ("3", "1", "0.5")
    assert (row["partial"], row["unseen"], row["degraded"]) == ("TRUE", "FRAMES, ROWS, 99", "TINY, 98")


def test_every_column_is_filled_by_something(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: set[str] = set()
    facts = csvreport._facts

    def watch(outcome: Outcome) -> dict[str, csvreport.Value]:
        found = dict(facts(outcome))
        filled.update(found)
        return found

    monkeypatch.setattr(csvreport, "_facts", watch)
    judge("pictures", "--csv", "-")
    assert filled | {"path", "verdict"} == set(COLUMNS)
