"""Embed drawings under every view, once a model, and keep the vectors."""

import hashlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from clipwarden.modelfolder.load import Model
from clipwarden.vision.preprocess import fit_to_side
from recipes.mini.catalogue import Drawing
from recipes.mini.labels import is_restyled
from recipes.mini.names import to_words
from recipes.mini.prepare import training_rows
from recipes.mini.render import Pixels, load_drawings, load_pixels
from recipes.mini.signatures import signature
from recipes.mini.views import Scene, chance_of, show

SEED: Final = 20261121
_CLUTTER_SOURCE: Final = 400  # held-out drawings whose pieces make clutter
_BATCH: Final = 64
Vectors = npt.NDArray[np.float32]


class HeldOut:
    """The rendered drawings, the held-out ones above all, and their vectors under one model."""

    def __init__(self, work: Path, model: Model) -> None:
        self._work = work
        self._model = model
        self._pixels: Pixels = load_pixels(work)
        self._drawings = load_drawings(work)
        self._cache = work / "vectors" / model.fingerprint.removeprefix("sha256:")[:16]
        self._cache.mkdir(parents=True, exist_ok=True)
        held = [i for i, d in enumerate(self._drawings) if d.group in {"selection", "report"} and not d.toned]
        picks = np.random.default_rng(SEED).choice(held, _CLUTTER_SOURCE, replace=False)
        self._others: Pixels = self._pixels[np.sort(picks)]

    def rows_of(self, icon_set: str, *, tones: bool = False) -> npt.NDArray[np.int64]:
        """List a set's drawings, one style each.

        Args:
            icon_set: Iconify prefix.
            tones: Whether to list the skin tones of a drawing beside the toneless one.

        Returns:
            Rows of the rendered pixels.
        """
        own = (i for i, d in enumerate(self._drawings) if d.icon_set == icon_set and (tones or not d.toned))
        return np.array([i for i in own if not is_restyled(self._drawings[i].icon)])

    def rows_in(self, group: str) -> npt.NDArray[np.int64]:
        """List all drawings of a role with their skin tones, one style each.

        Args:
            group: `selection` or `report`, or `training`: then without what looks like a held-out drawing.

        Returns:
            Rows of the rendered pixels.
        """
        if group == "training":
            return training_rows(self._work, self._drawings, self._pixels)
        return np.array([i for i, d in enumerate(self._drawings) if d.group == group and not is_restyled(d.icon)])

    def signatures(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Summarise drawings, so that near copies can be found.

        Args:
            rows: Of the rendered pixels.

        Returns:
            float32 [len(rows),576].
        """
        return np.stack([signature(self._pixels[row]) for row in rows])

    def without_copies(self, rows: npt.NDArray[np.int64], first: Container[int]) -> npt.NDArray[np.int64]:
        """Keep one of the drawings whose renders are equal, as sets list one drawing under several names.

        Args:
            rows: Of the rendered pixels.
            first: Rows that are kept before others.

        Returns:
            The rows kept, rising.
        """
        kept: dict[bytes, int] = {}
        for row in sorted(rows.tolist(), key=lambda r: (r not in first, r)):
            kept.setdefault(hashlib.sha256(self._pixels[row].tobytes()).digest(), row)
        return np.array(sorted(kept.values()))

    def drawing(self, row: int) -> Drawing:
        """Return what a row is.

        Args:
            row: Of the rendered pixels.

        Returns:
            The drawing's record.
        """
        return self._drawings[row]

    def names(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Write the names of drawings in plain words.

        Args:
            rows: Of the rendered pixels.

        Returns:
            As in `beer mug`.
        """
        return [to_words(self._drawings[row].icon) for row in rows]

    @property
    def cache(self) -> Path:
        """Where vectors of this model are kept."""
        return self._cache

    def rgba(self, row: int) -> Pixels:
        """Return a drawing as it was rendered.

        Args:
            row: Of the rendered pixels.

        Returns:
            Straight RGBA, uint8 [S,S,4].
        """
        return np.array(self._pixels[row])

    def picture(self, row: int, view: str) -> npt.NDArray[np.uint8]:
        """Show a drawing under a view, as the encoder will see it.

        Args:
            row: Of the rendered pixels.
            view: A key of VIEWS.

        Returns:
            uint8 [S,S,3].
        """
        scene = Scene(
            rgba=np.array(self._pixels[row]),
            palette=self._drawings[row].palette,
            others=self._others,
            chance=chance_of(SEED, int(row)),
        )
        return fit_to_side(show(view, scene), self._model.manifest.image)

    def vectors(self, rows: npt.NDArray[np.int64], view: str) -> Vectors:
        """Embed drawings under a view; vectors once computed are read back.

        Args:
            rows: Of the rendered pixels.
            view: A key of VIEWS.

        Returns:
            Unit vectors, float32 [len(rows),D].
        """
        path = self._cache / f"{view}.npz"
        known = dict(_read(path))
        missing = [int(row) for row in rows if int(row) not in known]
        if missing:
            known |= dict(zip(missing, self._embed(missing, view), strict=True))
            order = sorted(known)
            np.savez(path, rows=np.array(order), vectors=np.stack([known[row] for row in order]))
        return np.stack([known[int(row)] for row in rows])

    def _embed(self, rows: Sequence[int], view: str) -> Iterator[npt.NDArray[np.float32]]:
        with Progress() as progress:
            for start in progress.track(range(0, len(rows), _BATCH), description=f"embed {view}"):
                block = rows[start : start + _BATCH]
                yield from self._model.image.encode(np.stack([self.picture(row, view) for row in block]))


def _read(path: Path) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    if path.exists():
        with np.load(path) as stored:
            yield from zip(stored["rows"].tolist(), stored["vectors"], strict=True)
