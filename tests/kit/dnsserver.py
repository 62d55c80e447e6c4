"""A DNS server on loopback that knows one name: stands in for a cluster's, which tells where a Service's pods are."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

A_RECORD, HEADER = 1, 12


class Names(asyncio.DatagramProtocol):
    """Answers every question for addresses with those that there are at that moment.

    Attributes:
        addresses: IPv4, in the order in which they are told.
        asked: Questions for them so far.
        target: What a client of gRPC calls, but for the port at its end.
    """

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked = 0
        self.target = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        host, port = transport.get_extra_info("sockname")
        self.target = f"dns://{host}:{port}/pods.test"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer (RFC 1035): the question again, then a record of no lasting for each address."""
        name_end = data.index(b"\0", HEADER) + 1
        question = data[HEADER : name_end + 4]
        wanted = int.from_bytes(data[name_end : name_end + 2]) == A_RECORD
        self.asked += wanted
        told = self.addresses if wanted else []
        counts = b"\0\1" + len(told).to_bytes(2) + b"\0\0\0\0"
        record = b"\xc0\x0c" + b"\0\1\0\1" + b"\0\0\0\0" + b"\0\4"  # the name at byte 12, A, IN, for 0 s, 4 bytes
        answers = b"".join(record + ipaddress.IPv4Address(address).packed for address in told)
        self._transport.sendto(data[:2] + b"\x84\0" + counts + question + answers, addr)


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[Names]:
    """Tell these addresses of `pods.test`, until others are set.

    Args:
        addresses: IPv4 of loopback.
    """
    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(lambda: Names(list(addresses)), local_addr=("127.0.0.1", 0))
    try:
        yield names
    finally:
        transport.close()
