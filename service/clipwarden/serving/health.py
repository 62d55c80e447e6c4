"""Answer grpc.health.v1: SERVING or NOT_SERVING, for the server as a whole and for each of its services.

Not grpcio's own servicer: there, the first watcher to leave takes the others' wake-ups with it, and one watcher that
reads slowly holds up every change.
"""

# ruff: noqa: ANN401  grpcio-health-checking ships no types
import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

STATE_KEY = "clipwarden-state"
"""Metadata of Check's answer: the state, in more words than SERVING and NOT_SERVING."""
NOTICES_KEY = "clipwarden-notices"
"""Metadata of Check's answer: the notices as JSON in ASCII, where there are any."""
_MOST_NOTICES_BYTES = 4096
"""Half of what gRPC takes as metadata by default."""
MOST_WATCHES = 16
"""Watches that one connection may have open, each of which is a task and some 40 KiB: nobody is asked for a token here,
and a client's own health checks take one for each service."""
MOST_LOCAL_WATCHES = 256
"""The same of the Unix socket, whose connections cannot be told apart."""


class State(StrEnum):
    """How the server fares, for people and scripts."""

    STARTING = "starting"
    SERVING = "serving"
    STALLED = "stalled"
    """Threads are stuck, and none of their kind is left."""
    UNHEALTHY = "unhealthy"
    """The encoder fails, whatever the image."""
    DRAINING = "draining"


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # untyped; answers what later versions may ask
    """The health service. Lives on one event loop.

    Args:
        services: Full names; "", the server as a whole, is always known.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset(("", *services))
        self._state = State.STARTING
        self._closed = False
        self._changed = asyncio.Event()
        self._notices: dict[str, str] = {}
        self._watches = Counter[str]()

    @property
    def watches(self) -> int:
        """How many watches are open; may be read from any thread."""
        return self._watches.total()

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
        return self._state is State.SERVING

    @property
    def state(self) -> State:
        """The same, with why not; may be read from any thread."""
        return self._state

    def set_serving(self, serving: bool, *, otherwise: State = State.UNHEALTHY) -> None:  # noqa: FBT001  a callback's
        """Change the answer, and tell those who watch; after `close` it stays NOT_SERVING.

        Args:
            serving: Whether load balancers should send calls here.
            otherwise: Why not, where they should not.
        """
        if not self._closed:
            self._state = State.SERVING if serving else otherwise
            self._wake_watchers()

    def close(self) -> None:
        """Answer NOT_SERVING from now on, and end every watch once it has heard so."""
        self.set_serving(False, otherwise=State.DRAINING)
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
        context.set_trailing_metadata(self._details())
        return self._answer(request.service)

    async def Watch(  # noqa: N802
        self, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Tell a service's health now and at every change; a change that is undone before it is read may be skipped.

        RESOURCE_EXHAUSTED where the connection has too many watches already.
        """
        peer = str(context.peer())
        most = MOST_LOCAL_WATCHES if peer.startswith("unix:") else MOST_WATCHES
        if self._watches[peer] >= most:
            whose = "the Unix socket" if most == MOST_LOCAL_WATCHES else "this connection"
            sentence = f"{whose} has {most} watches of health open, which is the most; end one, or use Check"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, sentence)
        with self._counted(peer):
            await self._tell(request.service, context)

    @contextmanager
    def _counted(self, peer: str) -> Iterator[None]:
        self._watches[peer] += 1
        try:
            yield
        finally:
            self._watches[peer] -= 1
            if not self._watches[peer]:
                del self._watches[peer]

    async def _tell(self, service: str, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        # By `write`, and not by a generator: one whose caller leaves ends when it is collected, and counts until then.
        last = None
        while True:
            changed = self._changed
            answer = self._answer(service)
            if answer != last:
                await context.write(answer)
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
        return statuses(status=statuses.SERVING if self.serving else statuses.NOT_SERVING)

    def _details(self) -> tuple[tuple[str, str], ...]:
        state = (STATE_KEY, str(self._state))
        if not self._notices:
            return (state,)
        text = json.dumps(self._notices)  # ASCII, as metadata has to be
        if len(text) > _MOST_NOTICES_BYTES:
            text = json.dumps(dict.fromkeys(list(self._notices)[:16], "see the log"))
        return state, (NOTICES_KEY, text)

    def _wake_watchers(self) -> None:
        """Fire the present event, and put a fresh one in its place: each change is heard by all who wait."""
        fired, self._changed = self._changed, asyncio.Event()
        fired.set()
