"""Coded pictures in, AVIF and HEIC files of any structure out: boxes put together by hand, honest or not."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# `meta` and these carry a version before what they hold.
_FULL = (b"meta", b"iinf", b"iref", b"dref", b"stsd")
_COUNTS = {b"iinf": 2, b"dref": 4, b"stsd": 4}


def box(kind: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *bodies: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *bodies)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of the boxes that follow each other in some honest bytes."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + (size or len(data) - at)]
        at += size or len(data)


def find(data: bytes, *path: bytes) -> bytes:
    """Return the body of the first box at a path such as meta, iprp, ipco, without version and counts."""
    for kind in path:
        data = next(body for each, body in boxes(data) if each == kind)
        data = data[4 + _COUNTS.get(kind, 0) :] if kind in _FULL else data
    return data


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a file: `properties` are whole boxes, `refers` kind and numbers of the items it points to."""

    number: int = 1
    kind: bytes
    body: bytes
    properties: tuple[bytes, ...] = ()
    refers: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    hidden: bool = False


def coded(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Take apart a file of one picture as encoders write it: the item's kind, the settings, the coded bytes."""
    meta = find(data, b"meta")
    kind, settings = next(
        (item, box(name, body))
        for name, body in boxes(find(meta, b"iprp", b"ipco"))
        for item, wanted in ((b"av01", b"av1C"), (b"hvc1", b"hvcC"))
        if name == wanted
    )
    iloc = find(meta, b"iloc")
    version, sizes = iloc[0], struct.unpack_from(">H", iloc, 4)[0]
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    at = 8 + 2 + (2 if version else 0) + 2  # counts; number, method, data reference of the first item
    base = int.from_bytes(iloc[at : at + base_size], "big")
    at += base_size + 2
    offset = base + int.from_bytes(iloc[at : at + offset_size], "big")
    length = int.from_bytes(iloc[at + offset_size : at + offset_size + length_size], "big")
    return kind, settings, data[offset : offset + length]


def replaced(data: bytes, kind: bytes, body: bytes) -> bytes:
    """Put a box at a file's end and blank those of its kind, so that no offset moves."""
    parts = [box(b"free" if each == kind else each, content) for each, content in boxes(data)]
    return b"".join(parts) + box(kind, body)


def with_track_property(data: bytes, extra: bytes) -> bytes:
    """Say something more of the first track's pictures."""
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    entry_kind, entry = next(boxes(find(data, *path)))
    return replaced(data, b"moov", _swapped(find(data, b"moov"), path[1:], box(entry_kind, entry, extra)))


def _swapped(data: bytes, path: tuple[bytes, ...], content: bytes) -> bytes:
    done, parts = False, []
    for kind, body in boxes(data):
        if kind == path[0] and not done:
            head = 4 + _COUNTS.get(kind, 0) if kind in _FULL else 0
            inner = _swapped(body[head:], path[1:], content) if path[1:] else content
            parts.append(box(kind, body[:head], inner))
            done = True
        else:
            parts.append(box(kind, body))
    return b"".join(parts)


def with_code_points(coded_bytes: bytes, primaries: int, transfer: int, matrix: int = 6) -> bytes:
    """Write other colours into the sequence header of an AV1 picture, which Pillow encodes as 1, 13, 6."""
    bits = f"{int.from_bytes(coded_bytes[:40], 'big'):0320b}"
    at = bits.index(f"{1:08b}{13:08b}{6:08b}")
    bits = bits[:at] + f"{primaries:08b}{transfer:08b}{matrix:08b}" + bits[at + 24 :]
    return int(bits, 2).to_bytes(40, "big") + coded_bytes[40:]


def ispe(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def nclx(primaries: int, transfer: int, matrix: int = 6, *, full_range: bool = True) -> bytes:
    return box(b"colr", struct.pack(">4sHHHB", b"nclx", primaries, transfer, matrix, full_range << 7))


def profile(icc: bytes, kind: bytes = b"prof") -> bytes:
    return box(b"colr", kind, icc)


def irot(quarters: int) -> bytes:
    """Turn by quarters of a circle, anticlockwise."""
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    """Mirror: 0 swaps top and bottom, 1 left and right."""
    return box(b"imir", bytes([axis]))


def pixi(*bits: int) -> bytes:
    return full_box(b"pixi", bytes([len(bits), *bits]))


def clap(width: int, height: int, left: int, top: int, *, of: tuple[int, int]) -> bytes:
    """Show a part only; the box tells the distance of centres, here in halves."""
    right, down = 2 * left + width - of[0], 2 * top + height - of[1]
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 2, down, 2))


ALPHA = full_box(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")


def grid(rows: int, columns: int, width: int, height: int) -> bytes:
    return struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)


def gain_map(base: int, other: int, figures: Sequence[int] = (0, 2000, 1000, 16, 16)) -> bytes:
    """What ISO 21496-1 says of a gain map of one channel: headrooms and figures in thousandths."""
    return bytes(5) + b"".join(struct.pack(">iI", each, 1000) for each in (base, other, *figures))


def heif(
    items: Sequence[Item],
    *,
    primary: int = 1,
    brands: Sequence[bytes] = (b"avif", b"mif1", b"miaf"),
    before: bytes = b"",
    inside: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """Write a file of items.

    Args:
        items: In the order in which they are listed.
        primary: Number of the one that is shown.
        brands: The major one, then the compatible ones.
        before: Boxes ahead of `meta`.
        inside: Boxes at the end of `meta`, such as groups.
        extra: Boxes at the end.
    """
    ftyp = box(b"ftyp", brands[0], bytes(4), *brands[1:])
    start = len(ftyp) + len(before) + len(_meta(items, primary, 0, inside)) + 8
    data = b"".join(item.body for item in items)
    return ftyp + before + _meta(items, primary, start, inside) + box(b"mdat", data) + extra


def _meta(items: Sequence[Item], primary: int, start: int, inside: bytes) -> bytes:
    named = b"".join(
        full_box(b"infe", struct.pack(">HH4s", item.number, 0, item.kind), b"\0", version=2, flags=item.hidden)
        for item in items
    )
    references = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", item.number, len(to), *to))
        for item in items
        for kind, to in item.refers
    )
    return full_box(
        b"meta",
        full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", struct.pack(">H", primary)),
        _iloc(items, start),
        full_box(b"iinf", struct.pack(">H", len(items)), named),
        full_box(b"iref", references) if references else b"",
        _iprp(items),
        inside,
    )


def _iloc(items: Sequence[Item], start: int) -> bytes:
    rows = b""
    for item in items:
        rows += struct.pack(">HHHII", item.number, 0, 1, start, len(item.body))
        start += len(item.body)
    return full_box(b"iloc", struct.pack(">HH", 0x4400, len(items)), rows)


def _iprp(items: Sequence[Item]) -> bytes:
    held = list(dict.fromkeys(each for item in items for each in item.properties))
    code, must = ("H", 0x8000) if len(held) > 127 else ("B", 0x80)
    rows = b""
    for item in items:
        # Essential: what a reader has to understand before it may show the item.
        places = [
            (held.index(each) + 1) | (must if each[4:8] in (b"irot", b"imir", b"clap", b"av1C", b"hvcC") else 0)
            for each in item.properties
        ]
        rows += struct.pack(f">HB{len(places)}{code}", item.number, len(places), *places)
    ipma = full_box(b"ipma", struct.pack(">I", len(items)), rows, flags=must >> 15)
    return box(b"iprp", box(b"ipco", *held), ipma)
