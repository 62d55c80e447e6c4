"""Clients that are silent for long: pings that a server allows keep them, and those it does not are survived.

The intervals are a hundredth of the real ones or less; who forgives how many pings is gRPC's own doing in both.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from clipwarden import AsyncClient, StreamItem
from clipwarden.client import ServerUnavailableError
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.v1.moderation_pb2_grpc import ModerationServiceServicer, add_ModerationServiceServicer_to_server
from kit.serving import picture, serving

PING_SECONDS, MIN_PING_SECONDS = 0.3, 0.05
"""In the proportion of the client's minute to the 10 s of a server's `min_ping_seconds`."""
# By default a client that gets no data pings but twice, and then once a minute.
PINGING = [("grpc.keepalive_time_ms", int(PING_SECONDS * 1000)), ("grpc.http2.max_pings_without_data", 0)]
FORGIVEN = 2
"""Pings too early that a server overlooks; gRPC's own default (grpc.http2.max_ping_strikes)."""


async def test_a_client_that_is_silent_for_long_is_not_sent_away(toy_model: Model) -> None:
    release = asyncio.Event()

    async def items() -> AsyncIterator[StreamItem]:
        yield StreamItem(id="1", image=picture("red"))
        await release.wait()
        yield StreamItem(id="2", image=picture("blue"))

    settings = {"min_ping_seconds": MIN_PING_SECONDS, "keepalive_seconds": 0.0}
    async with (
        serving(toy_model, "colours", **settings) as rig,
        AsyncClient(str(rig.server.address), channel_options=PINGING) as client,
    ):
        results = client.moderate_stream(items())
        assert (await anext(results)).id == "1"
        # Silence is what is tested. Were these pings not allowed, the client would be sent away within it: see below.
        await asyncio.sleep(PING_SECONDS * (FORGIVEN + 1) * 4)
        release.set()
        assert [result.id async for result in results] == ["2"]


class Strict(ModerationServiceServicer):
    """A server of somebody else's, on which clients may ping every five minutes: gRPC's own default."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.silence = asyncio.Event()
        self.streamed = False

    async def GetPolicy(self, _request: Any, context: grpc.aio.ServicerContext) -> v1.GetPolicyResponse:  # noqa: ANN401, N802
        self.peers.append(context.peer())
        if len(self.peers) == 1 and not self.streamed:
            await self.silence.wait()
        return v1.GetPolicyResponse(policy=v1.Policy())

    async def StreamModerate(  # noqa: N802
        self,
        requests: AsyncIterator[Any],
        _context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[v1.StreamModerateResponse]:
        self.streamed = True
        async for _ in requests:
            await self.silence.wait()
        yield v1.StreamModerateResponse()


@asynccontextmanager
async def strict(service: Strict) -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_ModerationServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        service.silence.set()
        await server.stop(0)


async def test_a_call_to_a_server_that_forbids_pings_is_made_again() -> None:
    service = Strict()
    async with strict(service) as target, AsyncClient(target, channel_options=PINGING) as client:
        assert await client.get_policy(timeout=60) == v1.Policy()
    assert len(set(service.peers)) == 2, "it was sent away, and came back"


async def test_a_stream_to_a_server_that_forbids_pings_ends_with_a_sentence() -> None:
    service = Strict()

    async def items() -> AsyncIterator[StreamItem]:
        yield StreamItem(id="1", image=b"x")
        await service.silence.wait()

    async with strict(service) as target, AsyncClient(target, channel_options=PINGING) as client:
        with pytest.raises(ServerUnavailableError, match="sent this client away for pinging too often"):
            async for _ in client.moderate_stream(items(), timeout=60):
                pass
        assert await client.get_policy(timeout=60) == v1.Policy(), "the client goes on"
