"""Calls over gRPC as light as Python makes them: request bytes made beforehand, nothing serialised or parsed."""

import asyncio
from collections.abc import Callable
from typing import Self

import grpc

from bench.pressure.loads import Answer, Load
from clipwarden.client.proxy import NO_PROXY
from clipwarden.v1 import moderation_pb2 as pb

SAMPLE = 50
"""Every so manieth answer is parsed and has to be a verdict; all have to be as long as one."""
LEAST_VERDICT_BYTES = 200

_OUTCOMES = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: "refused",
    grpc.StatusCode.DEADLINE_EXCEEDED: "late",
}
_RETRY_INFO = b"google.rpc.RetryInfo"


class GrpcCaller:
    """Calls one method over several connections.

    Args:
        load: What to send.
        next_request: Gives request bytes.
    """

    def __init__(self, load: Load, next_request: Callable[[], bytes]) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), *NO_PROXY.items()]
        count = max(load.connections, len(load.rates) if len(load.rates) > 1 else 0)
        self._channels = [grpc.aio.insecure_channel(load.target, options=options) for _ in range(count)]
        self._calls: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = [
            channel.unary_unary(load.method) for channel in self._channels
        ]
        self._next, self._judged, self._answers = next_request, load.judged, 0

    @classmethod
    async def connect(cls, load: Load, next_request: Callable[[], bytes]) -> Self:
        """Connect all channels before the first call."""
        caller = cls(load, next_request)
        await asyncio.gather(*(channel.channel_ready() for channel in caller._channels))
        return caller

    async def call(self, connection: int, seconds: float) -> Answer:
        """Make one call."""
        try:
            response: bytes = await self._calls[connection % len(self._calls)](self._next(), timeout=seconds)
        except grpc.aio.AioRpcError as exc:
            return _failed(exc)
        self._answers += 1
        if self._judged:
            _require_verdict(response, parse=self._answers % SAMPLE == 1)
        return Answer(outcome="verdict")

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


def _failed(exc: grpc.aio.AioRpcError) -> Answer:
    outcome = _OUTCOMES.get(exc.code(), exc.code().name)
    trailers = exc.trailing_metadata() or ()
    advised = any(_RETRY_INFO in value for key, value in trailers if key == "grpc-status-details-bin")
    return Answer(outcome=outcome, advised=advised)


def _require_verdict(response: bytes, *, parse: bool) -> None:
    """Insist that an answer is a verdict.

    Raises:
        ValueError: It is not.
    """
    if len(response) < LEAST_VERDICT_BYTES:
        raise ValueError(f"an answer of {len(response)} bytes is no verdict")
    if parse:
        moderation = pb.ModerateResponse.FromString(response).moderation
        if moderation.verdict == pb.VERDICT_UNSPECIFIED or not moderation.categories:
            raise ValueError(f"no verdict: {moderation}")
