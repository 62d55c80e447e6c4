"""Stream items in, request messages out to gRPC; what goes wrong on the way is kept for the caller."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias

import grpc

from clipwarden.client.messages import StreamItem, read_image, stream_request
from clipwarden.v1 import moderation_pb2 as v1

# Generic for type checkers only, hence the quotes.
StreamCall: TypeAlias = "grpc.aio.StreamStreamCall[v1.StreamModerateRequest, v1.StreamModerateResponse]"


class Feed(Iterator[v1.StreamModerateRequest]):
    """What gRPC's own thread reads from.

    gRPC logs an exception of this iterator and ends the call with a bare UNKNOWN, so the exception is kept
    in `failure` for the thread that called us.
    """

    def __init__(self, items: Iterable[StreamItem]) -> None:
        self._items = iter(items)
        self.failure: Exception | None = None

    def __next__(self) -> v1.StreamModerateRequest:
        try:
            item = next(self._items)
            return stream_request(item, read_image(item.image))
        except StopIteration:
            raise
        except Exception as exc:  # noqa: BLE001  whatever it is, the caller gets it
            self.failure = exc
            # Ending the iteration, and not raising, keeps gRPC from printing a traceback to the caller's stderr.
            raise StopIteration from None


class AsyncFeed:
    """What a task of its own writes to gRPC, as fast as the server takes it.

    `failure` keeps what the items raised, for the task that reads the results.
    """

    def __init__(self, items: AsyncIterable[StreamItem] | Iterable[StreamItem]) -> None:
        self._items = items
        self.failure: Exception | None = None

    async def write_to(self, call: StreamCall) -> None:
        """Write all items, then tell the server that there are no more."""
        try:
            async for item in _each(self._items):
                data = await asyncio.to_thread(read_image, item.image)
                if not await _written(call, stream_request(item, data)):
                    return
        except Exception as exc:  # noqa: BLE001  whatever it is, the caller gets it
            self.failure = exc
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            await call.done_writing()


async def _written(call: StreamCall, request: v1.StreamModerateRequest) -> bool:
    try:
        await call.write(request)
    except (grpc.RpcError, asyncio.InvalidStateError):
        # The server ended the call; whoever reads its results learns why.
        return False
    return True


async def _each(items: AsyncIterable[StreamItem] | Iterable[StreamItem]) -> AsyncIterator[StreamItem]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
