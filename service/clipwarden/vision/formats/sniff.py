"""Untrusted bytes in, image format and pixel size out, read from fixed places without decoding or allocating.

Costs microseconds, so a server may call it at admission. A size that is not where it should be is None: the decoder
proper, which checks again, then has the last word.
"""

import struct

from clipwarden.vision.formats.ifd import first_page_size
from clipwarden.vision.formats.jpeg import frame_size

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

_AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")
_TIFF_PREFIXES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_CORE_HEADER = 12
_BMP_HEADERS = (_BMP_CORE_HEADER, 40, 52, 56, 64, 108, 124)

Size = tuple[int, int]


def sniff_format(data: bytes) -> str | None:
    """Name the format by its magic bytes.

    Args:
        data: The file.

    Returns:
        One of `FORMATS`, or None.

    Source: the formats' specifications; the same prefixes as Pillow's `_accept` functions.
    """
    if data[4:8] == b"ftyp" and data[8:12] in _AVIF_BRANDS:
        return "AVIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    prefixes = {
        "JPEG": (b"\xff\xd8\xff",),
        "PNG": (b"\x89PNG\r\n\x1a\n",),
        "GIF": (b"GIF87a", b"GIF89a"),
        "TIFF": _TIFF_PREFIXES,
        "BMP": (b"BM",),
    }
    return next((name for name, magic in prefixes.items() if data.startswith(magic)), None)


def sniff_size(data: bytes, image_format: str) -> Size | None:
    """Read width and height in pixels as stored, before any orientation.

    Args:
        data: The file.
        image_format: As `sniff_format` named it.

    Returns:
        (width, height), or None where the header is damaged or, as in AVIF, not at a fixed place.
    """
    readers = {
        "JPEG": frame_size,
        "PNG": _png_size,
        "WEBP": _webp_size,
        "GIF": _gif_size,
        "BMP": _bmp_size,
        "TIFF": first_page_size,
    }
    try:
        return readers[image_format](data) if image_format in readers else None
    except struct.error:  # the header ends too early
        return None


def _png_size(data: bytes) -> Size | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> Size | None:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size not in _BMP_HEADERS:
        return None
    width, height = struct.unpack_from("<HH" if header_size == _BMP_CORE_HEADER else "<ii", data, 18)
    # A negative height means rows from the top down.
    return abs(width), abs(height)


def _webp_size(data: bytes) -> Size | None:
    chunk = data[12:16]
    if chunk == b"VP8X":
        return _uint24(data, 24) + 1, _uint24(data, 27) + 1
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _uint24(data: bytes, offset: int) -> int:
    low, high = struct.unpack_from("<HB", data, offset)
    return int(low | high << 16)
