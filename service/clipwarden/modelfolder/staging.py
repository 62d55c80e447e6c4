"""A destination in, a hidden folder beside it out, which only its maker can load and a later maker clears away.

A rename publishes a folder, so until then the finished files lie under another name, `.NAME.unfinished.*`. If the
process is killed there, nothing of ours runs any more: what is left must not load, and must not stay for ever.
"""

import ctypes
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from clipwarden.errors import ModelError

_MARK = ".unfinished."
# linux/fs.h and fcntl.h
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
# Folders that this process is filling. Other processes know an unfinished folder by its name alone.
_OWN: set[Path] = set()


@contextmanager
def unfinished_folder(destination: Path) -> Iterator[Path]:
    """Lend a hidden folder beside a destination; whatever lies under its name at the end is removed.

    Folders that killed processes left for the same destination are removed first: their locks died with them.

    Args:
        destination: Absolute, links resolved; its parent must exist.

    Yields:
        The folder, empty.

    Raises:
        OSError: The parent is missing or not writable.
    """
    # Locked, so that nobody clears a folder between its making and its locking; one within a folder of ours is ours.
    with nullcontext() if destination.parent in _OWN else _locked(destination.parent):
        _clear_abandoned(destination)
        folder = Path(tempfile.mkdtemp(prefix=f".{destination.name}{_MARK}", dir=destination.parent))
        _OWN.add(folder)
        descriptor = os.open(folder, os.O_RDONLY)
        _lock(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)
        _OWN.discard(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    with suppress(OSError):  # some network file systems have no locks; then nothing is cleared there either
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def require_finished(folder: Path) -> None:
    """Refuse a folder that was never published, unless this process is just filling it.

    Args:
        folder: A model folder.

    Raises:
        ModelError: It is what a killed export left, or another process is still writing it.
    """
    resolved = folder.resolve()
    if any(_is_unfinished(each) for each in (resolved, *resolved.parents)):
        raise ModelError(f"{folder} was never published: its export is still running, or was stopped; export it again.")


def _is_unfinished(folder: Path) -> bool:
    return folder.name.startswith(".") and _MARK in folder.name and folder not in _OWN


def put_in_place(folder: Path, destination: Path) -> None:
    """Give an unfinished folder its final name, in one step.

    Args:
        folder: Finished.
        destination: Where; what lies there is removed. On file systems that cannot exchange two names (Linux can since
            3.15, on most of them) the old folder steps aside first, under `.NAME.old.*`.
    """
    if not destination.exists():
        folder.rename(destination)
    elif _exchange(folder, destination):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        aside = Path(tempfile.mkdtemp(prefix=f".{destination.name}.old.", dir=destination.parent))
        destination.rename(aside / destination.name)
        folder.rename(destination)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(left: Path, right: Path) -> bool:
    """Swap the names of two folders; False where libc, kernel or file system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right), _RENAME_EXCHANGE) == 0)


def _clear_abandoned(destination: Path) -> None:
    name = re.compile(
        rf"\.{re.escape(destination.name)}{re.escape(_MARK)}[^.]+"
    )  # never another name's, with our mark in it
    for left in [each for each in destination.parent.iterdir() if name.fullmatch(each.name)]:
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)
