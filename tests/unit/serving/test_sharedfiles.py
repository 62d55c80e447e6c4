"""Files below a root are read whole; nothing else is read, opened, or waited for, whatever is swapped meanwhile."""

import fcntl
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from clipwarden.errors import ConfigError, PathNotFoundError, PathRefusedError, PathUnreadableError, RequestError
from clipwarden.serving import sharedfiles
from clipwarden.serving.sharedfiles import MAX_NAME_BYTES, MAX_PATH_BYTES, SharedRoot, names_of
from kit.sharedvolume import ESCAPES, Volume, lay_device, make_volume, opened_in

NOBODY = 65534


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return make_volume(tmp_path)


@pytest.fixture
def root(volume: Volume) -> SharedRoot:
    return SharedRoot(volume.root)


def fetch(root: SharedRoot, path: str) -> bytes:
    names = names_of(path)
    return root.read(names, root.size_of(names))


def test_a_file_below_the_root_is_read_whole(volume: Volume, root: SharedRoot) -> None:
    assert fetch(root, "uploads/a.png") == b"shared"
    for path in ("b", "é/ü.png", "\n\x9b", "~", "...", "..a", "a..", "%2e%2e", "\\..\\b", " "):
        where = volume.root / path
        where.parent.mkdir(exist_ok=True)
        where.write_bytes(path.encode())
        assert fetch(root, path) == path.encode()


def test_an_empty_file_is_read_as_one(volume: Volume, root: SharedRoot) -> None:
    (volume.root / "empty").touch()
    assert fetch(root, "empty") == b""


@pytest.mark.parametrize("path", [("x" * 99 + "/") * 10 + "y" * 24, "x" * 255], ids=["path", "name"])
def test_the_longest_path_and_name_are_read(volume: Volume, root: SharedRoot, path: str) -> None:
    assert len(path) in {MAX_PATH_BYTES, MAX_NAME_BYTES}
    (volume.root / path).parent.mkdir(parents=True, exist_ok=True)
    (volume.root / path).write_bytes(b"deep")
    assert fetch(root, path) == b"deep"


@pytest.mark.parametrize("escape", ESCAPES)
def test_what_leads_out_or_to_no_file_is_refused_and_nothing_outside_is_opened(
    volume: Volume, root: SharedRoot, escape: str
) -> None:
    path, lay = ESCAPES[escape]
    lay(volume)
    with opened_in(volume.outside) as opened:
        with pytest.raises(PathRefusedError):
            fetch(root, path)
        # Whoever learns the size of a file by other ways, or swaps it in between, gets no further.
        with pytest.raises(PathRefusedError):
            root.read(names_of(path), len(b"secret"))
        assert opened() == 0
        volume.secret.read_bytes()
        assert opened() > 0, "the watch sees nothing"


def test_a_device_is_refused(volume: Volume, root: SharedRoot) -> None:
    if not lay_device(volume):
        pytest.skip("only a privileged user makes devices")
    with pytest.raises(PathRefusedError, match="a device"):
        fetch(root, "zero")
    with pytest.raises(PathRefusedError, match="a device"):
        root.read([b"zero"], 10)


def test_a_fifo_is_neither_waited_for_nor_opened(volume: Volume, root: SharedRoot) -> None:
    os.mkfifo(volume.root / "fifo")
    with opened_in(volume.root) as opened:
        with pytest.raises(PathRefusedError, match="a FIFO"):
            fetch(root, "fifo")
        with pytest.raises(PathRefusedError, match="a FIFO"):
            root.read([b"fifo"], 6)  # as after one that took the place of a file that was looked at
        assert opened() == 0


def test_whether_something_is_there_is_told_of_the_volume_alone(volume: Volume, root: SharedRoot) -> None:
    def answer(path: str) -> str:
        with pytest.raises(RequestError) as caught:
            fetch(root, path)
        return f"{caught.value.reason} {caught.value}"

    (volume.root / "yes").symlink_to(volume.secret)
    (volume.root / "no").symlink_to(volume.outside / "nothing")
    assert answer("yes") == answer("no")
    assert answer("../outside/secret.png") == answer("../outside/nothing")
    assert answer("uploads/nothing").startswith("PATH_NOT_FOUND")
    assert answer("nothing/at/all").startswith("PATH_NOT_FOUND")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be somebody who may not read whatever its mode; the root, once open, needs no way to it."""
    user = os.geteuid()
    os.seteuid(user or NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("forbidden", ["uploads", "uploads/a.png"])
def test_a_file_or_folder_that_may_not_be_read_says_so(volume: Volume, root: SharedRoot, forbidden: str) -> None:
    mode = (volume.root / forbidden).stat().st_mode
    (volume.root / forbidden).chmod(0)
    with unprivileged(), pytest.raises(PathUnreadableError, match="cannot read this file: permission denied"):
        fetch(root, "uploads/a.png")
    (volume.root / forbidden).chmod(mode)


def test_folders_that_may_be_passed_through_need_not_be_listed(volume: Volume, root: SharedRoot) -> None:
    for folder in (volume.root, volume.root / "uploads"):
        folder.chmod(0o711)
    with unprivileged():
        assert fetch(root, "uploads/a.png") == b"shared"


@pytest.mark.parametrize("size", [0, 5, 7, 10**9])
def test_a_file_of_another_size_than_was_foreseen_is_not_read(
    root: SharedRoot, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(sharedfiles, "_at_most", None)
    with pytest.raises(PathUnreadableError, match="changed while it was read"):
        root.read([b"uploads", b"a.png"], size)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written anew"])
def test_a_file_that_changes_under_way_is_refused_and_never_read_beyond_its_size(
    volume: Volume, root: SharedRoot, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    file, at_most = volume.root / "uploads" / "a.png", sharedfiles._at_most
    os.utime(file, ns=(1, 1))
    read = list[bytes]()

    def changing(opened: int, size: int) -> bytes:
        file.write_bytes({"grows": b"shared" * 1000, "shrinks": b"sha", "is written anew": b"SHARED"}[change])
        read.append(at_most(opened, size))
        return read[-1]

    monkeypatch.setattr(sharedfiles, "_at_most", changing)
    with pytest.raises(PathUnreadableError, match="changed while it was read"):
        fetch(root, "uploads/a.png")
    assert len(read[0]) <= 6


def test_what_the_system_reads_in_parts_is_put_together(
    volume: Volume, root: SharedRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, plain = os.urandom(100_000), os.read
    (volume.root / "large").write_bytes(content)
    monkeypatch.setattr(sharedfiles.os, "read", lambda file, size: plain(file, min(size, 30_000)))
    assert fetch(root, "large") == content


def test_a_file_that_another_program_holds_back_is_not_waited_for(volume: Volume, root: SharedRoot) -> None:
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # what the holder of a lease is told by
    holder = os.open(volume.root / "uploads" / "a.png", os.O_RDWR)
    try:
        try:
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            pytest.skip("this file system knows no leases")
        with pytest.raises(PathUnreadableError, match="temporarily unavailable"):
            fetch(root, "uploads/a.png")
    finally:
        os.close(holder)
        signal.signal(signal.SIGIO, before)
    assert fetch(root, "uploads/a.png") == b"shared"


def test_a_root_that_is_replaced_is_still_the_one_of_the_start(volume: Volume, root: SharedRoot) -> None:
    volume.root.rename(volume.root.with_name("moved"))
    volume.root.symlink_to(volume.outside)
    assert fetch(root, "uploads/a.png") == b"shared"
    with pytest.raises(PathNotFoundError):
        fetch(root, "secret.png")


def test_a_root_that_is_a_link_is_followed_once(volume: Volume) -> None:
    link = volume.root.with_name("link")
    link.symlink_to(volume.root)
    assert fetch(SharedRoot(link), "uploads/a.png") == b"shared"


@pytest.mark.parametrize(
    ("where", "why"), [("/", "every file"), ("nothing", "no such file"), ("uploads/a.png", "not a directory")]
)
def test_a_root_that_cannot_be_one_is_refused_at_the_start(volume: Volume, where: str, why: str) -> None:
    before = open_files()
    with pytest.raises(ConfigError, match=why):
        SharedRoot(volume.root / where)
    assert open_files() == before


def test_a_root_that_may_not_be_searched_is_refused_at_the_start() -> None:
    with TemporaryDirectory() as folder:  # everybody may reach it, unlike `tmp_path`
        root = Path(folder)
        root.chmod(0o644)
        with unprivileged(), pytest.raises(ConfigError, match="may not search the folder"):
            SharedRoot(root)
        root.chmod(0o755)


@contextmanager
def swapping(path: Path, target: Path) -> Iterator[Counter[str]]:
    """Swap what lies at a path for a link to a target and back, as fast as it goes, for as long as the block lasts."""
    stop, swaps, kept = threading.Event(), Counter[str](), path.with_name("kept")

    def swap() -> None:
        while not stop.is_set():
            path.rename(kept)
            path.symlink_to(target)
            path.unlink()
            kept.rename(path)
            swaps["swaps"] += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("what", ["uploads", "uploads/a.png"])
def test_a_race_between_a_name_and_a_link_never_gives_a_byte_from_outside(
    volume: Volume, root: SharedRoot, what: str
) -> None:
    (volume.outside / "a.png").write_bytes(b"secret")
    target = volume.outside if what == "uploads" else volume.secret
    outcomes, names = Counter[object](), names_of("uploads/a.png")
    with opened_in(volume.outside) as opened, swapping(volume.root / what, target) as swaps:
        # Until each has been seen, and both sides have had thousands of tries.
        seen = {b"shared", PathRefusedError, PathNotFoundError}
        while outcomes.total() < 4000 or swaps["swaps"] < 2000 or not seen <= outcomes.keys():
            try:
                outcomes[root.read(names, 6)] += 1
            except RequestError as refused:
                outcomes[type(refused)] += 1
        assert opened() == 0
    assert outcomes.keys() == seen, outcomes


def test_no_file_stays_open(root: SharedRoot) -> None:
    before = open_files()
    for path in ("uploads/a.png", "uploads/none/x", "uploads/a.png/x", "uploads", "none"):
        for act in (root.size_of, lambda names: root.read(names, 6)):
            try:
                act(names_of(path))
            except RequestError:
                continue
    assert open_files() == before


def test_a_root_that_nobody_holds_is_closed(volume: Volume) -> None:
    before = open_files()
    root = SharedRoot(volume.root)
    assert open_files() == before + 1
    del root
    assert open_files() == before
