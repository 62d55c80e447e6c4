"""Two ways to a verdict, one interface: a server over gRPC, or the same pipeline inside this process."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from clipwarden.cli.loading import load_model_and_policies
from clipwarden.cli.options import JudgeOptions
from clipwarden.cli.outcome import NotJudgedError
from clipwarden.engine.pipeline import Pipeline
from clipwarden.engine.settings import EngineSettings
from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.errors import EncoderError, ImageError
from clipwarden.serving.wire import moderation, verdict
from clipwarden.v1 import moderation_pb2 as v1


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
            NotJudgedError: There is no verdict on this image.
            ClipwardenError: No image will be judged: the request itself is wrong, or the server is gone.
        """

    async def refuse(self, error: ImageError) -> NotJudgedError:
        """Say of an image that is not worth sending what would have been said of it.

        Args:
            error: Why not.

        Raises:
            ClipwardenError: As `judge`.
        """


@asynccontextmanager
async def open_judge(options: JudgeOptions, snapshot: Snapshot | None) -> AsyncIterator[Judge]:
    """Open what `options` calls for, and close it at the end.

    Args:
        options: How to judge.
        snapshot: From `load_for`.

    Raises:
        ClientError: The server does not answer.
        EncoderError: The encoder fails on a plain image.
    """
    if snapshot is None:
        # Late: a process that judges by itself never waits for gRPC to be imported.
        from clipwarden.cli.serverjudge import connected

        async with connected(options) as judge:
            yield judge
    else:
        settings = EngineSettings(limits=options.limits).without_queue_limits()
        async with Pipeline(snapshot.model, settings) as pipeline:
            yield LocalJudge(pipeline, settings, snapshot.select(None, options.context), options)


def load_for(options: JudgeOptions) -> Snapshot | None:
    """Load what judging in this process needs; None where a server judges.

    Takes seconds, and comes before any event loop, which would keep Ctrl-C waiting.

    Raises:
        ClipwardenError: The model or the policy cannot be used, or the policy declares no such context.
    """
    if options.server is not None:
        return None
    snapshot = load_model_and_policies(options.model, [options.policy] if options.policy else [])
    snapshot.select(None, options.context)
    return snapshot


class LocalJudge:
    """Judges in this process, the way the server does, without gRPC.

    Args:
        pipeline: Running.
        settings: Its settings.
        selection: What to judge with.
        options: How to judge.
    """

    def __init__(
        self, pipeline: Pipeline, settings: EngineSettings, selection: Selection, options: JudgeOptions
    ) -> None:
        self._pipeline = pipeline
        self._selection = selection
        self._options = options
        self.max_bytes = settings.limits.max_image_bytes
        self.width = options.concurrency

    async def judge(self, data: bytes) -> v1.Moderation:
        """Judge one image."""
        request_id = uuid.uuid4().hex
        try:
            # No deadline: nobody else waits for this process, and a slow machine should finish all the same.
            judged = await self._pipeline.moderate(data, self._selection)
        except (ImageError, EncoderError) as error:
            raise self._not_judged(error, request_id) from error
        return moderation(judged, request_id=request_id, return_embeddings=self._options.return_embeddings)

    async def refuse(self, error: ImageError) -> NotJudgedError:
        """Say what judging would have."""
        return self._not_judged(error, uuid.uuid4().hex)

    def _not_judged(self, error: ImageError | EncoderError, request_id: str) -> NotJudgedError:
        from clipwarden.serving.status import code_of, reason_of

        on_error = self._selection.compiled.policy.on_error if isinstance(error, ImageError) else None
        return NotJudgedError(
            str(error),
            code=code_of(error),
            reason=reason_of(error),
            policy_verdict=verdict(on_error),
            request_id=request_id,
        )
