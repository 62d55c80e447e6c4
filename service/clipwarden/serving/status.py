"""Turn errors into google.rpc.Status: the one table from our errors to gRPC's codes."""

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from clipwarden.errors import (
    ClipwardenError,
    DeadlineError,
    EmbeddingError,
    EncoderError,
    FingerprintMismatchError,
    ImageError,
    OverloadedError,
    PolicyUnknownError,
    Reason,
    RequestError,
    ShuttingDownError,
)
from clipwarden.policy.schema import Verdict
from clipwarden.serving.wire import verdict
from clipwarden.v1 import moderation_pb2 as pb

DOMAIN = "clipwarden"

Ended = tuple[grpc.StatusCode, str, tuple[tuple[str, bytes]]]
"""Code, message and trailing metadata, as `Context.abort` takes them."""

CODE_BY_ERROR: Mapping[type[BaseException], code_pb2.Code] = {
    ImageError: code_pb2.INVALID_ARGUMENT,
    RequestError: code_pb2.INVALID_ARGUMENT,
    EmbeddingError: code_pb2.INVALID_ARGUMENT,
    PolicyUnknownError: code_pb2.NOT_FOUND,
    FingerprintMismatchError: code_pb2.FAILED_PRECONDITION,
    OverloadedError: code_pb2.RESOURCE_EXHAUSTED,
    ShuttingDownError: code_pb2.UNAVAILABLE,
    DeadlineError: code_pb2.DEADLINE_EXCEEDED,
    EncoderError: code_pb2.INTERNAL,
    # Whatever nobody raised on purpose; its own message may hold anything, so it stays in the log.
    BaseException: code_pb2.INTERNAL,
}
"""gRPC code by error; an error that is not listed has its nearest base's."""


def status_of(error: BaseException, *, request_id: str, on_error: Verdict | None = None) -> status_pb2.Status:
    """Render an error for a caller.

    Args:
        error: Ours, or any other, which becomes INTERNAL.
        request_id: Sent along, so that a caller's report leads to our log; empty for a call that was refused unread.
        on_error: The policy's verdict for images that cannot be judged, if a policy was selected.

    Returns:
        The status with its ErrorInfo and whatever else this error carries.
    """
    reason = reason_of(error)
    details = [_info(reason, request_id)]
    if isinstance(error, ImageError):
        name = error.reason.removeprefix("IMAGE_")
        fault = pb.ImageFaultReason.Value(f"IMAGE_FAULT_REASON_{name}")
        details.append(_packed(pb.ImageFault(reason=fault, policy_verdict=verdict(on_error))))
    if isinstance(error, OverloadedError):
        details.append(_retry_info(round(error.retry_after_seconds * 1000)))
    known = isinstance(error, ClipwardenError)
    message = str(error) if known else f"internal error; the server's log tells more under request id {request_id}"
    return status_pb2.Status(code=_code(error), message=message, details=details)


def refusal_of(error: OverloadedError | ShuttingDownError) -> Ended:
    """Render an error for a call that was refused unread, of which there may be thousands a second.

    Returns:
        What `ended` makes of what `status_of` says without a request id.
    """
    code, message, ((key, packed),) = ended(status_pb2.Status(code=_code(error), message=str(error)))
    retry = round(error.retry_after_seconds * 1000) if isinstance(error, OverloadedError) else None
    # Messages joined as bytes are merged: https://protobuf.dev/programming-guides/encoding/#last-one-wins
    return code, message, ((key, packed + _unnamed_details(error.reason, retry)),)


def ended(status: status_pb2.Status) -> Ended:
    """Turn a status into the code, message and metadata that gRPC ends a call with."""
    code, message, metadata = rpc_status.to_status(status)
    return code, message, metadata


def code_of(error: BaseException) -> str:
    """Name the gRPC code that answers an error, such as INVALID_ARGUMENT."""
    return str(code_pb2.Code.Name(_code(error)))


def reason_of(error: BaseException) -> Reason:
    """Name an error as clients branch on it."""
    return (
        cast("Reason", getattr(error, "reason", Reason.INTERNAL))
        if isinstance(error, ClipwardenError)
        else Reason.INTERNAL
    )


def _code(error: BaseException) -> code_pb2.Code:
    return next(CODE_BY_ERROR[kind] for kind in type(error).__mro__ if kind in CODE_BY_ERROR)


def _info(reason: Reason, request_id: str) -> any_pb2.Any:
    named = {"request_id": request_id} if request_id else {}
    return _packed(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=named))


@lru_cache(maxsize=8192)  # as many as there are milliseconds to the longest hint
def _unnamed_details(reason: Reason, retry_milliseconds: int | None) -> bytes:
    details = [_info(reason, "")]
    if retry_milliseconds is not None:
        details.append(_retry_info(retry_milliseconds))
    return bytes(status_pb2.Status(details=details).SerializeToString())


def _retry_info(milliseconds: int) -> any_pb2.Any:
    retry = Duration()
    retry.FromMilliseconds(milliseconds)
    return _packed(error_details_pb2.RetryInfo(retry_delay=retry))


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
