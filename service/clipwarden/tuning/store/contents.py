"""What a store holds, as columns: uploads and the pictures they show. Vectors stay on disk until asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.store.digests import Digests


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Uploads:
    """U uploads, in the order of (picture, time, uri): the order in which they were taken in changes nothing.

    Attributes:
        picture: `[U]` intp, which of the pictures each shows; -1 where it cannot be judged.
        sha256: U digests of the files; zeros where a file could not even be read.
        uri: U names, as a manifest wrote them, or absolute paths.
        time: `[U]` datetime64[us], UTC, NaT where unknown; None where no upload has one.
        slices: By name, `[U]` texts as objects; "" where unknown.
    """

    picture: NDArray[np.intp]
    sha256: Digests
    uri: Sequence[str]
    time: NDArray[np.datetime64] | None
    slices: Mapping[str, NDArray[np.object_]]

    def __len__(self) -> int:
        return len(self.picture)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """P distinct pictures that can be judged, by digest; R views.

    Attributes:
        sha256: P digests, rising.
        starts: `[P]` intp, the first view of each, rising: what `ufunc.reduceat` wants.
        views: R views, in row order.
        width: `[P]` int32, as displayed, in pixels.
        height: `[P]` int32, likewise.
        partial: `[P]` bool, whether something of it is in none of its views: frames, parts, rows, brightness.
        degraded: `[P]` bool, whether it is too poor to score well, or viewers may show it in other colours.
        share_shown: `[P]` float64, share of its rows that the file holds whole; below 1 a policy may refuse it.
        coverage: `[P]` float64, share of its area that some view shows; NaN where it was not kept.
        resolution: `[P]` float64, least pixels that the views give to its shorter side; NaN where nobody knows.
    """

    sha256: Digests
    starts: NDArray[np.intp]
    views: Sequence[ViewRef]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    partial: NDArray[np.bool_]
    degraded: NDArray[np.bool_]
    share_shown: NDArray[np.float64]
    coverage: NDArray[np.float64]
    resolution: NDArray[np.float64]
    read_all: Callable[[], NDArray[np.float32]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """All vectors, `[R,D]` float32, unit rows: 4 * D bytes a view, kept once asked for.

        `Store.blocks` gives them a few at a time, `Store.vectors` those of some pictures.

        Raises:
            StoreError: A part was changed, or holds what is no unit vector.
        """
        return self.read_all()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """Some pictures with their vectors.

    Attributes:
        pictures: `[K]` intp, which of the store's.
        starts: `[K]` intp, the first row of each in `embeddings`.
        embeddings: `[r,D]` float32, unit rows.
    """

    pictures: NDArray[np.intp]
    starts: NDArray[np.intp]
    embeddings: NDArray[np.float32]
