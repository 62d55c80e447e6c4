"""File and folder names in, the images they stand for out; reading stays bounded whatever a file's size."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipwarden.errors import ConfigError

STDIN = "-"

MAX_STDIN_BYTES = 256 * 2**20
"""Bounds what a wrong pipe can make us hold; far above any limit on images."""

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .avifs".split()  # noqa: SIM905  reads better
)
"""What is taken for an image inside a folder. A file that is named itself is judged whatever its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One image to judge.

    Attributes:
        name: As the user wrote it, or below the folder the user wrote.
        path: Where to read it; None for standard input.
        data: What standard input held.
    """

    name: str
    path: Path | None
    data: bytes = b""

    def read(self, *, limit: int) -> bytes:
        """Return the encoded image.

        Args:
            limit: Most bytes that can be judged; one more is read at most, enough to be found too large.

        Raises:
            OSError: The file cannot be read.
        """
        if self.path is None:
            return self.data
        with self.path.open("rb") as file:
            return file.read(limit + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What names stand for.

    Attributes:
        inputs: In the order of the names; a folder's files by name.
        folders_left_out: Folders inside the given ones that were not looked into.
    """

    inputs: tuple[Input, ...]
    folders_left_out: int


def find_inputs(names: Sequence[str], *, recursive: bool) -> Found:
    """Find the images that file and folder names stand for.

    Args:
        names: Files, folders, or `-` for standard input.
        recursive: Whether to look into folders inside folders.

    Raises:
        ConfigError: A name stands for nothing, or there is no image at all; before anything is judged.
    """
    inputs: list[Input] = []
    left_out = 0
    for name in dict.fromkeys(names):
        if name == STDIN:
            inputs.append(Input(name=STDIN, path=None, data=_read_stdin()))
        elif os.path.isdir(name):  # noqa: PTH112  Path would drop a leading ./ that the user wrote
            inputs.extend(_files_in(name, recursive=recursive))
            left_out += 0 if recursive else sum(entry.is_dir() for entry in _visible(name))
        elif os.path.exists(name):  # noqa: PTH110  as above
            inputs.append(Input(name=name, path=Path(name)))
        else:
            raise ConfigError(f"There is no file or folder {name}.")
    if not inputs:
        raise ConfigError(_no_images(names, left_out))
    return Found(inputs=tuple(inputs), folders_left_out=left_out)


def _read_stdin() -> bytes:
    # Read here, in the main thread, where Ctrl-C still ends a read that nothing arrives for.
    if _stdin_is_terminal():
        raise ConfigError("`-` reads an image from standard input, which is a terminal here; pipe a file into it.")
    return sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)


def _stdin_is_terminal() -> bool:
    return sys.stdin.isatty()


def _files_in(folder: str, *, recursive: bool) -> Iterator[Input]:
    for entry in _visible(folder):
        if entry.is_file():
            if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                yield Input(name=entry.path, path=Path(entry.path))
        # Links to folders are not followed: they may lead round in a circle.
        elif recursive and entry.is_dir(follow_symlinks=False):
            yield from _files_in(entry.path, recursive=True)


def _visible(folder: str) -> Iterable[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _no_images(names: Sequence[str], left_out: int) -> str:
    suffixes = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
    folders = "1 folder inside was" if left_out == 1 else f"{left_out} folders inside were"
    hint = f" {folders} not looked into; add --recursive." if left_out else ""
    return f"There are no images in {', '.join(names)} (looked for {suffixes}).{hint}"
