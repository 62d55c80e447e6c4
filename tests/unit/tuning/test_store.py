"""Stores, written and read again: what went in comes out, whatever its order and however often it was begun."""

import errno
import os
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from clipwarden.errors import Reason, StoreError
from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.store import writing as writing_module
from clipwarden.tuning.store.columns import Kind
from clipwarden.tuning.store.digests import Digests
from clipwarden.tuning.store.folder import LOCK_NAME
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.parts import list_parts
from clipwarden.tuning.store.records import UploadRecord
from clipwarden.tuning.store.store import open_store
from clipwarden.tuning.store.storefile import Charter, read_charter
from clipwarden.tuning.store.writing import Added, writing
from kit.stores import (
    SET,
    SIGHT,
    digest_of,
    failed_picture,
    made_picture,
    made_upload,
    number_store,
    only_part,
    write_store,
)
from kit.toymodel import DIM

OCTOBER = Charter(source=Source.TRAFFIC, since=date(2026, 10, 1), until=date(2026, 10, 31), sight=SIGHT)


def at(day: int) -> datetime:
    return datetime(2026, 10, day, 12, tzinfo=UTC)


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    uploads = [
        made_upload(1, time=at(3), slices={"country": "DE"}),
        made_upload(1, uri="/uploads/again.png", time=at(2), slices={"country": "FR", "kind": "avatar"}),
        made_upload(2),
        made_upload(3),
        UploadRecord(uri="/uploads/gone.png", sha256=None, reason="FILE_UNREADABLE", detail="it cannot be read"),
    ]
    pictures = [
        made_picture(1, views=3, frames_total=9, frames_judged=3),
        made_picture(2, degraded=("BLURRED", "TINY"), share_shown=0.25),
        failed_picture(3),
    ]
    store = open_store(write_store(tmp_path / "store", uploads, pictures, charter=OCTOBER))
    assert (store.info.source, store.info.since, store.info.until) == ("traffic", date(2026, 10, 1), date(2026, 10, 31))
    assert store.info.sight == SIGHT
    assert (len(store.uploads), len(store.pictures), store.unread, store.unused) == (5, 2, 1, 0)
    assert store.failed == {digest_of(3): "IMAGE_CORRUPT"}
    rows = {uri: index for index, uri in enumerate(store.uploads.uri)}
    one, two = (store.pictures.sha256.find([digest_of(number)])[0] for number in (1, 2))
    shown = {uri: store.uploads.picture[row] for uri, row in rows.items()}
    assert shown == {
        "/uploads/1.png": one,
        "/uploads/again.png": one,
        "/uploads/2.png": two,
        "/uploads/3.png": -1,
        "/uploads/gone.png": -1,
    }
    assert store.uploads.sha256[rows["/uploads/3.png"]] == digest_of(3)
    times = store.uploads.time
    assert times is not None
    assert times[rows["/uploads/again.png"]] == np.datetime64("2026-10-02T12:00:00")
    assert np.isnat(times[rows["/uploads/2.png"]])
    assert store.uploads.slices["country"][rows["/uploads/1.png"]] == "DE"
    assert store.uploads.slices["kind"].tolist().count("") == 4
    assert store.pictures.partial[[one, two]].tolist() == [True, True]
    assert store.pictures.degraded[[one, two]].tolist() == [False, True]
    assert store.pictures.share_shown[[one, two]].tolist() == [1, 0.25]
    assert store.pictures.views[store.pictures.starts[one] + 2] == ViewRef(name="full", frame=2)
    vectors = made_picture(1, views=3).vectors
    assert vectors is not None
    assert np.array_equal(store.pictures.embeddings[store.pictures.starts[one] :][:3], vectors)


def test_vectors_come_whole_in_blocks_and_by_picture(tmp_path: Path) -> None:
    pictures = [made_picture(number, views=1 + number % 4) for number in range(50)]
    store = open_store(write_store(tmp_path / "store", map(made_upload, range(50)), pictures, each=7))
    whole, starts = store.pictures.embeddings, [*store.pictures.starts, len(store.pictures.views)]
    seen = []
    for block in store.blocks(most_views=5):
        ends = [*block.starts[1:], len(block.embeddings)]
        for picture, begin, end in zip(block.pictures, block.starts, ends, strict=True):
            seen.append(int(picture))
            assert np.array_equal(block.embeddings[begin:end], whole[starts[picture] : starts[picture + 1]])
    assert sorted(seen) == list(range(50))
    some = store.vectors(np.array([31, 4, 17]))
    assert np.array_equal(some.embeddings[: some.starts[1]], whole[starts[31] : starts[32]])
    assert np.array_equal(some.embeddings[some.starts[2] :], whole[starts[17] : starts[18]])


def test_no_time_is_no_column(tmp_path: Path) -> None:
    store = open_store(number_store(tmp_path / "store", [1, 2]))
    assert store.uploads.time is None
    assert not store.uploads.slices


def test_a_store_goes_on_where_it_was(tmp_path: Path) -> None:
    path = number_store(tmp_path / "store", [1, 2, 2])
    with writing(path, SET) as writer:
        assert digest_of(1) in writer.pictures
        assert digest_of(3) not in writer.pictures
        # Both uploads of picture 2 are found, and a third is another one.
        said = [writer.add_upload(made_upload(number)) for number in (1, 2, 2, 2, 3)]
        writer.add_picture(made_picture(3))
    assert said == [Added.KNOWN] * 3 + [Added.NEW] * 2
    store = open_store(path)
    assert (len(store.uploads), len(store.pictures)) == (5, 3)


def test_uploads_keep_the_slices_that_they_came_with(tmp_path: Path) -> None:
    path = write_store(tmp_path / "store", [made_upload(1, slices={"country": "DE"})], [made_picture(1)])
    with writing(path, SET) as writer:
        assert writer.add_upload(made_upload(1, slices={"country": "FR"})) is Added.UNDECIDED
        assert writer.settle() == {Added.OTHER_SLICES: 1}
    assert open_store(path).uploads.slices["country"].tolist() == ["DE"]
    with writing(path, SET) as writer:
        assert writer.add_upload(made_upload(1, slices={"country": "FR"})) is Added.UNDECIDED
        assert writer.add_upload(made_upload(1, slices={"country": "DE", "empty": ""})) is Added.KNOWN
        assert writer.settle() == {Added.NEW: 1}  # the source has both
    assert sorted(open_store(path).uploads.slices["country"].tolist()) == ["DE", "FR"]


def test_what_could_not_be_read_once_and_can_now_is_one_upload(tmp_path: Path) -> None:
    lost = UploadRecord(uri="/uploads/1.png", sha256=None, reason="FILE_UNREADABLE", time=at(1))
    other = UploadRecord(uri="/uploads/1.png", sha256=None, reason="FILE_UNREADABLE", time=at(2))
    path = write_store(tmp_path / "store", [lost, other])
    assert open_store(path).unread == 2
    write_store(path, [made_upload(1, time=at(1))], [made_picture(1)])
    store = open_store(path)
    assert (len(store.uploads), store.unread) == (2, 1)
    with writing(path, SET) as writer:
        assert writer.add_upload(lost) is Added.KNOWN


def test_a_picture_that_could_not_be_judged_and_can_now_is(tmp_path: Path) -> None:
    path = write_store(tmp_path / "store", [made_upload(1)], [failed_picture(1)])
    with writing(path, SET) as writer:
        assert digest_of(1) not in writer.pictures
        writer.add_picture(failed_picture(1, Reason.IMAGE_TRUNCATED))
    assert len(list_parts(path, Kind.EMBEDDINGS)) == 1
    write_store(path, [], [made_picture(1)])
    store = open_store(path)
    assert (store.failed, store.uploads.picture.tolist()) == ({}, [0])


def test_pictures_that_no_upload_shows_wait_for_the_next_run(tmp_path: Path) -> None:
    path = write_store(tmp_path / "store", [made_upload(1)], [made_picture(1), made_picture(2)])
    assert (len(open_store(path).pictures), open_store(path).unused) == (1, 1)
    write_store(path, [made_upload(2)])
    assert (len(open_store(path).pictures), open_store(path).unused) == (2, 0)


def test_two_writers_at_once_are_one_too_many(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with writing(path, SET) as first:
        with pytest.raises(StoreError, match="Another clipwarden writes into"), writing(path, SET):
            pytest.fail("both write")
        first.add_picture(made_picture(1))
        first.add_upload(made_upload(1))
    assert len(open_store(path).pictures) == 1


def test_parts_of_two_writers_make_one_store(tmp_path: Path) -> None:
    """As where a file system has no locks, or somebody copies one store into another."""
    one, two = number_store(tmp_path / "one", [1, 2, 3]), number_store(tmp_path / "two", [3, 4])
    for kind in Kind:
        part = only_part(two, kind)
        part.rename(one / kind / part.name)
    store = open_store(one)
    assert (len(store.uploads), len(store.pictures)) == (5, 4)


def test_a_file_system_without_locks_still_takes_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert len(open_store(number_store(tmp_path / "store", [1])).pictures) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "sha256:other"}, "is of the model sha256:toy, not sha256:other"),
        ({"provider": "CUDAExecutionProvider"}, "is of the provider CPUExecutionProvider, not CUDAExecutionProvider"),
        ({"precision": "fp16"}, "is of the precision fp32, not fp16"),
    ],
)
def test_what_another_model_sees_goes_into_another_store(tmp_path: Path, change: dict[str, str], said: str) -> None:
    path = number_store(tmp_path / "store", [1])
    other = Sight(
        **{name: getattr(SIGHT, name) for name in ("model", "fingerprint", "provider", "precision", "plan", "width")}
        | change
    )
    with pytest.raises(StoreError, match=said), writing(path, Charter(source=Source.SET, sight=other)):
        pytest.fail("it is written")


def test_traffic_and_chosen_pictures_are_not_mixed(tmp_path: Path) -> None:
    path = number_store(tmp_path / "store", [1])
    said = "is a set that somebody chose, and what is to be added uniform traffic from 2026-10-01 to 2026-10-31"
    with pytest.raises(StoreError, match=said), writing(path, OCTOBER):
        pytest.fail("it is written")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("x")
    with pytest.raises(StoreError, match="is no store, and holds other files"), writing(tmp_path / "letters", SET):
        pytest.fail("it is written")
    assert [each.name for each in (tmp_path / "letters").iterdir()] == ["a.txt"]
    with pytest.raises(StoreError, match="There is no folder"), writing(tmp_path / "no" / "store", SET):
        pytest.fail("it is written")


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    with writing(tmp_path / "store", SET):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyError), writing(tmp_path / "mine", SET):
        raise KeyError
    assert not list((tmp_path / "mine").iterdir())


def test_what_a_killed_writer_left_is_cleared_and_never_read(tmp_path: Path) -> None:
    path = number_store(tmp_path / "store", [1])
    half = path / Kind.IMAGES / ".part-0.parquet.abcd"
    half.write_bytes(only_part(path, Kind.IMAGES).read_bytes()[:100])
    assert len(open_store(path).uploads) == 1
    write_store(path, [made_upload(2)], [made_picture(2)])
    assert not half.exists()
    assert (path / LOCK_NAME).exists()


class FakeClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_parts_are_written_when_they_are_full_or_have_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(writing_module, "MOST_PICTURES", 3)
    monkeypatch.setattr(writing_module, "MOST_UPLOADS", 4)
    monkeypatch.setattr(writing_module, "MOST_BYTES", 5 * DIM * 4)

    with writing(tmp_path / "store", SET, clock=clock) as writer:
        clock.now = 1000.0
        assert not writer.is_due  # nothing waits
        writer.write()
        for number in (1, 2):
            writer.add_picture(made_picture(number))
        assert not writer.is_due
        writer.add_picture(made_picture(3))
        assert writer.is_due
        writer.write()
        writer.add_picture(made_picture(4, views=5))
        assert writer.is_due
        writer.write()
        writer.add_upload(made_upload(1))
        assert not writer.is_due
        clock.now += writing_module.MOST_SECONDS
        assert writer.is_due
        writer.write()
        for number in (1, 2, 3, 4):
            writer.add_upload(made_upload(number, uri=f"/{number}"))
        assert writer.is_due


def test_what_waits_is_written_whatever_ended_it(tmp_path: Path) -> None:
    def interrupted() -> None:
        with writing(tmp_path / "store", SET) as writer:
            writer.add_picture(made_picture(1))
            writer.add_upload(made_upload(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(open_store(tmp_path / "store").pictures) == 1


def test_a_full_disk_is_a_sentence_and_spoils_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = number_store(tmp_path / "store", [1])

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with writing(path, SET) as writer:
        writer.add_picture(made_picture(2))
        writer.add_upload(made_upload(2))
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", refuse)
            with pytest.raises(StoreError, match="cannot be written: No space left on device"):
                writer.write()
        assert len(open_store(path).pictures) == 1
    assert len(open_store(path).pictures) == 2  # at the end there was room


def test_parts_are_named_by_what_they_hold(tmp_path: Path) -> None:
    stores = [number_store(tmp_path / name, numbers) for name, numbers in (("a", [1, 2]), ("b", [1, 2]), ("c", [1]))]
    one, same, other = (only_part(store, Kind.EMBEDDINGS).name for store in stores)
    assert one == same != other


def test_digests_are_found_by_text_and_by_bytes() -> None:
    texts = [digest_of(number) for number in range(20)] + ["00" * 32, "ff" * 31 + "00"]
    digests = Digests.of(texts)
    assert [*digests] == texts
    assert digests.find(["no digest", texts[3], "ab" * 32]).tolist() == [-1, 3, -1]
    assert digests.find(Digests.of(reversed(texts))).tolist() == list(reversed(range(22)))
    assert [*digests[2:4]] == texts[2:4]
    with pytest.raises(ValueError, match="is no SHA-256 digest"):
        Digests.of(["AB" * 32])
    assert Digests.of([]).find(texts).tolist() == [-1] * 22


def test_the_charter_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_charter(number_store(tmp_path / "store", [1], charter=OCTOBER)) == OCTOBER
