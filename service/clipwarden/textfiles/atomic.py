"""Write a file so that readers see the old one or the new one, never half of either."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links answer, such as FAT and some network shares."""


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace a file in one step, also across a crash.

    Args:
        path: Its folder must exist.
        data: The new content.
        mode: Permission bits; None leaves them to the umask.

    Raises:
        OSError: The folder is missing, full or not writable; the old file is untouched then.
    """
    with _staged(path, data, mode) as staging:
        staging.replace(path)


def write_new(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file that must not be there yet, in one step, also beside another writer.

    Args:
        path: Its folder must exist.
        data: The content.
        mode: Permission bits; None leaves them to the umask.

    Raises:
        FileExistsError: Something is there, be it a link that leads nowhere; it is untouched.
        OSError: The folder is missing, full or not writable.
    """
    with _staged(path, data, mode) as staging:
        try:
            path.hardlink_to(staging)
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            _copy_new(staging, path)
        staging.unlink()


def _copy_new(staging: Path, path: Path) -> None:
    """Write over nothing, though not in one step."""
    with path.open("xb") as file:
        try:
            file.write(staging.read_bytes())
            path.chmod(staging.stat().st_mode)
        except BaseException:
            path.unlink()
            raise


@contextmanager
def _staged(path: Path, data: bytes, mode: int | None) -> Iterator[Path]:
    """Write beside the target, since renames and links stay within one file system; what fails leaves nothing."""
    staging = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with staging.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield staging
    except BaseException:
        with contextlib.suppress(OSError):
            staging.unlink()
        raise
