"""Clients that spread their calls over several servers: all of them work, and one that leaves takes no call with it."""

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from clipwarden import AsyncClient, Client, StreamItem
from clipwarden.client import RetryPolicy, ServerUnavailableError
from clipwarden.modelfolder.load import Model
from kit.dnsserver import name_server
from kit.serverprocess import serve_process
from kit.serving import Rig, colours_yaml, eventually, picture, serving

CALLERS = 4
LOOKS_UP = [("grpc.dns_min_time_between_resolutions_ms", 50)]
"""Half a minute by default, which no test has."""
CONNECTIONS = 4
SHORT_LIFE = 0.2
"""Of a connection: many of them end within a test."""


@asynccontextmanager
async def servers(model: Model, *names: str, **settings: object) -> AsyncIterator[list[Rig]]:
    """Run one server for each name, which is that of its policy: answers tell who gave them."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serving(model, name, **settings)) for name in names]


def target_of(rigs: Sequence[Rig]) -> str:
    return "ipv4:" + ",".join(str(rig.server.address) for rig in rigs)


class Answers(Counter[str]):
    """Who answered, counted while callers ask without a pause."""

    @contextmanager
    def of(self, client: AsyncClient) -> Iterator[None]:
        """Have callers ask for as long as the block lasts; one that fails fails the test."""
        tasks = [asyncio.create_task(self._ask(client, caller)) for caller in range(CALLERS)]
        try:
            yield
        finally:
            for task in tasks:
                assert not task.done() or task.exception() is None, "a call was lost"
                task.cancel()

    async def _ask(self, client: AsyncClient, caller: int) -> None:
        number = caller * 1000
        while True:
            number += 1
            self[(await client.moderate(picture("red", number=number % 4096), timeout=60)).policy.id] += 1

    async def all_of(self, *names: str) -> None:
        """Wait until each has answered anew."""
        self.clear()
        await eventually(lambda: self.keys() >= set(names))

    async def only(self, *names: str) -> None:
        """Wait until these alone answer: a hundred calls in a row."""
        while not self or self.keys() - set(names):
            self.clear()
            await eventually(lambda: self.total() >= 100)


async def test_without_round_robin_one_server_has_all_calls(toy_model: Model) -> None:
    async with servers(toy_model, "a", "b", "c") as rigs, AsyncClient(target_of(rigs)) as client:
        answered = Counter([(await client.moderate(picture("red"))).policy.id for _ in range(30)])
    assert sorted(answered.values()) == [30]


async def test_with_round_robin_each_server_has_its_turn(toy_model: Model) -> None:
    async with servers(toy_model, "a", "b", "c") as rigs, AsyncClient(target_of(rigs), round_robin=True) as client:
        with (answers := Answers()).of(client):
            await answers.all_of("a", "b", "c")
        answered = Counter([(await client.moderate(picture("red"))).policy.id for _ in range(30)])
    assert answered == {"a": 10, "b": 10, "c": 10}


async def test_the_client_for_threads_spreads_calls_too(toy_model: Model) -> None:
    def ask(target: str) -> None:
        answered: set[str] = set()
        with Client(target, round_robin=True) as client:
            while answered != {"a", "b"}:
                answered.add(client.moderate(picture("red")).policy.id)

    async with servers(toy_model, "a", "b") as rigs:
        await asyncio.wait_for(asyncio.to_thread(ask, target_of(rigs)), 60)


async def test_a_server_that_drains_is_left_alone_before_it_refuses(toy_model: Model) -> None:
    hurry = asyncio.Event()
    async with (
        servers(toy_model, "a", "b", drain_delay_seconds=3600) as (first, second),
        AsyncClient(target_of((first, second)), round_robin=True) as client,
    ):
        with (answers := Answers()).of(client):
            await answers.all_of("a", "b")
            draining = asyncio.create_task(first.server.drain(hurry))
            # It would take calls for an hour yet.
            await answers.only("b")
            hurry.set()
            await draining
            await first.server.close()
            await answers.all_of("b")


async def test_a_server_that_is_killed_loses_no_call(toy_model: Model, toy_folder: Path, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        processes = []
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            (policy := folder / "policy.yaml").write_text(colours_yaml(toy_model, name))
            server = serve_process(toy_folder, policy, folder, folder, listen="127.0.0.1:0", cache_bytes=0)
            processes.append(await stack.enter_async_context(server))
        target = "ipv4:" + ",".join(process.address for process in processes)
        async with AsyncClient(target, round_robin=True) as client:
            with (answers := Answers()).of(client):
                await answers.all_of("a", "b")
                assert await processes[0].end(signal.SIGKILL) == -signal.SIGKILL
                await answers.only("b")


async def test_no_call_is_lost_where_connections_end_by_their_age(
    toy_model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clipwarden.access")
    release = asyncio.Event()

    async def items() -> AsyncIterator[StreamItem]:
        yield StreamItem(id="1", image=picture("red"))
        await release.wait()
        yield StreamItem(id="2", image=picture("blue"))

    async with (
        serving(toy_model, "a", max_connection_age_seconds=SHORT_LIFE) as rig,
        AsyncClient(str(rig.server.address)) as client,
    ):
        results = client.moderate_stream(items())
        assert (await anext(results)).id == "1"
        with Answers().of(client):
            # A caller without a token is its connection.
            await eventually(lambda: len({vars(line).get("caller") for line in caplog.records}) > CONNECTIONS)
        release.set()
        assert [result.id async for result in results] == ["2"]


async def test_a_server_that_is_added_is_found_once_connections_end_by_their_age(toy_model: Model) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(toy_model, "a", max_connection_age_seconds=SHORT_LIFE))
        port = str(first.server.address).rpartition(":")[2]
        second = serving(toy_model, "b", listen=f"127.0.0.2:{port}", max_connection_age_seconds=SHORT_LIFE)
        await stack.enter_async_context(second)
        names = await stack.enter_async_context(name_server("127.0.0.1"))
        client = AsyncClient(f"{names.target}:{port}", round_robin=True, channel_options=LOOKS_UP)
        await stack.enter_async_context(client)
        with (answers := Answers()).of(client):
            await answers.only("a")
            names.addresses.append("127.0.0.2")
            await answers.all_of("a", "b")
            names.addresses.remove("127.0.0.1")
            await answers.only("b")


async def test_where_no_server_is_healthy_the_caller_hears_of_it(toy_model: Model) -> None:
    hurry = asyncio.Event()
    once = RetryPolicy(max_attempts=1)
    async with (
        servers(toy_model, "a", drain_delay_seconds=3600) as (rig,),
        AsyncClient(target_of([rig]), round_robin=True, retry=once) as client,
    ):
        await client.wait_until_ready()
        draining = asyncio.create_task(rig.server.drain(hurry))
        with pytest.raises(ServerUnavailableError, match=r"No server at .* says that it is healthy"):
            await until_refused(client)
        hurry.set()
        await draining


async def until_refused(client: AsyncClient) -> None:
    while True:
        await client.moderate(picture("red"))
