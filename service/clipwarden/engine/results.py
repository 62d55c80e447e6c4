"""What comes out of the pipeline, and what goes into it when embeddings were kept: frozen values."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipwarden.engine.snapshot import Selection
from clipwarden.scoring.verdict import Judgement, ViewRef
from clipwarden.vision.decode import ImageFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """Where the time of one image went, in seconds; None for stages that did not run."""

    decode_wait: float | None = None
    decode: float | None = None
    queue: float | None = None
    encode: float | None = None
    judge: float
    total: float
    batch_size: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """A verdict and what it was made from.

    Attributes:
        judgement: The verdict and its numbers.
        facts: None for stored embeddings.
        frames_total: Of the image.
        frames_judged: Of the image.
        degraded: Names of what makes the image too poor to score well.
        views: V names, in row order.
        embeddings: `[V,D]` float32.
        timings: Where the time went.
        selection: What it was judged with.
    """

    judgement: Judgement
    facts: ImageFacts | None
    frames_total: int
    frames_judged: int
    degraded: tuple[str, ...]
    views: tuple[ViewRef, ...]
    embeddings: NDArray[np.float32]
    timings: Timings
    selection: Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredImage:
    """What is left of an image whose embeddings were kept.

    Attributes:
        embeddings: `[V,D]` float32.
        views: V names, in row order.
        frames_total: Of the image.
        frames_judged: Of the image.
        degraded: Names of what made the image too poor to score well.
    """

    embeddings: NDArray[np.float32]
    views: Sequence[ViewRef]
    frames_total: int = 1
    frames_judged: int = 1
    degraded: tuple[str, ...] = field(default=())
