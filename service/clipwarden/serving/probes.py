"""Health in, answers to kubelets out: may calls come (`/readyz`), and would a restart help (`/livez`)?

They are given from a thread that does nothing else, so that no load, model being loaded or stuck thread delays them.

**Ready** is what health says: 200 while it is SERVING. An overloaded server is ready: it refuses what it cannot do in
time and says when to come again, and to take it out would move its load to the others, one after the other.

**Live** is whatever a restart would not mend, which is all but two things: the event loop has not turned for
`DEAF_STALLS` times `stall_seconds`; or health has been lost, because threads are stuck or the encoder fails, for
`LOST_STALLS` times that without a break. Neither comes from load: the loop turns and work ends, however late.

Both are counted in looks of this thread, `LOOKS` to each `stall_seconds`, rather than read off a clock. A process that
gets little of a processor, or stands still (a quota, a paused machine), looks as seldom as its event loop turns.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qs

from clipwarden.serving.health import Health, State
from clipwarden.serving.http import Page, Request, Response

LOOKS = 10
"""Looks to each `stall_seconds`."""
DEAF_STALLS = 2
"""Stalls without a turn of the loop until a restart is asked for; after one the server is not ready."""
LOST_STALLS = 4
"""Stalls in a row without health until a restart is asked for: work that is late by so much does not come back."""

LIVEZ = "/livez"
READYZ = "/readyz"

_LOST = frozenset({State.STALLED, State.UNHEALTHY})


class Probes:
    """What probes are answered. Made on the event loop that it watches, and used by one other thread.

    Args:
        health: Of the server.
        stall_seconds: Of the settings.
    """

    def __init__(self, health: Health, *, stall_seconds: float) -> None:
        self._health = health
        self._loop = asyncio.get_running_loop()
        self._heard = True
        self._silent_looks = 0
        self._lost_looks = 0
        self.look_seconds = stall_seconds / LOOKS
        self.pages: Mapping[str, Page] = MappingProxyType({LIVEZ: self._live, READYZ: self._ready})

    def look(self) -> None:
        """See whether the event loop has turned since the last look, and whether health is there."""
        self._lost_looks = self._lost_looks + 1 if self._health.state in _LOST else 0
        if not self._heard:
            self._silent_looks += 1
            return
        self._silent_looks = 0
        self._heard = False
        with suppress(RuntimeError):  # the loop is closed, and the process about to end
            self._loop.call_soon_threadsafe(self._hear)

    @property
    def state(self) -> State:
        """Whether calls should come, and if not why."""
        state = self._health.state
        return State.STALLED if state is State.SERVING and self._silent_looks > LOOKS else state

    @property
    def complaint(self) -> str | None:
        """What a restart would mend, or None."""
        if self._silent_looks > DEAF_STALLS * LOOKS:
            return "the event loop does not turn"
        if self._lost_looks > LOST_STALLS * LOOKS:
            return f"{self._health.state} for too long"
        return None

    def _hear(self) -> None:
        self._heard = True

    def _live(self, request: Request) -> Response:
        complaint = self.complaint
        return _answer(request, good=complaint is None, state=complaint or "live", notices={})

    def _ready(self, request: Request) -> Response:
        state = self.state
        # A copy, in one step of the interpreter's: the loop may note something meanwhile.
        notices = dict(self._health.notices)
        return _answer(request, good=state is State.SERVING, state=state, notices=notices)


def _answer(request: Request, *, good: bool, state: str, notices: Mapping[str, str]) -> Response:
    """Answer a line of text, and one for each notice; or JSON, for who asks for that."""
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    if _wants_json(request):
        body, kind = json.dumps({"state": str(state), "notices": dict(notices)}), "application/json"
    else:
        lines = [str(state), *(f"{subject}: {sentence}" for subject, sentence in notices.items())]
        body, kind = "\n".join(lines), "text/plain; charset=utf-8"
    return Response(status=status, body=f"{body}\n".encode(), headers={"Content-Type": kind})


def _wants_json(request: Request) -> bool:
    verbose = "verbose" in parse_qs(request.query, keep_blank_values=True)
    return verbose or "application/json" in request.headers.get("accept", "")
