"""A BMP's header in, which kind of BMP it is out, and a refusal by name of what is whole and cannot be decoded."""

from typing import NamedTuple

from clipwarden.errors import ImageError, Reason
from clipwarden.vision.formats.reader import BoundedReader

FILE_HEADER_BYTES = 14
CORE_HEADER = 12
VERSION_3, VERSION_4, VERSION_5 = 56, 108, 124
# biCompression (wingdi.h).
RGB, RLE8, RLE4, BIT_FIELDS = range(4)

# Of OS/2's header of 64 bytes a file may hold as little as these.
_LEAST_HEADER, _OS2_HEADER = 16, 64
_HEADERS = frozenset({CORE_HEADER, 40, 52, VERSION_3, _OS2_HEADER, VERSION_4, VERSION_5})
_BITS = frozenset({1, 4, 8, 16, 24, 32})
_SIXTEEN, _FOUR_BYTES = 16, 32
_MASKS_AT = FILE_HEADER_BYTES + 40
# What Pillow 13 reads: where red, green, blue and alpha lie in a pixel.
STANDARD_MASKS = 0xFF0000, 0xFF00, 0xFF, 0xFF000000
_MASKS = {
    32: frozenset(
        {
            STANDARD_MASKS,
            (0xFF0000, 0xFF00, 0xFF, 0),
            (0xFF000000, 0xFF0000, 0xFF00, 0),
            (0xFF000000, 0xFF00, 0xFF, 0),
            (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
            (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
            (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
            (0, 0, 0, 0),
        }
    ),
    24: frozenset({(0xFF0000, 0xFF00, 0xFF, 0)}),
    16: frozenset({(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)}),
}


class Kind(NamedTuple):
    """What a header says of its pixels.

    Attributes:
        header_bytes: From which the version follows.
        width: In pixels.
        height: In pixels; below 0 where rows come from the top.
        bits: Of a pixel.
        compression: 0 to 3, or something rare.
        masks: Where red, green, blue and alpha lie in a pixel, in that order; those of BI_RGB do not count but for
            alpha, which Chromium 150 reads there too.
    """

    header_bytes: int
    width: int
    height: int
    bits: int
    compression: int = RGB
    masks: tuple[int, int, int, int] = (0, 0, 0, 0)


def read_kind(reader: BoundedReader) -> Kind:
    """Read what a header says of its pixels.

    Raises:
        struct.error: The file ends before that.
        ImageError: IMAGE_FORMAT_UNSUPPORTED; a kind that browsers show and that cannot be decoded here.
    """
    (header_bytes,) = reader.field("<I", FILE_HEADER_BYTES)
    if header_bytes == CORE_HEADER:
        width, height, _, bits = reader.field("<4H", FILE_HEADER_BYTES + 4)
        kind = Kind(header_bytes, width, height, bits)
    elif header_bytes in _HEADERS:
        width, height, _, bits, compression = reader.field("<iiHHI", FILE_HEADER_BYTES + 4)
        kind = Kind(header_bytes, width, height, bits, compression, _read_masks(reader, header_bytes, compression))
    else:
        kind = Kind(header_bytes, 0, 0, 0)
    name = _unsupported(kind)
    if name:
        raise ImageError(f"The image is a BMP {name}, which is not supported.", reason=Reason.IMAGE_FORMAT_UNSUPPORTED)
    return kind


def _read_masks(reader: BoundedReader, header_bytes: int, compression: int) -> tuple[int, int, int, int]:
    if header_bytes >= VERSION_3 and header_bytes != _OS2_HEADER:
        red, green, blue, alpha = reader.field("<4I", _MASKS_AT)
        return red, green, blue, alpha
    if compression != BIT_FIELDS:
        return 0, 0, 0, 0
    red, green, blue = reader.field("<3I", _MASKS_AT)
    return red, green, blue, 0


def _unsupported(kind: Kind) -> str:
    """Say which kind a file is that no decoder here reads; nothing of others, and of what is no header at all."""
    *colours, alpha = kind.masks
    alpha &= (1 << min(kind.bits, _FOUR_BYTES)) - 1  # what lies beyond a pixel's bits does not count
    if kind.header_bytes not in _HEADERS:
        return "with a short header of OS/2" if _LEAST_HEADER <= kind.header_bytes <= _OS2_HEADER else ""
    if kind.compression > BIT_FIELDS or (kind.compression == BIT_FIELDS and kind.header_bytes == _OS2_HEADER):
        return f"of compression {kind.compression}"
    if kind.bits not in _BITS:
        return f"of {kind.bits} bits a pixel"
    if kind.bits == _SIXTEEN and alpha:
        return "of 16 bits a pixel with transparency"
    odd_alpha = kind.compression == RGB and kind.bits == _FOUR_BYTES and alpha not in (0, STANDARD_MASKS[3])
    if odd_alpha or (kind.compression == BIT_FIELDS and (*colours, alpha) not in _MASKS.get(kind.bits, ())):
        return f"of {kind.bits} bits a pixel with channels at unusual places"
    return ""
