"""Version files: how they are named, and that none is written over."""

from pathlib import Path

import pytest

from clipwarden.errors import ConfigError
from clipwarden.policy.versions import VersionFiles, files_around, files_of, plan_restoration, written_version


def policy(version: str, note: str = "") -> bytes:
    return f'api: clipwarden/v1\nmetadata: {{id: a, version: "{version}"}}\n{note}'.encode()


@pytest.mark.parametrize(
    ("typed", "live"),
    [
        ("a", "a.yaml"),
        ("a.yaml", "a.yaml"),
        ("a.yml", "a.yml"),
        ("my.policy", "my.policy.yaml"),
        ("my.policy.yaml", "my.policy.yaml"),
        ("my-policy-2", "my-policy-2.yaml"),
        ("sub/a", "sub/a.yaml"),
        ("../a", "../a.yaml"),
    ],
)
def test_a_policy_is_named_by_its_file_with_or_without_the_ending(typed: str, live: str) -> None:
    files = files_of(typed)
    assert files.live == Path(live)
    assert files.of("1.4.0") == Path(live).with_name(f"{files.name}-1.4.0{Path(live).suffix}")


def test_an_existing_file_decides_about_the_ending(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"")
    assert files_of(str(tmp_path / "a")).live == tmp_path / "a.yml"


@pytest.mark.parametrize("typed", ["", ".yaml", ".", "/", "sub/.yml"])
def test_what_names_no_file_is_refused(typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        files_of(typed)


@pytest.mark.parametrize(
    "version", ["", ".", "..", "../1", "1/2", "/etc/passwd", "a\\b", "-1", "1 2", "1\n", "1\0", "é", "*", "x" * 65]
)
def test_no_version_leads_out_of_the_folder(version: str) -> None:
    with pytest.raises(ConfigError, match="cannot be part of a file name"):
        files_of("a").of(version)


@pytest.mark.parametrize("version", ["1", "1.4.0", "1.4.0-rc.1", "2026-06-01", "v2_b+5", "1..2", "x" * 64])
def test_plain_versions_name_a_file_beside_the_live_one(version: str) -> None:
    assert files_of("sub/a").of(version) == Path("sub") / f"a-{version}.yaml"


@pytest.mark.parametrize(
    ("taken", "version", "expected"),
    [
        ([], "1.4.0", "1.4.1"),
        (["1.4.1", "1.4.2"], "1.4.0", "1.4.3"),
        ([], "1.4.9", "1.4.10"),
        ([], "2.0-rc1-final", "2.0-rc2-final"),
        ([], None, "1"),
        (["1"], None, "2"),
        ([], "1.09", "1.10"),
        ([], "r007", "r008"),
        ([], "2026-11-30", "2026-12-01"),
        (["2027-01-01"], "2026-12-31", "2027-01-02"),
        ([], "20240228", "20240229"),
        ([], "2026-11-30.2", "2026-11-30.3"),
        ([], "2026-13-30", "2026-13-31"),
        ([], "99991231", "99991232"),
    ],
)
def test_the_next_version_is_one_that_no_file_has(
    tmp_path: Path, taken: list[str], version: str | None, expected: str
) -> None:
    files = VersionFiles(live=tmp_path / "a.yaml")
    for each in taken:
        files.of(each).write_bytes(b"")
    assert files.next_version(version) == expected
    assert files.versions() == tuple(sorted(taken))


def test_a_link_that_leads_nowhere_takes_a_version_too(tmp_path: Path) -> None:
    files = VersionFiles(live=tmp_path / "a.yaml")
    files.of("2").symlink_to(tmp_path / "gone")
    assert files.next_version("1") == "3"


def test_a_version_without_a_number_has_no_next_one() -> None:
    with pytest.raises(ConfigError, match="--version"):
        files_of("a").next_version("final")


@pytest.mark.parametrize("version", ["1.2/0", "release 3", "../1", "1" * 65])
def test_a_version_that_no_file_can_be_named_after_has_no_next_one_either(version: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be part of a file name\. Choose the new version with --version"):
        files_of("a").next_version(version)


def test_the_file_of_a_version_leads_back_to_the_live_one(tmp_path: Path) -> None:
    live, version = tmp_path / "a.yaml", tmp_path / "a-1.yaml"
    assert files_around(version, "1").live == version
    live.write_bytes(b"")
    assert files_around(version, "1").live == live
    assert files_around(version, "2").live == version
    assert files_around(live, None).live == files_around(live, "1").live == live
    assert files_around(tmp_path / "-1.yaml", "1").live == tmp_path / "-1.yaml"


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (policy("1.4.0"), "1.4.0"),
        (b"\xef\xbb\xbf" + policy("1"), "1"),
        (b"metadata:\n  version:   1.10  # no text\n  id: b\n", "1.10"),
        (b"metadata: {version: [1]}", None),
        (b"metadata: {id: a}", None),
        (b"metadata: a", None),
        (b"[1", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_the_version_is_read_out_of_broken_policies_too(data: bytes, version: str | None) -> None:
    assert written_version(data) == version


def test_a_file_that_changes_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    files = VersionFiles(live=tmp_path / "a.yaml")
    files.live.write_bytes(policy("2"))
    files.of("1").write_bytes(policy("1"))
    plan = plan_restoration(files, "1")
    files.live.write_bytes(policy("3"))
    with pytest.raises(ConfigError, match="changed meanwhile"):
        plan.carry_out()
    assert files.live.read_bytes() == policy("3")
    assert files.of("2").read_bytes() == policy("2")


def test_a_kept_version_that_appears_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    files = VersionFiles(live=tmp_path / "a.yaml")
    files.live.write_bytes(policy("2"))
    files.of("1").write_bytes(policy("1"))
    plan = plan_restoration(files, "1")
    files.of("2").write_bytes(policy("2", "# other"))
    with pytest.raises(ConfigError, match="written meanwhile"):
        plan.carry_out()
    assert (files.live.read_bytes(), files.of("2").read_bytes()) == (policy("2"), policy("2", "# other"))


def test_a_live_file_that_vanishes_meanwhile_is_not_brought_back(tmp_path: Path) -> None:
    files = VersionFiles(live=tmp_path / "a.yaml")
    files.live.write_bytes(policy("2"))
    files.of("1").write_bytes(policy("1"))
    plan = plan_restoration(files, "1")
    files.live.unlink()
    with pytest.raises(FileNotFoundError):
        plan.carry_out()
    assert not files.live.exists()
    assert not files.of("2").exists()
