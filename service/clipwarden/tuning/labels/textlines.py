"""A text file of unknown encoding and size in, its lines out; or LabelError."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from clipwarden.errors import LabelError, why_of

MOST_BYTES: Final = 256 * 2**20
"""Of a file: over a million rows of a canonical one. What is larger was not written by people."""
MOST_CHARACTERS: Final = 2**16
"""Of a line; one takes about 300."""
MOST_ROWS: Final = 1_000_000
"""Of all files; a row takes about a kilobyte while files are merged."""
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def check_size(path: Path) -> None:
    """Refuse what is too large to be labels, before any of it is read.

    Raises:
        LabelError: It is.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise LabelError(
            f"{path} has {size:,} bytes; a label file may have {MOST_BYTES:,}: split a set into several, and draw a "
            "smaller sample or walk with -n."
        )


def numbered_lines(path: Path, *, keep_ends: bool = False) -> Iterator[tuple[int, str]]:
    """Read a file line by line: UTF-8, or what its byte order mark says, with line ends of any system.

    Args:
        path: The file.
        keep_ends: Whether lines keep their ends as they are, as `csv` wants.

    Yields:
        Line numbers from 1, and lines.

    Raises:
        LabelError: It is no text, or has too long a line.
    """
    with _opened(path, newline="" if keep_ends else None) as file:
        number = 0
        while line := file.readline(MOST_CHARACTERS + 1):
            number += 1
            if len(line) > MOST_CHARACTERS:
                raise LabelError(f"{path}:{number}: the line has more than {MOST_CHARACTERS:,} characters.")
            _require_text(path, number, line)
            yield number, line if keep_ends else line.rstrip("\n")


@contextmanager
def _opened(path: Path, newline: str | None) -> Iterator[IO[str]]:
    try:
        check_size(path)
        with path.open("rb") as file:
            start = file.read(4)
        encoding = next((name for mark, name in _BOMS if start.startswith(mark)), "utf-8")
        # Decoders read ahead: of what is no UTF-8, the line is found where it stands.
        errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        with path.open(encoding=encoding, errors=errors, newline=newline) as text:
            yield text
    except UnicodeError as exc:
        raise LabelError(
            f"{path} is no whole text in the encoding that its first bytes name; save it as UTF-8."
        ) from exc
    except OSError as exc:
        raise LabelError(f"{path} cannot be read: {why_of(exc)}.") from exc


def _require_text(path: Path, number: int, line: str) -> None:
    if "\0" in line:
        raise LabelError(f"{path}:{number}: there are zero bytes, so it is no text in UTF-8; save it as UTF-8.")
    if line.isascii():
        return
    try:
        line.encode()
    except UnicodeEncodeError as exc:
        raise LabelError(f'{path}:{number}: it is not UTF-8; save it as "CSV UTF-8", or as UTF-8 text.') from exc
