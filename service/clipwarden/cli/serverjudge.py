"""Images in, verdicts of a server over gRPC out; see `judges`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from clipwarden.cli.options import JudgeOptions
from clipwarden.cli.outcome import NotJudgedError
from clipwarden.cli.serveroptions import connect, in_flags
from clipwarden.client import AsyncClient, ClientError, DeadlineExceededError, RetryPolicy
from clipwarden.errors import ImageError
from clipwarden.terminal import notice
from clipwarden.v1 import moderation_pb2 as v1

READY_SECONDS = 10.0
"""How long a server may still warm up before we give up on it; a wrong address should not take long to notice."""

SILENT_SECONDS = 1.0
"""How long we wait without a word: a person wonders after about a second."""

PATIENT = RetryPolicy(max_attempts=100, budget=1e6, reserve=1e6)
"""A folder's images wait for a full server as often as it says when to come again, each until its deadline: what bounds
the load is `concurrency`, and nobody would judge what was given up. Nor would anybody hear less of a server that was
ready a moment ago and is gone."""


@asynccontextmanager
async def connected(options: JudgeOptions) -> "AsyncIterator[ServerJudge]":
    """Connect to the server that the options name, once it is ready.

    Raises:
        ClientError: The server does not answer.
        ConfigError: The options name none, or cannot be used.
        OSError: A certificate, key or token file cannot be read.
    """
    async with connect(AsyncClient, options.server or "", options.reach, retry=PATIENT) as client:
        try:
            await _wait_until_ready(client)
            yield ServerJudge(client, options)
        except ClientError as error:
            error.args = (in_flags(str(error)),)
            raise


class ServerJudge:
    """Judges over gRPC.

    Args:
        client: Connected.
        options: How to judge.
    """

    def __init__(self, client: AsyncClient, options: JudgeOptions) -> None:
        self._client = client
        self._options = options
        self._on_error: v1.Verdict.ValueType | None = None
        self._asking = asyncio.Lock()
        self.max_bytes = options.limits.max_image_bytes
        self.width = options.concurrency

    async def judge(self, data: bytes) -> v1.Moderation:
        """Judge one image."""
        try:
            return await self._client.moderate(
                data,
                policy=self._options.policy,
                context=self._options.context,
                return_embeddings=self._options.return_embeddings,
                priority="bulk" if self._options.bulk else "interactive",
                timeout=self._options.timeout_seconds,
            )
        except ClientError as error:
            if _fails_alone(error):
                raise not_judged(error) from error
            raise

    async def refuse(self, error: ImageError) -> NotJudgedError:
        """Say what a server would, with the verdict of its policy for such images, which is asked for once."""
        async with self._asking:
            if self._on_error is None:
                policy = await self._client.get_policy(self._options.policy, timeout=self._options.timeout_seconds)
                self._on_error = policy.on_error
        code = grpc.StatusCode.INVALID_ARGUMENT.name
        return NotJudgedError(str(error), code=code, reason=error.reason, policy_verdict=self._on_error)


def not_judged(error: ClientError) -> NotJudgedError:
    """Say of a failed call what any image without a verdict has to say for itself."""
    own = NotJudgedError(
        str(error),
        code=error.code.name,
        reason=error.reason,
        policy_verdict=error.image_fault.policy_verdict if error.image_fault else None,
        request_id=error.request_id,
    )
    own.__cause__ = error
    return own


def _fails_alone(error: ClientError) -> bool:
    """Tell whether an error is about one image, so that the next may still be judged."""
    # An encoder's fault, a deadline or an overload may be this image's bad luck; a server that is gone, or that
    # refuses the request whatever the image, answers the next one alike.
    return error.image_fault is not None or error.code in (
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )


async def _wait_until_ready(client: AsyncClient) -> None:
    """Wait for the server, and say why once the wait is felt; what no wait mends ends it at once."""
    try:
        await client.wait_until_ready(SILENT_SECONDS)
    except DeadlineExceededError as error:
        notice(f"{in_flags(str(error))} Waiting up to {READY_SECONDS:g} s more.")
        await client.wait_until_ready(READY_SECONDS)
