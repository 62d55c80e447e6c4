"""StreamModerate: any order, ids, timeouts of items, backpressure, and leaving early."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import eventually, picture, refusal, serving


def item(name: str, data: bytes, timeout: float | None = None) -> pb.StreamModerateRequest:
    duration = None
    if timeout is not None:
        duration = Duration()
        duration.FromNanoseconds(round(timeout * 1e9))
    return pb.StreamModerateRequest(id=name, image=pb.ImageSource(data=data), timeout=duration)


async def sending(*items: pb.StreamModerateRequest) -> AsyncIterator[pb.StreamModerateRequest]:
    for each in items:
        yield each


async def test_each_item_gets_its_result_and_bad_ones_fail_alone(toy_model: Model) -> None:
    items = [item(f"{number}", picture(colour)) for number, colour in enumerate(["red", "blue", "yellow"] * 20)]
    items.append(item("bad", b"not an image at all"))
    async with serving(toy_model) as rig:
        results = {answer.id: answer.result async for answer in rig.stub.StreamModerate(sending(*items))}
    assert len(results) == 61
    assert results["0"].moderation.verdict == pb.VERDICT_BLOCK
    assert results["1"].moderation.verdict == pb.VERDICT_ALLOW
    assert results["2"].moderation.request_id == "2"
    bad = refusal(results["bad"].error)
    assert (bad.reason, bad.metadata["request_id"]) == ("IMAGE_FORMAT_UNSUPPORTED", "bad")


async def test_quick_item_overtakes_a_slow_one(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        with rig.encoder.held():
            call = rig.stub.StreamModerate()
            await call.write(item("slow", picture("red")))
            await rig.encoder.entered()
            await call.write(item("quick", b""))
            assert (await call.read()).id == "quick"
        assert (await call.read()).id == "slow"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize("name", ["", "x" * 129])
async def test_missing_or_long_id_is_answered_with_request_invalid(toy_model: Model, name: str) -> None:
    async with serving(toy_model) as rig:
        answers = [answer async for answer in rig.stub.StreamModerate(sending(item(name, picture("red"))))]
    assert [refusal(answer.result.error).reason for answer in answers] == ["REQUEST_INVALID"]
    assert answers[0].id == name


async def test_repeated_id_is_refused_and_the_first_one_still_judged(toy_model: Model) -> None:
    items = [item("twin", picture("red")), item("twin", picture("blue"))]
    async with serving(toy_model) as rig:
        answers = [answer async for answer in rig.stub.StreamModerate(sending(*items))]
    kinds = sorted(answer.result.WhichOneof("result") or "" for answer in answers)
    assert kinds == ["error", "moderation"]


async def test_item_that_waits_longer_than_its_timeout_fails_alone(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        call = rig.stub.StreamModerate()
        with rig.encoder.held():
            await call.write(item("patient", picture("red")))
            await rig.encoder.entered()
            await call.write(item("hasty", picture("red"), timeout=0.05))
            hasty = await call.read()
        patient = await call.read()
        await call.done_writing()
    late = refusal(hasty.result.error)
    assert (hasty.id, late.code, late.reason) == ("hasty", code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert patient.result.moderation.verdict == pb.VERDICT_BLOCK


@pytest.mark.parametrize("seconds", [0, -1])
async def test_timeout_must_be_above_zero(toy_model: Model, seconds: float) -> None:
    async with serving(toy_model) as rig:
        answers = [a async for a in rig.stub.StreamModerate(sending(item("a", picture("red"), seconds)))]
    assert refusal(answers[0].result.error).reason == "REQUEST_INVALID"


async def test_server_stops_reading_while_too_many_items_are_at_work(toy_model: Model) -> None:
    read: list[str] = []

    async def endless() -> AsyncIterator[pb.StreamModerateRequest]:
        for number in range(10_000):
            read.append(f"{number}")
            yield item(f"{number}", picture("red", "BMP", side=512))

    async with serving(toy_model, call_in_flight=4) as rig:
        with rig.encoder.held():
            call = rig.stub.StreamModerate(endless())
            await rig.encoder.entered()
            await eventually(lambda: rig.server.pipeline.admission.items == 4)
            # These calls go the same way, through the same loops: a server that read on would have done so meanwhile.
            for _ in range(20):
                await rig.stub.ListPolicies(pb.ListPoliciesRequest())
            assert rig.server.pipeline.admission.items == 4
            # What lies between client and server is gRPC's windows, not the server's memory.
            assert len(read) < 100
        assert await call.read() is not grpc.aio.EOF
        call.cancel()


async def test_slow_reader_holds_the_server_back_instead_of_filling_its_memory(toy_model: Model) -> None:
    async with serving(toy_model, call_in_flight=2) as rig:
        items = [item(f"{number}", picture("red")) for number in range(50)]
        answers = []
        async for answer in rig.stub.StreamModerate(sending(*items)):
            answers.append(answer.id)
            assert rig.server.pipeline.admission.items <= 2
    assert sorted(answers, key=int) == [f"{number}" for number in range(50)]


async def test_leaving_the_stream_drops_its_items(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        with rig.encoder.held():
            call = rig.stub.StreamModerate()
            await call.write(item("0", picture("red")))
            await rig.encoder.entered()
            for number in range(1, 5):
                await call.write(item(f"{number}", picture("red", number=number)))
            await eventually(lambda: rig.server.pipeline.admission.items == 5)
            call.cancel()
            await eventually(lambda: rig.server.pipeline.admission.items == 0)
            await eventually(lambda: rig.server.gate._active == 0)
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK
    assert sum(rig.encoder.sizes) == 2


async def test_draining_finishes_items_that_were_read_and_then_ends_the_stream(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        call = rig.stub.StreamModerate()
        with rig.encoder.held():
            await call.write(item("read", picture("red")))
            await rig.encoder.entered()
            drain = asyncio.create_task(rig.server.drain())
            await eventually(rig.server.gate.draining.is_set)
        assert (await call.read()).result.moderation.verdict == pb.VERDICT_BLOCK
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        await drain
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
