"""Decoded views of images in, their embeddings out: many callers, one encoder, nothing held back.

The concurrency contract
------------------------
- One task, `_serve`, owns the queue: it alone takes items out, forms batches and answers callers. `submit` only adds
  at the end; cancelling a call only marks its item. All of this happens on one event loop, between awaits, so there
  are no locks.
- Late binding: a batch is formed at the moment the encoder is free, and not before. Until then an item may still be
  overtaken, cancelled or expire, and costs nothing if it does.
- Work-conserving: the encoder never idles while an item waits. A lone image runs alone; batches grow by themselves
  when images arrive faster than they are encoded.
- Order: earliest deadline first, where no item counts as more patient than `PATIENCE_SECONDS` after its arrival, so
  that impatient newcomers cannot starve anyone.
- The encoder runs in one thread of its own. A batch that fails is halved until the images that break it stand alone;
  when not a single image of it could be encoded, a probe decides whether the images or the encoder are at fault.
- A run that takes longer than `stall_seconds` fails every waiting call at once and turns health off; when it comes
  back, so does health. Should `_serve` itself die, the same happens for good. No call waits for a dead stage.

Designs that were rejected (p50/p99 in ms at 1,000 requests/s, 3 + 0.15 n ms a batch, at most 32; this one: 5.4/7.7;
`python -m bench.queueing` simulates them)
- Waiting a few milliseconds for company: 9.3/14.5 with a 5 ms window, 13.1/21.3 with 10 ms.
- Forming the next batch while the present one runs: 9.0/11.4, and it grows stale.
- One queue and thread per device that pull for themselves: a poisoned input kills the thread, and health stays green.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import numpy as np

from clipwarden.engine.waiting import Encoded, Pixels, QueuedImage, Vectors, WaitingImages
from clipwarden.errors import ClipwardenError, EncoderError, ShuttingDownError

PROBE_SECONDS = 1.0
"""Pause between probes of a broken encoder."""
_SMOOTHING = 0.2
"""Weight of the newest batch in the moving average of seconds per view; five batches make two thirds of it."""

Encode = Callable[[Pixels], Vectors]

log = logging.getLogger(__name__)


class State(Enum):
    """How the encoder fares, as the end of a sentence."""

    RUNNING = "is running"
    STALLED = "is stuck in a batch"
    BROKEN = "fails on every image"
    DEAD = "has stopped for good"
    CLOSED = "is shut down"


@dataclass(frozen=True, kw_only=True, slots=True)
class BatcherStatistics:
    """What the batcher did and holds, at one moment."""

    state: State
    waiting_items: int
    waiting_views: int
    batches: int
    views: int
    failed_items: int
    expired_items: int
    seconds_per_view: float


class Batcher:
    """Shares one encoder among many callers. Lives on one event loop; see the contract above.

    Args:
        encode: `[V,S,S,3]` uint8 to `[V,D]` float32; blocks, and is called in one thread only.
        side: S, for the probe.
        max_batch: Most views of a run; an image with more views than that still runs in one piece.
        stall_seconds: A run longer than this counts as stuck.
        on_health: Told True or False whenever that changes.
        on_batch: Told the views and seconds of each successful run.
        clock: Seconds, the clock that deadlines are on.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        side: int,
        max_batch: int,
        stall_seconds: float,
        on_health: Callable[[bool], None] = lambda _: None,
        on_batch: Callable[[int, float], None] = lambda _views, _seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encode = encode
        self._probe_pixels = np.zeros((1, side, side, 3), dtype=np.uint8)
        self.max_batch = max_batch
        self._stall_seconds = stall_seconds
        self._on_health = on_health
        self._on_batch = on_batch
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clipwarden-encoder")
        self._arrived = asyncio.Event()
        self._waiting = WaitingImages()
        self._running: Sequence[QueuedImage] = ()
        self._state = State.RUNNING
        self._stuck = False
        self._task: asyncio.Task[None] | None = None
        self._seconds_per_view = 0.0
        self._batches = self._views = self._failed = 0

    def start(self) -> None:
        """Start taking items; those submitted before have been waiting."""
        self._task = asyncio.create_task(self._serve(), name="clipwarden-batcher")
        self._task.add_done_callback(self._bury)

    async def close(self) -> None:
        """Stop; calls still waiting fail with ShuttingDownError."""
        self._set_state(State.CLOSED)
        self._fail_all(ShuttingDownError("judging was shut down"))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        # Not waited for: a stuck run would keep the process from ever leaving.
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def healthy(self) -> bool:
        """Whether items submitted now can expect an answer."""
        return self._state is State.RUNNING

    @property
    def stuck(self) -> bool:
        """Whether the encoder's thread may never come back."""
        return self._stuck

    def statistics(self) -> BatcherStatistics:
        """Describe this moment; read from another thread, its numbers may lie a moment apart."""
        waiting = self._waiting.live
        return BatcherStatistics(
            state=self._state,
            waiting_items=len(waiting),
            waiting_views=sum(item.views for item in waiting),
            batches=self._batches,
            views=self._views,
            failed_items=self._failed,
            expired_items=self._waiting.expired,
            seconds_per_view=self._seconds_per_view,
        )

    def expected_wait(self, views: int) -> float:
        """Estimate how long so many views take to encode, in seconds, from the runs seen so far."""
        return views * self._seconds_per_view

    async def submit(self, pixels: Pixels, *, deadline: float | None = None) -> Encoded:
        """Encode one image's views, together, when the encoder comes to them.

        Args:
            pixels: `[V,S,S,3]` uint8; V at least 1.
            deadline: On `clock`; None waits as long as the caller does.

        Returns:
            The embeddings.

        Raises:
            DeadlineError: The deadline passed before a run began.
            EncoderError: The encoder failed on this image, or is stuck, broken or dead.
            ShuttingDownError: The batcher was closed.
        """
        self._require_running()
        item = QueuedImage(
            pixels=pixels,
            deadline=math.inf if deadline is None else deadline,
            arrived=self._clock(),
            answer=asyncio.get_running_loop().create_future(),
        )
        self._waiting.add(item)
        self._arrived.set()
        try:
            return await item.answer
        finally:
            item.let_go()

    async def run(self, pixels: Pixels) -> tuple[Vectors, float]:
        """Run the encoder in its thread, past the queue; for warm-up and probes.

        Returns:
            The embeddings, and the seconds they took.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run_timed, [pixels])

    def note_pace(self, seconds_per_view: float) -> None:
        """Tell what a view costs before the first batch has shown it."""
        self._seconds_per_view = seconds_per_view

    async def _serve(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._waiting.take(now=self._clock(), max_views=self.max_batch)
            if batch:
                await self._answer_batch(batch)
            else:
                self._arrived.clear()

    async def _answer_batch(self, batch: list[QueuedImage]) -> None:
        self._running = batch
        if not await self._encode_or_halve(batch):
            await self._wait_until_probe_passes()
        self._running = ()

    async def _encode_or_halve(self, batch: Sequence[QueuedImage]) -> bool:
        """Encode a batch, halving it on failure; say whether anything speaks for the encoder's health."""
        batch = [item for item in batch if not item.answer.done()]
        if not batch:
            return True
        started = self._clock()
        try:
            embeddings, seconds = await self._run_watched([item.pixels for item in batch])
        except Exception as exc:  # whatever an encoder raises must fail its images, never this task
            if len(batch) > 1:
                half = len(batch) // 2
                first = await self._encode_or_halve(batch[:half])
                return await self._encode_or_halve(batch[half:]) or first
            self._failed += 1
            log.exception("the encoder failed on one image")
            error = EncoderError("the encoder failed on this image")
            error.__cause__ = exc
            batch[0].fail(error)
            return False
        self._deal_out(batch, embeddings, started, seconds)
        return True

    def _deal_out(self, batch: Sequence[QueuedImage], embeddings: Vectors, started: float, seconds: float) -> None:
        total = len(embeddings)
        self._batches += 1
        self._views += total
        pace = seconds / total
        self._seconds_per_view += (pace - self._seconds_per_view) * (_SMOOTHING if self._seconds_per_view else 1.0)
        self._on_batch(total, seconds)
        first = 0
        for item in batch:
            rows = embeddings[first : first + item.views]
            first += item.views
            item.deliver(
                Encoded(
                    embeddings=rows,
                    queue_seconds=started - item.arrived,
                    encode_seconds=seconds,
                    batch_size=total,
                )
            )

    async def _run_watched(self, views: list[Pixels]) -> tuple[Vectors, float]:
        """Run the encoder; past `stall_seconds` fail all calls, and keep waiting for the thread to come back."""
        run = asyncio.get_running_loop().run_in_executor(self._thread, self._run_timed, views)
        try:
            await asyncio.wait({run}, timeout=self._stall_seconds)
            if not run.done():
                before, self._stuck = self._state, True
                log.error("the encoder is stuck in a batch", extra={"views": sum(map(len, views))})
                self._set_state(State.STALLED)
                self._fail_all(EncoderError(f"the encoder {State.STALLED.value}"))
                await asyncio.wait({run})
                self._stuck = False
                self._set_state(before)
            return run.result()
        finally:
            run.cancel()  # does nothing to a finished run; an abandoned one must not report its fate to nobody

    def _run_timed(self, views: list[Pixels]) -> tuple[Vectors, float]:
        """Encode in the encoder's thread; copying the views together costs time too, so it happens here."""
        pixels = views[0] if len(views) == 1 else np.concatenate(views)
        started = time.perf_counter()
        embeddings = self._encode(pixels)
        if len(embeddings) != len(pixels):
            raise EncoderError(f"the encoder answered {len(embeddings)} vectors for {len(pixels)} views")
        return embeddings, time.perf_counter() - started

    async def _wait_until_probe_passes(self) -> None:
        """Tell a broken encoder from broken images: one that fails on black pixels is broken."""
        while True:
            try:
                await self._run_watched([self._probe_pixels])
            except Exception:
                if self._state is not State.BROKEN:  # once, not at each probe
                    log.exception("the encoder fails even on a plain image")
                self._set_state(State.BROKEN)
                self._fail_all(EncoderError(f"the encoder {State.BROKEN.value}"))
                await asyncio.sleep(PROBE_SECONDS)
            else:
                self._set_state(State.RUNNING)
                return

    def _set_state(self, state: State) -> None:
        if self._state is State.CLOSED:
            return
        was_healthy, self._state = self.healthy, state
        if was_healthy != self.healthy:
            self._on_health(self.healthy)

    def _require_running(self) -> None:
        if self._state is State.CLOSED:
            raise ShuttingDownError("judging was shut down")
        if self._state is not State.RUNNING:
            raise EncoderError(f"the encoder {self._state.value}")

    def _fail_all(self, error: ClipwardenError) -> None:
        for item in self._running:
            item.fail(error)
        self._waiting.fail_all(error)

    def _bury(self, task: asyncio.Task[None]) -> None:
        """Answer everyone when `_serve` ends, which it does only by close() or by a fault of its own."""
        if task.cancelled():
            return
        log.critical("the batcher died", exc_info=task.exception())
        self._set_state(State.DEAD)
        self._fail_all(EncoderError(f"the encoder {State.DEAD.value}"))
