"""Boxes of an ISO base media file in (ISO/IEC 14496-12; HEIF is 23008-12), items and their properties out.

AVIF and HEIC are such files. Where a box may stand once, the first counts: libavif refuses a second one.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from clipwarden.vision.formats.reader import BoundedReader

# Derived items, whose own bytes only say how others are put together.
_DERIVED = (b"grid", b"iden", b"iovl")
_PICTURES = (*_DERIVED, b"av01", b"hvc1", b"avc1", b"jpeg")
# Items that point to what they stand beside: small versions, and transparency, depth or gain maps.
_BESIDE = (b"thmb", b"auxl")
# How deep derivation is followed: a grid of turned pictures is two steps; files in circles end here.
_MOST_DERIVATIONS = 4


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
        position: Where the box that lists them stands in the file.
    """

    primary: int | None = None
    kinds: dict[int, bytes] = field(default_factory=dict)
    properties: dict[int, list[Box]] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    locations: dict[int, list[Extent]] = field(default_factory=dict)
    position: int = 0

    def shown_kind(self) -> bytes | None:
        """Name how the primary item is coded, through grids and other derivations."""
        item = self.primary
        for _ in range(_MOST_DERIVATIONS):
            kind = None if item is None else self.kinds.get(item)
            if kind not in _DERIVED:
                return kind
            item = self.first_tile(item)
        return None

    def pictures(self) -> int:
        """Count the pictures that stand for themselves: no tiles, thumbnails or planes of another; at least 1."""
        parts = {part for each in self.references if each.kind == b"dimg" for part in each.to}
        beside = {each.item for each in self.references if each.kind in _BESIDE}
        alone = {item for item, kind in self.kinds.items() if kind in _PICTURES} - parts - beside
        return len(alone | {self.primary})

    def first_tile(self, item: int | None) -> int | None:
        """Return the first item that a derived one is made of."""
        return next((each.to[0] for each in self.references if each[:2] == (b"dimg", item) and each.to), None)

    def size_of(self, reader: BoundedReader, item: int | None) -> tuple[int, int] | None:
        """Return an item's (width, height) in pixels; None where the file does not say."""
        box = next((each for each in self.properties.get(item or 0, []) if each.kind == b"ispe"), None)
        if box is None:
            return None
        width, height = reader.field(">II", box.start + 4)
        return width, height

    def coded_items(self, *, alone: bool = False) -> Counter[int]:
        """Count how often each item is decoded to show the primary one, its transparency and their likes included.

        Args:
            alone: Leave out what stands beside it, such as its transparency.

        Raises:
            struct.error: Derivation goes on and on.
        """
        made_of: dict[int, list[int]] = {}
        for each in self.references:
            if each.kind == b"dimg":
                made_of.setdefault(each.item, []).extend(each.to)
        shown = {self.primary, *made_of.get(self.primary or 0, ())}
        beside = [each.item for each in self.references if each.kind == b"auxl" and not shown.isdisjoint(each.to)]
        beside = [] if alone else beside
        level, coded = Counter({self.primary or 0: 1, **dict.fromkeys(beside, 1)}), Counter[int]()
        for _ in range(_MOST_DERIVATIONS):
            inside = Counter[int]()
            for item, times in level.items():
                if self.kinds.get(item) not in _DERIVED:
                    coded[item] += times
                else:
                    for part in made_of.get(item, ()):
                        inside[part] += times
            level = inside
        if level:
            raise struct.error("derived from derived items without end")
        return coded


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
        position=meta.start,
    )


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
            number, kind = reader.entry(">H2x4s" if version == 2 else ">I2x4s", each.start + 4)  # noqa: PLR2004
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
