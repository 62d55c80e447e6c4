"""TIFF directories (of TIFF files and of EXIF blocks): sizes, pages and orientation, read within a fixed budget.

Pillow answers the same questions by loading every tag of every page, which a hostile file can make slow and large.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

IMAGE_WIDTH = 256
IMAGE_LENGTH = 257
STRIP_OFFSETS = 273
ORIENTATION = 274
STRIP_BYTE_COUNTS = 279
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325

# TIFF's registry knows about 400 tags, private ones included, and a directory lists a tag once.
MAX_ENTRIES = 4096
_SHORT, _LONG = 3, 4
# Bytes a value, by TIFF type number (TIFF 6.0, section 2; 13 and 16-18 from later supplements).
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER_CODES = {_SHORT: "H", _LONG: "I", 16: "Q"}
_EXIF_PREFIX = b"Exif\0\0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One directory entry.

    Attributes:
        tag: Tag number.
        kind: Type number.
        count: How many values it claims.
        value: The inline value field, 4 bytes (8 in BigTIFF); an offset when the values do not fit.
        prefix: struct prefix of the byte order.
    """

    tag: int
    kind: int
    count: int
    value: bytes
    prefix: str

    @property
    def size(self) -> int:
        """Bytes that the values claim; 0 for an unknown type, which readers skip."""
        return self.count * _TYPE_SIZES.get(self.kind, 0)

    @property
    def offset(self) -> int:
        """Where the values are, when they do not fit inline."""
        code = "Q" if len(self.value) == 8 else "I"  # noqa: PLR2004
        return int(struct.unpack(self.prefix + code, self.value)[0])

    def as_integer(self) -> int | None:
        """Return a single inline SHORT or LONG; None for anything else."""
        if self.count != 1 or self.kind not in (_SHORT, _LONG):
            return None
        (number,) = struct.unpack_from(self.prefix + ("H" if self.kind == _SHORT else "I"), self.value)
        return int(number)

    def integers(self, data: bytes) -> tuple[int, ...]:
        """Return SHORT, LONG or LONG8 values, wherever they are stored; nothing for another type."""
        code = _INTEGER_CODES.get(self.kind)
        if code is None:
            return ()
        source, start = (self.value, 0) if self.size <= len(self.value) else (data, self.offset)
        # struct refuses before it allocates when the claimed count runs past the end.
        return struct.unpack_from(f"{self.prefix}{self.count}{code}", source, start)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """How one file spells its directories: classic TIFF or BigTIFF, either byte order."""

    prefix: str
    first: int
    count_code: str
    entry_code: str
    offset_code: str


def first_page_size(data: bytes) -> tuple[int, int] | None:
    """Read the first page's width and height.

    Args:
        data: A TIFF file.

    Returns:
        (width, height) as stored, or None where a tag is missing.

    Raises:
        struct.error: The file ends inside its directory.
    """
    found = {entry.tag: entry.as_integer() for entry in _first_entries(data)}
    width, height = found.get(IMAGE_WIDTH), found.get(IMAGE_LENGTH)
    return None if width is None or height is None else (width, height)


def find_excess(data: bytes, *, max_tiles: int) -> str | None:
    """Look for claims in the first directory that would cost more than the file is worth.

    Args:
        data: A TIFF file.
        max_tiles: Most strips or tiles to accept.

    Returns:
        What is excessive, for people; None when nothing is.

    Raises:
        struct.error: The file ends inside its directory.
    """
    layout = _layout(data)
    _, count = _directory(data, layout, layout.first)
    if count > MAX_ENTRIES:
        return "it claims too many tags"
    out_of_line = 0
    for entry in _first_entries(data):
        if entry.tag in (STRIP_OFFSETS, TILE_OFFSETS) and entry.count > max_tiles:
            return "it claims too many strips or tiles"
        out_of_line += entry.size if entry.size > len(entry.value) else 0
    # Tags may not overlap, so together they cannot exceed the file; reading them would multiply its size.
    return "its tags claim more data than the file has" if out_of_line > len(data) else None


def count_pages(data: bytes, *, limit: int) -> int:
    """Count directories along their chain.

    Args:
        data: A TIFF file.
        limit: Where to stop counting.

    Returns:
        At least 1, at most `limit`. A loop or a broken link ends the chain.
    """
    seen: set[int] = set()
    with suppress(struct.error):
        layout = _layout(data)
        offset = layout.first
        while offset and offset not in seen and len(seen) < limit:
            seen.add(offset)
            offset = _next_offset(data, layout, offset)
    return max(1, len(seen))


def data_ends_at(data: bytes) -> int:
    """Compute where the first page's tag values and pixel data should end.

    Args:
        data: A TIFF file.

    Returns:
        Offset in bytes just past the last of them; 0 when the directory does not say.

    Raises:
        struct.error: The file ends inside its directory or its tables.
    """
    entries = {entry.tag: entry for entry in _first_entries(data)}
    tables = ((STRIP_OFFSETS, STRIP_BYTE_COUNTS), (TILE_OFFSETS, TILE_BYTE_COUNTS))
    ends = [entry.offset + entry.size for entry in entries.values() if entry.size > len(entry.value)]
    ends += [
        start + length
        for offsets, counts in tables
        if offsets in entries and counts in entries
        for start, length in zip(entries[offsets].integers(data), entries[counts].integers(data), strict=False)
    ]
    return max(ends, default=0)


def exif_orientation(exif: bytes) -> int:
    """Read the orientation from an EXIF block.

    Args:
        exif: As Pillow keeps it in `info["exif"]`, with or without its `Exif` prefix.

    Returns:
        1-8; 1, "as stored", when the tag is absent, damaged or out of range.

    Source: EXIF 2.32, tag 0x0112.
    """
    body = exif.removeprefix(_EXIF_PREFIX)
    try:
        values = [entry.as_integer() for entry in _first_entries(body) if entry.tag == ORIENTATION]
    except struct.error:
        return 1
    return next((value for value in values if value is not None and 1 <= value <= 8), 1)  # noqa: PLR2004


def _layout(data: bytes) -> _Layout:
    prefix = {b"II": "<", b"MM": ">"}.get(data[:2])
    if prefix is None:
        raise struct.error("no byte order mark")
    (version,) = struct.unpack_from(prefix + "H", data, 2)
    if version == 43:  # noqa: PLR2004  BigTIFF
        (first,) = struct.unpack_from(prefix + "Q", data, 8)
        return _Layout(prefix=prefix, first=first, count_code="Q", entry_code="HHQ8s", offset_code="Q")
    (first,) = struct.unpack_from(prefix + "I", data, 4)
    return _Layout(prefix=prefix, first=first, count_code="H", entry_code="HHI4s", offset_code="I")


def _first_entries(data: bytes) -> Iterator[Entry]:
    layout = _layout(data)
    position, count = _directory(data, layout, layout.first)
    step = struct.calcsize(layout.prefix + layout.entry_code)
    # The count is a claim: of a bogus one, read no more than a real directory could hold.
    for index in range(min(count, MAX_ENTRIES)):
        tag, kind, length, value = struct.unpack_from(layout.prefix + layout.entry_code, data, position + index * step)
        yield Entry(tag=tag, kind=kind, count=length, value=value, prefix=layout.prefix)


def _directory(data: bytes, layout: _Layout, offset: int) -> tuple[int, int]:
    """Return the position of a directory's first entry and how many it claims."""
    if offset > len(data):
        raise struct.error("directory beyond the end")
    (count,) = struct.unpack_from(layout.prefix + layout.count_code, data, offset)
    return offset + struct.calcsize(layout.prefix + layout.count_code), count


def _next_offset(data: bytes, layout: _Layout, offset: int) -> int:
    position, count = _directory(data, layout, offset)
    end = position + count * struct.calcsize(layout.prefix + layout.entry_code)
    if end > len(data):
        raise struct.error("directory runs past the end")
    (following,) = struct.unpack_from(layout.prefix + layout.offset_code, data, end)
    return int(following)
