"""Calls as a day brings them: photographs of several sizes and formats, broken files, callers that leave, repeats."""

import asyncio
import io
import random
from collections.abc import Callable

import grpc
from PIL import Image

from bench.photos import Photo, request_head
from bench.pressure.grpccalls import GrpcCaller
from bench.pressure.loads import Answer, Load
from bench.pressure.material import SIZES

LONGEST_PATIENCE = 0.1
"""Seconds after which callers that leave have left: some before the decode, some in it, some after."""


class MixedCaller(GrpcCaller):
    """Draws each call's kind by its weight, from a seed: every run has the same mix.

    Args:
        load: What to send; its size is not used.
        next_request: Not used either.
    """

    def __init__(self, load: Load, next_request: Callable[[], bytes]) -> None:
        super().__init__(load, next_request)
        small, middle, large = (Photo(size).in_request() for size in (SIZES["224x224"], (640, 480), SIZES["1600x1200"]))
        photo = Photo((640, 480))
        again, png, webp = middle.next(), _saved(photo.next(), "PNG"), _saved(photo.next(), "WEBP")
        self._random = random.Random(0)  # noqa: S311  a mix, not a secret
        self._kinds: dict[Callable[[], bytes], int] = {
            small.next: 40,
            middle.next: 20,
            large.next: 10,
            lambda: again: 10,
            lambda: png: 3,
            lambda: webp: 2,
            lambda: _wrapped(photo.next()[:2000]): 5,
            lambda: _wrapped(bytes(1000)): 5,
        }
        self._leaving = 0.05

    async def call(self, connection: int, seconds: float) -> Answer:
        """Make one call; some are left early."""
        (self._next,) = self._random.choices(list(self._kinds), list(self._kinds.values()))
        call = asyncio.ensure_future(super().call(connection, seconds))
        if self._random.random() > self._leaving:
            return await call
        await asyncio.sleep(self._random.uniform(0, LONGEST_PATIENCE))
        call.cancel()
        try:
            return await call
        except (asyncio.CancelledError, grpc.aio.AioRpcError):
            return Answer(outcome="left")


def _saved(jpeg: bytes, kind: str) -> bytes:
    data = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(data, kind)
    return _wrapped(data.getvalue())


def _wrapped(image: bytes) -> bytes:
    return request_head(len(image)) + image
