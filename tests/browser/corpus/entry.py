"""What a file of the colour corpus is, and the pictures in it: saturated patches, greys, dark ramps, skin tones."""

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CELL = 24
COLUMNS, ROWS = 12, 9
# Skin from very light to very dark (a chart of our own, by eye).
SKIN = ((255, 224, 196), (241, 194, 160), (224, 172, 120), (198, 134, 86), (141, 85, 54), (92, 56, 38), (62, 39, 30))
_LEVELS = ((1.0, 1.0), (1.0, 0.75), (0.55, 1.0), (1.0, 0.45), (0.25, 0.9))


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file whose colours, or whose way up, stand in a carrier beside its pixels.

    Attributes:
        name: Format, carrier, and what it says.
        data: The file.
        without: The same without its carrier: what a build that ignores it would judge. None: that build is ours with
            `colour` and `orientation` at `ignore`.
        twin: Where Chromium does not show the format: a file of another, with the same pixels and the same carrier.
        control: Why ignoring the carrier changes nothing; empty where it has to be seen.
    """

    name: str
    data: bytes
    without: bytes | None = None
    twin: bytes | None = None
    control: str = ""


@cache
def patches() -> Image.Image:
    """Paint 12 x 9 patches of 24 pixels: RGB."""
    cells = [_saturated(column / COLUMNS, *level) for level in _LEVELS for column in range(COLUMNS)]
    cells += [(level, level, level) for level in range(0, 256, 255 // (COLUMNS - 1))][:COLUMNS]
    cells += [(level, level, level) for level in range(0, 4 * COLUMNS, 4)]
    cells += [(4 * step, 2 * step, step) for step in range(COLUMNS // 2)]
    cells += [(step, 2 * step, 6 * step) for step in range(COLUMNS // 2)]
    cells += [*SKIN, (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]
    grid = np.array(cells, np.uint8).reshape(ROWS, COLUMNS, 3)
    return Image.fromarray(grid.repeat(CELL, axis=0).repeat(CELL, axis=1))


@cache
def see_through() -> Image.Image:
    """The patches with an alpha that falls from the left to the right: RGBA."""
    image = patches().convert("RGBA")
    ramp = np.linspace(255, 0, image.width).round().astype(np.uint8)
    image.putalpha(Image.fromarray(np.tile(ramp, (image.height, 1))))
    return image


@cache
def grey() -> Image.Image:
    """The patches' luminance, stretched over all levels: L."""
    return patches().convert("L")


@cache
def inks() -> Image.Image:
    """The patches in four inks, a part of them in black: CMYK, as Pillow keeps it (255 is full)."""
    complement = 255 - np.asarray(patches()).astype(np.int16)
    black = complement.min(axis=2, keepdims=True) // 2
    return Image.frombytes(
        "CMYK", patches().size, np.concatenate([complement - black, black], axis=2).astype(np.uint8).tobytes()
    )


@cache
def wide() -> NDArray[np.uint16]:
    """The patches in 16 bits, their low bytes full of noise: uint16 [H,W,3]."""
    noise = np.random.default_rng(10).integers(0, 256, (patches().height, patches().width, 3))
    return (np.asarray(patches()).astype(np.uint16) << 8) + noise.astype(np.uint16)


def dithered() -> Image.Image:
    """A drawing under a V-shaped curve: checkers of two levels that the curve makes one; their mean is another."""
    target = np.asarray(patches().convert("L").point(lambda level: 40 if level < 110 else 215)).astype(int) // 2
    rows, columns = np.indices(target.shape)
    checkers = np.where((rows + columns) % 2 == 0, 128 + target, 127 - target)
    return Image.fromarray(checkers.clip(0, 255).astype(np.uint8)).convert("RGB")


def _saturated(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * level) for level in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue
