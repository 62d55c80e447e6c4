"""Paths of shared files in, their bytes out: read in threads of their own, within the bytes that images may take.

A file is looked at first, then read. Its bytes count in the caller's name from when a thread begins to read them until
its image is judged: what waits for a thread holds none, and a call that leaves while its file is being read does so
once that has ended. So a storage that hangs keeps no more than `THREADS` files' bytes. It keeps places of calls as
well; of these the calls that are after files have a quarter at most, and the others are for callers who send bytes.

Threads of their own, since one that reads from a hung storage does not come back: the thread that reads headers would
take everybody's images with it. When all of them are stuck, calls for files fail at once, and the others go on: that is
no reason to be NOT_SERVING.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from clipwarden.engine.admission import Admission, Ticket
from clipwarden.engine.pipeline import until
from clipwarden.engine.settings import Observer
from clipwarden.engine.terms import Terms
from clipwarden.engine.threads import Errand, ThreadStatistics, WorkThreads
from clipwarden.errors import EncoderError, OverloadedError, PathRefusedError, PathUnreadableError, RequestError
from clipwarden.serving.config import Settings
from clipwarden.serving.sharedfiles import SharedRoot, names_of
from clipwarden.vision.limits import too_large

T = TypeVar("T")

THREADS = 4
"""Files read at the same time: one thread reads what is in memory at gigabytes a second, a network's storage lets each
file wait for milliseconds."""
SHARE_OF_PLACES = 4
"""One place of so many is the most that calls waiting for files have."""
RETRY_SECONDS = 1.0
"""When to come again where too many wait for files: storage that is slow is so for a while."""

log = logging.getLogger(__name__)


class SharedFiles:
    """Reads files for callers. Lives on one event loop.

    Args:
        settings: Where files are, and whose calls may name them.
        admission: Counts the bytes.
        observer: Told how long a file took.
        on_refusal: Told of each call that is refused for want of a place.
        on_health: Told True or False whenever the storage begins or ceases to answer.
    """

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        observer: Observer,
        *,
        on_refusal: Callable[[], None] = lambda: None,
        on_health: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._observer = observer
        self._on_refusal = on_refusal
        self._most = max(1, settings.queue_items // SHARE_OF_PLACES)
        self._fetching = 0
        self._root: SharedRoot | None = None
        self._threads = WorkThreads("fetch", threads=THREADS, stall_seconds=settings.stall_seconds, on_health=on_health)

    @property
    def stuck(self) -> bool:
        """Whether some thread may never come back."""
        return self._threads.stuck

    def statistics(self) -> ThreadStatistics:
        """Describe the threads."""
        return self._threads.statistics()

    def open(self) -> None:
        """Open the root, if there is to be one.

        Raises:
            ConfigError: It cannot be.
        """
        if self._settings.path_root is not None:
            self._root = SharedRoot(Path(self._settings.path_root))

    def close(self) -> None:
        """Stop; calls that wait for files fail with ShuttingDownError."""
        self._threads.close()
        self._root = None

    @asynccontextmanager
    async def read(self, path: str, terms: Terms, *, local: bool) -> AsyncIterator[list[bytes]]:
        """Read a file, and count its bytes for as long as the block lasts.

        Args:
            path: As the caller sent it; untrusted.
            terms: Of its call.
            local: Whether it came by the Unix socket.

        Yields:
            The bytes, as the one item of a list: take them out, so that they go when nobody needs them any more.

        Raises:
            RequestError: Files are not read here, or this one is not.
            ImageError: The file is larger than images may be.
            OverloadedError: There is no room now.
            DeadlineError: The deadline passed.
            ShuttingDownError: This was closed.
        """
        root = self._require_root(local=local)
        names = names_of(path)
        started = time.perf_counter()
        fetch = _Fetch(root, names, terms, self._admission)
        try:
            with self._place():
                async with until(terms.deadline):
                    data = [await self._fetch(fetch)]
            self._observer.note_stage("fetch", time.perf_counter() - started)
            yield data
        finally:
            fetch.end()

    async def _fetch(self, fetch: "_Fetch") -> bytes:
        try:
            look = await self._threads.run(fetch.look, turn=Errand(terms=fetch.terms))
            if look.value > self._settings.max_image_bytes:
                raise too_large(self._settings.max_image_bytes)
            return (await self._threads.run(fetch.read, turn=fetch)).value
        except EncoderError as exc:
            raise PathUnreadableError("the file system that path_root is on does not answer") from exc

    def _require_root(self, *, local: bool) -> SharedRoot:
        if self._root is None:
            raise RequestError(
                "this server reads no files, since its path_root is not set; send the bytes of the file as image.data"
            )
        if not local and self._settings.path_callers == "unix":
            raise PathRefusedError(
                "this server reads files for callers by its Unix socket only (path_callers); send the bytes of the "
                "file as image.data"
            )
        return self._root

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._fetching >= self._most:
            self._on_refusal()
            message = f"{self._fetching} calls wait for files, and no more may (a quarter of queue_items)"
            raise OverloadedError(message, retry_after_seconds=RETRY_SECONDS)
        self._fetching += 1
        try:
            yield
        finally:
            self._fetching -= 1


class _Fetch:
    """One file on its way; as a turn, that of reading it once its size is known.

    The loop and one thread share `_reading` and `_left`: each sets its own before it looks at the other's, so that
    either the thread sees that nobody is left, or the loop that the thread is at work.
    """

    cost = 1.0

    def __init__(self, root: SharedRoot, names: Sequence[bytes], terms: Terms, admission: Admission) -> None:
        self.terms = terms
        self._root = root
        self._names = names
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._size = 0
        self._room: Ticket | None = None
        self._reading = False
        self._left = False

    def look(self) -> int:
        """Learn how large the file is; in a thread."""
        self._size = self._root.size_of(self._names)
        return self._size

    def wait(self) -> None:
        """Let it pass."""

    def leave(self) -> None:
        """Let it pass."""

    def start(self) -> None:
        """Take the room that the file needs, now that there is a thread to read it.

        Raises:
            OverloadedError: There is none.
        """
        self._room = self._admission.arrive(self.terms, size=self._size, sees=False, items=0)

    def read(self) -> bytes:
        """Read the file; in a thread."""
        self._reading = True
        try:
            return b"" if self._left else self._root.read(self._names, self._size)
        finally:
            with suppress(RuntimeError):  # the loop is gone when a stuck thread outlives the server
                self._loop.call_soon_threadsafe(self._come_back)

    def end(self) -> None:
        """Give the room back, now or once no thread reads into it any more."""
        self._left = True
        if not self._reading and self._room is not None:
            self._room.end()

    def _come_back(self) -> None:
        self._reading = False
        if self._left:
            self.end()
