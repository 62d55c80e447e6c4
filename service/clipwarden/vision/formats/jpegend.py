"""A JPEG that a decoder gave up on in, where its picture ends and what could be missing out."""

import struct
from dataclasses import dataclass

from clipwarden.vision.formats.jpeg import (
    END_OF_IMAGE,
    FRAME_HEADERS,
    SCANS_BUDGET,
    START_OF_SCAN,
    Segment,
    coded_segments,
)
from clipwarden.vision.formats.reader import BoundedReader, Budget

# The walk that counted scans once more, and a search for each of the eight restart markers.
END_BUDGET = Budget(
    entries=SCANS_BUDGET.entries, bytes=SCANS_BUDGET.bytes + 64 * SCANS_BUDGET.entries, passes=SCANS_BUDGET.passes + 8
)

# Tables, scans, comments and what belongs to applications; libjpeg gives up at any other marker, and browsers show
# what it has decoded.
_MAY_FOLLOW = frozenset({0x01, 0xC4, 0xCC, 0xDB, 0xDC, 0xDD, START_OF_SCAN, 0xFE, *range(0xE0, 0xF0)})
_RESTARTS = tuple(bytes([0xFF, number]) for number in range(0xD0, 0xD8))
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC3, 0xC9})
_ALL_COEFFICIENTS = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegEnd:
    """Where the picture of a damaged JPEG ends.

    Attributes:
        at: In bytes from the start; what lies behind is another picture, the end marker or a piece of a segment.
        height_at: Where the frame header says how many rows there are, in 2 bytes.
        scanned_pixels: Pixels of the picture, once for each scan begun.
        ended: Whether a marker stands there that ends the picture.
        in_rows: Whether rows come one after the other, in a single scan.
        all_scans: Whether the scans begun so far hold every detail; otherwise some never came.
        next_restart: Marker that would restart the decoder next, 2 bytes.
    """

    at: int
    height_at: int
    scanned_pixels: int
    ended: bool
    in_rows: bool
    all_scans: bool
    next_restart: bytes


def find_end(data: bytes) -> JpegEnd | None:
    """Find where a JPEG's picture ends.

    Args:
        data: The file.

    Returns:
        None when there is no scan, or nobody could find its way through the file.
    """
    reader = BoundedReader(data, END_BUDGET)
    try:
        return _find_end(reader)
    except struct.error:
        return None


def _find_end(reader: BoundedReader) -> JpegEnd | None:
    frame, scans, at, ended = None, list[Segment](), len(reader), False
    for segment in coded_segments(reader, 2):
        if segment.marker == END_OF_IMAGE or (scans and segment.marker not in _may_follow(reader, frame, scans[0])):
            at, ended = segment.start - 4, True
            break
        if segment.start + segment.size > len(reader):
            at = segment.start - 4  # in the middle of a segment
            break
        if segment.marker == START_OF_SCAN:
            scans.append(segment)
        elif segment.marker in FRAME_HEADERS:
            frame = segment
    if frame is None or not scans:
        return None
    height, width = reader.field(">HH", frame.start + 1)
    components, sequential = _components(reader, frame), frame.marker in _SEQUENTIAL
    return JpegEnd(
        at=at,
        height_at=frame.start + 1,
        scanned_pixels=height * width * len(scans),
        ended=ended,
        in_rows=_in_rows(reader, frame, scans[0]),
        all_scans=_hold_everything(reader, scans, components, sequential=sequential),
        next_restart=_next_restart(reader, scans[-1].start, at),
    )


def _components(reader: BoundedReader, frame: Segment) -> int:
    (components,) = reader.field("B", frame.start + 5)
    return int(components)


def _in_rows(reader: BoundedReader, frame: Segment, scan: Segment) -> bool:
    return frame.marker in _SEQUENTIAL and reader.field("B", scan.start) == (_components(reader, frame),)


def _may_follow(reader: BoundedReader, frame: Segment | None, scan: Segment) -> frozenset[int]:
    """Return the markers that more of the picture may come behind; a scan of all rows is not followed by another."""
    return _MAY_FOLLOW - {START_OF_SCAN} if frame is not None and _in_rows(reader, frame, scan) else _MAY_FOLLOW


def _hold_everything(reader: BoundedReader, scans: list[Segment], components: int, *, sequential: bool) -> bool:
    """Whether every coefficient of every component has come down to its last bit (ITU-T T.81, G.1.1.1)."""
    done: dict[int, int] = {}
    for scan in scans:
        (count,) = reader.field("B", scan.start)
        first, last, bits = reader.field("BBB", scan.start + 1 + 2 * count)
        final = _ALL_COEFFICIENTS if sequential else 0
        if not sequential and bits & 0xF == 0:
            final = (1 << min(last, 63) + 1) - (1 << min(first, 63))
        for index in range(count):
            (component,) = reader.field("B", scan.start + 1 + 2 * index)
            done[component] = done.get(component, 0) | final
    return list(done.values()).count(_ALL_COEFFICIENTS) >= components


def _next_restart(reader: BoundedReader, start: int, end: int) -> bytes:
    places = [reader.find_last(marker, start, end) for marker in _RESTARTS]
    latest = max(places)
    return _RESTARTS[0] if latest < 0 else _RESTARTS[(places.index(latest) + 1) % len(_RESTARTS)]
