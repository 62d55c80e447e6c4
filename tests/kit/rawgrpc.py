"""A gRPC call written frame by frame, by a client that does what none should: announce and not send, ask and not read.

Only what such clients need of HTTP/2 (RFC 9113) and HPACK (RFC 7541): literal headers, no padding, one call each.
"""

import socket
import struct

_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_ACK, _END_HEADERS = 1, 4
_INITIAL_WINDOW_SIZE = 4
_STREAM = 1


class RawCall:
    """One connection with one call to a method of ours, of which nothing is ever read but what the handshake needs.

    Args:
        target: Path of a Unix socket, or HOST:PORT.
        method: Of ModerationService.
        window: Bytes of answers that may be sent to it before it reads; it never does.
        timeout: As gRPC writes it, such as "500m"; none without.
        source: Address to come from, such as 127.0.0.2, where the target is HOST:PORT.
    """

    def __init__(
        self, target: str, method: str, *, window: int = 65_535, timeout: str | None = None, source: str = ""
    ) -> None:
        host, _, port = target.rpartition(":")
        if host:
            self._socket = socket.create_connection((host, int(port)), source_address=(source, 0))
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(target)
        self._socket.settimeout(60)
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, window)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, settings))
        self._acknowledge_settings()
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": f"/clipwarden.v1.ModerationService/{method}",
            ":authority": "localhost",
            "te": "trailers",
            "content-type": "application/grpc",
        } | ({"grpc-timeout": timeout} if timeout else {})
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
        self._socket.sendall(_frame(_HEADERS, _END_HEADERS, _STREAM, block))

    def send(self, message: bytes, *, announced: int | None = None) -> None:
        """Send a message, or the beginning of one that was announced as longer; at most a frame (16 KiB)."""
        size = len(message) if announced is None else announced
        self._socket.sendall(_frame(_DATA, 0, _STREAM, struct.pack(">BI", 0, size) + message))

    def die(self) -> None:
        """End the connection, in the middle of whatever it was about."""
        self._socket.close()

    def _acknowledge_settings(self) -> None:
        while True:
            length, kind, flags, _ = struct.unpack(">3sBBI", self._read(9))
            self._read(int.from_bytes(length))
            if kind == _SETTINGS and not flags & _ACK:
                self._socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
                return

    def _read(self, size: int) -> bytes:
        data = self._socket.recv(size, socket.MSG_WAITALL) if size else b""
        assert len(data) == size, "the server closed the connection"
        return data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, stream) + payload


def _text(value: str) -> bytes:
    data = value.encode()
    assert len(data) < 127, "one byte of length"
    return bytes([len(data)]) + data
