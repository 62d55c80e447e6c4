"""Paths of files that belong together in, what they hold now out; and anew whenever that changes, if it can be used.

Looked at once a second and by content: so a file that is written in place, one that is renamed over another, and
the swapped symlink of a Kubernetes Secret are all seen, on file systems that tell of nothing as well. What has changed
is used once two looks in a row have found the same, so that what is being written is left alone. What cannot be used
changes nothing: what was in use stays in use, and the log, the metrics and health say why. A file system that does not
answer is such a case. It is tried again at every look, since time alone may mend it: a certificate becomes valid.
"""

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Generic, Literal, TypeVar

from clipwarden.engine.threads import WorkThreads
from clipwarden.errors import ConfigError, EncoderError, why_of

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How often to look. It costs a few reads of some KB, in a thread."""
MOST_BYTES = 2**20
"""Largest file: a chain of certificates has some 10 KB, a thousand tokens have 100."""
READS = 8
"""How often files are read before they count as changing all the time."""

Contents = Mapping[str, bytes]
"""What files hold, by the name of the setting that names them."""
Outcome = Literal["loaded", "refused"]
OnOutcome = Callable[[str, Outcome, str | None], None]
"""Told what became of a change: the subject, how it ended, and a sentence where it was refused."""

log = logging.getLogger(__name__)


def read_together(paths: Mapping[str, str]) -> Contents:
    """Read files of one generation: all of them before a change, or all of them after it.

    Args:
        paths: By the name of the setting.

    Returns:
        What they hold, by the same names.

    Raises:
        ConfigError: One of them cannot be read, or they keep changing.
    """
    before = _read_all(paths)
    for _ in range(READS):
        now = _read_all(paths)
        if now == before:
            return now
        before = now
    raise ConfigError(f"{', '.join(paths)}: the files change while they are read.")


class SecretFiles(Generic[T]):
    """Files, and what was made of them last. Lives on one event loop; reads in a thread that is lent.

    Args:
        subject: What they are, in one word, for log, metrics and health.
        paths: By the name of the setting.
        make: Makes of their contents what is used, in a thread; raises ConfigError where that cannot be.
        on_outcome: Told what became of each change.

    Raises:
        ConfigError: The files cannot be used as they are now.
    """

    def __init__(
        self,
        subject: str,
        paths: Mapping[str, str],
        make: Callable[[Contents], T],
        *,
        on_outcome: OnOutcome = lambda *_: None,
    ) -> None:
        self.subject = subject
        self._paths = paths
        self._make = make
        self._on_outcome = on_outcome
        self._looking = asyncio.Lock()  # else what was read first could be the last to be put in use
        self._used = read_together(paths)
        self._settling: Contents | str | None = None
        self._refused: tuple[Contents | str, str] | None = None
        self.current: T = make(self._used)

    async def look(self, threads: WorkThreads, *, at_once: bool = False) -> bool:
        """Look whether the files have changed, and use them if so.

        Args:
            threads: Where they are read.
            at_once: Whether what has changed is used without a second look: somebody says that it is whole.

        Returns:
            Whether something else is in use now.
        """
        async with self._looking:
            try:
                return await self._look(threads, at_once=at_once)
            except Exception as exc:  # noqa: BLE001  whatever it is, who looks has to go on
                # No descriptor was free for a moment, say. Its words might hold what is secret.
                self._refuse("", f"a fault of ours ({type(exc).__name__}).", again=at_once)
                return False

    async def _look(self, threads: WorkThreads, *, at_once: bool) -> bool:
        found = await self._found(threads)
        if found == self._used and self._refused is None:
            self._settling = None
            return False
        if found != self._settling and not at_once:
            self._settling = found
            return False
        self._settling = found
        why_not = found if isinstance(found, str) else await self._use(found, threads)
        if why_not:
            self._refuse(found, why_not, again=at_once)
        return why_not is None

    async def _found(self, threads: WorkThreads) -> Contents | str:
        try:
            return (await threads.run(self._read)).value
        except EncoderError:  # as threads say that they are stuck
            return "the file system that they are on does not answer."

    async def _use(self, found: Contents, threads: WorkThreads) -> str | None:
        """Put what is made of contents in use, or say why that cannot be."""
        try:
            self.current = (await threads.run(partial(self._make, found))).value
        except ConfigError as exc:
            return str(exc)
        self._used, self._settling, self._refused = found, None, None
        log.info("loaded new %s", self.subject, extra={"subject": self.subject})
        self._on_outcome(self.subject, "loaded", None)
        return None

    def _refuse(self, found: Contents | str, why_not: str, *, again: bool) -> None:
        """Say why the old stays: once for the same contents, unless it is asked for again."""
        if self._refused == (found, why_not) and not again:
            return
        self._refused = found, why_not
        log.error("kept the %s in use: %s", self.subject, why_not, extra={"subject": self.subject})
        self._on_outcome(self.subject, "refused", f"New {self.subject} cannot be used; the old stays: {why_not}")

    def _read(self) -> Contents | str:
        """Read the files, or say why not: that is a state as well, to be told of once."""
        try:
            return read_together(self._paths)
        except ConfigError as exc:
            return str(exc)


def _read_all(paths: Mapping[str, str]) -> Contents:
    return {name: _read_one(name, Path(path)) for name, path in paths.items()}


def _read_one(name: str, path: Path) -> bytes:
    try:
        # A FIFO would have us wait for whoever writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read_regular(name, path, handle)
        finally:
            os.close(handle)
    except OSError as exc:
        raise ConfigError(f"{name}: {path}: {why_of(exc)}.") from exc


def _read_regular(name: str, path: Path, handle: int) -> bytes:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        kind = "a folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "no regular file"
        raise ConfigError(f"{name}: {path} is {kind}; name a file.")
    parts = list[bytes]()
    while part := os.read(handle, MOST_BYTES + 1):
        parts.append(part)
        if sum(map(len, parts)) > MOST_BYTES:
            raise ConfigError(f"{name}: {path} is larger than {MOST_BYTES // 2**20} MiB, which none of its kind is.")
    return b"".join(parts)
