"""Drawings laid out in; embeddings of every view that some plan takes of them, out, kept on disk as they are made.

Auto's squares are the first of tiles' views, and of a square picture the only one is the very view that `whole` makes,
so every view is embedded once.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.layouts.material import Material, Rows, chance_of
from clipwarden.modelfolder.load import Model
from clipwarden.vision.plan import Views
from clipwarden.vision.rendering import Picture, render
from recipes.mini.layouts import Layout

WHOLE, SQUARE, BOTH, CLOSER = 0, 1, 2, 3
"""What takes a view: `whole` alone, `auto` and `tiles`, all three, `tiles` alone."""
TAKES: Final = {Views.WHOLE: (WHOLE, BOTH), Views.AUTO: (SQUARE, BOTH), Views.TILES: (SQUARE, BOTH, CLOSER)}
_CHUNK: Final = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedded:
    """Views of the pictures of one layout.

    Attributes:
        vectors: float32 `[V,D]`.
        picture: `[V]`, of which picture each is.
        taken: `[V]`, by whom.
        drawing: `[P]`, of which row of its population each picture is.
    """

    vectors: NDArray[np.float32]
    picture: Rows
    taken: Rows
    drawing: Rows


def embed(
    material: Material, model: Model, layout: Layout, population: str, folder: Path, *, closer: bool, first: int
) -> Embedded:
    """Embed what one layout makes of a population; read it where that was done before.

    Args:
        material: The drawings.
        model: The embedded one.
        layout: Harmful drawings stand in each of its places once, a harmless one in one that is drawn.
        population: "harmful" or "harmless".
        folder: Where embeddings are kept.
        closer: Whether to make the views that `tiles` adds, and no others.
        first: How many drawings.
    """
    jobs = (
        _jobs(material, layout, population)[:first] if population == "harmless" else _jobs(material, layout, population)
    )
    name = (
        f"{population}-{layout.name.replace(' ', '_').replace(':', '-')}-{'closer' if closer else 'plain'}-{len(jobs)}"
    )
    path = folder / model.fingerprint.removeprefix("sha256:")[:16] / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        vectors, picture, taken = _embedded(material, model, layout, population, jobs, closer=closer)
        scratch = path.with_suffix(".part.npz")
        np.savez(scratch, vectors=vectors, picture=picture, taken=taken)
        scratch.rename(path)
    with np.load(path) as kept:
        return Embedded(
            vectors=kept["vectors"],
            picture=kept["picture"],
            taken=kept["taken"],
            drawing=np.array([at for at, _ in jobs], np.intp),
        )


def _jobs(material: Material, layout: Layout, population: str) -> list[tuple[int, int]]:
    """List (drawing, place) of every picture."""
    rows = material.rows[population]
    if population == "harmful":
        return [(at, place) for at in range(len(rows)) for place in range(layout.places)]
    return [(at, int(chance_of(row, layout, layout.places).integers(layout.places))) for at, row in enumerate(rows)]


def _embedded(
    material: Material, model: Model, layout: Layout, population: str, jobs: list[tuple[int, int]], *, closer: bool
) -> tuple[NDArray[np.float32], Rows, Rows]:
    run = partial(_chunk, material, model, layout, population, closer=closer)
    starts = range(0, len(jobs), _CHUNK)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(run, ((start, jobs[start : start + _CHUNK]) for start in starts)))
    vectors, picture, taken = (np.concatenate(each) for each in zip(*parts, strict=True))
    return vectors, picture, taken


def _chunk(
    material: Material,
    model: Model,
    layout: Layout,
    population: str,
    chunk: tuple[int, list[tuple[int, int]]],
    *,
    closer: bool,
) -> tuple[NDArray[np.float32], Rows, Rows]:
    start, jobs = chunk
    pixels, picture, taken = [], [], []
    for number, (at, place) in enumerate(jobs, start):
        for row, who in _views(composed(material, layout, population, at, place), model, closer=closer):
            pixels.append(row)
            picture.append(number)
            taken.append(who)
    return model.image.encode(np.stack(pixels)), np.array(picture, np.intp), np.array(taken, np.intp)


def composed(material: Material, layout: Layout, population: str, at: int, place: int) -> Image.Image:
    """Make one picture."""
    row = int(material.rows[population][at])
    others = material.company(population, at, layout, place) if layout.others else []
    return layout.compose(material.picture(population, at), others, place, chance_of(row, layout, place))


def _views(image: Image.Image, model: Model, *, closer: bool) -> Iterator[tuple[NDArray[np.uint8], int]]:
    picture, preprocessing = Picture(image=image, size=image.size), model.manifest.image
    squares = render(picture, preprocessing, Views.AUTO).pixels
    if closer:
        tiles = render(picture, preprocessing, Views.TILES).pixels
        yield from ((row, CLOSER) for row in tiles[len(squares) :])
    elif len(squares) == 1:
        yield squares[0], BOTH
    else:
        yield render(picture, preprocessing, Views.WHOLE).pixels[0], WHOLE
        yield from ((row, SQUARE) for row in squares)
