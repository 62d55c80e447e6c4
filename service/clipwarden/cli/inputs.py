"""File and folder names in, what there is to judge out, and what is left out; reading is bounded.

What a folder holds is told by content: a file is an image that begins like one, whatever its name. So that nothing is
passed over for a destroyed beginning, a file that is named like a picture or a video is tried as well. Looking is
reading: nothing but names is taken up here, and files are opened when their turn comes.
"""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, TypeAlias

from clipwarden.cli.leftovers import LeftOut, LeftOutReason
from clipwarden.errors import ConfigError, ImageError
from clipwarden.vision.formats.beginnings import begins_like_picture, is_apple_double
from clipwarden.vision.formats.foreign import BEGINNING_BYTES
from clipwarden.vision.formats.sniff import sniff_format
from clipwarden.vision.limits import DEFAULT_LIMITS, too_large

STDIN = "-"

PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .avifs .heic .heif .hif .jxl .svg .svgz "  # noqa: SIM905  reads better
    ".ico .cur .tga .psd .psb .xcf .jp2 .j2k .jpf .jpx .jxr .qoi .dds .exr .pcx .pbm .pgm .ppm .pnm .wmf .emf .icns "
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .orf .raf .rw2 .pef .srw .x3f "
    ".mp4 .m4v .mov .qt .3gp .3g2 .webm .mkv .avi .mpg .mpeg .m2ts .wmv .asf .flv .swf .ogv".split()
)
"""What promises a picture or a video: in a folder such a file is tried even where it begins like none, being damaged or
a stand-in for what was not fetched, as git-lfs leaves them. Endings that other files have as well, such as .ts, .mts,
.raw and .hdr, promise nothing."""

_SPECIAL = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """What may be an image to judge.

    Attributes:
        name: As the user wrote it, or below the folder the user wrote; where to read it, but for standard input.
        data: What standard input held; None for a file.
        named: Whether the user named it, so that it is judged whatever it holds.
        listed: Whether a list of the user's names it: likewise, if it is a regular file.
        aside: Why it is left out if it is an image; None where it is judged.
        is_link: Whether it was a link when it was found; what has become one since is not followed.
    """

    name: str
    data: bytes | None = None
    named: bool = False
    listed: bool = False
    aside: LeftOutReason | None = None
    is_link: bool = False

    def most_bytes(self, *, limit: int) -> int:
        """Return the most bytes that reading it will hold; blocks. What cannot be looked at says so when it is read."""
        if self.data is not None or self.aside is not None:
            return 0
        try:
            status = os.stat(self.name)  # noqa: PTH116  a text, as all here
        except OSError:
            return 0
        return min(status.st_size, limit) if stat.S_ISREG(status.st_mode) else limit + 1

    def read(self, *, limit: int) -> bytes | LeftOut:
        """Return the encoded image, or why there is none to judge; blocks.

        Args:
            limit: Most bytes that can be judged. Of a file that is larger only the beginning is read, of a pipe one
                byte more, enough to be found too large.

        Raises:
            ImageError: IMAGE_TOO_LARGE.
            OSError: The file cannot be read.
        """
        if self.data is not None:
            if len(self.data) > limit:
                raise too_large(limit)
            return self.data
        if self.aside is not None:
            return self._left_aside(self.aside)
        with open(self.name, "rb") if self.named else self._open() as file:  # noqa: PTH123  of any kind
            head = file.read(BEGINNING_BYTES)
            if not (self.named or self.listed or self._is_image(head)):
                return LeftOut(name=self.name, reason=LeftOutReason.NOT_AN_IMAGE, detail="" if head else "empty")
            try:
                return _read_whole(file, head, limit=limit)
            except ImageError:
                if sniff_format(head) is None:
                    # The beginning of a video has it refused as one; all of it would be called too large.
                    return head
                raise

    def _left_aside(self, reason: LeftOutReason) -> LeftOut:
        """Look whether it is an image that is left out, or what would be left out in any case."""
        try:
            with self._open() as file:
                head = file.read(BEGINNING_BYTES)
        except OSError as error:
            return LeftOut(name=self.name, reason=reason, detail=_said(error))
        return LeftOut(name=self.name, reason=reason if self._is_image(head) else LeftOutReason.NOT_AN_IMAGE)

    def _open(self) -> BinaryIO:
        """Open a file that was regular when it was found: what has become a pipe since must not keep us waiting."""
        flags = getattr(os, "O_NONBLOCK", 0) | (0 if self.is_link else getattr(os, "O_NOFOLLOW", 0))
        file = open(self.name, "rb", opener=lambda path, mode: os.open(path, mode | flags))  # noqa: SIM115  the caller closes it
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError("it is a file no longer")
        return file

    def _is_image(self, head: bytes) -> bool:
        # macOS writes its notes on a file beside it, under its name: `._photo.jpg`.
        promised = PurePath(self.name).suffix.lower() in PICTURE_SUFFIXES and not is_apple_double(head)
        return promised or begins_like_picture(head)


def _read_whole(file: BinaryIO, head: bytes, *, limit: int) -> bytes:
    """Read a file whose beginning was read; raises ImageError where it is too large."""
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode):
        if status.st_size > limit:
            raise too_large(limit)
        # To join it to the beginning would hold it twice.
        file.seek(0)
        head = b""
    data = head + file.read(max(0, limit + 1 - len(head)))
    if len(data) > limit:
        raise too_large(limit)
    return data


Item: TypeAlias = Input | LeftOut


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """How far to look inside folders.

    Attributes:
        recursive: Into folders inside folders.
        follow_links: To files and, with `recursive`, folders; each folder is looked into once.
        hidden: At what begins with a dot.
    """

    recursive: bool = False
    follow_links: bool = False
    hidden: bool = False


def find_items(names: Sequence[str], search: Search, *, limit: int = DEFAULT_LIMITS.max_image_bytes) -> Iterator[Item]:
    """Find what file and folder names stand for, in the order of the names; a folder's files by name.

    Args:
        names: Files, folders, or `-` for standard input.
        search: How far to look inside folders.
        limit: Most bytes that can be judged; of standard input, which is read here, one more is.

    Yields:
        What may be an image, and what is left out without a look into it.

    Raises:
        ConfigError: A name stands for nothing; before anything is found.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        if name != STDIN:
            _require(name)
    walk = _Walk(search, named=[name for name in names if name != STDIN])
    for name in names:
        if name == STDIN:
            yield Input(name=STDIN, data=_read_stdin(limit + 1))
        elif os.path.isdir(name):  # noqa: PTH112  Path would drop a leading ./ that the user wrote
            yield from walk.through(name)
        else:
            yield Input(name=name, named=True)


def _require(name: str) -> None:
    try:
        os.stat(name)  # noqa: PTH116  as above
    except (FileNotFoundError, NotADirectoryError) as error:
        links = " It is a link that leads nowhere." if os.path.islink(name) else ""  # noqa: PTH114  as above
        raise ConfigError(f"There is no file or folder {name}.{links}") from error
    except OSError:
        # Something is there, or may be; it fails again, with its reason, where files are read.
        return


def _read_stdin(most_bytes: int) -> bytes:
    # Read here, in the main thread, where Ctrl-C still ends a read that nothing arrives for.
    if _stdin_is_terminal():
        raise ConfigError("`-` reads an image from standard input, which is a terminal here; pipe a file into it.")
    return sys.stdin.buffer.read(most_bytes)


def _stdin_is_terminal() -> bool:
    return sys.stdin.isatty()


class _Walk:
    """A way through folders, without recursion: how deep folders lie is for whoever made them to say.

    Args:
        search: How far to look.
        named: What the user named, which is tried in its own place and passed over where it is found.
    """

    def __init__(self, search: Search, *, named: Sequence[str]) -> None:
        self._search = search
        self._named = {os.path.realpath(name) for name in named}
        self._named_last = {os.path.basename(path) for path in self._named}  # noqa: PTH119  as above
        self._seen: dict[tuple[int, int], str] = {}

    def through(self, folder: str) -> Iterator[Item]:
        """Yield what a folder holds, in the order of names; a folder inside in the place of its name."""
        open_folders = [iter(self._entries(folder))]
        while open_folders:
            for entry in open_folders[-1]:
                if isinstance(entry, LeftOut):
                    found: Item | str = entry
                elif self._is_named(entry):
                    yield from self._seen_before(entry.path)
                    continue
                else:
                    found = self._look(entry)
                if isinstance(found, str):
                    open_folders.append(iter(self._entries(found)))
                    break
                yield found
            else:
                open_folders.pop()

    def _entries(self, folder: str) -> Sequence[os.DirEntry[str] | LeftOut]:
        """List a folder; or say that it cannot be, or was before."""
        try:
            if seen := self._seen_before(folder):
                return seen
            self._seen[_identity(folder)] = folder
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            return [LeftOut(name=folder, reason=LeftOutReason.FOLDER_UNREADABLE, detail=_said(error))]

    def _seen_before(self, path: str) -> Sequence[LeftOut]:
        """Say of a folder that it was looked into; nothing of any other, and of files."""
        try:
            before = self._seen.get(_identity(path))
        except OSError:
            return []  # it fails again, with its reason, where it is listed
        found = LeftOut(name=path, reason=LeftOutReason.FOLDER_SEEN, detail=f"as {before}")
        return [found] if before is not None else []

    def _is_named(self, entry: os.DirEntry[str]) -> bool:
        # Asks the system only about what is called alike. What is named through a link is found under both names.
        alike = entry.name in self._named_last and not entry.is_symlink()
        return alike and os.path.realpath(entry.path) in self._named

    def _look(self, entry: os.DirEntry[str]) -> Item | str:
        """Return what an entry is; a folder to look into by its path."""
        name, search = entry.path, self._search
        aside = LeftOutReason.HIDDEN if entry.name.startswith(".") and not search.hidden else None
        is_link = entry.is_symlink()
        if is_link and not search.follow_links:
            aside = aside or LeftOutReason.LINK
        try:
            mode = _mode(entry)
        except OSError as error:
            if not is_link:
                # It vanished after it was listed, and fails again, with its reason, where files are read.
                return Input(name=name, aside=aside)
            reason = LeftOutReason.HIDDEN if aside == LeftOutReason.HIDDEN else LeftOutReason.LINK_BROKEN
            return LeftOut(name=name, reason=reason, detail=_said(error))
        if stat.S_ISREG(mode):
            return Input(name=name, aside=aside, is_link=is_link)
        if not stat.S_ISDIR(mode):
            return LeftOut(name=name, reason=LeftOutReason.SPECIAL_FILE, detail=_SPECIAL.get(stat.S_IFMT(mode), ""))
        if aside is None and not search.recursive:
            aside = LeftOutReason.FOLDER_INSIDE
        return name if aside is None else LeftOut(name=name, reason=aside)


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  a text, as all here
    return status.st_dev, status.st_ino


def _mode(entry: os.DirEntry[str]) -> int:
    """Return an entry's kind, as `stat` writes it; asks the system only where the folder's listing does not say."""
    if not entry.is_symlink():
        if entry.is_file():
            return stat.S_IFREG
        if entry.is_dir():
            return stat.S_IFDIR
    return entry.stat().st_mode


def _said(error: OSError) -> str:
    return error.strerror or str(error)
