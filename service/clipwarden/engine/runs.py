"""Pixels in, what became of them out: calls of the encoder in several threads at once, and which of them are stuck.

Lives on one event loop, and never queues: whoever begins a run has seen that a thread is free.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from clipwarden.engine.waiting import Outcome, Pixels, Vectors, View, pixels_of
from clipwarden.errors import EncoderError

Encode = Callable[[Pixels], Vectors]


@dataclass(eq=False, kw_only=True, slots=True)
class Run:
    """One call of the encoder that is under way.

    Attributes:
        views: What it encodes; none for a probe.
        answered_before: How many runs had answered when it began.
        stuck: Whether it has been under way for longer than `stall_seconds`.
    """

    views: Sequence[View]
    answered_before: int
    stuck: bool = False


class RunThreads:
    """The encoder's threads.

    Attributes:
        size: How many there are.

    Args:
        encode: `[V,S,S,3]` uint8 to `[V,D]` float32; blocks, and is called in all threads at once.
        size: Most runs at the same time.
        probe: `[1,S,S,3]`: what a run without views encodes.
        clock: Seconds, from any thread.
        on_stuck: Told of a run that takes longer than `stall_seconds`.
        on_end: Told how a run ended, stuck or not; its thread is free by then.
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
    ) -> None:
        self.size = size
        self._encode = encode
        self._probe = probe
        self._clock = clock
        self._on_stuck = on_stuck
        self._on_end = on_end
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="clipwarden-encoder")
        self._under_way: dict[Run, asyncio.TimerHandle] = {}

    @property
    def free(self) -> int:
        """How many threads could begin a run now."""
        return self.size - len(self._under_way)

    @property
    def stuck(self) -> int:
        """How many threads may never come back."""
        return sum(run.stuck for run in list(self._under_way))

    @property
    def probing(self) -> bool:
        """Whether a probe is under way that may still tell something."""
        return any(not run.views and not run.stuck for run in self._under_way)

    def begin(self, run: Run, *, stall_seconds: float) -> None:
        """Run in a free thread."""
        loop = asyncio.get_running_loop()
        self._under_way[run] = loop.call_later(stall_seconds, self._note_stuck, run)
        pixels = pixels_of(run.views) if run.views else [self._probe]
        try:
            future: asyncio.Future[Outcome] = loop.run_in_executor(self._pool, self._outcome_of, pixels)
        except RuntimeError as exc:  # no thread could be started
            future = loop.create_future()
            future.set_result(self._failure(exc, self._clock()))
        future.add_done_callback(lambda done: self._end(run, done))

    async def alone(self, pixels: Pixels) -> Outcome:
        """Run past all bookkeeping, waiting for a thread where none is free."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._outcome_of, [pixels])

    def close(self) -> None:
        """Begin nothing any more, and tell nobody of what is under way; a stuck thread is left behind."""
        for timer in self._under_way.values():
            timer.cancel()
        self._under_way.clear()
        # Not waited for: a stuck run would keep the process from ever leaving.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _note_stuck(self, run: Run) -> None:
        run.stuck = True
        self._on_stuck(run)

    def _end(self, run: Run, done: asyncio.Future[Outcome]) -> None:
        timer = self._under_way.pop(run, None)
        if timer is not None:  # else it was closed meanwhile
            timer.cancel()
            self._on_end(run, done.result())

    def _outcome_of(self, parts: Sequence[Pixels]) -> Outcome:
        """Encode, in a thread; copying the views together costs time too, so it happens here."""
        started = self._clock()
        try:
            pixels = parts[0] if len(parts) == 1 else np.concatenate(parts)
            vectors = _checked(self._encode(pixels), views=len(pixels))
        except BaseException as exc:  # noqa: BLE001  whatever an encoder raises fails its images, never a thread of ours
            return self._failure(exc, started)
        return Outcome(vectors=vectors, error=None, started=started, ended=self._clock())

    def _failure(self, error: BaseException, started: float) -> Outcome:
        return Outcome(vectors=np.empty((0, 0), np.float32), error=error, started=started, ended=self._clock())


def _checked(vectors: Vectors, *, views: int) -> Vectors:
    """Insist on a vector for each view, lest images get their neighbours'; the encoder checks what is in them."""
    if vectors.ndim != 2 or len(vectors) != views:  # noqa: PLR2004
        raise EncoderError(f"the encoder answered {list(vectors.shape)} numbers for {views} views, not [{views},D]")
    return vectors
