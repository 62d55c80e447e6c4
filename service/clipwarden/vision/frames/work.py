"""What reading an animation may cost, in pixels and in bytes: the same file is always read equally far."""

from clipwarden.vision.colour.conversion import Conversion
from clipwarden.vision.memory import FIXED_BYTES

Size = tuple[int, int]

NANOSECONDS_A_PIXEL = 5
"""Of composing one pixel of a canvas and handing it out, on one 3 GHz core (measured: 1 to 5)."""

MOST_FRAME_PIXELS = 2**30
"""Most pixels that are composed, decoded and converted for one animation, each counted as often as composing one takes.

About 5 s, as long as a JPEG's scans or a colour profile may take (`limits`). It admits all of 1,000 frames of 480 x 270
in GIF and PNG, 900 in WebP and AVIF, and 500 of 1,280 x 720 in GIF; 1,000 frames of 16 megapixels end after 33.
"""

# Of decoding one pixel, in pixels composed. At 480 x 270, composed and all, GIF takes 7 ns a pixel, PNG 18, lossless
# WebP 24, lossy WebP and AVIF of noise 42.
_DECODING = {"GIF": 1, "PNG": 3, "WEBP": 8, "AVIF": 8}
# Comparing ways on 64 x 64 pixels of the frame, each drawn alone.
_WAYS = 2**20
# What any frame takes, however small: Pillow opens a file for it.
_FIXED = 2**16

# What stands on the canvas, the next, what is cleared or converted of one, and one that the caller still has.
_CANVAS_BYTES = 4 * 4
# A pixel of a still, as `layout` counts it, and its own colours and alpha. Measured with the canvas, on 3 megapixels
# that are cleared each time: GIF 66 MiB of 77 counted, PNG 57 of 94, WebP 143 of 148, AVIF 85 of 128.
_STILL_BYTES = {"GIF": 10.0, "PNG": 16.0, "WEBP": 32.0, "AVIF": 28.0}
_CONVERTING_BYTES, _CONVERTED_BYTES = 10 * 2**20, 8
_FILE_COPIES = 3
# A frame may be a little larger than a canvas of icons; honest ones are no larger than theirs.
_STILL_PIXELS_ANYWAY = 2**16


def frame_work(canvas: Size, still: Size, image_format: str, conversion: Conversion, *, composed: bool = True) -> int:
    """Compute what a frame costs, in pixels composed.

    Args:
        canvas: (width, height) in pixels.
        still: The same of what is decoded.
        image_format: One of `sniff.FORMATS`.
        conversion: Of its colours.
        composed: Whether it is converted at full size, to be drawn upon others.
    """
    converting = max(conversion.nanoseconds, conversion.wide_nanoseconds) if composed else 0.0
    each = _DECODING[image_format] + converting / NANOSECONDS_A_PIXEL
    return _FIXED + (_WAYS if conversion.ways else 0) + _area(canvas) + round(each * _area(still))


def is_oversized(still: Size, canvas: Size) -> bool:
    """Tell whether a frame has more pixels than its canvas has room for, which would be decoded for nothing."""
    return _area(still) > max(_area(canvas), _STILL_PIXELS_ANYWAY)


def held_bytes(canvas: Size, image_format: str, conversion: Conversion, *, file_bytes: int) -> int:
    """Compute the most bytes that reading an animation holds at once, its file and one frame of the caller's included.

    Args:
        canvas: (width, height) in pixels.
        image_format: Of an animation.
        conversion: Of its colours.
        file_bytes: Of the file.
    """
    stills = max(_area(canvas), _STILL_PIXELS_ANYWAY)
    converts = conversion.convert is not None
    still_bytes = _STILL_BYTES[image_format] + (_CONVERTED_BYTES if converts else 0)
    fixed = FIXED_BYTES + (_CONVERTING_BYTES if converts else 0)
    return fixed + _FILE_COPIES * file_bytes + _CANVAS_BYTES * _area(canvas) + round(still_bytes * stills)


def _area(size: Size) -> int:
    return size[0] * size[1]
