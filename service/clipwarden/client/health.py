"""What a server's health answer, or the lack of one, means to a caller who waits."""

import grpc
from grpc_health.v1 import health_pb2

from clipwarden.client.errors import ClientError

SERVICE = "clipwarden.v1.ModerationService"
"""The name under which the server reports this service's health."""

PROBE_SECONDS = 5.0
"""Longest wait for one answer; a healthy server takes milliseconds."""

SERVING = "SERVING"

# NOT_FOUND: the server listens but has not registered the service yet.
_NOT_YET = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.NOT_FOUND)


def request() -> health_pb2.HealthCheckRequest:
    """Ask about the moderation service."""
    return health_pb2.HealthCheckRequest(service=SERVICE)


def state_of(response: health_pb2.HealthCheckResponse) -> str:
    """Name the state, such as `SERVING` or `NOT_SERVING`."""
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


def state_without_answer(error: ClientError) -> ClientError:
    """Take the failure of a server that did not answer for its state.

    Raises:
        ClientError: Waiting cannot help: credentials are refused, TLS does not fit, or no health service is there.
    """
    if error.lasts or error.code not in _NOT_YET:
        raise error
    return error
