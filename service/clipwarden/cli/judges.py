"""Two ways to a verdict, one interface: a server over gRPC, or the same pipeline inside this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

import grpc

from clipwarden.cli.loading import load_model_and_policies
from clipwarden.cli.options import Asked
from clipwarden.client import AsyncClient, ClientError
from clipwarden.client.channel import MAX_MESSAGE_BYTES
from clipwarden.client.errors import error_from_status
from clipwarden.client.messages import new_request_id
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.snapshot import Snapshot
from clipwarden.errors import ClipwardenError, RequestError
from clipwarden.serving.config import Settings
from clipwarden.serving.status import status_of
from clipwarden.serving.wire import moderation
from clipwarden.v1 import moderation_pb2 as v1

READY_SECONDS = 10.0
"""How long a server may still warm up before we give up on it; a wrong address should not take long to notice."""

WORTH_BATCHING = 16
"""Images from which trying out batch sizes pays: the warm-up encodes about as many (1, 2, 4 and 8)."""


class Judge(Protocol):
    """Judges one image after another, or several at once."""

    @property
    def max_bytes(self) -> int:
        """Largest file worth reading."""

    @property
    def width(self) -> int:
        """How many images to have at work at the same time."""

    async def judge(self, data: bytes) -> v1.Moderation:
        """Judge one image.

        Args:
            data: The encoded file.

        Raises:
            ClientError: There is no verdict on this image.
            ClipwardenError: No image will be judged: the request itself is wrong.
        """


@asynccontextmanager
async def open_judge(asked: Asked, snapshot: Snapshot | None, *, images: int) -> AsyncIterator[Judge]:
    """Open what `asked` calls for, and close it at the end.

    Args:
        asked: How to judge.
        snapshot: From `load_for`.
        images: How many there are to judge.

    Raises:
        ClientError: The server does not answer.
        EncoderError: The encoder fails on a plain image.
    """
    if snapshot is None:
        async with _connect(asked) as client:
            await client.wait_until_ready(READY_SECONDS)
            yield ServerJudge(client, asked)
    else:
        # Warming up larger batches takes longer than a few images do one by one.
        settings = local_settings(asked.concurrency, max_batch=1 if images < WORTH_BATCHING else 0)
        async with Pipeline(snapshot, settings) as pipeline:
            yield LocalJudge(pipeline, settings, asked)


def load_for(asked: Asked) -> Snapshot | None:
    """Load what judging in this process needs; None where a server judges.

    Takes seconds, and comes before any event loop, which would keep Ctrl-C waiting.

    Raises:
        ClipwardenError: The model or the policy cannot be used, or the policy declares no such context.
    """
    if asked.server is not None:
        return None
    snapshot = load_model_and_policies(asked.model, [asked.policy] if asked.policy else [])
    snapshot.select(None, asked.context)
    return snapshot


class ServerJudge:
    """Judges over gRPC.

    Args:
        client: Connected.
        asked: How to judge.
    """

    max_bytes = MAX_MESSAGE_BYTES

    def __init__(self, client: AsyncClient, asked: Asked) -> None:
        self._client = client
        self._asked = asked
        self.width = asked.concurrency

    async def judge(self, data: bytes) -> v1.Moderation:
        """Judge one image."""
        return await self._client.moderate(
            data,
            policy=self._asked.policy,
            context=self._asked.context,
            return_embeddings=self._asked.return_embeddings,
            timeout=self._asked.timeout_seconds,
        )


class LocalJudge:
    """Judges in this process, the way the server does, without gRPC.

    Args:
        pipeline: Running.
        settings: Its settings.
        asked: How to judge.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings, asked: Asked) -> None:
        self._pipeline = pipeline
        self._asked = asked
        self.max_bytes = settings.max_image_bytes
        self.width = asked.concurrency

    async def judge(self, data: bytes) -> v1.Moderation:
        """Judge one image."""
        request_id = new_request_id()
        try:
            # No deadline: nobody else waits for this process, and a slow machine should finish all the same.
            judged = await self._pipeline.judge_image(data, context=self._asked.context)
        except RequestError:
            raise
        except ClipwardenError as error:
            policy = self._pipeline.snapshot.select().compiled.policy
            status = status_of(error, request_id=request_id, on_error=policy.on_error)
            raise error_from_status(status, request_id=request_id) from error
        return moderation(judged, request_id=request_id, return_embeddings=self._asked.return_embeddings)


def fails_alone(error: ClientError) -> bool:
    """Tell whether an error is about one image, so that the next may still be judged."""
    # An encoder's fault, a deadline or an overload may be this image's bad luck; a server that is gone, or that
    # refuses the request whatever the image, answers the next one alike.
    return error.image_fault is not None or error.code in (
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )


def local_settings(concurrency: int, *, max_batch: int) -> Settings:
    """Make room for all that is at work at once: what `concurrency` already bounds must never be refused.

    Args:
        concurrency: Images at work at the same time.
        max_batch: Views encoded at once; 0 lets the warm-up choose.
    """
    usual = Settings(max_batch=max_batch)
    return replace(
        usual,
        queue_items=max(usual.queue_items, concurrency),
        queue_bytes=max(usual.queue_bytes, concurrency * usual.max_image_bytes),
    )


def _connect(asked: Asked) -> AsyncClient:
    if asked.root_certificates is None:
        return AsyncClient(asked.server or "")
    roots = asked.root_certificates.read_bytes()
    return AsyncClient(asked.server or "", credentials=grpc.ssl_channel_credentials(roots))
