"""A bearer token, or the file that holds it, in; the header that calls carry out. No text of ours ever repeats it."""

import os
import stat
from pathlib import Path
from typing import TypeAlias

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
Stamp: TypeAlias = tuple[int, int, int, int]

MAX_TOKEN_BYTES = 8192
"""What gRPC's servers take of metadata by default, all headers together."""

HEADER = "authorization"


class Token:
    """A token that never changes.

    Args:
        text: The token alone.

    Raises:
        ValueError: It is empty, or holds what no header can.
    """

    def __init__(self, text: str) -> None:
        self._metadata = _header(text, "token")

    def metadata(self) -> Metadata:
        """Give the header to send with the next call."""
        return self._metadata


class TokenFile(Token):
    """A token in a file that others may replace at any time: a look at the file's age before every call (2 us) tells.

    What cannot be read later leaves the token that was: a file that is being replaced is gone, empty or cut short for a
    moment. The server says so where it no longer holds. Safe to share between threads.

    Args:
        path: Of the file; white space around the token is no part of it.

    Raises:
        OSError: It cannot be read.
        ValueError: What it holds is no token.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._stamp, text = _read(self._path)
        self._metadata = _header(text, f"the file {self._path}")

    def metadata(self) -> Metadata:
        """Give the header to send with the next call, with the file's token of now."""
        try:
            found = self._path.stat()
            # Only a file is read again: a pipe has given all it had, and would keep us waiting.
            if stat.S_ISREG(found.st_mode) and _stamp(found) != self._stamp:
                stamp, text = _read(self._path)
                self._metadata = _header(text, str(self._path))
                self._stamp = stamp
        except (OSError, ValueError):
            pass
        return self._metadata


def make_token(token: str | None, token_file: str | os.PathLike[str] | None) -> Token | None:
    """Take a token, or the file that holds one, or neither.

    Raises:
        OSError: The file cannot be read.
        ValueError: Both are given, or what is given is no token.
    """
    if token is not None and token_file is not None:
        raise ValueError("token and token_file are both given; keep one of them")
    if token_file is not None:
        return TokenFile(token_file)
    return None if token is None else Token(token)


def _read(path: Path) -> tuple[Stamp, str]:
    with path.open("rb") as file:
        stamp = _stamp(os.fstat(file.fileno()))
        data = file.read(MAX_TOKEN_BYTES + 1)
    return stamp, data.decode("latin-1").strip()


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _header(token: str, where: str) -> Metadata:
    if token[:7].lower() == "bearer ":
        raise ValueError(f'{where} must hold the token alone, without the word "Bearer"')
    if not token:
        raise ValueError(f"{where} is empty; it must hold a token")
    if len(token) > MAX_TOKEN_BYTES:
        raise ValueError(f"{where} holds more than {MAX_TOKEN_BYTES:,} characters; that is no token")
    if not all("!" <= character <= "~" for character in token):
        raise ValueError(f"{where} must hold one token: ASCII without white space")
    return ((HEADER, f"Bearer {token}"),)
