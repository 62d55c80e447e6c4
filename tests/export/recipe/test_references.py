"""The drawings that ship with the model, chosen from a small catalogue of pixels and embedded by the model itself."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from clipwarden.modelfolder.load import Model, load_model, resolve_model
from clipwarden.modelfolder.references import load_references
from recipes.mini import references
from recipes.mini.catalogue import Drawing
from recipes.mini.heldout import HeldOut
from recipes.mini.labels import read_labels
from recipes.mini.references import references_of
from recipes.mini.render import SIDE
from recipes.mini.sets import SELECTION_SETS

OTHERS = 450  # held-out drawings that nobody labelled; views are made of 400


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(resolve_model("mini"), threads=1)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, model: Model) -> HeldOut:
    """Every labelled drawing of the selection sets, others, and as many of a report set; each of other pixels."""
    work = tmp_path_factory.mktemp("work")
    labelled = sorted({(label.icon_set, label.icon) for label in read_labels() if label.icon_set in SELECTION_SETS})
    names = [*labelled, *(("noto-v1", f"thing-{number}") for number in range(OTHERS))]
    names += [("emojione", f"thing-{number}") for number in range(OTHERS)]
    drawings = [
        Drawing(
            icon_set=icon_set,
            icon=icon,
            group="selection" if icon_set in SELECTION_SETS else "report",
            name=icon,
            toned=False,
            palette=True,
        )
        for icon_set, icon in names
    ]
    (work / "drawings.jsonl").write_text("".join(json.dumps(asdict(drawing)) + "\n" for drawing in drawings))
    pixels = np.zeros((len(drawings), SIDE, SIDE, 4), np.uint8)
    pixels[:, ::8, ::8] = np.random.default_rng(1).integers(0, 256, (len(drawings), SIDE // 8, SIDE // 8, 4))
    np.save(work / "pixels.npy", pixels)
    return HeldOut(work, model)


def test_every_drawing_that_shows_harm_ships_and_of_the_neutral_ones_a_sample(held: HeldOut, model: Model) -> None:
    found = references_of(held, model, neutral=40)
    shows = {(drawing.icon_set, drawing.name): drawing.shows for drawing in found.drawings}
    positives: dict[tuple[str, str], set[str]] = {}
    for label in read_labels():
        if label.label == "positive" and label.icon_set in SELECTION_SETS:
            positives.setdefault((label.icon_set, label.icon), set()).add(label.category)
    assert {name: set(categories) for name, categories in shows.items() if categories} == positives
    assert sum(drawing.neutral for drawing in found.drawings) == 40
    ambiguous = {(label.icon_set, label.icon) for label in read_labels() if label.label == "ambiguous"}
    assert not (ambiguous - set(positives)) & set(shows)
    assert {drawing.icon_set for drawing in found.drawings} <= set(SELECTION_SETS)


def test_the_sample_is_the_same_each_time(held: HeldOut, model: Model) -> None:
    one, two = (references_of(held, model, neutral=40) for _ in range(2))
    assert one.drawings == two.drawings
    assert np.array_equal(one.embeddings, two.embeddings)


def test_what_is_written_is_what_the_model_makes_of_the_drawings_on_white(
    held: HeldOut, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "NEUTRAL", 3)
    written = references.write(held, model, tmp_path / "file")
    read = load_references(model.fingerprint, tmp_path / "file")
    assert read is not None
    assert read.drawings == written.drawings
    rows = {
        (held.drawing(int(row)).icon_set, held.drawing(int(row)).icon): int(row)
        for each in SELECTION_SETS
        for row in held.rows_of(each)
    }
    for drawing, embedding in list(zip(read.drawings, read.embeddings, strict=True))[:3]:
        picture = held.picture(rows[drawing.icon_set, drawing.name], "clean")
        assert float(model.image.encode(picture[np.newaxis])[0] @ embedding) > 0.9999
