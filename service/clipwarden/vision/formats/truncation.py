"""A file that failed to decode in, whether its end is missing out: so that callers know to send it again."""

import struct
from collections.abc import Callable

from clipwarden.vision.formats.ifd import data_ends_at


def looks_cut_short(data: bytes, image_format: str) -> bool:
    """Tell whether a file ends before its format says it should.

    Only asked about files that could not be decoded: some decodable ones lack their end marker.

    Args:
        data: The file.
        image_format: As `sniff.sniff_format` named it.

    Returns:
        True when the end is missing; False when it is there, or when the format does not say where it would be.
    """
    test = _TESTS.get(image_format)
    try:
        return test is not None and test(data)
    except struct.error:  # not even the header is whole
        return True


def _jpeg(data: bytes) -> bool:
    return b"\xff\xd9" not in data


def _png(data: bytes) -> bool:
    return b"IEND" not in data


def _gif(data: bytes) -> bool:
    return not data.endswith(b";")


def _webp(data: bytes) -> bool:
    (size,) = struct.unpack_from("<I", data, 4)
    return len(data) < int(size) + 8


def _bmp(data: bytes) -> bool:
    (size,) = struct.unpack_from("<I", data, 2)
    return len(data) < int(size)


def _avif(data: bytes) -> bool:
    """Walk the top-level boxes: the last one must end where the file does."""
    position = 0
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size == 0:  # runs to the end, wherever that is
            return False
        position += max(8, size)
    return position > len(data)


def _tiff(data: bytes) -> bool:
    return data_ends_at(data) > len(data)


_TESTS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "BMP": _bmp,
    "AVIF": _avif,
    "TIFF": _tiff,
}
