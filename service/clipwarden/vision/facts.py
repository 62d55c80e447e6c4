"""What is known of an image before, while and after it is decoded: frozen values."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from clipwarden.vision.formats.jpeg import Segment
from clipwarden.vision.formats.layout import PixelLayout, Size


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageHeader:
    """What is known of a file before any decoding.

    Attributes:
        format: One of `sniff.FORMATS`.
        width: As stored, in pixels; None when the header is damaged.
        height: As stored, in pixels; None likewise.
        decoded: (width, height) that it is decoded at, in pixels; smaller than stored for most JPEGs, (0, 0) likewise.
        held_bytes: Most bytes that decoding it holds at once, file included, as far as the header tells: an opened
            image may turn out to hold more (`limits.HoldsMoreError`).
        layout: What that rests on.
        parts: Of the picture that are looked at, each on every background, as far as the header tells.
        parts_pixels: That making them on one background goes over beyond a single view's: decoded ones, and of each
            view its own, which weigh three times as much.
        frames: That decoding goes through, as far as that can be guessed; 1 where the plan asks for one.
        judged: How many of them are looked at, likewise at the most.
        segments: Of a JPEG's header, up to its first scan; none where they are many, and of another format.
        sha256: Of the file; 64 hexadecimal digits.
    """

    format: str
    width: int | None
    height: int | None
    decoded: Size
    held_bytes: int
    layout: PixelLayout
    sha256: str
    parts: int = 1
    parts_pixels: int = 0
    frames: int = 1
    judged: int = 1
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """Which file an image came from.

    Attributes:
        format: One of `sniff.FORMATS`.
        width: As displayed, in pixels.
        height: As displayed, in pixels.
        sha256: Of the bytes; 64 hexadecimal digits.
        bytes: Size of the file.
    """

    format: str
    width: int
    height: int
    sha256: str
    bytes: int


class Unseen(StrEnum):
    """What of an image was not looked at."""

    FRAMES = "FRAMES"
    """Frames of an animation, or pages: neither judged nor so near to a judged one that they count as seen."""
    ROWS = "ROWS"
    """Rows that the file does not hold whole: it ends too early."""
    HDR = "HDR"
    """Brightness and colours beyond those of a screen without HDR."""
    PARTS = "PARTS"
    """Parts of a picture that is longer and narrower than the plan has views for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """Facts about the caller's image, reported with every verdict.

    Attributes:
        file: None where only embeddings were kept.
        frames_total: Frames or pages; counting stops at `MAX_FRAMES_COUNTED`.
        frames_judged: How many of them were looked at.
        frames_seen: How many were, or are so near to one that was that they count as seen; less than
            `frames_judged` is read as that.
        coverage: Share of the picture's area that some view shows, in (0, 1]; of an animation, of each frame.
        resolution: Least pixels that the views give to the picture's shorter side, or to that of a part of it; None
            where it is not known.
        parts_left: Whether the plan would have looked at more of it, but had no more views.
        degraded: Any of NEAR_UNIFORM, BLURRED, NOISY, TINY, COLOUR_UNCERTAIN.
        share_shown: Share of the picture's rows that the file holds whole at the scale that was looked at, in (0, 1];
            below 1 `file` has the size of these, unless all are there in part (progressive JPEG: next to 0 until its
            last scan has begun, and growing from there).
        hdr: Whether the picture's range is beyond what was judged.
    """

    file: FileFacts | None = None
    frames_total: int = 1
    frames_judged: int = 1
    frames_seen: int = 1
    coverage: float = 1.0
    resolution: float | None = None
    parts_left: bool = False
    degraded: tuple[str, ...] = ()
    share_shown: float = 1.0
    hdr: bool = False

    @property
    def frames_covered(self) -> int:
        """How many frames were judged, or count as seen by those that were."""
        return max(self.frames_judged, self.frames_seen)

    @property
    def unseen(self) -> tuple[Unseen, ...]:
        """What of the image was not looked at; empty where all of it was."""
        found = (
            (Unseen.FRAMES, self.frames_covered < self.frames_total),
            (Unseen.ROWS, self.share_shown < 1),
            (Unseen.HDR, self.hdr),
            (Unseen.PARTS, self.parts_left),
        )
        return tuple(kind for kind, lacking in found if lacking)

    @property
    def partial(self) -> bool:
        """Whether something of the image was not looked at."""
        return bool(self.unseen)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """One rendering of the image, ready for the encoder.

    Attributes:
        name: As of `scoring.verdict.ViewRef`, as are `frame`, `seconds` and `box`.
        pixels: uint8 [S,S,3], one of the image's.
    """

    name: str
    frame: int
    pixels: NDArray[np.uint8]
    seconds: float | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodedImage:
    """An image ready to be judged.

    Attributes:
        facts: About the caller's image.
        pixels: uint8 [V,S,S,3]; V is at least 1.
        views: V names and, sharing memory, their pixels.
        held_bytes: Most bytes that decoding it was counted to hold at once, by `memory.held_bytes`.
    """

    facts: ImageFacts
    pixels: NDArray[np.uint8]
    views: tuple[View, ...]
    held_bytes: int


def rows_in_words(share: float, image_format: str) -> str:
    """Say what share of rows a cut file has: `8 % of its rows are whole`.

    Of a JPEG, which may be progressive and have all rows in less detail, it is the rows in full detail.

    Args:
        share: In (0, 1].
        image_format: One of `sniff.FORMATS`; empty where it is not known.
    """
    return f"{share_in_words(share)} of its rows are {'in full detail' if image_format == 'JPEG' else 'whole'}"


def share_in_words(share: float) -> str:
    """Write a share of rows as a percentage that never says more than is there.

    Args:
        share: In (0, 1].
    """
    return f"{math.floor(share * 100)} %" if share >= 0.01 else "less than 1 %"  # noqa: PLR2004  a hundredth
