"""grpc.health.v1: per service, ready after warm-up, and told to those who watch."""

import asyncio
from collections import Counter
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clipwarden.modelfolder.load import Model
from clipwarden.serving import server as server_module
from clipwarden.serving.health import MOST_LOCAL_WATCHES, MOST_WATCHES
from clipwarden.serving.server import Server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.serving import Rig, colours_snapshot, eventually, picture, refused, serving, settings_for_test, tapped

Status = health_pb2.HealthCheckResponse
SERVICES = ["", "clipwarden.v1.ModerationService"]


@pytest.mark.parametrize("service", SERVICES)
async def test_server_and_service_are_serving_when_ready(toy_model: Model, service: str) -> None:
    async with serving(toy_model) as rig:
        answer = await health_pb2_grpc.HealthStub(rig.channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == Status.SERVING


async def test_unknown_service_is_not_found(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        stub = health_pb2_grpc.HealthStub(rig.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="typo"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "typo" not in (caught.value.details() or "")
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="typo"))
        assert (await watch.read()).status == Status.SERVICE_UNKNOWN
        watch.cancel()


@pytest.mark.skipif(not hasattr(health_pb2, "HealthListResponse"), reason="this grpcio-health-checking has no List")
async def test_list_tells_of_every_service(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        answer = await health_pb2_grpc.HealthStub(rig.channel).List(health_pb2.HealthListRequest())
    assert {name: each.status for name, each in answer.statuses.items()} == dict.fromkeys(SERVICES, Status.SERVING)


async def test_calls_that_come_before_the_warm_up_is_over_wait_while_health_says_not_serving(toy_model: Model) -> None:
    model, encoder = tapped(toy_model)
    server = Server(settings_for_test(), colours_snapshot(model))
    with encoder.held():
        start = asyncio.create_task(server.start())
        await encoder.entered()
        assert server.address
        async with grpc.aio.insecure_channel(server.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == Status.NOT_SERVING
            request = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")))
            early = moderation_pb2_grpc.ModerationServiceStub(channel).Moderate(request)
            await eventually(lambda: server.pipeline.admission.items == 1)
            encoder.release()
            assert (await watch.read()).status == Status.SERVING
            assert (await early).moderation.verdict == pb.VERDICT_BLOCK
            await start
            await server.drain()
            assert (await watch.read()).status == Status.NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
    await server.close()


async def test_one_watcher_that_leaves_does_not_silence_the_others(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        stub = health_pb2_grpc.HealthStub(rig.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in SERVICES * 2]
        for watch in watches:
            assert (await watch.read()).status == Status.SERVING
        watches[0].cancel()
        rig.server.health.set_serving(False)
        for watch in watches[1:]:
            assert (await watch.read()).status == Status.NOT_SERVING
        rig.server.health.set_serving(True)
        for watch in watches[1:]:
            assert (await watch.read()).status == Status.SERVING


async def test_watches_of_one_connection_are_bounded_and_counted(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        stub = health_pb2_grpc.HealthStub(rig.channel)
        watches = await _watch(stub, MOST_WATCHES)
        assert _open_watches(rig) == MOST_WATCHES
        with pytest.raises(grpc.aio.AioRpcError, match="this connection has 16 watches of health open") as caught:
            await _watch(stub, 1)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        async with grpc.aio.insecure_channel(rig.server.address, [("grpc.use_local_subchannel_pool", 1)]) as other:
            await _watch(health_pb2_grpc.HealthStub(other), MOST_WATCHES)
            assert _open_watches(rig) == 2 * MOST_WATCHES
        await eventually(lambda: _open_watches(rig) == MOST_WATCHES)
        watches.pop().cancel()
        await eventually(lambda: _open_watches(rig) == MOST_WATCHES - 1)
        watches += await _watch(stub, 1)
        rig.server.health.set_serving(False)
        for watch in watches:
            assert (await watch.read()).status == Status.NOT_SERVING


async def test_watches_by_the_socket_share_a_larger_bound(toy_model: Model, socket_folder: Path) -> None:
    async with serving(toy_model, listen=None, unix_socket=f"{socket_folder}/s") as rig:
        stub = health_pb2_grpc.HealthStub(rig.channel)
        watches = await _watch(stub, MOST_LOCAL_WATCHES)
        with pytest.raises(grpc.aio.AioRpcError, match="the Unix socket has 256 watches of health open"):
            await _watch(stub, 1)
        for watch in watches:
            watch.cancel()
        await eventually(lambda: _open_watches(rig) == 0)


async def _watch(stub: health_pb2_grpc.HealthStub, number: int) -> list[grpc.aio.UnaryStreamCall]:
    watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(number)]
    for watch in watches:
        assert (await watch.read()).status == Status.SERVING
    return watches


def _open_watches(rig: Rig) -> float | None:
    return rig.server.metrics.registry.get_sample_value("clipwarden_open_watches")


async def test_while_draining_new_calls_are_unavailable_and_accepted_ones_finish(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        with rig.encoder.held():
            accepted = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            drain = asyncio.create_task(rig.server.drain())
            await eventually(rig.server.gate.draining.is_set)
            answer = await refused(rig.moderate(picture("red")))
            assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE.value[0], "SHUTTING_DOWN")
            assert not drain.done()
        assert (await accepted).verdict == pb.VERDICT_BLOCK
        await drain


async def test_hurry_cuts_the_drain_short(toy_model: Model) -> None:
    hurry = asyncio.Event()
    async with serving(toy_model, drain_delay_seconds=1000.0) as rig:
        with rig.encoder.held():
            accepted = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            drain = asyncio.create_task(rig.server.drain(hurry))
            await eventually(lambda: not rig.server.health.serving)
            hurry.set()
            await drain
            accepted.cancel()


async def test_drain_gives_up_on_calls_that_never_finish(toy_model: Model) -> None:
    async with serving(toy_model, drain_seconds=0.02) as rig:
        with rig.encoder.held():
            accepted = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            await rig.server.drain()
            await rig.server.pipeline.close()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await accepted
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_clients_that_come_again_at_once_do_not_keep_the_drain_from_ending(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_QUIET_SECONDS", 0.3)
    codes: Counter[grpc.StatusCode] = Counter()

    async def hammer(rig: Rig) -> None:
        while True:
            try:
                await rig.moderate(b"")
            except grpc.aio.AioRpcError as exc:
                codes[exc.code()] += 1

    async with serving(toy_model, drain_seconds=1000.0) as rig:
        with rig.encoder.held():
            accepted = asyncio.create_task(rig.moderate(picture("red")))
            await rig.encoder.entered()
            hammers = [asyncio.create_task(hammer(rig)) for _ in range(8)]
            drain = asyncio.create_task(rig.server.drain())
            await eventually(lambda: codes[grpc.StatusCode.UNAVAILABLE] >= 50)
            assert not drain.done()
        assert (await accepted).verdict == pb.VERDICT_BLOCK
        await asyncio.wait_for(drain, 60)
        for task in hammers:
            task.cancel()
    assert set(codes) <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE}
