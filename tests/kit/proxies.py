"""A real HTTP proxy that forwards CONNECT and keeps every byte that it was sent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VARIABLES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class RecordingProxy:
    """What came: connections, the CONNECT requests they began with, and all bytes from clients.

    Attributes:
        ways: Where it finds hosts that only it knows: HOST:PORT as it is asked for, to HOST:PORT here.
    """

    def __init__(self, listener: socket.socket, refusal: bytes | None) -> None:
        self._listener = listener
        self._refusal = refusal
        self._lock = threading.Lock()
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self.ways: dict[str, str] = {}
        self.connections = 0
        self.requests: list[bytes] = []
        self.received = bytearray()

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                self._keep(data)
                head += data
            self.requests.append(head)
            if self._refusal is not None:
                client.sendall(self._refusal)
                return
            asked = head.split()[1].decode()
            host, _, port = self.ways.get(asked, asked).rpartition(":")
            try:
                server = socket.create_connection((host.strip("[]"), int(port)))
            except OSError:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                return
            with server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
                self._pump(client, server, keep=True)

    def _pump(self, source: socket.socket, drain: socket.socket, *, keep: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    self._keep(data)
                drain.sendall(data)
        for end in (source, drain):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _keep(self, data: bytes) -> None:
        with self._lock:
            self.received += data


@contextmanager
def recording_proxy(refusal: bytes | None = None) -> Iterator[RecordingProxy]:
    """Run a proxy; `refusal` is what it answers instead of forwarding."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = RecordingProxy(listener, refusal)
        threading.Thread(target=proxy.run, daemon=True).start()
        yield proxy
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
