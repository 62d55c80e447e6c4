"""Bytes of a named format in, what they show out, once nothing in them would make opening them costly.

Pillow may allocate, loop or decode in proportion to what a header claims; these checks run before it sees the file.
"""

import struct
from collections.abc import Callable, Sequence

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats import bmp, gif, heif, jpeg, png, webp
from clipwarden.vision.formats.ifd import (
    DIRECTORIES_BUDGET,
    PROFILE_BUDGET,
    count_pages,
    find_excess,
    first_page_profile,
    tile_pixels,
)
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader, Budget, BudgetSpentError
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.structure import MAX_FRAMES_COUNTED, ColourTags, Structure

# Of each page 16 bytes, and of the header as many.
PAGES_BUDGET = Budget(entries=MAX_FRAMES_COUNTED, bytes=16 * (MAX_FRAMES_COUNTED + 1))


def read_structure(
    data: bytes, image_format: str, limits: DecodeLimits, segments: Sequence[jpeg.Segment] | None = None
) -> Structure:
    """Say what a file shows, before Pillow opens it, and refuse what would make opening or decoding it costly.

    Args:
        data: The file; untrusted.
        image_format: As `sniff.sniff_format` named it.
        limits: What to refuse.
        segments: Of a JPEG's header, where they are known; None finds them.

    Returns:
        The structure.

    Raises:
        ImageError: Opening the file would be too costly, or its structure is damaged.
    """
    if image_format == "JPEG":
        return jpeg.structure_of(data, jpeg.segments_of(data, segments))
    return _STRUCTURES[image_format](data, limits)


def _tiff_structure(data: bytes, _limits: DecodeLimits) -> Structure:
    try:
        excess = find_excess(BoundedReader(data, DIRECTORIES_BUDGET))
    except BudgetSpentError:
        excess = "it claims too many directories"
    except struct.error:
        excess = None  # a damaged directory: Pillow will say so
    if excess is not None:
        raise ImageError(f"The TIFF is not plausible: {excess}.", reason=Reason.IMAGE_CORRUPT)
    pages = count_pages(BoundedReader(data, PAGES_BUDGET), limit=MAX_FRAMES_COUNTED)
    profile, broken = first_page_profile(BoundedReader(data, PROFILE_BUDGET))
    return Structure(
        data=data,
        frames_total=pages,
        colour=ColourTags(icc=profile, broken=broken),
        coded_pixels=tile_pixels(BoundedReader(data, HEADER_BUDGET)),
    )


_STRUCTURES: dict[str, Callable[[bytes, DecodeLimits], Structure]] = {
    "PNG": png.structure_of,
    "WEBP": webp.structure_of,
    "GIF": gif.structure_of,
    "BMP": bmp.structure_of,
    "TIFF": _tiff_structure,
    "AVIF": heif.avif_structure,
    "HEIC": heif.heic_structure,
}
