"""Put a rendered drawing on a background, as a person would upload it."""

import numpy as np
from PIL import Image

from recipes.mini.render import Pixels


def on_colour(rgba: Pixels, colour: tuple[int, int, int]) -> Image.Image:
    """Lay a drawing on one colour.

    Args:
        rgba: Straight RGBA, uint8 [S,S,4].
        colour: 0-255 each.

    Returns:
        An RGB picture of the same side.
    """
    alpha = rgba[..., 3:].astype(np.float32) / 255.0
    ground = np.asarray(colour, np.float32)
    blended = rgba[..., :3].astype(np.float32) * alpha + ground * (1.0 - alpha)
    return Image.fromarray(blended.round().astype(np.uint8), "RGB")
