"""What is refused before any decoding, and the one check of what an image would hold against it."""

from dataclasses import dataclass

from clipwarden.errors import ImageError, Reason

MEBIBYTE = 2**20

LEAST_DECODE_BYTES = 8 * MEBIBYTE
"""Least that a setting may let one image hold: a PNG of 800 x 600 pixels takes 7 MiB (`memory`)."""

MOST_CONVERTING_SECONDS = 5.0
"""Longest that a colour profile may keep a decode thread busy, estimated by `colour.cost` (one 3 GHz core).

About as long as the scans of the slowest JPEG that is let through. It admits 143 megapixels under a matrix and
curves, 53 under a scanner's table and 35 under a press's; 50 megapixels under the worst table would take 20 s.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeLimits:
    """What is refused before any decoding; the same for a server, a command and a `Moderator`.

    Attributes:
        max_image_bytes: Largest file, in bytes. Phones write 200 megapixels as JPEGs of 30 to 60 MB.
        max_decode_bytes: Most bytes that decoding one image may hold, and that all decodes at work may hold together,
            by `memory.held_bytes`. The default is the least power of two that admits what phones and cameras write:
            200 megapixels as JPEG (84 MiB; progressive 638), 50 as WebP (819), PNG (653), AVIF (788), HEIC
            (8 bits, 700).
        max_side: Longest side, in pixels; the default is libavif's own.
    """

    max_image_bytes: int = 64 * MEBIBYTE
    max_decode_bytes: int = 1024 * MEBIBYTE
    max_side: int = 32_768

    def __post_init__(self) -> None:
        """Refuse limits that could not be kept.

        Raises:
            ValueError: A limit is below 1.
        """
        if min(self.max_image_bytes, self.max_decode_bytes, self.max_side) < 1:
            raise ValueError("Limits must be at least 1.")

    @property
    def small_decode_bytes(self) -> int:
        """What a decode may hold without waiting for others: with the default 32 MiB, enough for most photographs.

        So that small images never stand behind a huge one, whose decode may take seconds; `ByteBudget` has the rest.
        """
        return self.max_decode_bytes // 32


DEFAULT_LIMITS = DecodeLimits()


class HoldsMoreError(Exception):
    """An opened image would hold more than its caller has room for, so nothing was decoded.

    Args:
        held_bytes: What it would hold.
    """

    def __init__(self, held_bytes: int) -> None:
        super().__init__(held_bytes)
        self.held_bytes = held_bytes


def check_held(held_bytes: int, size: tuple[int, int], image_format: str, limits: DecodeLimits) -> None:
    """Refuse an image with too long a side, or whose decode would hold too much memory.

    Args:
        held_bytes: What it would hold, by `memory.held_bytes`.
        size: (width, height) in pixels.
        image_format: One of `sniff.FORMATS`.
        limits: What to refuse.

    Raises:
        ImageError: IMAGE_TOO_MANY_PIXELS.
    """
    width, height = size
    if max(size) > limits.max_side:
        raise ImageError(
            f"The image is {width} x {height} pixels; the limit is {limits.max_side} a side.",
            reason=Reason.IMAGE_TOO_MANY_PIXELS,
        )
    if held_bytes <= limits.max_decode_bytes:
        return
    if limits.max_decode_bytes < LEAST_DECODE_BYTES:
        help_ = f"Raise it: even small pictures take up to {_mebibytes(LEAST_DECODE_BYTES)}."
    elif image_format == "JPEG":
        help_ = "Make it smaller; or if it is progressive or has a colour profile, write it as a baseline JPEG in sRGB."
    else:
        help_ = "Make it smaller; or write it as a baseline JPEG."
    raise ImageError(
        f"Decoding the {image_format} image of {width} x {height} pixels would hold {_mebibytes(held_bytes)} of "
        f"memory; the limit is {_mebibytes(limits.max_decode_bytes)} (max_decode_bytes). {help_}",
        reason=Reason.IMAGE_TOO_MANY_PIXELS,
    )


def check_converting(seconds: float, size: tuple[int, int], image_format: str) -> None:
    """Refuse an image whose colours would take too long to convert.

    Args:
        seconds: That it would take, by `colour.cost`.
        size: (width, height) in pixels.
        image_format: One of `sniff.FORMATS`.

    Raises:
        ImageError: IMAGE_TOO_MANY_PIXELS.
    """
    if seconds > MOST_CONVERTING_SECONDS:
        width, height = size
        raise ImageError(
            f"Converting the {image_format} image of {width} x {height} pixels by its colour profile would take about "
            f"{seconds:.0f} s; the limit is {MOST_CONVERTING_SECONDS:.0f} s. Save it as sRGB, or make it smaller.",
            reason=Reason.IMAGE_TOO_MANY_PIXELS,
        )


def too_large(limit: int) -> ImageError:
    """Make the error of a file above `max_image_bytes`, of which often no more was read than shows that."""
    size = f"{limit // MEBIBYTE} MiB" if limit % MEBIBYTE == 0 else f"{limit:,} bytes"
    message = f"The image has more than {size}, which is the limit (max_image_bytes)."
    return ImageError(message, reason=Reason.IMAGE_TOO_LARGE)


def _mebibytes(size: int) -> str:
    return f"{-(-size // MEBIBYTE)} MiB"
