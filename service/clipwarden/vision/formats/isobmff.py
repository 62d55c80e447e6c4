"""Boxes of an ISO base media file in (ISO/IEC 14496-12; HEIF is 23008-12), its items, their properties and its tracks out.

AVIF and HEIC are such files. Where a box may stand once, the first counts: libavif refuses a second one.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from clipwarden.vision.formats.reader import BoundedReader

# Derived items, whose own bytes only say how others are put together.
_DERIVED = (b"grid", b"iden", b"iovl")
# How deep derivation is followed: a grid of turned pictures is two steps; files in circles end here.
_MOST_DERIVATIONS = 4
_SAMPLE_ENTRY_BYTES = 78  # VisualSampleEntry, ahead of the boxes in it


class Box(NamedTuple):
    """Where a box's content lies."""

    kind: bytes
    start: int
    end: int


class Reference(NamedTuple):
    """That one item points to others, and at which byte of the file the kind of it stands."""

    kind: bytes
    item: int
    to: tuple[int, ...]
    position: int


class Extent(NamedTuple):
    """A run of bytes of the file."""

    offset: int
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Meta:
    """Items of a file.

    Attributes:
        primary: Number of the item that is shown; None where the file does not say.
        kinds: By item: such as av01, hvc1, grid, Exif.
        properties: By item, in the file's order.
        references: All of them.
        locations: By item: where its bytes lie.
    """

    primary: int | None = None
    kinds: dict[int, bytes] = field(default_factory=dict)
    properties: dict[int, list[Box]] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    locations: dict[int, list[Extent]] = field(default_factory=dict)

    def shown_kind(self) -> bytes | None:
        """Name how the primary item is coded, through grids and other derivations."""
        item = self.primary
        for _ in range(_MOST_DERIVATIONS):
            kind = None if item is None else self.kinds.get(item)
            if kind not in _DERIVED:
                return kind
            item = self.first_tile(item)
        return None

    def first_tile(self, item: int | None) -> int | None:
        """Return the first item that a derived one is made of."""
        return next((each.to[0] for each in self.references if each[:2] == (b"dimg", item) and each.to), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """A sequence of pictures.

    Attributes:
        kind: How they are coded: such as av01, hvc1.
        size: (width, height) in pixels.
        frames: How many, by the most of its tables.
        properties: What is said of all of them, in the file's order.
        first_sample: Where the first one's bytes lie; None where the file does not say.
    """

    kind: bytes
    size: tuple[int, int]
    frames: int
    properties: list[Box]
    first_sample: Extent | None


def read_boxes(reader: BoundedReader, start: int, end: int) -> Iterator[Box]:
    """Walk boxes that follow each other; the last one may claim more than is there.

    Args:
        reader: Of the file.
        start: Where the first begins.
        end: Where the last ends.

    Yields:
        The boxes.

    Raises:
        struct.error: A box is smaller than its own head, or the budget is spent.
    """
    while start + 8 <= end:
        size, kind = reader.entry(">I4s", start)
        head = 8
        if size == 1:
            (size,) = reader.field(">Q", start + 8)
            head = 16
        elif size == 0:  # to the end of the file
            size = end - start
        if size < head:
            raise struct.error("a box smaller than its head")
        yield Box(kind, start + head, min(start + size, end))
        start += size


def find_box(reader: BoundedReader, inside: Box, *path: bytes) -> Box | None:
    """Return the first box at a path of kinds, each inside the one before."""
    found: Box | None = inside
    for kind in path:
        if found is None:
            return None
        start = found.start + _HEADS.get(found.kind, 0)
        found = next((box for box in read_boxes(reader, start, found.end) if box.kind == kind), None)
    return found


def whole_file(reader: BoundedReader) -> Box:
    """Return the file as if it were the content of a box."""
    return Box(b"", 0, len(reader))


def read_meta(reader: BoundedReader, *, locate: bool = True) -> Meta | None:
    """Read the items of a file.

    Args:
        reader: Of the file.
        locate: Whether to find out where their bytes lie.

    Returns:
        The items; None without the box that lists them.

    Raises:
        struct.error: They are damaged, or the budget is spent.
    """
    meta = find_box(reader, whole_file(reader), b"meta")
    if meta is None:
        return None
    found: dict[bytes, Box] = {}
    for box in read_boxes(reader, meta.start + _HEADS[b"meta"], meta.end):
        found.setdefault(box.kind, box)
    parts = {kind: found.get(kind) for kind in (b"pitm", b"iinf", b"iprp", b"iref", b"iloc", b"idat")}
    return Meta(
        primary=_primary(reader, parts[b"pitm"]),
        kinds=_kinds(reader, parts[b"iinf"]),
        properties=_properties(reader, parts[b"iprp"]),
        references=_references(reader, parts[b"iref"]),
        locations=_locations(reader, parts[b"iloc"], parts[b"idat"]) if locate else {},
    )


def read_tracks(reader: BoundedReader) -> list[Track]:
    """Read the sequences of pictures of a file, but for those that only carry another's transparency.

    Raises:
        struct.error: They are damaged, or the budget is spent.
    """
    movie = find_box(reader, whole_file(reader), b"moov")
    if movie is None:
        return []
    boxes = [box for box in read_boxes(reader, movie.start, movie.end) if box.kind == b"trak"]
    tracks = [_track(reader, box) for box in boxes if find_box(reader, box, b"tref", b"auxl") is None]
    return [track for track in tracks if track is not None]


# What stands ahead of the boxes inside: version and flags, and in some a count.
_HEADS = {b"meta": 4, b"stsd": 8}


def _version(reader: BoundedReader, box: Box) -> tuple[int, int]:
    (word,) = reader.field(">I", box.start)
    return word >> 24, word & 0xFFFFFF


def _primary(reader: BoundedReader, box: Box | None) -> int | None:
    if box is None:
        return None
    (number,) = reader.field(">I" if _version(reader, box)[0] else ">H", box.start + 4)
    return int(number)


def _kinds(reader: BoundedReader, box: Box | None) -> dict[int, bytes]:
    if box is None:
        return {}
    kinds = {}
    for each in read_boxes(reader, box.start + (8 if _version(reader, box)[0] else 6), box.end):
        version = _version(reader, each)[0] if each.kind == b"infe" else 0
        if version >= 2:  # noqa: PLR2004  earlier ones name no kind
            number, kind = reader.field(">H2x4s" if version == 2 else ">I2x4s", each.start + 4)  # noqa: PLR2004
            kinds[number] = kind
    return kinds


def _properties(reader: BoundedReader, box: Box | None) -> dict[int, list[Box]]:
    if box is None:
        return {}
    held: list[Box] | None = None
    rows: dict[int, list[Box]] = {}
    for part in read_boxes(reader, box.start, box.end):
        if part.kind == b"ipco" and held is None:
            held = list(read_boxes(reader, part.start, part.end))
        elif part.kind == b"ipma":
            for item, places in _associations(reader, part):
                rows.setdefault(item, [held[at - 1] for at in places if held and 0 < at <= len(held)])
    return rows


def _associations(reader: BoundedReader, box: Box) -> Iterator[tuple[int, list[int]]]:
    version, flags = _version(reader, box)
    (count,) = reader.field(">I", box.start + 4)
    head, code, most = (">IB" if version else ">HB"), (">H" if flags & 1 else ">B"), (0x7FFF if flags & 1 else 0x7F)
    position = box.start + 8
    for _ in range(count):
        item, places = reader.entry(head, position)
        position += struct.calcsize(head)
        # The highest bit says whether the property has to be understood.
        yield item, [value & most for (value,) in reader.table(code, position, places)]
        position += places * struct.calcsize(code)


def _references(reader: BoundedReader, box: Box | None) -> list[Reference]:
    if box is None:
        return []
    code = "I" if _version(reader, box)[0] else "H"
    found = []
    for each in read_boxes(reader, box.start + 4, box.end):
        item, count = reader.field(f">{code}H", each.start)
        after = each.start + struct.calcsize(f">{code}H")
        to = tuple(value for (value,) in reader.table(f">{code}", after, count))
        found.append(Reference(each.kind, item, to, each.start - 4))
    return found


def _locations(reader: BoundedReader, box: Box | None, inside: Box | None) -> dict[int, list[Extent]]:
    if box is None:
        return {}
    version = _version(reader, box)[0]
    (sizes,) = reader.field(">H", box.start + 4)
    widths = [sizes >> shift & 15 for shift in (12, 8, 4, 0)]
    wide = version == 2  # noqa: PLR2004
    (count,) = reader.field(">I" if wide else ">H", box.start + 6)
    position = box.start + (10 if wide else 8)
    head = (">IHH" if wide else ">HHH") if version else ">H2x"
    locations: dict[int, list[Extent]] = {}
    for _ in range(count):
        item, *rest = reader.entry(head, position)
        position += struct.calcsize(head)
        # Method 1 counts from the start of the box `idat`; 2, from another item, is used by no picture.
        start = inside.start if rest and rest[0] & 15 == 1 and inside is not None else 0
        base = _number(reader, position, widths[2])
        (extents,) = reader.field(">H", position + widths[2])
        position += widths[2] + 2
        step = widths[3] if version else 0
        found = []
        for _ in range(extents):
            reader.entry("0s", position)
            offset = _number(reader, position + step, widths[0])
            found.append(Extent(start + base + offset, _number(reader, position + step + widths[0], widths[1])))
            position += step + widths[0] + widths[1]
        locations.setdefault(item, found)
    return locations


def _number(reader: BoundedReader, position: int, width: int) -> int:
    (value,) = reader.field(f"{width}s", position)
    return int.from_bytes(value, "big")


def _track(reader: BoundedReader, box: Box) -> Track | None:
    table, head = find_box(reader, box, b"mdia", b"minf", b"stbl"), find_box(reader, box, b"tkhd")
    if table is None or head is None:
        return None
    tables: dict[bytes, Box] = {}
    for each in read_boxes(reader, table.start, table.end):
        tables.setdefault(each.kind, each)
    described = tables.get(b"stsd")
    entry = None if described is None else next(read_boxes(reader, described.start + 8, described.end), None)
    if entry is None:
        return None
    # Both are 16.16 fixed-point numbers, and stand last.
    width, height = reader.field(">II", head.end - 8)
    chunks = _first_chunk(reader, tables)
    return Track(
        kind=entry.kind,
        size=(width >> 16, height >> 16),
        frames=max(_sizes(reader, tables)[1], _in_chunks(reader, tables, chunks[1]), _in_time(reader, tables)),
        properties=list(read_boxes(reader, entry.start + _SAMPLE_ENTRY_BYTES, entry.end)),
        first_sample=None if chunks[0] is None else Extent(chunks[0], _sizes(reader, tables)[0]),
    )


def _sizes(reader: BoundedReader, tables: dict[bytes, Box]) -> tuple[int, int]:
    """Return the first sample's bytes and the number of samples."""
    box = tables.get(b"stsz")
    if box is None:
        return 0, 0
    same, count = reader.field(">II", box.start + 4)
    if count and not same:
        (same,) = reader.field(">I", box.start + 12)
    return int(same), int(count)


def _first_chunk(reader: BoundedReader, tables: dict[bytes, Box]) -> tuple[int | None, int]:
    """Return where the first chunk of samples lies, and the number of chunks."""
    box = tables.get(b"stco") or tables.get(b"co64")
    if box is None:
        return None, 0
    (count,) = reader.field(">I", box.start + 4)
    if not count:
        return None, 0
    (offset,) = reader.field(">I" if box.kind == b"stco" else ">Q", box.start + 8)
    return int(offset), int(count)


def _in_chunks(reader: BoundedReader, tables: dict[bytes, Box], chunks: int) -> int:
    """Count samples by the table that says how many each run of chunks holds."""
    box = tables.get(b"stsc")
    if box is None:
        return 0
    (count,) = reader.field(">I", box.start + 4)
    rows = list(reader.table(">III", box.start + 8, count))
    ends = [row[0] for row in rows[1:]] + [chunks + 1]
    return sum(max(0, end - first) * each for (first, each, _), end in zip(rows, ends, strict=True))


def _in_time(reader: BoundedReader, tables: dict[bytes, Box]) -> int:
    """Count samples by the table that says how long each is shown."""
    box = tables.get(b"stts")
    if box is None:
        return 0
    (count,) = reader.field(">I", box.start + 4)
    return sum(samples for samples, _ in reader.table(">II", box.start + 8, count))
