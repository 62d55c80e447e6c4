"""What is refused before any decoding, and the one check of an image's size against it."""

from dataclasses import dataclass

from clipwarden.errors import ImageError, Reason

# Twice Pillow's MAX_IMAGE_PIXELS, beyond which Pillow itself refuses to open an image.
PILLOW_MAX_PIXELS = 178_956_970


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeLimits:
    """What is refused before any decoding.

    Attributes:
        max_bytes: Largest file, in bytes.
        max_pixels: Most pixels, width times height; at most `PILLOW_MAX_PIXELS`. Peak memory in bytes a pixel, by
            `python -m bench.memory`: JPEG below 1 (progressive 3-8), PNG, GIF and BMP 4-13, AVIF 9-18, TIFF 4-16,
            WebP 16-26; so 50 million pixels may take 1.3 GB.
        max_side: Longest side, in pixels; the default is libavif's own.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    max_side: int = 32_768

    def __post_init__(self) -> None:
        """Refuse limits that could not be kept.

        Raises:
            ValueError: A limit is below 1, or `max_pixels` is above Pillow's own.
        """
        if min(self.max_bytes, self.max_pixels, self.max_side) < 1 or self.max_pixels > PILLOW_MAX_PIXELS:
            raise ValueError(f"Limits must be at least 1, and max_pixels at most {PILLOW_MAX_PIXELS}.")


DEFAULT_LIMITS = DecodeLimits()


def check_pixels(size: tuple[int, int], limits: DecodeLimits) -> None:
    """Refuse an image of too many pixels.

    Args:
        size: (width, height) in pixels.
        limits: What to refuse.

    Raises:
        ImageError: IMAGE_TOO_MANY_PIXELS.
    """
    width, height = size
    if width * height > limits.max_pixels or max(size) > limits.max_side:
        raise ImageError(
            f"The image is {width} x {height} pixels; the limit is {limits.max_pixels} pixels, "
            f"{limits.max_side} a side.",
            reason=Reason.IMAGE_TOO_MANY_PIXELS,
        )
