"""The boxes ahead of a picture in; whether it is AVIF or HEIC, and what admission has to know of it out.

Each function costs at most the budget of the reader that it is given.
"""

import struct

from clipwarden.vision.formats.isobmff import Meta, find_box, read_boxes, read_meta, whole_file
from clipwarden.vision.formats.reader import BoundedReader
from clipwarden.vision.formats.tracks import read_tracks

# HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.2.1): bit_depth_luma_minus8 in the lowest three bits.
_HVCC_DEPTH_AT = 17
# Where a file says its brands, and at most how many of them are read; encoders write up to ten.
BRANDS_AT = 16
_MOST_BRANDS = 64
AVIF_BRANDS = frozenset({b"avif", b"avis"})
# ISO/IEC 23008-12, annex B; `heim` to `hevs` are layered.
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY_IMAGE_BRANDS = frozenset({b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"})
_FORMAT_OF_KIND = {b"av01": "AVIF", b"hvc1": "HEIC", b"hev1": "HEIC"}
# Kinds of pictures that HEIF may hold and nobody here opens.
_OTHER_KINDS = frozenset({b"jpeg", b"avc1", b"vvc1", b"evc1", b"j2k1", b"unci", b"lhv1", b"mski", b"av02"})


def sniff_heif(reader: BoundedReader) -> str | None:
    """Name an ISO base media file as AVIF, HEIC, or `HEIF` when it holds pictures of another kind.

    Args:
        reader: Of the file, or of its first bytes.

    Returns:
        The name; None for anything else, such as a video.
    """
    brands = frozenset(read_brands(reader))
    if AVIF_BRANDS & brands:  # wherever it stands among them, Chromium opens the file as AVIF
        return "AVIF"
    if not (HEIC_BRANDS | _ANY_IMAGE_BRANDS) & brands:
        return None
    try:
        meta = read_meta(reader, locate=False)
    except struct.error:  # cut short, or damaged
        meta = None
    kind = meta.shown_kind() if meta else None
    if kind in _FORMAT_OF_KIND:
        return _FORMAT_OF_KIND[kind]
    return "HEIC" if HEIC_BRANDS & brands and kind not in _OTHER_KINDS else "HEIF"


def read_brands(reader: BoundedReader) -> tuple[bytes, ...]:
    """Read the brands that an ISO base media file claims, the major one first; none of any other file."""
    try:
        size, kind, major = reader.field(">I4s4s", 0)
        if kind != b"ftyp":
            return ()
        count = (min(size or len(reader), len(reader)) - BRANDS_AT) // 4
        others = reader.table("4s", BRANDS_AT, max(0, min(count, _MOST_BRANDS)))
        return major, *(brand for (brand,) in others)
    except struct.error:
        return ()


def heif_size(reader: BoundedReader) -> tuple[int, int] | None:
    """Read width and height as stored: of the primary item or of the tracks, whichever has more pixels."""
    meta = read_meta(reader, locate=False)
    item = meta.size_of(reader, meta.primary) if meta else None
    sizes = [*([item] if item else []), *(track.size for track in read_tracks(reader))]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def heif_pixels(reader: BoundedReader) -> tuple[bool, int | None]:
    """Tell whether a file may have transparency, and the bits of a sample of a HEIC.

    Returns:
        Whether anything in it is auxiliary, or comes beside a sequence; the bits of the primary item or of its first
        tile, None where the file does not say.

    Raises:
        struct.error: Its boxes are damaged, or more than the budget.
    """
    meta = read_meta(reader, locate=False) or Meta()
    movie = find_box(reader, whole_file(reader), b"moov")
    boxes = read_boxes(reader, movie.start, movie.end) if movie else ()
    see_through = sum(box.kind == b"trak" for box in boxes) > 1 or any(each.kind == b"auxl" for each in meta.references)
    return see_through, _bits(reader, meta)


def _bits(reader: BoundedReader, meta: Meta) -> int | None:
    item = meta.primary if meta.first_tile(meta.primary) is None else meta.first_tile(meta.primary)
    box = next((each for each in meta.properties.get(item or 0, []) if each.kind == b"hvcC"), None)
    if box is None:
        return None
    (depth,) = reader.field("B", box.start + _HVCC_DEPTH_AT)
    return 8 + int(depth & 7)
