"""One StreamModerate call: items in as they come, results out as they are ready, reading paused when it is full.

Two tasks: gRPC's own, which writes results, and a reader, which owns one task for each item at work. An item holds its
place from before it is read until its result is written, so neither a fast writer nor a slow reader on the other side
can make the server hold more than `in_flight` items.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import grpc

from clipwarden.engine.terms import Terms
from clipwarden.errors import ClipwardenError, RequestError
from clipwarden.serving.bodies import Body, Source, take_apart
from clipwarden.serving.calls import Call, Calls
from clipwarden.serving.context import Context
from clipwarden.serving.requests import read_item_id, read_timeout
from clipwarden.v1 import moderation_pb2 as pb

METHOD = "StreamModerate"

JudgeItem = Callable[[Source, pb.ModerationOptions, Call], Awaitable[pb.ModerationResult]]


class ItemStream:
    """One call, from its first item to its last result.

    Args:
        place: Makes what is held as long as the stream is open, under its terms; raises our errors.
        judge: Judges one item; its errors are results.
        calls: Accounts, and closes the gate when the server drains.
        context: Of the call.
        in_flight: Most items at work.
    """

    def __init__(
        self,
        place: Callable[[Terms], AbstractContextManager[None]],
        judge: JudgeItem,
        calls: Calls,
        context: Context,
        *,
        in_flight: int,
    ) -> None:
        self._place = place
        self._judge = judge
        self._calls = calls
        self._context = context
        self._call = calls.open(METHOD, context)
        self._places = asyncio.Semaphore(in_flight)
        self._ready: asyncio.Queue[tuple[pb.StreamModerateResponse, Call] | None] = asyncio.Queue()
        # Grows by an id an item for as long as the stream lives: the price of refusing repeated ids.
        self._ids: set[str] = set()
        self._fault: ClipwardenError | None = None
        self._cut_short = False

    async def responses(self) -> AsyncGenerator[pb.StreamModerateResponse, None]:
        """Yield results as they are ready.

        When the server drains, reading stops; results of items read before still come, then UNAVAILABLE.
        """
        try:
            self._calls.begin(self._call)
            try:
                with self._place(self._call.terms):
                    async for response in self._results():
                        yield response
            finally:
                self._calls.end(METHOD)
        except (asyncio.CancelledError, GeneratorExit):
            self._calls.note_cancelled(self._call, self._context)
            raise
        except Exception as exc:  # noqa: BLE001  the edge: nothing may leave without a status
            await self._calls.abort(exc, self._call, self._context)
        else:
            self._calls.note_ok(METHOD)

    async def _results(self) -> AsyncGenerator[pb.StreamModerateResponse, None]:
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
            if self._fault:
                raise self._fault
            if self._cut_short:
                self._calls.gate.require_open()
        finally:
            reader.cancel()
            try:
                await asyncio.wait({reader})
            finally:
                self._forget_unwritten()

    async def _read(self) -> None:
        draining = asyncio.create_task(self._calls.gate.draining.wait())
        try:
            async with asyncio.TaskGroup() as group:
                while (body := await self._next(draining)) is not None:
                    group.create_task(self._answer(body))
                    del body  # the item's task has it
        finally:
            draining.cancel()
            self._ready.put_nowait(None)

    async def _next(self, draining: "asyncio.Task[bool]") -> Body[pb.StreamModerateRequest] | None:
        """Read the next item once there is a place for it; None at the end, and when the server drains."""
        place = asyncio.create_task(self._places.acquire())
        try:
            await asyncio.wait({draining, place}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._cut_short = not place.done()
            place.cancel()
        if self._cut_short:
            return None
        # Never cancelled: what gRPC reads for a call that has ended is nothing, and for one that has not is kept.
        reading = asyncio.create_task(self._receive())
        await asyncio.wait({draining, reading}, return_when=asyncio.FIRST_COMPLETED)
        self._cut_short = not reading.done()
        return None if self._cut_short else await reading

    async def _receive(self) -> Body[pb.StreamModerateRequest] | None:
        try:
            raw = await self._context.read()
            self._fault = None if raw is grpc.aio.EOF else self._calls.denial_now(self._call, self._context)
            return None if raw is grpc.aio.EOF or self._fault else take_apart(raw, pb.StreamModerateRequest)
        except grpc.aio.BaseError as ended:  # the call, by an error of another item or of its caller
            ended.__traceback__ = None
        except RequestError as exc:  # no id to answer it by: it ends the stream
            self._fault = exc
        return None

    async def _answer(self, body: Body[pb.StreamModerateRequest]) -> None:
        its = self._call
        call = Call(method=METHOD, request_id=its.request_id, terms=its.terms, who=its.who, local=its.local)
        request = body.message
        try:
            self._admit(request, call)
        except RequestError as exc:
            result = pb.ModerationResult(error=self._calls.refuse(exc, call))
        else:
            result = await self._judge(body.images.pop(), request.options, call)
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
        seconds, its = read_timeout(request), call.terms.deadline
        if seconds is None and its is None:
            seconds = self._calls.default_seconds
        if seconds is not None:
            own = time.monotonic() + seconds
            call.terms = replace(call.terms, deadline=own if its is None else min(own, its))
