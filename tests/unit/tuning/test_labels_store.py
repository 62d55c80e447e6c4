"""Labels beside a real store: pictures by address, absent ones, and what complete labels say of the rest."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from clipwarden.cli.main import app
from clipwarden.errors import LabelError
from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.store.store import Store, open_store
from kit.pictures import encode, natural_picture

CATEGORIES = ["red", "blue"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(4):
        path = folder / f"{number % 2}" / f"{number // 2}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(natural_picture(number, (40, 40)), "PNG"))
    (folder / "blank.png").write_bytes(encode(Image.new("RGB", (40, 40)), "PNG"))
    cut = (folder / "1" / "1.png").read_bytes()
    (folder / "cut.png").write_bytes(cut[:40])
    return folder


@pytest.fixture(scope="module")
def store(pictures: Path, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("stores") / "pictures.store"
    done = CliRunner().invoke(app, ["embed", str(pictures), "-r", "-o", str(path), "--model", str(toy_folder)])
    assert done.exit_code == 30, done.output
    return open_store(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path, text: str, store: Store, **options: bool) -> Labels:
    path.write_text(text)
    return read_labels(path, categories=CATEGORIES, store=store, **options)


def test_pictures_are_found_by_the_end_of_their_address(store: Store, pictures: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    labels = read(table, f"uri,red\n0/1.png,1\n{pictures}/1/0.png,0\n./blank.png,0\n1\\1.png,1\n", store)
    names = ["0/1.png", "1/0.png", "blank.png", "1/1.png"]
    assert list(labels.sha256) == [sha256(pictures / name) for name in names]
    assert labels.column("red").tolist() == [1, 0, 0, 1]
    with pytest.raises(LabelError, match=r'2 pictures of the store lie at "\.\.\./0\.png"; name them by sha256'):
        read(table, "uri,red\n0.png,1\n", store)


def test_pictures_that_the_store_lacks_or_cannot_judge_are_counted_and_named(
    store: Store, pictures: Path, tmp_path: Path
) -> None:
    table, cut = tmp_path / "labels.csv", sha256(pictures / "cut.png")
    known = sha256(pictures / "blank.png")
    labels = read(table, f"sha256,uri,red\n{known},,1\n{'0' * 64},,1\n,gone.png,0\n{cut},,1\n", store)
    assert labels.sha256 == (known,)
    assert labels.absent == ("0" * 64, "gone.png")
    assert labels.unjudged == (cut,)
    with pytest.raises(LabelError, match="none of the 2 pictures is in the store, or can be judged, such as gone"):
        read(table, "uri,red\ngone.png,1\nlost.png,0\n", store)


def test_complete_labels_of_a_set_say_no_of_what_they_do_not_mention(store: Store, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    labels = read(table, "uri,label\n0/1.png,red\n", store, complete=True)
    assert len(labels) == len(store.pictures)
    assert labels.counts("red")[1] == 1
    assert np.count_nonzero(labels.column("red") == 0) == len(store.pictures) - 1
    assert set(labels.sha256) == set(store.pictures.sha256)
