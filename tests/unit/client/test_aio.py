import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from clipwarden import AsyncClient, Client, RetryPolicy, StreamItem
from clipwarden.client import (
    DeadlineExceededError,
    ImageRefusedError,
    RequestRefusedError,
    ServerOverloadedError,
    ServerUnavailableError,
)
from clipwarden.client.feed import AsyncFeed
from clipwarden.v1 import moderation_pb2 as v1
from kit.faultserver import FaultServer, allowed, overloaded, status, unavailable

OK = v1.ModerateResponse(moderation=allowed(request_id="seen"))


class Waiting:
    """A client's clock, sleep and chance: time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.fraction = 0.5
        self.oversleeps = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self.oversleeps

    def client(self, target: str, **choices: RetryPolicy) -> AsyncClient:
        return AsyncClient(target, clock=lambda: self.now, sleep=self.sleep, random=lambda: self.fraction, **choices)


@pytest.fixture
async def client(server: FaultServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address, timeout=60) as client:
        yield client


def test_both_clients_offer_the_same_calls() -> None:
    public = [{name for name in dir(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)]
    assert public[0] == public[1]


async def test_moderate_sends_what_was_asked(client: AsyncClient, server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "cat").write_bytes(b"image")
    server.service.answers.append(OK)
    found = await client.moderate(tmp_path / "cat", policy="p", context="c", request_id="r", return_embeddings=True)
    assert found == OK.moderation
    options = v1.ModerationOptions(policy_id="p", context="c", return_embeddings=True, priority=v1.PRIORITY_INTERACTIVE)
    assert server.service.requests == [
        v1.ModerateRequest(image=v1.ImageSource(data=b"image"), options=options, request_id="r")
    ]


async def test_a_backfill_says_that_nobody_waits(client: AsyncClient, server: FaultServer) -> None:
    one = v1.ModerationResult(moderation=allowed())
    server.service.answers.extend([OK, v1.BatchModerateResponse(results=[one])])
    await client.moderate(b"image", priority="bulk")
    await client.moderate_batch([b"image"], priority="bulk")
    assert [request.options.priority for request in server.service.requests] == [v1.PRIORITY_BULK] * 2


async def test_retries_follow_the_same_policy(server: FaultServer) -> None:
    waiting = Waiting()
    server.service.answers.extend([unavailable(), overloaded(2.0), OK])
    async with waiting.client(server.address) as client:
        await client.moderate(b"image")
    assert waiting.slept == [0.05, 3.0]


async def test_a_refused_call_never_comes_back_sooner_than_it_was_told(server: FaultServer) -> None:
    waiting = Waiting()
    waiting.fraction = 0.0
    hints = [0.0, 2.0, 0.05, 5.0]
    server.service.answers.extend([*map(overloaded, hints), OK])
    async with waiting.client(server.address, retry=RetryPolicy(max_attempts=9, reserve=9)) as client:
        await client.moderate(b"image", timeout=60)
    assert waiting.slept == hints


async def test_who_oversleeps_its_deadline_is_told_why_there_was_no_verdict(server: FaultServer) -> None:
    waiting = Waiting()
    waiting.oversleeps = 60.0
    server.service.answers.extend([overloaded(2.0), OK])
    async with waiting.client(server.address) as client:
        with pytest.raises(ServerOverloadedError) as caught:
            await client.moderate(b"image", timeout=60)
    assert (caught.value.attempts, len(waiting.slept), len(server.service.requests)) == (1, 1, 1)
    assert isinstance(caught.value.__cause__, grpc.RpcError)


async def test_the_deadline_covers_all_attempts(server: FaultServer) -> None:
    waiting = Waiting()
    server.service.answers.extend([overloaded(2000.0)] * 3)
    async with waiting.client(server.address, retry=RetryPolicy(reserve=9)) as client:
        with pytest.raises(ServerOverloadedError) as caught:
            await client.moderate(b"image", timeout=5000)
    assert (caught.value.attempts, len(waiting.slept)) == (3, 2)
    assert isinstance(caught.value.__cause__, grpc.RpcError)


async def test_cancelling_a_task_cancels_its_call(client: AsyncClient, server: FaultServer) -> None:
    silence = threading.Event()
    server.service.answers.append(silence)
    task = asyncio.create_task(client.moderate(b"image"))
    assert await asyncio.to_thread(server.service.asked.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.service.ended.wait, 60)
    silence.set()


async def test_a_batch_answers_in_order(client: AsyncClient, server: FaultServer) -> None:
    fault = v1.ImageFault(reason=v1.IMAGE_FAULT_REASON_EMPTY)
    bad = status(grpc.StatusCode.INVALID_ARGUMENT, "empty", fault)
    results = [v1.ModerationResult(moderation=allowed()), v1.ModerationResult(error=bad)]
    server.service.answers.append(v1.BatchModerateResponse(results=results))
    first, second = await client.moderate_batch([b"1", b""], request_id="r")
    assert first.unwrap() == allowed()
    assert isinstance(second.error, ImageRefusedError)


async def test_embeddings_policies_and_health(client: AsyncClient, server: FaultServer) -> None:
    policy = v1.Policy(ref=v1.PolicyRef(id="p"))
    summary = v1.PolicySummary(policy=policy.ref)
    server.service.answers.extend(
        [
            v1.ModerateEmbeddingResponse(moderation=allowed()),
            v1.ListPoliciesResponse(policies=[summary], next_page_token="t"),  # noqa: S106  a page token
            v1.ListPoliciesResponse(policies=[summary]),
            v1.ListPoliciesResponse(candidates=[summary], next_page_token="t"),  # noqa: S106  a page token
            v1.ListPoliciesResponse(policies=[summary], candidates=[summary]),
            v1.GetPolicyResponse(policy=policy),
        ]
    )
    assert await client.moderate_embedding([v1.Embedding(values=[1.0])], model_fingerprint="sha256:f") == allowed()
    assert await client.list_policies() == [summary, summary]
    assert await client.list_candidates() == [summary, summary]
    assert await client.get_policy("p") == policy
    assert not await client.ready()
    server.set_serving(serving=True)
    await client.wait_until_ready(60)


async def test_waiting_for_no_server_ends_with_a_sentence(socket_folder: Path) -> None:
    async with Waiting().client(f"unix:{socket_folder}/none") as client:
        with pytest.raises(DeadlineExceededError, match="No clipwarden server answers"):
            await client.wait_until_ready(5)


def echo(requests: Iterator[v1.StreamModerateRequest], _context: object) -> Iterator[v1.StreamModerateResponse]:
    for request in requests:
        yield v1.StreamModerateResponse(id=request.id, result=v1.ModerationResult(moderation=allowed()))


async def test_a_stream_takes_plain_and_async_items(client: AsyncClient, server: FaultServer) -> None:
    async def later() -> AsyncIterator[StreamItem]:
        for name in "cd":
            await asyncio.sleep(0)
            yield StreamItem(id=name, image=b"x")

    server.service.stream = echo
    plain = [StreamItem(id=name, image=b"x") for name in "ab"]
    assert {result.id async for result in client.moderate_stream(plain)} == {"a", "b"}
    assert {result.id async for result in client.moderate_stream(later())} == {"c", "d"}


async def test_what_the_items_raise_reaches_the_caller(
    client: AsyncClient, server: FaultServer, tmp_path: Path
) -> None:
    server.service.stream = echo
    results = client.moderate_stream([StreamItem(id="a", image=b"1"), StreamItem(id="b", image=tmp_path / "none")])
    assert (await anext(results)).id == "a"
    with pytest.raises(FileNotFoundError):
        await anext(results)


async def test_a_broken_stream_is_never_tried_again(client: AsyncClient, server: FaultServer) -> None:
    def fail(requests: Iterator[v1.StreamModerateRequest], _context: object) -> Iterator[object]:
        next(requests)
        yield unavailable()

    async def endless() -> AsyncIterator[StreamItem]:
        for number in range(1_000_000):
            yield StreamItem(id=str(number), image=b"x")

    server.service.stream = fail
    # grpc.aio loses the server's status when a write meets the end of the call; either way the class is the same.
    with pytest.raises(ServerUnavailableError, match=r"draining|ended the stream"):
        async for _ in client.moderate_stream(endless()):
            pass


async def test_closing_a_stream_cancels_it(client: AsyncClient, server: FaultServer) -> None:
    async def one_then_nothing() -> AsyncIterator[StreamItem]:
        yield StreamItem(id="a", image=b"x")
        await asyncio.Event().wait()

    server.service.stream = echo
    async with contextlib.aclosing(client.moderate_stream(one_then_nothing())) as results:
        assert (await anext(results)).id == "a"
    assert await asyncio.to_thread(server.service.ended.wait, 60)


async def test_cancelling_the_reader_of_a_stream_is_a_cancellation(client: AsyncClient, server: FaultServer) -> None:
    async def read() -> None:
        async for _ in client.moderate_stream([]):
            pass

    def hang(_requests: object, _context: object) -> Iterator[object]:
        server.service.ended.wait(60)
        yield from ()

    server.service.stream = hang
    task = asyncio.create_task(read())
    assert await asyncio.to_thread(server.service.asked.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_may_be_made_before_the_loop_runs(server: FaultServer) -> None:
    client = await asyncio.to_thread(AsyncClient, server.address)
    server.service.answers.append(OK)
    assert await client.moderate(b"image") == OK.moderation
    await client.close()


async def test_a_client_that_never_called_closes(server: FaultServer) -> None:
    async with AsyncClient(server.address):
        pass


async def test_an_untrusted_certificate_is_refused(server: FaultServer) -> None:
    credentials = grpc.ssl_channel_credentials()
    async with AsyncClient(server.address, credentials=credentials, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises((ServerUnavailableError, RequestRefusedError)):
            await client.moderate(b"image", timeout=60)


async def test_writing_stops_when_the_call_is_over() -> None:
    class OverCall:
        async def write(self, _request: object) -> None:
            raise asyncio.InvalidStateError

    asked = []

    def items() -> Iterator[StreamItem]:
        for name in "ab":
            asked.append(name)
            yield StreamItem(id=name, image=b"x")

    await AsyncFeed(items()).write_to(OverCall())
    assert asked == ["a"]
