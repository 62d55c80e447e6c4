"""Untrusted bytes in, image format and pixel size out, read from headers without decoding or allocating.

Costs at most a `HEADER_BUDGET`: this decides who may go further. A size that is not where it should be is None: the
decoder proper, which checks again, then has the last word.
"""

import struct
from collections.abc import Callable, Sequence

from clipwarden.vision.formats.heifheader import heif_size, sniff_heif
from clipwarden.vision.formats.ifd import first_page_size
from clipwarden.vision.formats.jpeg import Segment, frame_size, segments_of
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader
from clipwarden.vision.formats.webp import picture_size

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")

_PREFIXES = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "BMP": (b"BM",),
}
_BMP_CORE_HEADER = 12
_BMP_HEADERS = (_BMP_CORE_HEADER, 40, 52, 56, 64, 108, 124)

Size = tuple[int, int]


def sniff_format(data: bytes) -> str | None:
    """Name the format by its magic bytes, among the first 12; AVIF and HEIC by brands and items, behind these.

    Args:
        data: The file, or as much of its beginning as there is.

    Returns:
        One of `FORMATS`, or None. Which of them can be opened here, `opening.readable_formats` says.

    Source: the formats' specifications; the same prefixes as Pillow's `_accept` functions.
    """
    if data[4:8] == b"ftyp":
        name = sniff_heif(BoundedReader(data, HEADER_BUDGET))
        return name if name in FORMATS else None
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for name, magic in _PREFIXES.items():
        if data.startswith(magic):
            return name
    return None


def sniff_size(data: bytes, image_format: str, segments: Sequence[Segment] | None = None) -> Size | None:
    """Read width and height in pixels as stored, before any orientation; costs at most a `HEADER_BUDGET`.

    Args:
        data: The file.
        image_format: As `sniff_format` named it.
        segments: Of a JPEG's header, where they are known; None finds them.

    Returns:
        (width, height), or None where the header is damaged.
    """
    read = _SIZE_READERS.get(image_format)
    try:
        if image_format == "JPEG":
            return frame_size(data, segments_of(data, segments))
        return read(BoundedReader(data, HEADER_BUDGET)) if read else None
    except struct.error:  # the header ends too early, or never
        return None


def _png_size(reader: BoundedReader) -> Size | None:
    if reader.field("4s", 12) != (b"IHDR",):
        return None
    width, height = reader.field(">II", 16)
    return width, height


def _gif_size(reader: BoundedReader) -> Size:
    width, height = reader.field("<HH", 6)
    return width, height


def _bmp_size(reader: BoundedReader) -> Size | None:
    (header_size,) = reader.field("<I", 14)
    if header_size not in _BMP_HEADERS:
        return None
    width, height = reader.field("<HH" if header_size == _BMP_CORE_HEADER else "<ii", 18)
    # A negative height means rows from the top down.
    return abs(width), abs(height)


def _webp_size(reader: BoundedReader) -> Size | None:
    (chunk,) = reader.field("4s", 12)
    if chunk == b"VP8X":
        return _uint24(reader, 24) + 1, _uint24(reader, 27) + 1
    return picture_size(reader, chunk, 20) if chunk in (b"VP8L", b"VP8 ") else None


def _uint24(reader: BoundedReader, position: int) -> int:
    low, high = reader.field("<HB", position)
    return int(low | high << 16)


_SIZE_READERS: dict[str, Callable[[BoundedReader], Size | None]] = {
    "PNG": _png_size,
    "WEBP": _webp_size,
    "GIF": _gif_size,
    "BMP": _bmp_size,
    "TIFF": first_page_size,
    "AVIF": heif_size,
    "HEIC": heif_size,
}
