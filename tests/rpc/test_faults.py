"""Faults against `clipwarden serve` as a process of its own: images, encoders and clients that go wrong.

Whatever happens, health and metrics tell the truth, nothing stays held, and the other callers get their own answers.
Servers and clients are the real ones; `kit.faultyserve` is the seam at which the encoder fails.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
import pytest_asyncio

from clipwarden import AsyncClient
from clipwarden.client import ClientError, RetryPolicy
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.rawgrpc import RawCall
from kit.serverprocess import NOT_SERVING, SERVING, Metrics, Process, serve_process
from kit.serving import colours_yaml, large_header, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

KIB = 2**10
EXPECTED = {"red": pb.VERDICT_BLOCK, "blue": pb.VERDICT_ALLOW, "yellow": pb.VERDICT_REVIEW}
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(scope="module")
def policy(toy_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(toy_folder: Path, policy: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Process]:
    """One server for all tests whose faults pass; each leaves it as it was."""
    settings = {
        "encoder_runs": 2,
        "max_batch": 4,
        "decode_threads": 2,
        "stall_seconds": 600,
        "default_deadline_seconds": 1,
        "max_image_bytes": 256 * KIB,
        "max_message_bytes": 512 * KIB,
        "queue_bytes": 8192 * KIB,
        "cache_bytes": 0,
        "metrics_listen": "127.0.0.1:0",
    }
    with TemporaryDirectory() as sockets:
        folder = tmp_path_factory.mktemp("server")
        async with serve_process(toy_folder, policy, folder, Path(sockets), faulty=True, **settings) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Process) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.target, timeout=60, retry=ONCE) as connected:
        yield connected


def distinct(colour: str, count: int) -> list[bytes]:
    """Make pictures of one colour of which no two have the same bytes."""
    return [picture(colour, side=64 + number) for number in range(count)]


async def outcome(call: Awaitable[pb.Moderation]) -> str:
    """Tell what a caller sees: a verdict or a reason."""
    try:
        return pb.Verdict.Name((await call).verdict).removeprefix("VERDICT_")
    except ClientError as error:
        return error.reason or error.code.name


async def answers_right(client: AsyncClient) -> None:
    """See that the server judges what others send, each by its own picture."""
    judged = await asyncio.gather(*(client.moderate(picture(colour)) for colour in EXPECTED for _ in range(4)))
    assert [each.verdict for each in judged] == [EXPECTED[colour] for colour in EXPECTED for _ in range(4)]


def difference(after: Metrics, before: Metrics, method: str = "Moderate") -> dict[str, int]:
    """Count a method's calls between two looks, by gRPC status."""
    return dict(Counter(after.of_method(method)) - Counter(before.of_method(method)))


async def test_poisoned_images_among_good_ones_fail_alone(server: Process, client: AsyncClient) -> None:
    kinds = {
        "BLOCK": picture("red"),
        "ALLOW": picture("blue"),
        "REVIEW": picture("yellow"),
        "IMAGE_EMPTY": b"",
        "IMAGE_TRUNCATED": picture("red", "JPEG")[:-100],
        "IMAGE_FORMAT_UNSUPPORTED": b"no image at all",
        "IMAGE_TOO_MANY_PIXELS": large_header(),
        "ENCODER_FAILED": picture("green"),
        "ENCODER_FAILED, too": picture("white"),
    }
    before = await server.settled()
    names = list(kinds) * 12
    with server.fault("throw-green"), server.fault("nan-white"):
        found = await asyncio.gather(*(outcome(client.moderate(kinds[name])) for name in names))
        assert await server.health() == SERVING
    assert found == [name.removesuffix(", too") for name in names]
    after = await server.settled()
    assert difference(after, before) == {"OK": 36, "INVALID_ARGUMENT": 48, "INTERNAL": 24}
    assert after["verdicts_total"] - before["verdicts_total"] == 36
    assert after["errors_total"] - before["errors_total"] == 72


@pytest.mark.parametrize("fault", ["throw-any", "nan-any"])
async def test_an_encoder_that_fails_on_everything_is_not_serving_until_it_works_again(
    server: Process, client: AsyncClient, fault: str
) -> None:
    before = await server.settled()
    with server.fault(fault):
        assert await outcome(client.moderate(picture("red"))) == "ENCODER_FAILED"
        await server.becomes(NOT_SERVING)
        assert (await server.metrics())["ready"] == 0
        assert await outcome(client.moderate(picture("red"))) == "ENCODER_FAILED"
    await server.becomes(SERVING)
    await answers_right(client)
    after = await server.settled()
    assert after["ready"] == 1
    assert difference(after, before) == {"INTERNAL": 2, "OK": 12}


async def test_callers_that_leave_are_counted_and_the_rest_answered(server: Process, client: AsyncClient) -> None:
    before = await server.settled()
    with server.fault("hold-any"):
        calls = [asyncio.create_task(client.moderate(data)) for data in distinct("red", 16)]
        await server.until(lambda found: found["admitted_images"] == 16)
        for call in calls[::2]:
            call.cancel()
        await server.until(lambda found: difference(found, before) == {"CANCELLED": 8})
    assert [(await call).verdict for call in calls[1::2]] == [pb.VERDICT_BLOCK] * 8
    after = await server.settled()
    assert difference(after, before) == {"OK": 8, "CANCELLED": 8}
    assert await server.health() == SERVING


@pytest.mark.parametrize("method", ["Moderate", "BatchModerate"])
async def test_clients_that_die_in_the_middle_of_a_message_leave_nothing_behind(
    server: Process, client: AsyncClient, method: str
) -> None:
    before = await server.settled()
    calls = [RawCall(server.socket, method, timeout="60S") for _ in range(4)]
    for call in calls:
        call.send(bytes(10 * KIB), announced=200 * KIB)
    await server.until(lambda found: found["requests_in_flight"] == 4)
    for call in calls:
        call.die()
    after = await server.settled()
    assert difference(after, before, method) == {"CANCELLED": 4}
    await answers_right(client)
    assert await server.health() == SERVING


async def test_clients_that_never_send_what_they_announced_give_way_to_those_who_do(server: Process) -> None:
    before = await server.settled()
    # More than there is room to read at once; without a deadline of their own they get the configured one.
    silent = [RawCall(server.socket, "Moderate") for _ in range(40)]
    for call in silent:
        call.send(b"", announced=200 * KIB)
    async with AsyncClient(server.target, timeout=60, retry=RetryPolicy(reserve=100, budget=100)) as client:
        await answers_right(client)
    after = await server.settled()
    assert await server.health() == SERVING
    for call in silent:
        call.die()
    codes = difference(after, before)
    assert codes.pop("OK") == 12
    assert set(codes) <= {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    assert sum(codes.values()) >= 40


async def test_clients_that_stop_reading_hold_nobody_up(server: Process, client: AsyncClient) -> None:
    before = await server.settled()
    deaf = [RawCall(server.socket, "StreamModerate", window=0, timeout="60S") for _ in range(4)]
    for call in deaf:
        for number, data in enumerate(distinct("red", 40)):
            item = pb.StreamModerateRequest(id=str(number), image=pb.ImageSource(data=data))
            call.send(item.SerializeToString())
    await server.until(lambda found: found["open_streams"] == 4)
    await answers_right(client)
    assert await server.health() == SERVING
    for call in deaf:
        call.die()
    after = await server.settled()
    assert difference(after, before, "StreamModerate") == {"CANCELLED": 4}


async def test_a_stream_whose_client_dies_leaves_the_others_their_answers(server: Process, client: AsyncClient) -> None:
    before = await server.settled()
    with server.fault("hold-any"):
        dying = RawCall(server.socket, "StreamModerate", timeout="60S")
        for number, data in enumerate(distinct("blue", 8)):
            item = pb.StreamModerateRequest(id=str(number), image=pb.ImageSource(data=data))
            dying.send(item.SerializeToString())
        await server.until(lambda found: found["admitted_images"] == 8)
        others = [asyncio.create_task(client.moderate(data)) for data in distinct("red", 4)]
        await server.until(lambda found: found["admitted_images"] == 12)
        dying.die()
        await server.until(lambda found: difference(found, before, "StreamModerate") == {"CANCELLED": 1})
    assert [each.verdict for each in await asyncio.gather(*others)] == [pb.VERDICT_BLOCK] * 4
    await server.settled()
    assert await server.health() == SERVING


async def test_a_client_without_a_deadline_gets_the_configured_one(server: Process) -> None:
    before = await server.settled()
    async with grpc.aio.insecure_channel(server.target) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        with server.fault("hold-any"), pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Moderate(pb.ModerateRequest(image=pb.ImageSource(data=picture("red"))))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert difference(await server.settled(), before) == {"DEADLINE_EXCEEDED": 1}


async def test_what_cannot_be_judged_in_time_is_refused_and_not_decoded(server: Process, client: AsyncClient) -> None:
    before = await server.settled()
    waiting = [picture("red", side=400 + number) for number in range(60)]
    with server.fault("hold-any"):
        calls = [asyncio.create_task(client.moderate(data)) for data in waiting]
        # What may be decoded ahead of the held encoder has been.
        await server.until(
            lambda found: found["admitted_images"] == 60 and found["line_images"] and not found["decode_threads_busy"]
        )
        decodes = server.decodes
        late = Counter([await outcome(client.moderate(picture("blue"), timeout=0.1)) for _ in range(20)])
        assert server.decodes == decodes
        assert set(late) <= {"OVERLOADED", "DEADLINE_EXCEEDED"}
        assert late["OVERLOADED"]
    assert {each.verdict for each in await asyncio.gather(*calls)} == {pb.VERDICT_BLOCK}
    codes = difference(await server.settled(), before)
    assert (codes["OK"], codes["RESOURCE_EXHAUSTED"]) == (60, late["OVERLOADED"])


async def test_our_clients_do_not_make_an_overload_worse(server: Process) -> None:
    before, offered, data = await server.settled(), 600, picture("red")
    async with AsyncClient(server.target, timeout=60) as client:
        with server.fault("hold-any"):
            calls = [asyncio.create_task(outcome(client.moderate(data))) for _ in range(offered)]
            await server.until(lambda found: found["admitted_images"] + sum(call.done() for call in calls) >= offered)
        found = Counter(await asyncio.gather(*calls))
    assert set(found) == {"BLOCK", "OVERLOADED"}
    assert found["OVERLOADED"] > offered / 4
    codes = difference(await server.settled(), before)
    assert codes["OK"] == found["BLOCK"]
    assert offered <= sum(codes.values()) <= 1.2 * offered
