"""`clipwarden audit verify`: exit codes, and what it says in words and in JSON."""

import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner, Result

from clipwarden.cli.main import app
from clipwarden.serving.audit import Audit
from clipwarden.serving.health import Health
from kit.auditlogs import hand_made, written
from kit.pages import read_page
from kit.serving import picture, settings_for_test


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["audit", "verify", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        (hand_made(8), 0, "8 lines of 1 process: all there, in number and hash."),
        (hand_made(8, chain=False), 10, "all there, in number."),
        ([*hand_made(8), b"half"], 10, "8 lines of 1 process: 1 torn."),
        (hand_made(8)[::2], 20, "3 missing"),
        (
            [*hand_made(8)[:3], hand_made(8)[3].replace(b"r3", b"r4"), *hand_made(8)[4:]],
            20,
            "1 changed or out of place",
        ),
    ],
)
def test_exit_code_and_words_say_what_was_found(tmp_path: Path, lines: list[bytes], code: int, said: str) -> None:
    result = verify(written(tmp_path / "log", lines))
    assert (result.exit_code, said in result.stdout) == (code, True), result.output


def test_findings_name_file_and_line_and_json_has_all(tmp_path: Path) -> None:
    lines = hand_made(60)
    file = written(tmp_path / "log", [line.replace(b"judged", b"judgee") for line in lines])
    result = verify(file)
    assert f"{file}:2: broken: is not as it was written" in result.stderr
    assert "broken: and 38 more; --json has them all." in result.stderr
    facts = json.loads(verify(file, "--json").stdout)
    assert (facts["lines"], len(facts["findings"])) == (60, 58)
    assert facts["heads"] == [{"process": "a" * 16, "seq": 59, "hash": json.loads(lines[-1])["hash"]}]


def test_a_hash_that_is_not_there_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = written(tmp_path / "log", hand_made(4))
    result = verify(file, "--head", "f" * 64)
    assert (result.exit_code, "lines were cut off, or the log was written anew" in result.stderr) == (20, True)
    result = verify(tmp_path / "none")
    assert (result.exit_code, "none cannot be read: No such file" in result.stderr) == (1, True)
    assert verify().exit_code == 2


def test_no_line_at_all_is_not_all_there(tmp_path: Path) -> None:
    emptied = written(tmp_path / "log", [])
    for files in ([emptied], [emptied, "/dev/null"]):
        result = verify(*files)
        assert (result.exit_code, "empty: there is not one line to check" in result.stderr) == (10, True)
        assert result.stdout == "0 lines of 0 processes: nothing was checked.\n"
    assert json.loads(verify(emptied, "--json").stdout)["findings"][0]["kind"] == "empty"
    assert verify(emptied, "--head", "f" * 64).exit_code == 20
    # A log that has just been rotated.
    assert verify(emptied, written(tmp_path / "log.1", hand_made(4))).exit_code == 0


@pytest.mark.parametrize("head", ["5f0c...", "5f0c", "", "g" * 64, "f" * 65])
def test_half_a_hash_is_wrong_usage_and_no_sign_that_lines_are_missing(tmp_path: Path, head: str) -> None:
    result = verify(written(tmp_path / "log", hand_made(4)), "--head", head)
    assert (result.exit_code, "--head takes all 64 hexadecimal digits" in " ".join(result.output.split())) == (2, True)


def test_a_hash_may_be_in_capitals(tmp_path: Path) -> None:
    lines = hand_made(4)
    assert verify(written(tmp_path / "log", lines), "--head", json.loads(lines[1])["hash"].upper()).exit_code == 0


def test_a_file_of_something_else_is_no_audit_log(tmp_path: Path) -> None:
    log = written(tmp_path / "log", hand_made(4))
    for content in (picture("red"), b"level=info\n", b'{"level": "info"}\n'):
        other = written(tmp_path / "other", [content])
        result = verify(log, other)
        assert (result.exit_code, f"{other} is no audit log" in result.output) == (1, True)
    for torn in (b"", b"{", hand_made(1)[0][:40]):
        assert verify(log, written(tmp_path / "other", [torn])).exit_code == (10 if torn else 0)


def test_one_line_that_is_missing_is_one(tmp_path: Path) -> None:
    result = verify(written(tmp_path / "log", [*hand_made(9)[:3], *hand_made(9)[4:6], *hand_made(9)[8:]]))
    assert f"line 3 of process {'a' * 16} is missing before it" in result.stderr
    assert f"lines 6 to 7 of process {'a' * 16} are missing before it" in result.stderr


def test_what_a_log_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    line = b'{"schema":"clipwarden.audit/1","record":"dropped","count":1,"why":"\\u001b[31m","process":"' + b"a" * 16
    result = verify(written(tmp_path / "log", [line + b'","seq":0}\n']))
    assert result.exit_code == 10
    assert "\x1b[31m" not in result.output


def test_every_metric_of_the_audit_log_has_a_row() -> None:
    registry = CollectorRegistry()
    Audit(settings_for_test(audit_log="x"), registry, Health([]))
    rows = read_page("docs/operate.md").partition("## Metrics")[2].partition("## Logs")[0]
    for family in registry.collect():
        name = family.name.removeprefix("clipwarden_") + ("_total" if family.type == "counter" else "")
        assert f"`{name}`" in rows
