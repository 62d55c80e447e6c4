"""A store's folder while it is written: one writer at a time, and parts that are there whole or not at all."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipwarden.errors import StoreError
from clipwarden.textfiles.atomic import write_atomically
from clipwarden.tuning.store.columns import Kind
from clipwarden.tuning.store.names import PREFIX, part_name
from clipwarden.tuning.store.storefile import STORE_NAME, unreadable

LOCK_NAME = ".lock"
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems without locks answer. Two writers there may embed a picture twice, which does no harm, and note an
upload twice, which does; nothing else can go wrong, since each writes parts of its own."""


@contextmanager
def writing_to(store: Path) -> Iterator[None]:
    """Be the only writer of a store inside the block; what an earlier one left unfinished goes.

    Args:
        store: Its folder, which is made if there is none; an empty one may become a store.

    Raises:
        StoreError: Somebody else writes into it, it holds other files, or it cannot be written.
    """
    made = _make_folder(store)
    try:
        with (store / LOCK_NAME).open("a+") as lock:
            _lock(store, lock.fileno())
            for kind in Kind:
                (store / kind).mkdir(exist_ok=True)
                for unfinished in (store / kind).glob(f".{PREFIX}*"):
                    unfinished.unlink()
            try:
                yield
            finally:
                if not (store / STORE_NAME).exists():
                    _remove_empty(store, itself=made)
    except OSError as exc:
        raise StoreError(f"{exc.filename or store} cannot be written: {exc.strerror or exc}.") from exc


def write_part(store: Path, kind: Kind, data: bytes) -> str:
    """Write a part, named by what it holds.

    Returns:
        Its name.

    Raises:
        OSError: It cannot be written; nothing is left of it.
    """
    name = part_name(data)
    write_atomically(store / kind / name, data)
    sync_folder(store / kind)
    return name


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(store: Path) -> bool:
    """Make a folder, or find one that is a store or may become one; tells whether it was made."""
    try:
        store.mkdir()
    except FileExistsError:
        pass
    except FileNotFoundError as exc:
        raise StoreError(f"There is no folder {store.parent} to make a store in.") from exc
    except OSError as exc:
        raise StoreError(f"{store} cannot be made: {exc.strerror or exc}.") from exc
    else:
        return True
    try:
        others = [name for name in os.listdir(store) if name[0] != "." and name not in set(Kind)]  # noqa: PTH208  names
    except OSError as exc:
        raise unreadable(store, exc) from exc
    if others and STORE_NAME not in others:
        raise StoreError(f"{store} is no store, and holds other files; name a new folder, or an empty one.")
    return False


def _lock(store: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise StoreError(f"Another clipwarden writes into {store}; wait until it has ended, and try again.") from exc
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise


def _remove_empty(store: Path, *, itself: bool) -> None:
    """Leave nothing behind where nothing was written."""
    with suppress(OSError):
        for kind in Kind:
            (store / kind).rmdir()
        (store / LOCK_NAME).unlink()
        if itself:
            store.rmdir()
