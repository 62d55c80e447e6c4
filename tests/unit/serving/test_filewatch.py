"""Watching files: every way in which one comes to hold something else is told, once it rests, and nothing besides."""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clipwarden.engine.origin import identity_of
from clipwarden.serving import filewatch
from clipwarden.serving.filewatch import FileWatch, folders_of
from kit.configmap import ConfigMap
from kit.reloading import replace_file

FIRST, SECOND = "first", "second"


class Told:
    """Hears of changes in the watch's thread, and says what the file held each time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heard: queue.Queue[str | None] = queue.Queue()

    def __call__(self) -> None:
        self._heard.put(self._path.read_text() if self._path.is_file() else None)

    def next(self) -> str | None:
        """Wait for the next time."""
        return self._heard.get(timeout=60)

    def until(self, content: str | None) -> None:
        """Wait until it is told of this content."""
        while self.next() != content:
            pass


@contextmanager
def watching(path: Path, *others: Path) -> Iterator[tuple[FileWatch, Told]]:
    told = Told(path)
    watch = FileWatch({each: identity_of(each) for each in (path, *others)}, told)
    watch.start()
    try:
        yield watch, told
    finally:
        watch.close()


def rename_over(path: Path) -> None:
    replace_file(path, SECOND)


def write_in_place(path: Path) -> None:
    path.write_text(SECOND)


def link_over(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(SECOND)
    (path.with_name("link")).symlink_to("other")
    path.with_name("link").replace(path)


def hard_link_over(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(SECOND)
    os.link(other, path.with_name("hard"))
    path.with_name("hard").replace(path)


def delete_and_write(path: Path) -> None:
    path.unlink()
    path.write_text(SECOND)


def append_and_cut(path: Path) -> None:
    with path.open("a") as file:
        file.write(SECOND)
    path.write_text(SECOND)


def keep_size_and_time(path: Path) -> None:
    """Write as many bytes, and set the clock of the file back, as archives and `cp -p` do."""
    times = path.stat()
    path.write_text(FIRST[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    rename_over(path)


def move_folder(path: Path) -> None:
    other = path.parent.with_name("new")
    other.mkdir()
    (other / path.name).write_text(SECOND)
    path.parent.rename(path.parent.with_name("old"))
    other.rename(path.parent)


WAYS = [
    rename_over,
    write_in_place,
    link_over,
    hard_link_over,
    delete_and_write,
    append_and_cut,
    keep_size_and_time,
    move_folder,
]


@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
def test_change_is_told_whichever_way_it_was_made(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "policies" / "policy.yaml"
    path.parent.mkdir()
    path.write_text(FIRST)
    with watching(path) as (_, told):
        change(path)
        told.until(SECOND)


@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
@pytest.mark.parametrize("broken", [OSError("no space left on device"), None])
def test_change_is_told_where_the_system_tells_nothing(
    tmp_path: Path, change: Callable[[Path], None], broken: OSError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*_: object, stop_event: threading.Event, **__: object) -> Iterator[set[object]]:
        if broken:
            raise broken
        while not stop_event.wait(0.01):
            yield set()

    monkeypatch.setattr(filewatch, "watch", deaf)
    monkeypatch.setattr(filewatch, "LOOK_SECONDS", 0.01)
    path = tmp_path / "policies" / "policy.yaml"
    path.parent.mkdir()
    path.write_text(FIRST)
    with watching(path) as (_, told):
        change(path)
        told.until(SECOND)


def test_config_map_is_told_of_as_often_as_it_is_exchanged(tmp_path: Path) -> None:
    mounted = ConfigMap(tmp_path / "mounted", {"policy.yaml": FIRST, "other.yaml": "a"})
    path = mounted["policy.yaml"]
    with watching(path) as (watch, told):
        for number in range(5):
            mounted.swap({"policy.yaml": f"{SECOND} {number}", "other.yaml": "b"})
            told.until(f"{SECOND} {number}")
            watch.expect({path: identity_of(path)})


def test_release_folder_behind_a_link_is_followed_and_back(tmp_path: Path) -> None:
    for name, content in (("1", FIRST), ("2", SECOND)):
        (tmp_path / "releases" / name).mkdir(parents=True)
        (tmp_path / "releases" / name / "policy.yaml").write_text(content)
    current = tmp_path / "current"
    current.symlink_to(Path("releases") / "1")
    path = current / "policy.yaml"
    with watching(path) as (watch, told):
        for name, content in (("2", SECOND), ("1", FIRST), ("2", SECOND)):
            (tmp_path / "next").symlink_to(Path("releases") / name)
            (tmp_path / "next").replace(current)
            told.until(content)
            watch.expect({path: identity_of(path)})


def test_release_that_was_taken_back_before_anybody_read_it_is_told_of_when_it_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    (tmp_path / "1").write_text(FIRST)
    (tmp_path / "2").write_text(SECOND)

    def point_at(release: str) -> None:
        (tmp_path / "next").symlink_to(release)
        (tmp_path / "next").replace(path)

    point_at("1")
    with watching(path) as (watch, told):
        for _ in range(2):
            point_at("2")
            told.until(SECOND)
            point_at("1")
            watch.expect({path: identity_of(path)})


def test_file_that_goes_and_comes_back_is_told_both_times(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FIRST)
    with watching(path) as (watch, told):
        path.unlink()
        told.until(None)
        watch.expect({path: None})
        path.write_text(SECOND)
        told.until(SECOND)


def test_file_in_a_folder_that_is_made_later_is_told(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "policy.yaml"
    with watching(path) as (_, told):
        path.parent.mkdir(parents=True)
        path.write_text(SECOND)
        told.until(SECOND)


def test_what_becomes_readable_is_told(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(SECOND)
    path.chmod(0)
    with watching(path) as (_, told):
        path.chmod(0o644)
        told.until(SECOND)


def test_other_files_of_the_folder_are_no_news(tmp_path: Path) -> None:
    path, beside = tmp_path / "policy.yaml", tmp_path / "notes.txt"
    path.write_text(FIRST)
    with watching(path) as (_, told):
        for number in range(20):
            beside.write_text(str(number))
        replace_file(path, SECOND)
        assert told.next() == SECOND


def test_files_that_are_named_later_are_watched_from_then_on(tmp_path: Path) -> None:
    path, vectors = tmp_path / "policy.yaml", tmp_path / "deeper" / "vectors.safetensors"
    path.write_text(FIRST)
    vectors.parent.mkdir()
    with watching(path) as (watch, told):
        watch.expect({path: identity_of(path), vectors: None})
        vectors.write_text("numbers")
        assert told.next() == FIRST


def test_what_changed_before_the_watch_began_is_told(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FIRST)
    told = Told(path)
    watch = FileWatch({path: identity_of(path)}, told)
    replace_file(path, SECOND)
    watch.start()
    assert told.next() == SECOND
    watch.close()


class Clock:
    """Time that passes by sleeping only, and what happens meanwhile."""

    def __init__(self, meanwhile: Iterator[object]) -> None:
        self._now = 0.0
        self._meanwhile = meanwhile

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += max(seconds, 0.001)
        next(self._meanwhile, None)


def parts(path: Path, number: int) -> Iterator[None]:
    for part in range(number):
        with path.open("a") as file:
            file.write(f" {part}")
        yield


def test_file_that_is_being_written_is_told_of_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FIRST)
    told = Told(path)
    watch = FileWatch({path: identity_of(path)}, told)
    path.write_text("begun")
    monkeypatch.setattr(filewatch, "time", Clock(parts(path, 40)))
    watch._look()
    assert told.next() == "begun " + " ".join(map(str, range(40)))
    watch._look()
    assert told._heard.empty()


def test_file_that_is_written_without_end_hides_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FIRST)
    told = Told(path)
    watch = FileWatch({path: identity_of(path)}, told)
    path.write_text("begun")
    monkeypatch.setattr(filewatch, "time", Clock(parts(path, 10**6)))
    watch._look()
    assert (told.next() or "").startswith("begun 0 1 2")


def test_folders_are_those_of_every_link_on_the_way(tmp_path: Path) -> None:
    mounted = ConfigMap(tmp_path / "mounted", {"policy.yaml": FIRST})
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shop.yaml").symlink_to(mounted["policy.yaml"])
    (tmp_path / "conf").symlink_to("etc")
    found = set(folders_of([tmp_path / "conf" / "shop.yaml"]))
    folder = tmp_path / "mounted"
    version = next(each for each in folder.glob("..2026_*"))
    assert found == {tmp_path, tmp_path / "etc", folder, version}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert set(folders_of([tmp_path / "a"])) == {tmp_path}
    assert identity_of(tmp_path / "a") is None
