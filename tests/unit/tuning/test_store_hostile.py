"""Stores that somebody else wrote, cut, copied or forged: one sentence, whatever it is, and never a crash."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipwarden.errors import StoreError
from clipwarden.tuning.store import columns, parts
from clipwarden.tuning.store.columns import METADATA_KEY, Kind
from clipwarden.tuning.store.names import part_name
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.store.storefile import STORE_NAME
from clipwarden.vision.plan import MAX_VIEWS
from kit.stores import (
    digest_of,
    made_picture,
    made_upload,
    number_store,
    only_part,
    rewrite_part,
    with_column,
    write_store,
)
from kit.toymodel import DIM

Spoil = Callable[[Path], object]
IMAGES, EMBEDDINGS = Kind.IMAGES, Kind.EMBEDDINGS


def part(kind: Kind, spoil: Callable[[Path], object]) -> Spoil:
    """Make a function that spoils a store's one part of a kind."""
    return lambda store: spoil(only_part(store, kind))


def column(name: str, values: list[object], kind: Any = None) -> Spoil:  # noqa: ANN401
    return part(EMBEDDINGS, lambda path: rewrite_part(path, with_column(name, values, kind)))


def image_column(name: str, values: list[object], kind: Any = None) -> Spoil:  # noqa: ANN401
    return part(IMAGES, lambda path: rewrite_part(path, with_column(name, values, kind)))


def without(name: str) -> Callable[[Any], Any]:
    return lambda table: table.drop_columns([name])


def metadata(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        said = json.loads(pq.read_schema(path).metadata[METADATA_KEY]) | changes
        said = {name: value for name, value in said.items() if value is not None}
        rewrite_part(path, lambda table: table.replace_schema_metadata({METADATA_KEY: json.dumps(said)}))

    return change


def store_file(**changes: object) -> Spoil:
    def change(store: Path) -> None:
        said = json.loads((store / STORE_NAME).read_text()) | changes
        (store / STORE_NAME).write_text(json.dumps({name: each for name, each in said.items() if each != "gone"}))

    return change


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def foreign() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    return bytes(sink.getvalue())


def renamed(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.rename(path.with_name(part_name(data)))


def flip(path: Path) -> None:
    """Flip a bit of a vector, which checksums of pages tell."""
    data = bytearray(path.read_bytes())
    vectors = made_picture(1).vectors
    assert vectors is not None
    data[data.index(vectors.tobytes()) + 5] ^= 1
    path.write_bytes(data)


def linked(path: Path) -> None:
    elsewhere = path.with_name(".elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def copied_with(**changes: list[object]) -> Callable[[Path], None]:
    """Add a part that says something else of the same pictures."""

    def copy(path: Path) -> None:
        other = path.with_name("other.parquet")
        other.write_bytes(path.read_bytes())
        [(name, values)] = changes.items() or [("format", ["PNG", "PNG"])]
        rewrite_part(other, with_column(name, values))

    return copy


def vectors_of(*numbers: int, scale: float = 1.0) -> list[object]:
    found = [made_picture(number).vectors for number in numbers]
    return [(each * np.float32(scale)).ravel().tolist() for each in found if each is not None]


NAN = [float("nan")] * DIM
HALF = [0.5] * DIM

SPOILT: dict[str, tuple[Spoil, str]] = {
    "no store": (lambda store: (store / STORE_NAME).unlink(), r"is no store: it has no store\.json"),
    "store.json is a link": (lambda store: linked(store / STORE_NAME), "is a link or no file"),
    "store.json is a folder": (lambda store: made_folder(store / STORE_NAME), "is a link or no file"),
    "store.json is no JSON": (lambda store: (store / STORE_NAME).write_text("{"), "is not valid JSON"),
    "store.json is no object": (lambda store: (store / STORE_NAME).write_text("[]"), "must hold a JSON object"),
    "a newer store": (store_file(store="clipwarden.store/2"), "must be one of clipwarden.store/1"),
    "an unknown key": (store_file(colour="red"), 'unknown key "colour"'),
    "an unknown source": (store_file(source="luck"), "must be one of traffic, set, queue"),
    "traffic without days": (store_file(source="traffic"), "must be a text, not null"),
    "a day that is none": (store_file(source="traffic", **{"from": "soon", "to": "2026-10-01"}), "is 'soon'"),
    "days in reverse": (store_file(source="traffic", **{"from": "2026-10-02", "to": "2026-10-01"}), "lies before"),
    "unknown views": (store_file(views="fisheye"), "must be one of whole, auto, tiles"),
    "other views": (store_file(views="tiles"), "is of the view plan whole, not tiles"),
    "other frames": (store_file(frames=16), "is of the view plan whole, not whole with up to 16 frames"),
    "no frames": (store_file(frames=0), "must lie between 1"),
    "more frames than there are views": (store_file(frames=65), "must lie between 1"),
    "no width": (store_file(width=0), "must lie between 1"),
    "another store's model": (store_file(fingerprint="sha256:other"), "is of the model sha256:toy, not sha256:other"),
    "another store's width": (store_file(width=17), "is of the width 16, not 17"),
    "cut images": (part(IMAGES, cut), "is not what its name says"),
    "cut embeddings": (part(EMBEDDINGS, cut), "is not what its name says"),
    "empty embeddings": (part(EMBEDDINGS, lambda path: path.write_bytes(b"")), "is not what its name says"),
    "grown images": (part(IMAGES, grown), "is not what its name says"),
    "another name": (part(IMAGES, lambda path: path.rename(path.with_name("part-1.parquet"))), "is no part of a store"),
    "no Parquet at all": (part(IMAGES, lambda path: renamed(path, b"x" * 40 + b"\x04\0\0\0PAR1")), "is no sound part"),
    "a flipped bit": (part(EMBEDDINGS, flip), "is no sound part of a store"),
    "a linked part": (part(EMBEDDINGS, linked), "is a link, which is not followed"),
    "a linked folder": (lambda store: linked(store / IMAGES), "is a link, which is not followed"),
    "a pipe": (part(IMAGES, piped), "is no regular file"),
    "a folder as a part": (part(IMAGES, made_folder), "is no regular file"),
    "another file": (lambda store: (store / IMAGES / "notes.txt").write_text("x"), "is no part of a store"),
    "uploads as pictures": (
        part(IMAGES, lambda path: path.rename(path.parent.parent / EMBEDDINGS / path.name)),
        "must be one of clipwarden.embeddings/1",
    ),
    "somebody else's Parquet": (
        part(IMAGES, lambda path: renamed(path, foreign())),
        "says nothing of itself",
    ),
    "metadata that is no JSON": (
        part(IMAGES, lambda path: rewrite_part(path, lambda table: table.replace_schema_metadata({METADATA_KEY: "{"}))),
        "is not valid JSON",
    ),
    "a newer part": (part(IMAGES, metadata(part="clipwarden.images/2")), "must be one of clipwarden.images/1"),
    "a part of another model": (part(EMBEDDINGS, metadata(fingerprint="sha256:b")), "is of the model sha256:b"),
    "a part of another provider": (part(EMBEDDINGS, metadata(provider="X")), "is of the provider X"),
    "a part of another precision": (part(EMBEDDINGS, metadata(precision="int8")), "is of the precision int8"),
    "a part of unknown views": (part(EMBEDDINGS, metadata(views="fisheye")), "must be one of whole, auto, tiles"),
    "a part of other views": (part(EMBEDDINGS, metadata(views="tiles")), "is of the view plan tiles"),
    "a part of other frames": (part(EMBEDDINGS, metadata(frames=2)), "is of the view plan whole with up to 2 frames"),
    "a part that does not say its model": (part(EMBEDDINGS, metadata(fingerprint=None)), "lacks the key"),
    "replaces that is no list": (part(IMAGES, metadata(replaces=3)), "must be a list"),
    "no column sha256": (part(IMAGES, lambda path: rewrite_part(path, without("sha256"))), "has no column sha256"),
    "no column vectors": (part(EMBEDDINGS, lambda p: rewrite_part(p, without("vectors"))), "has no column vectors"),
    "digests of another length": (image_column("sha256", [b"x", b"y"], pa.binary()), "is no sound part"),
    "digests as numbers": (image_column("sha256", [1, 2], pa.int64()), "is no sound part"),
    "times as texts": (image_column("time", ["soon", "later"], pa.string()), "is no sound part"),
    "no uri": (image_column("uri", [None, "b"], pa.large_string()), "has rows without uri"),
    "no digest of a picture": (column("sha256", [None, bytes(32)], pa.binary(32)), "has rows without sha256"),
    "sizes as texts": (column("width", ["a", "b"], pa.string()), "is no sound part"),
    "no size": (column("width", [None, 3]), "lacks views, a size"),
    "a size below 1": (column("height", [-1, 3]), "lacks views, a size"),
    "more frames judged than there are": (column("frames_judged", [2, 1]), "lacks views, a size"),
    "a share above 1": (column("share_shown", [1.5, 1.0]), "lacks views, a size"),
    "a share that is no number": (column("share_shown", [float("nan"), 1.0]), "lacks views, a size"),
    "more frames seen than there are": (column("frames_seen", [2, 1]), "lacks views, a size"),
    "coverage above 1": (column("coverage", [1.01, 1.0]), "lacks views, a size"),
    "no coverage at all": (column("coverage", [0.0, 1.0]), "lacks views, a size"),
    "endless resolution": (column("resolution", [float("inf"), 1.0]), "lacks views, a size"),
    "resolution below 1": (column("resolution", [-1.0, 1.0]), "lacks views, a size"),
    "coverage as a text": (column("coverage", ["all", "all"], pa.string()), "is no sound part"),
    "a time before the first": (column("view_seconds", [[-1.0], None]), "at a frame, or a time"),
    "an endless time": (column("view_seconds", [[float("inf")], None]), "at a frame, or a time"),
    "more times than views": (column("view_seconds", [[0.0, 1.0], None]), "with other view_seconds than views"),
    "a frame before the first": (column("views", [[{"name": "full", "frame": -1}]] * 2), "at a frame, or a time"),
    "half a box": (column("view_boxes", [[0, 0], None]), "with other view_boxes than views"),
    "a box without a side": (column("view_boxes", [[0, 0, 0, 9], None]), "no left, top, right and bottom"),
    "a box outside": (column("view_boxes", [[-1, 0, 9, 9], None]), "no left, top, right and bottom"),
    "65 views": (
        part(EMBEDDINGS, lambda path: rewrite_part(path, with_views(MAX_VIEWS + 1))),
        "lacks views, a size",
    ),
    "a reason beside vectors": (column("reason", ["IMAGE_CORRUPT", None]), "cannot be judged has views"),
    "no views": (column("views", [None, [{"name": "full", "frame": 0}]]), "lacks views"),
    "views without a name": (column("views", [[{"name": None, "frame": 0}]] * 2), "without a name or a frame"),
    "views that are numbers": (column("views", [[1], [2]], pa.list_(pa.int32())), "is no sound part"),
    "no vectors": (column("vectors", [None, *vectors_of(2)]), "not 16 numbers for each of its views"),
    "short vectors": (column("vectors", [[1.0], *vectors_of(2)]), "not 16 numbers for each of its views"),
    "long vectors": (column("vectors", [vectors_of(1)[0] * 2, *vectors_of(2)]), "not 16 numbers"),  # type: ignore[operator]
    "a number missing": (column("vectors", [[None] * DIM, *vectors_of(2)]), "with a number missing"),
    "NaN": (column("vectors", [NAN, *vectors_of(2)]), "not finite or not of unit length"),
    "infinity": (column("vectors", [[float("inf")] * DIM, *vectors_of(2)]), "not finite or not of unit length"),
    "vectors that are not of unit length": (column("vectors", [HALF, *vectors_of(2)]), "not of unit length"),
    "vectors of doubles": (
        column("vectors", vectors_of(1, 2), pa.list_(pa.float64())),
        "its vectors are list<.*double>, not lists of float",
    ),
    "vectors as bytes": (column("vectors", [b"a", b"b"], pa.binary()), "its vectors are binary, not lists"),
    "a picture twice, with other vectors": (
        part(EMBEDDINGS, copied_with(vectors=vectors_of(2, 1))),
        "Two parts contradict each other about the picture",
    ),
    "a picture twice, with other facts": (
        part(EMBEDDINGS, copied_with(width=[65, 64])),
        "Two parts contradict each other about the picture",
    ),
    "uploads without a picture": (
        lambda store: only_part(store, EMBEDDINGS).unlink(),
        r"lacks the pictures of 2 uploads, /uploads/\d\.png among them; embed them again",
    ),
}


def with_views(count: int) -> Any:  # noqa: ANN401  a function of a table
    """Make a function that gives the first picture so many views, with a vector each."""

    def change(table: Any) -> Any:  # noqa: ANN401  as above
        views = [[{"name": "full", "frame": frame} for frame in range(count)], *table["views"].to_pylist()[1:]]
        vectors = [table["vectors"][0].as_py() * count, *table["vectors"].to_pylist()[1:]]
        return with_column("vectors", vectors)(with_column("views", views)(table))

    return change


def use(store: Path) -> Store:
    """Open a store and read all of it."""
    opened = open_store(store)
    for _ in opened.blocks():
        pass
    return opened


@pytest.mark.parametrize("name", SPOILT)
def test_a_store_that_cannot_be_used_says_why_in_one_sentence(tmp_path: Path, name: str) -> None:
    spoil, said = SPOILT[name]
    store = number_store(tmp_path / "store", [1, 2])
    spoil(store)
    with pytest.raises(StoreError, match=said) as caught:
        use(store)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_folder_that_is_not_there_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("nowhere", "file", "file/store"):
        with pytest.raises(StoreError, match="is no store"):
            open_store(tmp_path / name)


def test_a_sound_copy_of_a_part_changes_no_picture(tmp_path: Path) -> None:
    store = number_store(tmp_path / "store", [1, 2])
    before = use(store)
    copied_with()(only_part(store, EMBEDDINGS))
    after = use(store)
    assert after.info.digest == before.info.digest
    assert np.array_equal(after.pictures.embeddings, before.pictures.embeddings)


def test_what_others_keep_beside_our_columns_is_no_concern_of_ours(tmp_path: Path) -> None:
    store = number_store(tmp_path / "store", [1, 2])
    for kind in Kind:
        (store / kind / "_SUCCESS").write_text("")
        rewrite_part(only_part(store, kind), lambda table: table.append_column("job", pa.array(["a", "b"])))
    assert len(use(store).pictures) == 2


def test_parts_in_the_ways_of_other_writers_are_read(tmp_path: Path) -> None:
    """Dictionaries, short texts, lists by another name, and packed pages, as pandas and Spark write them."""
    store = number_store(tmp_path / "store", [1, 2, 3])
    before = use(store)
    vectors = before.pictures.embeddings
    rewrite_part(
        only_part(store, IMAGES), with_column("uri", [f"/uploads/{number}.png" for number in (1, 2, 3)], pa.string())
    )
    rewrite_part(
        only_part(store, EMBEDDINGS), lambda table: table, use_dictionary=True, compression="SNAPPY", row_group_size=2
    )
    after = use(store)
    assert after.info.digest == before.info.digest
    assert np.array_equal(after.pictures.embeddings, vectors)


def test_row_groups_that_would_fill_the_memory_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = number_store(tmp_path / "store", range(50))
    monkeypatch.setattr(parts, "MOST_ROWS", 49)
    with pytest.raises(StoreError, match="has a row group of 50 rows"):
        use(store)
    monkeypatch.setattr(parts, "MOST_ROWS", columns.MOST_ROWS)
    monkeypatch.setattr(parts, "MOST_GROUP_BYTES", 2000)
    with pytest.raises(StoreError, match="write groups of at most"):
        use(store)


def test_texts_that_unpack_into_gigabytes_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million rows that all point at one long text take a few kilobytes on disk."""
    uploads = [made_upload(1, time=None, uri="/uploads/" + "a" * 3000) for _ in range(1000)]
    store = write_store(tmp_path / "store", uploads, [made_picture(1)])
    rewrite_part(only_part(store, IMAGES), lambda table: table, use_dictionary=True)
    assert len(use(store).uploads) == 1000
    assert only_part(store, IMAGES).stat().st_size < 100_000
    monkeypatch.setattr(parts, "MOST_GROUP_BYTES", 2**21)
    with pytest.raises(StoreError, match="has a text of 3,009 bytes, and 3,009,000 in one column"):
        use(store)
    monkeypatch.setattr(parts, "MOST_GROUP_BYTES", columns.MOST_GROUP_BYTES)
    monkeypatch.setattr(parts, "MOST_TEXT", 3000)
    with pytest.raises(StoreError, match="has a text of 3,009 bytes"):
        use(store)


def test_a_part_that_goes_while_it_is_read_is_a_sentence(tmp_path: Path) -> None:
    store = number_store(tmp_path / "store", [1, 2])
    opened = open_store(store)
    only_part(store, EMBEDDINGS).unlink()
    with pytest.raises(StoreError, match="is gone: the store was changed meanwhile"):
        _ = opened.pictures.embeddings


def test_a_part_that_shrinks_while_it_is_read_is_a_sentence(tmp_path: Path) -> None:
    store = number_store(tmp_path / "store", [1, 2])
    opened = open_store(store)
    path = only_part(store, EMBEDDINGS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(StoreError, match="was cut or changed"):
        _ = opened.pictures.embeddings


def test_whatever_byte_is_damaged_nothing_but_a_sentence_comes(tmp_path: Path) -> None:
    store = number_store(tmp_path / "store", [1, 2])
    path = only_part(store, EMBEDDINGS)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    spoilt = 0
    places = generator.permutation(len(whole))[: len(whole) // 5].tolist()
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(generator.integers(1, 256))]) + whole[place + 1 :])
        try:
            use(store)
        except StoreError as error:
            spoilt += "\n" not in str(error)
    path.write_bytes(whole)
    assert digest_of(1) in use(store).pictures.sha256
    assert spoilt > 0.9 * len(places)
