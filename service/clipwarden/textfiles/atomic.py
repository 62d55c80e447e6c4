"""Write a file so that readers see the old one or the new one, never half of either."""

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step, also across a crash.

    Args:
        path: Its folder must exist.
        data: The new content.

    Raises:
        OSError: The folder is missing, full or not writable; the old file is untouched then.
    """
    # Beside the target, since a rename is atomic within one file system only; the umask decides who may read.
    staging = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with staging.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            staging.unlink()
        raise
