"""Pixels in, what became of them out: calls of the encoder in several threads at once.

Lives on one event loop, and never queues: whoever begins a run has seen that a thread is free.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from clipwarden.engine.pool import Piece, ThreadPool
from clipwarden.engine.waiting import Outcome, Pixels, Vectors, View, pixels_of
from clipwarden.errors import EncoderError

Encode = Callable[[Pixels], Vectors]


class Run(Piece[Outcome]):
    """One call of the encoder.

    Attributes:
        views: What it encodes; none for a probe.
        answered_before: How many runs had answered when it began.
        alone: What is done with its outcome instead of telling the owner; None for nothing.
    """

    __slots__ = ("alone", "answered_before", "views")

    def __init__(self, work: Callable[[], Outcome], *, views: Sequence[View] = (), answered_before: int = 0) -> None:
        super().__init__(work)
        self.views = views
        self.answered_before = answered_before
        self.alone: asyncio.Future[Outcome] | None = None


class RunThreads:
    """The encoder's threads.

    Attributes:
        size: How many there are.

    Args:
        encode: `[V,S,S,3]` uint8 to `[V,D]` float32; blocks, and is called in all threads at once.
        size: Most runs at the same time.
        probe: `[1,S,S,3]`: what a run without views encodes.
        clock: Seconds, from any thread.
        on_stuck: Told of a run that takes longer than it may.
        on_end: Told how a run ended, stuck or not; its thread is free by then.
        niceness: As for `ThreadPool`.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        size: int,
        probe: Pixels,
        clock: Callable[[], float],
        on_stuck: Callable[[Run], None],
        on_end: Callable[[Run, Outcome], None],
        niceness: int = 0,
    ) -> None:
        self.size = size
        self._encode = encode
        self._probe = probe
        self._clock = clock
        self._on_end = on_end
        self._pool = ThreadPool[Run]("encoder", size=size, on_end=self._end, on_stuck=on_stuck, niceness=niceness)

    @property
    def free(self) -> int:
        """How many threads could begin a run now."""
        return self._pool.free

    @property
    def stuck(self) -> int:
        """How many threads may never come back."""
        return self._pool.stuck

    @property
    def busy_seconds(self) -> float:
        """How long threads have been at work so far, added up."""
        return self._pool.busy_seconds

    @property
    def probing(self) -> bool:
        """Whether a probe is under way that may still tell something."""
        return any(not run.views and not run.stuck for run in self._pool.under_way)

    def begin(self, views: Sequence[View], *, answered_before: int, stall_seconds: float) -> None:
        """Run in a free thread."""
        work = partial(self._outcome_of, pixels_of(views) if views else [self._probe])
        self._pool.begin(Run(work, views=views, answered_before=answered_before), stall_seconds=stall_seconds)

    async def alone(self, pixels: Pixels) -> Outcome:
        """Run past all bookkeeping, in a thread that must be free."""
        run = Run(partial(self._outcome_of, [pixels]))
        run.alone = asyncio.get_running_loop().create_future()
        self._pool.begin(run, stall_seconds=math.inf)
        return await run.alone

    def close(self) -> None:
        """End the threads, but those that never come back."""
        self._pool.close()

    def _end(self, run: Run) -> None:
        outcome = run.value or self._failure(run)
        if run.alone is None:
            self._on_end(run, outcome)
        elif not run.alone.done():
            run.alone.set_result(outcome)

    def _outcome_of(self, parts: Sequence[Pixels]) -> Outcome:
        """Encode, in a thread; copying the views together costs time too, so it happens here."""
        started = self._clock()
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts)
        vectors = self._encode(pixels)
        # A vector for each view, lest images get their neighbours'; the encoder checks what is in them.
        if vectors.ndim != 2 or len(vectors) != len(pixels):  # noqa: PLR2004
            raise EncoderError(f"the encoder answered {list(vectors.shape)} numbers, not [{len(pixels)},D]")
        return Outcome(vectors=vectors, error=None, started=started, ended=self._clock())

    def _failure(self, run: Run) -> Outcome:
        now = self._clock()
        return Outcome(vectors=np.empty((0, 0), np.float32), error=run.error, started=now, ended=now)
