"""Images on their way to the encoder: who is decoded when, and that work nobody waits for stops at every stage."""

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from clipwarden.engine import pipeline as pipeline_module
from clipwarden.engine.admission import Work
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.settings import EngineSettings
from clipwarden.engine.terms import Priority, Terms
from clipwarden.engine.threads import Errand, WorkThreads
from clipwarden.errors import DeadlineError, EncoderError, OverloadedError, ShuttingDownError
from clipwarden.modelfolder.load import Model
from clipwarden.vision.facts import DecodedImage, ImageHeader
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.plan import WHOLE
from kit.serving import TappedEncoder, eventually, picture, tapped


class Rig:
    """A pipeline of one decode thread and one run, whose header reads and decodes a test holds and counts."""

    def __init__(self, pipeline: Pipeline, encoder: TappedEncoder) -> None:
        self.pipeline, self.encoder = pipeline, encoder
        self.headers, self.decodes = threading.Event(), threading.Event()
        self.headers.set()
        self.decodes.set()
        self.read: list[bytes] = []
        self.decoded: list[bytes] = []

    def read_header(self, data: bytes, *arguments: object, **settings: object) -> ImageHeader:
        self.read.append(data)
        assert self.headers.wait(timeout=60)
        return read_header(data, *arguments, **settings)  # type: ignore[arg-type]

    def decode_file(self, data: bytes, *arguments: object, **settings: object) -> DecodedImage:
        self.decoded.append(data)
        assert self.decodes.wait(timeout=60)
        return decode_file(data, *arguments, **settings)  # type: ignore[arg-type]

    def embed(self, data: bytes, **terms: object) -> asyncio.Task[object]:
        call = self.pipeline.embed(data, WHOLE, terms=Terms(**terms))  # type: ignore[arg-type]
        return asyncio.create_task(call)

    @property
    def held(self) -> tuple[int, int, int, float]:
        """What is here, ahead of the encoder, lent and left to do."""
        admission = self.pipeline.admission
        return admission.items, admission.ahead, self.pipeline.decode_bytes, round(admission.backlog_seconds, 9)


read_header, decode_file = pipeline_module.read_header, pipeline_module.decode_file


@pytest.fixture
async def rig(toy_model: Model, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    model, encoder = tapped(toy_model)
    limits = DecodeLimits(max_decode_bytes=128 * 2**20)
    settings = EngineSettings(decode_threads=1, encoder_runs=1, max_batch=1, limits=limits)
    async with Pipeline(model, settings) as pipeline:
        made = Rig(pipeline, encoder)
        monkeypatch.setattr(pipeline_module, "read_header", made.read_header)
        monkeypatch.setattr(pipeline_module, "decode_file", made.decode_file)
        encoder.forget()
        yield made
        made.headers.set()
        made.decodes.set()
        encoder.release()
        await eventually(lambda: made.held == NOTHING)


def numbered(number: int) -> bytes:
    """Make a picture that differs from others of other numbers."""
    return picture("red") + bytes([number])


def huge() -> bytes:
    """Make a picture whose decode takes most of the memory."""
    data = io.BytesIO()
    Image.new("L", (3300, 3300)).save(data, "PNG", compress_level=1)
    return data.getvalue()


HUGE = huge()
NOTHING = (0, 0, 0, 0.0)


@contextmanager
def cleared(event: threading.Event) -> Iterator[None]:
    event.clear()
    try:
        yield
    finally:
        event.set()


async def test_no_more_is_decoded_than_the_encoder_is_about_to_take(rig: Rig) -> None:
    with rig.encoder.held():
        calls = [rig.embed(numbered(number)) for number in range(8)]
        # One in the run, and ahead of it one thread's and one run's worth.
        await eventually(lambda: len(rig.decoded) == 3 and len(rig.read) == 8)
        await asyncio.sleep(0.05)
        assert (len(rig.decoded), rig.pipeline.admission.ahead) == (3, 2)
    await asyncio.gather(*calls)
    assert len(rig.decoded) == 8


async def test_turns_go_by_urgency_then_by_caller_then_by_deadline(rig: Rig) -> None:
    now = time.monotonic()
    with cleared(rig.decodes):
        calls = [rig.embed(numbered(0), caller="a")]
        await eventually(lambda: len(rig.decoded) == 1)
        for number, terms in {
            1: {"caller": "a", "priority": Priority.BULK},
            2: {"caller": "a", "deadline": now + 300},
            3: {"caller": "a", "deadline": now + 300},
            4: {"caller": "b", "deadline": now + 300},
            5: {"caller": "b", "deadline": now + 300},
            6: {"caller": "b", "deadline": now + 4},
        }.items():
            calls.append(rig.embed(numbered(number), **terms))
            await eventually(lambda number=number: waiting_for_a_decode(rig) == number)
    await asyncio.gather(*calls)
    order = [data[-1] for data in rig.decoded]
    assert (order[0], order[-1]) == (0, 1)
    assert [number for number in order if number in (2, 3)] == [2, 3]
    assert [number for number in order if number in (4, 5, 6)] == [6, 4, 5]
    assert {"b" if number > 3 else "a" for number in order[1:3]} == {"a", "b"}


def waiting_for_a_decode(rig: Rig) -> int:
    return rig.pipeline.thread_statistics()["decode"].waiting


@contextmanager
def held_before(rig: Rig, stage: str) -> Iterator[tuple[list[bytes], bytes, Callable[[], bool]]]:
    """Hold a stage, so that an image comes to stand before it.

    Yields:
        The images that keep it busy; the one that then has to wait; whether that does.
    """
    first, second = numbered(1), numbered(2)
    match stage:
        case "header":
            with cleared(rig.headers):
                yield [first], second, lambda: rig.pipeline.thread_statistics()["read"].waiting == 1
        case "memory":
            with cleared(rig.decodes):
                yield [HUGE], HUGE + b" ", lambda: len(rig.pipeline._memory._waiting) == 1
        case "turn":
            with cleared(rig.decodes):
                yield [first], second, lambda: waiting_for_a_decode(rig) == 1
        case "decoding":
            with cleared(rig.decodes):
                yield [], second, lambda: rig.decoded == [second]
        case "encoder":
            with rig.encoder.held():
                yield [first], second, lambda: rig.pipeline.encoder_statistics().waiting_items == 1


@pytest.mark.parametrize("stage", ["header", "memory", "turn", "decoding", "encoder"])
async def test_work_that_is_cancelled_stops_where_it_is(rig: Rig, stage: str) -> None:
    with held_before(rig, stage) as (busy, data, waits):
        others = [rig.embed(other) for other in busy]
        await eventually(lambda: len(rig.read) == len(busy))
        await eventually(lambda: stage == "header" or len(rig.decoded) == len(busy))
        leaving = rig.embed(data)
        await eventually(waits)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert rig.pipeline.admission.items == len(busy)
    await asyncio.gather(*others)
    await eventually(lambda: rig.held == NOTHING)
    assert rig.decoded == [*busy, *([data] if stage in ("decoding", "encoder") else [])]
    assert sum(rig.encoder.sizes) == len(busy)


@pytest.mark.parametrize("stage", ["header", "memory", "turn", "decoding", "encoder"])
async def test_work_that_expires_stops_where_it_is(rig: Rig, stage: str) -> None:
    with held_before(rig, stage) as (busy, data, _):
        others = [rig.embed(other) for other in busy]
        await eventually(lambda: stage == "header" or len(rig.decoded) == len(busy))
        with pytest.raises(DeadlineError):
            await rig.embed(data, deadline=time.monotonic() + 0.2)
        assert rig.pipeline.admission.items == len(busy)
    await asyncio.gather(*others)
    await eventually(lambda: rig.held == NOTHING)
    assert sum(rig.encoder.sizes) == len(busy)


async def test_what_cannot_be_done_in_time_is_refused_before_it_is_decoded(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.pipeline._batcher, "cost", lambda views: 1000.0 * views)
    with cleared(rig.decodes):
        call = rig.embed(numbered(1))
        await eventually(lambda: len(rig.decoded) == 1)
        with pytest.raises(OverloadedError, match="until this image is judged"):
            await rig.embed(numbered(2), deadline=time.monotonic() + 300)
    await call
    assert rig.decoded == [numbered(1)]


async def test_follower_without_time_does_not_have_what_it_follows_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.pipeline._costs, "seconds", lambda *_: 10.0)
    now = time.monotonic()
    with cleared(rig.decodes):
        calls = [rig.embed(numbered(0), caller="a")]
        await eventually(lambda: len(rig.decoded) == 1)
        calls.append(rig.embed(numbered(1), caller="b", deadline=now + 300))
        await eventually(lambda: waiting_for_a_decode(rig) == 1)
        hasty = rig.embed(numbered(1), caller="c", deadline=now + 0.3)
        with pytest.raises(DeadlineError):
            await hasty
        assert waiting_for_a_decode(rig) == 1
    assert len(await asyncio.gather(*calls)) == 2


async def test_callers_of_this_process_are_never_refused(toy_model: Model) -> None:
    settings = EngineSettings(queue_items=1, queue_bytes=1).without_queue_limits()
    async with Pipeline(toy_model, settings) as pipeline:
        await asyncio.gather(*(pipeline.embed(picture("red"), WHOLE) for _ in range(300)))


async def test_thread_that_hangs_is_noticed_when_its_caller_has_left() -> None:
    health: list[bool] = []
    threads = WorkThreads("test", threads=1, stall_seconds=0.05, on_health=health.append)
    release = threading.Event()
    call = asyncio.create_task(threads.run(release.wait))
    await eventually(lambda: threads.statistics().busy == 1)
    call.cancel()
    await eventually(lambda: health == [False])
    with pytest.raises(EncoderError, match="all test threads are stuck"):
        await threads.run(lambda: 1)
    release.set()
    await eventually(lambda: health == [False, True])
    assert (await threads.run(lambda: 1)).value == 1
    threads.close()


async def test_turn_that_comes_as_its_caller_leaves_goes_to_the_next() -> None:
    threads = WorkThreads("test", threads=1, stall_seconds=60)
    release = threading.Event()
    first = asyncio.create_task(threads.run(release.wait))
    await eventually(lambda: threads.statistics().busy == 1)
    second, third = (asyncio.create_task(threads.run(lambda: 1)) for _ in range(2))
    await eventually(lambda: threads.statistics().waiting == 2)
    lend = threads.lend
    # Between its turn and its next step.
    threads.lend = lambda: (lend(), second.cancel(), setattr(threads, "lend", lend))  # type: ignore[method-assign]
    release.set()
    assert (await third).value == 1
    with pytest.raises(asyncio.CancelledError):
        await second
    await first
    threads.close()


async def test_who_waits_when_a_pool_closes_or_is_late_is_told() -> None:
    threads = WorkThreads("test", threads=1, stall_seconds=60)
    release = threading.Event()
    first = asyncio.create_task(threads.run(release.wait))
    await eventually(lambda: threads.statistics().busy == 1)
    late = Errand(terms=Terms(deadline=time.monotonic()))
    with pytest.raises(DeadlineError):
        await asyncio.wait_for(asyncio.gather(threads.run(lambda: 1, turn=late), _after(0.01, release.set)), 60)
    await first
    release.clear()
    second = asyncio.create_task(threads.run(release.wait))
    await eventually(lambda: threads.statistics().busy == 1)
    third = asyncio.create_task(threads.run(lambda: 1))
    await eventually(lambda: threads.statistics().waiting == 1)
    threads.close()
    with pytest.raises(ShuttingDownError):
        await third
    release.set()
    await second


async def _after(seconds: float, call: Callable[[], None]) -> None:
    await asyncio.sleep(seconds)
    call()


@pytest.mark.parametrize("outcome", ["it cannot be decoded", "nobody waits", "the encoder fails", "all goes well"])
@pytest.mark.parametrize("stage", ["decoding", "encoding"])
async def test_what_was_done_in_vain_counts_as_done(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, stage: str, outcome: str
) -> None:
    spent: list[float] = []
    spend = Work.spend
    monkeypatch.setattr(Work, "spend", lambda work, cost: (spent.append(cost), spend(work, cost))[1])
    monkeypatch.setattr(rig.pipeline._batcher, "cost", lambda _: 2.0)
    monkeypatch.setattr(rig.pipeline._costs, "seconds", lambda *_: 1.0)
    data = cut_off(numbered(1)) if outcome == "it cannot be decoded" else numbered(1)
    rig.encoder.broken = lambda _: outcome == "the encoder fails"
    with cleared(rig.decodes) if stage == "decoding" else rig.encoder.held():
        call = rig.embed(data)
        await eventually(lambda: bool(rig.decoded))
        if stage == "encoding" and outcome != "it cannot be decoded":
            await rig.encoder.entered()
        if outcome == "nobody waits":
            call.cancel()
            await asyncio.wait({call})
            await eventually(lambda: len(rig.pipeline._sharing) == 0)
    await asyncio.wait({call})
    never_encoded = outcome == "it cannot be decoded" or (outcome == "nobody waits" and stage == "decoding")
    assert spent == ([1.0] if never_encoded else [1.0, 2.0])


def cut_off(data: bytes) -> bytes:
    """Leave a picture's header, and nothing to be decoded."""
    return data[:60]
