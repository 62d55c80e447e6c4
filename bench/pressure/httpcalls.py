"""Calls over HTTP/1.1 as light as Python makes them: sockets, heads made beforehand, kept alive."""

import asyncio
from collections.abc import Callable
from typing import Self

from bench.pressure.loads import Answer, Load

_OK = b"HTTP/1.1 200"
_END_OF_HEAD = b"\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bytes] | None = None
        self._data = b""
        self._whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        transport.set_write_buffer_limits(high=2**24)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._whole and (end := self._data.find(_END_OF_HEAD)) >= 0:
            self._whole = end + len(_END_OF_HEAD) + _content_length(self._data[:end])
        if self._whole and len(self._data) >= self._whole and self._waiter and not self._waiter.done():
            self._waiter.set_result(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionError("closed"))

    async def post(self, head: bytes, body: bytes, seconds: float) -> bytes:
        """Send one request and return the response."""
        assert self._transport is not None  # noqa: S101
        self._data, self._whole = b"", 0
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.writelines([head, body])
        async with asyncio.timeout(seconds):
            return await self._waiter

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.abort()


class HttpCaller:
    """Posts images to a peer, over as many connections as there are calls at once.

    Args:
        load: What to send.
        next_image: Gives a body.
    """

    def __init__(self, load: Load, next_image: Callable[[], bytes]) -> None:
        host, _, port = load.target.rpartition(":")
        self._host, self._port = host, int(port)
        self._next, self._idle = next_image, list[_Connection]()
        self._head = (
            f"POST /moderate HTTP/1.1\r\nHost: {load.target}\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(next_image())}\r\n\r\n"
        ).encode()

    @classmethod
    async def connect(cls, load: Load, next_image: Callable[[], bytes]) -> Self:
        """Make as many connections as a closed loop needs; an open one makes its own."""
        caller = cls(load, next_image)
        caller._idle += [await caller._connect() for _ in range(max(load.connections, load.callers))]
        return caller

    async def call(self, connection: int, seconds: float) -> Answer:  # noqa: ARG002  any idle one will do
        """Post one image."""
        used = self._idle.pop() if self._idle else await self._connect()
        try:
            response = await used.post(self._head, self._next(), seconds)
        except TimeoutError:
            used.close()
            return Answer(outcome="late")
        except ConnectionError:
            return Answer(outcome="disconnected")
        self._idle.append(used)
        if not response.startswith(_OK):
            return Answer(outcome=response[:12].decode("ascii", errors="replace"))
        if b'"cosine"' not in response:
            raise ValueError(f"no verdict: {response[:200]!r}")
        return Answer(outcome="verdict")

    async def close(self) -> None:
        """Close what is idle; nothing else is left."""
        for connection in self._idle:
            connection.close()

    async def _connect(self) -> _Connection:
        _, protocol = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return protocol


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("a response without a content-length")
