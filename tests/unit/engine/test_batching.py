"""The batcher's contract: who runs with whom, in which order, and what happens when the encoder fails."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from clipwarden.engine import batching, line
from clipwarden.engine.batching import Batcher, State
from clipwarden.engine.terms import Terms
from clipwarden.engine.waiting import Encoded
from clipwarden.errors import DeadlineError, EncoderError, ShuttingDownError
from kit.serving import Pixels, TappedEncoder, Vectors, eventually

SIDE = 2
POISON = 255


def views(*marks: int) -> Pixels:
    """Views that their embeddings can be told by."""
    return np.array([np.full((SIDE, SIDE, 3), mark, dtype=np.uint8) for mark in marks])


def embed(pixels: Pixels) -> Vectors:
    return np.repeat(pixels[:, 0, 0, :1].astype(np.float32), 4, axis=1)


def marks_of(encoded: Encoded) -> list[int]:
    return [int(row[0]) for row in encoded.embeddings]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(
    encoder: TappedEncoder, *, max_batch: int = 4, stall_seconds: float = 60, clock: Clock | None = None
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        encoder.encode, side=SIDE, max_batch=max_batch, stall_seconds=stall_seconds, clock=clock or Clock()
    )
    batcher.start()
    try:
        yield batcher
    finally:
        await batcher.close()


@pytest.fixture
def encoder() -> TappedEncoder:
    return TappedEncoder(embed)


async def submit(batcher: Batcher, pixels: Pixels, deadline: float | None = None) -> "asyncio.Task[Encoded]":
    """Submit in a task of its own, and let it get as far as the queue."""
    task = asyncio.create_task(batcher.submit(pixels, Terms(deadline=deadline)))
    await asyncio.sleep(0)
    return task


async def test_lone_image_runs_at_once_and_alone(encoder: TappedEncoder) -> None:
    async with running(encoder) as batcher:
        encoded = await batcher.submit(views(7))
    assert marks_of(encoded) == [7]
    assert encoded.batch_size == 1
    assert encoder.sizes == [1]


async def test_images_that_come_while_the_encoder_works_run_together_up_to_the_largest_batch(
    encoder: TappedEncoder,
) -> None:
    async with running(encoder, max_batch=4) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0))]
            await encoder.entered()
            tasks += [await submit(batcher, views(mark)) for mark in range(1, 7)]
        encoded = await asyncio.gather(*tasks)
    assert [marks_of(item) for item in encoded] == [[mark] for mark in range(7)]
    assert encoder.sizes == [1, 4, 2]


async def test_earliest_deadline_goes_first(encoder: TappedEncoder) -> None:
    order: list[int] = []
    clock = Clock()
    async with running(encoder, max_batch=1, clock=clock) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0))]
            await encoder.entered()
            for mark, patience in ((1, 4.0), (2, 1.0), (3, None), (4, 2.0)):
                deadline = None if patience is None else clock.now + patience
                tasks.append(await submit(batcher, views(mark), deadline))
            for mark, task in enumerate(tasks):
                task.add_done_callback(lambda _, mark=mark: order.append(mark))
        await asyncio.gather(*tasks)
    assert order == [0, 2, 4, 1, 3]


async def test_an_image_without_deadline_cannot_be_overtaken_for_ever(encoder: TappedEncoder) -> None:
    order: list[int] = []
    clock = Clock()
    async with running(encoder, max_batch=1, clock=clock) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0))]
            await encoder.entered()
            tasks.append(await submit(batcher, views(1)))
            clock.now += line.PATIENCE_SECONDS
            tasks.append(await submit(batcher, views(2), clock.now + 0.5))
            for mark, task in enumerate(tasks):
                task.add_done_callback(lambda _, mark=mark: order.append(mark))
        await asyncio.gather(*tasks)
    assert order == [0, 1, 2]


async def test_cancelled_image_is_never_encoded_and_gives_its_pixels_back(encoder: TappedEncoder) -> None:
    async with running(encoder) as batcher:
        with encoder.held():
            first = await submit(batcher, views(0))
            await encoder.entered()
            second, third = await submit(batcher, views(1)), await submit(batcher, views(2, 3))
            third.cancel()
            await asyncio.wait({third})
            assert batcher.statistics().waiting_items == 1
            assert [len(item.pixels) for item in batcher._waiting._items] == [1, 0]
        assert marks_of(await first) == [0]
        assert marks_of(await second) == [1]
    assert encoder.sizes == [1, 1]


async def test_cancelling_an_image_of_the_running_batch_leaves_its_neighbours_their_own_vectors(
    encoder: TappedEncoder,
) -> None:
    async with running(encoder) as batcher:
        with encoder.held():
            blocker = await submit(batcher, views(0))
            await encoder.entered()
            tasks = [await submit(batcher, views(*marks)) for marks in ((1, 2), (3,), (4,))]
        await blocker
        with encoder.held():
            await encoder.entered()
            tasks[0].cancel()
            await asyncio.wait({tasks[0]})
        assert [marks_of(item) for item in await asyncio.gather(*tasks[1:])] == [[3], [4]]


async def test_leaving_while_a_batch_is_halved_leaves_the_rest_their_own_vectors(encoder: TappedEncoder) -> None:
    encoder.broken = lambda pixels: bool((pixels == POISON).any())
    async with running(encoder, max_batch=4) as batcher:
        with encoder.held():
            await submit(batcher, views(0))
            await encoder.entered()
            tasks = [await submit(batcher, views(mark)) for mark in (POISON, 1, 2, 3)]
        with encoder.held():
            await encoder.entered()
            tasks[2].cancel()
            await asyncio.wait({tasks[2]})
        assert [marks_of(await tasks[index]) for index in (1, 3)] == [[1], [3]]


async def test_expired_image_fails_without_being_encoded(encoder: TappedEncoder) -> None:
    clock = Clock()
    async with running(encoder, clock=clock) as batcher:
        with encoder.held():
            first = await submit(batcher, views(0))
            await encoder.entered()
            late = await submit(batcher, views(1), clock.now + 1)
            clock.now += 1
        await first
        with pytest.raises(DeadlineError):
            await late
        assert batcher.statistics().expired_items == 1
    assert encoder.sizes == [1]


async def test_views_of_one_image_stay_together_even_beyond_the_largest_batch(encoder: TappedEncoder) -> None:
    async with running(encoder, max_batch=3) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0))]
            await encoder.entered()
            tasks += [await submit(batcher, views(*marks)) for marks in ((1, 2), (3, 4), (5,), (6, 7, 8, 9))]
        encoded = await asyncio.gather(*tasks)
    assert [marks_of(item) for item in encoded] == [[0], [1, 2], [3, 4], [5], [6, 7, 8, 9]]
    assert encoder.sizes == [1, 2, 3, 4]


async def test_poisoned_image_fails_alone(encoder: TappedEncoder) -> None:
    encoder.broken = lambda pixels: bool((pixels == POISON).any())
    async with running(encoder, max_batch=8) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0))]
            await encoder.entered()
            tasks += [await submit(batcher, views(mark)) for mark in (1, 2, POISON, 3, 4)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert batcher.healthy
        assert batcher.statistics().failed_items == 1
    assert [marks_of(item) for item in results if isinstance(item, Encoded)] == [[0], [1], [2], [3], [4]]
    failed = results[3]
    assert isinstance(failed, EncoderError)
    assert isinstance(failed.__cause__, RuntimeError)


async def test_too_few_vectors_fail_the_image_rather_than_shift_its_neighbours() -> None:
    encoder = TappedEncoder(lambda pixels: embed(pixels)[1:])
    async with running(encoder) as batcher:
        with pytest.raises(EncoderError) as caught:
            await batcher.submit(views(1))
    assert "0 vectors for 1 views" in str(caught.value.__cause__)


async def test_broken_encoder_turns_health_off_and_on_again(
    encoder: TappedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "PROBE_SECONDS", 0.001)
    told: list[bool] = []
    encoder.broken = lambda _: True
    async with running(encoder) as batcher:
        batcher._on_health = told.append
        with pytest.raises(EncoderError):
            await batcher.submit(views(1))
        await eventually(lambda: batcher.statistics().state is State.BROKEN)
        with pytest.raises(EncoderError, match="fails on every image"):
            await batcher.submit(views(1))
        encoder.broken = lambda _: False
        await eventually(lambda: batcher.healthy)
        assert marks_of(await batcher.submit(views(2))) == [2]
    assert told == [False, True, False]


async def test_stuck_encoder_fails_every_waiting_call_and_recovers(encoder: TappedEncoder) -> None:
    async with running(encoder, stall_seconds=0.02) as batcher:
        with encoder.held():
            running_one = await submit(batcher, views(1))
            await encoder.entered()
            waiting_one = await submit(batcher, views(2))
            for task in (running_one, waiting_one):
                with pytest.raises(EncoderError, match="stuck"):
                    await task
            assert batcher.statistics().state is State.STALLED
            assert batcher.stuck
            with pytest.raises(EncoderError, match="stuck"):
                await batcher.submit(views(3))
            batcher._stall_seconds = 60  # a busy machine is not stuck
        await eventually(lambda: batcher.healthy)
        assert not batcher.stuck
        assert marks_of(await batcher.submit(views(4))) == [4]


async def test_run_that_fails_after_being_stuck_is_not_tried_again(encoder: TappedEncoder) -> None:
    async with running(encoder, stall_seconds=0.02) as batcher:
        encoder.broken = lambda pixels: bool((pixels == POISON).any())
        with encoder.held():
            blocker = await submit(batcher, views(0))
            await encoder.entered()
            tasks = [await submit(batcher, views(mark)) for mark in (POISON, 1)]
            with pytest.raises(EncoderError):
                await blocker
            for task in tasks:
                with pytest.raises(EncoderError):
                    await task
        await eventually(lambda: batcher.healthy)
    assert encoder.sizes == [1]


async def test_death_of_the_batcher_fails_calls_instead_of_hanging(
    encoder: TappedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(encoder) as batcher:
        with encoder.held():
            first = await submit(batcher, views(0))
            await encoder.entered()
            monkeypatch.setattr(batcher, "_deal_out", None)
            second = await submit(batcher, views(1))
        for task in (first, second):
            with pytest.raises(EncoderError, match="stopped for good"):
                await task
        assert not batcher.healthy
        with pytest.raises(EncoderError, match="stopped for good"):
            await batcher.submit(views(2))


async def test_close_fails_what_still_waits_and_what_comes_later(encoder: TappedEncoder) -> None:
    async with running(encoder) as batcher:
        with encoder.held():
            first = await submit(batcher, views(0))
            await encoder.entered()
            second = await submit(batcher, views(1))
            await batcher.close()
            for task in (first, second):
                with pytest.raises(ShuttingDownError):
                    await task
    with pytest.raises(ShuttingDownError):
        await batcher.submit(views(2))


async def test_statistics_and_expected_wait_follow_the_runs(encoder: TappedEncoder) -> None:
    async with running(encoder) as batcher:
        took: list[float] = []
        batcher._on_batch = lambda _views, seconds: took.append(seconds)
        batcher.note_pace(0.5)
        assert batcher.expected_wait(4) == 2.0
        await batcher.submit(views(1, 2))
        statistics = batcher.statistics()
    assert (statistics.batches, statistics.views, statistics.waiting_views) == (1, 2, 0)
    assert statistics.seconds_per_view == pytest.approx(0.8 * 0.5 + 0.2 * took[0] / 2)


@pytest.mark.parametrize("seed", range(5))
async def test_every_image_gets_its_own_vectors_whatever_else_happens(encoder: TappedEncoder, seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311
    encoder.broken = lambda pixels: bool((pixels == POISON).any())
    async with running(encoder, max_batch=5) as batcher:
        wanted, tasks = [], []
        for _ in range(300):
            marks = [choose.choice((POISON, *range(1, 200))) for _ in range(choose.choice((1, 1, 2)))]
            tasks.append(await submit(batcher, views(*marks), choose.choice((None, 101.0, 103.0))))
            wanted.append(marks)
            if choose.random() < 0.2:
                choose.choice(tasks).cancel()
            if choose.random() < 0.3:
                await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for marks, result in zip(wanted, results, strict=True):
        if isinstance(result, Encoded):
            assert marks_of(result) == marks
        elif isinstance(result, EncoderError):
            assert POISON in marks
        else:
            assert isinstance(result, asyncio.CancelledError)
    assert any(isinstance(result, Encoded) for result in results)
