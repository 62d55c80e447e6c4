"""The client for asyncio."""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import grpc
from grpc_health.v1.health_pb2_grpc import HealthStub

from clipwarden.client import health, messages
from clipwarden.client.channel import (
    DEFAULT_TIMEOUT_SECONDS,
    MAX_MESSAGE_BYTES,
    ChannelOptions,
    Connection,
    require_timeout,
)
from clipwarden.client.errors import ClientError, error_from_call, error_from_stream
from clipwarden.client.feed import AsyncFeed
from clipwarden.client.messages import Image, Priority, Result, StreamItem
from clipwarden.client.retry import DEFAULT_RETRY, Patience, RetryPolicy
from clipwarden.client.security import Pem, make_security
from clipwarden.client.token import make_token
from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.v1.moderation_pb2_grpc import ModerationServiceStub

if TYPE_CHECKING:
    # Exists for type checkers only.
    from clipwarden.v1.moderation_pb2_grpc import ModerationServiceAsyncStub

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class AsyncClient:
    """Calls one clipwarden server from one event loop; close it, or use it in an `async with` statement.

    Does what `Client` does, with the same deadlines, retries and errors. It connects at the first call, so it may be
    made before the loop runs. Cancelling a task cancels its call.

    Args:
        target: Address, such as `localhost:50051` or `unix:/run/clipwarden.sock`.
        tls: Whether to connect by TLS, trusting the roots that come with gRPC. False is plain text, unless one of the
            next four is given.
        root_certificates: Trust these instead: a path, or bytes of PEM. Read once, as are the next two.
        client_certificate: Shown to a server that asks for one, with its chain; a path, or bytes of PEM.
        client_key: Its private key; a path, or bytes of PEM.
        server_name: The name that the server's certificate holds, where it is not the one in `target`.
        credentials: From `grpc.ssl_channel_credentials` and its like, instead of the five above.
        token: Sent with every call as `authorization: Bearer TOKEN`.
        token_file: File to read the token from; a new one is taken up by the next call.
        insecure_token: Whether a token may go to another machine in plain text, as where a service mesh encrypts.
        proxy: `http://HOST:PORT` to call through (CONNECT), for targets on other machines. None calls directly,
            whatever `http_proxy` and its like say.
        round_robin: Whether calls go to all servers behind the target in turn, over a connection to each, and to none
            that says it is not healthy: for `dns:///NAME:PORT` of a name with all their addresses, or
            `ipv4:ADDRESS:PORT,ADDRESS:PORT`. False keeps to the first that answers.
        metadata: Further headers, sent with every call.
        timeout: Deadline in seconds of a call that names none, above 0.
        retry: Bounds on further attempts.
        max_message_bytes: Largest message to send or receive.
        channel_options: Further gRPC channel options; these win over the client's own.
        clock: Monotonic seconds; a seam for tests, as are the next two.
        sleep: Waits for seconds.
        random: Gives numbers in [0, 1).

    Raises:
        OSError: A certificate, key or token file cannot be read.
        ValueError: The target is no address, a timeout is not above 0 and at most a day, what is given about TLS or the
            token cannot be used or contradicts itself, the proxy is none for this target, or it stands beside
            `round_robin`.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: bool = False,
        root_certificates: Pem | None = None,
        client_certificate: Pem | None = None,
        client_key: Pem | None = None,
        server_name: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        insecure_token: bool = False,
        proxy: str | None = None,
        round_robin: bool = False,
        metadata: Iterable[tuple[str, str | bytes]] = (),
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        retry: RetryPolicy = DEFAULT_RETRY,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        channel_options: ChannelOptions = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._connection = Connection(
            target=target,
            security=make_security(
                credentials,
                tls=tls,
                root_certificates=root_certificates,
                client_certificate=client_certificate,
                client_key=client_key,
                server_name=server_name,
            ),
            token=make_token(token, token_file),
            insecure_token=insecure_token,
            proxy=proxy,
            round_robin=round_robin,
            metadata=tuple(metadata),
            timeout_seconds=timeout,
            max_message_bytes=max_message_bytes,
            channel_options=channel_options,
            retry=retry,
            clock=clock,
            random=random,
        )
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls in flight fail."""
        await self._channel.close()

    async def moderate(
        self,
        image: Image,
        *,
        policy: str | None = None,
        context: str | None = None,
        request_id: str | None = None,
        return_embeddings: bool = False,
        priority: Priority = "interactive",
        timeout: float | None = None,  # noqa: ASYNC109  covers several attempts, and goes to the server as a deadline
    ) -> v1.Moderation:
        """Judge one image; arguments, result and errors as for `Client.moderate`.

        Raises:
            ImageRefusedError: The image cannot be judged.
            ClientError: There is no verdict for another reason.
            OSError: The path cannot be read.
        """
        request_id = request_id or messages.new_request_id()
        how = messages.options(policy, context, return_embeddings=return_embeddings, priority=priority)
        data = await asyncio.to_thread(messages.read_image, image)
        request = messages.moderate_request(data, how, request_id)
        response = await self._call(self._stub.Moderate, request, seconds=timeout, request_id=request_id)
        return messages.readable(response.moderation, request_id)

    async def moderate_batch(
        self,
        images: Iterable[Image],
        *,
        policy: str | None = None,
        context: str | None = None,
        request_id: str | None = None,
        return_embeddings: bool = False,
        priority: Priority = "interactive",
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> list[Result]:
        """Judge several images in one call; arguments, results and errors as for `Client.moderate_batch`.

        Raises:
            ClientError: The call failed as a whole.
            OSError: A path cannot be read.
        """
        request_id = request_id or messages.new_request_id()
        data = [await asyncio.to_thread(messages.read_image, image) for image in images]
        how = messages.options(policy, context, return_embeddings=return_embeddings, priority=priority)
        request = messages.batch_request(data, how, request_id)
        response = await self._call(self._stub.BatchModerate, request, seconds=timeout, request_id=request_id)
        return messages.batch_results(response, sent=len(data), request_id=request_id)

    async def moderate_stream(
        self,
        items: AsyncIterable[StreamItem] | Iterable[StreamItem],
        *,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> AsyncGenerator[Result, None]:
        """Judge images as they come, over one connection.

        Args:
            items: Images with ids unused in this stream; read only as fast as the server takes them.
            timeout: Seconds for the whole stream; None for no limit.

        Yields:
            One result an item, as they are ready, in any order. Closing the generator (`contextlib.aclosing`)
            cancels the rest.

        Raises:
            ClientError: The stream broke; it is never tried again, since items may have been judged already.
            Exception: Whatever `items` raised, once the items before it are answered.
        """
        require_timeout(timeout)
        feed = AsyncFeed(items)
        call = self._stub.StreamModerate(timeout=timeout, metadata=self._connection.call_metadata())
        writer = asyncio.create_task(feed.write_to(call))
        try:
            async for response in call:
                yield messages.result(response.result, item_id=response.id)
        except grpc.RpcError as exc:
            raise error_from_stream(exc, peer=self._connection.peer) from exc
        finally:
            call.cancel()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        if feed.failure is not None:
            raise feed.failure

    async def moderate_embedding(
        self,
        embeddings: Sequence[v1.Embedding],
        *,
        model_fingerprint: str,
        facts: v1.ImageFacts | None = None,
        policy: str | None = None,
        context: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> v1.Moderation:
        """Judge stored embeddings of one image again; arguments and errors as for `Client.moderate_embedding`.

        Raises:
            RequestRefusedError: The vectors are of another model, or no unit vectors.
            ClientError: There is no verdict for another reason.
        """
        request_id = request_id or messages.new_request_id()
        how = messages.options(policy, context)
        request = messages.embedding_request(
            embeddings, how, request_id, model_fingerprint=model_fingerprint, facts=facts
        )
        response = await self._call(self._stub.ModerateEmbedding, request, seconds=timeout, request_id=request_id)
        return messages.readable(response.moderation, request_id)

    async def list_policies(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> list[v1.PolicySummary]:
        """List the loaded policies, ordered by id; `timeout` seconds for each page.

        Raises:
            ClientError: There is no answer.
        """
        return [policy async for page in self._pages(timeout) for policy in page.policies]

    async def list_candidates(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> list[v1.PolicySummary]:
        """List the candidates that watch beside the loaded policies; as for `Client.list_candidates`.

        Raises:
            ClientError: There is no answer.
        """
        return [candidate async for page in self._pages(timeout) for candidate in page.candidates]

    async def get_policy(
        self,
        policy: str | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> v1.Policy:
        """Tell all that is loaded under one policy id, or as `id@version`; None for the server's default policy.

        Raises:
            RequestRefusedError: No such policy is loaded.
            ClientError: There is no answer for another reason.
        """
        request = v1.GetPolicyRequest(policy_id=policy or "")
        return (await self._call(self._stub.GetPolicy, request, seconds=timeout)).policy

    async def ready(self) -> bool:
        """Tell whether the server is warmed up and takes requests; asks once.

        Raises:
            ClientError: Something answers, but no clipwarden server that would let us in.
        """
        return await self._state(health.PROBE_SECONDS) == health.SERVING

    async def wait_until_ready(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109  the sentence names it
        """Wait at most `timeout` seconds until the server is warmed up and takes requests.

        Raises:
            DeadlineExceededError: It was not ready in time.
            ClientError: Something answers, but no clipwarden server that would let us in.
        """
        patience = Patience(target=self._connection.target, timeout_seconds=timeout, clock=self._connection.clock)
        while (state := await self._state(min(timeout, health.PROBE_SECONDS))) != health.SERVING:
            await self._sleep(patience.pause(state))

    async def _pages(self, seconds: float | None) -> AsyncGenerator[v1.ListPoliciesResponse, None]:
        request = v1.ListPoliciesRequest()
        while True:
            page = await self._call(self._stub.ListPolicies, request, seconds=seconds)
            yield page
            if not page.next_page_token:
                return
            request = v1.ListPoliciesRequest(page_token=page.next_page_token)

    async def _state(self, seconds: float) -> str | ClientError:
        try:
            answer = await self._health.Check(
                health.request(), timeout=seconds, metadata=self._connection.call_metadata()
            )
        except grpc.RpcError as exc:
            return health.state_without_answer(error_from_call(exc, peer=self._connection.peer))
        return health.state_of(answer)

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        *,
        seconds: float | None,
        request_id: str | None = None,
    ) -> _Response:
        attempts = self._connection.attempts(seconds)
        while True:
            metadata = self._connection.call_metadata()
            try:
                response = await method(request, timeout=attempts.start(), metadata=metadata)
            except grpc.RpcError as exc:
                error = error_from_call(exc, peer=self._connection.peer, request_id=request_id)
                pause = attempts.pause_after(error)
                if pause is None and self._connection.has_new_token(error, metadata):
                    pause = 0.0
                if pause is not None:
                    await self._sleep(pause)
                if pause is None or not attempts.has_time():
                    try:
                        raise error from exc
                    finally:
                        # It would hold this frame, which holds it and the request, until the garbage is collected.
                        del error
            else:
                attempts.succeed()
                return response

    # A channel belongs to the loop that is running when it is made, hence not in __init__.
    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        connection, options = self._connection, self._connection.grpc_options()
        if connection.security.credentials is None:
            return grpc.aio.insecure_channel(connection.target, options=options)
        return grpc.aio.secure_channel(connection.target, connection.security.credentials, options=options)

    @cached_property
    def _stub(self) -> "ModerationServiceAsyncStub":
        return ModerationServiceStub(self._channel)

    @cached_property
    def _health(self) -> HealthStub:
        return HealthStub(self._channel)
