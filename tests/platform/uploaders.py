"""Uploads of pictures, each another file, by a few who wait for their answers; what became of every one."""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException
from itertools import count

from PIL import Image, PngImagePlugin
from tests.platform.kit import ROOT

FOLDER = ROOT / "service" / "clipwarden" / "demo" / "images"
FINE, BLOCKED = FOLDER / "flag-for-norway.png", FOLDER / "beer-mug.png"
KEPT, NOT_TAKEN, COME_AGAIN, LOST = 201, 451, 503, 0
"""How an upload may end; the last without any answer."""

Post = Callable[[bytes], tuple[int, str]]


@dataclass(frozen=True)
class Upload:
    """What became of one.

    Attributes:
        digest: SHA-256 of its bytes, as the sidecar's log has it.
        status: Of HTTP, or LOST.
        expected: What it ends with where it is judged.
    """

    digest: str
    status: int
    expected: int


class Uploaders:
    """Several who upload one picture after another, each waiting for its answer.

    Args:
        post: Uploads.
        several: How many.
    """

    def __init__(self, post: Post, several: int = 4) -> None:
        self.several = several
        self.answers: list[Upload] = []
        self._post = post
        self._numbers = count()
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._upload, daemon=True) for _ in range(several)]
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Have nobody begin another upload."""
        self._leaving.set()

    def join(self) -> list[Upload]:
        """Wait for the last answers; all of them."""
        self.leave()
        for thread in self._threads:
            thread.join()
        return self.answers

    def _upload(self) -> None:
        while not self._leaving.is_set():
            number = next(self._numbers)
            file, expected = ((FINE, KEPT), (BLOCKED, NOT_TAKEN))[number % 2]
            picture = another(file.read_bytes(), str(number))
            try:
                status, _ = self._post(picture)
            except (OSError, HTTPException):
                status = LOST
            self.answers.append(Upload(sha256(picture).hexdigest(), status, expected))


def another(picture: bytes, note: str) -> bytes:
    """The same picture as other bytes, so that no embedding of it is kept yet."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", note)
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(out, "png", pnginfo=notes)
    return out.getvalue()
