"""Memory that decodes hold together: who waits, who does not, and that all of it comes back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from clipwarden.engine import pipeline as pipeline_module
from clipwarden.engine.memory import MOST_PASSES, ByteBudget
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.settings import EngineSettings
from clipwarden.engine.threads import WorkThreads
from clipwarden.errors import EncoderError, ImageError, Reason, ShuttingDownError
from clipwarden.modelfolder.load import Model
from clipwarden.vision import decode as decode_module
from clipwarden.vision.decode import decode_file, decode_image, read_header
from clipwarden.vision.facts import DecodedImage, ImageHeader
from clipwarden.vision.formats.jpeg import Segment
from clipwarden.vision.limits import DecodeLimits, HoldsMoreError
from clipwarden.vision.memory import FIXED_BYTES
from clipwarden.vision.opening import open_image
from clipwarden.vision.plan import WHOLE
from kit.pictures import encode, natural_picture

# So little that nothing counts as small: every decode takes more than 1 MiB.
TIGHT = DecodeLimits(max_decode_bytes=32 * 2**20)


def budget() -> ByteBudget:
    return ByteBudget(max_bytes=100, small_bytes=10)


async def settle() -> None:
    """Let every task come as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_only_so_many_pass_one_that_waits() -> None:
    memory, turns = budget(), []

    async def borrow(size: int) -> None:
        await memory.borrow(size)
        turns.append(size)

    await borrow(50)
    huge = asyncio.create_task(borrow(90))
    await settle()
    for _ in range(MOST_PASSES - 1):
        await borrow(40)
        memory.give_back(40)
    tasks = [asyncio.create_task(borrow(size)) for size in (60, 50, 20)]
    await settle()
    # 60 does not fit, and 50 is the last to pass.
    assert turns == [50, *[40] * (MOST_PASSES - 1), 50]
    memory.give_back(50)
    await settle()
    assert not huge.done()
    memory.give_back(50)
    await asyncio.gather(huge)
    assert turns[-1] == 90
    # Whoever comes first now may be passed again.
    assert memory.lent == 90
    memory.give_back(90)
    await asyncio.gather(*tasks)
    assert turns[-2:] == [60, 20]
    memory.give_back(60)
    memory.give_back(20)
    memory.give_back(0)
    assert memory.lent == 0


async def test_a_head_that_is_cancelled_lets_the_next_be_passed_as_often() -> None:
    memory = budget()
    await memory.borrow(50)
    first, second = (asyncio.create_task(memory.borrow(90)) for _ in range(2))
    await settle()
    for _ in range(MOST_PASSES):
        await memory.borrow(40)
        memory.give_back(40)
    late = asyncio.create_task(memory.borrow(40))
    await settle()
    assert not late.done()
    first.cancel()
    await settle()
    assert late.done()
    assert not second.done()
    memory.give_back(40)
    memory.give_back(50)
    await second


async def test_a_small_share_is_not_lent_before_there_is_a_thread() -> None:
    memory, work = budget(), Held()
    async with pool(memory, threads=1) as threads:
        first = asyncio.create_task(threads.run(work, holds=7))
        waiting = asyncio.create_task(threads.run(lambda: 1, holds=5))
        await settle()
        assert memory.lent == 7
        work.let_go()
        await asyncio.gather(first, waiting)
        await until(lambda: memory.lent == 0)


async def test_shares_are_lent_in_the_order_of_asking() -> None:
    memory, turns = budget(), []

    async def borrow(size: int) -> None:
        await memory.borrow(size)
        turns.append(size)

    await borrow(60)
    tasks = [asyncio.create_task(borrow(size)) for size in (90, 50, 45)]
    await settle()
    assert turns == [60]
    memory.give_back(60)
    await settle()
    assert turns == [60, 90]
    memory.give_back(90)
    await asyncio.gather(*tasks)
    assert turns == [60, 90, 50, 45]
    assert memory.lent == 95


async def test_small_shares_never_stand_behind_large_ones_and_never_keep_them_off() -> None:
    memory = budget()
    await memory.borrow(100)
    waiting = asyncio.create_task(memory.borrow(100))
    await settle()
    for _ in range(50):
        await memory.borrow(10)
    assert memory.lent == 600
    memory.give_back(100)
    await waiting
    assert memory.lent == 600


async def test_who_is_cancelled_while_waiting_lets_those_behind_pass() -> None:
    memory = budget()
    await memory.borrow(60)
    first, second = (asyncio.create_task(memory.borrow(size)) for size in (90, 30))
    await settle()
    first.cancel()
    await second
    assert memory.lent == 90


async def test_who_is_cancelled_when_the_turn_has_come_gives_it_back() -> None:
    memory = budget()
    await memory.borrow(60)
    waiting = asyncio.create_task(memory.borrow(90))
    await settle()
    memory.give_back(60)
    assert memory.lent == 90
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert memory.lent == 0


async def test_who_is_cancelled_after_having_failed_gives_nothing_back() -> None:
    memory = budget()
    await memory.borrow(60)
    waiting = asyncio.create_task(memory.borrow(90))
    await settle()
    memory.fail_all(ShuttingDownError("m"))
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, ShuttingDownError)):
        await waiting
    assert memory.lent == 60


async def test_who_waits_for_what_stuck_work_holds_fails_and_others_do_not() -> None:
    memory = budget()
    await memory.borrow(60)
    large, fitting = (asyncio.create_task(memory.borrow(size)) for size in (90, 40))
    await settle()
    memory.note_stuck(60)
    with pytest.raises(EncoderError, match="held by decodes that are stuck"):
        await large
    await fitting
    with pytest.raises(EncoderError, match="held by decodes that are stuck"):
        await memory.borrow(90)
    memory.note_unstuck(60)
    memory.give_back(60)
    memory.give_back(40)
    await memory.borrow(90)
    assert memory.lent == 90


@asynccontextmanager
async def pool(memory: ByteBudget, *, threads: int = 2, stall_seconds: float = 30) -> AsyncIterator[WorkThreads]:
    threads_ = WorkThreads("test", threads=threads, stall_seconds=stall_seconds, memory=memory)
    try:
        yield threads_
    finally:
        threads_.close()


class Held:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self.begun = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        self._go.wait()
        return "done"

    def let_go(self) -> None:
        self._go.set()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  nothing tells when a thread has ended
        await asyncio.sleep(0)


async def test_work_that_waits_for_memory_takes_no_thread() -> None:
    async with pool(budget()) as threads:
        huge = Held()
        first = asyncio.create_task(threads.run(huge, holds=100))
        second = asyncio.create_task(threads.run(lambda: "second", holds=100))
        await settle()
        assert (await threads.run(lambda: "small", holds=1)).value == "small"
        assert not second.done()
        huge.let_go()
        assert (await first).value == "done"
        assert (await second).wait_seconds > 0


async def test_memory_of_a_cancelled_call_comes_back_when_its_work_really_ends() -> None:
    memory = budget()
    async with pool(memory) as threads:
        work = Held()
        call = asyncio.create_task(threads.run(work, holds=100))
        await until(work.begun.is_set)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert memory.lent == 100
        work.let_go()
        await until(lambda: memory.lent == 0)


async def test_memory_of_a_call_that_is_cancelled_before_a_thread_is_free_comes_back_at_once() -> None:
    memory = budget()
    async with pool(memory, threads=1) as threads:
        work = Held()
        first = asyncio.create_task(threads.run(work, holds=50))
        second = asyncio.create_task(threads.run(work, holds=50))
        await settle()
        assert memory.lent == 100
        second.cancel()
        await settle()
        assert memory.lent == 50
        work.let_go()
        await first
        await until(lambda: memory.lent == 0)


async def test_work_that_fails_gives_its_memory_back() -> None:
    memory = budget()
    async with pool(memory) as threads:
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0, holds=100)
        await until(lambda: memory.lent == 0)


@pytest.mark.parametrize("threads_left", [0, 1])
async def test_who_waits_for_the_memory_of_stuck_work_fails_and_the_memory_comes_back_with_it(
    threads_left: int,
) -> None:
    memory = budget()
    async with pool(memory, threads=1 + threads_left, stall_seconds=0.01) as threads:
        work = Held()
        stuck = asyncio.create_task(threads.run(work, holds=100))
        waiting = asyncio.create_task(threads.run(lambda: 1, holds=100))
        results = await asyncio.gather(stuck, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [EncoderError, EncoderError]
        assert memory.lent == 100
        work.let_go()
        await until(lambda: memory.lent == 0)
        assert (await threads.run(lambda: 2, holds=100)).value == 2


async def test_closing_fails_who_waits_for_memory() -> None:
    memory, work = budget(), Held()
    async with pool(memory) as threads:
        first = asyncio.create_task(threads.run(work, holds=100))
        waiting = asyncio.create_task(threads.run(lambda: 1, holds=100))
        await settle()
    with pytest.raises(ShuttingDownError):
        await waiting
    work.let_go()
    assert (await first).value == "done"


async def test_image_that_turns_out_to_hold_more_than_its_header_said_waits_for_room_again(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    def note(data: bytes, image_format: str, segments: Sequence[Segment]) -> object:
        opened.append(pipeline.decode_bytes)
        return open_image(data, image_format, segments)

    def read_little(*arguments: Any, **options: Any) -> ImageHeader:  # noqa: ANN401
        return replace(read_header(*arguments, **options), held_bytes=FIXED_BYTES)

    data = encode(natural_picture(1), "PNG")
    held = decode_image(data, preprocessing=toy_model.manifest.image).held_bytes
    monkeypatch.setattr(pipeline_module, "read_header", read_little)
    async with Pipeline(toy_model, EngineSettings(limits=TIGHT)) as pipeline:
        monkeypatch.setattr(decode_module, "open_image", note)
        assert (await pipeline.embed(data, WHOLE)).facts.file is not None
        assert opened == [FIXED_BYTES, held]
        await until(lambda: pipeline.decode_bytes == 0)


async def test_image_that_holds_more_again_once_it_is_mended_never_fails_for_that(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: list[int] = []

    def note(*arguments: Any, **options: Any) -> DecodedImage:  # noqa: ANN401
        lent.append(pipeline.decode_bytes)
        return decode_file(*arguments, **options)

    def read_little(*arguments: Any, **options: Any) -> ImageHeader:  # noqa: ANN401
        return replace(read_header(*arguments, **options), held_bytes=FIXED_BYTES)

    whole = encode(natural_picture(1), "JPEG")
    monkeypatch.setattr(pipeline_module, "read_header", read_little)
    monkeypatch.setattr(pipeline_module, "decode_file", note)
    async with Pipeline(toy_model, EngineSettings(limits=TIGHT)) as pipeline:
        image = await pipeline.embed(whole[: len(whole) * 3 // 4], WHOLE)
        assert 0.5 < image.facts.share_shown < 1
        asked, opened, mended = lent
        assert asked < opened < mended
        # Whatever a file comes up with next, all there is must be enough.
        lent.clear()
        more = iter(range(100, 1000))

        def insatiable(data: bytes, header: ImageHeader, **options: Any) -> DecodedImage:  # noqa: ANN401
            if header.held_bytes < TIGHT.max_decode_bytes:
                lent.append(header.held_bytes)
                raise HoldsMoreError(next(more))
            return decode_file(data, header, **options)

        monkeypatch.setattr(pipeline_module, "decode_file", insatiable)
        assert (await pipeline.embed(whole, WHOLE)).facts.share_shown == 1
        assert lent == [FIXED_BYTES, 100, 101]
        await until(lambda: pipeline.decode_bytes == 0)


async def test_image_that_is_refused_once_opened_gives_its_memory_back(toy_model: Model) -> None:
    limits = DecodeLimits(max_decode_bytes=3 * 2**20)
    async with Pipeline(toy_model, EngineSettings(limits=limits)) as pipeline:
        with pytest.raises(ImageError, match="the limit is 3 MiB") as caught:
            await pipeline.embed(encode(natural_picture(1, (640, 480)), "AVIF"), WHOLE)
        assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS
        await until(lambda: pipeline.decode_bytes == 0)
