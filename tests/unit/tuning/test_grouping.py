"""Groups are found once and kept in the store; whatever was done to the file, groups are those of the pictures."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from clipwarden.tuning import grouping
from clipwarden.tuning.grouping import group_store
from clipwarden.tuning.store.forgetting import forget
from clipwarden.tuning.store.groupfile import GROUPS, count_groupings
from clipwarden.tuning.store.store import Store, open_store
from kit.stores import digest_of, made_picture, made_upload, write_store

COUNT = 60


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(grouping, "_FEW", 10)
    pictures = [made_picture(number) for number in range(COUNT)]
    return open_store(write_store(tmp_path / "a.store", [made_upload(number) for number in range(COUNT)], pictures))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Hear how often pictures are grouped anew."""
    found: list[int] = []
    real = grouping.near_duplicates

    def grouped(vectors: np.ndarray, **told: object) -> np.ndarray:
        found.append(len(vectors))
        return real(vectors, **told)

    monkeypatch.setattr(grouping, "near_duplicates", grouped)
    return found


def test_groups_are_found_once(store: Store, counted: list[int]) -> None:
    first = group_store(store)
    assert group_store(open_store(store.path)).tolist() == first.tolist()
    assert counted == [COUNT]
    assert count_groupings(store.path) == 1


def test_some_pictures_are_a_grouping_of_their_own(store: Store, counted: list[int]) -> None:
    group_store(store)
    some = np.arange(5, COUNT)
    assert len(group_store(store, some)) == len(group_store(store, some)) == COUNT - 5
    assert counted == [COUNT, COUNT - 5]


def test_another_method_or_threshold_reads_nothing_of_before(
    store: Store, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    group_store(store)
    monkeypatch.setattr(grouping, "METHOD", "another")
    group_store(store)
    monkeypatch.setattr(grouping, "NEAR", 0.1)
    group_store(store)
    assert counted == [COUNT] * 3


def test_what_is_kept_stays_few(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        monkeypatch.setattr(grouping, "METHOD", f"method {number}")
        group_store(store)
    assert count_groupings(store.path) == 4


def renumbered(path: Path) -> None:
    """Write numbers that no grouping has, with a checksum that holds."""
    line, _, body = path.read_bytes().partition(b"\n")
    body = (np.frombuffer(body, "<i4") + 1).astype("<i4").tobytes()
    path.write_bytes(json.dumps({**json.loads(line), "sha256": sha256(body).hexdigest()}).encode() + b"\n" + body)


def shortened(path: Path) -> None:
    line, _, body = path.read_bytes().partition(b"\n")
    head = {**json.loads(line), "pictures": COUNT - 1, "sha256": sha256(body[:-4]).hexdigest()}
    path.write_bytes(json.dumps(head).encode() + b"\n" + body[:-4])


def linked(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(2**30)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"[" * 100_000),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-4] + b"\1\0\0\0"),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"key": "', b'"key": "0', 1)),
        lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
        renumbered,
        shortened,
        linked,
        piped,
        grown,
    ],
)
def test_a_damaged_file_is_as_none_and_is_written_anew(
    store: Store, counted: list[int], harm: Callable[[Path], object]
) -> None:
    first = group_store(store)
    (path,) = (store.path / GROUPS).iterdir()
    harm(path)
    assert group_store(store).tolist() == first.tolist()
    assert group_store(store).tolist() == first.tolist()
    assert counted == [COUNT, COUNT]


@pytest.mark.parametrize("obstacle", ["a file", "a link"])
def test_where_nothing_can_be_kept_groups_are_found_each_time(
    store: Store, counted: list[int], tmp_path: Path, obstacle: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = store.path / GROUPS
    place.write_bytes(b"") if obstacle == "a file" else place.symlink_to(elsewhere)
    assert group_store(store).tolist() == group_store(store).tolist()
    assert counted == [COUNT, COUNT]
    assert list(elsewhere.iterdir()) == []
    assert count_groupings(store.path) == 0


def test_who_is_forgotten_is_in_no_groups(store: Store, counted: list[int]) -> None:
    group_store(store)
    forget(store.path, [digest_of(3)])
    assert count_groupings(store.path) == 0
    assert len(group_store(open_store(store.path))) == COUNT - 1
    assert counted == [COUNT, COUNT - 1]


def test_groups_of_a_store_that_lost_somebody_meanwhile_are_not_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = grouping.near_duplicates

    def grouped(vectors: np.ndarray, **told: object) -> np.ndarray:
        forget(store.path, [digest_of(3)])
        return real(vectors, **told)

    monkeypatch.setattr(grouping, "near_duplicates", grouped)
    assert len(group_store(store)) == COUNT
    assert count_groupings(store.path) == 0


def test_groups_that_cannot_be_deleted_keep_no_vector(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    group_store(store)
    real = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path.parent.name == GROUPS:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    forgotten = forget(store.path, [digest_of(3)])
    assert (forgotten.uploads, forgotten.pictures) == (1, 1)
    assert forgotten.remains
    assert forgotten.remains.endswith("cannot be deleted: permission denied")
    left = open_store(store.path)
    assert (len(left.uploads), len(left.pictures)) == (COUNT - 1, COUNT - 1)
    assert len(group_store(left)) == COUNT - 1
    monkeypatch.undo()
    assert forget(store.path, [digest_of(3)]).remains is None
    assert count_groupings(store.path) == 0
