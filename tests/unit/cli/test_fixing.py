"""`clipwarden lint --fix`: a new version in which thresholds say what they were chosen on, and nothing else."""

import getpass
import json
import re
from pathlib import Path

import pytest

from clipwarden.policy.digest import fit_digest, lines_digest
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.lines import unbound_lines
from clipwarden.policy.schema import By
from kit.cli import Run

FIX = ("--fix", "--approved-by", "kim")
REASON = "taken over on trust by lint --fix; the calibration holds"


@pytest.fixture
def old(policy_file: Path) -> Path:
    """Make an old policy: red has a calibration that holds, blue none, and nothing says what thresholds rest on."""
    text = re.sub(r', chosen_on: "[^"]*"', "", policy_file.read_text())
    policy = parse_policy(text).policy
    fitted = fit_digest(
        policy.categories[0], fingerprint=policy.model.fingerprint or "", calibration_scale=1.0, plan=policy.plan
    )
    calibration = f'  calibration: {{bias: -1.5, prevalence: 0.1, fitted_on: "{fitted}"}}  # fitted in May\n'
    policy_file.write_text(text.replace("  thresholds: {unit: score", f"{calibration}  thresholds: {{unit: score"))
    return policy_file


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_version_is_written_beside_the_file_and_nothing_else_changes(run: Run, old: Path) -> None:
    before = old.read_text()
    result = run("lint", old, *FIX, "--author", "sam")
    assert result.exit_code == 0
    assert old.read_text() == before
    new = old.with_name("colours-1.1.yaml")
    policy = load_policy(new).policy
    digest = lines_digest(policy.categories[0], policy, fingerprint=policy.model.fingerprint or "")
    lines = before.splitlines()
    lines[1] = (
        'metadata: {id: colours, version: "1.1", author: "sam", '
        'reason: "lint --fix: chosen_on written on trust for colour.red", approved_by: "kim"}'
    )
    place = next(place for place, line in enumerate(lines) if "thresholds" in line)
    chosen = f'{{digest: "{digest}", by: "hand", reason: "{REASON}", approved_by: "kim"}}'
    lines[place] = f"  thresholds: {{unit: score, review: 0.5, block: 0.9, chosen_on: {chosen}}}"
    assert new.read_text() == "\n".join(lines) + "\n"
    assert set(unbound_lines(policy, policy.model.fingerprint or "")) == {"colour.blue"}


def test_it_says_what_it_took_on_trust_what_it_left_and_what_to_do_next(run: Run, old: Path) -> None:
    result = run("lint", old, *FIX, "--author", "sam")
    new = old.with_name("colours-1.1.yaml")
    assert "  + thresholds.chosen_on: added digest sha256:" in result.stdout
    assert "Not mended: the thresholds of colour.blue, since it has no calibration" in result.stderr
    assert "The numbers are taken on trust" in result.stderr
    assert f"  clipwarden moderate FOLDER --policy {new} --explain\n" in result.stderr
    assert f"  clipwarden diff {old} {new}\n  clipwarden restore {old} 1.1\n" in result.stderr
    # Lint's own findings about the new file come last.
    assert f"{new}:" in result.stdout
    assert "[unbound-thresholds]" in result.stdout
    assert run("diff", old, new).exit_code == 10
    assert run("restore", old, "1.1").exit_code == 0
    assert old.read_bytes() == new.read_bytes()
    assert "thresholds: {unit: score, review: 0.5, block: 0.9}\n" in old.with_name("colours-1.0.yaml").read_text()


@pytest.mark.parametrize("name", ["policy.json", "policy.txt", "policy"])
def test_a_file_that_restore_would_not_know_is_refused_before_anything_is_written(
    run: Run, old: Path, name: str
) -> None:
    other = old.with_name(name)
    other.write_text(old.read_text())
    there = sorted(old.parent.iterdir())
    result = run("lint", other, "--fix")
    assert (result.exit_code, "is not called NAME.yaml" in result.stderr) == (2, True)
    assert sorted(old.parent.iterdir()) == there


def test_a_live_link_is_refused_before_anything_is_written(run: Run, old: Path, tmp_path: Path) -> None:
    live = tmp_path / "links" / "live.yaml"
    live.parent.mkdir()
    live.symlink_to(old)
    version = live.with_name("live-1.0.yaml")
    version.write_text(old.read_text())
    for path in (live, version):
        result = run("lint", path, "--fix")
        assert (result.exit_code, "is a link to" in result.stderr) == (2, True)
    assert sorted(live.parent.iterdir()) == [version, live]


@pytest.mark.parametrize(
    ("written", "more", "first"),
    [
        ("", (), "Give it one, or move it out of the way: mv "),
        (', version: "release 3"', ("--version", "4"), '"release 3" cannot be part of a file name.'),
    ],
)
def test_what_stands_in_the_way_of_restoring_is_said_with_the_command(
    run: Run, old: Path, written: str, more: tuple[str, ...], first: str
) -> None:
    edit(old, ', version: "1.0"', written)
    result = run("lint", old, "--fix", "--author", "sam", "--approved-by", "kim", *more)
    assert result.exit_code == 0
    assert "Before it can be made live: " in result.stderr
    assert first in result.stderr
    assert run("restore", old, more[-1] if more else "1").exit_code == 2


def test_nothing_to_mend_writes_nothing(run: Run, old: Path) -> None:
    run("lint", old, *FIX)
    run("restore", old, "1.1")
    names = sorted(old.parent.iterdir())
    result = run("lint", old, *FIX)
    assert (result.exit_code, "nothing that --fix may mend" in result.stderr) == (0, True)
    assert sorted(old.parent.iterdir()) == names


def test_what_is_enforced_on_trust_asks_for_a_second_name(run: Run, old: Path) -> None:
    names = sorted(old.parent.iterdir())
    refused = run("lint", old, "--fix", "--author", "sam")
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert "The numbers of colour.red are taken over on trust, and would be enforced." in said
    assert "--approved-by NAME" in said
    same = run("lint", old, "--fix", "--author", "sam", "--approved-by", "Sam")
    assert (same.exit_code, "cannot be the second person" in " ".join(same.stderr.split())) == (2, True)
    assert sorted(old.parent.iterdir()) == names
    edit(old, "mode: enforce", "mode: shadow")
    assert run("lint", old, "--fix", "--author", "sam").exit_code == 0
    thresholds = load_policy(old.with_name("colours-1.1.yaml")).policy.categories[0].thresholds
    assert thresholds is not None
    assert thresholds.chosen_on is not None
    assert (thresholds.chosen_on.by, thresholds.chosen_on.reason) == (By.HAND, REASON)
    assert thresholds.chosen_on.approved_by is None


def test_versions_are_never_written_over(run: Run, old: Path) -> None:
    old.with_name("colours-1.1.yaml").write_text("another text")
    result = run("lint", old, *FIX, "--version", "1.1")
    assert (result.exit_code, "Write --version 1.2" in result.stderr) == (2, True)
    assert old.with_name("colours-1.1.yaml").read_text() == "another text"
    assert run("lint", old, *FIX, "--version", "1.0").exit_code == 2
    assert run("lint", old, *FIX).exit_code == 0
    assert load_policy(old.with_name("colours-1.2.yaml")).policy.metadata.version == "1.2"
    assert run("lint", old, *FIX, "--version", "../2").exit_code == 2
    assert run("lint", old, *FIX, "--version", "2.0-mended").exit_code == 0
    assert old.with_name("colours-2.0-mended.yaml").is_file()


def test_what_the_version_says_about_itself(run: Run, old: Path) -> None:
    edit(old, 'version: "1.0"}', 'version: "1.0", approved_by: pat, reason: old}')
    assert run("lint", old, *FIX).exit_code == 0
    metadata = load_policy(old.with_name("colours-1.1.yaml")).policy.metadata
    # An approval was of the version that it stood in.
    assert (metadata.author, metadata.approved_by) == (getpass.getuser(), "kim")
    assert metadata.reason == "lint --fix: chosen_on written on trust for colour.red"
    notes = ["--author", "sam ", "--reason", 'issue "9": # on trust', "--approved-by", "lee"]
    assert run("lint", old, *FIX, *notes).exit_code == 0
    metadata = load_policy(old.with_name("colours-1.2.yaml")).policy.metadata
    assert (metadata.author, metadata.reason, metadata.approved_by) == ("sam", 'issue "9": # on trust', "lee")


@pytest.mark.parametrize("text", ["", " ", "x" * 1001, "a\u202eb", "a\u00adb", "a\x00b"])
def test_texts_that_a_policy_cannot_hold_are_wrong_usage(run: Run, old: Path, text: str) -> None:
    for option in ("--reason", "--author", "--approved-by"):
        result = run("lint", old, *FIX, option, text)
        if text or option == "--approved-by":
            assert (result.exit_code, f"{option} must be a text" in result.stderr) == (2, True)
        else:  # an empty shell variable means the default
            assert result.exit_code == 0


def test_a_calibration_that_does_not_hold_speaks_for_no_number(run: Run, old: Path) -> None:
    edit(old, '["yellow"]', '["yellow", "orange"]')
    edit(old, "mode: enforce", "mode: shadow")
    result = run("lint", old, *FIX)
    assert result.exit_code == 0
    assert "colour.red, since its calibration was fitted on something else." in result.stderr
    assert not old.with_name("colours-1.1.yaml").exists()


def test_thresholds_chosen_on_something_else_stay_so(run: Run, old: Path) -> None:
    edit(
        old,
        "review: 0.5, block: 0.9}\n  contexts",
        f'review: 0.5, block: 0.9, chosen_on: "sha256:{"0" * 64}"}}\n  contexts',
    )
    result = run("lint", old, *FIX)
    assert result.exit_code == 3  # an enforced category rests on them
    assert "since its numbers were chosen on something else, as its `chosen_on` says." in result.stderr
    assert not old.with_name("colours-1.1.yaml").exists()


def test_an_exemption_asks_for_an_attribute_that_nothing_speaks_for(run: Run, old: Path) -> None:
    edit(old, "  contexts: {shop", "  exemptions: [{when: {attribute: museum, gte: 0.8}}]\n  contexts: {shop")
    result = run("lint", old, *FIX)
    assert 'since it asks for "museum", which has no calibration' in result.stderr
    assert not old.with_name("colours-1.1.yaml").exists()


def test_a_file_that_breaks_rules_is_only_told_so(run: Run, old: Path) -> None:
    edit(old, "severity: 3", "severity: 9")
    result = run("lint", old, *FIX)
    assert (result.exit_code, result.stdout.startswith(f"{old}:9:")) == (3, True)
    assert "--fix mends nothing in a file that breaks rules" in result.stderr
    assert not old.with_name("colours-1.1.yaml").exists()


def test_the_model_may_be_named_instead(run: Run, old: Path, toy_folder: Path) -> None:
    edit(old, "mode: enforce", "mode: shadow")
    edit(old, re.findall(r"model: .*\n", old.read_text())[0], "")
    nameless = run("lint", old, *FIX)
    assert (nameless.exit_code, "Name one with --model" in nameless.stderr) == (2, True)
    assert run("lint", old, *FIX, "--model", toy_folder).exit_code == 0
    assert "chosen_on" in old.with_name("colours-1.1.yaml").read_text()


def test_another_model_than_the_policys_is_refused(run: Run, old: Path) -> None:
    result = run("lint", old, *FIX, "--model", "mini")
    assert (result.exit_code, "The policy is bound to model" in result.stderr) == (3, True)
    assert not old.with_name("colours-1.1.yaml").exists()


def test_a_version_file_is_mended_as_a_version_of_the_live_one(run: Run, old: Path) -> None:
    kept = old.with_name("colours-1.0.yaml")
    kept.write_bytes(old.read_bytes())
    edit(old, '"1.0"', '"1.1"')
    result = run("lint", kept, *FIX)
    assert result.exit_code == 0
    new = old.with_name("colours-1.0.yaml").with_name("colours-1.1.yaml")
    assert new.is_file()
    assert f"  clipwarden restore {old} 1.1\n" in result.stderr


def test_line_ends_and_byte_order_marks_stay(run: Run, old: Path) -> None:
    windows = b"\xef\xbb\xbf" + old.read_bytes().replace(b"\n", b"\r\n")
    old.write_bytes(windows)
    old.chmod(0o640)
    assert run("lint", old, *FIX).exit_code == 0
    new = old.with_name("colours-1.1.yaml")
    assert new.read_bytes().startswith(b"\xef\xbb\xbfapi")
    assert new.read_bytes().count(b"\r\n") == new.read_bytes().count(b"\n") == windows.count(b"\n")
    assert new.stat().st_mode & 0o777 == 0o640


def test_json_tells_what_was_written_before_lints_own_lines(run: Run, old: Path) -> None:
    first, *findings = map(json.loads, run("lint", old, *FIX, "--json").stdout.splitlines())
    assert first["written"] == str(old.with_name("colours-1.1.yaml"))
    assert first["mended"] == ["colour.red"]
    assert list(first["not_mended"]) == ["colour.blue"]
    paths = [change["path"] for change in first["comparison"]["changes"]]
    assert ["categories", "colour.red", "thresholds", "chosen_on"] in paths
    assert [finding["code"] for finding in findings] == ["unbound-thresholds"]


def test_what_cannot_be_mended_is_wrong_usage(run: Run, old: Path, toy_folder: Path, tmp_path: Path) -> None:
    for words, said in (
        ([old, old, "--fix"], "one policy file at a time"),
        (["stickers", "--fix"], "clipwarden policies stickers > mine.yaml"),
        ([old, "--author", "sam"], "about the version that --fix writes"),
        (["--fix"], "Name policies to check"),
        (["--fix", "--explain", "mode"], "Name policies to check"),
    ):
        result = run("lint", *words)
        assert (result.exit_code, said in result.stderr) == (2, True)
    edit(old, "mode: enforce", "mode: shadow")
    bundle = tmp_path / "a.bundle"
    run("compile", old, "--model", toy_folder, "-o", bundle)
    assert "is a bundle" in run("lint", bundle, "--fix").stderr


def test_nobody_logged_in_has_to_say_a_name(run: Run, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nobody)
    result = run("lint", old, *FIX)
    assert (result.exit_code, "--author" in result.stderr) == (2, True)
    assert run("lint", old, *FIX, "--author", "sam").exit_code == 0
