"""The batcher's contract: who runs with whom, in which order, and what happens when the encoder fails."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest

from clipwarden.engine import batching, line
from clipwarden.engine.batching import Batcher
from clipwarden.engine.encoder_state import State
from clipwarden.engine.runs import Run
from clipwarden.engine.terms import Priority, Terms
from clipwarden.engine.waiting import Encoded, Outcome, View
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


class Ticking(Clock):
    """A clock that goes on with each look at it."""

    tick = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@asynccontextmanager
async def running(
    encoder: TappedEncoder,
    *,
    runs: int = 1,
    max_batch: int = 4,
    stall_seconds: float = 60,
    clock: Clock | None = None,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        encoder.encode, side=SIDE, runs=runs, max_batch=max_batch, stall_seconds=stall_seconds, clock=clock or Clock()
    )
    batcher.start()
    try:
        yield batcher
    finally:
        await batcher.close()


class Gates:
    """Lets runs wait, each for itself: by the first mark that is in them."""

    def __init__(self) -> None:
        self._gates: dict[int, threading.Event] = {}

    def shut(self, *marks: int) -> None:
        self._gates.update((mark, threading.Event()) for mark in marks)

    def open(self, *marks: int) -> None:
        for mark in marks:
            self._gates[mark].set()

    def embed(self, pixels: Pixels) -> Vectors:
        gate = self._gates.get(int(pixels[0, 0, 0, 0]))
        assert gate is None or gate.wait(timeout=60), "the test never opened the gate"
        return embed(pixels)


def marked(mark: int) -> Callable[[Pixels], bool]:
    return lambda pixels: bool((pixels == mark).any())


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
def encoder(gates: Gates) -> TappedEncoder:
    return TappedEncoder(gates.embed)


async def submit(
    batcher: Batcher, pixels: Pixels, deadline: float | None = None, *, caller: str = "", bulk: bool = False
) -> "asyncio.Task[Encoded]":
    """Submit in a task of its own, and let it get as far as the queue."""
    terms = Terms(deadline=deadline, caller=caller, priority=Priority(bulk))
    task = asyncio.create_task(batcher.submit(pixels, terms))
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
            (image,) = (image for image in batcher._images if len(image.pixels) == 2)
            third.cancel()
            await asyncio.wait({third})
            assert (batcher.statistics().waiting_items, batcher.statistics().waiting_views) == (1, 1)
            assert len(image.pixels) == 0
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
    encoder.broken = marked(POISON)
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


@pytest.mark.parametrize("halved", [False, True])
async def test_image_that_expires_as_its_views_are_taken_gives_no_neighbour_anothers_vectors(
    encoder: TappedEncoder, *, halved: bool
) -> None:
    clock = Ticking()
    if halved:
        encoder.broken = marked(POISON)
    async with running(encoder, max_batch=8, clock=clock) as batcher:
        with encoder.held():
            await submit(batcher, views(0))
            await encoder.entered()
            first = await submit(batcher, views(1, 2), clock.now + 1, caller="a")
            # Callers of names that come later, so that the views of the first stand at the head of the run.
            others = [await submit(batcher, views(mark), caller=f"b{mark}") for mark in (3, 4, 5)]
            poisoned = [await submit(batcher, views(POISON), caller="c")] * halved
            if not halved:
                clock.now, clock.tick = clock.now + 0.9, 0.03
        if halved:
            with encoder.held():
                await encoder.entered()
                clock.now, clock.tick = clock.now + 0.9, 0.04
        assert [marks_of(item) for item in await asyncio.gather(*others)] == [[3], [4], [5]]
        with suppress(DeadlineError):  # whether it was in time
            assert marks_of(await first) == [1, 2]
        for item in poisoned:
            with pytest.raises(EncoderError):
                await item


async def test_run_that_answers_for_fewer_views_fails_its_images(encoder: TappedEncoder) -> None:
    async with running(encoder) as batcher:
        with encoder.held():
            first = await submit(batcher, views(0))
            await encoder.entered()
            waiting = [await submit(batcher, views(mark)) for mark in (1, 2)]
            taken = [View(image, 0) for image in batcher._images if image.pixels[0, 0, 0, 0]]
            outcome = Outcome(vectors=embed(views(1)), error=None, started=0.0, ended=0.0)
            batcher._note_end(Run(list, views=taken), outcome)  # type: ignore[arg-type]
            for item in waiting:
                with pytest.raises(EncoderError, match="was lost"):
                    await item
        assert marks_of(await first) == [0]


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


async def test_poisoned_image_fails_alone(encoder: TappedEncoder) -> None:
    encoder.broken = marked(POISON)
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


async def test_one_run_at_a_time_probes_a_broken_encoder_and_not_without_a_pause(
    encoder: TappedEncoder, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "PROBE_SECONDS", 3600)
    encoder.broken = lambda pixels: bool(len(gates.embed(pixels)))
    gates.shut(0)
    async with running(encoder, runs=2) as batcher:
        with pytest.raises(EncoderError):
            await batcher.submit(views(1))
        waiting = await submit(batcher, views(2))
        assert (batcher.statistics().busy_runs, batcher.statistics().waiting_items) == (1, 1)
        gates.open(0)
        with pytest.raises(EncoderError, match="fails on every image"):
            await waiting
        assert (batcher.statistics().busy_runs, batcher.statistics().state) == (0, State.BROKEN)


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
        encoder.broken = marked(POISON)
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


async def test_statistics_and_cost_follow_the_runs_however_many_there_are(encoder: TappedEncoder) -> None:
    clock = Clock()
    told: list[tuple[int, float]] = []
    async with running(encoder, runs=2, clock=clock) as batcher:
        batcher._on_batch = lambda views, seconds: told.append((views, seconds))
        batcher.note_pace(0.5)
        assert batcher.cost(4) == 2.0
        with encoder.held():
            task = await submit(batcher, views(1))
            await encoder.entered()
            clock.now += 3
        await task
        statistics = batcher.statistics()
    assert told == [(1, 3.0)]
    assert (statistics.batches, statistics.views, statistics.waiting_views) == (1, 1, 0)
    assert statistics.seconds_per_view == pytest.approx(0.8 * 0.5 + 0.2 * 3.0)


@pytest.mark.parametrize("runs", [2, 3])
async def test_no_run_idles_while_an_image_waits(encoder: TappedEncoder, runs: int) -> None:
    async with running(encoder, runs=runs, max_batch=4) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(mark)) for mark in range(runs + 2)]
            for _ in range(runs):
                await encoder.entered()
            assert (batcher.statistics().busy_runs, batcher.statistics().waiting_items) == (runs, 2)
        assert [marks_of(await task) for task in tasks] == [[mark] for mark in range(runs + 2)]


async def test_views_of_one_image_run_side_by_side(encoder: TappedEncoder) -> None:
    async with running(encoder, runs=2, max_batch=1) as batcher:
        with encoder.held():
            task = await submit(batcher, views(1, 2))
            await encoder.entered()
            await encoder.entered()
        assert marks_of(await task) == [1, 2]
    assert encoder.sizes == [1, 1]


async def test_what_waits_is_shared_out_evenly_among_free_runs(encoder: TappedEncoder) -> None:
    async with running(encoder, runs=2, max_batch=8) as batcher:
        with encoder.held():
            task = await submit(batcher, views(1, 2, 3, 4, 5))
            await encoder.entered()
            await encoder.entered()
        assert marks_of(await task) == [1, 2, 3, 4, 5]
    assert sorted(encoder.sizes) == [2, 3]


async def test_runs_are_filled_across_images_and_images_split_over_runs(encoder: TappedEncoder) -> None:
    async with running(encoder, max_batch=3) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0))]
            await encoder.entered()
            tasks += [await submit(batcher, views(*marks)) for marks in ((1, 2), (3, 4), (5,), (6, 7, 8, 9))]
        encoded = await asyncio.gather(*tasks)
    assert [marks_of(item) for item in encoded] == [[0], [1, 2], [3, 4], [5], [6, 7, 8, 9]]
    assert encoder.sizes == [1, 3, 3, 3]
    assert [item.batch_size for item in encoded] == [1, 3, 3, 3, 3]


async def test_an_urgent_image_overtakes_the_views_that_no_run_has_yet(encoder: TappedEncoder, gates: Gates) -> None:
    clock = Clock()
    gates.shut(1)
    async with running(encoder, max_batch=1, clock=clock) as batcher:
        many = await submit(batcher, views(1, 2, 3), clock.now + 4)
        await encoder.entered()
        urgent = await submit(batcher, views(9), clock.now + 1)
        seen: list[bool] = []
        urgent.add_done_callback(lambda _: seen.append(many.done()))
        gates.open(1)
        assert marks_of(await many) == [1, 2, 3]
    assert seen == [False]


async def test_times_of_a_split_image_reach_from_its_first_run_to_its_last(
    encoder: TappedEncoder, gates: Gates
) -> None:
    clock = Clock()
    gates.shut(10, 11, 1, 2)
    async with running(encoder, runs=2, max_batch=1, clock=clock) as batcher:
        blockers = [await submit(batcher, views(mark)) for mark in (10, 11)]
        task = await submit(batcher, views(1, 2))
        for _ in blockers:
            await encoder.entered()
        for mark, blocker in zip((10, 11), blockers, strict=True):
            clock.now += 3
            gates.open(mark)
            await blocker
            await encoder.entered()  # the view that takes its thread has looked at the clock
        clock.now += 4
        gates.open(1)
        await eventually(lambda: batcher.statistics().views == 3)
        clock.now += 5
        gates.open(2)
        encoded = await task
    assert (encoded.queue_seconds, encoded.encode_seconds, encoded.batch_size) == (3.0, 12.0, 1)


async def test_batch_size_of_a_split_image_is_its_largest_runs(encoder: TappedEncoder) -> None:
    async with running(encoder, max_batch=3) as batcher:
        encoded = await batcher.submit(views(1, 2, 3, 4))
    assert (encoder.sizes, encoded.batch_size) == ([3, 1], 3)


async def test_image_cancelled_in_the_moment_a_run_begins_is_not_in_it(encoder: TappedEncoder) -> None:
    batcher = Batcher(encoder.encode, side=SIDE, max_batch=4, stall_seconds=60)
    stays, leaves = await submit(batcher, views(1)), await submit(batcher, views(2))
    leaves.cancel()
    batcher.start()
    assert marks_of(await stays) == [1]
    assert encoder.sizes == [1]
    await batcher.close()


async def test_a_busy_caller_does_not_keep_another_waiting(encoder: TappedEncoder) -> None:
    order: list[int] = []
    async with running(encoder, max_batch=1) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0), caller="busy")]
            await encoder.entered()
            tasks += [await submit(batcher, views(mark), caller="busy") for mark in range(1, 6)]
            tasks += [await submit(batcher, views(9), caller="light")]
            for task in tasks:
                task.add_done_callback(lambda done: order.extend(marks_of(done.result())))
        await asyncio.gather(*tasks)
    assert order.index(9) <= 2


async def test_bulk_yields(encoder: TappedEncoder) -> None:
    order: list[int] = []
    async with running(encoder, max_batch=1) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0))]
            await encoder.entered()
            tasks += [await submit(batcher, views(mark), bulk=mark < 3) for mark in range(1, 5)]
            for task in tasks:
                task.add_done_callback(lambda done: order.extend(marks_of(done.result())))
        await asyncio.gather(*tasks)
    assert order == [0, 3, 4, 1, 2]


async def test_image_that_fails_in_one_run_is_encoded_no_further(encoder: TappedEncoder) -> None:
    seen = Counter[int]()
    encoder.broken = lambda pixels: bool(seen.update(pixels[:, 0, 0, 0].tolist())) or marked(POISON)(pixels)
    async with running(encoder, max_batch=1) as batcher:
        with pytest.raises(EncoderError):
            await batcher.submit(views(1, POISON, 2, 3))
        assert batcher.statistics().waiting_views == 0
        assert marks_of(await batcher.submit(views(4))) == [4]
    assert seen == Counter({1: 1, POISON: 1, 0: 1, 4: 1})  # 0: the probe


async def test_an_answer_of_another_run_speaks_for_the_encoder(encoder: TappedEncoder, gates: Gates) -> None:
    encoder.broken = lambda pixels: marked(POISON)(pixels) and bool(len(gates.embed(pixels)))
    gates.shut(POISON)
    async with running(encoder, runs=2, max_batch=1) as batcher:
        poisoned = await submit(batcher, views(POISON))
        await encoder.entered()
        assert marks_of(await batcher.submit(views(1))) == [1]
        gates.open(POISON)
        with pytest.raises(EncoderError):
            await poisoned
        assert (batcher.healthy, batcher.statistics().busy_runs) == (True, 0)  # so no probe


@pytest.mark.parametrize(
    "answer",
    [lambda pixels: embed(pixels)[1:], lambda pixels: embed(pixels)[:, 0], lambda _: None],
    ids=["too few", "not rows", "nothing"],
)
async def test_wrong_vectors_fail_the_image_rather_than_shift_its_neighbours(
    answer: Callable[[Pixels], Vectors],
) -> None:
    async with running(TappedEncoder(answer)) as batcher:
        with pytest.raises(EncoderError, match="failed on this image"):
            await batcher.submit(views(1))
        await eventually(lambda: batcher.statistics().state is State.BROKEN)


@pytest.mark.parametrize("error", [StopIteration, SystemExit, MemoryError])
async def test_whatever_the_encoder_raises_fails_its_image_alone(
    encoder: TappedEncoder, error: type[BaseException]
) -> None:
    def raise_on_poison(pixels: Pixels) -> bool:
        if marked(POISON)(pixels):
            raise error
        return False

    encoder.broken = raise_on_poison
    async with running(encoder, runs=2) as batcher:
        with pytest.raises(EncoderError) as caught:
            await batcher.submit(views(POISON))
        assert marks_of(await batcher.submit(views(2))) == [2]
    assert isinstance(caught.value.__cause__, error)


async def test_stuck_run_fails_its_images_while_the_other_runs_go_on(encoder: TappedEncoder, gates: Gates) -> None:
    told: list[bool] = []
    gates.shut(1)
    async with running(encoder, runs=2, max_batch=1, stall_seconds=0.02) as batcher:
        batcher._on_health = told.append
        stuck = await submit(batcher, views(1))
        with pytest.raises(EncoderError, match="stuck in a run"):
            await stuck
        batcher._stall_seconds = 60  # a busy machine is not stuck
        assert (batcher.healthy, batcher.stuck, batcher.statistics().stuck_runs) == (True, True, 1)
        batcher.note_pace(0.5)
        assert batcher.cost(4) == 2.0
        assert [marks_of(await batcher.submit(views(mark, 9))) for mark in (2, 3)] == [[2, 9], [3, 9]]
        gates.open(1)
        await eventually(lambda: not batcher.stuck)
        assert batcher.statistics().batches == 4  # what comes too late answers nobody
        gates.shut(4, 5)
        tasks = [await submit(batcher, views(mark)) for mark in (4, 5)]
        await eventually(lambda: len(encoder.sizes) == 1 + 4 + 2)  # so the thread that came back is lent again
        gates.open(4, 5)
        assert [marks_of(await task) for task in tasks] == [[4], [5]]
    assert told == [False]  # when it was closed


async def test_health_is_off_only_while_every_run_is_stuck(encoder: TappedEncoder, gates: Gates) -> None:
    told: list[bool] = []
    gates.shut(1, 2)
    async with running(encoder, runs=2, max_batch=1, stall_seconds=0.02) as batcher:
        batcher._on_health = told.append
        tasks = [await submit(batcher, views(mark)) for mark in (1, 2, 3)]
        for task in tasks:
            with pytest.raises(EncoderError, match="stuck"):
                await task
        batcher._stall_seconds = 60
        assert batcher.statistics().state is State.STALLED
        gates.open(2)
        await eventually(lambda: batcher.healthy)
        assert marks_of(await batcher.submit(views(4))) == [4]
        gates.open(1)
    assert told == [False, True, False]


async def test_image_with_a_view_in_a_stuck_run_fails_though_its_other_views_come(
    encoder: TappedEncoder, gates: Gates
) -> None:
    gates.shut(1)
    async with running(encoder, runs=2, max_batch=1, stall_seconds=0.02) as batcher:
        split = await submit(batcher, views(2, 1))
        with pytest.raises(EncoderError, match="stuck in a run"):
            await split
        batcher._stall_seconds = 60
        gates.open(1)
        await eventually(lambda: not batcher.stuck)
        assert marks_of(await batcher.submit(views(4))) == [4]


async def test_another_thread_probes_when_a_probe_is_stuck(encoder: TappedEncoder) -> None:
    first_probe, let_go = threading.Lock(), threading.Event()

    def broken(pixels: Pixels) -> bool:
        if marked(POISON)(pixels):
            batcher._stall_seconds = 0.02  # of the probe, which begins next
            return True
        if marked(0)(pixels) and first_probe.acquire(blocking=False):
            assert let_go.wait(timeout=60), "the test never let go of the probe"
        return False

    encoder.broken = broken
    async with running(encoder, runs=2, max_batch=1) as batcher:
        with pytest.raises(EncoderError, match="failed on this image"):
            await batcher.submit(views(POISON))
        await eventually(lambda: batcher.stuck)
        batcher._stall_seconds = 60
        await eventually(lambda: len(encoder.sizes) == 3)
        await eventually(lambda: batcher.statistics().busy_runs == 1)
        assert marks_of(await batcher.submit(views(1))) == [1]
        let_go.set()
        await eventually(lambda: not batcher.stuck)


async def test_every_image_that_leaves_the_queue_says_so_exactly_once(encoder: TappedEncoder) -> None:
    encoder.broken = marked(POISON)
    clock = Clock()
    said = Counter[str]()

    async def one(name: str, pixels: Pixels, deadline: float | None = None) -> Encoded:
        try:
            return await batcher.submit(pixels, Terms(deadline=deadline), on_start=lambda _: said.update([name]))
        finally:
            assert said[name] == 1

    async with running(encoder, runs=2, max_batch=1, clock=clock) as batcher:
        with encoder.held():
            tasks = [asyncio.create_task(one("at once", views(0))), asyncio.create_task(one("poison", views(POISON)))]
            await encoder.entered()
            await encoder.entered()
            assert said == Counter(["at once", "poison"])
            late = asyncio.create_task(one("late", views(1), clock.now + 1))
            gone = asyncio.create_task(one("gone", views(2, 3)))
            split = asyncio.create_task(one("split", views(4, 5, 6)))
            await asyncio.sleep(0)
            assert batcher.statistics().waiting_items == 3
            gone.cancel()
            clock.now += 1
        results = await asyncio.gather(*tasks, late, gone, split, return_exceptions=True)
        left = asyncio.create_task(one("closed", views(7)))
        await batcher.close()
        with pytest.raises(ShuttingDownError):
            await left
        assert batcher.statistics().waiting_items == 0
    assert [type(result) for result in results] == [
        Encoded, EncoderError, DeadlineError, asyncio.CancelledError, Encoded
    ]  # fmt: skip
    assert set(said.values()) == {1}


async def test_a_fault_while_dealing_out_fails_calls_instead_of_hanging(encoder: TappedEncoder) -> None:
    def complain(_views: int, _seconds: float) -> None:
        raise RuntimeError("whoever listens fails")

    async with running(encoder) as batcher:
        batcher._deal_out, deal_out = None, batcher._deal_out  # type: ignore[method-assign, assignment]
        with pytest.raises(EncoderError, match="lost"):
            await batcher.submit(views(1))
        batcher._deal_out = deal_out  # type: ignore[method-assign]
        batcher._on_batch = complain
        assert [marks_of(await batcher.submit(views(mark))) for mark in (2, 3)] == [[2], [3]]


async def test_thread_that_cannot_be_started_fails_the_image(
    encoder: TappedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(encoder) as batcher:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
            with pytest.raises(EncoderError) as caught:
                await batcher.submit(views(1))
    assert "no thread" in str(caught.value.__cause__)


async def test_warm_up_reaches_every_thread_before_the_start(encoder: TappedEncoder) -> None:
    batcher = Batcher(encoder.encode, side=SIDE, runs=3, max_batch=2, stall_seconds=60)
    with encoder.held():
        warming = asyncio.gather(*(batcher.run(views(mark, mark)) for mark in (1, 2, 3)))
        for _ in range(3):
            await encoder.entered()
    assert [vectors[0, 0] for vectors, _ in await warming] == [1, 2, 3]
    waiting = await submit(batcher, views(4))
    assert batcher.statistics().waiting_items == 1
    batcher.start()
    assert marks_of(await waiting) == [4]
    await batcher.close()


async def test_statistics_are_of_what_waits_and_what_ran(encoder: TappedEncoder) -> None:
    clock = Clock()
    async with running(encoder, runs=2, max_batch=4, clock=clock) as batcher:
        with encoder.held():
            tasks = [await submit(batcher, views(0)) for _ in range(2)]
            await encoder.entered()
            await encoder.entered()
            tasks += [await submit(batcher, views(1, 2), caller=caller) for caller in "aab"]
            clock.now += 2
            now = batcher.statistics()
        await asyncio.gather(*tasks)
        after = batcher.statistics()
    assert (now.waiting_items, now.waiting_views, now.waiting_callers, now.oldest_seconds) == (3, 6, 2, 2.0)
    assert (now.runs, now.busy_runs, now.stuck_runs, now.state) == (2, 2, 0, State.RUNNING)
    assert (after.waiting_views, after.oldest_seconds, after.views) == (0, 0.0, 8)
    assert after.batch_fill == after.views / (4 * after.batches)


@pytest.mark.parametrize("runs", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
async def test_every_image_gets_its_own_vectors_whatever_else_happens(
    encoder: TappedEncoder, seed: int, runs: int
) -> None:
    choose = random.Random(seed)  # noqa: S311
    encoder.broken = marked(POISON)
    clock = Clock()
    started = Counter[int]()
    async with running(encoder, runs=runs, max_batch=choose.choice((1, 2, 5)), clock=clock) as batcher:
        wanted, tasks = [], []
        for number in range(300):
            marks = [choose.choice((POISON, *range(1, 200))) for _ in range(choose.choice((1, 1, 2, 4)))]
            terms = Terms(
                deadline=choose.choice((None, clock.now + 0.5, clock.now + 3)),
                caller=choose.choice("abc"),
                priority=choose.choice(list(Priority)),
            )
            submitted = batcher.submit(views(*marks), terms, on_start=lambda _, number=number: started.update([number]))
            tasks.append(asyncio.create_task(submitted))
            wanted.append(marks)
            if choose.random() < 0.2:
                choose.choice(tasks).cancel()
            if choose.random() < 0.3:
                clock.now += 0.2
                await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert batcher.healthy
        assert (batcher.statistics().waiting_items, batcher.statistics().waiting_views) == (0, 0)
        assert not batcher._images
    for marks, result in zip(wanted, results, strict=True):
        if isinstance(result, Encoded):
            assert marks_of(result) == marks
        elif isinstance(result, EncoderError):
            assert POISON in marks
        else:
            assert isinstance(result, asyncio.CancelledError | DeadlineError)
    assert any(isinstance(result, Encoded) for result in results)
    assert set(started.values()) == {1}
    assert len(started) >= sum(not isinstance(result, asyncio.CancelledError) for result in results)
