"""Lines in, a file that grows by them out: appended whole, through rotation, full disks and restarts.

Rotation. Before lines are written the path is looked at: where it names another file than the open one (logrotate
renamed it), or none, it is opened anew; where the file has become shorter than we left it (copytruncate), what follows
begins a new one. Nobody has to be told, and no signal is needed. Until the path can be opened, lines go on into the
file that was renamed, which is better than none, and `astray` says why: whoever rotates will pack or remove that file.
Into one that was removed nothing is written.

Half a line. A write may end within a line, on a full disk say. The rest of it is written first when there is room; if
by then another file lies at the path, the line is written there from its beginning, and the old one ends in half of it.
Where a process was killed within a line, the next one ends that with a newline first: no two lines become one.

Nothing is forced to the disk line by line: what a process has written survives its end, and what the kernel has not yet
put on the disk is lost with the machine, some 30 s at most on Linux. A file is forced there when it is left.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Protocol

from clipwarden.auditlog.lines import Place, place_of
from clipwarden.errors import why_of

MODE = 0o640
"""Of a file that we make, less the umask: its owner writes, whoever ships logs may be of its group."""
STANDARD_OUTPUT = "-"
LINES_A_WRITE = 64
"""Half a megabyte of lines with scores: few system calls, and a copy that is done at once."""
_TAIL_BYTES = 4 * 2**20
"""How far back the last line of a file is looked for; the line of a policy of thousands of texts is shorter."""


class Sink(Protocol):
    """Where lines go."""

    @property
    def last(self) -> Place | None:
        """Where the last line stands that was there before us."""

    @property
    def astray(self) -> str | None:
        """Why the path could not be opened when `renew` looked, and lines go on into the file that was there before."""

    @property
    def waiting(self) -> int:
        """Lines that were given and are not yet written whole."""

    def renew(self) -> bool:
        """Look whether lines are to go into another file from now on, and say so; raises OSError."""

    def write(self, lines: Iterable[bytes] = ()) -> int:
        """Take lines, and write all that there are; say how many bytes were. An OSError leaves the rest waiting."""

    def close(self) -> None:
        """Let go; raises OSError."""


class _Stream:
    """A descriptor, and the lines that wait for it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._begun = 0
        """How many bytes of the first line are written."""
        self.last: Place | None = None
        self.astray: str | None = None

    @property
    def waiting(self) -> int:
        """See `Sink`."""
        return len(self._lines)

    def renew(self) -> bool:
        """See `Sink`."""
        return False

    def write(self, lines: Iterable[bytes] = ()) -> int:
        """See `Sink`."""
        self._lines.extend(lines)
        total = 0
        while self._lines:
            some = b"".join(islice(self._lines, LINES_A_WRITE))
            written = os.write(self._descriptor, memoryview(some)[self._begun :])
            total += written
            self._take_off(written)
        return total

    def _take_off(self, written: int) -> None:
        self._begun += written
        while self._lines and self._begun >= len(self._lines[0]):
            self._begun -= len(self._lines.popleft())

    def close(self) -> None:
        """See `Sink`."""
        os.close(self._descriptor)


class AuditFile(_Stream):
    """A regular file at a path. Lives in one thread.

    Args:
        path: Its folder exists.

    Raises:
        OSError: It cannot be opened, or is no regular file; a link is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(_opened(path))
        self._end = self._resume()
        """Where the file ended when we had written last."""

    def renew(self) -> bool:
        """See `Sink`."""
        held = os.fstat(self._descriptor)
        there = self._there()
        self.astray = None
        if there is not None and (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
            return self._was_cut(held.st_size)
        try:
            found = _opened(self._path)
        except OSError as exc:
            if not held.st_nlink:
                raise
            self.astray = why_of(exc)
            return False
        old, self._descriptor = self._descriptor, found
        with suppress(OSError):  # what is on a disk that fails is lost anyway
            os.fsync(old)
        os.close(old)
        self._begun, self._end = 0, self._resume()
        return True

    def write(self, lines: Iterable[bytes] = ()) -> int:
        """See `Sink`."""
        try:
            return super().write(lines)
        finally:
            self._end = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """See `Sink`."""
        try:
            os.fsync(self._descriptor)
        finally:
            super().close()

    def _there(self) -> os.stat_result | None:
        try:
            return os.lstat(self._path)
        except OSError:
            return None

    def _was_cut(self, size: int) -> bool:
        if size >= self._end:
            return False
        self._begun, self._end = 0, size
        return True

    def _resume(self) -> int:
        """Find the last line that is there, and end it if it was torn; say where the file ends."""
        size = os.fstat(self._descriptor).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = os.pread(self._descriptor, size - start, start)
        whole, newline, torn = tail.rpartition(b"\n")
        if newline:
            self.last = place_of(whole.rpartition(b"\n")[2])
        if torn:
            with suppress(OSError):  # a full disk: whoever reads finds one torn line more
                size += os.write(self._descriptor, b"\n")
        return size


def open_sink(where: str) -> Sink:
    """Open what a setting names: a path, or `-` for standard output.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    return _Stream(os.dup(1)) if where == STANDARD_OUTPUT else AuditFile(Path(where))


def try_sink(where: str) -> None:
    """See whether what a setting names could be opened, without making it; as far as can be told.

    Raises:
        OSError: It could not.
    """
    if where == STANDARD_OUTPUT:
        return
    try:
        os.close(_opened(Path(where), create=0))
    except FileNotFoundError:
        folder = Path(where).absolute().parent
        folder.stat()
        if not _may_make_files(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def unfollowed_folder(where: str) -> Path | None:
    """Find the folder of what a setting names, if this process may not make the next file in it; None otherwise."""
    folder = Path(where).absolute().parent
    return None if where == STANDARD_OUTPUT or _may_make_files(folder) else folder


def _may_make_files(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _opened(path: Path, *, create: int = os.O_CREAT) -> int:
    # A link is refused, since whoever may place one would choose which file of ours grows; and nothing is waited for.
    flags = os.O_RDWR | os.O_APPEND | create | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, MODE)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from exc
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return descriptor
