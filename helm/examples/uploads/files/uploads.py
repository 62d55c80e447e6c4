"""Takes pictures over HTTP, and keeps those that clipwarden allows.

POST a picture to any path: 201 when it is kept, 202 when people look at it first, 451 when it is not taken, 400 when
nobody could judge it, 503 when it cannot be judged now and should come again.
"""

import os
import signal
import socket
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clipwarden.client import Client, ClientError, ImageRefusedError, ServerFile
from clipwarden.v1.moderation_pb2 import VERDICT_ALLOW, VERDICT_REVIEW

LARGEST_BYTES = 20 * 2**20
PIECE_BYTES = 64 * 2**10
INCOMING, KEPT, REVIEW = f"incoming/{socket.gethostname()}", "kept", "review"
"""Folders of the volume that the sidecar sees as well: only what is in the second may be shown to anybody. The first is
this pod's own, where the volume is a claim that several pods share."""


class Uploads(BaseHTTPRequestHandler):
    """Answers one connection; the client is shared by all of them."""

    timeout = 10  # seconds without a byte: who goes silent does not keep the pod from ending
    client: Client
    volume: Path
    verdict_seconds: float

    def do_GET(self) -> None:
        """Say that the service is there."""
        self._answer(200, "ok")

    def do_POST(self) -> None:
        """Have a picture judged before anybody sees it."""
        size = int(self.headers.get("Content-Length") or 0)
        if not 0 < size <= LARGEST_BYTES:
            self._answer(413, f"a picture of 1 to {LARGEST_BYTES} bytes, with its Content-Length")
            return
        file = self.volume / INCOMING / uuid.uuid4().hex
        try:
            answer = self._judge(file) if self._receive(file, size) else None
        finally:
            file.unlink(missing_ok=True)
        if answer:
            self._answer(*answer)

    def _receive(self, file: Path, size: int) -> bool:
        """Write a body to a file piece by piece, so that many at once fit; tell whether all of it came."""
        with file.open("wb") as incoming:
            while size and (piece := self.rfile.read(min(size, PIECE_BYTES))):
                incoming.write(piece)
                size -= len(piece)
        return size == 0

    def _judge(self, file: Path) -> tuple[int, str]:
        """Judge a file where it lies, and move it to where it belongs."""
        try:
            moderation = self.client.moderate(ServerFile(f"{INCOMING}/{file.name}"), timeout=self.verdict_seconds)
        except ImageRefusedError as error:
            return 400, str(error.reason)
        except ClientError as error:  # no verdict is no permission
            print(error, file=sys.stderr)
            return 503, "come again"
        if moderation.verdict == VERDICT_ALLOW:
            file.rename(self.volume / KEPT / file.name)
            return 201, "kept"
        if moderation.verdict == VERDICT_REVIEW:
            file.rename(self.volume / REVIEW / file.name)
            return 202, "people look at it first"
        return 451, ", ".join(moderation.decided_by)

    def _answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM, then finish what has begun: the sidecar is there until this process is gone."""
    os.umask(0o027)  # the sidecar reads as a member of the group, and nobody else does
    Uploads.volume = Path(os.environ["UPLOADS"])
    Uploads.verdict_seconds = float(os.environ.get("VERDICT_SECONDS", "5"))
    for name in (INCOMING, KEPT, REVIEW):
        (Uploads.volume / name).mkdir(parents=True, exist_ok=True)
    for file in (Uploads.volume / INCOMING).iterdir():
        file.unlink()  # of a process before this one that was killed: whoever sent it was told nothing
    server = ThreadingHTTPServer((os.environ.get("HOST", ""), int(os.environ["PORT"])), Uploads)
    server.daemon_threads = False  # closing waits for them
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with Client(os.environ["CLIPWARDEN_TARGET"]) as Uploads.client:
        print(f"listening on port {server.server_port}", flush=True)
        server.serve_forever()
        server.server_close()


if __name__ == "__main__":
    main()
