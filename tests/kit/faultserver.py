"""A real gRPC server whose answers a test writes down beforehand: moderations, errors, silence."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.v1.moderation_pb2_grpc import ModerationServiceServicer, add_ModerationServiceServicer_to_server

SERVICE = "clipwarden.v1.ModerationService"


def allowed(**fields: object) -> v1.Moderation:
    return v1.Moderation(verdict=v1.VERDICT_ALLOW, shadow_verdict=v1.VERDICT_ALLOW, enforced_categories=1, **fields)


def status(code: grpc.StatusCode, message: str = "as the test says", *details: Message) -> Status:
    packed = []
    for detail in details:
        holder = AnyMessage()
        holder.Pack(detail)
        packed.append(holder)
    return Status(code=code.value[0], message=message, details=packed)


def info(reason: str) -> ErrorInfo:
    return ErrorInfo(domain="clipwarden", reason=reason)


def retry_info(seconds: float) -> RetryInfo:
    message = RetryInfo()
    message.retry_delay.FromNanoseconds(int(seconds * 1e9))
    return message


def unavailable() -> Status:
    return status(grpc.StatusCode.UNAVAILABLE, "draining", info("SHUTTING_DOWN"))


def overloaded(seconds: float) -> Status:
    return status(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full", info("OVERLOADED"), retry_info(seconds))


class FaultService(ModerationServiceServicer):
    """Answers calls with `answers`, in order.

    A Status is a failure, an Event is silence until the test sets it. Keeps what it was asked.
    """

    def __init__(self) -> None:
        self.answers: deque[Any] = deque()
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.remaining: list[float | None] = []
        self.stream: Callable[[Iterator[Any], Any], Iterator[Any]] | None = None
        self.asked = threading.Event()
        self.ended = threading.Event()

    def _answer(self, request: Message, context: grpc.ServicerContext) -> Message:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining.append(context.time_remaining())
        context.add_callback(self.ended.set)
        self.asked.set()
        answer = self.answers.popleft()
        if isinstance(answer, threading.Event):
            answer.wait(60)
            answer = unavailable()
        if isinstance(answer, Status):
            _abort(context, answer)
        return answer

    Moderate = BatchModerate = ModerateEmbedding = ListPolicies = GetPolicy = _answer

    def StreamModerate(self, request_iterator: Iterator[Message], context: grpc.ServicerContext) -> Iterator[Message]:  # noqa: N802
        context.add_callback(self.ended.set)
        self.asked.set()
        for answer in self.stream(request_iterator, context):
            if isinstance(answer, Status):
                _abort(context, answer)
            yield answer


def _abort(context: grpc.ServicerContext, answer: Status) -> None:
    context.set_trailing_metadata((("grpc-status-details-bin", answer.SerializeToString()),))
    code = next(code for code in grpc.StatusCode if code.value[0] == answer.code)
    context.abort(code, answer.message)


class FaultServer:
    """The service, its health, and where it listens."""

    def __init__(self, server: grpc.Server, service: FaultService, states: health.HealthServicer, port: int) -> None:
        self.grpc = server
        self.service = service
        self._states = states
        self.address = f"127.0.0.1:{port}"

    def set_serving(self, *, serving: bool) -> None:
        response = health_pb2.HealthCheckResponse
        self._states.set(SERVICE, response.SERVING if serving else response.NOT_SERVING)


@contextmanager
def running_fault_server(
    credentials: grpc.ServerCredentials | None = None, *, address: str = "127.0.0.1:0", with_health: bool = True
) -> Iterator[FaultServer]:
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 64 * 2**20)])
    service, states = FaultService(), health.HealthServicer()
    add_ModerationServiceServicer_to_server(service, server)
    if with_health:
        health_pb2_grpc.add_HealthServicer_to_server(states, server)
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield FaultServer(server, service, states, port)
    finally:
        server.stop(0).wait()
