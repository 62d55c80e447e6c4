"""The way of one image: bytes in, verdict out. Everything that can judge an image goes through here, gRPC or not.

select -> admit -> header -> decode -> encode -> judge

A call is cancelled by cancelling its task: it leaves whatever queue it is in, and frees what it held.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from clipwarden.engine.admission import Admission
from clipwarden.engine.batching import Batcher
from clipwarden.engine.decoding import DecodeThreads
from clipwarden.engine.results import Judged, StoredImage, Timings
from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.engine.warmup import warm_up
from clipwarden.errors import DeadlineError, EmbeddingError
from clipwarden.machine import available_cpus
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.verdict import Judgement, ViewRef
from clipwarden.serving.config import Settings
from clipwarden.serving.metrics import Metrics
from clipwarden.unitvectors import require_unit
from clipwarden.vision.decode import DecodedImage, DecodeLimits, ImageFacts, decode_image, read_header

UNIT_NORM_TOLERANCE = 1e-3
"""How far from 1 the norm of a stored embedding may be. Source: the proto's promise for `Embedding.values`."""


class Pipeline:
    """Judges images with one encoder. Lives on one event loop: `async with Pipeline(...) as pipeline`.

    Args:
        snapshot: What to judge with.
        settings: Bounds, threads, and times.
        metrics: Where to count; None counts nowhere.
        on_health: Told True or False whenever the pipeline starts or ceases to be able to answer.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        settings: Settings,
        metrics: Metrics | None = None,
        *,
        on_health: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.snapshot = snapshot
        self._settings = settings
        self._metrics = metrics or Metrics(CollectorRegistry())
        self._on_health = on_health
        self._limits = DecodeLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
        self._decoders = DecodeThreads(
            threads=settings.decode_threads or available_cpus(),
            stall_seconds=settings.stall_seconds,
            on_health=self._note_health,
        )
        self._batcher = Batcher(
            snapshot.model.image.encode,
            side=snapshot.model.manifest.image.side,
            max_batch=settings.max_batch or 1,
            stall_seconds=settings.stall_seconds,
            on_health=self._note_health,
            on_batch=self._metrics.note_batch,
        )
        self.admission = Admission(
            max_items=settings.queue_items, max_bytes=settings.queue_bytes, expected_wait=self._batcher.expected_wait
        )
        self._metrics.watch_queue(
            admitted=lambda: self.admission.items,
            admitted_bytes=lambda: self.admission.bytes,
            queued=lambda: self._batcher.statistics().waiting_items,
        )

    async def __aenter__(self) -> Self:
        """Warm up and start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.close()

    async def start(self) -> None:
        """Warm the encoder up, then take images; those that came earlier have been waiting.

        Raises:
            EncoderError: The encoder fails on a plain image.
        """
        await warm_up(self._batcher, self.snapshot.model, max_batch=self._settings.max_batch)
        self._batcher.start()

    async def close(self) -> None:
        """Stop; images still at work fail with ShuttingDownError."""
        await self._batcher.close()
        self._decoders.close()

    @property
    def healthy(self) -> bool:
        """Whether an image that comes now can expect an answer."""
        return self._batcher.healthy and self._decoders.healthy

    @property
    def stuck(self) -> bool:
        """Whether some thread of ours may never come back, for which the interpreter would wait at its end."""
        return self._batcher.stuck or self._decoders.stuck

    async def judge_image(
        self,
        data: bytes,
        *,
        policy_id: str | None = None,
        context: str | None = None,
        deadline: float | None = None,
    ) -> Judged:
        """Judge one image.

        Args:
            data: The encoded file; untrusted.
            policy_id: None takes the default policy.
            context: A context the policy declares, or None.
            deadline: `time.monotonic()` after which nobody waits any more; None waits as long as the task lives.

        Returns:
            The verdict and what it was made from.

        Raises:
            PolicyUnknownError: No such policy is loaded.
            ContextUnknownError: The policy declares no such context.
            ImageError: The bytes cannot be judged as an image.
            OverloadedError: There is no room now.
            DeadlineError: The deadline passed.
            EncoderError: A fault of ours.
            ShuttingDownError: The pipeline was closed.
        """
        return await self.judge_selected(data, self.snapshot.select(policy_id, context), deadline=deadline)

    async def judge_selected(self, data: bytes, selection: Selection, *, deadline: float | None = None) -> Judged:
        """Judge one image with what was selected at its admission; see `judge_image`."""
        started = time.perf_counter()
        model = selection.snapshot.model
        with self.admission.admit(len(data)):
            async with _until(deadline):
                # Before it takes a decode thread: a bomb is refused for the price of reading its header.
                read_header(data, self._limits)
                decode = partial(decode_image, data, preprocessing=model.manifest.image, limits=self._limits)
                decoded = await self._decoders.run(decode)
                image = decoded.value
                encoded = await self._batcher.submit(_stack(image), deadline=deadline)
                stored = _stored(image, encoded.embeddings)
                judgement, judge_seconds = await self._judge(stored, selection)
        timings = Timings(
            decode_wait=decoded.wait_seconds,
            decode=decoded.decode_seconds,
            queue=encoded.queue_seconds,
            encode=encoded.encode_seconds,
            judge=judge_seconds,
            total=time.perf_counter() - started,
            batch_size=encoded.batch_size,
        )
        return self._report(judgement, stored, selection, timings, facts=image.facts)

    async def judge_embeddings(
        self, stored: StoredImage, selection: Selection, *, deadline: float | None = None
    ) -> Judged:
        """Judge embeddings that were kept; well under a millisecond, unless the policy has heads.

        Args:
            stored: The embeddings and what is known of their image.
            selection: What to judge with.
            deadline: As for `judge_image`.

        Returns:
            The verdict, without image facts.

        Raises:
            EmbeddingError: The vectors are not finite unit vectors of the model's width.
            DeadlineError: The deadline passed.
            EncoderError: A fault of ours.
        """
        started = time.perf_counter()
        _require_unit_vectors(stored.embeddings, width=selection.snapshot.model.manifest.dim)
        async with _until(deadline):
            judgement, judge_seconds = await self._judge(stored, selection)
        timings = Timings(judge=judge_seconds, total=time.perf_counter() - started)
        return self._report(judgement, stored, selection, timings, facts=None)

    async def _judge(self, stored: StoredImage, selection: Selection) -> tuple[Judgement, float]:
        """Judge one image's embeddings; also return the seconds it took.

        Texts take less time than handing them to a thread does. Heads do not: 32 MiB over 64 views take some 0.3 s
        (one core, numpy 2.4, a Xeon), which no other call should have to wait for.
        """
        work = partial(_judge, stored, selection)
        return (await self._decoders.run(work)).value if selection.compiled.heads else work()

    def _report(
        self,
        judgement: Judgement,
        stored: StoredImage,
        selection: Selection,
        timings: Timings,
        *,
        facts: ImageFacts | None,
    ) -> Judged:
        for stage in ("decode_wait", "decode", "queue", "encode", "judge", "total"):
            seconds = getattr(timings, stage)
            if seconds is not None:
                self._metrics.note_stage(stage, seconds)
        return Judged(
            judgement=judgement,
            facts=facts,
            frames_total=stored.frames_total,
            frames_judged=stored.frames_judged,
            degraded=stored.degraded,
            views=tuple(stored.views),
            embeddings=stored.embeddings,
            timings=timings,
            selection=selection,
        )

    def _note_health(self, _: bool) -> None:  # noqa: FBT001  the callback's one argument
        self._on_health(self.healthy)


@asynccontextmanager
async def _until(deadline: float | None) -> AsyncIterator[None]:
    """Give up at a deadline. The event loop's clock is `time.monotonic`."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError as exc:
        raise DeadlineError("the deadline passed before the verdict was ready") from exc


def _stack(image: DecodedImage) -> NDArray[np.uint8]:
    """Views of one image -> `[V,S,S,3]`."""
    return np.stack([view.pixels for view in image.views])


def _stored(image: DecodedImage, embeddings: NDArray[np.float32]) -> StoredImage:
    return StoredImage(
        embeddings=embeddings,
        views=tuple(ViewRef(name=view.name, frame=view.frame) for view in image.views),
        frames_total=image.facts.frames_total,
        frames_judged=image.facts.frames_judged,
        degraded=image.facts.degraded,
    )


def _judge(stored: StoredImage, selection: Selection) -> tuple[Judgement, float]:
    """Judge one image's embeddings; also return the seconds it took."""
    started = time.perf_counter()
    judgement = judge(
        cosines(stored.embeddings, selection.compiled),
        stored.views,
        selection.tables,
        context=selection.context,
        frames_total=stored.frames_total,
        frames_judged=stored.frames_judged,
        degraded=bool(stored.degraded),
    )
    return judgement, time.perf_counter() - started


def _require_unit_vectors(embeddings: NDArray[np.float32], *, width: int) -> None:
    if embeddings.ndim != 2 or embeddings.shape[1] != width:  # noqa: PLR2004  [V,D]
        raise EmbeddingError(f"embeddings must be vectors of {width} numbers, the width of the loaded model")
    error = EmbeddingError("embeddings must be finite vectors of unit norm (within 0.001)")
    require_unit(embeddings, error, tolerance=UNIT_NORM_TOLERANCE)
