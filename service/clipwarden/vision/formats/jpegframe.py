"""A JPEG's header in, what decides how much of it a decoder has to hold at once out."""

from collections.abc import Sequence
from dataclasses import dataclass

from clipwarden.vision.formats.jpeg import FRAME_HEADERS, START_OF_SCAN, Segment
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader

_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegFrame:
    """What the header says of a frame.

    Attributes:
        components: Such as 1 (grey), 3 (YCbCr) or 4 (CMYK).
        samples_held: Samples a pixel that a decoder has to hold for all the picture, 0 where it can go row by row.
    """

    components: int
    samples_held: float


def read_frame(data: bytes, segments: Sequence[Segment]) -> JpegFrame | None:
    """Read the first frame header, and from the first scan whether the picture comes all at once.

    Args:
        data: The file; costs at most a `HEADER_BUDGET`.
        segments: Of its header.

    Returns:
        The frame; None when no frame header comes before the first scan.

    Raises:
        struct.error: The file ends inside a header that is read.

    Source: libjpeg's `jdinput.c`: it holds all coefficients of a progressive file, and of one whose first scan has
    not every component.
    """
    progressive, factors, reader = False, b"", BoundedReader(data, HEADER_BUDGET)
    for marker, start, _ in segments:
        if marker in FRAME_HEADERS and not factors:
            progressive = marker in _PROGRESSIVE
            (count,) = reader.field("B", start + 5)
            factors = bytes(reader.body(start + 6, 3 * count)[1::3])
        elif marker == START_OF_SCAN and factors:
            (scanned,) = reader.field("B", start)
            whole = progressive or scanned < len(factors)
            return JpegFrame(components=len(factors), samples_held=_samples_a_pixel(factors) if whole else 0.0)
    return None


def _samples_a_pixel(factors: Sequence[int]) -> float:
    """Sum the share of the full size that each component is stored at; a byte of factors holds two of 4 bits."""
    across, down = [byte >> 4 for byte in factors], [byte & 15 for byte in factors]
    most = max(across) * max(down)
    return sum(map(lambda h, v: h * v, across, down)) / most if most else float(len(factors))
