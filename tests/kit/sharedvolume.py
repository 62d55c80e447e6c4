"""A volume that hostile writers share with a server, and a watch that sees whether anything beside it is opened."""

import ctypes
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20  # inotify(7)
_EVENT = struct.Struct("iIII")


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A folder that is shared, with `uploads/a.png`, and one beside it that is not.

    Attributes:
        root: Shared.
        outside: Not shared; holds `secret.png`.
    """

    root: Path
    outside: Path

    @property
    def secret(self) -> Path:
        """A file that must never be opened."""
        return self.outside / "secret.png"


def make_volume(folder: Path, *, shared: bytes = b"shared", secret: bytes = b"secret") -> Volume:
    """Make a volume with one file, and one file outside.

    Args:
        folder: Where both folders are made.
        shared: Content of `uploads/a.png`.
        secret: Content of the file outside.
    """
    volume = Volume(root=folder / "root", outside=folder / "outside")
    (volume.root / "uploads").mkdir(parents=True)
    volume.outside.mkdir()
    (volume.root / "uploads" / "a.png").write_bytes(shared)
    volume.secret.write_bytes(secret)
    return volume


Lay = Callable[[Volume], None]


def _link(name: str, target: str) -> Lay:
    """Lay a symbolic link; in its target ROOT and OUT stand for the two folders."""

    def lay(volume: Volume) -> None:
        where = volume.root / name
        where.parent.mkdir(exist_ok=True)
        where.symlink_to(target.replace("ROOT", str(volume.root)).replace("OUT", str(volume.outside)))

    return lay


def _nothing(_: Volume) -> None:
    pass


def _socket(volume: Volume) -> None:
    before = Path.cwd()
    os.chdir(volume.root)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(before)


def _fifo(volume: Volume) -> None:
    os.mkfifo(volume.root / "fifo")


def _hard_link(volume: Volume) -> None:
    (volume.root / "hard").hardlink_to(volume.secret)


ESCAPES: dict[str, tuple[str, Lay]] = {
    # What the path alone says.
    "empty": ("", _nothing),
    "absolute": ("/etc/passwd", _nothing),
    "absolute, twice": ("//etc/passwd", _nothing),
    "parent": ("../outside/secret.png", _nothing),
    "parent behind a folder": ("uploads/../../outside/secret.png", _nothing),
    "parent that stays inside": ("uploads/../uploads/a.png", _nothing),
    "parent alone": ("..", _nothing),
    "parent at the end": ("uploads/..", _nothing),
    "this folder": (".", _nothing),
    "this folder in the middle": ("uploads/./a.png", _nothing),
    "empty name": ("uploads//a.png", _nothing),
    "slash at the end": ("uploads/a.png/", _nothing),
    "NUL": ("uploads/a.png\0.txt", _nothing),
    "long name": ("x" * 256, _nothing),
    "long path": ("x/" * 512 + "y", _nothing),
    "long path of wide characters": ("é/" * 400, _nothing),
    # What lies there.
    "link to a file outside": ("link", _link("link", "OUT/secret.png")),
    "relative link outside": ("link", _link("link", "../outside/secret.png")),
    "link to a folder outside": ("folder/secret.png", _link("folder", "OUT")),
    "link to a folder outside, deeper": ("uploads/deep/secret.png", _link("uploads/deep", "../../outside")),
    "link to a file inside": ("link", _link("link", "uploads/a.png")),
    "link to a folder inside": ("folder/a.png", _link("folder", "uploads")),
    "link to the root": ("all/uploads/a.png", _link("all", "ROOT")),
    "link to itself": ("loop", _link("loop", "loop")),
    "link to nothing": ("link", _link("link", "OUT/not-there")),
    "link into /proc": ("cwd/secret.png", _link("cwd", "/proc/self/cwd")),
    "link to a device": ("null", _link("null", "/dev/zero")),
    "file taken for a folder": ("uploads/a.png/b.png", _nothing),
    "folder": ("uploads", _nothing),
    "FIFO": ("fifo", _fifo),
    "socket": ("socket", _socket),
    "hard link": ("hard", _hard_link),
}
"""Paths that lead out, or to what is no file of the volume's own, and what has to lie there first."""


def lay_device(volume: Volume) -> bool:
    """Make a device that never ends in the volume; False where that is not allowed."""
    try:
        os.mknod(volume.root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        return False
    return True


@contextmanager
def opened_in(folder: Path) -> Iterator[Callable[[], int]]:
    """Watch a folder and its files with inotify.

    Yields:
        Counts how often any of them has been opened, or read, by whomever.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0, os.strerror(ctypes.get_errno())
    seen = 0

    def count() -> int:
        nonlocal seen
        try:
            events = os.read(watch, 2**20)
        except BlockingIOError:
            return seen
        while events:
            *_, length = _EVENT.unpack_from(events)
            events = events[_EVENT.size + length :]
            seen += 1
        return seen

    try:
        assert libc.inotify_add_watch(watch, os.fsencode(folder), _IN_OPEN | _IN_ACCESS) >= 0
        yield count
    finally:
        os.close(watch)
