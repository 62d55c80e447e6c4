"""Requests of HTTP/1 for a few short pages in, answers out; from one thread, within bounds that no client can move.

For probes and scrapes, which ask once and leave: each connection has one answer, a time that it may last, and a head of
few bytes; of a body nothing is kept. There is no refusal for want of room, since a kubelet that is refused restarts the
pod: whoever comes when all places are taken has the place of the oldest connection from the address that has most. So
one address that opens connections without end drives out its own, and one that asks now and then is answered.

Rejected: `http.server`, whose threads are as many as clients like, and whose timeout begins anew at each byte.
"""

import asyncio
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Thread
from typing import cast

MAX_CONNECTIONS = 64
"""Places. Kubelets and Prometheus have one at a time, for milliseconds."""
LIFE_SECONDS = 10.0
"""How long a connection may last, the way of its answer included: as long as Prometheus waits by default."""
MAX_HEAD_BYTES = 8192
"""Longest request line with its headers; the usual limit of web servers."""
MAX_REST_BYTES = 65536
"""What may come behind a head, such as a body or further requests, before the connection is cut off."""

METHODS = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"

# Repeated, so that no cache and no browser makes more of an answer than it is.
_ALWAYS = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
_CONTROLS = re.compile(r"[\0\r\n]")
_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) (\S+) HTTP/(\d)\.\d")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What was asked for.

    Attributes:
        method: GET or HEAD, once it reaches a page.
        path: Without the query.
        query: Behind the "?".
        headers: By lower-case name.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What is answered.

    Attributes:
        status: Of HTTP.
        body: Left out for HEAD, which hears its length.
        headers: Beside length and those that every answer has.
    """

    status: HTTPStatus
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": TEXT})


Page = Callable[[Request], Response]


def say(status: HTTPStatus, sentence: str = "", **headers: str) -> Response:
    """Answer with a line of text; without one, with the status's own name."""
    text = f"{sentence or status.phrase.lower()}\n"
    return Response(status=status, body=text.encode(), headers={"Content-Type": TEXT, **headers})


class HttpListener:
    """Serves pages from a thread of its own, whatever the rest of the process does.

    Args:
        where: Listening, so that nothing is left to fail in the thread; closed with this.
        pages: By path; called in that thread, and short.
        name: Of the thread.
        every: Seconds, and what to do in that thread so often; None for nothing.
    """

    def __init__(
        self,
        where: socket.socket,
        pages: Mapping[str, Page],
        *,
        name: str,
        every: tuple[float, Callable[[], None]] | None = None,
    ) -> None:
        self._socket = where
        self._pages = pages
        self._every = every
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._exchanges: dict[_Exchange, None] = {}  # in the order of coming
        self._thread = Thread(target=self._run, name=f"clipwarden-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and cut off whoever is connected; returns once the thread has ended."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def answer(self, head: bytes) -> bytes:
        """Answer a request, given without the empty line at its end."""
        request = _parse(head)
        response = request if isinstance(request, Response) else self._respond(request)
        lines = {**response.headers, "Content-Length": str(len(response.body))}
        named = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        status = f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\n"
        body = b"" if isinstance(request, Request) and request.method == "HEAD" else response.body
        return f"{status}{named}{_ALWAYS}\r\n".encode("latin-1") + body

    def enter(self, exchange: "_Exchange") -> None:
        """Give a connection a place; if need be, that of another."""
        if len(self._exchanges) >= MAX_CONNECTIONS:
            counts = Counter(each.address for each in self._exchanges)
            most = max(counts.values())
            oldest = next(each for each in self._exchanges if counts[each.address] == most)
            oldest.cut_off()
            self.leave(oldest)
        self._exchanges[exchange] = None

    def leave(self, exchange: "_Exchange") -> None:
        """Take a connection's place back."""
        self._exchanges.pop(exchange, None)

    def _respond(self, request: Request) -> Response:
        page = self._pages.get(request.path)
        if page is None:
            return say(HTTPStatus.NOT_FOUND, f"not found; here are {', '.join(self._pages)}")
        if request.method not in METHODS:
            return say(HTTPStatus.METHOD_NOT_ALLOWED, Allow=", ".join(METHODS))
        try:
            return page(request)
        except Exception:  # a fault of ours: the next one who asks may be answered
            log.exception("a page could not be made", extra={"path": request.path})
            return say(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await self._loop.create_server(lambda: _Exchange(self, self._loop), sock=self._socket)
        self._loop.call_soon(self._again)
        await self._closing.wait()
        server.close()
        for exchange in list(self._exchanges):
            exchange.cut_off()
        await asyncio.sleep(0)  # those cut off hear of it

    def _again(self) -> None:
        if self._every is not None:
            seconds, do = self._every
            self._loop.call_later(seconds, self._again)
            do()  # where it fails, asyncio logs that, and the next time comes all the same


class _Exchange(asyncio.Protocol):
    """One connection: a head, an answer, the end."""

    def __init__(self, listener: HttpListener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._head = bytearray()
        self._rest = 0
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.address = _address(transport.get_extra_info("peername"))
        self._end = self._loop.call_later(LIFE_SECONDS, self.cut_off)
        self._listener.enter(self)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            # Read, since what lies unread when we close would take the answer with it.
            self._rest += len(data)
            if self._rest > MAX_REST_BYTES:
                self.cut_off()
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end >= 0 or len(self._head) > MAX_HEAD_BYTES:
            self._answered = True
            self._transport.write(self._listener.answer(bytes(self._head[:end] if end >= 0 else self._head)))
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def eof_received(self) -> None:
        """Let the transport close, once the answer is on its way."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        self._end.cancel()
        self._listener.leave(self)

    def cut_off(self) -> None:
        """End it here and now."""
        self._transport.abort()


def _address(peer: tuple[str, int] | tuple[str, int, int, int] | None) -> str:
    """Name who is at the other end: an address, or of IPv6 the network of 64 bits, which one host may have whole."""
    host = peer[0].partition("%")[0] if peer else ""
    if ":" not in host or "." in host:  # IPv4, mapped or not
        return host
    return socket.inet_pton(socket.AF_INET6, host)[:8].hex()


def _parse(head: bytes) -> Request | Response:
    if len(head) > MAX_HEAD_BYTES:
        return say(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    line, *rest = head.decode("latin-1").split("\r\n")
    found = _REQUEST_LINE.fullmatch(line)
    if not found or any(_CONTROLS.search(header) for header in rest):
        return say(HTTPStatus.BAD_REQUEST)
    if found[3] != "1":
        return say(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    path, _, query = found[2].partition("?")
    named = (header.partition(":") for header in rest)
    headers = {name.strip().lower(): value.strip() for name, _, value in named}
    return Request(method=found[1], path=path, query=query, headers=headers)
