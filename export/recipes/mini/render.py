"""Draw every chosen icon once, into one array of RGBA pixels and a list that says what each is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image
from rich.progress import Progress

from recipes.mini.catalogue import Drawing, catalogue
from recipes.mini.fetch import Collection, load_collection

SIDE: Final = 96  # pixels; half as much again as training starts with, room to zoom
_WORKERS: Final = 2
Pixels = npt.NDArray[np.uint8]


def svg_of(source: Collection, icon: str, side: int = SIDE) -> str:
    """Write an icon as an SVG document on a square canvas.

    Args:
        source: The icon's set.
        icon: Its name.
        side: Of the canvas, in pixels.

    Returns:
        The document; `currentColor` is black.
    """
    record = source.icons[icon]
    width, height = record.get("width", source.width), record.get("height", source.height)
    left, top, longest = record.get("left", 0), record.get("top", 0), max(width, height)
    box = f"{left - (longest - width) / 2} {top - (longest - height) / 2} {longest} {longest}"
    body = record["body"].replace("currentColor", "#000")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{side}" height="{side}">{body}</svg>'
    )


def draw(svg: str, side: int = SIDE) -> Pixels:
    """Rasterise an SVG document.

    Args:
        svg: The document.
        side: Of its canvas, in pixels: S.

    Returns:
        RGBA pixels, uint8 [S,S,4], straight alpha.
    """
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side))
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGBA"))


def render(work: Path) -> None:
    """Render the catalogue to `pixels.npy` and `drawings.jsonl`; skip when both exist.

    Args:
        work: The work folder, fetched.
    """
    listing, pixels = work / "drawings.jsonl", work / "pixels.npy"
    if listing.exists() and pixels.exists():
        return
    drawings = catalogue(work)
    jobs = [(work, p, list(g)) for p, g in groupby(drawings, key=lambda d: d.icon_set)]
    scratch = work / "pixels.part.npy"
    store = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=(len(drawings), SIDE, SIDE, 4))
    row = 0
    with ProcessPoolExecutor(_WORKERS) as pool, Progress() as progress:
        task = progress.add_task("render", total=len(drawings))
        for block in pool.map(_render_set, jobs):
            store[row : row + len(block)] = block
            row += len(block)
            progress.update(task, completed=row)
    store.flush()
    scratch.rename(pixels)
    listing.write_text("".join(json.dumps(asdict(d)) + "\n" for d in drawings))


def _render_set(job: tuple[Path, str, list[Drawing]]) -> Pixels:
    work, prefix, drawings = job
    source = load_collection(work, prefix)
    block = np.zeros((len(drawings), SIDE, SIDE, 4), np.uint8)
    for row, drawing in enumerate(drawings):
        try:
            block[row] = draw(svg_of(source, drawing.icon))
        except ValueError:  # resvg refuses a handful of malformed bodies: they stay blank
            continue
    return block


def load_drawings(work: Path) -> list[Drawing]:
    """Read what `render` listed.

    Args:
        work: The work folder.

    Returns:
        One record a row of the pixels.
    """
    return [Drawing(**record) for record in _lines(work / "drawings.jsonl")]


def load_pixels(work: Path) -> Pixels:
    """Map the rendered pixels.

    Args:
        work: The work folder.

    Returns:
        RGBA, uint8 [M,96,96,4], read only.
    """
    mapped: Pixels = np.load(work / "pixels.npy", mmap_mode="r")
    return mapped


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        for line in file:
            yield json.loads(line)
