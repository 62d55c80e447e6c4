from pathlib import Path

import numpy as np
import pytest

from clipwarden_export.errors import ExportError
from clipwarden_export.verification.background import background_texts
from clipwarden_export.verification.probes import given_images, probe_images, probe_texts
from kit.pictures import natural_picture


def test_background_holds_three_hundred_different_texts() -> None:
    texts = background_texts()
    assert len(texts) == len(set(texts)) == 300
    assert all(text == text.strip() and text for text in texts)


def test_pictures_are_the_same_for_the_same_seed_and_all_different() -> None:
    first, again = probe_images(48, seed=1), probe_images(48, seed=1)
    assert all(np.array_equal(left, right) for left, right in zip(first, again, strict=True))
    assert len({image.tobytes() for image in first}) == 48
    assert len({image.size for image in first}) >= 6


def test_texts_are_different_and_hold_the_awkward_ones() -> None:
    texts = probe_texts(60, seed=1, words=background_texts())
    assert len(texts) == len(set(texts)) == 60
    assert "" in texts
    assert any(len(text) > 500 for text in texts)
    assert texts == probe_texts(60, seed=1, words=background_texts())


def test_given_pictures_are_read_in_name_order(tmp_path: Path) -> None:
    natural_picture(1, (40, 30)).save(tmp_path / "b.png")
    natural_picture(2, (50, 30)).save(tmp_path / "a.JPG")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [image.width for image in given_images(tmp_path)] == [50, 40]


def test_folder_without_pictures_or_with_a_broken_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="holds no image"):
        given_images(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(ExportError, match=r"broken\.png cannot be read as an image"):
        list(given_images(tmp_path))


def test_given_pictures_are_not_held_in_memory(tmp_path: Path) -> None:
    for seed in range(3):
        natural_picture(seed, (40, 30)).save(tmp_path / f"{seed}.png")
    pictures = given_images(tmp_path)
    assert len(pictures) == 3
    assert [image.size for image in pictures[1:]] == [(40, 30)] * 2
    assert pictures[0] is not pictures[0]


def test_a_picture_too_large_to_be_honest_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)
    natural_picture(1, (40, 30)).save(tmp_path / "huge.png")
    with pytest.raises(ExportError, match=r"huge\.png cannot be read as an image: Image size"):
        list(given_images(tmp_path))
