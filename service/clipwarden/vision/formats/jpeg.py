"""A JPEG's bytes in, its size and what it shows out, by walking its markers.

Every scan of a progressive JPEG passes over the whole picture again, and takes two dozen bytes to ask for: 64 MiB of
them would keep a decoder busy for hours, whatever the pixel limit.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.exif import Exif, read_exif, shown_size
from clipwarden.vision.formats.gainmap import ISO_PREFIX, XMP_PREFIX, is_odd_jpeg
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, ColourTags, Structure

# Once the bodies of those segments of the header that say something; finding them is on a `HEADER_BUDGET`.
BODIES_BUDGET = Budget(passes=1)

# A file of 64 scans, each behind a few tables, and of 64 MiB of metadata has below 1,500 markers. One pass counts
# the marks of scans, one walks from marker to marker; a marker's length may belong to the next one too.
SCANS_BUDGET = Budget(entries=HEADER_BUDGET.entries, bytes=2 * HEADER_BUDGET.entries, passes=2)

# Encoders write about ten (libjpeg's default script), optimisers up to twenty. Measured: one more scan of 50 million
# pixels takes 30 to 40 ms. 64 of a picture of 62 million take 3 s, and so do 20 of a phone's 200 million.
_USUAL_SCANS = 10
_MAX_SCANNED_PIXELS = 4_000_000_000
_MAX_SCANS = 64
_PROFILE_MARKER, _PROFILE_PREFIX = 0xE2, b"ICC_PROFILE\0"
# Comments, and application segments but for Adobe's (APP14).
_METADATA = frozenset({0xFE, *range(0xE0, 0xF0)}) - {0xEE}
_JFIF_MARKER, _JFIF_BYTES = 0xE0, 14
_MPF_PREFIX = b"MPF\0"  # an index of further pictures
_EXIF_MARKER, _EXIF_PREFIX = 0xE1, b"Exif\0"
_TELLING = {_EXIF_MARKER: (XMP_PREFIX,), _PROFILE_MARKER: (_MPF_PREFIX, ISO_PREFIX)}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
START_OF_SCAN = 0xDA
END_OF_IMAGE = 0xD9
# What costs next to nothing beside a `HEADER_BUDGET`; phones write a dozen or two. More are not kept while an image
# waits: of 4,000 comments they take 28 times the bytes of the file.
FEW_SEGMENTS, _MARK = 64, 0xFF
# A marker, and the length that follows unless it stands alone.
_MARKER = re.compile(rb"\xff([^\xff])(..)?", re.DOTALL)
# In coded data FF is followed by 00 (stuffing), D0-D7 (restart) or FF (fill); anything else is the next marker.
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])(..)?", re.DOTALL)


class Segment(NamedTuple):
    """A marker, and where the body lies behind its length, in bytes; a marker that stands alone has none."""

    marker: int
    start: int
    size: int


def segments_of(data: bytes, known: Sequence[Segment] | None) -> Sequence[Segment]:
    """Give a header's segments: those that are known, though they be none, or else those that are found.

    Args:
        data: The file.
        known: As `header_segments` found them; None where nobody has looked.
    """
    return header_segments(data) if known is None else known


def header_segments(data: bytes) -> tuple[Segment, ...]:
    """List each segment up to the first scan's: the one walk that all who ask about a header share.

    Args:
        data: The file.

    Returns:
        The last is the first scan's; none is where the file, or a `HEADER_BUDGET`, ends before it. A segment costs an
        entry, 4 bytes and the fill before it; up to 64 of a header without fill come on top of that.
    """
    return _plain_segments(data) or _searched_segments(data)


def _plain_segments(data: bytes) -> tuple[Segment, ...]:
    """List a header's segments where they are few, and each begins where the one before it ends; else none.

    As encoders write them: a fifth of what searching for each takes.
    """
    found, position, last = list[Segment](), 2, len(data) - 4
    while position <= last and len(found) < FEW_SEGMENTS:
        marker, length = data[position + 1], data[position + 2] << 8 | data[position + 3]
        if data[position] != _MARK or marker == _MARK or marker in _STANDALONE:
            break
        found.append(Segment(marker, position + 4, max(0, length - 2)))
        if marker == START_OF_SCAN:
            return tuple(found)
        position += 2 + length
    return ()


def _searched_segments(data: bytes) -> tuple[Segment, ...]:
    reader, found, position = BoundedReader(data, HEADER_BUDGET), list[Segment](), 2
    with suppress(BudgetSpentError):
        while match := reader.search(_MARKER, position):
            kind, size = match.groups()
            marker, at = kind[0], match.end(1)
            length = 0 if marker in _STANDALONE or size is None else int.from_bytes(size, "big")
            found.append(Segment(marker, at + 2, max(0, length - 2)))
            if marker == START_OF_SCAN:
                break
            position = at + length
    return tuple(found)


def frame_size(data: bytes, segments: Sequence[Segment]) -> tuple[int, int] | None:
    """Read width and height from the first frame header.

    Args:
        data: The file.
        segments: Of its header.

    Returns:
        (width, height) in pixels; None when no frame header comes before the first scan.

    Raises:
        struct.error: The file ends inside the frame header.
    """
    return next((_frame_size(data, each) for each in segments if each.marker in FRAME_HEADERS), None)


def structure_of(data: bytes, segments: Sequence[Segment]) -> Structure:
    """Say what a JPEG shows.

    Pillow reads fill byte by byte and segment by segment in Python: 20 MiB of either took it 12 and 7 seconds. So the
    first scan has to come within as many segments and fill bytes as honest files have.

    Args:
        data: The file.
        segments: Of its header.

    Returns:
        Its structure. Of further pictures in the file (MPF: previews, depth and gain maps) only a gain map is ever
        drawn, over this one; flagged where that could be seen on ordinary screens.

    Raises:
        ImageError: IMAGE_CORRUPT; it asks for more scans or has more markers than honest files.
        ValueError: The file, or the budget, ends before its first scan.
    """
    if not segments or segments[-1].marker != START_OF_SCAN:
        raise ValueError("no scan")
    sizes = [_frame_size(data, each) for each in segments if each.marker in FRAME_HEADERS]
    _check_scans(data, _most_scans(sizes))
    bodies = BoundedReader(data, BODIES_BUDGET)
    exif, colour = _exif(bodies, segments), _colour_tags(bodies, segments)
    if not colour.broken and _is_repainted(data, segments):
        colour = replace(colour, broken=True)
    return Structure(
        data=data,
        orientation=exif.orientation,
        colour=colour,
        shown_size=shown_size(exif, sizes[0]) if sizes and all(sizes[0]) else None,
    )


def _colour_tags(reader: BoundedReader, segments: Sequence[Segment]) -> ColourTags:
    """Put the ICC profile together from its numbered parts (ICC.1:2022, B.4)."""
    marked = [reader.body(each.start, each.size) for each in segments if each.marker == _PROFILE_MARKER]
    start = len(_PROFILE_PREFIX)
    bodies = [body[start:] for body in marked if body[:start] == _PROFILE_PREFIX and len(body) > start + 2]
    if not bodies:
        return NO_TAGS
    total, parts = bodies[0][1], dict[int, memoryview]()
    for body in bodies:
        # Chromium stops once all parts are there; libjpeg would find that one too many is none at all.
        if len(parts) == total or body[1] != total or not 0 < body[0] <= total or body[0] in parts:
            break
        parts[body[0]] = body[2:]
    size = sum(map(len, parts.values()))
    if len(parts) < total or not 0 < size <= MAX_PROFILE_BYTES:
        return ColourTags(broken=True)
    icc = b"".join(parts[number] for number in range(1, total + 1))
    return ColourTags(icc=icc, broken=len(bodies) > total)


def _is_repainted(data: bytes, segments: Sequence[Segment]) -> bool:
    """Whether another picture in the file might be drawn over this one; only behind a header that tells of others."""
    for marker, start, _ in segments:
        if marker in _TELLING and data.startswith(_TELLING[marker], start):
            return is_odd_jpeg(data, {each.start for each in segments})
    return False


def without_metadata(data: bytes) -> bytes:
    """Drop what draws nothing ahead of the scan, so that no damage there keeps Pillow from reading the picture.

    Args:
        data: The file.

    Returns:
        A copy without bytes between segments, comments and application segments, but for those that tell libjpeg which
        colours these are: JFIF at its whole length, and Adobe's.
    """
    view, scan = memoryview(data), len(data)  # copied once, when all is joined
    kept = [view[:2]]
    for segment in header_segments(data):
        start, stop = segment.start - 4, segment.start + segment.size
        if segment.marker == START_OF_SCAN:
            scan = start
        elif segment.marker in _STANDALONE:
            kept.append(view[start : start + 2])
        elif segment.marker not in _METADATA or (segment.marker == _JFIF_MARKER and segment.size >= _JFIF_BYTES):
            kept.append(view[start:stop])
    return b"".join((*kept, view[scan:]))


def _exif(reader: BoundedReader, segments: Sequence[Segment]) -> Exif:
    """Read the first EXIF segment; Chromium looks at no other, even where that one says nothing."""
    bodies = (reader.body(each.start, each.size) for each in segments if each.marker == _EXIF_MARKER)
    start = len(_EXIF_PREFIX)
    # The sixth byte of the prefix may be any, and alone it is no segment.
    block = next((body for body in bodies if body[:start] == _EXIF_PREFIX and len(body) > start + 1), None)
    return Exif() if block is None else read_exif(bytes(block[start + 1 :]))


def _frame_size(data: bytes, segment: Segment) -> tuple[int, int]:
    height, width = struct.unpack_from(">HH", data, segment.start + 1)
    return width, height


def _most_scans(sizes: Sequence[tuple[int, int]]) -> int:
    """Compute how many scans a picture of such a size may ask for."""
    pixels = max((width * height for width, height in sizes), default=0)
    return min(_MAX_SCANS, max(_USUAL_SCANS, _MAX_SCANNED_PIXELS // max(1, pixels)))


def _check_scans(data: bytes, most: int) -> None:
    try:
        excess = has_more_scans_than(BoundedReader(data, SCANS_BUDGET), most)
    except BudgetSpentError as exc:
        raise ImageError(
            f"The JPEG has more than {SCANS_BUDGET.entries} markers.", reason=Reason.IMAGE_CORRUPT
        ) from exc
    if excess:
        raise ImageError(f"The JPEG asks for more than {most} scans.", reason=Reason.IMAGE_CORRUPT)


def has_more_scans_than(reader: BoundedReader, limit: int) -> bool:
    """Tell whether a JPEG asks for more scans than `limit`.

    Args:
        reader: Of a JPEG file, on a `SCANS_BUDGET`.
        limit: Most scans to accept.

    Returns:
        True above the limit. Markers inside segments, and whatever follows the end of the image, do not count.

    Raises:
        BudgetSpentError: Too many other markers stand between the scans.
    """
    # The mark of a scan can also turn up by chance, but a file without that many marks needs no walk.
    if reader.count(bytes((0xFF, START_OF_SCAN))) <= limit:
        return False
    scans = 0
    for segment in coded_segments(reader, 2):
        scans += segment.marker == START_OF_SCAN
        if segment.marker == END_OF_IMAGE or scans > limit:
            break
    return scans > limit


def coded_segments(reader: BoundedReader, position: int) -> Iterator[Segment]:
    """Yield segments where coded data may stand between them.

    Args:
        reader: Of a JPEG file; a segment costs an entry, and its bytes and those before it as many.
        position: Where to begin, in bytes from the start.
    """
    while found := reader.search(_NEXT_MARKER, position):
        marker = found[1][0]
        length = 0 if marker in _STANDALONE else _length(found)
        yield Segment(marker, found.end(1) + 2, max(0, length - 2))
        position = found.end(1) + length


def _length(found: re.Match[bytes]) -> int:
    """Bytes of a marker's segment, its two of length included; 0 where the file ends."""
    return int.from_bytes(found[2] or b"", "big")
