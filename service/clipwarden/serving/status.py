"""Turn errors into google.rpc.Status: the one table from our errors to gRPC's codes."""

from collections.abc import Mapping
from typing import cast

from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from clipwarden.errors import (
    ClipwardenError,
    DeadlineError,
    EmbeddingError,
    EncoderError,
    FingerprintMismatchError,
    ImageError,
    OverloadedError,
    PathNotFoundError,
    PathUnreadableError,
    PolicyUnknownError,
    Reason,
    RequestError,
    ShuttingDownError,
    UnauthenticatedError,
)
from clipwarden.policy.schema import Verdict
from clipwarden.serving.wire import verdict
from clipwarden.v1 import moderation_pb2 as pb

DOMAIN = "clipwarden"

CODE_BY_ERROR: Mapping[type[BaseException], code_pb2.Code] = {
    ImageError: code_pb2.INVALID_ARGUMENT,
    RequestError: code_pb2.INVALID_ARGUMENT,
    EmbeddingError: code_pb2.INVALID_ARGUMENT,
    PolicyUnknownError: code_pb2.NOT_FOUND,
    FingerprintMismatchError: code_pb2.FAILED_PRECONDITION,
    UnauthenticatedError: code_pb2.UNAUTHENTICATED,
    PathNotFoundError: code_pb2.NOT_FOUND,
    PathUnreadableError: code_pb2.FAILED_PRECONDITION,
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
    details = [error_info(reason, request_id)]
    if isinstance(error, ImageError):
        name = error.reason.removeprefix("IMAGE_")
        fault = pb.ImageFaultReason.Value(f"IMAGE_FAULT_REASON_{name}")
        details.append(_packed(pb.ImageFault(reason=fault, policy_verdict=verdict(on_error))))
    if isinstance(error, OverloadedError):
        details.append(retry_info(round(error.retry_after_seconds * 1000)))
    known = isinstance(error, ClipwardenError)
    message = str(error) if known else f"internal error; the server's log tells more under request id {request_id}"
    return status_pb2.Status(code=code_number(error), message=message, details=details)


def code_of(error: BaseException) -> str:
    """Name the gRPC code that answers an error, such as INVALID_ARGUMENT."""
    return str(code_pb2.Code.Name(code_number(error)))


def reason_of(error: BaseException) -> Reason:
    """Name an error as clients branch on it."""
    return (
        cast("Reason", getattr(error, "reason", Reason.INTERNAL))
        if isinstance(error, ClipwardenError)
        else Reason.INTERNAL
    )


def code_number(error: BaseException) -> code_pb2.Code:
    """Find the gRPC code that answers an error."""
    return next(CODE_BY_ERROR[kind] for kind in type(error).__mro__ if kind in CODE_BY_ERROR)


def error_info(reason: Reason, request_id: str) -> any_pb2.Any:
    """Pack what clients branch on; without a request id where there is none."""
    named = {"request_id": request_id} if request_id else {}
    return _packed(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=named))


def retry_info(milliseconds: int) -> any_pb2.Any:
    """Pack when a retry is worth while."""
    retry = Duration()
    retry.FromMilliseconds(milliseconds)
    return _packed(error_details_pb2.RetryInfo(retry_delay=retry))


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
