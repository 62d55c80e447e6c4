"""A decoded picture and the ways that readers take to its colours in, whether they show different pictures out."""

import numpy as np
from PIL import Image

from clipwarden.vision.colour.conversion import Conversion
from clipwarden.vision.views import to_rgb, to_rgba

# Pixels that are looked at are a square of so many.
_SIDE = 64
_CONVERTED = ("RGB", "L", "CMYK")
# Levels of 255, of the channel that differs most. Ways of an honest profile differ by their intents: white, black, and
# what lies outside a gamut.
_MOST_ON_AVERAGE = 10.0
# A press's black ink is gone where Chromium asks the profile: dark photographs are 20 to 30 levels off throughout.
_MOST_ON_AVERAGE_OF_INKS = 40.0
_SEEN, _MOST_SEEN = 48, 0.02


def readers_differ(picture: Image.Image, conversion: Conversion, seed: int) -> bool:
    """Compare ways on pixels of the picture itself: a profile's maker decides which colours it is asked for.

    Args:
        picture: Any mode, loaded, before its colours are converted.
        conversion: Of its colours.
        seed: Of which pixels are drawn; taken from the whole file, so that nobody can paint around them. Each is drawn
            alone, so that trying many files gains little: where 4 % of the pixels differ, one in 10^11 passes.

    Returns:
        Whether another way shows other colours. False without other ways.
    """
    if not conversion.ways or conversion.convert is None:
        return False
    pixels = _drawn(picture, np.random.default_rng(seed))
    taken = np.asarray(conversion.convert(pixels)).astype(np.int16)
    average = _MOST_ON_AVERAGE_OF_INKS if pixels.mode == "CMYK" else _MOST_ON_AVERAGE
    for way in conversion.ways:
        difference = np.abs(taken - np.asarray(way(pixels))).max(axis=2)
        if difference.mean() > average or (difference > _SEEN).mean() > _MOST_SEEN:
            return True
    return False


def _drawn(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Draw pixels: 64 x 64, mode RGB, L or CMYK."""
    # Of the picture's own mode and palette; pixels are read one by one, so that nothing of its size is held.
    sample = picture.crop((0, 0, 1, 1)).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
    read, write = picture.load(), sample.load()
    assert read is not None  # noqa: S101  both are loaded
    assert write is not None  # noqa: S101
    columns, rows = (draw.integers(0, side, _SIDE * _SIDE).tolist() for side in picture.size)
    for at, (column, row) in enumerate(zip(columns, rows, strict=True)):
        write[at % _SIDE, at // _SIDE] = read[column, row]
    return _plain(sample)


def _plain(strip: Image.Image) -> Image.Image:
    if strip.mode in _CONVERTED:
        return strip
    return to_rgba(strip).convert("RGB") if strip.has_transparency_data else to_rgb(strip)
