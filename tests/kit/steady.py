"""A steady load on a server: few callers of every kind, each waiting for its answer, that note all they hear.

Nothing is tried again, so that a request which is lost is seen; `kit.steadychecks` says what must hold of the answers.
Callers pause between calls and name deadlines of a minute: a machine that others keep busy is slow, never overloaded.
"""

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.serving import picture

COLOURS = ("red", "yellow", "blue")
BATCH = 4
"""Images of one batch."""
WINDOW = 2
"""Images of a stream on their way at once."""
STREAM_ITEMS = 20
"""After so many images a stream ends and another begins, as a stream's token and connection are those of its start."""
DEADLINE_SECONDS = 60

Stub = "moderation_pb2_grpc.ModerationServiceAsyncStub"  # exists in the stubs' types only


@dataclass(kw_only=True)
class Access:
    """How callers reach a server. What a test changes here holds from the next call or connection on.

    Attributes:
        target: What they connect to.
        credentials: TLS; None connects in plain text.
        token: Sent as a bearer token; None sends none.
        options: Of their channels.
    """

    target: str
    credentials: grpc.ChannelCredentials | None = None
    token: str | None = None
    options: Sequence[tuple[str, int | str]] = ()

    def channel(self) -> grpc.aio.Channel:
        """Make a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1), *self.options]
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.target, options)
        return grpc.aio.secure_channel(self.target, self.credentials, options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with a call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What an answer says of one image.

    Attributes:
        colour: Of the picture.
        verdict: Of the wire.
        digest: Of the policy that judged.
    """

    colour: str
    verdict: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of one request: a call, or an image of a stream.

    Attributes:
        caller: Who asked.
        request_id: In the server's log.
        policy: What was asked for; empty for the default.
        start: Monotonic seconds before it was sent.
        end: Monotonic seconds once it was answered.
        images: Judged, several for a batch.
        failure: Why there is no answer; None where there is.
    """

    caller: str
    request_id: str
    policy: str = ""
    start: float
    end: float
    images: tuple[Seen, ...] = ()
    failure: str | None = None


@dataclass(kw_only=True)
class SteadyLoad:
    """The callers, and what they heard.

    Attributes:
        access: How they reach the server.
        pause_seconds: Of each of them before a request.
        other_policy: What one further caller asks for; None for no such caller.
        answers: So far, in the order they came.
    """

    access: Access
    pause_seconds: float = 0.05
    other_policy: str | None = None
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._leaving = False
        self._noted = asyncio.Event()
        self._latest: dict[str, float] = {}
        self._stream_began = -math.inf
        self._numbers = itertools.count()
        self._pictures = {colour: picture(colour) for colour in COLOURS}

    @property
    def callers(self) -> set[str]:
        """Names of all of them."""
        return set(self._kinds())

    async def round(self, *, new_stream: bool = False) -> None:
        """Wait until each caller has heard about a request that it began after this was called.

        Args:
            new_stream: Whether the stream has to be one that began after this was called, too.
        """
        since = time.monotonic()

        def is_done() -> bool:
            heard = all(self._latest.get(caller, since) > since for caller in self.callers)
            return heard and (self._stream_began > since or not new_stream)

        async with asyncio.timeout(2 * DEADLINE_SECONDS):
            while not is_done():
                await self._noted.wait()
                self._noted.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SteadyLoad"]:
        """Keep all callers at it while the block lasts; at its end they hear about what they have asked."""
        async with asyncio.TaskGroup() as group:
            for caller, work in self._kinds().items():
                group.create_task(work(caller))
            try:
                await self.round()
                yield self
            finally:
                self._leaving = True

    def _kinds(self) -> dict[str, Callable[[str], Awaitable[None]]]:
        kinds = {
            "one": self._on_one_connection(self._ask),
            "another": self._on_one_connection(self._ask),
            "newcomer": self._on_new_connections,
            "batch": self._on_one_connection(self._ask_for_several),
            "stream": self._on_one_connection(self._stream),
        }
        return kinds | ({"other": self._on_one_connection(self._ask)} if self.other_policy else {})

    def _on_one_connection(self, work: Callable[..., Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
        async def keep_at_it(caller: str) -> None:
            async with self.access.channel() as channel:
                stub = moderation_pb2_grpc.ModerationServiceStub(channel)
                while not self._leaving:
                    await work(stub, caller)

        return keep_at_it

    async def _on_new_connections(self, caller: str) -> None:
        while not self._leaving:
            async with self.access.channel() as channel:
                await self._ask(moderation_pb2_grpc.ModerationServiceStub(channel), caller)

    async def _ask(self, stub: Stub, caller: str) -> None:
        colour, request_id = await self._next(caller)
        how = self._how(caller)
        request = pb.ModerateRequest(image=self._source(colour), options=how, request_id=request_id)
        start = time.monotonic()
        try:
            response = await stub.Moderate(request, metadata=self.access.metadata, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as exc:
            self._note(caller, request_id, start, failure=_told(exc))
        else:
            self._note(caller, request_id, start, _seen(colour, response.moderation))

    async def _ask_for_several(self, stub: Stub, caller: str) -> None:
        _, request_id = await self._next(caller)
        colours = [COLOURS[index % len(COLOURS)] for index in range(BATCH)]
        request = pb.BatchModerateRequest(images=map(self._source, colours), request_id=request_id)
        start = time.monotonic()
        try:
            response = await stub.BatchModerate(request, metadata=self.access.metadata, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as exc:
            self._note(caller, request_id, start, failure=_told(exc))
            return
        failures = [item.error.message for item in response.results if item.HasField("error")]
        seen = [_seen(colour, item.moderation) for colour, item in zip(colours, response.results, strict=True)]
        self._note(caller, request_id, start, *([] if failures else seen), failure="; ".join(failures) or None)

    async def _stream(self, stub: Stub, caller: str) -> None:
        asked: dict[str, tuple[str, float]] = {}
        window = asyncio.Semaphore(WINDOW)

        async def requests() -> AsyncIterator[pb.StreamModerateRequest]:
            for _ in range(STREAM_ITEMS):
                await window.acquire()
                colour, request_id = await self._next(caller)
                if self._leaving:
                    return
                asked[request_id] = colour, time.monotonic()
                yield pb.StreamModerateRequest(id=request_id, image=self._source(colour))

        failure, began = "the stream ended without an answer", time.monotonic()
        try:
            call = stub.StreamModerate(requests(), metadata=self.access.metadata, timeout=DEADLINE_SECONDS)
            async for response in call:
                colour, start = asked.pop(response.id)
                window.release()
                error = response.result.error.message if response.result.HasField("error") else None
                seen = [] if error else [_seen(colour, response.result.moderation)]
                self._stream_began = began
                self._note(caller, response.id, start, *seen, failure=error)
        except grpc.aio.AioRpcError as exc:
            failure = _told(exc)
            asked = asked or {"a stream without an image on its way": ("", began)}
        for request_id, (_, start) in asked.items():
            self._note(caller, request_id, start, failure=failure)

    async def _next(self, caller: str) -> tuple[str, str]:
        """Pause, and choose a picture and an id."""
        await asyncio.sleep(self.pause_seconds)
        number = next(self._numbers)
        return COLOURS[number % len(COLOURS)], f"{caller}-{number}"

    def _how(self, caller: str) -> pb.ModerationOptions:
        return pb.ModerationOptions(policy_id=self.other_policy if caller == "other" else "")

    def _source(self, colour: str) -> pb.ImageSource:
        return pb.ImageSource(data=self._pictures[colour])

    def _note(self, caller: str, request_id: str, start: float, *images: Seen, failure: str | None = None) -> None:
        answer = Answer(
            caller=caller,
            request_id=request_id,
            policy=self._how(caller).policy_id,
            start=start,
            end=time.monotonic(),
            images=images,
            failure=failure,
        )
        self.answers.append(answer)
        self._latest[caller] = max(start, self._latest.get(caller, start))
        self._noted.set()


def _seen(colour: str, moderation: pb.Moderation) -> Seen:
    return Seen(colour=colour, verdict=moderation.verdict, digest=moderation.policy.digest)


def _told(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"
