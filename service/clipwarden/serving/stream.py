"""One StreamModerate call: items in as they come, results out as they are ready, reading paused when it is full.

Two tasks: gRPC's own, which writes results, and a reader, which owns one task for each item at work. An item holds its
place from before it is read until its result is written, so neither a fast writer nor a slow reader on the other side
can make the server hold more than `in_flight` items.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from clipwarden.errors import RequestError
from clipwarden.serving.calls import Call, Calls, Context, open_call
from clipwarden.serving.requests import read_item_id, read_timeout
from clipwarden.v1 import moderation_pb2 as pb

METHOD = "StreamModerate"

JudgeItem = Callable[[pb.ImageSource, pb.ModerationOptions, Call], Awaitable[pb.ModerationResult]]


class ItemStream:
    """One call, from its first item to its last result.

    Args:
        requests: What the client sends.
        judge: Judges one item; its errors are results.
        calls: Accounts, and closes the gate when the server drains.
        context: Of the call.
        in_flight: Most items at work.
    """

    def __init__(
        self,
        requests: AsyncIterator[pb.StreamModerateRequest],
        judge: JudgeItem,
        calls: Calls,
        context: Context,
        *,
        in_flight: int,
    ) -> None:
        self._requests = requests
        self._judge = judge
        self._calls = calls
        self._context = context
        self._call = open_call(METHOD, "", context)
        self._places = asyncio.Semaphore(in_flight)
        self._ready: asyncio.Queue[tuple[pb.StreamModerateResponse, Call] | None] = asyncio.Queue()
        # Grows by an id an item for as long as the stream lives: the price of refusing repeated ids.
        self._ids: set[str] = set()
        self._cut_short = False

    async def responses(self) -> AsyncGenerator[pb.StreamModerateResponse, None]:
        """Yield results as they are ready.

        When the server drains, reading stops; results of items read before still come, then UNAVAILABLE.
        """
        with self._calls.count(METHOD):
            reader = asyncio.create_task(self._read())
            try:
                while (item := await self._ready.get()) is not None:
                    response, call = item
                    try:
                        yield response
                    finally:
                        call.answered.set()  # written, or never to be
                    self._places.release()
                await reader
                if self._cut_short:
                    self._calls.gate.require_open()
            except (asyncio.CancelledError, GeneratorExit):
                self._calls.note_cancelled(self._call, self._context)
                raise
            except Exception as exc:  # noqa: BLE001  the edge: nothing may leave without a status
                await self._calls.abort(exc, self._call, self._context)
            finally:
                reader.cancel()
                try:
                    await asyncio.wait({reader})
                finally:
                    self._forget_unwritten()
            self._calls.note_ok(METHOD)

    async def _read(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                while (request := await self._next()) is not None:
                    group.create_task(self._answer(request))
        finally:
            self._ready.put_nowait(None)

    async def _next(self) -> pb.StreamModerateRequest | None:
        """Read the next item once there is a place for it; None at the end, and when the server drains."""
        draining = asyncio.create_task(self._calls.gate.draining.wait())
        reading = asyncio.create_task(self._read_one())
        try:
            await asyncio.wait({draining, reading}, return_when=asyncio.FIRST_COMPLETED)
            self._cut_short = not reading.done()
            return None if self._cut_short else await reading
        finally:
            draining.cancel()
            reading.cancel()

    async def _read_one(self) -> pb.StreamModerateRequest | None:
        await self._places.acquire()
        return await anext(self._requests, None)

    async def _answer(self, request: pb.StreamModerateRequest) -> None:
        call = Call(method=METHOD, request_id=self._call.request_id, deadline=self._call.deadline)
        try:
            self._admit(request, call)
        except RequestError as exc:
            result = pb.ModerationResult(error=self._calls.refuse(exc, call))
        else:
            result = await self._judge(request.image, request.options, call)
        self._ready.put_nowait((pb.StreamModerateResponse(id=request.id, result=result), call))

    def _forget_unwritten(self) -> None:
        """Let candidates judge what was judged for a caller that left before its result was written."""
        while not self._ready.empty():
            if item := self._ready.get_nowait():
                item[1].answered.set()

    def _admit(self, request: pb.StreamModerateRequest, call: Call) -> None:
        """Take an item's id and deadline.

        Raises:
            RequestError: The id is missing, too long or repeated, or the timeout is not above 0.
        """
        call.request_id = read_item_id(request.id)
        if call.request_id in self._ids:
            raise RequestError("the id was already used in this stream")
        self._ids.add(call.request_id)
        timeout = read_timeout(request)
        if timeout is not None:
            own = time.monotonic() + timeout
            call.deadline = own if call.deadline is None else min(own, call.deadline)
