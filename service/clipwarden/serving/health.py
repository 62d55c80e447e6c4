"""Answer grpc.health.v1: SERVING or NOT_SERVING, for the server as a whole and for each of its services.

Not grpcio's own servicer: there, the first watcher to leave takes the others' wake-ups with it, and one watcher that
reads slowly holds up every change.
"""

# ruff: noqa: ANN401  grpcio-health-checking ships no types
import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # untyped; answers what later versions may ask
    """The health service. Lives on one event loop.

    Args:
        services: Full names; "", the server as a whole, is always known.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset(("", *services))
        self._serving = False
        self._closed = False
        self._changed = asyncio.Event()
        self._notices: dict[str, str] = {}

    @property
    def notices(self) -> Mapping[str, str]:
        """What is wrong although calls are answered, a sentence by what it is about, such as `policies`."""
        return MappingProxyType(self._notices)

    def note(self, subject: str, sentence: str | None) -> None:
        """Say what is wrong with something; None once it is mended. Anybody may read it, so it holds no secret."""
        if sentence is None:
            self._notices.pop(subject, None)
        else:
            self._notices[subject] = sentence

    @property
    def serving(self) -> bool:
        """Whether load balancers should send calls here."""
        return self._serving

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001  the one argument of a callback
        """Change the answer, and tell those who watch; after `close` it stays NOT_SERVING."""
        if not self._closed:
            self._serving = serving
            self._wake_watchers()

    def close(self) -> None:
        """Answer NOT_SERVING from now on, and end every watch once it has heard so."""
        self.set_serving(False)
        self._closed = True
        self._wake_watchers()

    async def Check(  # noqa: N802  gRPC's name
        self, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Any:
        """Tell a service's health once; NOT_FOUND for one that is not here."""
        if request.service not in self._services:
            # Not the name itself: however long the caller made it, it would come back in a header.
            known = ", ".join(repr(name) for name in sorted(self._services))
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no such service here; there are {known}")
        return self._answer(request.service)

    async def Watch(  # noqa: N802
        self, request: Any, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        """Tell a service's health now and at every change; a change that is undone before it is read may be skipped."""
        last = None
        while True:
            changed = self._changed
            answer = self._answer(request.service)
            if answer != last:
                yield answer
                last = answer
            elif self._closed:
                return
            else:
                await changed.wait()

    async def List(  # noqa: N802
        self, _request: Any, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> Any:
        """Tell the health of everything that is here."""
        return health_pb2.HealthListResponse(statuses={name: self._answer(name) for name in self._services})

    def _answer(self, service: str) -> Any:
        statuses = health_pb2.HealthCheckResponse
        if service not in self._services:
            return statuses(status=statuses.SERVICE_UNKNOWN)
        return statuses(status=statuses.SERVING if self._serving else statuses.NOT_SERVING)

    def _wake_watchers(self) -> None:
        """Fire the present event, and put a fresh one in its place: each change is heard by all who wait."""
        fired, self._changed = self._changed, asyncio.Event()
        fired.set()
