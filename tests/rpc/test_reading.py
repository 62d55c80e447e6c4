"""Messages are read when there is room for them, and calls refused unread when there is not."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from functools import partial

import grpc
import pytest
from google.rpc import code_pb2

from clipwarden.engine.line import MAX_CALLERS
from clipwarden.engine.terms import UNBOUND
from clipwarden.modelfolder.load import Model
from clipwarden.serving.config import MESSAGE_MARGIN
from clipwarden.v1 import moderation_pb2 as pb
from kit.rawgrpc import RawCall
from kit.serving import Connection, Rig, connected, eventually, picture, refused, serving

PATH = "/clipwarden.v1.ModerationService/"
GOOD = pb.ModerateRequest(image=pb.ImageSource(data=picture("red"))).SerializeToString()
IMAGE_BYTES = 100_000
SLOT = IMAGE_BYTES + MESSAGE_MARGIN
SLOTS = {"max_image_bytes": IMAGE_BYTES, "max_message_bytes": SLOT}


async def never() -> AsyncIterator[bytes]:
    """A body that was announced, and does not come."""
    await asyncio.Event().wait()
    yield b""


async def these(*messages: bytes) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


def call(connection: Connection, messages: AsyncIterator[bytes], method: str = "Moderate") -> grpc.aio.StreamUnaryCall:
    """Make a unary call as its parts: headers now, messages as they come."""
    return connection.channel.stream_unary(PATH + method)(messages)


async def begun(rig: Rig, messages: AsyncIterator[bytes], connection: Connection | None = None) -> grpc.aio.Call:
    """Make such a call, and wait until the server reads it."""
    before = rig.server.reads.reading
    it = call(connection or rig, messages)
    await eventually(lambda: rig.server.reads.reading > before)
    return it


async def test_full_server_refuses_a_call_whose_message_is_not_there(toy_model: Model) -> None:
    async with serving(toy_model, queue_items=1) as rig:
        with rig.server.pipeline.admission.arrive(UNBOUND):
            answer = await refused(call(rig, never()))
    assert (answer.code, answer.reason) == (code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert answer.retry_seconds
    assert answer.metadata == {}  # nobody has read its id


@pytest.mark.parametrize("method", ["Moderate", "BatchModerate", "ModerateEmbedding", "ListPolicies", "GetPolicy"])
@pytest.mark.parametrize(
    ("messages", "words"),
    [((), "without a message"), ((b"\xff\xff",), "is no clipwarden.v1.")],
    ids=["none", "malformed"],
)
async def test_a_unary_call_has_one_message_that_can_be_read(
    toy_model: Model, method: str, messages: tuple[bytes, ...], words: str
) -> None:
    async with serving(toy_model) as rig:
        answer = await refused(call(rig, these(*messages), method))
        await eventually(lambda: rig.server.pipeline.admission.items == rig.server.reads.reading == 0)
    assert (answer.code, answer.reason) == (code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert words in answer.message
    assert answer.metadata["request_id"]


async def test_what_a_caller_sends_behind_its_message_is_not_read(toy_model: Model) -> None:
    async with serving(toy_model, **SLOTS) as rig:
        for behind in (b"\xff\xff", GOOD, b"\xff" * SLOT):
            answer = await call(rig, these(GOOD, behind))
            verdict = pb.ModerateResponse.FromString(answer).moderation.verdict
            assert verdict == pb.VERDICT_BLOCK
        await eventually(lambda: rig.server.pipeline.admission.items == rig.server.reads.reading == 0)
        assert rig.server.pipeline.admission.bytes == 0


async def test_malformed_item_ends_its_stream_after_the_results_of_those_before(toy_model: Model) -> None:
    good = pb.StreamModerateRequest(id="good", image=pb.ImageSource(data=picture("red"))).SerializeToString()
    async with serving(toy_model) as rig:
        stream = rig.channel.stream_stream(PATH + "StreamModerate")(these(good, b"\xff\xff"))
        first = pb.StreamModerateResponse.FromString(await stream.read())
        answer = await refused(stream.read())
    assert first.result.moderation.verdict == pb.VERDICT_BLOCK
    assert (answer.code, answer.reason) == (code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID")


@pytest.mark.parametrize("own", [True, False], ids=["of the call", "by default"])
async def test_body_that_never_comes_ends_with_its_deadline(toy_model: Model, own: bool) -> None:  # noqa: FBT001
    async with serving(toy_model, default_deadline_seconds=0 if own else 0.05) as rig:
        method = rig.channel.stream_unary(PATH + "Moderate")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(never(), timeout=0.05 if own else None)
        await eventually(lambda: rig.server.pipeline.admission.items == rig.server.reads.reading == 0)
        assert rig.server.pipeline.admission.bytes == 0
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_slow_body_gives_way_to_others_that_wait_and_to_nobody_else(toy_model: Model) -> None:
    async with serving(toy_model, queue_bytes=SLOT, **SLOTS) as rig, connected(rig.server.address) as other:
        rig.server.reads._give_way_seconds = 0.0
        slow = await begun(rig, never())
        for _ in range(20):  # these go the same way, and find a server that leaves it alone
            await asyncio.sleep(0)
        assert not slow.done()
        assert (await other.moderate(picture("red"), timeout=60)).verdict == pb.VERDICT_BLOCK
        answer = await refused(slow)
    assert (answer.reason, answer.code) == ("OVERLOADED", code_pb2.RESOURCE_EXHAUSTED)
    assert "came too slowly while others waited" in answer.message
    assert answer.retry_seconds is not None


async def test_call_that_finds_no_room_is_refused_after_a_while_with_a_hint(toy_model: Model) -> None:
    async with serving(toy_model, queue_bytes=SLOT, **SLOTS) as rig, connected(rig.server.address) as other:
        rig.server.reads._patience_seconds = 0.0
        slow = await begun(rig, never())
        answer = await refused(call(other, never()))
        assert rig.server.reads.waiting == 0
        slow.cancel()
        await eventually(lambda: rig.server.reads.reading == 0)
        assert (await other.moderate(picture("red"), timeout=60)).verdict == pb.VERDICT_BLOCK
    assert (answer.reason, answer.retry_seconds) == ("OVERLOADED", 1.0)


async def test_callers_that_leave_the_line_or_die_in_their_body_free_what_they_held(toy_model: Model) -> None:
    async with serving(toy_model, queue_bytes=SLOT, **SLOTS) as rig, connected(rig.server.address) as other:
        rig.server.reads._give_way_seconds = rig.server.reads._patience_seconds = 1000.0
        dying = await begun(rig, never())
        leaving = [call(other, never()) for _ in range(3)]
        await eventually(lambda: rig.server.reads.waiting == 3)
        patient = asyncio.create_task(rig.moderate(picture("red"), timeout=60))
        await eventually(lambda: rig.server.reads.waiting == 4)
        for each in leaving:
            each.cancel()
        await eventually(lambda: rig.server.reads.waiting == 1)
        dying.cancel()
        assert (await patient).verdict == pb.VERDICT_BLOCK
        await eventually(lambda: rig.server.pipeline.admission.items == rig.server.reads.reading == 0)
        assert rig.server.pipeline.admission.bytes == 0


async def test_caller_that_sends_no_bodies_leaves_room_for_another(toy_model: Model) -> None:
    async with serving(toy_model, queue_bytes=4 * SLOT, **SLOTS) as rig, connected(rig.server.address) as other:
        rig.server.reads._give_way_seconds = rig.server.reads._patience_seconds = 1000.0
        silent = [call(other, never()) for _ in range(10)]
        await eventually(lambda: rig.server.reads.reading + rig.server.reads.waiting == 10)
        assert rig.server.reads.reading == 2  # half of what there is
        assert (await rig.moderate(picture("red"), timeout=60)).verdict == pb.VERDICT_BLOCK
        for each in silent:
            each.cancel()


async def test_newcomer_passes_those_who_wait_and_have_reads_already(toy_model: Model) -> None:
    async with serving(toy_model, queue_bytes=3 * SLOT, **SLOTS) as rig, connected(rig.server.address) as other:
        rig.server.reads._give_way_seconds = rig.server.reads._patience_seconds = 1000.0
        async with connected(rig.server.address) as third:
            silent = [await begun(rig, never(), who) for who in (other, other, third)]
            waiting = call(other, never())
            await eventually(lambda: rig.server.reads.waiting == 1)
            newcomer = asyncio.create_task(rig.moderate(picture("red"), timeout=60))
            await eventually(lambda: rig.server.reads.waiting == 2)
            silent[0].cancel()
            assert (await newcomer).verdict == pb.VERDICT_BLOCK
            assert not waiting.done()
            for each in (*silent, waiting):
                each.cancel()


async def test_who_comes_from_elsewhere_passes_an_address_whose_connections_send_nothing(toy_model: Model) -> None:
    async with serving(toy_model, default_deadline_seconds=0) as rig:
        assert rig.server.address
        reads, admission = rig.server.reads, rig.server.pipeline.admission
        reads._give_way_seconds = reads._patience_seconds = 1000.0
        places = rig.server.settings.queue_items
        callers = MAX_CALLERS // 2
        most = callers + (places - callers) // 2  # that this address may have
        silent_call = partial(RawCall, rig.server.address, "Moderate", source="127.0.0.2")
        silent = [await asyncio.to_thread(silent_call)]
        await eventually(lambda: reads.reading == 1)
        silent += [await asyncio.to_thread(silent_call) for _ in range(most - 1)]
        await eventually(lambda: admission.items == most)
        try:
            newcomer = asyncio.create_task(rig.moderate(picture("red"), timeout=60))
            await eventually(lambda: admission.items == most + 1)
            silent[0].die()  # the first, which has room to be read in
            assert (await newcomer).verdict == pb.VERDICT_BLOCK
        finally:
            for each in silent:
                each.die()
        await eventually(lambda: admission.items == reads.reading == 0)


async def test_read_message_counts_for_what_it_is(toy_model: Model) -> None:
    data = picture("red")
    async with serving(toy_model) as rig:
        with rig.encoder.held():
            judging = asyncio.create_task(rig.moderate(data))
            await rig.encoder.entered()
            assert rig.server.pipeline.admission.bytes == len(data)
            images = [pb.ImageSource(data=data)] * 3
            batch = asyncio.create_task(_batch(rig, images))
            await eventually(lambda: rig.server.pipeline.admission.items == 4)
            assert rig.server.pipeline.admission.bytes == 4 * len(data)
        assert [result.moderation.verdict for result in await batch] == [pb.VERDICT_BLOCK] * 3
        await judging
        await eventually(lambda: rig.server.pipeline.admission.bytes == 0)


async def _batch(rig: Rig, images: list[pb.ImageSource]) -> list[pb.ModerationResult]:
    return list((await rig.stub.BatchModerate(pb.BatchModerateRequest(images=images))).results)


async def test_queue_of_one_image_takes_a_batch(toy_model: Model) -> None:
    async with serving(toy_model, queue_items=1, call_in_flight=1) as rig:
        results = await _batch(rig, [pb.ImageSource(data=picture("red"))] * 4)
    assert [result.moderation.verdict for result in results] == [pb.VERDICT_BLOCK] * 4


async def test_open_streams_are_bounded_and_one_too_many_is_told_when_to_come_again(toy_model: Model) -> None:
    async with serving(toy_model, max_streams=2) as rig, connected(rig.server.address) as other:
        streams = [await _opened(who) for who in (rig, other)]
        async with connected(rig.server.address) as third:
            answer = await refused(third.stub.StreamModerate().read())
            await streams[0].done_writing()
            assert await streams[0].read() is grpc.aio.EOF
            await eventually(lambda: rig.server.service.streams == 1)
            again = await _opened(third)
            for stream in (streams[1], again):
                stream.cancel()
    assert (answer.code, answer.reason) == (code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert answer.retry_seconds
    assert answer.message == "2 of 2 streams (max_streams) are open, and there is no place for more"


@pytest.mark.parametrize(("most", "alone"), [(1, 1), (5, 3), (8, 4)])
async def test_caller_that_opens_streams_without_end_leaves_some_to_others(
    toy_model: Model, most: int, alone: int
) -> None:
    async with serving(toy_model, max_streams=most) as rig, connected(rig.server.address) as other:
        streams = [await _opened(rig) for _ in range(alone)]
        answer = await refused(rig.stub.StreamModerate().read())
        assert answer.reason == "OVERLOADED"
        assert answer.retry_seconds
        assert f"{alone} of {most} streams (max_streams)" in answer.message
        assert answer.message.startswith("this caller has") == (alone < most)
        assert rig.server.service.streams == alone
        if alone < most:
            streams.append(await _opened(other))
        for stream in streams:
            stream.cancel()
        await eventually(lambda: rig.server.service.streams == 0)
        (await _opened(rig)).cancel()


async def _opened(connection: Connection) -> grpc.aio.StreamStreamCall:
    """Open a stream that has a place: it has answered an item."""
    stream = connection.stub.StreamModerate()
    await stream.write(pb.StreamModerateRequest(id="a", image=pb.ImageSource(data=picture("red"))))
    assert (await stream.read()).result.moderation.verdict == pb.VERDICT_BLOCK
    return stream


def _ended_calls() -> int:
    """Count the ends of calls that keep the frames they passed, and so their calls."""
    return sum(type(thing) is grpc.aio.AbortError and thing.__traceback__ is not None for thing in gc.get_objects())


async def _refused_for_room(rig: Rig) -> None:
    with rig.server.pipeline.admission.arrive(UNBOUND):
        await refused(rig.moderate(picture("red")))


async def _refused_for_slowness(rig: Rig) -> None:
    slow = await begun(rig, never())
    for read in rig.server.reads._reads.values():
        read.outcome.set_exception(rig.server.reads._refusal("too slow"))
    await refused(slow)


@pytest.mark.parametrize("refuse", [_refused_for_room, _refused_for_slowness])
async def test_refused_calls_are_let_go_at_once(toy_model: Model, refuse: Callable[[Rig], object]) -> None:
    async with serving(toy_model, queue_items=1) as rig:
        await refuse(rig)  # type: ignore[misc]
        gc.collect()
        before = _ended_calls()
        gc.disable()
        try:
            for _ in range(5):
                await refuse(rig)  # type: ignore[misc]
                await eventually(lambda: rig.server.reads.reading == 0)
            await eventually(lambda: _ended_calls() <= before)
        finally:
            gc.enable()
