from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from clipwarden.errors import ModelError
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.load import embedded_model_path, load_manifest
from clipwarden.modelfolder.references import (
    Drawing,
    References,
    load_references,
    references_path,
    write_references,
)
from kit.builders import unit_vectors

FINGERPRINT = "sha256:" + "ab" * 32
SMALL = References(
    fingerprint=FINGERPRINT,
    drawings=(
        Drawing(icon_set="noto-v1", name="beer-mug", shows=("substances.alcohol",)),
        Drawing(icon_set="fa7-solid", name="ampèremètre"),
    ),
    embeddings=unit_vectors(2, 384, seed=1),
)


def test_drawings_come_back_as_they_were_written_but_for_the_last_bits(tmp_path: Path) -> None:
    write_references(SMALL, tmp_path / "file")
    found = load_references(FINGERPRINT, tmp_path / "file")
    assert found is not None
    assert (found.fingerprint, found.drawings) == (SMALL.fingerprint, SMALL.drawings)
    assert [drawing.neutral for drawing in found.drawings] == [False, True]
    assert found.embeddings.dtype == np.float32
    assert np.abs(np.linalg.norm(found.embeddings, axis=1) - 1).max() < 1e-6
    assert np.vecdot(found.embeddings, SMALL.embeddings).min() > 1 - 1e-6


def test_equal_drawings_give_equal_bytes(tmp_path: Path) -> None:
    write_references(SMALL, tmp_path / "one")
    write_references(replace(SMALL), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_model_has_none(tmp_path: Path) -> None:
    write_references(SMALL, tmp_path / "file")
    assert load_references("sha256:" + "cd" * 32, tmp_path / "file") is None
    assert load_references(FINGERPRINT, tmp_path / "none") is None


def _damaged() -> dict[str, bytes]:
    metadata = {"clipwarden": f'{{"fingerprint":"{FINGERPRINT}","drawings":[["a","b",[]]]}}'}
    rows = unit_vectors(1, 8, seed=1).astype(np.float16)
    return {
        "empty": b"",
        "text": b"no tensors here, but text that is long enough to hold a header",
        "without metadata": save({"embeddings": rows}),
        "metadata that is no JSON": save({"embeddings": rows}, metadata={"clipwarden": "{"}),
        "metadata without drawings": save({"embeddings": rows}, {"clipwarden": f'{{"fingerprint":"{FINGERPRINT}"}}'}),
        "another tensor": save({"rows": rows}, metadata=metadata),
        "float32": save({"embeddings": rows.astype(np.float32)}, metadata=metadata),
        "too many rows": save({"embeddings": np.repeat(rows, 2, axis=0)}, metadata=metadata),
        "not of unit length": save({"embeddings": rows * np.float16(2)}, metadata=metadata),
        "not finite": save({"embeddings": rows * np.float16(np.nan)}, metadata=metadata),
    }


@pytest.mark.parametrize("name", list(_damaged()))
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(_damaged()[name])
    with pytest.raises(ModelError, match=r"file cannot be read .* install clipwarden again"):
        load_references(FINGERPRINT, tmp_path / "file")


@pytest.fixture(scope="module")
def shipped() -> References:
    found = load_references(fingerprint(load_manifest(embedded_model_path())))
    assert found is not None
    return found


def test_what_ships_is_of_the_embedded_model_and_small(shipped: References) -> None:
    assert shipped.embeddings.shape == (len(shipped.drawings), load_manifest(embedded_model_path()).dim)
    assert references_path().stat().st_size < 1_500_000
    names = [(drawing.icon_set, drawing.name) for drawing in shipped.drawings]
    assert len(set(names)) == len(names)


def test_what_ships_is_mostly_neutral_and_of_sets_that_no_figure_is_reported_on(shipped: References) -> None:
    assert {drawing.icon_set for drawing in shipped.drawings} == {"noto-v1", "fa7-solid"}
    assert sum(drawing.neutral for drawing in shipped.drawings) == 1600
    shown = {category for drawing in shipped.drawings for category in drawing.shows}
    assert {"weapons", "substances.alcohol", "gambling", "violence.graphic"} <= shown


def test_what_ships_is_what_the_model_makes_of_those_drawings(shipped: References) -> None:
    # The model's own golden images are four drawings of noto-v1; the sample holds some of them.
    names = ("beer-mug", "skull", "dog-face", "red-apple")
    golden = load_manifest(embedded_model_path()).golden.images
    rows = {drawing.name: row for row, drawing in enumerate(shipped.drawings) if drawing.icon_set == "noto-v1"}
    shared = [(rows[name], image) for name, image in zip(names, golden, strict=True) if name in rows]
    assert shared
    for row, image in shared:
        assert float(shipped.embeddings[row] @ np.array(image.embedding, dtype=np.float32)) > 0.999


def test_the_sets_that_ship_are_attributed_beside_the_model(shipped: References) -> None:
    text = (embedded_model_path() / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert references_path().name in text
    for icon_set in {drawing.icon_set for drawing in shipped.drawings}:
        assert f"| {icon_set} |" in text
