"""Bare gRPC servers, the least that anything in Python over gRPC costs: `python -m bench.pressure.bare`.

Methods of the service "bare": Echo returns the same bytes, Answer as many as a verdict has, Refuse refuses every call
before it is read. The port is printed in a JSON line.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

ECHO, ANSWER, REFUSE = "/bare/Echo", "/bare/Answer", "/bare/Refuse"

VERDICT_BYTES = 3000
"""About what a verdict of the benchmark's policy has."""


Handlers: TypeAlias = "dict[str, grpc.RpcMethodHandler[bytes, bytes]]"


async def serve(service: str, handlers: Handlers) -> None:
    """Serve methods of one service until killed; the port is printed in a JSON line."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"port": port}), flush=True)
    await server.wait_for_termination()


def _handlers() -> Handlers:
    verdict = bytes(VERDICT_BYTES)
    details = Any()
    details.Pack(RetryInfo(retry_delay=Duration(seconds=1)))
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full", details=[details])
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)

    async def echo(request: bytes, _: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return request

    async def answer(_: bytes, __: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return verdict

    async def refuse(_: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", trailers)

    return {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Answer": grpc.unary_unary_rpc_method_handler(answer),
        "Refuse": grpc.stream_unary_rpc_method_handler(refuse),
    }


if __name__ == "__main__":
    sys.exit(asyncio.run(serve("bare", _handlers())))
