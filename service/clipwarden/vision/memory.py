"""What a file says of its pixels in, the most bytes that a decode of it holds at once out.

Measured, not guessed: `python -m bench.memory` prints each kind's figure beside this one, and a test holds them against
each other. A decode has two peaks, and the higher one counts: while the codec works, and while views are made.
"""

from math import ceil

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.formats.layout import PixelLayout, Size
from clipwarden.vision.parts import least_size, parts_of
from clipwarden.vision.plan import Views
from clipwarden.vision.preprocess import MAX_ASPECT, resized_size
from clipwarden.vision.structure import Structure

FIXED_BYTES = 2 * 2**20
"""What any decode takes, however small the picture: buffers of codecs, pages that the allocator rounds up to."""

_CONVERTING_BYTES = 10 * 2**20
"""What conversion has in hand at once (`colour.images`, `colour.pixels`)."""

# The profile put together, Pillow's pieces and its whole, and what is made of it; measured on the largest that are read
# (10 MiB): 5 of nothing but tags, 8 of a table of inks in a JPEG.
_PROFILE_COPIES = 8

# How Pillow stores a pixel; every mode that is not here takes four bytes, RGB and LA included.
_STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_PIXEL_BYTES = 4
_VIEW_BYTES = 3  # of a pixel in the views
# Copies in numpy while a view is made of a mode that Pillow's own conversion would clip (`views.to_rgb`); measured.
_WIDE_WORK_BYTES = {"I": 13, "F": 13}
_16_BIT_WORK_BYTES = 5
_16_BIT_KEYED_WORK_BYTES = 11


def held_bytes(
    layout: PixelLayout,
    preprocessing: Preprocessing,
    *,
    decoded: Size,
    file_bytes: int,
    shown: Size | None = None,
    converts: bool = False,
    profile_bytes: int = 0,
    low_bytes: bool = False,
    views: Views = Views.WHOLE,
) -> int:
    """Compute the most bytes that decoding a file and fitting it to the model's side holds at once.

    Args:
        layout: What is known of its pixels.
        preprocessing: Of the model folder.
        decoded: (width, height) that it is decoded at, in pixels; smaller than stored for most JPEGs.
        file_bytes: Of the file.
        shown: (width, height) that it is stretched to before any turn, in pixels; None where it is not.
        converts: Whether its colours are converted before it is reduced.
        profile_bytes: Of the colour profile that is read for that.
        low_bytes: Whether the low bytes of 16 bits are decoded too.
        views: That are made of it.

    Returns:
        Bytes, copies of the file included.
    """
    stored, decoded_pixels = _area(layout.size), _area(decoded)
    picture = decoded_pixels * (_stored_bytes(layout.mode) + (_PIXEL_BYTES if low_bytes else 0))
    loading = max(stored, layout.coded_pixels) * layout.coding_bytes + picture
    viewing = stored * layout.kept_bytes + picture + decoded_pixels * _view_bytes(layout, preprocessing, converts)
    resizing = _resizing_bytes(shown or layout.size, decoded, preprocessing)
    if views is not Views.WHOLE:
        resizing = max(resizing, _parts_bytes(decoded, preprocessing))
        resizing += _views_bytes(shown or layout.size, preprocessing, views, see_through=layout.see_through)
    bands = _CONVERTING_BYTES if converts else 0
    profile = _PROFILE_COPIES * profile_bytes
    return FIXED_BYTES + bands + profile + layout.copies * file_bytes + resizing + ceil(max(loading, viewing))


def opening_bytes(structure: Structure, *, profile_bytes: int) -> int:
    """Compute the most bytes that opening a file and building its conversion holds at once, its own left aside.

    Args:
        structure: Of the file.
        profile_bytes: Of the colour profile that is read.
    """
    return FIXED_BYTES + structure.opening_bytes + _PROFILE_COPIES * profile_bytes


def decoded_size(layout: PixelLayout, preprocessing: Preprocessing, views: Views = Views.WHOLE) -> Size:
    """Compute the size that Pillow's `draft` has a picture decoded at, (width, height) in pixels.

    Source: `JpegImageFile.draft`: the largest of 8, 4, 2 and 1 that leaves both sides long enough.
    """
    least = least_size(layout.size, preprocessing, views) if layout.scales and _area(layout.size) else None
    if least is None:
        return layout.size
    width, height = layout.size
    room = min(width // least[0], height // least[1])
    scale = 8 if room >= 8 else 4 if room >= 4 else 2 if room >= 2 else 1  # noqa: PLR2004  libjpeg's
    return -(-width // scale), -(-height // scale)


def _resizing_bytes(size: Size, decoded: Size, preprocessing: Preprocessing) -> int:
    """Bytes of the resized picture, and of what it is between two passes: as wide as that, and as high as it was."""
    if not _area(size):
        return 0
    width, height = resized_size(size, preprocessing)
    width, height = min(width, MAX_ASPECT * preprocessing.side), min(height, MAX_ASPECT * preprocessing.side)
    # Upright or turned; where nothing is stretched both are the same.
    return _PIXEL_BYTES * max(width * (decoded[1] + height), height * (decoded[0] + width))


def _parts_bytes(decoded: Size, preprocessing: Preprocessing) -> int:
    """Bytes of one resized part, and of what it is between two passes: as high as the picture at the most."""
    return _PIXEL_BYTES * preprocessing.side * (max(decoded) + preprocessing.side)


def _views_bytes(size: Size, preprocessing: Preprocessing, views: Views, *, see_through: bool) -> int:
    """Bytes of all views, which lie side by side from the first on; one or two are too few to count."""
    if not _area(size):
        return 0
    backgrounds = 2 if see_through else 1
    parts = parts_of(size, preprocessing, views, backgrounds=backgrounds)
    return _VIEW_BYTES * backgrounds * len(parts.boxes) * preprocessing.side**2


def _area(size: Size) -> int:
    return size[0] * size[1]


def _stored_bytes(mode: str) -> int:
    return _STORED_BYTES.get(mode, _PIXEL_BYTES)


def _view_bytes(layout: PixelLayout, preprocessing: Preprocessing, converts: bool) -> int:  # noqa: FBT001  one caller
    """Bytes a decoded pixel on top of the decoded picture, while one view is made and turned; see `views.to_views`."""
    mode, wide = layout.mode, layout.mode.startswith("I;16")
    turned = _PIXEL_BYTES if layout.turns and preprocessing.orientation != "ignore" else 0
    as_rgb = 0 if mode == ("RGBA" if layout.see_through else "RGB") else _PIXEL_BYTES
    # The alpha channel, and the picture flattened on white or black.
    flattened = 1 + _PIXEL_BYTES if layout.see_through else 0
    if layout.see_through:
        work = _16_BIT_KEYED_WORK_BYTES if wide else 0
    else:
        work = _16_BIT_WORK_BYTES if wide else _WIDE_WORK_BYTES.get(mode, 0)
    if converts and mode == "P":  # a copy of the indexes, with other colours
        return 1 + max(work, as_rgb + flattened + turned)
    if converts:
        return max(work, as_rgb + _PIXEL_BYTES, _PIXEL_BYTES + flattened + turned)
    return max(work, as_rgb + flattened + turned)
