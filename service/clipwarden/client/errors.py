"""A failed call, turned from gRPC's terms into one small tree of exceptions.

ClientError                 a call did not succeed (`code`, `reason`, `request_id`, `attempts`)
├── ImageRefusedError       the server cannot judge this image (`image_fault` says why)
├── RequestRefusedError     the request is wrong, whatever the image: policy, context, vectors, credentials, size
├── ServerOverloadedError   the server has no room now (`retry_after_seconds`)
├── ServerUnavailableError  no server answers, or it is shutting down
├── DeadlineExceededError   the deadline passed first
└── ServerFaultError        the server failed; there is no verdict
"""

from collections.abc import Iterable
from typing import TypeVar, cast

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from clipwarden.client.failures import Peer, explain
from clipwarden.errors import ClipwardenError
from clipwarden.v1.moderation_pb2 import ImageFault

# What grpc.aio says when a write meets a call that the server has just ended; the server's own status is lost then.
_LOST_STATUS = "Internal error from Core"
# What grpc's own close says of calls in flight.
_CLOSED_HERE = "Channel closed!"
_DETAILS_KEY = "grpc-status-details-bin"
# The server's own words are about the header, which no user of a client writes.
_BY_TOKEN = {
    "TOKEN_MISSING": "The server at {target} asks for a token; give one (token, token_file).",
    "TOKEN_INVALID": "The server at {target} does not take the token that it is sent, or no longer does; give "
    "another (token, token_file).",
}
_M = TypeVar("_M", bound=Message)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ClientError(ClipwardenError):
    """A call did not succeed.

    Attributes:
        code: gRPC's status code.
        reason: The server's stable reason (see `clipwarden.errors.Reason`); None if the server gave none. Newer
            servers may send reasons that this client does not know, so it is plain text.
        image_fault: Why the image cannot be judged, and what the policy says to do then; None for other failures.
        retry_after_seconds: When the server says that another attempt is worth while; None if it did not say.
        request_id: What to search the server's log for.
        attempts: How often the call was tried.
        lasts: Whether no wait and no other attempt would help, though no server was reached: TLS that does not fit, or
            something else than a server of ours there. gRPC's own words are in the error's `__cause__`.
    """

    # Defaults, so that an instance can be pickled from one process to another.
    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str | None = None,
        image_fault: ImageFault | None = None,
        retry_after_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.image_fault = image_fault
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        self.attempts = 1
        self.lasts = False


class ImageRefusedError(ClientError):
    """The server cannot judge this image; another attempt would end alike."""


class RequestRefusedError(ClientError):
    """The request cannot be served, whatever the image; another attempt would end alike."""


class ServerOverloadedError(ClientError):
    """The server has no room for this request now."""


class ServerUnavailableError(ClientError):
    """No server answers at this address, or it is shutting down."""


class DeadlineExceededError(ClientError):
    """The deadline passed before the answer came."""


class ServerFaultError(ClientError):
    """The server failed, or answered what cannot be read; never a verdict."""


_ERROR_BY_CODE: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.CANCELLED: ClientError,
    grpc.StatusCode.INVALID_ARGUMENT: RequestRefusedError,
    grpc.StatusCode.NOT_FOUND: RequestRefusedError,
    grpc.StatusCode.FAILED_PRECONDITION: RequestRefusedError,
    grpc.StatusCode.PERMISSION_DENIED: RequestRefusedError,
    grpc.StatusCode.UNAUTHENTICATED: RequestRefusedError,
    grpc.StatusCode.UNIMPLEMENTED: RequestRefusedError,
    # Without a RetryInfo it is gRPC that refuses a message over its size limit: no retry would help.
    grpc.StatusCode.RESOURCE_EXHAUSTED: RequestRefusedError,
    grpc.StatusCode.UNAVAILABLE: ServerUnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
}


def error_from_call(call: grpc.RpcError, *, peer: Peer, request_id: str | None = None) -> ClientError:
    """Turn the error of a whole call into one of ours.

    Args:
        call: What gRPC raised.
        peer: Whom the call went to, for the sentence.
        request_id: The id this client sent.

    Returns:
        The error to raise from it.
    """
    if call.code() is grpc.StatusCode.CANCELLED and call.details() != _CLOSED_HERE:
        # Who cancels a call itself never comes here. A server that stops ends like this what is on its way to it.
        message = f"The server at {peer.target} went away without an answer."
        return ServerUnavailableError(message, code=grpc.StatusCode.UNAVAILABLE, request_id=request_id)
    error = _error(call.code(), call.details() or "no further details", _details_of(call), request_id)
    if error.reason is None:
        _explain(error, peer)
    elif error.reason in _BY_TOKEN:
        error.args = (_BY_TOKEN[error.reason].format(target=peer.target),)
    return error


def error_from_stream(call: grpc.RpcError, *, peer: Peer) -> ClientError:
    """Turn the error of a broken stream into one of ours.

    Args:
        call: What gRPC raised.
        peer: Whom the call went to, for the sentence.

    Returns:
        The error to raise from it.
    """
    if call.code() is grpc.StatusCode.INTERNAL and call.details() == _LOST_STATUS:
        message = f"The server at {peer.target} ended the stream while items were being sent."
        return ServerUnavailableError(message, code=grpc.StatusCode.UNAVAILABLE)
    return error_from_call(call, peer=peer)


def error_from_status(status: Status, *, request_id: str | None = None) -> ClientError:
    """Turn the error of one item of a batch or stream into one of ours.

    Args:
        status: As the server put it into the item.
        request_id: The id that identifies the item in the server's log.

    Returns:
        The error.
    """
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _error(code, status.message, status.details, request_id)


def _error(code: grpc.StatusCode, message: str, details: Iterable[Any], request_id: str | None) -> ClientError:
    found = list(details)
    fault = _unpack(found, ImageFault)
    info = _unpack(found, ErrorInfo)
    retry = _unpack(found, RetryInfo)
    # HasField tells a delay of zero from none at all.
    pause = retry.retry_delay.ToTimedelta().total_seconds() if retry and retry.HasField("retry_delay") else None
    return _class_of(code, fault, pause)(
        message,
        code=code,
        reason=info.reason if info else None,
        image_fault=fault,
        retry_after_seconds=pause,
        request_id=request_id or (info.metadata.get("request_id") if info else None),
    )


def _class_of(code: grpc.StatusCode, fault: ImageFault | None, pause: float | None) -> type[ClientError]:
    if fault is not None:
        return ImageRefusedError
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and pause is not None:
        return ServerOverloadedError
    return _ERROR_BY_CODE.get(code, ServerFaultError)


def _explain(error: ClientError, peer: Peer) -> None:
    """Put a sentence of ours into an error that no server of ours sent: gRPC's words name no server."""
    failure = explain(error.code, str(error), peer)
    if failure is not None:
        error.args, error.lasts = (failure.sentence,), failure.lasts
    else:
        error.args = (_sentence(error, peer.target),)


def _sentence(error: ClientError, target: str) -> str:
    # gRPC itself ended these calls; its own words name no server.
    if error.code is grpc.StatusCode.UNAVAILABLE:
        return f"No clipwarden server answers at {target} ({error})."
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"The server at {target} did not answer within the deadline."
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in str(error):
        return f"The image is too large for one message to or from the server at {target} ({error})."
    return str(error)


def _unpack(details: Iterable[Any], kind: type[_M]) -> _M | None:
    message = kind()
    for detail in details:
        if detail.Unpack(message):
            return message
    return None


def _details_of(call: grpc.RpcError) -> Iterable[Any]:
    metadata = cast("Iterable[tuple[str, str | bytes]]", call.trailing_metadata() or ())
    for key, value in metadata:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return list(Status.FromString(value).details)
            except DecodeError:
                # A proxy on the way may have cut it; code and message still stand.
                return ()
    return ()
