"""One image on its way through the encoder: its views in, their vectors gathered from whatever runs they were in.

Plain bookkeeping without a thread or a task: the batcher says when, and what time it is.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipwarden.engine.line import Entry
from clipwarden.engine.terms import Terms
from clipwarden.errors import ClipwardenError

Pixels = NDArray[np.uint8]  # [V,S,S,3]
Vectors = NDArray[np.float32]  # [V,D]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One image's embeddings.

    Attributes:
        embeddings: `[V,D]` float32, in the order of the views.
        queue_seconds: From submission to the start of the first run that answered one of its views.
        encode_seconds: From there to the end of the last one: of an image that ran in one piece, that run.
        batch_size: Views of the largest of these runs, other images' among them.
    """

    embeddings: Vectors
    queue_seconds: float
    encode_seconds: float
    batch_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one run: its vectors, or why there are none.

    Attributes:
        vectors: `[V,D]` float32; empty where it failed.
        error: Why it failed; None where it did not.
        started: On the batcher's clock, in its thread: what it waits for the processor there counts as waiting.
        ended: Likewise.
    """

    vectors: Vectors
    error: BaseException | None
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.ended - self.started


class View(NamedTuple):
    """One view of an image: what waits, and what a run is made of."""

    image: "QueuedImage"
    number: int


@dataclass(eq=False, kw_only=True, slots=True)
class QueuedImage:
    """One image on its way through the encoder.

    Attributes:
        pixels: `[V,S,S,3]`; emptied once nobody waits for the image.
        terms: The deadline is on the batcher's clock.
        arrived: Likewise.
        answer: What the caller awaits; done as soon as the caller has left, too.
        on_begun: Called once, with whether a run has it: see `begin`.
        on_waiting: Told how many of its views no run has had, whenever that changes.
        places: Of its views in the queue.
        begun: Whether a run has had a view of it, or it has left without.
    """

    pixels: Pixels
    terms: Terms
    arrived: float
    answer: asyncio.Future[Encoded]
    on_begun: Callable[[bool], None]
    on_waiting: Callable[[int], None]
    places: Sequence[Entry[View]] = field(default=(), repr=False)
    begun: bool = False
    _vectors: Vectors | None = None
    _waiting: int = field(init=False)
    _missing: int = field(init=False)
    _first_started: float = math.inf
    _last_ended: float = math.inf
    _largest_run: int = 0

    def __post_init__(self) -> None:
        """Remember what must not change when the pixels are let go."""
        self._waiting = self._missing = len(self.pixels)
        self.on_waiting(self._waiting)

    @property
    def done(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.answer.done()

    def begin(self, *, in_run: bool) -> None:
        """Say, the first time, that it waits no longer: a run has it, or it left before one had."""
        if not self.begun:
            self.begun = True
            self.on_begun(in_run)

    def enter_run(self) -> None:
        """Say that a run has one of its views; again, where that failed and it is tried once more."""
        self.begin(in_run=True)
        self._wait(self._waiting - 1)

    def _wait(self, views: int) -> None:
        if self._waiting > 0:
            self._waiting = views
            self.on_waiting(views)

    def receive(self, number: int, outcome: Outcome, row: int) -> None:
        """Take the vector of one view out of a run's; answer the caller when it was the last, unless it has left."""
        if self.done:
            return
        if self._vectors is None:
            self._vectors = np.empty((len(self.pixels), outcome.vectors.shape[1]), dtype=np.float32)
        # A copy: a row that is kept must not keep its whole run.
        self._vectors[number] = outcome.vectors[row]
        self._first_started = min(self._first_started, outcome.started)
        self._last_ended = outcome.ended
        self._largest_run = max(self._largest_run, len(outcome.vectors))
        self._missing -= 1
        if not self._missing:
            self.answer.set_result(self._encoded(self._vectors))

    def _encoded(self, vectors: Vectors) -> Encoded:
        return Encoded(
            embeddings=vectors,
            queue_seconds=self._first_started - self.arrived,
            encode_seconds=self._last_ended - self._first_started,
            batch_size=self._largest_run,
        )

    def fail(self, error: ClipwardenError) -> None:
        """Answer the caller with an error, unless it has left."""
        if not self.done:
            self.answer.set_exception(error)

    def let_go(self) -> None:
        """Drop the pixels, which weigh; a run that is under way has its own hold on them."""
        self.pixels = self.pixels[:0].copy()
        self.places = ()
        self._wait(0)


def pixels_of(views: Sequence[View]) -> list[Pixels]:
    """Name the pixels of some views, for `np.concatenate`; an image that runs alone is one piece, and is not copied."""
    image, first = views[0]
    if all(view == (image, first + place) for place, view in enumerate(views)):
        return [image.pixels[first : first + len(views)]]
    return [view.image.pixels[view.number : view.number + 1] for view in views]


def images_of(views: Sequence[View]) -> list[QueuedImage]:
    """List the images that views are of, each once, in order."""
    return list(dict.fromkeys(view.image for view in views))
