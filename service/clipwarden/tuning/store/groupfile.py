"""Groups of near-duplicates beside the pictures that they are of, so that they are found once; or none, if unsound.

A file in the store's folder `groups/` has one line of JSON, then a number for each picture. It is taken only if it
says the same of what was grouped, and how, as whoever asks; if it is as long as that takes; if its checksum holds; and
if its numbers are what such numbers can be. Anything else is as if there were no file: groups are found anew, and
written over it. Whoever can write there can also change the vectors, so more than that is not proved.

What groups say is derived from pictures, so `forget` takes all of them out.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.textfiles.atomic import write_atomically
from clipwarden.tuning.store.folder import writing_to

GROUPS: Final = "groups"
"""The folder."""
_SCHEMA: Final = "clipwarden.groups/1"
_SUFFIX: Final = ".groups"
_MOST_HEAD: Final = 2**16
_MOST_FILES: Final = 4
"""Groupings that are kept: a policy may refuse files that end early, and then groups fewer pictures than another."""
_KIND: Final = np.dtype("<i4")

Groups = NDArray[np.intp]


def key_of(facts: Mapping[str, object]) -> str:
    """Name what was grouped, and how, by a digest."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_groups(store: Path, key: str, pictures: int) -> Groups | None:
    """Read what was written under a key.

    Args:
        store: Its folder.
        key: Of `key_of`.
        pictures: P, how many are grouped.

    Returns:
        intp `[P]`, numbers from 0 in the order in which groups first appear; None where there is no sound file.
    """
    try:
        data = _bytes(_path(store, key), _MOST_HEAD + _KIND.itemsize * pictures)
        line, _, body = data.partition(b"\n")
        head = json.loads(line)
    except (OSError, ValueError, RecursionError):
        return None
    if head != _head(key, pictures, body) or len(body) != _KIND.itemsize * pictures:
        return None
    number = np.frombuffer(body, _KIND).astype(np.intp)
    return number if _is_in_order(number) else None


def write_groups(store: Path, key: str, number: Groups, *, parts: Sequence[Path]) -> None:
    """Keep groups, or do not, where the folder cannot be written or the store was changed meanwhile.

    Args:
        store: Its folder.
        key: Of `key_of`.
        number: As `read_groups` returns it.
        parts: What the pictures were read from: if one is gone, somebody was forgotten since.
    """
    body = number.astype(_KIND).tobytes()
    line = json.dumps(_head(key, len(number), body)).encode()
    with suppress(OSError, StoreError), writing_to(store):
        if all(part.exists() for part in parts) and not _is_link(store / GROUPS):
            (store / GROUPS).mkdir(exist_ok=True)
            for path in _files(store)[_MOST_FILES - 1 :]:
                path.unlink()
            write_atomically(_path(store, key), line + b"\n" + body)


def forget_groups(store: Path) -> None:
    """Delete all of them.

    Raises:
        OSError: One cannot be deleted.
    """
    for path in _files(store):
        path.unlink()


def count_groupings(store: Path) -> int:
    """Count how many groupings are kept, sound or not."""
    try:
        return len(_files(store))
    except OSError:
        return 0


def _path(store: Path, key: str) -> Path:
    return store / GROUPS / f"{key}{_SUFFIX}"


def _files(store: Path) -> list[Path]:
    """List what is kept, also of a writer that was ended early, the newest first; a link is not followed."""
    folder = store / GROUPS
    if _is_link(folder) or not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if not path.is_dir()]
    return sorted(found, key=lambda path: path.lstat().st_mtime_ns, reverse=True)


def _is_link(folder: Path) -> bool:
    return folder.is_symlink()


def _bytes(path: Path, most: int) -> bytes:
    """Read a regular file of at most so many bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor
        held = os.fstat(descriptor)
        if _is_link(path.parent) or not stat.S_ISREG(held.st_mode) or held.st_size > most:
            raise ValueError("no file of groups")
        return file.read(most + 1)


def _head(key: str, pictures: int, body: bytes) -> dict[str, Any]:
    return {"groups": _SCHEMA, "key": key, "pictures": pictures, "sha256": sha256(body).hexdigest()}


def _is_in_order(number: Groups) -> bool:
    """Tell whether every number is at most one more than the greatest before it, and the first 0."""
    before = np.maximum.accumulate(np.concatenate([[-1], number[:-1]])) if len(number) else number
    return bool(((number >= 0) & (number <= before + 1)).all())
