"""A BMP's bytes in, what it shows out, by the fields of its header."""

import struct
from contextlib import suppress

from clipwarden.vision.formats.reader import BoundedReader, Budget
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, Chromaticities, ColourTags, Structure

# The fields of a header of version 5, the pixels and the profile.
BMP_BUDGET = Budget(bytes=256, passes=2)

_FILE_HEADER_BYTES = 14
_VERSION_3, _VERSION_4, _VERSION_5 = 56, 108, 124
# Values of bV5CSType (wingdi.h): the header's own figures, or a profile behind the pixels.
_CALIBRATED, _EMBEDDED = 0, int.from_bytes(b"MBED", "big")
_CORE_HEADER = 12
_PALETTE_BITS = 8
_BITS_AT, _COLOURS_AT = 28, 46
_PIXELS_AT, _SIZE_AT, _HEIGHT_AT, _ALPHA_MASK_AT = 10, 18, 22, 14 + 52
_FOUR_BYTES, _BIT_FIELDS = 32, 3
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
    """
    reader = BoundedReader(data, BMP_BUDGET)
    try:
        tags = _colour_tags(reader)
    except struct.error:
        tags = ColourTags(broken=True)
    with suppress(struct.error):
        data = _with_possible_palette(reader, _without_clear_alpha(reader, data))
    return Structure(data=data, orientation=1, colour=tags)


def _with_possible_palette(reader: BoundedReader, data: bytes) -> bytes:
    """Have a palette announce no more colours than pixels can ask for: Pillow refuses such a file, browsers do not."""
    header_size, bits = *reader.field("<I", _FILE_HEADER_BYTES), *reader.field("<H", _BITS_AT)
    (colours,) = reader.field("<I", _COLOURS_AT)
    if header_size <= _CORE_HEADER or bits > _PALETTE_BITS or colours <= 1 << bits:
        return data
    return b"".join((data[:_COLOURS_AT], struct.pack("<I", 1 << bits), data[_COLOURS_AT + 4 :]))


def _without_clear_alpha(reader: BoundedReader, data: bytes) -> bytes:
    """Take the alpha channel away where it is 0 throughout: browsers show such a picture, Pillow nothing of it."""
    (header_size,) = reader.field("<I", _FILE_HEADER_BYTES)
    if header_size < _VERSION_3:
        return data
    (start,) = reader.field("<I", _PIXELS_AT)
    width, height, _, bits, compression = reader.field("<iiHHI", _SIZE_AT)
    (mask,) = reader.field("<I", _ALPHA_MASK_AT)
    if (bits, compression) != (_FOUR_BYTES, _BIT_FIELDS) or mask not in _ALPHA_BYTE:
        return data
    pixels = reader.body(start, max(0, min(4 * width * abs(height), len(data) - start)))
    alphas = bytes(pixels[_ALPHA_BYTE[mask] :: 4])
    return data if alphas.strip(b"\0") else b"".join((data[:_ALPHA_MASK_AT], bytes(4), data[_ALPHA_MASK_AT + 4 :]))


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
    header_size, width, height, _, bits, compression = reader.field("<IiiHHI", _FILE_HEADER_BYTES)
    if header_size <= _CORE_HEADER or compression not in (0, _BIT_FIELDS) or not width * bits:
        return None
    rows = (len(data) - start) // (-(-abs(width) * bits // 32) * 4)
    if not 0 < rows < abs(height):
        return None
    kept = struct.pack("<i", rows if height > 0 else -rows)
    view = memoryview(data)
    return b"".join((view[:_HEIGHT_AT], kept, view[_HEIGHT_AT + 4 :])), rows / abs(height)


def _colour_tags(reader: BoundedReader) -> ColourTags:
    (header_size,) = reader.field("<I", _FILE_HEADER_BYTES)
    if header_size not in (_VERSION_4, _VERSION_5):
        return NO_TAGS
    kind, *figures = reader.field("<I9i3I", _COLOUR_SPACE_AT)
    if kind == _CALIBRATED:
        return _calibrated([figure / 2**30 for figure in figures[:9]], [figure / 2**16 for figure in figures[9:]])
    if kind == _EMBEDDED and header_size == _VERSION_5:
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
    return ColourTags(icc=bytes(reader.body(_FILE_HEADER_BYTES + start, size)))
