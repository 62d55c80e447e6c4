"""The recipe's held-out drawings in; harmful ones and some harmless ones, drawn large enough for layouts, out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.tuning.drawings import write
from bench.tuning.halves import first_half
from bench.tuning.labelled import LISTING, Drawings, read
from clipwarden.tuning.labels.model import Mark
from recipes.mini.fetch import load_collection
from recipes.mini.layouts import Layout
from recipes.mini.render import Pixels, draw, svg_of

CELL: Final = 192
"""Side of a drawing, in pixels: twice the side of the embedded model's input, so that `tiles` look closer at all."""
SEED: Final = 15
_HARMFUL, _HARMLESS = "harmful", "harmless"
POPULATIONS: Final = (_HARMFUL, _HARMLESS)
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What layouts are made of.

    Attributes:
        drawings: All held-out ones.
        half: `[N]`, in which half of the drawing houses each is, 0 or 1.
        rows: By population, rows of `drawings`; of harmless ones both halves take turns, so that the first few are a
            sample too.
        pixels: uint8 `[K,S,S,4]`: those rows', harmful ones first.
    """

    drawings: Drawings
    half: Rows
    rows: dict[str, Rows]
    pixels: Pixels

    def picture(self, population: str, at: int) -> Pixels:
        """Return the drawing of a row of a population."""
        found: Pixels = self.pixels[at + (len(self.rows[_HARMFUL]) if population == _HARMLESS else 0)]
        return found

    def marks(self, population: str) -> NDArray[np.int8]:
        """Return `[K,C]` of `Mark`."""
        return self.drawings.marks[self.rows[population]]

    def company(self, population: str, at: int, layout: Layout, place: int) -> list[Pixels]:
        """Choose harmless drawings of the same half to stand beside one."""
        own, rows = self.rows[population][at], self.rows[_HARMLESS]
        alike = np.flatnonzero((self.half[rows] == self.half[own]) & (rows != own))
        chosen = chance_of(own, layout, place).choice(alike, layout.others, replace=False)
        return [self.picture(_HARMLESS, int(other)) for other in chosen]


def chance_of(row: int, layout: Layout, place: int) -> np.random.Generator:
    """Return the generator of one picture, so that it never changes."""
    return np.random.default_rng([SEED, int(row), *layout.name.encode(), place])


def load(recipe: Path, work: Path, harmless: int) -> Material:
    """Choose and draw; what is in `work` already is read.

    Args:
        recipe: The recipe's work folder, fetched and rendered.
        work: The bench's own.
        harmless: How many of them.
    """
    if not (work / LISTING).exists():
        write(recipe, work)
    drawings = read(work)
    half = np.where(first_half(drawings), 0, 1)
    clean = (drawings.marks == Mark.NEGATIVE).all(1)
    dealt = [np.random.default_rng([SEED, one]).permutation(np.flatnonzero(clean & (half == one))) for one in (0, 1)]
    each = harmless // 2
    rows = {
        _HARMFUL: np.flatnonzero((drawings.marks == Mark.POSITIVE).any(1)),
        _HARMLESS: np.stack([dealt[0][:each], dealt[1][:each]], 1).reshape(-1),
    }
    return Material(
        drawings=drawings, half=half, rows=rows, pixels=_drawn(recipe, work, drawings, np.concatenate([*rows.values()]))
    )


def _drawn(recipe: Path, work: Path, drawings: Drawings, rows: Rows) -> Pixels:
    path = work / f"drawn-{len(rows)}.npy"
    if not path.exists():
        sources = {name: load_collection(recipe, name) for name in set(drawings.sets)}
        scratch = path.with_suffix(".part.npy")
        store = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=(len(rows), CELL, CELL, 4))
        for at, row in enumerate(rows):
            store[at] = draw(svg_of(sources[drawings.sets[row]], drawings.icons[row], CELL), CELL)
        store.flush()
        scratch.rename(path)
    mapped: Pixels = np.load(path, mmap_mode="r")
    return mapped
