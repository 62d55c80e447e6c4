"""A BMP's bytes in, what it shows out, by the fields of its header."""

import struct
from contextlib import suppress
from dataclasses import replace

from clipwarden.vision.formats.bmpkind import (
    BIT_FIELDS,
    CORE_HEADER,
    FILE_HEADER_BYTES,
    RGB,
    RLE4,
    RLE8,
    STANDARD_MASKS,
    VERSION_4,
    VERSION_5,
    Kind,
    read_kind,
)
from clipwarden.vision.formats.bmpruns import leaves_out
from clipwarden.vision.formats.reader import BoundedReader, Budget
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, Chromaticities, ColourTags, Structure

# The fields of a header of version 5, the pixels and the profile.
BMP_BUDGET = Budget(bytes=256, passes=2)

# Values of bV5CSType (wingdi.h): the header's own figures, or a profile behind the pixels.
_CALIBRATED, _EMBEDDED = 0, int.from_bytes(b"MBED", "big")
_PALETTE_BITS, _FOUR_BYTES = 8, 32
_COMPRESSION_AT, _COLOURS_AT = 30, 46
_PIXELS_AT, _HEIGHT_AT, _MASKS_AT, _ALPHA_MASK_AT = 10, 22, 14 + 40, 14 + 52
# Where alpha lies in a pixel, by its mask.
_ALPHA_BYTE = {0xFF000000: 3, 0xFF: 0}
_COLOUR_SPACE_AT, _PROFILE_AT = 14 + 56, 14 + 112
# Chromium takes the x and y of each endpoint for chromaticities, and white for D65.
_D65 = (0.3127, 0.3290)


def structure_of(data: bytes, _limits: DecodeLimits) -> Structure:
    """Say what a BMP shows.

    Args:
        data: The file.

    Returns:
        Its structure.

    Raises:
        ImageError: IMAGE_FORMAT_UNSUPPORTED; a kind that is not decoded here.
    """
    reader = BoundedReader(data, BMP_BUDGET)
    try:
        tags = _colour_tags(reader)
    except struct.error:
        tags = ColourTags(broken=True)
    with suppress(struct.error):
        kind = read_kind(reader)
        tags = replace(tags, broken=tags.broken or _leaves_out(reader, kind))
        data = _with_possible_palette(reader, _with_its_alpha(reader, data, kind), kind)
    return Structure(data=data, orientation=1, colour=tags)


def _leaves_out(reader: BoundedReader, kind: Kind) -> bool:
    """Whether the colours of pixels are left to the viewer; readers differ too on runs at an odd place."""
    if kind.compression not in (RLE8, RLE4):
        return False
    (start,) = reader.field("<I", _PIXELS_AT)
    runs = reader.body(start, max(0, len(reader) - start))
    return bool(start & 1) or leaves_out(runs, kind.width, nibbles=kind.compression == RLE4)


def _with_possible_palette(reader: BoundedReader, data: bytes, kind: Kind) -> bytes:
    """Have a palette announce no more colours than pixels can ask for: Pillow refuses such a file, browsers do not."""
    if kind.header_bytes <= CORE_HEADER or kind.bits > _PALETTE_BITS:
        return data
    (colours,) = reader.field("<I", _COLOURS_AT)
    return data if colours <= 1 << kind.bits else _with_fields(data, _COLOURS_AT, 1 << kind.bits)


def _with_its_alpha(reader: BoundedReader, data: bytes, kind: Kind) -> bytes:
    """Have the decoder see alpha as browsers do: by its mask, even under BI_RGB, unless it is 0 throughout."""
    if kind.bits != _FOUR_BYTES or kind.masks[3] not in _ALPHA_BYTE:
        return data
    (start,) = reader.field("<I", _PIXELS_AT)
    pixels = reader.body(start, max(0, min(4 * kind.width * abs(kind.height), len(data) - start)))
    alphas = bytes(pixels[_ALPHA_BYTE[kind.masks[3]] :: 4])
    if not alphas.strip(b"\0"):
        return _with_fields(data, _ALPHA_MASK_AT, 0)
    if kind.compression == RGB:
        return _with_fields(_with_fields(data, _COMPRESSION_AT, BIT_FIELDS), _MASKS_AT, *STANDARD_MASKS)
    return data


def _with_fields(data: bytes, position: int, *values: int) -> bytes:
    new, view = struct.pack(f"<{len(values)}I", *values), memoryview(data)
    return b"".join((view[:position], new, view[position + len(new) :]))


def rows_there(data: bytes) -> tuple[bytes, float] | None:
    """Find out how many rows a BMP holds that could not be decoded.

    Args:
        data: As `structure_of` gives it.

    Returns:
        A file of these rows (the lower ones, as most BMPs are stored upside down), and their share of all; None
        without one, or where rows are compressed.
    """
    reader = BoundedReader(data, BMP_BUDGET)
    (start,) = reader.field("<I", _PIXELS_AT)
    header_size, width, height, _, bits, compression = reader.field("<IiiHHI", FILE_HEADER_BYTES)
    if header_size <= CORE_HEADER or compression not in (RGB, BIT_FIELDS) or not width * bits:
        return None
    rows = (len(data) - start) // (-(-abs(width) * bits // 32) * 4)
    if not 0 < rows < abs(height):
        return None
    return _with_fields(data, _HEIGHT_AT, (rows if height > 0 else -rows) & 0xFFFFFFFF), rows / abs(height)


def _colour_tags(reader: BoundedReader) -> ColourTags:
    (header_size,) = reader.field("<I", FILE_HEADER_BYTES)
    if header_size not in (VERSION_4, VERSION_5):
        return NO_TAGS
    kind, *figures = reader.field("<I9i3I", _COLOUR_SPACE_AT)
    if kind == _CALIBRATED:
        return _calibrated([figure / 2**30 for figure in figures[:9]], [figure / 2**16 for figure in figures[9:]])
    if kind == _EMBEDDED and header_size == VERSION_5:
        return _embedded(reader)
    return NO_TAGS


def _calibrated(endpoints: list[float], gammas: list[float]) -> ColourTags:
    if not any(endpoints):  # as most writers leave it; Chromium too looks no further
        return NO_TAGS
    red, green, blue = ((endpoints[at], endpoints[at + 1]) for at in (0, 3, 6))
    chromaticities = Chromaticities(white=_D65, red=red, green=green, blue=blue)
    # Under an exponent of 0 Chromium shows all but black as white; so does the least that can be written.
    exponents = [1 / max(gamma, 2**-16) for gamma in gammas]
    return ColourTags(gamma=(exponents[0], exponents[1], exponents[2]), chromaticities=chromaticities)


def _embedded(reader: BoundedReader) -> ColourTags:
    start, size = reader.field("<II", _PROFILE_AT)
    if not 0 < size <= MAX_PROFILE_BYTES:
        return ColourTags(broken=True)
    return ColourTags(icc=bytes(reader.body(FILE_HEADER_BYTES + start, size)))
