import pickle

import grpc
import pytest
from google.rpc.status_pb2 import Status

from clipwarden.client import errors
from clipwarden.client.failures import Peer
from clipwarden.errors import ClipwardenError, Reason
from clipwarden.v1 import moderation_pb2 as v1
from kit.faultserver import info, overloaded, retry_info, status

TRUNCATED = v1.ImageFault(reason=v1.IMAGE_FAULT_REASON_TRUNCATED, policy_verdict=v1.VERDICT_REVIEW)


class FailedCall(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str | None, metadata: object = ()) -> None:
        self._code, self._details, self._metadata = code, details, metadata

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> object:
        return self._metadata


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.RequestRefusedError),
        (grpc.StatusCode.NOT_FOUND, errors.RequestRefusedError),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.RequestRefusedError),
        (grpc.StatusCode.UNAUTHENTICATED, errors.RequestRefusedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.RequestRefusedError),
        (grpc.StatusCode.UNAVAILABLE, errors.ServerUnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceededError),
        (grpc.StatusCode.INTERNAL, errors.ServerFaultError),
        (grpc.StatusCode.UNKNOWN, errors.ServerFaultError),
        (grpc.StatusCode.CANCELLED, errors.ClientError),
    ],
)
def test_each_code_has_its_class(code: grpc.StatusCode, kind: type[errors.ClientError]) -> None:
    error = errors.error_from_status(status(code))
    assert type(error) is kind
    assert isinstance(error, ClipwardenError)
    assert error.code is code


def test_an_image_fault_tells_why_and_what_the_policy_says() -> None:
    error = errors.error_from_status(
        status(grpc.StatusCode.INVALID_ARGUMENT, "cut short", info("IMAGE_TRUNCATED"), TRUNCATED), request_id="r/1"
    )
    assert type(error) is errors.ImageRefusedError
    assert (str(error), error.reason, error.image_fault, error.request_id) == (
        "cut short",
        Reason.IMAGE_TRUNCATED,
        TRUNCATED,
        "r/1",
    )


def test_overload_carries_its_delay() -> None:
    error = errors.error_from_status(overloaded(1.25))
    assert type(error) is errors.ServerOverloadedError
    assert error.retry_after_seconds == 1.25


def test_a_reason_this_client_does_not_know_is_kept() -> None:
    assert errors.error_from_status(status(grpc.StatusCode.INTERNAL, "x", info("NEW_IN_V9"))).reason == "NEW_IN_V9"


def test_a_number_that_is_no_code_is_a_server_fault() -> None:
    assert type(errors.error_from_status(Status(code=99, message="?"))) is errors.ServerFaultError


def test_details_that_a_proxy_cut_leave_code_and_message() -> None:
    metadata = (("grpc-status-details-bin", b"\xff\xff"),)
    error = errors.error_from_call(FailedCall(grpc.StatusCode.INTERNAL, "boom", metadata), peer=Peer(target="t"))
    assert (str(error), error.reason, error.code) == ("boom", None, grpc.StatusCode.INTERNAL)


def test_a_failure_without_metadata_or_message_is_still_a_sentence() -> None:
    error = errors.error_from_call(FailedCall(grpc.StatusCode.UNAVAILABLE, None, None), peer=Peer(target="there:1"))
    assert str(error) == "No clipwarden server answers at there:1 (no further details)."


def test_a_deadline_of_grpc_itself_names_the_server() -> None:
    error = errors.error_from_call(
        FailedCall(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline"), peer=Peer(target="there:1")
    )
    assert str(error) == "The server at there:1 did not answer within the deadline."


def test_a_call_that_a_stopping_server_cancelled_found_no_server() -> None:
    error = errors.error_from_call(
        FailedCall(grpc.StatusCode.CANCELLED, "CANCELLED"), peer=Peer(target="there:1"), request_id="r"
    )
    assert (type(error), error.code, error.request_id) == (
        errors.ServerUnavailableError,
        grpc.StatusCode.UNAVAILABLE,
        "r",
    )
    assert str(error) == "The server at there:1 went away without an answer."
    closed = errors.error_from_call(
        FailedCall(grpc.StatusCode.CANCELLED, "Channel closed!"), peer=Peer(target="there:1")
    )
    assert (type(closed), closed.code) == (errors.ClientError, grpc.StatusCode.CANCELLED)


def test_retry_info_without_a_delay_is_no_delay() -> None:
    message = retry_info(1)
    message.ClearField("retry_delay")
    error = errors.error_from_status(status(grpc.StatusCode.RESOURCE_EXHAUSTED, "x", message))
    assert error.retry_after_seconds is None


def test_errors_survive_pickling_between_processes() -> None:
    error = errors.error_from_status(
        status(grpc.StatusCode.INVALID_ARGUMENT, "cut", info("IMAGE_TRUNCATED"), TRUNCATED)
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(copy) is errors.ImageRefusedError
    assert (str(copy), copy.reason, copy.image_fault, copy.code) == ("cut", error.reason, TRUNCATED, error.code)


def test_a_write_that_meets_the_end_of_a_stream_is_no_fault_of_the_server() -> None:
    lost = FailedCall(grpc.StatusCode.INTERNAL, "Internal error from Core")
    error = errors.error_from_stream(lost, peer=Peer(target="there:1"))
    assert type(error) is errors.ServerUnavailableError
    assert str(error) == "The server at there:1 ended the stream while items were being sent."
    told = errors.error_from_stream(FailedCall(grpc.StatusCode.INTERNAL, "boom"), peer=Peer(target="there:1"))
    assert type(told) is errors.ServerFaultError
    assert type(errors.error_from_call(lost, peer=Peer(target="t"))) is errors.ServerFaultError


def test_the_servers_own_request_id_is_kept_when_the_client_sent_none() -> None:
    named = info("POLICY_UNKNOWN")
    named.metadata["request_id"] = "made-by-server"
    assert errors.error_from_status(status(grpc.StatusCode.NOT_FOUND, "x", named)).request_id == "made-by-server"
    assert (
        errors.error_from_status(status(grpc.StatusCode.NOT_FOUND, "x", named), request_id="mine").request_id == "mine"
    )
