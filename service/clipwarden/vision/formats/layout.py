"""An image's header in, what decides how much memory its pixels will take out, at most at a `HEADER_BUDGET`.

The figures are bytes a pixel of Pillow 13 and its codecs; `python -m bench.memory` measures each kind.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from clipwarden.vision.formats.heifheader import heif_pixels
from clipwarden.vision.formats.jpeg import Segment, segments_of
from clipwarden.vision.formats.jpegframe import JpegFrame, read_frame
from clipwarden.vision.formats.pngchunks import read_chunks
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader

Size = tuple[int, int]

_COEFFICIENT_BYTES = 2  # libjpeg's JCOEF
_JPEG_MODES = {1: "L", 3: "RGB"}
# At full size and progressive, as of a header that says nothing.
_COSTLIEST_FRAME = JpegFrame(components=4, samples_held=4.0)
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_PNG_WITH_ALPHA = ("LA", "RGBA")
_WEBP_ALPHA_FLAG = 0x10  # of VP8X
_BMP_BITS_WITH_ALPHA = 32
# By whether it has transparency and more than 8 bits; measured: 7.9, 9.9, 12.5 and 18.2 bytes. Colour at half size
# takes no less, since libheif brings it to full size first. The heaps of its threads come on top, which weigh most at
# about a megapixel: without more than 8 bits 14.6 and 20 bytes were seen there, what is handed over included.
_HEIC_BYTES = {(False, False): 10.0, (True, False): 14.5, (False, True): 15.0, (True, True): 19.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelLayout:
    """What decides how much memory a file's pixels take.

    Attributes:
        size: (width, height) as stored, in pixels.
        mode: Pillow's, that it is decoded to; the costliest one that a header leaves open.
        see_through: Whether it may have transparency, which makes two views of one picture.
        coding_bytes: That the codec takes a pixel as stored while it decodes, on top of the decoded picture.
        kept_bytes: That the codec keeps a pixel as stored until the file is closed.
        turns: Whether the picture may have to be turned upright by us.
        scales: Whether it can be decoded smaller.
        coded_pixels: That the codec holds at once, if these are more than are stored.
        copies: Copies of the file that are made; one, since what a decoder is given may be a mended one.
    """

    size: Size
    mode: str = "RGB"
    see_through: bool = False
    coding_bytes: float = 0.0
    kept_bytes: float = 0.0
    turns: bool = True
    scales: bool = False
    coded_pixels: int = 0
    copies: int = 1


def read_layout(
    data: bytes, image_format: str, size: Size | None, segments: Sequence[Segment] | None = None
) -> PixelLayout:
    """Read what a header says of its pixels, and take the costliest where it leaves something open.

    Args:
        data: The file; untrusted.
        image_format: As `sniff.sniff_format` named it.
        size: (width, height) as stored, in pixels; None where no header says.
        segments: Of a JPEG's header, where they are known; None finds them.

    Returns:
        The layout; of no pixels without a size.
    """
    if image_format == "JPEG":
        return _jpeg(data, segments_of(data, segments), size or (0, 0))
    layout = replace(_LAYOUTS[image_format], size=size or (0, 0))
    refine = _REFINEMENTS.get(image_format)
    try:
        return refine(BoundedReader(data, HEADER_BUDGET), layout) if refine else layout
    except struct.error:  # the header ends too early, or never
        return layout


# Codecs of WebP, AVIF and HEIC, and libtiff, take the file all at once.
_LAYOUTS = {
    # The canvas and the frame before it are kept (`WebPAnimDecoder`), and the frame is handed over as bytes; libwebp
    # makes its own copy of what Pillow reads. Browsers do not turn it, whatever its EXIF says.
    "WEBP": PixelLayout(
        size=(0, 0), mode="RGBA", see_through=True, coding_bytes=12.5, kept_bytes=8.0, turns=False, copies=3
    ),
    # Pillow reads at once what lies behind the rows in their chunk.
    "PNG": PixelLayout(size=(0, 0), mode="RGBA", see_through=True, copies=2),
    # Its first frame may say that it is to be taken away, and Pillow then keeps what comes in its place.
    "GIF": PixelLayout(size=(0, 0), mode="P", see_through=True, kept_bytes=1.0, turns=False),
    "BMP": PixelLayout(size=(0, 0), mode="RGB", turns=False),
    # libavif keeps the picture in YUV and its alpha, of 16 bits each at the worst, and hands over bytes of RGB or RGBA.
    "AVIF": PixelLayout(size=(0, 0), mode="RGBA", see_through=True, coding_bytes=12.0, kept_bytes=8.0, copies=2),
    # libheif the same, beside a copy in RGB of 16 bits of what is deeper than 8; it turns by itself, and lets go of all
    # but what it handed over.
    "HEIC": PixelLayout(
        size=(0, 0),
        mode="RGBA",
        see_through=True,
        coding_bytes=_HEIC_BYTES[True, True],
        kept_bytes=4.0,
        turns=False,
        copies=2,
    ),
    # libtiff decodes strip by strip, and one may hold everything: four channels of 16 bits. Pillow turns it by itself.
    "TIFF": PixelLayout(size=(0, 0), mode="F", coding_bytes=8.0, turns=False, copies=2),
}


def _jpeg(data: bytes, segments: Sequence[Segment], size: Size) -> PixelLayout:
    try:
        frame = read_frame(data, segments) or _COSTLIEST_FRAME
    except struct.error:
        frame = _COSTLIEST_FRAME
    mode = _JPEG_MODES.get(frame.components, "CMYK")
    return PixelLayout(size=size, mode=mode, coding_bytes=_COEFFICIENT_BYTES * frame.samples_held, scales=True)


def _png(reader: BoundedReader, layout: PixelLayout) -> PixelLayout:
    depth, colour_type = reader.field("BB", 24)
    mode = _PNG_MODES.get(colour_type, "RGBA")
    if mode == "L" and depth > 8:  # noqa: PLR2004  bits in a byte
        mode = "I;16"
    chunks = {chunk.kind for chunk in takewhile(lambda chunk: chunk.kind != b"IDAT", read_chunks(reader))}
    # Of an animation Pillow holds the frame before, and the frame that comes, beside the composed one.
    kept = 8.0 if b"acTL" in chunks else 0.0
    return replace(layout, mode=mode, see_through=mode in _PNG_WITH_ALPHA or b"tRNS" in chunks, kept_bytes=kept)


def _webp(reader: BoundedReader, layout: PixelLayout) -> PixelLayout:
    (chunk,) = reader.field("4s", 12)
    if chunk == b"VP8X":
        (flags,) = reader.field("B", 20)
        see_through = bool(flags & _WEBP_ALPHA_FLAG)
    else:
        # A lossless file's own word on alpha is a hint that browsers do not take.
        see_through = chunk == b"VP8L"
    return replace(layout, mode="RGBA" if see_through else "RGB", see_through=see_through)


def _bmp(reader: BoundedReader, layout: PixelLayout) -> PixelLayout:
    (bits,) = reader.field("<H", 28)
    return replace(layout, mode="RGBA", see_through=True) if bits == _BMP_BITS_WITH_ALPHA else layout


def _avif(reader: BoundedReader, layout: PixelLayout) -> PixelLayout:
    see_through, _ = heif_pixels(reader)
    return replace(layout, mode="RGBA" if see_through else "RGB", see_through=see_through)


def _heic(reader: BoundedReader, layout: PixelLayout) -> PixelLayout:
    see_through, bits = heif_pixels(reader)
    deep = bits != 8  # noqa: PLR2004  bits in a byte
    mode = "RGBA" if see_through else "RGB"
    return replace(layout, mode=mode, see_through=see_through, coding_bytes=_HEIC_BYTES[see_through, deep])


_REFINEMENTS: dict[str, Callable[[BoundedReader, PixelLayout], PixelLayout]] = {
    "PNG": _png,
    "WEBP": _webp,
    "BMP": _bmp,
    "AVIF": _avif,
    "HEIC": _heic,
}
