"""What a file's own structure says is shown, before any pixel is decoded: frozen values, still untrusted."""

from dataclasses import dataclass
from typing import Literal

AlphaKind = Literal["straight", "premultiplied", "denied"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cicp:
    """Coding-independent code points (ITU-T H.273): colours named by number.

    Attributes:
        primaries: Such as 1 (BT.709, sRGB), 9 (BT.2020), 12 (Display P3); 2 says nothing.
        transfer: Such as 1, 6 or 13 (sRGB and kin), 16 (PQ), 18 (HLG); 2 says nothing.
        matrix: How the three channels were mixed; 0 for RGB.
        full_range: Whether values use all of their range.
    """

    primaries: int
    transfer: int
    matrix: int = 0
    full_range: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Chromaticities:
    """Where a picture's white and its primaries lie, as CIE xy pairs (PNG's cHRM, BMP's endpoints)."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourTags:
    """What a file says of its colours, read where browsers read it; `vision.colour` says what counts.

    Attributes:
        icc: An ICC profile, as it stands in the file.
        cicp: Code points (PNG's cICP, nclx in AVIF and HEIC).
        srgb: Whether a PNG says that it is sRGB.
        gamma: Exponent that samples were encoded with, such as 0.45455 (PNG's gAMA, BMP), or one each for red, green
            and blue (BMP).
        chromaticities: Primaries and white point (cHRM).
        broken: Whether some carrier of colour is there that cannot be read, so that viewers may differ.
    """

    icc: bytes | None = None
    cicp: Cicp | None = None
    srgb: bool = False
    gamma: float | tuple[float, float, float] | None = None
    chromaticities: Chromaticities | None = None
    broken: bool = False


NO_TAGS = ColourTags()

# Counting stops here: an animation of a thousand frames is as partial as one of a million.
MAX_FRAMES_COUNTED = 1000
# Chromium 150 honours profiles up to here, in PNG (decompressed), JPEG, WebP and BMP; measured by bisection.
MAX_PROFILE_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Canvas:
    """Where a decoded picture is drawn: it may be smaller than what is shown, see-through elsewhere, or larger.

    Attributes:
        size: (width, height) of what is shown, in pixels.
        left: Of the picture, in pixels.
        top: Likewise.
    """

    size: tuple[int, int]
    left: int
    top: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Structure:
    """What a file shows, by its structure.

    Attributes:
        data: What the decoder is given: the file itself, or a copy without the parts that no viewer looks at.
        frames_total: Frames or pages; counting stops at `MAX_FRAMES_COUNTED`.
        orientation: EXIF orientation, 1 to 8, where browsers honour it; 1 leaves the picture as it is stored.
            None: as the decoder finds it.
        colour: What it says of its colours.
        shown_size: (width, height) that the stored picture is stretched to before any turn; None where it is not.
        canvas: Where the decoded picture is drawn; None where it is all that is shown.
        alpha: What a pixel's transparency does to its colours: `straight`, they are laid over the page by it;
            `premultiplied`, they are stored so, and added to what is left of the page; `denied`, the file says that
            there is none, and what there is counts as if they were premultiplied, unless they are converted.
        share_shown: Share of the rows that are there, in (0, 1]; below 1 the file is cut short, and `data` is what
            a decoder makes whole.
        opening_bytes: That merely opening the file allocates.
        coded_pixels: That the codec holds at once where these may be more than are stored: tiles that stand over; 0
            where they are not.
    """

    data: bytes
    frames_total: int = 1
    orientation: int | None = None
    colour: ColourTags = NO_TAGS
    shown_size: tuple[int, int] | None = None
    canvas: Canvas | None = None
    alpha: AlphaKind = "straight"
    share_shown: float = 1.0
    opening_bytes: int = 0
    coded_pixels: int = 0
