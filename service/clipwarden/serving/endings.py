"""Errors and statuses in, what gRPC ends a call with out; apart from `status`, which needs no gRPC."""

from functools import lru_cache

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from clipwarden.errors import HeadersTooLargeError, OverloadedError, Reason, ShuttingDownError, UnauthenticatedError
from clipwarden.serving.status import code_number, error_info, retry_info

Unread = OverloadedError | ShuttingDownError | UnauthenticatedError | HeadersTooLargeError
"""What refuses a call before anything of it was read."""

Ended = tuple[grpc.StatusCode, str, tuple[tuple[str, bytes]]]
"""Code, message and trailing metadata, as `Context.abort` takes them."""


def refusal_of(error: Unread) -> Ended:
    """Render an error for a call that was refused unread, of which there may be thousands a second.

    Returns:
        What `ended` makes of what `status_of` says without a request id.
    """
    code, message, ((key, packed),) = ended(status_pb2.Status(code=code_number(error), message=str(error)))
    retry = round(error.retry_after_seconds * 1000) if isinstance(error, OverloadedError) else None
    # Messages joined as bytes are merged: https://protobuf.dev/programming-guides/encoding/#last-one-wins
    return code, message, ((key, packed + _unnamed_details(error.reason, retry)),)


def ended(status: status_pb2.Status) -> Ended:
    """Turn a status into the code, message and metadata that gRPC ends a call with."""
    code, message, metadata = rpc_status.to_status(status)
    return code, message, metadata


@lru_cache(maxsize=8192)  # as many as there are milliseconds to the longest hint
def _unnamed_details(reason: Reason, retry_milliseconds: int | None) -> bytes:
    details = [error_info(reason, "")]
    if retry_milliseconds is not None:
        details.append(retry_info(retry_milliseconds))
    return bytes(status_pb2.Status(details=details).SerializeToString())
