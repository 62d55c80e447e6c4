"""`clipwarden restore`: a version becomes live, and nothing is lost."""

import errno
import json
import os
import re
from pathlib import Path

import pytest

from kit.cli import Run
from kit.lines import chosen_text


@pytest.fixture
def live(policy_file: Path) -> Path:
    """Keep version 1.0 beside a live 1.1, which blocks later."""
    text = policy_file.read_text()
    policy_file.with_name("colours-1.0.yaml").write_text(text)
    later = re.sub(r', chosen_on: "[^"]*"', "", text).replace('"1.0"', '"1.1"')
    policy_file.write_text(chosen_text(later.replace("block: 0.9}\n  contexts", "block: 0.95}\n  contexts")))
    return policy_file


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("colours*")}


def test_a_version_becomes_live_and_the_live_one_is_kept(run: Run, live: Path) -> None:
    before = contents(live.parent)
    live.chmod(0o640)
    result = run("restore", live, "1.0")
    assert result.exit_code == 0
    assert contents(live.parent) == {
        "colours.yaml": before["colours-1.0.yaml"],
        "colours-1.0.yaml": before["colours-1.0.yaml"],
        "colours-1.1.yaml": before["colours.yaml"],
    }
    assert live.stat().st_mode & 0o777 == live.with_name("colours-1.1.yaml").stat().st_mode & 0o777 == 0o640
    assert "  ~ thresholds.block: from 0.95 to 0.9\n" in result.stdout
    assert f"Version 1.0 is live: {live} is as {live.with_name('colours-1.0.yaml')}." in result.stderr
    assert f"What was live is kept in {live.with_name('colours-1.1.yaml')}." in result.stderr
    assert [path.name for path in live.parent.iterdir() if path.name.startswith(".")] == []
    assert re.search(r"[1-9] of its categories stops?, \d only watch(es)?\.\n", result.stderr)


def test_it_is_said_that_a_version_only_watches(run: Run, live: Path) -> None:
    watching = live.with_name("colours-1.0.yaml")
    watching.write_text(re.sub(r"mode: enforce", "mode: shadow", watching.read_text()))
    text = watching.read_text()
    assert "enforce" not in text, text
    result = run("restore", live, "1.0")
    assert result.exit_code == 0, result.output
    assert re.search(r"0 of its categories stop, \d only watch(es)?\. Nothing stops an upload\.\n", result.stderr)


def test_it_can_be_undone(run: Run, live: Path) -> None:
    before = live.read_bytes()
    assert run("restore", live.with_suffix(""), "1.0").exit_code == 0
    assert run("restore", live.with_suffix(""), "1.1").exit_code == 0
    assert live.read_bytes() == before


def test_a_dry_run_says_all_and_writes_nothing(run: Run, live: Path) -> None:
    before = contents(live.parent)
    result = run("restore", live, "1.0", "--dry-run")
    assert result.exit_code == 0
    assert contents(live.parent) == before
    assert "  ~ thresholds.block: from 0.95 to 0.9\n" in result.stdout
    assert f"Nothing was written. {live} would become version 1.0, and what is live would be kept" in result.stderr


def test_what_is_live_already_is_left_alone(run: Run, live: Path) -> None:
    run("restore", live, "1.0")
    before = contents(live.parent)
    result = run("restore", live, "1.0")
    assert (result.exit_code, "is live already" in result.stderr) == (0, True)
    assert contents(live.parent) == before


def test_a_live_version_that_is_kept_already_is_not_written_again(run: Run, live: Path) -> None:
    kept = live.with_name("colours-1.1.yaml")
    kept.write_bytes(live.read_bytes())
    at = kept.stat().st_mtime_ns
    assert run("restore", live, "1.0").exit_code == 0
    assert kept.stat().st_mtime_ns == at


def test_a_version_is_never_written_over(run: Run, live: Path) -> None:
    live.with_name("colours-1.1.yaml").write_text("another text")
    before = contents(live.parent)
    for flags in ([], ["--dry-run"]):
        result = run("restore", live, "1.0", *flags)
        assert result.exit_code == 2
        assert 'both are version "1.1", and differ' in result.stderr
        assert 'such as "1.2"' in result.stderr
    assert contents(live.parent) == before


def test_a_version_that_no_server_loads_is_not_restored(run: Run, live: Path) -> None:
    version = live.with_name("colours-1.0.yaml")
    version.write_text(version.read_text().replace("severity: 3", "severity: 9"))
    before = contents(live.parent)
    result = run("restore", live, "1.0")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"{version}:9:")
    assert contents(live.parent) == before


def test_warnings_are_said_and_stop_nothing(run: Run, live: Path) -> None:
    version = live.with_name("colours-1.0.yaml")
    version.write_text(version.read_text().replace('"a statue"', '"no statue"'))
    result = run("restore", live, "1.0")
    assert (result.exit_code, "[negation]" in result.stderr) == (0, True)


def test_what_lint_alone_refuses_is_a_warning_that_stops_nothing(run: Run, live: Path) -> None:
    version = live.with_name("colours-1.0.yaml")
    version.write_text(version.read_text().replace('["green"]', '["a muslim"]'))
    assert run("lint", version).exit_code == 3
    result = run("restore", live, "1.0")
    assert (result.exit_code, "[identity]" in result.stderr, "error:" in result.stderr) == (0, True, False)
    assert live.read_text() == version.read_text()


def test_a_broken_live_policy_is_kept_and_replaced(run: Run, live: Path) -> None:
    broken = live.read_text().replace("severity: 3", "severity: 9")
    live.write_text(broken)
    result = run("restore", live, "1.0")
    assert result.exit_code == 0
    assert "is compared with nothing" in result.stderr
    assert live.with_name("colours-1.1.yaml").read_text() == broken
    assert live.read_bytes() == live.with_name("colours-1.0.yaml").read_bytes()


@pytest.mark.parametrize("text", ["[1", "api: clipwarden/v1\nmetadata: {id: colours}\n"])
def test_a_live_policy_without_a_version_has_to_be_named_or_moved(run: Run, live: Path, text: str) -> None:
    live.write_text(text)
    result = run("restore", live, "1.0")
    assert result.exit_code == 2
    aside = live.with_name("colours-unnamed.yaml")
    assert result.stderr.endswith(f"mv {live} {aside}\n")
    live.rename(aside)
    assert run("restore", live, "1.0").exit_code == 0
    assert (live.read_bytes(), aside.read_text()) == (live.with_name("colours-1.0.yaml").read_bytes(), text)


def test_without_a_live_policy_the_version_becomes_it(run: Run, live: Path) -> None:
    live.unlink()
    result = run("restore", live, "1.0")
    assert (result.exit_code, result.stdout) == (0, "")
    assert live.read_bytes() == live.with_name("colours-1.0.yaml").read_bytes()


def test_a_version_that_is_not_there_names_those_that_are(run: Run, live: Path) -> None:
    result = run("restore", live, "1.7")
    assert result.exit_code == 2
    assert result.stderr.endswith("colours-1.7.yaml. Versions beside it: 1.0.\n")
    assert run("restore", live.parent / "none" / "a", "1").exit_code == 2
    assert "no versions" in run("restore", live.parent / "other", "1").stderr


@pytest.mark.parametrize("version", ["../colours-1.0", "1/0", "..", "", "1.0\n", "/etc/hosts"])
def test_a_version_leads_out_of_no_folder(run: Run, live: Path, version: str) -> None:
    result = run("restore", live, version)
    assert (result.exit_code, "cannot be part of a file name" in result.stderr) == (2, True)


def test_a_file_that_holds_another_version_than_its_name_says_is_refused(run: Run, live: Path) -> None:
    live.with_name("colours-1.0.yaml").rename(live.with_name("colours-2.0.yaml"))
    result = run("restore", live, "2.0")
    assert (result.exit_code, 'holds version "1.0", not "2.0"' in result.stderr) == (2, True)


def test_a_version_of_another_policy_is_refused(run: Run, live: Path) -> None:
    version = live.with_name("colours-1.0.yaml")
    version.write_text(version.read_text().replace("id: colours,", "id: paints,"))
    before = contents(live.parent)
    result = run("restore", live, "1.0")
    assert (result.exit_code, 'is a version of "paints"' in result.stderr) == (2, True)
    assert contents(live.parent) == before


def test_dots_and_dashes_in_names_are_kept(run: Run, live: Path) -> None:
    text = live.read_text()
    folder = live.parent / "more"
    folder.mkdir()
    (folder / "my-shop.eu.yaml").write_text(text)
    (folder / "my-shop.eu-1.0-rc.1.yaml").write_text(text.replace('"1.1"', '"1.0-rc.1"'))
    assert run("restore", folder / "my-shop.eu", "1.0-rc.1").exit_code == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["my-shop.eu-1.0-rc.1.yaml", "my-shop.eu-1.1.yaml", "my-shop.eu.yaml"]


def test_a_live_link_is_not_replaced(run: Run, live: Path) -> None:
    target = live.rename(live.with_name("target.yaml"))
    live.symlink_to(target)
    result = run("restore", live, "1.0")
    assert (result.exit_code, f"is a link to {target}" in result.stderr) == (2, True)
    assert live.is_symlink()


def test_a_version_that_is_a_link_is_read_through(run: Run, live: Path) -> None:
    version = live.with_name("colours-1.0.yaml")
    version.symlink_to(version.rename(live.with_name("kept-elsewhere.yaml")))
    assert run("restore", live, "1.0").exit_code == 0
    assert not live.is_symlink()
    assert version.is_symlink()


def test_a_folder_in_the_place_of_a_file_is_told(run: Run, live: Path) -> None:
    live.rename(live.with_name("aside.yaml"))
    live.mkdir()
    assert run("restore", live, "1.0").exit_code == 2
    live.rmdir()
    (live.parent / "other-2.yaml").mkdir()
    assert run("restore", live.parent / "other", "2").exit_code == 2


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_what_cannot_be_written_leaves_all_as_it_was(
    run: Run, live: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(live))

    before = contents(live.parent)
    monkeypatch.setattr(os, call, refuse)
    result = run("restore", live, "1.0")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, f"{live}: Permission denied.")
    assert contents(live.parent) == before


def test_json_tells_what_was_done(run: Run, live: Path) -> None:
    planned = json.loads(run("restore", live, "1.0", "--dry-run", "--json").stdout)
    done = json.loads(run("restore", live, "1.0", "--json").stdout)
    assert (planned["written"], done["written"]) == (False, True)
    assert done["kept"] == str(live.with_name("colours-1.1.yaml"))
    assert done["source"] == str(live.with_name("colours-1.0.yaml"))
    assert [change["path"][-1] for change in done["comparison"]["changes"]] == [
        "version",
        "block",
        "digest",
    ]
    assert json.loads(run("restore", live, "1.0", "--json").stdout)["written"] is False


def test_lint_warns_where_one_version_judges_in_two_ways(
    run: Run, live: Path, toy_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version = live.with_name("colours-1.0.yaml")
    assert "version-reused" not in run("lint", live, version).stdout
    live.write_text(live.read_text().replace('"1.1"', '"1.0"'))
    for path, other in ((live, version), (version, live)):
        result = run("lint", path)
        (line,) = (line for line in result.stdout.splitlines() if line.endswith("[version-reused]"))
        assert result.exit_code == 0
        assert line.startswith(f'{path}:2:34: warning: {other} is version "1.0" too')
        assert f"`clipwarden diff {other} {path}`" in line
    # Whoever loads it says so too, once.
    assert run("serve", "--check", "--policy", live, "--model", toy_folder).exit_code == 0
    assert caplog.text.count("[version-reused]") == 1
    # Notes judge nothing.
    live.write_text(version.read_text().replace('"1.0"', '"1.0", owner: me'))
    assert "version-reused" not in run("lint", live).stdout
    version.write_text("[")
    assert "version-reused" not in run("lint", live).stdout


def test_lint_warns_of_a_file_that_is_named_after_another_version(run: Run, live: Path) -> None:
    named = live.with_name("colours-1.3.0.yaml")
    named.write_text(live.read_text())
    (line,) = (line for line in run("lint", named).stdout.splitlines() if line.endswith("[version-misnamed]"))
    assert line.startswith(f'{named}:2:34: warning: The file is named after version "1.3.0", but is version "1.1".')
    assert 'Write `version: "1.3.0"`, or rename the file to colours-1.1.yaml' in line
    for right in ("colours-1.1.yaml", "colours-2.yaml", "clip-b32.yaml"):
        path = live.with_name(right)
        path.write_text(live.read_text())
        assert "version-misnamed" not in run("lint", path).stdout
