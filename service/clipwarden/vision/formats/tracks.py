"""Boxes of an ISO base media file in, its sequences of pictures out (ISO/IEC 14496-12, clause 8)."""

import struct
from dataclasses import dataclass

from clipwarden.vision.formats.isobmff import Box, Extent, find_box, read_boxes, whole_file
from clipwarden.vision.formats.reader import BoundedReader, BudgetSpentError

_SAMPLE_ENTRY_BYTES = 78  # VisualSampleEntry, ahead of the boxes in it


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """A sequence of pictures.

    Attributes:
        kind: How they are coded: such as av01, hvc1.
        size: (width, height) in pixels.
        frames: How many, by the most of its tables.
        properties: What is said of all of them, in the file's order.
        first_sample: Where the first one's bytes lie; None where the file does not say.
        position: Where the track stands in the file.
        auxiliary: Whether it only carries something of another track, such as its transparency.
        premultiplied_at: Where the file says that it is premultiplied by another, in bytes; None where it does not.
    """

    kind: bytes
    size: tuple[int, int]
    frames: int
    properties: list[Box]
    first_sample: Extent | None
    position: int
    auxiliary: bool
    premultiplied_at: int | None


def read_tracks(reader: BoundedReader) -> list[Track]:
    """Read the sequences of pictures of a file.

    Raises:
        struct.error: They are damaged, or the budget is spent.
    """
    try:
        movie = find_box(reader, whole_file(reader), b"moov")
    except BudgetSpentError:
        raise
    except struct.error:  # junk behind the last box
        movie = None
    if movie is None:
        return []
    tracks = [_track(reader, box) for box in read_boxes(reader, movie.start, movie.end) if box.kind == b"trak"]
    return [track for track in tracks if track is not None]


def read_samples(reader: BoundedReader, track: Track, most: int) -> list[Extent]:
    """Find where a track's samples lie.

    Args:
        reader: Of the file.
        track: One of its own.
        most: Samples to find at most.

    Raises:
        struct.error: Its tables are damaged, or the budget is spent.
    """
    movie = find_box(reader, whole_file(reader), b"moov")
    assert movie is not None  # noqa: S101  there is a track
    box = next(each for each in read_boxes(reader, movie.start, movie.end) if each.start == track.position)
    tables = _tables(reader, find_box(reader, box, b"mdia", b"minf", b"stbl") or box)
    chunks, sizes = _chunk_places(reader, tables, most), _all_sizes(reader, tables, most)
    held = _chunk_samples(reader, tables, len(chunks))
    found: list[Extent] = []
    for start, count in zip(chunks, held, strict=True):
        position = start
        for size in sizes[len(found) : len(found) + count]:
            found.append(Extent(position, size))
            position += size
    return found


def _all_sizes(reader: BoundedReader, tables: dict[bytes, Box], most: int) -> list[int]:
    box = tables.get(b"stsz")
    if box is None:
        return []
    same, count = reader.field(">II", box.start + 4)
    count = min(count, most)
    return [same] * count if same else [size for (size,) in reader.table(">I", box.start + 12, count)]


def _chunk_places(reader: BoundedReader, tables: dict[bytes, Box], most: int) -> list[int]:
    box = tables.get(b"stco") or tables.get(b"co64")
    if box is None:
        return []
    (count,) = reader.field(">I", box.start + 4)
    code = ">I" if box.kind == b"stco" else ">Q"
    return [place for (place,) in reader.table(code, box.start + 8, min(count, most))]


def _chunk_samples(reader: BoundedReader, tables: dict[bytes, Box], chunks: int) -> list[int]:
    """Say how many samples each chunk holds."""
    box = tables.get(b"stsc")
    if box is None:
        return [0] * chunks
    (count,) = reader.field(">I", box.start + 4)
    held = [0] * chunks
    for first, each, _ in reader.table(">III", box.start + 8, min(count, chunks)):
        held[max(0, first - 1) :] = [each] * max(0, chunks - max(0, first - 1))
    return held


def _tables(reader: BoundedReader, box: Box) -> dict[bytes, Box]:
    tables: dict[bytes, Box] = {}
    for each in read_boxes(reader, box.start, box.end):
        tables.setdefault(each.kind, each)
    return tables


def _track(reader: BoundedReader, box: Box) -> Track | None:
    reader.entry("0s", box.start)  # more work than a box
    table, head = find_box(reader, box, b"mdia", b"minf", b"stbl"), find_box(reader, box, b"tkhd")
    if table is None or head is None:
        return None
    tables = _tables(reader, table)
    described = tables.get(b"stsd")
    entry = None if described is None else next(read_boxes(reader, described.start + 8, described.end), None)
    if entry is None:
        return None
    # Both are 16.16 fixed-point numbers, and stand last.
    width, height = reader.field(">II", head.end - 8)
    chunks = _first_chunk(reader, tables)
    premultiplied = find_box(reader, box, b"tref", b"prem")
    return Track(
        kind=entry.kind,
        size=(width >> 16, height >> 16),
        frames=max(_sizes(reader, tables)[1], _in_chunks(reader, tables, chunks[1]), _in_time(reader, tables)),
        properties=list(read_boxes(reader, entry.start + _SAMPLE_ENTRY_BYTES, entry.end)),
        first_sample=None if chunks[0] is None else Extent(chunks[0], _sizes(reader, tables)[0]),
        position=box.start,
        auxiliary=find_box(reader, box, b"tref", b"auxl") is not None,
        premultiplied_at=None if premultiplied is None else premultiplied.start - 4,
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
