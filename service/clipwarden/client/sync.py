"""The client for threads."""

import os
import random
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

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
from clipwarden.client.feed import Feed
from clipwarden.client.messages import Image, Priority, Result, StreamItem
from clipwarden.client.retry import DEFAULT_RETRY, Patience, RetryPolicy
from clipwarden.client.security import Pem, make_security
from clipwarden.client.token import make_token
from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.v1.moderation_pb2_grpc import ModerationServiceStub

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Client:
    """Calls one clipwarden server. Safe to share between threads; close it, or use it in a `with` statement.

    Every call has a deadline, which covers all its attempts, and raises a `ClientError` when there is no answer.
    A call is tried again only when the server could not be reached or asked for another attempt; streams and the
    items of a batch never are. Clients of one target share what they learn of it, so that many of them, or one made for
    each call, do not make an overload worse.

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
        sleep: Callable[[float], None] = time.sleep,
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
        self._channel = _connect(self._connection)
        self._stub = ModerationServiceStub(self._channel)
        self._health = HealthStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight fail."""
        self._channel.close()

    def moderate(
        self,
        image: Image,
        *,
        policy: str | None = None,
        context: str | None = None,
        request_id: str | None = None,
        return_embeddings: bool = False,
        priority: Priority = "interactive",
        timeout: float | None = None,
    ) -> v1.Moderation:
        """Judge one image.

        Args:
            image: The encoded file, the path to it, or a `ServerFile` for the server to read.
            policy: Id of a loaded policy; None for the server's default.
            context: A context the policy declares; None for none.
            request_id: Your id for the server's log, at most 128 bytes; None makes one.
            return_embeddings: Whether to return the image's embeddings. They can be personal data.
            priority: "bulk" where nobody waits for the answer: it takes what the interactive calls leave.
            timeout: Seconds for everything; None for the client's default.

        Returns:
            The verdict and all it rests on. `verdict` is always ALLOW, REVIEW or BLOCK; look at
            `enforced_categories` before taking an ALLOW for a clean bill.

        Raises:
            ImageRefusedError: The image cannot be judged.
            ClientError: There is no verdict for another reason.
            OSError: The path cannot be read.
        """
        request_id = request_id or messages.new_request_id()
        how = messages.options(policy, context, return_embeddings=return_embeddings, priority=priority)
        request = messages.moderate_request(messages.read_image(image), how, request_id)
        response = self._call(self._stub.Moderate, request, timeout=timeout, request_id=request_id)
        return messages.readable(response.moderation, request_id)

    def moderate_batch(
        self,
        images: Iterable[Image],
        *,
        policy: str | None = None,
        context: str | None = None,
        request_id: str | None = None,
        return_embeddings: bool = False,
        priority: Priority = "interactive",
        timeout: float | None = None,
    ) -> list[Result]:
        """Judge several images in one call.

        Args:
            images: Encoded files or paths, as many as the server takes in one call (64 unless configured).
            policy: Id of a loaded policy; None for the server's default.
            context: A context the policy declares; None for none.
            request_id: Your id for the server's log; items get "<id>/<index>". None makes one.
            return_embeddings: Whether to return the images' embeddings. They can be personal data.
            priority: "bulk" where nobody waits for the answer: they take what the interactive calls leave.
            timeout: Seconds for everything; None for the client's default.

        Returns:
            One result an image, in the order of the images. A bad image is a result with an error.

        Raises:
            ClientError: The call failed as a whole.
            OSError: A path cannot be read.
        """
        request_id = request_id or messages.new_request_id()
        data = [messages.read_image(image) for image in images]
        how = messages.options(policy, context, return_embeddings=return_embeddings, priority=priority)
        request = messages.batch_request(data, how, request_id)
        response = self._call(self._stub.BatchModerate, request, timeout=timeout, request_id=request_id)
        return messages.batch_results(response, sent=len(data), request_id=request_id)

    def moderate_stream(
        self, items: Iterable[StreamItem], *, timeout: float | None = None
    ) -> Generator[Result, None, None]:
        """Judge images as they come, over one connection.

        The items are read by a thread of gRPC's, and only as fast as the server takes them.

        Args:
            items: Images with ids unused in this stream.
            timeout: Seconds for the whole stream; None for no limit.

        Yields:
            One result an item, as they are ready, in any order. Closing the generator cancels the rest.

        Raises:
            ClientError: The stream broke; it is never tried again, since items may have been judged already.
            Exception: Whatever `items` raised, once the items before it are answered.
        """
        require_timeout(timeout)
        feed = Feed(items)
        call = self._stub.StreamModerate(feed, timeout=timeout, metadata=self._connection.call_metadata())
        try:
            for response in call:
                yield messages.result(response.result, item_id=response.id)
        except grpc.RpcError as exc:
            raise error_from_stream(exc, peer=self._connection.peer) from exc
        finally:
            call.cancel()
        if feed.failure is not None:
            raise feed.failure

    def moderate_embedding(
        self,
        embeddings: Sequence[v1.Embedding],
        *,
        model_fingerprint: str,
        facts: v1.ImageFacts | None = None,
        policy: str | None = None,
        context: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> v1.Moderation:
        """Judge stored embeddings of one image again, for example under a changed policy.

        Args:
            embeddings: As an earlier moderation returned them.
            model_fingerprint: `model.fingerprint` of that moderation.
            facts: `image` of that moderation, which says what of it was unseen or degraded; None for one sound
                frame under `views: whole`.
            policy: Id of a loaded policy; None for the server's default.
            context: A context the policy declares; None for none.
            request_id: Your id for the server's log; None makes one.
            timeout: Seconds for everything; None for the client's default.

        Returns:
            The verdict, with the facts it was given and none derived from bytes.

        Raises:
            ImageRefusedError: The image lacked rows, and the policy refuses that.
            RequestRefusedError: The vectors are of another model, or no unit vectors.
            ClientError: There is no verdict for another reason.
        """
        request_id = request_id or messages.new_request_id()
        how = messages.options(policy, context)
        request = messages.embedding_request(
            embeddings, how, request_id, model_fingerprint=model_fingerprint, facts=facts
        )
        response = self._call(self._stub.ModerateEmbedding, request, timeout=timeout, request_id=request_id)
        return messages.readable(response.moderation, request_id)

    def list_policies(self, *, timeout: float | None = None) -> list[v1.PolicySummary]:
        """List the loaded policies, ordered by id.

        Args:
            timeout: Seconds for each page; None for the client's default.

        Raises:
            ClientError: There is no answer.
        """
        return [policy for page in self._pages(timeout) for policy in page.policies]

    def list_candidates(self, *, timeout: float | None = None) -> list[v1.PolicySummary]:
        """List the candidates that watch beside the loaded policies: other versions of them, which answer nobody.

        Args:
            timeout: Seconds for each page; None for the client's default.

        Returns:
            Ordered by id and version; empty without any. `get_policy("id@version")` tells all of one.

        Raises:
            ClientError: There is no answer.
        """
        return [candidate for page in self._pages(timeout) for candidate in page.candidates]

    def get_policy(self, policy: str | None = None, *, timeout: float | None = None) -> v1.Policy:
        """Tell all that is loaded under one policy id, or as one candidate.

        Args:
            policy: The id, or a candidate's `id@version`; None for the server's default policy.
            timeout: Seconds for everything; None for the client's default.

        Raises:
            RequestRefusedError: No such policy is loaded.
            ClientError: There is no answer for another reason.
        """
        request = v1.GetPolicyRequest(policy_id=policy or "")
        return self._call(self._stub.GetPolicy, request, timeout=timeout).policy

    def ready(self) -> bool:
        """Tell whether the server is warmed up and takes requests; asks once.

        Raises:
            ClientError: Something answers, but no clipwarden server that would let us in.
        """
        return self._state(health.PROBE_SECONDS) == health.SERVING

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait until the server is warmed up and takes requests.

        Args:
            timeout: Longest wait in seconds.

        Raises:
            DeadlineExceededError: It was not ready in time.
            ClientError: Something answers, but no clipwarden server that would let us in.
        """
        patience = Patience(target=self._connection.target, timeout_seconds=timeout, clock=self._connection.clock)
        while (state := self._state(min(timeout, health.PROBE_SECONDS))) != health.SERVING:
            self._sleep(patience.pause(state))

    def _pages(self, timeout: float | None) -> Generator[v1.ListPoliciesResponse, None, None]:
        request = v1.ListPoliciesRequest()
        while True:
            page = self._call(self._stub.ListPolicies, request, timeout=timeout)
            yield page
            if not page.next_page_token:
                return
            request = v1.ListPoliciesRequest(page_token=page.next_page_token)

    def _state(self, timeout: float) -> str | ClientError:
        try:
            answer = self._health.Check(health.request(), timeout=timeout, metadata=self._connection.call_metadata())
        except grpc.RpcError as exc:
            return health.state_without_answer(error_from_call(exc, peer=self._connection.peer))
        return health.state_of(answer)

    def _call(
        self,
        # Generic for type checkers only, hence the quotes.
        method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]",
        request: _Request,
        *,
        timeout: float | None,
        request_id: str | None = None,
    ) -> _Response:
        attempts = self._connection.attempts(timeout)
        while True:
            metadata = self._connection.call_metadata()
            try:
                response = method(request, timeout=attempts.start(), metadata=metadata)
            except grpc.RpcError as exc:
                error = error_from_call(exc, peer=self._connection.peer, request_id=request_id)
                pause = attempts.pause_after(error)
                if pause is None and self._connection.has_new_token(error, metadata):
                    pause = 0.0
                if pause is not None:
                    self._sleep(pause)
                if pause is None or not attempts.has_time():
                    try:
                        raise error from exc
                    finally:
                        # It would hold this frame, which holds it and the request, until the garbage is collected.
                        del error
            else:
                attempts.succeed()
                return response


def _connect(connection: Connection) -> grpc.Channel:
    options = connection.grpc_options()
    if connection.security.credentials is None:
        return grpc.insecure_channel(connection.target, options=options)
    return grpc.secure_channel(connection.target, connection.security.credentials, options=options)
