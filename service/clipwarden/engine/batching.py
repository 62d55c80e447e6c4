"""Decoded views of images in, their embeddings out: many callers, one encoder in several threads, nothing held back.

The concurrency contract
------------------------
- The event loop owns all state, which changes only in `submit`, when a run ends or is found stuck, and between awaits:
  no locks. Each of these moves on what can move (`_pump`). There is no task of the batcher's own that could die.
- Late binding: what a run holds is settled at the moment a thread is free for it, and not before. Until then a view may
  be overtaken, dropped or expire, and costs nothing if it does.
- Work-conserving: no thread is free while a view waits, a probe's moment aside. A lone image runs alone; runs grow up
  to `max_batch` by themselves when views come faster than they are encoded. What waits is shared out evenly among the
  threads that are free, so one image's views run side by side; it is answered when all of them are.
- Order: see `line`. Urgent first, then callers in turn, then what is due first; nobody starves.
- A run that fails is halved until the image that breaks it stands alone. That fails, and its other views are dropped;
  unless another run was answered meanwhile, a probe then decides whether the image or the encoder is at fault, and
  nothing else begins until it has. A broken encoder fails all calls, and is probed until it works.
- A run that takes longer than `stall_seconds` fails its images. The others go on; when the last thread is stuck, all
  calls fail and health is off. A thread that comes back is lent again. No call waits for a dead stage, and whatever
  goes wrong in here fails the images of one run.

Designs that were rejected (`python -m bench.queueing` simulates them; docs/design.md has the tables)
- Waiting a few milliseconds for company: p50/p99 of 9.3/14.5 ms with a 5 ms window and 13.1/21.3 with 10 ms, against
  5.4/7.7 (1,000 images/s on a GPU, 3 + 0.15 n ms a run of at most 32).
- Settling a run while the one before it is under way: 9.0/11.4 there, and it grows stale.
- One run over all cores: 40 images/s against 59 of two runs of one thread (ViT-B/32 in int8, two cores, batch 1), and
  at 36 images/s mean/p99 of 133/507 ms against 45/112. Batches where they gain nothing: 54/194.
- A queue for each thread, which pulls for itself: 61/200; and a poisoned input kills it, and health stays green.
- An image's views in one piece: of five views 223/561 ms against 164/503.
- Free threads that take all they can rather than their share: 259/664 against 242/653 (five views, where batches gain).
- What is due first whoever asks: an impatient caller who asks for 90 images/s of 59 leaves 6 % of the others' in time,
  and first come, first served makes them wait 1.08 s (p99); in turn all of them are, after 0.12 s.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from clipwarden.engine.encoder_state import BatcherStatistics, State
from clipwarden.engine.line import FairQueue
from clipwarden.engine.runs import Encode, Run, RunThreads
from clipwarden.engine.terms import UNBOUND, Terms
from clipwarden.engine.waiting import Encoded, Outcome, Pixels, QueuedImage, Vectors, View, images_of
from clipwarden.errors import ClipwardenError, DeadlineError, EncoderError, ShuttingDownError

PROBE_SECONDS = 1.0
"""Pause between probes of a broken encoder."""
_SMOOTHING = 0.2
"""Weight of the newest run in the moving average of seconds per view; five runs make two thirds of it."""

log = logging.getLogger(__name__)


class Batcher:
    """Shares one encoder among many callers. Lives on one event loop; see the contract above.

    Args:
        encode: `[V,S,S,3]` uint8 to `[V,D]` float32; blocks, and is called in `runs` threads at once.
        side: S, for the probe.
        runs: Most runs at the same time.
        max_batch: Most views of a run.
        stall_seconds: A run longer than this counts as stuck.
        on_health: Told True or False whenever that changes.
        on_batch: Told the views and seconds of each successful run.
        niceness: Of the encoder's threads, above this one's.
        clock: Seconds, the clock that deadlines are on.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        side: int,
        max_batch: int,
        stall_seconds: float,
        runs: int = 1,
        on_health: Callable[[bool], None] = lambda _: None,
        on_batch: Callable[[int, float], None] = lambda _views, _seconds: None,
        niceness: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_batch = max_batch
        self._stall_seconds = stall_seconds
        self._on_health = on_health
        self._on_batch = on_batch
        self._clock = clock
        self._threads = RunThreads(
            encode,
            size=runs,
            probe=np.zeros((1, side, side, 3), dtype=np.uint8),
            clock=clock,
            on_stuck=self._note_stuck,
            on_end=self._note_end,
            niceness=niceness,
        )
        self._queue = FairQueue[View](on_expired=self._expire)
        self._halves: deque[Sequence[View]] = deque()  # of runs that failed; they go before the queue
        self._images: set[QueuedImage] = set()  # everyone who awaits an answer
        self._started = self._closed = self._doubted = self._broken = False
        self._told_healthy = True
        self._next_probe: asyncio.TimerHandle | None = None
        self._seconds_per_view = 0.0
        self._answered = self._batches = self._views = self._places = self._failed = self._expired = 0

    def start(self) -> None:
        """Start running; what was submitted before has been waiting."""
        self._started = True
        self._pump()

    async def close(self) -> None:
        """Stop; calls still waiting fail with ShuttingDownError."""
        self._closed = True
        self._cancel_probe()
        self._threads.close()
        self._fail(list(self._images), ShuttingDownError("judging was shut down"))
        self._tell_health()

    @property
    def runs(self) -> int:
        """Most runs at the same time."""
        return self._threads.size

    @property
    def state(self) -> State:
        """How the encoder fares."""
        if self._closed:
            return State.CLOSED
        if self._threads.stuck == self.runs:
            return State.STALLED
        return State.BROKEN if self._broken else State.RUNNING

    @property
    def healthy(self) -> bool:
        """Whether items submitted now can expect an answer."""
        return self.state is State.RUNNING

    @property
    def stuck(self) -> bool:
        """Whether some thread of the encoder may never come back."""
        return self._threads.stuck > 0

    def statistics(self) -> BatcherStatistics:
        """Describe this moment; read from another thread, its numbers may lie a moment apart."""
        return BatcherStatistics(
            state=self.state,
            waiting_items=sum(not image.begun for image in list(self._images)),
            waiting_views=len(self._queue) + sum(map(len, list(self._halves))),
            waiting_callers=self._queue.callers(),
            oldest_seconds=self._queue.oldest_seconds(self._clock()),
            runs=self.runs,
            busy_runs=self.runs - self._threads.free,
            stuck_runs=self._threads.stuck,
            busy_seconds=self._threads.busy_seconds,
            batches=self._batches,
            views=self._views,
            batch_fill=self._views / self._places if self._places else 0.0,
            failed_items=self._failed,
            expired_items=self._expired,
            seconds_per_view=self._seconds_per_view,
        )

    def cost(self, views: int) -> float:
        """Estimate how long so many views keep a run busy, in seconds, from the runs seen so far.

        Of other runs at the same time this knows nothing, as what is said of a decode does not of other decodes: else
        encoding would count the less beside decoding the more CPUs there are.
        """
        return views * self._seconds_per_view

    async def submit(
        self,
        pixels: Pixels,
        terms: Terms = UNBOUND,
        on_start: Callable[[bool], None] = lambda _: None,
        on_waiting: Callable[[int], None] = lambda _: None,
    ) -> Encoded:
        """Encode one image's views, in as many runs at once as are free, when the encoder comes to them.

        Args:
            pixels: `[V,S,S,3]` uint8; V at least 1.
            terms: The deadline is on `clock`; without one the image waits as long as the caller does.
            on_start: Called exactly once, on the event loop, before this returns or raises: with True when the first
                view of the image enters a run, or with False when it leaves without (refused, failed, cancelled or
                expired). It must not raise, and may be called from inside another's call.
            on_waiting: Told how many of its views no run has had, at first and whenever that changes, the last time
                with 0; likewise. It gives back what these held while they waited.

        Returns:
            The embeddings.

        Raises:
            DeadlineError: The deadline passed before all its views were in a run.
            EncoderError: The encoder failed on this image, or is stuck or broken.
            ShuttingDownError: The batcher was closed.
        """
        image = QueuedImage(
            pixels=pixels,
            terms=terms,
            arrived=self._clock(),
            answer=asyncio.get_running_loop().create_future(),
            on_begun=on_start,
            on_waiting=on_waiting,
        )
        try:
            self._require_running()
            self._enqueue(image)
            return await image.answer
        finally:
            self._let_go(image)

    async def run(self, pixels: Pixels) -> tuple[Vectors, float]:
        """Run the encoder in a thread of its own, past the queue; for warm-up, before `start`.

        Args:
            pixels: `[V,S,S,3]` uint8.

        Returns:
            The embeddings, and the seconds they took. As many calls at once as there are runs reach every thread.

        Raises:
            Exception: Whatever the encoder raises.
        """
        outcome = await self._threads.alone(pixels)
        if outcome.error is not None:
            raise outcome.error
        return outcome.vectors, outcome.seconds

    def note_pace(self, seconds_per_view: float) -> None:
        """Tell what a view costs before the first run has shown it."""
        self._seconds_per_view = seconds_per_view

    def _enqueue(self, image: QueuedImage) -> None:
        self._images.add(image)
        image.places = [
            self._queue.put(View(image, number), terms=image.terms, cost=1.0, arrived=image.arrived)
            for number in range(len(image.pixels))
        ]
        self._pump()

    def _let_go(self, image: QueuedImage) -> None:
        """Forget an image that has its answer, or whose caller has left: nothing more of it is encoded."""
        self._images.discard(image)
        for place in image.places:
            self._queue.drop(place)
        image.let_go()
        image.begin(in_run=False)

    def _pump(self) -> None:
        """Start runs while a thread is free and there is something to run; called whenever either may have come."""
        while self._started and not self._closed and self._threads.free:
            views = self._next_views()
            if views is None:
                return
            self._threads.begin(views, answered_before=self._answered, stall_seconds=self._stall_seconds)
            for view in views:
                view.image.enter_run()

    def _next_views(self) -> Sequence[View] | None:
        """Choose for a free thread: half of a run that failed, a probe (no views), or what waits; None for nothing."""
        # One moment for a whole run: an image that expired after its first view was taken leaves it without pixels.
        now = self._clock()
        while self._halves:
            if views := [view for view in self._halves.popleft() if self._is_wanted(view, now)]:
                return views
        if self._doubted:
            return None if self._next_probe or self._threads.probing else ()
        return self._take(now) or None

    def _take(self, now: float) -> Sequence[View]:
        """Take what goes next, shared out evenly among the threads that are free."""
        most = min(self.max_batch, math.ceil(len(self._queue) / self._threads.free))
        views: list[View] = []
        while len(views) < most and (entry := self._queue.pop(now)) is not None:
            if self._is_wanted(entry.item, now):
                views.append(entry.item)
        return views

    def _is_wanted(self, view: View, now: float) -> bool:
        """Whether somebody waits for it still; whoever was cancelled a moment ago has had no time to leave."""
        deadline = view.image.terms.deadline
        if deadline is not None and deadline <= now:
            self._expire(view)
        return not view.image.done

    def _expire(self, view: View) -> None:
        if not view.image.done:
            self._expired += 1
            self._fail([view.image], DeadlineError("the deadline passed while the image waited for the encoder"))

    def _note_end(self, run: Run, outcome: Outcome) -> None:
        if self._closed:
            return
        try:
            if outcome.error is None:
                self._deal_out(run, outcome)
            elif run.views:
                self._halve(run, outcome.error)
            else:
                self._note_broken(outcome.error)
        except Exception:  # ours, or of whoever listens: nobody may wait for ever for it
            log.critical("what a run of the encoder answered was lost", exc_info=True)
            self._fail(images_of(run.views), EncoderError("the encoder's answer was lost"))
        finally:
            self._pump()
            self._tell_health()

    def _deal_out(self, run: Run, outcome: Outcome) -> None:
        if run.views and len(outcome.vectors) != len(run.views):
            raise EncoderError(f"{len(outcome.vectors)} vectors for {len(run.views)} views")  # no image gets another's
        self._trust_encoder()
        for row, view in enumerate(run.views):
            view.image.receive(view.number, outcome, row)
        if run.views and not run.stuck:
            self._count(len(run.views), outcome.seconds)

    def _count(self, views: int, seconds: float) -> None:
        self._batches += 1
        self._views += views
        self._places += max(self.max_batch, views)
        pace = seconds / views
        self._seconds_per_view += (pace - self._seconds_per_view) * (_SMOOTHING if self._seconds_per_view else 1.0)
        self._on_batch(views, seconds)

    def _halve(self, run: Run, error: BaseException) -> None:
        """Try a run that failed again in two halves, until what breaks it stands alone."""
        images = images_of(run.views)
        live = [image for image in images if not image.done]
        if len(images) > 1:
            middle = (len(live) + 1) // 2
            for half in (live[middle:], live[:middle]):
                self._halves.appendleft([view for view in run.views if view.image in half])
        elif live:
            self._failed += 1
            log.error("the encoder failed on one image", exc_info=error)
            ours = EncoderError("the encoder failed on this image")
            ours.__cause__ = error
            self._fail(live, ours)
            # Is it the image or the encoder? Whatever was answered meanwhile speaks for the encoder; else a probe must.
            self._doubted = self._doubted or self._answered == run.answered_before

    def _trust_encoder(self) -> None:
        self._answered += 1
        self._doubted = self._broken = False
        self._cancel_probe()

    def _note_broken(self, error: BaseException) -> None:
        """Hear that the encoder fails even on a plain image: nobody waits for it, and it is asked again in a while."""
        if not self._broken:  # once, not at each probe
            log.error("the encoder fails even on a plain image", exc_info=error)
        self._broken = True
        self._fail(list(self._images), EncoderError(f"the encoder {State.BROKEN.value}"))
        self._next_probe = asyncio.get_running_loop().call_later(PROBE_SECONDS, self._probe_again)

    def _probe_again(self) -> None:
        self._next_probe = None
        self._pump()

    def _cancel_probe(self) -> None:
        if self._next_probe is not None:
            self._next_probe.cancel()
            self._next_probe = None

    def _note_stuck(self, run: Run) -> None:
        """Fail a run that may never come back; and everyone, if it is the last. The other runs go on."""
        log.error("a run of the encoder is stuck", extra={"views": len(run.views), "stuck_runs": self._threads.stuck})
        self._fail(images_of(run.views), EncoderError("the encoder is stuck in a run with this image"))
        if self.state is State.STALLED:
            self._fail(list(self._images), EncoderError(f"the encoder {State.STALLED.value}"))
        self._pump()  # if it was a probe, another may tell
        self._tell_health()

    def _fail(self, images: Sequence[QueuedImage], error: ClipwardenError) -> None:
        for image in images:
            image.fail(error)
            self._let_go(image)

    def _tell_health(self) -> None:
        if self._told_healthy != self.healthy:
            self._told_healthy = self.healthy
            self._on_health(self.healthy)

    def _require_running(self) -> None:
        if self._closed:
            raise ShuttingDownError("judging was shut down")
        if not self.healthy:
            raise EncoderError(f"the encoder {self.state.value}")
