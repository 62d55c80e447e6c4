"""A path below a root in, the bytes of the file there out, and never those of any other; blocks.

What is shared is written by others, who may change it at any moment, and be hostile. So:

- The root is opened once. What the path says is checked before any file is touched: whoever asks for `../x` learns
  nothing of `x`.
- From the root on each folder is opened by its one name in the folder before, without following a link. A name that
  is swapped for a link between two looks is refused like a link that always was one. openat2 with RESOLVE_BENEATH and
  RESOLVE_NO_SYMLINKS does the same in one call, but older kernels, and containers whose seccomp profile does not know
  it, lack it; the walk would then be needed as well, and whatever only one of two ways is tested for is not safe.
- What lies at the end is opened only if it is a regular file: looked at by a handle that opens nothing (O_PATH), and
  then opened by that handle, whatever has its name meanwhile. So a FIFO, a socket or a device is neither waited for nor
  woken. O_NONBLOCK also has a file that another program holds back by a lease fail, not wait.
- A file with a second name (a hard link) is refused: the other name may lie outside, where whoever shares the root
  could link what they may not read.
- As many bytes are read as were foreseen, and a file that has others by then is refused.

File systems mounted below the root belong to it: nobody but who runs the machine puts them there.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from weakref import finalize

from clipwarden.errors import ConfigError, PathNotFoundError, PathRefusedError, PathUnreadableError

MAX_PATH_BYTES = 1024
"""Longest path: what object stores allow for a key, and a quarter of Linux's PATH_MAX."""
MAX_NAME_BYTES = 255
"""Longest name between two slashes. Source: NAME_MAX of Linux."""

# O_PATH needs no right to list the folder, only to pass through; elsewhere than on Linux there is none.
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_NO_FILE = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EISDIR}
"""What opening says of something that is no file or folder: a link, a file where a folder should be, a socket."""

_KINDS: Mapping[Callable[[int], bool], str] = {
    stat.S_ISLNK: "a symbolic link",
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
}


def names_of(path: str) -> list[bytes]:
    """Split a path into the names of its folders and its file, without a look at any of them.

    Args:
        path: As a caller sent it; untrusted.

    Raises:
        PathRefusedError: It is no such path.
    """
    raw = path[: MAX_PATH_BYTES + 1].encode()  # a text has no fewer bytes than characters
    if not 1 <= len(raw) <= MAX_PATH_BYTES:
        raise PathRefusedError(f"shared_path must have 1 to {MAX_PATH_BYTES} bytes")
    if b"\0" in raw:
        raise PathRefusedError("shared_path must not hold a NUL")
    if raw.startswith(b"/"):
        raise PathRefusedError("shared_path must be relative to the server's path_root, without a / in front")
    names = raw.split(b"/")
    if b"" in names:
        raise PathRefusedError("shared_path must not end with a /, or have two of them side by side")
    if b".." in names or b"." in names:
        raise PathRefusedError('no part of shared_path may be ".." or "."')
    if max(map(len, names)) > MAX_NAME_BYTES:
        raise PathRefusedError(f"no part of shared_path may have more than {MAX_NAME_BYTES} bytes")
    return names


class SharedRoot:
    """A folder whose files are read for callers. Safe to use from several threads at once.

    It stays open for as long as anybody holds on to it, such as a thread that has not come back: the number of a closed
    folder may soon be that of another.

    Args:
        folder: Links on the way to it are followed, once; whatever has its name later is another folder.

    Raises:
        ConfigError: It cannot be opened, or is everything there is.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as exc:
            raise ConfigError(f"path_root: cannot open the folder {folder}: {_what(exc)}.") from exc
        finalize(self, os.close, self._root)
        if os.path.samestat(os.fstat(self._root), Path("/").stat()):
            raise ConfigError("path_root is /, which holds every file there is; name the folder that is shared.")
        if not os.access(".", os.X_OK, dir_fd=self._root, effective_ids=True):
            raise ConfigError(f"path_root: this user may not search the folder {folder}; give it the right (x).")

    def size_of(self, names: Sequence[bytes]) -> int:
        """Tell how many bytes a file has, without opening it.

        Args:
            names: From `names_of`.

        Raises:
            PathRefusedError: There is something that is not read.
            PathNotFoundError: There is nothing.
            PathUnreadableError: It cannot be reached.
        """
        with self._opened_folder(names) as folder, _our_errors():
            return _regular(os.stat(names[-1], dir_fd=folder, follow_symlinks=False)).st_size

    def read(self, names: Sequence[bytes], size: int) -> bytes:
        """Read a whole file.

        Args:
            names: From `names_of`.
            size: From `size_of`; no more is read, or held.

        Raises:
            PathRefusedError: There is something that is not read.
            PathNotFoundError: There is nothing.
            PathUnreadableError: It cannot be read, or has another size, or changed meanwhile.
        """
        with self._opened_folder(names) as folder, _our_errors(), _opened_file(names[-1], folder) as file:
            before = _regular(os.fstat(file))
            if before.st_size != size:
                raise _changed()
            data = _at_most(file, size)
            after = os.fstat(file)
            if len(data) != size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise _changed()
            return data

    @contextmanager
    def _opened_folder(self, names: Sequence[bytes]) -> Iterator[int]:
        """Walk to the folder that a file is in."""
        folder = self._root
        try:
            with _our_errors():
                for name in names[:-1]:
                    before, folder = folder, os.open(name, _FOLDER, dir_fd=folder)
                    if before != self._root:
                        os.close(before)
            yield folder
        finally:
            if folder != self._root:
                os.close(folder)


@contextmanager
def _opened(name: bytes, flags: int, folder: int | None) -> Iterator[int]:
    opened = os.open(name, flags, dir_fd=folder)
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _opened_file(name: bytes, folder: int) -> Iterator[int]:
    """Open a regular file, and nothing that takes its name meanwhile."""
    if sys.platform != "linux":
        with _opened(name, _FILE | os.O_NOFOLLOW, folder) as file:
            yield file
        return
    with _opened(name, os.O_PATH | os.O_NOFOLLOW, folder) as handle:
        _regular(os.fstat(handle))
        with _opened(b"/proc/self/fd/%d" % handle, _FILE, None) as file:
            yield file


def _regular(found: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for holds, name in _KINDS.items() if holds(found.st_mode)), "a device")
        raise PathRefusedError(f"shared_path names {kind}; only regular files are read")
    if found.st_nlink > 1:
        raise PathRefusedError("shared_path names a file with another name beside it (a hard link), which is not read")
    return found


def _at_most(file: int, size: int) -> bytes:
    data = os.read(file, size)
    if len(data) in {size, 0}:  # as a rule
        return data
    parts = [data]
    while (left := size - sum(map(len, parts))) and (part := os.read(file, left)):
        parts.append(part)
    return b"".join(parts)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise PathNotFoundError("there is no file at this path below path_root") from exc
    except OSError as exc:
        if exc.errno in _NO_FILE:
            raise PathRefusedError(
                "a part of shared_path is no folder or file of its own; symbolic links are not followed"
            ) from exc
        raise PathUnreadableError(f"the server cannot read this file: {_what(exc)}") from exc


def _changed() -> PathUnreadableError:
    return PathUnreadableError("the file changed while it was read; name it once it is whole")


def _what(exc: OSError) -> str:
    return (exc.strerror or type(exc).__name__).lower()
