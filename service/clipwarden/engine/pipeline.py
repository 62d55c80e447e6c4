"""The way of one image: bytes in, verdict out. Everything that can judge an image goes through here, gRPC or not.

arrive -> hash -> known, or under way? -> header -> begin -> memory -> turn -> decode -> encode -> judge

A call is cancelled by cancelling its task: it leaves whatever queue it is in, and frees what it held.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Self, TypeVar

from clipwarden.engine.admission import Admission, Ticket, Work
from clipwarden.engine.batching import Batcher
from clipwarden.engine.cache import EmbeddingCache, EmbeddingKey
from clipwarden.engine.costs import DecodeCosts
from clipwarden.engine.encoder_state import BatcherStatistics
from clipwarden.engine.encoderplan import plan_for
from clipwarden.engine.judging import judge_image, judging_microseconds, require_judgeable, require_rows
from clipwarden.engine.memory import ByteBudget
from clipwarden.engine.results import EmbeddedImage, EmbedTimings, Judged
from clipwarden.engine.settings import EngineSettings, Observer, Unobserved
from clipwarden.engine.sharing import SharedWork, Sharing
from clipwarden.engine.snapshot import Selection
from clipwarden.engine.terms import UNBOUND, Terms
from clipwarden.engine.threads import Done, Errand, ThreadStatistics, WorkThreads
from clipwarden.engine.waiting import Encoded
from clipwarden.engine.warmup import warm_up
from clipwarden.errors import DeadlineError, FingerprintMismatchError
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import FLOAT_BYTES
from clipwarden.scoring.verdict import ViewRef
from clipwarden.vision.decode import decode_file, read_header
from clipwarden.vision.facts import DecodedImage, ImageFacts, ImageHeader
from clipwarden.vision.limits import HoldsMoreError, too_large
from clipwarden.vision.plan import ViewPlan

T = TypeVar("T")

# One each for opening, for decoding, and for a mended file that can be decoded at another scale only.
_MOST_SURPRISES = 3

HASHED_HERE_BYTES = 2**17
"""Files up to this are hashed on the event loop, which takes no longer than a thread and back (see `threads`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """An image whose embeddings a caller has, but has not read yet.

    Attributes:
        image: Reads them.
        numbers: How many there are, V times D.
        microseconds: What reading them takes.
    """

    image: Callable[[], EmbeddedImage]
    numbers: int
    microseconds: float


class Pipeline:
    """Judges images with one model. Lives on one event loop: `async with Pipeline(...) as pipeline`.

    Args:
        model: Sees.
        settings: Bounds and threads.
        observer: Told where the time goes.
        cache: Embeddings of images that may come again; None begins with an empty one of the settings' size. It may
            serve one pipeline after another, with other models too.
        on_health: Told True or False whenever the pipeline starts or ceases to be able to answer.
    """

    def __init__(
        self,
        model: Model,
        settings: EngineSettings | None = None,
        observer: Observer | None = None,
        *,
        cache: EmbeddingCache | None = None,
        on_health: Callable[[bool], None] = lambda _: None,
    ) -> None:
        settings = settings or EngineSettings()
        self._model = model
        self._settings = settings
        self._observer = observer or Unobserved()
        self._on_health = on_health
        stall = settings.stall_seconds
        # A thread of its own: a bomb is refused for the price of its header, however busy the decoders are.
        self._headers = WorkThreads("read", threads=1, stall_seconds=stall, on_health=self._note_health)
        self.encoder_plan = plan_for(settings, model)
        plan = self.encoder_plan
        self.admission = Admission(
            max_items=settings.queue_items,
            max_bytes=settings.queue_bytes,
            # As many as are being decoded, and as many again as the encoder takes next.
            max_ahead=plan.decode_threads + plan.encoder_runs * plan.max_batch,
            cpus=plan.cpus,
            least_cost=lambda: self._batcher.cost(1),
            observer=self._observer,
        )
        self._costs = DecodeCosts()
        limits = settings.limits
        self._memory = ByteBudget(max_bytes=limits.max_decode_bytes, small_bytes=limits.small_decode_bytes)
        self._decoders = WorkThreads(
            "decode",
            threads=self.encoder_plan.decode_threads,
            stall_seconds=stall,
            memory=self._memory,
            may_start=lambda: self.admission.has_room,
            on_health=self._note_health,
        )
        self.admission.on_room = self._decoders.lend
        # And one for what is long to judge or to render: it must not stand behind every image that waits to be decoded.
        self._judges = WorkThreads("judge", threads=1, stall_seconds=stall, on_health=self._note_health)
        self._batcher = Batcher(
            model.image.encode,
            side=model.manifest.image.side,
            runs=self.encoder_plan.encoder_runs,
            max_batch=self.encoder_plan.max_batch,
            stall_seconds=stall,
            on_health=self._note_health,
            on_batch=self._observer.note_batch,
            niceness=settings.niceness,
        )
        self._sharing = Sharing(cache or EmbeddingCache(max_bytes=settings.cache_bytes), self._observer)

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
        await warm_up(self._batcher, self.encoder_plan, side=self._model.manifest.image.side)
        self._batcher.start()

    async def close(self) -> None:
        """Stop; images still at work fail with ShuttingDownError."""
        await self._batcher.close()
        await self._sharing.close()
        for pool in self._pools:
            pool.close()

    @property
    def healthy(self) -> bool:
        """Whether an image that comes now can expect an answer."""
        return self._batcher.healthy and all(pool.healthy for pool in self._pools)

    @property
    def stuck(self) -> bool:
        """Whether some thread of ours may never come back: the end of the process leaves it where it is."""
        return self._batcher.stuck or any(pool.stuck for pool in self._pools)

    @property
    def _pools(self) -> tuple[WorkThreads, ...]:
        return self._headers, self._decoders, self._judges

    @property
    def decode_bytes(self) -> int:
        """Bytes that decodes hold now, or are about to, by `vision.memory`."""
        return self._memory.lent

    def thread_statistics(self) -> Mapping[str, ThreadStatistics]:
        """Describe the pools of threads, by what they do: `read`, `decode` and `judge`."""
        return {
            "read": self._headers.statistics(),
            "decode": self._decoders.statistics(),
            "judge": self._judges.statistics(),
        }

    def encoder_statistics(self) -> BatcherStatistics:
        """Describe what waits for the encoder, and what it did."""
        return self._batcher.statistics()

    async def moderate(
        self, data: bytes, selection: Selection, *, terms: Terms = UNBOUND, ticket: Ticket | None = None
    ) -> Judged:
        """Judge one image.

        Args:
            data: The encoded file; untrusted.
            selection: What to judge with, as chosen at the image's admission.
            terms: Until when, how urgently, and in whose name.
            ticket: That its call was let in with, which stays the caller's; without one it arrives here.

        Returns:
            The verdict and what it was made from.

        Raises:
            FingerprintMismatchError: The selection is of another model.
            ImageError: The bytes cannot be judged as an image, or lack rows and the policy refuses that.
            OverloadedError: There is no room now.
            DeadlineError: The deadline passed.
            EncoderError: A fault of ours.
            ShuttingDownError: The pipeline was closed.
        """
        started = time.perf_counter()
        self.require_model(selection.compiled.fingerprint, what="the policy is")
        with self._arrive(terms, ticket, size=len(data)) as held:
            async with until(terms.deadline):
                check = partial(require_rows, policy=selection.compiled.policy)
                embedding = self._embed(data, selection.plan, terms, held, check=check)
                del data  # let go where nobody needs it
                image = await embedding
                return await self._judge(image, selection, started=started)

    async def embed(
        self, data: bytes, plan: ViewPlan, *, terms: Terms = UNBOUND, ticket: Ticket | None = None
    ) -> EmbeddedImage:
        """Embed one image, whatever policies are to judge it.

        Args:
            data: The encoded file; untrusted.
            plan: Which views to look at.
            terms: As for `moderate`.
            ticket: As for `moderate`.

        Returns:
            The image as the model sees it; of a file that ends too early, the rows that are there.

        Raises:
            ClipwardenError: As `moderate`, but for what a policy refuses.
        """
        with self._arrive(terms, ticket, size=len(data)) as held:
            async with until(terms.deadline):
                return await self._embed(data, plan, terms, held)

    async def judge(self, image: EmbeddedImage, selection: Selection, *, terms: Terms = UNBOUND) -> Judged:
        """Judge an image that was embedded before, here or elsewhere.

        Args:
            image: Its embeddings are untrusted; they count against admission as the bytes that they are.
            selection: What to judge with.
            terms: As for `moderate`.

        Returns:
            The verdict and what it was made from.

        Raises:
            FingerprintMismatchError: The image or the selection is of another model.
            EmbeddingError: The embeddings are not finite unit vectors of the model's width, or of other views than the
                policy looks at.
            ImageError: The image lacked rows, and the policy refuses that.
            OverloadedError: There is no room now.
            DeadlineError: The deadline passed.
            EncoderError: A fault of ours.
        """
        read = Reading(image=lambda: image, numbers=image.embeddings.size, microseconds=0.0)
        return await self.judge_read(read, selection, terms=terms)

    async def judge_read(self, reading: "Reading", selection: Selection, *, terms: Terms = UNBOUND) -> Judged:
        """Judge an image whose embeddings are still to be read; as `judge`, which they then are admitted as."""
        started = time.perf_counter()
        self.require_model(selection.compiled.fingerprint, what="the policy is")
        with self.admission.arrive(terms, size=reading.numbers * FLOAT_BYTES, sees=False):
            async with until(terms.deadline):
                image = await self._judges.run_if_long(reading.image, microseconds=reading.microseconds)
                self.require_model(image.fingerprint)
                require_judgeable(image, selection.plan, width=self._model.manifest.dim)
                return await self._judge(image, selection, started=started)

    async def run_if_long(self, work: Callable[[], T], *, microseconds: float) -> T:
        """Do work that belongs to a request within the event loop's budget; see `threads`."""
        return await self._judges.run_if_long(work, microseconds=microseconds)

    def _arrive(self, terms: Terms, ticket: Ticket | None, *, size: int) -> AbstractContextManager[Ticket]:
        return self.admission.arrive(terms, size=size) if ticket is None else nullcontext(ticket)

    async def _embed(
        self,
        data: bytes,
        plan: ViewPlan,
        terms: Terms,
        ticket: Ticket,
        *,
        check: Callable[[ImageFacts], None] = lambda _: None,
    ) -> EmbeddedImage:
        if len(data) > (limit := self._settings.limits.max_image_bytes):
            raise too_large(limit)  # what is refused for its size is not worth a hash
        if len(data) <= HASHED_HERE_BYTES:
            key, header = self._key(data, plan), None
        else:
            key, header = (await self._headers.run(partial(self._look_up, data, plan), turn=Errand(terms=terms))).value
        if key in self._sharing:
            ticket.settle()  # there is no work to be done for it
        see = partial(self._see, data, header, plan, key.sha256, ticket.settle)
        embedding = self._sharing.get(key, see, terms, check=check)
        del data, see  # the work's, where there is any; of what is known already nobody needs the bytes
        return await embedding

    def _key(self, data: bytes, plan: ViewPlan) -> EmbeddingKey:
        return EmbeddingKey(
            sha256=sha256(data).hexdigest(),
            fingerprint=self._model.fingerprint,
            runtime=self._model.runtime,
            limits=self._settings.limits,
            plan=plan,
        )

    def _look_up(self, data: bytes, plan: ViewPlan) -> tuple[EmbeddingKey, ImageHeader | None]:
        """Name a file's content, and read its header unless it is known already; in a thread."""
        key = self._key(data, plan)
        return key, None if key in self._sharing else self._read_header(data, plan, key.sha256)

    def _read_header(self, data: bytes, plan: ViewPlan, digest: str) -> ImageHeader:
        preprocessing = self._model.manifest.image
        return read_header(data, self._settings.limits, preprocessing=preprocessing, sha256=digest, plan=plan)

    async def _see(  # noqa: PLR0917  all but the last are bound at once
        self,
        data: bytes,
        header: ImageHeader | None,
        plan: ViewPlan,
        digest: str,
        settle: Callable[[], None],
        shared: SharedWork,
    ) -> EmbeddedImage:
        """Decode a file and encode its views, as soon as it is its turn, for all who wait for them."""
        started = time.perf_counter()
        if header is None:
            read = partial(self._read_header, data, plan, digest)
            header = (await self._headers.run(read, turn=Errand(terms=shared.terms))).value
        settle()
        cost = self._costs.seconds(header, len(data)), self._batcher.cost(self._costs.views(header))
        turn = partial(self._decode_and_encode, data, header, plan, cost, shared)
        decoded, encoded = await shared.patiently(turn)
        timings = EmbedTimings(
            decode_wait=decoded.wait_seconds,
            decode=decoded.run_seconds,
            queue=encoded.queue_seconds,
            encode=encoded.encode_seconds,
            total=time.perf_counter() - started,
            batch_size=encoded.batch_size,
        )
        for stage in ("decode_wait", "decode", "queue", "encode"):
            self._observer.note_stage(stage, getattr(timings, stage))
        encoded.embeddings.flags.writeable = False  # many may be given these
        return EmbeddedImage(
            embeddings=encoded.embeddings,
            views=tuple(
                ViewRef(name=view.name, frame=view.frame, seconds=view.seconds, box=view.box)
                for view in decoded.value.views
            ),
            facts=decoded.value.facts,
            fingerprint=self._model.fingerprint,
            plan=plan,
            timings=timings,
            source="encoder",
        )

    async def _decode_and_encode(  # noqa: PLR0917  as above
        self,
        data: bytes,
        header: ImageHeader,
        plan: ViewPlan,
        cost: tuple[float, float],
        shared: SharedWork,
        terms: Terms,
    ) -> tuple[Done[DecodedImage], Encoded]:
        """Do so under some terms, until others hold; `cost` is that of decoding and that of encoding, in seconds."""
        with self.admission.begin(terms, sum(cost)) as work:
            shared.movable = lambda other: not work.ahead and self.admission.has_time(other, sum(cost))
            try:
                decoded = await self._decode(data, header, plan, work)
            finally:
                if work.ahead:  # decoded, whether or not it could be, and whoever has left since
                    work.spend(cost[0])
            self._costs.note(header, len(data), decoded.run_seconds, views=len(decoded.value.views))
            shared.note_facts(decoded.value.facts)
            pixels = decoded.value.pixels
            submit = partial(self._batcher.submit, pixels, on_start=work.go_on, on_waiting=work.note_waiting)
            return decoded, await shared.patiently(submit)

    async def _decode(self, data: bytes, header: ImageHeader, plan: ViewPlan, work: Work) -> Done[DecodedImage]:
        """Decode with room for what the header says, and again with room for what the file turns out to say.

        What is opened, and what is mended because it was cut short, may each say more than was known before. Neither
        has held much by then, so that waiting for room again costs a decode where it is mended.
        """
        limits, preprocessing = self._settings.limits, self._model.manifest.image
        decode = partial(decode_file, data, preprocessing=preprocessing, limits=limits, plan=plan)
        waited = 0.0
        for _ in range(_MOST_SURPRISES):
            started = time.perf_counter()
            try:
                done = await self._decoders.run(partial(decode, header), holds=header.held_bytes, turn=work)
            except HoldsMoreError as more:
                waited += time.perf_counter() - started
                header = replace(header, held_bytes=more.held_bytes)
                work.give_way()
            else:
                return replace(done, wait_seconds=done.wait_seconds + waited) if waited else done
        # Nothing that is not refused holds more than all there is.
        header = replace(header, held_bytes=limits.max_decode_bytes)
        done = await self._decoders.run(partial(decode, header), holds=header.held_bytes, turn=work)
        return replace(done, wait_seconds=done.wait_seconds + waited)

    async def _judge(self, image: EmbeddedImage, selection: Selection, *, started: float) -> Judged:
        work = partial(judge_image, image, selection)
        cost = judging_microseconds(len(image.views), selection.compiled)
        judgement, seconds = await self._judges.run_if_long(work, microseconds=cost)
        total = time.perf_counter() - started
        self._observer.note_stage("judge", seconds)
        self._observer.note_stage("total", total)
        return Judged(
            judgement=judgement, image=image, model=self._model.identity, judge_seconds=seconds, total_seconds=total
        )

    def require_model(self, fingerprint: str, *, what: str = "the embeddings are") -> None:
        """Insist that embeddings or policies belong to the model that is loaded.

        Raises:
            FingerprintMismatchError: They belong to another.
        """
        if fingerprint != self._model.fingerprint:
            raise FingerprintMismatchError(
                f"{what} of model {fingerprint}; the loaded model is {self._model.fingerprint}"
            )

    def _note_health(self, _: bool) -> None:  # noqa: FBT001  the callback's one argument
        self._on_health(self.healthy)


@asynccontextmanager
async def until(deadline: float | None) -> AsyncIterator[None]:
    """Give up at a deadline. The event loop's clock is `time.monotonic`.

    Raises:
        DeadlineError: It passed.
    """
    if deadline is not None and deadline <= time.monotonic():
        raise _late()  # what is known already would be answered before the loop looks at its clock
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError as exc:
        raise _late() from exc


def _late() -> DeadlineError:
    return DeadlineError("the deadline passed before the verdict was ready")
