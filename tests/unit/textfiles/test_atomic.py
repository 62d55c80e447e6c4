"""Files are written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from clipwarden.textfiles.atomic import write_atomically, write_new


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_new_file_is_written_with_its_permissions(tmp_path: Path) -> None:
    write_new(tmp_path / "a", b"new", mode=0o640)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "a").stat().st_nlink == 1
    assert hidden(tmp_path) == []


def test_a_replaced_file_keeps_the_permissions_that_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write_atomically(tmp_path / "a", b"new", mode=0o604)
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "a").stat().st_mode & 0o777) == (b"new", 0o604)
    assert hidden(tmp_path) == []


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name in ("file", "folder", "nowhere"):
        with pytest.raises(FileExistsError):
            write_new(tmp_path / name, b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert not (tmp_path / "gone").exists()
    assert hidden(tmp_path) == []


def test_a_file_system_without_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    write_new(tmp_path / "a", b"new", mode=0o640)
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "a").stat().st_mode & 0o777) == (b"new", 0o640)
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"newer")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert hidden(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for write in (write_new, write_atomically):
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == []
