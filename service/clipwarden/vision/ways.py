"""A decoded picture and the ways that readers take to its colours in, whether they show different pictures out."""

import numpy as np
from PIL import Image

from clipwarden.vision.colour.conversion import Conversion
from clipwarden.vision.views import to_rgb, to_rgba

# Pixels that are looked at: as many rows, and as many of each.
_SIDE = 64
_CONVERTED = ("RGB", "L", "CMYK")
# Levels of 255, of the channel that differs most. Ways of an honest profile differ by their intents: white, black, and
# what lies outside a gamut.
_MOST_ON_AVERAGE = 10.0
_SEEN, _MOST_SEEN = 48, 0.02


def readers_differ(picture: Image.Image, conversion: Conversion, seed: int) -> bool:
    """Compare ways on pixels of the picture itself: a profile's maker decides which colours it is asked for.

    Args:
        picture: Any mode, loaded, before its colours are converted.
        conversion: Of its colours.
        seed: Of which pixels are drawn; taken from the whole file, so that nobody can paint around them.

    Returns:
        Whether another way shows other colours. False without other ways.
    """
    if not conversion.ways or conversion.convert is None:
        return False
    pixels = _drawn(picture, np.random.default_rng(seed))
    taken = np.asarray(conversion.convert(pixels)).astype(np.int16)
    for way in conversion.ways:
        difference = np.abs(taken - np.asarray(way(pixels))).max(axis=2)
        if difference.mean() > _MOST_ON_AVERAGE or (difference > _SEEN).mean() > _MOST_SEEN:
            return True
    return False


def _drawn(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Draw pixels: 64 x 64, mode RGB, L or CMYK."""
    rows = []
    for row in draw.integers(0, picture.height, _SIDE).tolist():
        strip = picture.crop((0, row, picture.width, row + 1))
        rows.append(np.asarray(_plain(strip))[0, draw.integers(0, picture.width, _SIDE)])
    return Image.fromarray(np.stack(rows), picture.mode if picture.mode in _CONVERTED else "RGB")


def _plain(strip: Image.Image) -> Image.Image:
    if strip.mode in _CONVERTED:
        return strip
    return to_rgba(strip).convert("RGB") if strip.has_transparency_data else to_rgb(strip)
