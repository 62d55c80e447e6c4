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
        name: In their pictures, which are nobody else's.
        each: How many pictures each has; None goes on until told to leave.
    """

    several = 4

    def __init__(self, post: Post, name: str, *, each: int | None = None) -> None:
        self.answers: list[Upload] = []
        self._post = post
        self._name = name
        self._numbers = count()
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._upload, args=(each,), daemon=True) for _ in range(self.several)]
        for thread in self._threads:
            thread.start()

    def join(self) -> list[Upload]:
        """Have nobody begin another upload, and wait for the last answers; all of them."""
        self._leaving.set()
        return self.wait()

    def wait(self) -> list[Upload]:
        """Wait until each has uploaded all it has; all answers."""
        for thread in self._threads:
            thread.join()
        return self.answers

    def _upload(self, each: int | None) -> None:
        for _ in count() if each is None else range(each):
            if self._leaving.is_set():
                return
            self._upload_one(next(self._numbers))

    def _upload_one(self, number: int) -> None:
        file, expected = ((FINE, KEPT), (BLOCKED, NOT_TAKEN))[number % 2]
        picture = another(file.read_bytes(), f"{self._name} {number}")
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
