"""A BMP's bytes in, what it shows out, by the fields of its header."""

import struct

from clipwarden.vision.formats.reader import BoundedReader, Budget
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, Chromaticities, ColourTags, Structure

# The fields of a header of version 5, and the profile once.
BMP_BUDGET = Budget(bytes=128, passes=1)

_FILE_HEADER_BYTES = 14
_VERSION_4, _VERSION_5 = 108, 124
# Values of bV5CSType (wingdi.h): the header's own figures, or a profile behind the pixels.
_CALIBRATED, _EMBEDDED = 0, int.from_bytes(b"MBED", "big")
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
    try:
        tags = _colour_tags(BoundedReader(data, BMP_BUDGET))
    except struct.error:
        tags = ColourTags(broken=True)
    return Structure(data=data, colour=tags)


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
    if len(set(gammas)) > 1 or not gammas[0]:
        return ColourTags(broken=True)
    chromaticities = Chromaticities(white=_D65, red=red, green=green, blue=blue)
    return ColourTags(gamma=1 / gammas[0], chromaticities=chromaticities)


def _embedded(reader: BoundedReader) -> ColourTags:
    start, size = reader.field("<II", _PROFILE_AT)
    if not 0 < size <= MAX_PROFILE_BYTES:
        return ColourTags(broken=True)
    return ColourTags(icc=bytes(reader.body(_FILE_HEADER_BYTES + start, size)))
