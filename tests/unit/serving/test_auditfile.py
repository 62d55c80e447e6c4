"""The file under the audit log: rotation, a disk that is full, half lines, and what is no file."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clipwarden.serving.auditfile import AuditFile
from kit.auditlogs import hand_made

LINES = [b"%03d\n" % number for number in range(100)]


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: writes end within it, and then fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_lines_are_added_and_only_owner_and_group_may_read(path: Path) -> None:
    path.write_bytes(b"before\n")
    path.unlink()
    file = AuditFile(path)
    assert file.write(LINES[:3]) == 12
    file.close()
    assert path.stat().st_mode & 0o777 & ~0o640 == 0
    file = AuditFile(path)
    file.write(LINES[3:])
    file.close()
    assert path.read_bytes() == b"".join(LINES)


@pytest.mark.parametrize("size", range(36, 45))
def test_a_line_that_the_disk_had_no_room_for_is_finished_when_there_is(path: Path, size: int) -> None:
    file = AuditFile(path)
    file.write(LINES[:5])
    with no_room_beyond(size), pytest.raises(OSError, match="File too large"):
        file.write(LINES[5:20])
    assert path.read_bytes() == b"".join(LINES)[:size]
    assert file.waiting == 20 - size // 4
    with no_room_beyond(size), pytest.raises(OSError, match="File too large"):
        file.write(LINES[20:30])
    assert not file.renew()
    file.write(LINES[30:])
    assert (path.read_bytes(), file.waiting) == (b"".join(LINES), 0)
    file.close()


def test_a_line_begun_in_a_file_that_was_renamed_is_whole_in_the_new_one(path: Path) -> None:
    file = AuditFile(path)
    with no_room_beyond(42), pytest.raises(OSError, match="File too large"):
        file.write(LINES)
    path.rename(path.with_suffix(".1"))
    assert file.renew()
    file.write()
    file.close()
    assert path.with_suffix(".1").read_bytes() == b"".join(LINES)[:42]
    assert path.read_bytes() == b"".join(LINES[10:])


def test_a_line_begun_in_a_file_that_was_cut_is_whole_in_what_follows(path: Path) -> None:
    file = AuditFile(path)
    with no_room_beyond(42), pytest.raises(OSError, match="File too large"):
        file.write(LINES)
    os.truncate(path, 0)
    assert file.renew()
    assert not file.renew()
    file.write()
    file.close()
    assert path.read_bytes() == b"".join(LINES[10:])


def test_half_a_line_of_a_process_that_was_killed_is_ended_and_the_last_whole_one_is_found(path: Path) -> None:
    whole, torn = hand_made(6), hand_made(7)[6]
    path.write_bytes(b"".join(whole) + torn[:40])
    file = AuditFile(path)
    file.write(LINES[:1])
    file.close()
    assert path.read_bytes() == b"".join(whole) + torn[:40] + b"\n" + LINES[0]
    assert file.last is not None
    assert (file.last.process, file.last.seq) == ("a" * 16, 5)


@pytest.mark.parametrize("content", [b"", b"\n", b"no line of ours\n", b"half", b"x" * 5_000_000])
def test_whatever_was_in_the_file_is_followed_by_whole_lines(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    file = AuditFile(path)
    file.write(LINES[:2])
    file.close()
    assert file.last is None
    assert path.read_bytes().endswith(b"".join(LINES[:2]))
    assert path.read_bytes().removesuffix(b"".join(LINES[:2]))[-1:] in (b"", b"\n")


def test_a_rename_and_a_new_file_of_somebody_else_are_noticed(path: Path) -> None:
    file = AuditFile(path)
    file.write(LINES[:1])
    assert not file.renew()
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"theirs")  # as `create` of logrotate, and worse
    assert file.renew()
    file.write(LINES[1:2])
    path.unlink()
    assert file.renew()
    file.write(LINES[2:3])
    file.close()
    assert path.read_bytes() == LINES[2]
    assert path.with_suffix(".1").read_bytes() == LINES[0]


def test_while_the_path_cannot_be_opened_lines_go_on_into_the_file_that_was_renamed(tmp_path: Path) -> None:
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    file = AuditFile(folder / "log")
    folder.rename(moved)
    assert not file.renew()
    assert file.astray == "no such file or directory"
    file.write(LINES[:1])
    assert (moved / "log").read_bytes() == LINES[0]
    (moved / "log").unlink()
    with pytest.raises(FileNotFoundError):
        file.renew()  # into a file that is nowhere nothing is written
    folder.mkdir()
    assert file.renew()
    assert file.astray is None
    file.write(LINES[1:2])
    file.close()
    assert (folder / "log").read_bytes() == LINES[1]


def test_a_file_that_is_put_back_at_its_path_is_astray_no_more(path: Path) -> None:
    file = AuditFile(path)
    path.rename(path.with_suffix(".1"))
    path.mkdir()
    assert (file.renew(), file.astray) == (False, "is a directory")
    path.rmdir()
    path.with_suffix(".1").rename(path)
    assert (file.renew(), file.astray) == (False, None)
    file.close()


def test_a_link_a_pipe_and_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("link", "a symbolic link"), ("pipe", "no regular file"), (".", "Is a directory")):
        with pytest.raises(OSError, match=why):
            AuditFile(tmp_path / name)
    with pytest.raises(OSError, match="no regular file"):
        AuditFile(Path("/dev/full"))
