"""Decoded images that wait for the encoder: which of them go next, and which nobody waits for any more.

Plain bookkeeping without a thread or a task: the batcher says when, and what time it is.
"""

import asyncio
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import ClipwardenError, DeadlineError

PATIENCE_SECONDS = 5.0
"""An item ranks as if due this long after its arrival at the latest; about what a person waits for a page."""

Pixels = NDArray[np.uint8]  # [V,S,S,3]
Vectors = NDArray[np.float32]  # [V,D]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One image's embeddings.

    Attributes:
        embeddings: `[V,D]` float32, in the order of the views.
        queue_seconds: From submission to the start of the run that answered.
        encode_seconds: That run.
        batch_size: Views in that run.
    """

    embeddings: Vectors
    queue_seconds: float
    encode_seconds: float
    batch_size: int


@dataclass(eq=False, kw_only=True, slots=True)
class QueuedImage:
    """One image on its way through the encoder.

    Attributes:
        pixels: `[V,S,S,3]`; emptied once nobody waits for the item.
        deadline: Seconds on the batcher's clock; infinite for none.
        arrived: Likewise.
        answer: What the caller awaits; done as soon as the caller has left, too.
        views: V.
        rank: The lower, the more urgent.
    """

    pixels: Pixels
    deadline: float
    arrived: float
    answer: asyncio.Future[Encoded]
    views: int = field(init=False)
    rank: float = field(init=False)

    def __post_init__(self) -> None:
        """Remember what must not change when the pixels are let go."""
        self.views = len(self.pixels)
        self.rank = min(self.deadline, self.arrived + PATIENCE_SECONDS)

    def deliver(self, encoded: Encoded) -> None:
        """Answer the caller, unless it has left."""
        if not self.answer.done():
            self.answer.set_result(encoded)

    def fail(self, error: ClipwardenError) -> None:
        """Answer the caller with an error, unless it has left."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def let_go(self) -> None:
        """Drop the pixels, which weigh; the item itself may lie in the queue a while longer."""
        self.pixels = self.pixels[:0].copy()


class WaitingImages:
    """The queue. Lives on one event loop."""

    def __init__(self) -> None:
        self._items: list[QueuedImage] = []
        self.expired = 0

    @property
    def live(self) -> list[QueuedImage]:
        """Items that somebody still waits for."""
        return [item for item in self._items if not item.answer.done()]

    def add(self, item: QueuedImage) -> None:
        """Let an item wait."""
        self._items.append(item)

    def take(self, *, now: float, max_views: int) -> list[QueuedImage]:
        """Take the most urgent items that fit into one run; forget those that nobody waits for any more.

        Args:
            now: Items whose deadline is not later fail.
            max_views: Of the run. The first item always goes, since views of one image stay together.

        Returns:
            The items; empty when none is left.
        """
        for item in self.live:
            if item.deadline <= now:
                self.expired += 1
                item.fail(DeadlineError("the deadline passed while the image waited for the encoder"))
        ordered = sorted(self.live, key=lambda item: item.rank)
        count, views = 0, 0
        for item in ordered:
            views += item.views
            if count and views > max_views:
                break
            count += 1
        self._items = ordered[count:]
        return ordered[:count]

    def fail_all(self, error: ClipwardenError) -> None:
        """Answer everyone with an error."""
        for item in self._items:
            item.fail(error)
        self._items = []
