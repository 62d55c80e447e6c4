"""The service's description, for gRPC tools; to those alone who may call the service itself."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from clipwarden.serving.calls import Call, Calls
from clipwarden.serving.context import Context
from clipwarden.v1 import moderation_pb2

METHOD = "ServerReflectionInfo"


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # grpcio-reflection ships no types
    """gRPC's own, behind the check of who calls.

    Args:
        calls: Knows who may.
    """

    def __init__(self, calls: Calls) -> None:
        ours = moderation_pb2.DESCRIPTOR.services_by_name["ModerationService"].full_name
        health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        super().__init__((ours, health, reflection.SERVICE_NAME))
        self._calls = calls

    def add_to(self, server: grpc.aio.Server) -> None:
        """Have a server answer by this, before it starts."""
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(self, server)

    async def ServerReflectionInfo(  # noqa: N802  gRPC's name
        self, requests: AsyncIterator[Any], context: Context
    ) -> AsyncIterator[Any]:
        """Answer one question after the other."""
        call = self._calls.open(METHOD, context)
        if call.who.denial:
            await self._calls.abort(call.who.denial, call, context)
            return
        async for response in super().ServerReflectionInfo(self._while_let_in(requests, call, context), context):
            yield response

    async def _while_let_in(self, requests: AsyncIterator[Any], call: Call, context: Context) -> AsyncIterator[Any]:
        """Pass questions on until the caller's token is withdrawn."""
        async for request in requests:
            denial = self._calls.denial_now(call, context)
            if denial:
                await self._calls.abort(denial, call, context)
                return
            yield request
