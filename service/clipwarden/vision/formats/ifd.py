"""TIFF directories (of TIFF files and of EXIF blocks) in; sizes, pages and ends out.

Pillow answers the same questions by loading every tag of every page, which a hostile file can make slow and large.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.structure import MAX_PROFILE_BYTES


class Tag(IntEnum):
    """The tags that are read (TIFF 6.0; EXIF 2.32 for the directories)."""

    IMAGE_WIDTH = 256
    IMAGE_LENGTH = 257
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    STRIP_BYTE_COUNTS = 279
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    RESOLUTION_UNIT = 296
    EXIF_DIRECTORY = 34665
    ICC_PROFILE = 34675
    GPS_DIRECTORY = 34853
    PIXEL_X_DIMENSION = 40962
    PIXEL_Y_DIMENSION = 40963
    INTEROPERABILITY_DIRECTORY = 40965


# A directory of as many as a header may visit is ten times larger than any real one.
MAX_ENTRIES = HEADER_BUDGET.entries
# A strip has at least one row; three planes of `DecodeLimits.max_side` rows are 98,304.
MAX_TILES = 100_000
_TABLES = ((Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS), (Tag.TILE_OFFSETS, Tag.TILE_BYTE_COUNTS))
_READ_TAGS = frozenset(Tag)
# Pillow loads these with a page, and from the EXIF directory the interoperability directory: a million tags in each of
# two took it 6 s. Classic TIFF counts to 65,535, which takes 0.2 s, so there a pointer that went stale may stay.
_SUBDIRECTORIES = (Tag.EXIF_DIRECTORY, Tag.GPS_DIRECTORY)
# Those three and the page's own.
DIRECTORIES_BUDGET = Budget(entries=4 * HEADER_BUDGET.entries, bytes=4 * HEADER_BUDGET.bytes)
# A directory, and the profile that one of its tags holds.
PROFILE_BUDGET = Budget(entries=HEADER_BUDGET.entries, bytes=HEADER_BUDGET.bytes + MAX_PROFILE_BYTES)
_BYTE_KINDS = (1, 7)
_LARGEST_BYTE = 255
# Bytes a value, by TIFF type number (TIFF 6.0, section 2; 13 and 16-18 from later supplements).
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_SHORT, _LONG = 3, 4
# Those that Pillow takes for offsets; nothing lies at a negative one, so signed types are read like the others.
_INTEGER_CODES = {_SHORT: "H", _LONG: "I", 6: "B", 8: "H", 9: "I", 13: "I", 16: "Q"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """How one file spells its directories: classic TIFF or BigTIFF, either byte order."""

    order: str
    first: int
    count_code: str
    entry_code: str
    offset_code: str

    @property
    def is_big(self) -> bool:
        return self.count_code.endswith("Q")

    @property
    def entry_size(self) -> int:
        return struct.calcsize(self.entry_code)

    def offset(self, value: bytes) -> int:
        """Where an entry's values are, when they do not fit into its value field."""
        return int.from_bytes(value, "little" if self.order == "<" else "big")


class Entry(NamedTuple):
    """One directory entry: how many values it claims, and its value field (4 bytes; 8 in BigTIFF).

    A tuple, because one reading of a hostile directory makes thousands.
    """

    tag: int
    kind: int
    length: int
    value: bytes

    @property
    def size(self) -> int:
        """Bytes that the values claim; 0 for an unknown type, which readers skip."""
        return self.length * _TYPE_SIZES.get(self.kind, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """What one reading of a directory shows.

    Attributes:
        layout: Of the file.
        entries: Those of `_READ_TAGS`, in the file's order; a hostile file may repeat a tag.
        claimed: How many entries the directory claims; at most `MAX_ENTRIES` are read.
        whole: False when the file ends inside the directory.
        outside: Bytes that all values together claim outside the directory.
        values_end: Offset just past the last of these.
    """

    layout: _Layout
    entries: list[Entry]
    claimed: int
    whole: bool
    outside: int
    values_end: int

    def require_whole(self) -> None:
        """Refuse one that the file cuts short."""
        if not self.whole:
            raise struct.error("the file ends inside its directory")

    def integer(self, tag: int) -> int | None:
        """Return a tag's single inline SHORT or LONG, the first in the file as in Pillow; None without one."""
        for entry in self.entries:
            if entry.tag == tag and entry.length == 1 and entry.kind in (_SHORT, _LONG):
                (number,) = struct.unpack_from(self.layout.order + _INTEGER_CODES[entry.kind], entry.value)
                return int(number)
        return None

    def integers(self, reader: BoundedReader, tag: int) -> list[int]:
        """Return a tag's integers, `MAX_TILES` at most, wherever they are; none without the tag or of another type."""
        entry = next((entry for entry in self.entries if entry.tag == tag), None)
        return [] if entry is None else self.values(reader, entry, MAX_TILES)

    def values(self, reader: BoundedReader, entry: Entry, limit: int) -> list[int]:
        """Return an entry's first integers, wherever they are; none of another type."""
        code, count = _INTEGER_CODES.get(entry.kind), min(entry.length, limit)
        if code is None:
            return []
        if entry.size <= len(entry.value):
            return list(struct.unpack_from(f"{self.layout.order}{count}{code}", entry.value))
        table = reader.table(self.layout.order + code, self.layout.offset(entry.value), count)
        return [value for (value,) in table]


def first_page_size(reader: BoundedReader) -> tuple[int, int] | None:
    """Read the first page's width and height; visits at most `MAX_ENTRIES` entries, of 20 bytes each.

    Args:
        reader: Of a TIFF file.

    Returns:
        (width, height) as stored, or None where a tag is missing.

    Raises:
        struct.error: The file ends inside its directory.
    """
    directory = first_directory(reader)
    directory.require_whole()
    width, height = directory.integer(Tag.IMAGE_WIDTH), directory.integer(Tag.IMAGE_LENGTH)
    return None if width is None or height is None else (width, height)


def tile_pixels(reader: BoundedReader) -> int:
    """Compute how many pixels the first page's tiles have each, which libtiff decodes as a whole: 0 without tiles.

    Strips never have more than the picture: libtiff cuts them to its height.

    Args:
        reader: Of a TIFF file, on a `HEADER_BUDGET`.

    Returns:
        Of repeated tags the most, whichever a decoder reads.
    """
    try:
        directory = first_directory(reader)
        width, length = (_largest(reader, directory, tag) for tag in (Tag.TILE_WIDTH, Tag.TILE_LENGTH))
    except struct.error:
        return 0  # a damaged directory: Pillow will say so
    return width * length


def _largest(reader: BoundedReader, directory: Directory, tag: Tag) -> int:
    """Return the largest first number of a tag that may be repeated; 0 without it."""
    entries = [entry for entry in directory.entries if entry.tag == tag]
    numbers = [number for entry in entries for number in directory.values(reader, entry, 1)]
    # libtiff takes bytes for numbers as well.
    return max(numbers, default=_LARGEST_BYTE if entries else 0)


def first_page_profile(reader: BoundedReader) -> tuple[bytes | None, bool]:
    """Read the first page's ICC profile.

    Args:
        reader: Of a TIFF file, on a `PROFILE_BUDGET`.

    Returns:
        The profile, None without one; and whether there is one that cannot be read, or another after it.
    """
    try:
        directory = first_directory(reader)
    except struct.error:
        return None, False  # a damaged directory: Pillow will say so
    entries = [entry for entry in directory.entries if entry.tag == Tag.ICC_PROFILE]
    if not entries:
        return None, False
    first = entries[0]
    if first.kind not in _BYTE_KINDS or not 0 < first.length <= MAX_PROFILE_BYTES:
        return None, True
    try:
        profile = bytes(reader.body(directory.layout.offset(first.value), first.length))
    except struct.error:
        return None, True
    return profile, len(entries) > 1


def find_excess(reader: BoundedReader) -> str | None:
    """Look for claims that would cost more than the file is worth, in the first page and what Pillow loads with it.

    Args:
        reader: Of a TIFF file, on a `DIRECTORIES_BUDGET`.

    Returns:
        What is excessive, for people; None when nothing is.

    Raises:
        struct.error: The file ends inside its first directory, which is not excessive so far.
    """
    directory = first_directory(reader)
    if any(each.claimed > MAX_ENTRIES for each in (directory, *_subdirectories(reader, directory, _SUBDIRECTORIES))):
        return "it claims too many tags"
    if any(
        entry.tag in (Tag.STRIP_OFFSETS, Tag.TILE_OFFSETS) and entry.length > MAX_TILES for entry in directory.entries
    ):
        return "it claims too many strips or tiles"
    directory.require_whole()
    # Tags may not overlap, so together they cannot exceed the file; reading them would multiply its size.
    return "its tags claim more data than the file has" if directory.outside > len(reader) else None


def count_pages(reader: BoundedReader, *, limit: int) -> int:
    """Count directories along their chain; each is an entry of 16 bytes.

    Args:
        reader: Of a TIFF file, with a budget for as many and 16 bytes more.
        limit: Where to stop counting.

    Returns:
        At least 1, at most `limit`. A loop or a broken link ends the chain.
    """
    seen: set[int] = set()
    with suppress(struct.error):
        layout = _read_layout(reader)
        offset = layout.first
        while offset and offset not in seen and len(seen) < limit:
            seen.add(offset)
            offset = _next_directory(reader, layout, offset)
    return max(1, len(seen))


def data_ends_at(reader: BoundedReader) -> int:
    """Compute where the first page's tag values and pixel data should end.

    Visits at most `MAX_ENTRIES` entries of 20 bytes and, in each of four tables, `MAX_TILES` values of 8 bytes.

    Args:
        reader: Of a TIFF file.

    Returns:
        Offset in bytes just past the last of them; 0 when the directory does not say.

    Raises:
        struct.error: The file ends inside its directory or its tables.
    """
    directory = first_directory(reader)
    directory.require_whole()
    ends = [
        start + length
        for offsets, counts in _TABLES
        for start, length in zip(directory.integers(reader, offsets), directory.integers(reader, counts), strict=False)
    ]
    return max([directory.values_end, *ends])


def _read_layout(reader: BoundedReader) -> _Layout:
    mark, _ = reader.field("2sH", 0)
    order = {b"II": "<", b"MM": ">"}.get(mark)
    if order is None:
        raise struct.error("no byte order mark")
    (version,) = reader.field(order + "H", 2)
    is_big = version == 43  # noqa: PLR2004  BigTIFF
    codes = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")
    count_code, entry_code, offset_code = (order + code for code in codes)
    (first,) = reader.field(offset_code, 8 if is_big else 4)
    return _Layout(order=order, first=first, count_code=count_code, entry_code=entry_code, offset_code=offset_code)


def first_directory(reader: BoundedReader) -> Directory:
    """Read the first directory; costs at most `MAX_ENTRIES` of 20 bytes."""
    layout = _read_layout(reader)
    return read_directory(reader, layout, layout.first)


def _subdirectories(reader: BoundedReader, directory: Directory, tags: tuple[Tag, ...]) -> Iterator[Directory]:
    # Every entry of these tags: Pillow passes over some damage, and takes the next of the same tag.
    for entry in (entry for entry in directory.entries if entry.tag in tags and directory.layout.is_big):
        try:
            offsets = directory.values(reader, entry, 1)
            below = [read_directory(reader, directory.layout, offset) for offset in offsets]
        except BudgetSpentError:
            raise
        except struct.error:
            continue
        for each in below:
            yield each
            if tags == _SUBDIRECTORIES:
                yield from _subdirectories(reader, each, (Tag.INTEROPERABILITY_DIRECTORY,))


def read_directory(reader: BoundedReader, layout: _Layout, offset: int) -> Directory:
    """Read the directory at an offset; costs at most `MAX_ENTRIES` of 20 bytes."""
    position, claimed = _directory_start(reader, layout, offset)
    # The count is a claim: of a bogus one, read no more than a real directory could hold, nor than the file does.
    wanted = min(claimed, MAX_ENTRIES)
    held = min(wanted, (len(reader) - position) // layout.entry_size)
    entries: list[Entry] = []
    outside = values_end = 0
    for tag, kind, count, value in reader.table(layout.entry_code, position, held):
        if tag in _READ_TAGS:
            entries.append(Entry(tag, kind, count, value))
        size = count * _TYPE_SIZES.get(kind, 0)
        if size > len(value):
            outside += size
            values_end = max(values_end, layout.offset(value) + size)
    whole = held == wanted
    return Directory(
        layout=layout, entries=entries, claimed=claimed, whole=whole, outside=outside, values_end=values_end
    )


def _directory_start(reader: BoundedReader, layout: _Layout, offset: int) -> tuple[int, int]:
    """Return the position of a directory's first entry and how many it claims."""
    (claimed,) = reader.field(layout.count_code, offset)
    return offset + struct.calcsize(layout.count_code), claimed


def _next_directory(reader: BoundedReader, layout: _Layout, offset: int) -> int:
    """Return where the directory after this one starts; 0 after the last."""
    (claimed,) = reader.entry(layout.count_code, offset)
    (following,) = reader.field(
        layout.offset_code, offset + struct.calcsize(layout.count_code) + claimed * layout.entry_size
    )
    return int(following)
