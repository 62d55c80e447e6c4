"""A file in, one of its frames as it is displayed out, for people to look at: what is judged, not what viewers make."""

from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image, read_header
from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits
from clipwarden.vision.preprocess import resized_size

MOST_SIDE = 1600
"""Pixels of the longer side at the most: enough for a screen, and a bound for strips of 16,000."""


def displayed(data: bytes, *, view: str, frame: int = 0, limits: DecodeLimits = DEFAULT_LIMITS) -> Image.Image:
    """Render a frame as it is displayed, upright and in its colours, no larger than `MOST_SIDE`.

    Args:
        data: The file; untrusted.
        view: Name of the view that is meant, as of `scoring.verdict.ViewRef`: its background is what is behind
            see-through parts.
        frame: Likewise; of what is no animation 0.
        limits: What to refuse.

    Returns:
        Mode RGB; smaller, in the same proportions, where the picture is larger.

    Raises:
        ImageError: The file cannot be decoded.
    """
    header = read_header(data, limits, preprocessing=_as_shown(1))
    preprocessing = _as_shown(min(MOST_SIDE, max(header.width or MOST_SIDE, header.height or MOST_SIDE)))
    decoded = decode_image(data, preprocessing=preprocessing, limits=limits, only_frames=[frame] if frame else ())
    assert decoded.facts.file is not None  # noqa: S101  what was decoded is a file
    width, height = resized_size((decoded.facts.file.width, decoded.facts.file.height), preprocessing)
    left, top = (preprocessing.side - width) // 2, (preprocessing.side - height) // 2
    pixels = next((each.pixels for each in decoded.views if view.endswith(each.name)), decoded.views[0].pixels)
    return Image.fromarray(pixels).crop((left, top, left + width, top + height))


def _as_shown(side: int) -> Preprocessing:
    return Preprocessing(side=side, fit="pad", colour="srgb")
