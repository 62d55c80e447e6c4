"""TIFF directories (of TIFF files and of EXIF blocks) in; sizes, pages, orientation and ends out.

Pillow answers the same questions by loading every tag of every page, which a hostile file can make slow and large.
"""

import struct
from contextlib import suppress
from dataclasses import dataclass

from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader

IMAGE_WIDTH = 256
IMAGE_LENGTH = 257
STRIP_OFFSETS = 273
ORIENTATION = 274
STRIP_BYTE_COUNTS = 279
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325

# A directory of as many as a header may visit is ten times larger than any real one.
MAX_ENTRIES = HEADER_BUDGET.entries
# A strip has at least one row; three planes of `DecodeLimits.max_side` rows are 98,304.
MAX_TILES = 100_000
_TABLES = ((STRIP_OFFSETS, STRIP_BYTE_COUNTS), (TILE_OFFSETS, TILE_BYTE_COUNTS))
_READ_TAGS = frozenset({IMAGE_WIDTH, IMAGE_LENGTH, ORIENTATION, *(tag for pair in _TABLES for tag in pair)})
_SHORT, _LONG = 3, 4
# Bytes a value, by TIFF type number (TIFF 6.0, section 2; 13 and 16-18 from later supplements).
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER_CODES = {_SHORT: "H", _LONG: "I", 16: "Q"}
_EXIF_PREFIX = b"Exif\0\0"
_CUT_SHORT = "the file ends inside its directory"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """How one file spells its directories: classic TIFF or BigTIFF, either byte order."""

    order: str
    first: int
    count_code: str
    entry_code: str
    offset_code: str

    @property
    def entry_size(self) -> int:
        return struct.calcsize(self.entry_code)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """One directory entry: its type, how many values it claims, and its value field (4 bytes; 8 in BigTIFF)."""

    order: str
    kind: int
    count: int
    value: bytes

    def as_integer(self) -> int | None:
        """Return a single inline SHORT or LONG; None for anything else."""
        if self.count != 1 or self.kind not in (_SHORT, _LONG):
            return None
        (number,) = struct.unpack_from(self.order + _INTEGER_CODES[self.kind], self.value)
        return int(number)

    def integers(self, reader: BoundedReader) -> list[int]:
        """Return the first `MAX_TILES` SHORT, LONG or LONG8 values, wherever they are; nothing for another type."""
        code = _INTEGER_CODES.get(self.kind)
        if code is None:
            return []
        if _size(self.kind, self.count) <= len(self.value):
            return list(struct.unpack_from(f"{self.order}{self.count}{code}", self.value))
        return [
            value
            for (value,) in reader.table(self.order + code, _offset(self.value, self.order), min(self.count, MAX_TILES))
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Directory:
    """What one reading of a directory shows.

    Attributes:
        entries: Those of `_READ_TAGS`, by tag; of a repeated tag the first, as in Pillow.
        claimed: How many entries the directory claims; at most `MAX_ENTRIES` are read.
        whole: False when the file ends inside the directory.
        outside: Bytes that all values together claim outside the directory.
        values_end: Offset just past the last of these.
    """

    entries: dict[int, _Entry]
    claimed: int
    whole: bool
    outside: int
    values_end: int

    def integer(self, tag: int) -> int | None:
        return self.entries[tag].as_integer() if tag in self.entries else None


def first_page_size(reader: BoundedReader) -> tuple[int, int] | None:
    """Read the first page's width and height; visits at most `MAX_ENTRIES` entries, of 20 bytes each.

    Args:
        reader: Of a TIFF file.

    Returns:
        (width, height) as stored, or None where a tag is missing.

    Raises:
        struct.error: The file ends before its directory.
    """
    directory = _first_directory(reader)
    width, height = directory.integer(IMAGE_WIDTH), directory.integer(IMAGE_LENGTH)
    return None if width is None or height is None else (width, height)


def find_excess(reader: BoundedReader) -> str | None:
    """Look for claims in the first directory that would cost more than the file is worth; costs as `first_page_size`.

    Args:
        reader: Of a TIFF file.

    Returns:
        What is excessive, for people; None when nothing is.

    Raises:
        struct.error: The file ends inside its directory, which is not excessive so far.
    """
    directory = _first_directory(reader)
    if directory.claimed > MAX_ENTRIES:
        return "it claims too many tags"
    if any(offsets in directory.entries and directory.entries[offsets].count > MAX_TILES for offsets, _ in _TABLES):
        return "it claims too many strips or tiles"
    if not directory.whole:
        raise struct.error(_CUT_SHORT)
    # Tags may not overlap, so together they cannot exceed the file; reading them would multiply its size.
    return "its tags claim more data than the file has" if directory.outside > len(reader) else None


def count_pages(reader: BoundedReader, *, limit: int) -> int:
    """Count directories along their chain; looks at 16 bytes of each.

    Args:
        reader: Of a TIFF file.
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
    directory = _first_directory(reader)
    if not directory.whole:
        raise struct.error(_CUT_SHORT)
    entries = directory.entries
    ends = [
        start + length
        for offsets, counts in _TABLES
        if offsets in entries and counts in entries
        for start, length in zip(entries[offsets].integers(reader), entries[counts].integers(reader), strict=False)
    ]
    return max([directory.values_end, *ends])


def exif_orientation(exif: bytes) -> int:
    """Read the orientation from an EXIF block; costs at most `HEADER_BUDGET`.

    Args:
        exif: As Pillow keeps it in `info["exif"]`, with or without its `Exif` prefix.

    Returns:
        1-8; 1, "as stored", when the tag is absent, out of range, or in a damaged directory.

    Source: EXIF 2.32, tag 0x0112.
    """
    try:
        directory = _first_directory(BoundedReader(exif.removeprefix(_EXIF_PREFIX), HEADER_BUDGET))
    except struct.error:
        return 1
    orientation = (directory.integer(ORIENTATION) if directory.whole else None) or 1
    return orientation if orientation in range(1, 9) else 1


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


def _first_directory(reader: BoundedReader) -> _Directory:
    layout = _read_layout(reader)
    position, claimed = _directory_start(reader, layout, layout.first)
    # The count is a claim: of a bogus one, read no more than a real directory could hold, nor than the file does.
    wanted = min(claimed, MAX_ENTRIES)
    held = min(wanted, (len(reader) - position) // layout.entry_size)
    entries: dict[int, _Entry] = {}
    outside = values_end = 0
    for tag, kind, count, value in reader.table(layout.entry_code, position, held):
        if tag in _READ_TAGS and tag not in entries:
            entries[tag] = _Entry(order=layout.order, kind=kind, count=count, value=value)
        size = _size(kind, count)
        if size > len(value):
            outside += size
            values_end = max(values_end, _offset(value, layout.order) + size)
    return _Directory(entries=entries, claimed=claimed, whole=held == wanted, outside=outside, values_end=values_end)


def _size(kind: int, count: int) -> int:
    """Bytes that an entry's values claim; 0 for an unknown type, which readers skip."""
    return count * _TYPE_SIZES.get(kind, 0)


def _offset(value: bytes, order: str) -> int:
    """Where an entry's values are, when they do not fit into its value field."""
    return int.from_bytes(value, "little" if order == "<" else "big")


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
