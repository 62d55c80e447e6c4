"""Many callers at once, callers that leave, and stages that fail: nothing hangs, nothing leaks."""

import asyncio

import grpc
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clipwarden.engine import batching
from clipwarden.engine.batching import Batcher
from clipwarden.engine.threads import WorkThreads
from clipwarden.modelfolder.load import Model
from clipwarden.serving.config import MESSAGE_MARGIN
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import Rig, connected, eventually, held_decoding, picture, refused, serving

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def stall_after(seconds: float, stage: Batcher | WorkThreads) -> None:
    """Say when a stage counts as stuck: soon while the test holds it, and never by a busy machine alone."""
    stage._stall_seconds = seconds


async def health_of(rig: Rig) -> int:
    stub = health_pb2_grpc.HealthStub(rig.channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest())).status)


async def test_good_and_bad_images_side_by_side_each_get_their_own_answer(toy_model: Model) -> None:
    kinds = {
        "red": picture("red", "JPEG"), "blue": picture("blue", "WEBP"), "yellow": picture("yellow", "GIF"),
        "empty": b"", "broken": picture("red", "JPEG")[:-100], "poison": picture("green"),
    }  # fmt: skip
    expected = {"red": pb.VERDICT_BLOCK, "blue": pb.VERDICT_ALLOW, "yellow": pb.VERDICT_REVIEW}

    async def one(rig: Rig, kind: str) -> str:
        try:
            verdict = (await rig.moderate(kinds[kind])).verdict
        except grpc.aio.AioRpcError as exc:
            return {code_pb2.INVALID_ARGUMENT: "refused", code_pb2.INTERNAL: "failed"}[exc.code().value[0]]
        return "right" if verdict == expected[kind] else f"{kind} got {verdict}"

    async with serving(toy_model, call_in_flight=64, queue_items=1024) as rig:
        rig.encoder.broken = lambda views: bool((views[:, 16, 16] == (0, 255, 0)).all(axis=1).any())
        names = list(kinds) * 50
        answers = await asyncio.gather(*(one(rig, kind) for kind in names))
        assert rig.server.pipeline.admission.items == 0
        assert await health_of(rig) == SERVING
    outcome = {"empty": "refused", "broken": "refused", "poison": "failed"}
    assert answers == [outcome.get(kind, "right") for kind in names]


async def test_full_queue_refuses_at_once_with_a_retry_hint(toy_model: Model) -> None:
    async with serving(toy_model, queue_items=5) as rig:
        with rig.encoder.held():
            waiting = [asyncio.create_task(rig.moderate(picture("red"))) for _ in range(3)]
            await eventually(lambda: rig.server.pipeline.admission.items == 3)
            answer = await refused(rig.moderate(picture("red")))
        assert [moderation.verdict for moderation in await asyncio.gather(*waiting)] == [pb.VERDICT_BLOCK] * 3
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK
    assert (answer.code, answer.reason, answer.fault) == (code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", None)
    assert answer.retry_seconds
    assert answer.retry_seconds >= 0.05


async def test_bytes_bound_the_queue_too(toy_model: Model) -> None:
    data = picture("red", "BMP", side=128)
    message = len(data) + MESSAGE_MARGIN
    limits = {"max_image_bytes": len(data), "max_message_bytes": message, "queue_bytes": 2 * len(data) + message - 1}
    async with serving(toy_model, **limits) as rig, connected(rig.server.address) as other:
        rig.server.reads._patience_seconds = 0.0
        with rig.encoder.held():
            waiting = [asyncio.create_task(rig.moderate(data))]
            await eventually(lambda: rig.server.pipeline.admission.bytes == len(data))
            waiting.append(asyncio.create_task(other.moderate(data)))
            await eventually(lambda: rig.server.pipeline.admission.bytes == 2 * len(data))
            answer = await refused(rig.moderate(b"x"))
        await asyncio.gather(*waiting)
    assert (answer.reason, answer.code) == ("OVERLOADED", code_pb2.RESOURCE_EXHAUSTED)
    assert answer.retry_seconds


async def test_caller_that_leaves_frees_its_place_and_is_never_encoded(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        with rig.encoder.held():
            first = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            leaving = [asyncio.create_task(rig.moderate(picture("red"))) for _ in range(4)]
            await eventually(lambda: rig.server.pipeline.admission.items == 5)
            for task in leaving:
                task.cancel()
            await eventually(lambda: rig.server.pipeline.admission.items == 1)
        await first
        await eventually(lambda: rig.server.gate._active == 0)
    assert sum(rig.encoder.sizes) == 1


async def test_deadline_that_passes_in_the_queue_answers_in_time_and_drops_the_work(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        with rig.encoder.held():
            first = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await rig.moderate(picture("red"), timeout=0.1)
            await eventually(lambda: rig.server.pipeline.admission.items == 1)
        await first
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert sum(rig.encoder.sizes) == 1


async def test_hung_client_does_not_hold_others_up(toy_model: Model) -> None:
    async with serving(toy_model, max_streams=40) as rig:  # of which one caller may have half
        hung = [rig.stub.StreamModerate() for _ in range(20)]
        for call in hung:
            await call.write(pb.StreamModerateRequest(id="a", image=pb.ImageSource(data=picture("red"))))
        # None of them ever reads; everyone else is served.
        assert (await rig.moderate(picture("blue"), timeout=60)).verdict == pb.VERDICT_ALLOW
        for call in hung:
            call.cancel()


async def test_connections_that_never_speak_hold_up_neither_calls_nor_the_end(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        host, _, port = str(rig.server.address).rpartition(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        silent[0][1].write(b"PRI * HTTP/2.0")  # half a greeting
        assert (await rig.moderate(picture("blue"), timeout=60)).verdict == pb.VERDICT_ALLOW
        await rig.server.drain()
    for _, writer in silent:
        writer.close()


async def test_message_beyond_the_transports_limit_is_cut_off_by_grpc(toy_model: Model) -> None:
    async with serving(toy_model, max_image_bytes=100_000, max_message_bytes=200_000) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.moderate(bytes(300_000))
        assert (await rig.moderate(picture("blue"))).verdict == pb.VERDICT_ALLOW
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_stuck_encoder_fails_calls_and_turns_health_off_until_it_is_back(toy_model: Model) -> None:
    async with serving(toy_model, encoder_runs=1) as rig:
        stall_after(0.05, rig.server.pipeline._batcher)
        with rig.encoder.held():
            answer = await refused(rig.moderate(picture("red")))
            assert (answer.code, answer.reason) == (code_pb2.INTERNAL, "ENCODER_FAILED")
            assert await health_of(rig) == NOT_SERVING
            assert (await refused(rig.moderate(picture("red")))).reason == "ENCODER_FAILED"
            stall_after(60, rig.server.pipeline._batcher)
        await eventually(lambda: rig.server.health.serving)
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK


async def test_broken_encoder_turns_health_off_until_a_probe_passes(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "PROBE_SECONDS", 0.01)
    async with serving(toy_model) as rig:
        rig.encoder.broken = lambda _: True
        assert (await refused(rig.moderate(picture("red")))).reason == "ENCODER_FAILED"
        await eventually(lambda: not rig.server.health.serving)
        assert (await refused(rig.moderate(picture("red")))).reason == "ENCODER_FAILED"
        rig.encoder.broken = lambda _: False
        await eventually(lambda: rig.server.health.serving)
        assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK


async def test_image_refused_by_its_header_takes_no_decode_thread(toy_model: Model) -> None:
    async with serving(toy_model, decode_threads=1) as rig:
        with held_decoding():
            busy = asyncio.create_task(rig.moderate(picture("red")))
            await eventually(lambda: rig.server.pipeline.admission.items == 1)
            answer = await refused(rig.moderate(b"not an image at all", timeout=60))
            assert answer.reason == "IMAGE_FORMAT_UNSUPPORTED"
        assert (await busy).verdict == pb.VERDICT_BLOCK


async def test_stuck_decoders_fail_calls_and_turn_health_off_until_one_is_back(toy_model: Model) -> None:
    async with serving(toy_model, decode_threads=2) as rig:
        stall_after(0.05, rig.server.pipeline._decoders)
        with held_decoding() as release:
            pictures = [picture("red", number=number) for number in range(5)]
            calls = [asyncio.create_task(refused(rig.moderate(data))) for data in pictures]
            assert {answer.reason for answer in await asyncio.gather(*calls)} == {"ENCODER_FAILED"}
            assert await health_of(rig) == NOT_SERVING
            assert (await refused(rig.moderate(picture("red")))).reason == "ENCODER_FAILED"
            stall_after(60, rig.server.pipeline._decoders)
            release.set()
            await eventually(lambda: rig.server.health.serving)
            assert (await rig.moderate(picture("red"))).verdict == pb.VERDICT_BLOCK
        assert rig.server.pipeline.admission.items == 0
