"""A file that failed to decode in, whether its end is missing out: so that callers know to send it again."""

import struct
from collections.abc import Callable

from clipwarden.vision.formats.ifd import MAX_TILES, data_ends_at
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget, BudgetSpentError

# By format, what looking for the end may cost. An AVIF or a HEIC has a handful of boxes at the top, whose size stands
# in up to 16 bytes; a TIFF a directory and four tables of up to 8 bytes a value; the others a field or one pass.
TRUNCATION_BUDGETS = {
    "JPEG": Budget(passes=1),
    "PNG": Budget(passes=1),
    "GIF": Budget(bytes=1),
    "WEBP": Budget(bytes=4),
    "BMP": Budget(bytes=4),
    "AVIF": Budget(entries=1000, bytes=16 * 1000),
    "HEIC": Budget(entries=1000, bytes=16 * 1000),
    "TIFF": Budget(entries=HEADER_BUDGET.entries + 4 * MAX_TILES, bytes=HEADER_BUDGET.bytes + 4 * 8 * MAX_TILES),
}


def looks_cut_short(data: bytes, image_format: str) -> bool:
    """Tell whether a file ends before its format says it should; costs at most its `TRUNCATION_BUDGETS`.

    Only asked about files that could not be decoded: some decodable ones lack their end marker.

    Args:
        data: The file.
        image_format: As `sniff.sniff_format` named it.

    Returns:
        True when the end is missing; False when it is there, or when the format does not say where it would be.
    """
    test = _TESTS.get(image_format)
    try:
        return test is not None and test(BoundedReader(data, TRUNCATION_BUDGETS[image_format]))
    except BudgetSpentError:  # damaged, and on purpose
        return False
    except struct.error:  # not even the header is whole
        return True


def _jpeg(reader: BoundedReader) -> bool:
    return reader.count(b"\xff\xd9") == 0


def _png(reader: BoundedReader) -> bool:
    return reader.count(b"IEND") == 0


def _gif(reader: BoundedReader) -> bool:
    return reader.field("c", len(reader) - 1) != (b";",)


def _webp(reader: BoundedReader) -> bool:
    (size,) = reader.field("<I", 4)
    return len(reader) < int(size) + 8


def _bmp(reader: BoundedReader) -> bool:
    (size,) = reader.field("<I", 2)
    return len(reader) < int(size)


def _iso_media(reader: BoundedReader) -> bool:
    """Walk the top-level boxes: none may claim more than is there, but for junk behind the picture's data."""
    position, has_data = 0, False
    while position < len(reader):
        if has_data and position + 8 > len(reader):
            return False
        size, kind = reader.entry(">I4s", position)
        if size == 1:
            (size,) = reader.field(">Q", position + 8)
        if size == 0 or (has_data and not kind.isalpha()):  # it runs to the end, wherever that is; or is no box
            return False
        has_data |= kind == b"mdat"
        position += max(8, size)
    return position > len(reader)


def _tiff(reader: BoundedReader) -> bool:
    return data_ends_at(reader) > len(reader)


_TESTS: dict[str, Callable[[BoundedReader], bool]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "BMP": _bmp,
    "AVIF": _iso_media,
    "HEIC": _iso_media,
    "TIFF": _tiff,
}
