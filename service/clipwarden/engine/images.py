"""Images as callers have them in: paths, bytes, open files; their bytes out, bounded whatever they hold."""

import os
from typing import Protocol, TypeAlias

Bytes: TypeAlias = bytes | bytearray | memoryview


class ReadableFile(Protocol):
    """A file that was opened for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes."""


ImageSource: TypeAlias = str | os.PathLike[str] | Bytes | ReadableFile
"""A text is a path, as everywhere in Python."""


def read_source(source: ImageSource, *, limit: int) -> bytes:
    """Read an image's encoded bytes; blocks.

    Args:
        source: Where they are.
        limit: Most bytes that can be judged; one more is read at most, enough to be found too large.

    Returns:
        The bytes.

    Raises:
        OSError: The path cannot be read, or is a folder.
        TypeError: It is none of the things that an image may be, or a file that was opened as text.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:  # noqa: PTH123  a path of any kind
            return file.read(limit + 1)
    if not hasattr(source, "read"):
        raise TypeError(f"an image is a path, bytes or a file opened for reading bytes, not {type(source).__name__}")
    data = source.read(limit + 1)
    if not isinstance(data, bytes):
        raise TypeError('the file gives text; open it with mode "rb"')
    return data


def require_several(images: object) -> None:
    """Refuse what can be iterated over and was not meant to be: the letters of a path, the numbers of bytes.

    Raises:
        TypeError: It is one image, or the path of a folder.
    """
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview):
        raise TypeError("several images are an iterable of images; for a folder, give Path(folder).iterdir()")


def name_of(source: ImageSource) -> str:
    """Name an image for people: its path, or what it is."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"
