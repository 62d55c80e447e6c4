"""Turn rendered drawings and captions into the arrays that training reads, held-out twins removed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from recipes.mini.captions import SLOTS, Captions, build_captions, soft_neighbours
from recipes.mini.catalogue import Drawing
from recipes.mini.fetch import load_collection
from recipes.mini.focus import SUBJECTS, focus_weights
from recipes.mini.names import squash, strip_style
from recipes.mini.render import Pixels, load_drawings, load_pixels
from recipes.mini.signatures import find_twins, signature
from recipes.mini.text import TextTower, embed_texts, load_text_tower

_HELD_OUT: Final = ("selection", "report")
_NEIGHBOURS: Final = 16
_TAU: Final = 0.08


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Everything a training step reads.

    Attributes:
        pixels: RGBA, uint8 [M,96,96,4].
        labels: Class of each drawing, int64 [M].
        groups: Group of each drawing: `emoji`, `flag`, `colour` or `plain`.
        sets: Icon set of each drawing.
        toned: Whether a drawing is a skin-tone variant, bool [M].
        palette: Whether a drawing has its own colours, bool [M].
        captions: Unit vectors, float32 [C,SLOTS,384].
        near: Classes of like meaning, int64 [C,16].
        share: Their shares of the target, float32 [C,16].
        focus: How much more often a class is shown, float64 [C].
    """

    pixels: Pixels
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    sets: npt.NDArray[np.str_]
    toned: npt.NDArray[np.bool_]
    palette: npt.NDArray[np.bool_]
    captions: npt.NDArray[np.float32]
    near: npt.NDArray[np.int64]
    share: npt.NDArray[np.float32]
    focus: npt.NDArray[np.float64]


def prepare(work: Path) -> None:
    """Write `training.npz`, `captions.npz`, `centre.npy` and `classes.json`; skip when there.

    Args:
        work: The work folder, rendered.
    """
    if (work / "captions.npz").exists():
        return
    drawings, pixels = load_drawings(work), load_pixels(work)
    kept = training_rows(work, drawings, pixels)
    captions = build_captions(work, [drawings[i] for i in kept])
    number = {name: i for i, name in enumerate(captions.names)}
    chosen = [drawings[i] for i in kept]
    np.savez(
        work / "training.npz",
        rows=kept,
        labels=np.array([number[d.name] for d in chosen], np.int64),
        groups=np.array([d.group for d in chosen]),
        sets=np.array([d.icon_set for d in chosen]),
        toned=np.array([d.toned for d in chosen]),
        palette=np.array([d.palette for d in chosen]),
    )
    (work / "classes.json").write_text(json.dumps([captions.names, captions.texts]))
    _embed(work, captions)


def training_rows(work: Path, drawings: list[Drawing], pixels: Pixels) -> npt.NDArray[np.int64]:
    """List the training drawings: none looks like a held-out one, skin tones among them, or is named like a company.

    Args:
        work: The work folder, rendered; the answer is kept there.
        drawings: As listed by `render`.
        pixels: As rendered.

    Returns:
        Rows of the rendered pixels, int64 [M].
    """
    path = work / "training_rows.npy"
    if not path.exists():
        np.save(path, _without_brands(work, drawings, _without_twins(drawings, pixels)))
    rows: npt.NDArray[np.int64] = np.load(path)
    return rows


def _without_brands(work: Path, drawings: list[Drawing], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Drop drawings named like a company: Simple Icons, which is not used, lists their names."""
    brands = {squash(strip_style(icon)) for icon in load_collection(work, "simple-icons").icons}
    return np.array([i for i in rows if squash(drawings[i].name) not in brands], np.int64)


def _without_twins(drawings: list[Drawing], pixels: Pixels) -> npt.NDArray[np.int64]:
    prints = np.stack([signature(p) for p in track(pixels, "compare drawings")])
    seen = ~np.isnan(prints[:, 0])
    outside = np.array([d.group in _HELD_OUT for d in drawings])
    inside = np.flatnonzero(~outside & seen)
    twin = find_twins(prints[inside], prints[outside & seen])
    return inside[~twin]


def _embed(work: Path, captions: Captions) -> None:
    tower = load_text_tower()
    plain = embed_texts(tower, [texts[0] for texts in captions.texts])
    centre = plain.mean(0)
    np.save(work / "centre.npy", centre)
    tower = _text_tower(work)
    texts = sorted({t for each in captions.texts for t in each})
    row = {text: i for i, text in enumerate(texts)}
    vectors = np.concatenate(
        [embed_texts(tower, texts[i : i + 2048]) for i in track(range(0, len(texts), 2048), "embed")]
    )
    slots = np.array([[row[t] for t in each] for each in captions.texts])
    table = vectors[slots]
    near, share = soft_neighbours(table[:, 0], _NEIGHBOURS, _TAU)
    np.savez(work / "captions.npz", captions=table, near=near, share=share)


def _text_tower(work: Path) -> TextTower:
    return load_text_tower(torch.from_numpy(np.load(work / "centre.npy")))


def load_training(work: Path) -> TrainingData:
    """Load the prepared arrays, the pixels into memory.

    Args:
        work: The work folder, prepared.

    Returns:
        The training data.
    """
    rows, words = np.load(work / "training.npz"), np.load(work / "captions.npz")
    assert words["captions"].shape[1] == SLOTS  # noqa: S101 - a changed recipe needs a new folder
    return TrainingData(
        pixels=np.ascontiguousarray(load_pixels(work)[rows["rows"]]),
        labels=rows["labels"],
        groups=rows["groups"],
        sets=rows["sets"],
        toned=rows["toned"],
        palette=rows["palette"],
        captions=words["captions"],
        near=words["near"],
        share=words["share"],
        focus=focus_weights(words["captions"][:, 0], embed_texts(_text_tower(work), SUBJECTS)),
    )
