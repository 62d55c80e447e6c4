"""What a file says of its colours in, how to turn them into the sRGB that a browser shows out."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from clipwarden.vision.structure import ColourTags

Convert = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """How stored colours become displayed ones.

    Attributes:
        convert: A loaded image of the mode that the decoder gives to one of mode L, LA, RGB or RGBA in sRGB; alpha is
            left as it is. None leaves colours alone.
        after_reduction: Whether reducing first comes to the same, so that a JPEG may be decoded smaller and only the
            reduced picture is converted; never for a curve that a pattern of fine dots could be hidden under.
        uncertain: Whether something was ignored that another viewer might honour.
        hdr: Whether the picture's range is beyond what is judged (PQ, HLG).
    """

    convert: Convert | None = None
    after_reduction: bool = True
    uncertain: bool = False
    hdr: bool = False


AS_STORED = Conversion()


def conversion_of(tags: ColourTags) -> Conversion:
    """Choose what a browser would do; `colour` helper fills this in."""
    return Conversion(uncertain=tags.broken)
