"""Parts in, the names that say what they hold out; and whether a file still holds what its name says.

A name has a hash of the whole file, and one of its end, where Parquet keeps what all else is read by: opening a part
reads that alone, and a damaged end can end the process that parses it, whatever it catches (pyarrow 26). Pages have
checksums of their own.
"""

import re
from hashlib import file_digest, sha256
from pathlib import Path

from clipwarden.errors import StoreError

SUFFIX = ".parquet"
PREFIX = "part-"

_WHOLE_DIGITS = 32
"""128 bits, so that no two parts share a name by chance."""
_END_DIGITS = 16
_NAMED = re.compile(rf"{PREFIX}([0-9a-f]{{{_WHOLE_DIGITS}}})-([0-9a-f]{{{_END_DIGITS}}}){re.escape(SUFFIX)}").fullmatch
_TAIL_BYTES = 8
_MAGIC = b"PAR1"
_MOST_END_BYTES = 2**26


def part_name(data: bytes) -> str:
    """Name a part by what it holds."""
    end = sha256(data[-_end_bytes(data[-_TAIL_BYTES:]) :]).hexdigest()[:_END_DIGITS]
    return f"{PREFIX}{sha256(data).hexdigest()[:_WHOLE_DIGITS]}-{end}{SUFFIX}"


def is_part_name(name: str) -> bool:
    """Tell whether a file is called as parts are."""
    return _NAMED(name) is not None


def require_end(path: Path) -> None:
    """Refuse a part whose end is not what its name says.

    Raises:
        StoreError: It was cut or changed.
        OSError: It cannot be read.
    """
    named = _NAMED(path.name)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        length = _end_bytes(file.read(_TAIL_BYTES))
        file.seek(max(0, size - length))
        end = file.read(length) if _TAIL_BYTES <= length <= _MOST_END_BYTES else b""
    if named is None or sha256(end).hexdigest()[:_END_DIGITS] != named[2]:
        raise _changed(path)


def require_whole(path: Path) -> None:
    """Refuse a part that is not what its name says, for which all of it is read; raises as `require_end`."""
    named = _NAMED(path.name)
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()[:_WHOLE_DIGITS]
    if named is None or found != named[1]:
        raise _changed(path)


def _end_bytes(tail: bytes) -> int:
    """Read how long the end is, by the last bytes of a Parquet file; 0 where they are none."""
    if len(tail) != _TAIL_BYTES or tail[-4:] != _MAGIC:
        return 0
    return int.from_bytes(tail[:4], "little") + _TAIL_BYTES


def _changed(path: Path) -> StoreError:
    return StoreError(f"{path} is not what its name says: it was cut or changed. Embed its pictures again without it.")
