"""What the way through the server costs beside encoding: client, gRPC, decoding, batching and judging together."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import grpc
import numpy as np

from bench.measure import Ratio, time_together
from bench.photos import Photo
from bench.scoring import make_compiled
from bench.vit import VIT_B_32, Geometry, int8_vit
from clipwarden.client.proxy import NO_PROXY
from clipwarden.engine.snapshot import Snapshot, make_snapshot
from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.load import Model, Runtime
from clipwarden.modelfolder.manifest import Golden, ModelManifest, Preprocessing
from clipwarden.modelfolder.session import open_session
from clipwarden.policy.schema import Pool
from clipwarden.serving.config import Settings
from clipwarden.serving.server import running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc

BATCH = 8
"""Images encoded at once, and asked for at once: the encoder is never idle, and never has more to do than one run."""

PHOTO = (1600, 1200)
"""Pixels of the larger image: what a phone uploads to a shop after the shop's own app has scaled it."""


def run(*, rounds: int = 8, geometry: Geometry = VIT_B_32, folder: Path | None = None) -> list[Ratio]:
    """Measure images through a real server on a real socket against the same images through the encoder alone.

    Args:
        rounds: How often each is timed.
        geometry: Of the encoder.
        folder: Where the encoder is kept; see `int8_vit`.

    Returns:
        One ratio for each size of image; client and server share the process, so both are in the cost.
    """
    model = make_model(int8_vit(geometry, folder=folder), geometry)
    pixels = np.zeros((BATCH, geometry.side, geometry.side, 3), dtype=np.uint8)
    small, photo = Photo((geometry.side, geometry.side)), Photo(PHOTO)
    with ServerLoop(make_snapshot(model, [make_compiled(Pool.MAX)])) as server:
        works: dict[str, Callable[[], object]] = {
            "encode": lambda: model.image.encode(pixels),
            f"{geometry.side}x{geometry.side} JPEG": lambda: server.moderate(small, at_once=BATCH),
            f"{PHOTO[0]}x{PHOTO[1]} JPEG": lambda: server.moderate(photo, at_once=BATCH),
        }
        timings = time_together(works, rounds=rounds)
    encode = timings.pop("encode")
    return [
        Ratio(name=f"{BATCH} images through gRPC ({name}) / encode {BATCH} views", cost=timing, reference=encode)
        for name, timing in timings.items()
    ]


def make_model(image: Path, geometry: Geometry) -> Model:
    """Put an encoder of random weights into the place of a model folder's."""
    manifest = ModelManifest(
        name="bench",
        architecture="vit",
        source="bench/vit.py",
        revision="0",
        license="Apache-2.0",
        dim=geometry.dim,
        logit_scale=100.0,
        image=Preprocessing(side=geometry.side),
        golden=Golden(tolerance=1.0),
    )
    encoder = ImageEncoder(open_session(image, threads=1), side=geometry.side, dim=geometry.dim)
    return Model(
        manifest=manifest,
        fingerprint="sha256:" + "0" * 64,
        image=encoder,
        text=None,
        background=None,
        runtime=Runtime(provider="CPUExecutionProvider", onnxruntime="", golden_drift=None),
    )


class ServerLoop:
    """An event loop in a thread of its own, with a server and a client on it.

    Args:
        snapshot: What to judge with.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        settings = Settings(
            listen="127.0.0.1:0", metrics_listen=None, max_batch=BATCH, decode_threads=1, drain_delay_seconds=0
        )
        self._server = await self._stack.enter_async_context(running_server(settings, self._snapshot))
        channel = await self._stack.enter_async_context(
            grpc.aio.insecure_channel(str(self._server.address), list(NO_PROXY.items()))
        )
        self._stub = moderation_pb2_grpc.ModerationServiceStub(channel)

    def moderate(self, photo: Photo, *, at_once: int = 1) -> None:
        """Judge one image, or several at once that differ in a comment only: the same bytes would be encoded once."""
        asyncio.run_coroutine_threadsafe(self._moderate(photo, at_once), self._loop).result()

    async def _moderate(self, photo: Photo, at_once: int) -> None:
        async def one() -> None:
            await self._stub.Moderate(pb.ModerateRequest(image=pb.ImageSource(data=photo.next())))

        await asyncio.gather(*(one() for _ in range(at_once)))

    def settle(self) -> None:
        """Wait until all candidates have judged what was answered."""
        asyncio.run_coroutine_threadsafe(self._server.candidates.wait_idle(), self._loop).result()
