"""A JPEG's bytes in, its size and what it shows out, by walking its markers.

Every scan of a progressive JPEG passes over the whole picture again, and takes two dozen bytes to ask for: 20 MiB of
them would keep a decoder busy for hours, whatever the pixel limit.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, ColourTags, Structure

# Once the bodies of those segments of the header that say something; finding them is on a `HEADER_BUDGET`.
BODIES_BUDGET = Budget(passes=1)

# A file of 64 scans, each behind a few tables, and of 20 MiB of metadata has below a thousand markers. One pass counts
# the marks of scans, one walks from marker to marker; a marker's length may belong to the next one too.
SCANS_BUDGET = Budget(entries=HEADER_BUDGET.entries, bytes=2 * HEADER_BUDGET.entries, passes=2)

# Encoders write about ten (libjpeg's default script), optimisers up to twenty. Measured: one more scan of 50 million
# pixels takes 40 ms, so these take 2.5 s.
_MAX_SCANS = 64
_PROFILE_MARKER, _PROFILE_PREFIX = 0xE2, b"ICC_PROFILE\0"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
# A marker, and the length that follows unless it stands alone.
_MARKER = re.compile(rb"\xff([^\xff])(..)?", re.DOTALL)
# In coded data FF is followed by 00 (stuffing), D0-D7 (restart) or FF (fill); anything else is the next marker.
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])(..)?", re.DOTALL)


def frame_size(reader: BoundedReader) -> tuple[int, int] | None:
    """Read width and height from the first frame header.

    Args:
        reader: Of a JPEG file, on a `HEADER_BUDGET`; a segment costs an entry, 4 bytes and the fill before it.

    Returns:
        (width, height) in pixels; None when no frame header comes before the first scan.

    Raises:
        struct.error: The file ends inside the frame header, or the budget before it.
    """
    for segment in _segments(reader):
        if segment.marker in _FRAME_HEADERS:
            height, width = reader.field(">HH", segment.start + 1)
            return width, height
    return None


def structure_of(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what a JPEG shows.

    Pillow reads fill byte by byte and segment by segment in Python: 20 MiB of either took it 12 and 7 seconds. So the
    first scan has to come within as many segments and fill bytes as honest files have.

    Args:
        data: The file.

    Returns:
        Its structure. Further pictures in the file (MPF: previews, depth and gain maps) are never displayed.

    Raises:
        ImageError: IMAGE_CORRUPT; it asks for more scans or has more markers than honest files.
        ValueError: The file ends before its first scan.
        BudgetSpentError: The budget does.
    """
    segments = list(_segments(BoundedReader(data, HEADER_BUDGET)))
    if not segments or segments[-1].marker != _START_OF_SCAN:
        raise ValueError("no scan")
    _check_scans(data)
    bodies = BoundedReader(data, BODIES_BUDGET)
    return Structure(data=data, colour=_colour_tags(bodies, segments))


class _Segment(NamedTuple):
    """A marker, and where the body lies behind its length, in bytes; a marker that stands alone has none."""

    marker: int
    start: int
    size: int


def _segments(reader: BoundedReader) -> Iterator[_Segment]:
    """Yield each segment up to the first scan's."""
    position = 2
    while found := reader.search(_MARKER, position):
        marker = found[1][0]
        length = 0 if marker in _STANDALONE else _length(found)
        yield _Segment(marker, found.end(1) + 2, max(0, length - 2))
        if marker == _START_OF_SCAN:
            return
        position = found.end(1) + length


def _colour_tags(reader: BoundedReader, segments: Sequence[_Segment]) -> ColourTags:
    """Put the ICC profile together from its numbered parts (ICC.1:2022, B.4)."""
    marked = [
        segment
        for segment in segments
        if segment.marker == _PROFILE_MARKER
        and segment.size > len(_PROFILE_PREFIX) + 2
        and reader.body(segment.start, len(_PROFILE_PREFIX)) == _PROFILE_PREFIX
    ]
    if not marked:
        return NO_TAGS
    bodies = [reader.body(segment.start, segment.size)[len(_PROFILE_PREFIX) :] for segment in marked]
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
    return ColourTags(icc=icc, broken=len(marked) > total)


def _check_scans(data: bytes) -> None:
    try:
        excess = has_more_scans_than(BoundedReader(data, SCANS_BUDGET), _MAX_SCANS)
    except BudgetSpentError as exc:
        raise ImageError(
            f"The JPEG has more than {SCANS_BUDGET.entries} markers.", reason=Reason.IMAGE_CORRUPT
        ) from exc
    if excess:
        raise ImageError(f"The JPEG asks for more than {_MAX_SCANS} scans.", reason=Reason.IMAGE_CORRUPT)


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
    if reader.count(bytes((0xFF, _START_OF_SCAN))) <= limit:
        return False
    scans, position = 0, 2
    while scans <= limit and (found := reader.search(_NEXT_MARKER, position)):
        marker, position = found[1][0], found.end(1)
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        if marker not in _STANDALONE:
            position += _length(found)
    return scans > limit


def _length(found: re.Match[bytes]) -> int:
    """Bytes of a marker's segment, its two of length included; 0 where the file ends."""
    return int.from_bytes(found[2] or b"", "big")
