"""A bare gRPC server that judges: what any server in Python over gRPC can reach, without one of our checks.

`python -m bench.pressure.barejudge ONNX SIDE`: our wire method, raw bytes, a pool of CPUs + 1 threads over one shared
session of one thread; plain decode, encode and 1,000 cosines. The answer is always the same verdict. The port is
printed in a JSON line.
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np

from bench.pressure.bare import VERDICT_BYTES, Handlers, serve
from bench.pressure.limit import open_session, read_pixels
from clipwarden.machine import available_cpus
from clipwarden.v1 import moderation_pb2 as pb

SERVICE, METHOD = "clipwarden.v1.ModerationService", "Moderate"
TEXTS = 1000
"""As many as the benchmark's policy has."""


def make_judge(onnx: str, side: int) -> Callable[[bytes], bytes]:
    """Return what one thread does for one request; safe in several at once."""
    session = open_session(onnx, 1)
    width = session.get_outputs()[0].shape[1]
    texts = np.random.default_rng(0).standard_normal((TEXTS, width)).astype(np.float32)
    verdict = canned_verdict()

    def judge(raw: bytes) -> bytes:
        pixels = read_pixels(pb.ModerateRequest.FromString(raw).image.data, side)
        (texts @ session.run(None, {"pixels": pixels})[0][0]).max()
        return verdict

    return judge


def canned_verdict() -> bytes:
    """Return a verdict as long as those of the benchmark's policy."""
    moderation = pb.Moderation(verdict=pb.VERDICT_ALLOW, categories=[pb.CategoryResult()])
    moderation.request_id = "-" * (VERDICT_BYTES - len(pb.ModerateResponse(moderation=moderation).SerializeToString()))
    return pb.ModerateResponse(moderation=moderation).SerializeToString()


def make_handlers(onnx: str, side: int) -> Handlers:
    """Return the one method."""
    judge, pool = make_judge(onnx, side), ThreadPoolExecutor(available_cpus() + 1)

    async def moderate(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return await asyncio.get_running_loop().run_in_executor(pool, judge, await context.read())

    return {METHOD: grpc.stream_unary_rpc_method_handler(moderate)}


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(SERVICE, make_handlers(sys.argv[1], int(sys.argv[2])))))
