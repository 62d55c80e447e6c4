"""The small HTTP server of probes and metrics: what it answers, and what hostile clients may not do to others."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from threading import Event

import pytest

from clipwarden.serving import http
from clipwarden.serving.http import MAX_CONNECTIONS, MAX_HEAD_BYTES, HttpListener, Request, Response, say
from kit.serverprocess import talk


def page(request: Request) -> Response:
    return say(HTTPStatus.OK, f"{request.method} {request.query} {request.headers.get('accept', '-')}")


def broken(_: Request) -> Response:
    raise RuntimeError("broken by the test")


@pytest.fixture
def address() -> Iterator[str]:
    bound = socket.create_server(("127.0.0.1", 0))
    listener = HttpListener(bound, {"/page": page, "/broken": broken}, name="test")
    yield "{}:{}".format(*bound.getsockname())
    listener.close()


async def heard_until_the_end(reader: asyncio.StreamReader) -> bytes:
    """Read what comes until the connection ends, in order or not."""
    with suppress(ConnectionError):
        return await reader.read()
    return b""


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"GET /page HTTP/1.1\r\n\r\n", 200, b"GET  -\n"),
        (b"GET /page?a=b HTTP/1.0\r\nACCEPT:  text/plain \r\n\r\n", 200, b"GET a=b text/plain\n"),
        (b"HEAD /page HTTP/1.1\r\n\r\n", 200, b""),
        (b"GET / HTTP/1.1\r\n\r\n", 404, b"not found; here are /page, /broken\n"),
        (b"GET /page/ HTTP/1.1\r\n\r\n", 404, b"not found; here are /page, /broken\n"),
        (b"POST /page HTTP/1.1\r\n\r\n", 405, b"method not allowed\n"),
        (b"DELETE /nowhere HTTP/1.1\r\n\r\n", 404, b"not found; here are /page, /broken\n"),
        (b"GET /page HTTP/2.0\r\n\r\n", 505, b"http version not supported\n"),
        (b"GET /page\r\n\r\n", 400, b"bad request\n"),
        (b"\r\n\r\n", 400, b"bad request\n"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, b"bad request\n"),
        (b"GET /page HTTP/1.1\r\nAccept: a\nSet-Cookie: b\r\n\r\n", 400, b"bad request\n"),
        (b"GET /" + b"x" * MAX_HEAD_BYTES, 431, b"request header fields too large\n"),
        (b"GET /page HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", 431, b"request header fields too large\n"),
        (b"GET /broken HTTP/1.1\r\n\r\n", 500, b"internal server error\n"),
    ],
)
async def test_request_is_answered(address: str, request_: bytes, status: int, body: bytes) -> None:
    head, _, rest = (await talk(address, request_)).partition(b"\r\n\r\n")
    assert (int(head.split()[1]), rest) == (status, body)
    assert (b"Allow: GET, HEAD" in head) == (status == 405)
    assert (await talk(address, b"GET /page HTTP/1.1\r\n\r\n")).endswith(b"GET  -\n")


async def test_head_hears_the_length_that_get_would_have(address: str) -> None:
    assert b"Content-Length: 8\r\n" in await talk(address, b"HEAD /page HTTP/1.1\r\n\r\n")


async def test_request_may_come_a_byte_at_a_time(address: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for byte in b"GET /page HTTP/1.1\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.read()).endswith(b"GET  -\n")
    writer.close()


async def test_further_requests_and_bodies_take_nothing_from_the_answer(address: str) -> None:
    one = b"GET /page HTTP/1.1\r\n\r\n"
    assert (await talk(address, one * 100)).count(b"HTTP/1.1 200") == 1
    posted = b"POST /page HTTP/1.1\r\nContent-Length: 30000\r\n\r\n" + b"x" * 30000
    assert (await talk(address, posted)).startswith(b"HTTP/1.1 405")


async def test_who_sends_without_end_is_cut_off(address: str) -> None:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))

    async def send_without_end() -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await send_without_end()
    writer.close()


async def test_connections_that_say_nothing_are_let_go_in_time_however_they_dribble(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LIFE_SECONDS", 0.2)
    host, _, port = address.rpartition(":")
    silent = await asyncio.open_connection(host, int(port))
    dribbling = await asyncio.open_connection(host, int(port))

    async def dribble() -> None:
        while True:
            dribbling[1].write(b"x")
            await dribbling[1].drain()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(dribble())
    for reader, writer in (silent, dribbling):
        assert await heard_until_the_end(reader) == b""
        writer.close()
    task.cancel()


async def test_address_that_takes_all_places_drives_out_its_own(address: str) -> None:
    host, _, port = address.rpartition(":")

    async def silent() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, int(port))

    greedy = [await silent() for _ in range(2 * MAX_CONNECTIONS)]
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))
    writer.write(b"GET /page HTTP/1.1\r\n")  # and takes its time
    await writer.drain()
    assert (await talk(address, b"GET /page HTTP/1.1\r\n\r\n", local="127.0.0.3")).endswith(b"GET  -\n")
    greedy += [await silent() for _ in range(2 * MAX_CONNECTIONS)]
    assert (await talk(address, b"GET /page HTTP/1.1\r\n\r\n")).endswith(b"GET  -\n")
    writer.write(b"\r\n")
    assert (await reader.read()).endswith(b"GET  -\n")
    ended = [each for each, _ in greedy if each.at_eof() or each.exception()]
    assert len(greedy) - len(ended) <= MAX_CONNECTIONS
    for _, each in [*greedy, (reader, writer)]:
        each.close()


async def test_listener_that_closes_ends_its_connections() -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    listener = HttpListener(bound, {"/page": page}, name="test")
    reader, writer = await asyncio.open_connection(*bound.getsockname())
    address = "{}:{}".format(*bound.getsockname())
    assert (await talk(address, b"GET /page HTTP/1.1\r\n\r\n")).endswith(b"GET  -\n")  # the first is accepted by now
    listener.close()
    assert await heard_until_the_end(reader) == b""
    with pytest.raises(ConnectionError):
        await talk(address, b"")
    writer.close()


def test_what_is_done_again_and_again_goes_on_after_a_fault() -> None:
    done, thrice = list[int](), Event()

    def fail() -> None:
        done.append(1)
        if len(done) == 3:
            thrice.set()
        raise RuntimeError("broken by the test")

    listener = HttpListener(socket.create_server(("127.0.0.1", 0)), {}, name="test", every=(0.001, fail))
    assert thrice.wait(60)
    listener.close()


def test_listener_may_be_closed_before_its_thread_has_come_so_far() -> None:
    for _ in range(50):  # some of them while the thread begins
        bound = socket.create_server(("127.0.0.1", 0))
        HttpListener(bound, {"/page": page}, name="test").close()
        assert bound.fileno() == -1


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("10.0.0.1", 1), "10.0.0.1"),
        (("::ffff:10.0.0.1", 1, 0, 0), "::ffff:10.0.0.1"),
        (("2001:db8:0:1::7", 1, 0, 0), "20010db800000001"),
        (("2001:db8:0:1:ffff::8%eth0", 1, 0, 3), "20010db800000001"),
        (None, ""),
    ],
)
def test_host_with_a_network_of_its_own_is_one_address(peer: tuple[str, int] | None, address: str) -> None:
    assert http._address(peer) == address
