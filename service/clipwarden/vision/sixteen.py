"""A PNG of 16 bits a channel in, what Pillow drops of it out: its low bytes, and the one colour that is transparent.

Pillow keeps the high byte. Browsers compare all 16 bits with the transparent colour, which else a few hundred others
would look like; and a steep curve of tones can show what stands in the low bytes alone.
"""

import numpy as np
from PIL import Image, ImageFile

Colour = tuple[int, int, int]

_OPAQUE = 255
# Grey ones Chromium reduces to 8 bits before it converts them.
_WIDE = ("RGB;16B", "RGBA;16B")


def raw_mode(image: Image.Image) -> str:
    """Say how a PNG's samples lie, such as `RGB;16B`, before it is loaded; empty where it is no PNG."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) and image.format == "PNG" else []
    return tiles[0].args if tiles and isinstance(tiles[0].args, str) else ""


def is_wide(image: Image.Image) -> bool:
    """Tell whether an image that is not loaded yet has colours of 16 bits a channel."""
    return raw_mode(image) in _WIDE


def wide_key(image: Image.Image) -> Colour | None:
    """Return the transparent colour of an image that is not loaded yet; None unless its colours have 16 bits."""
    key = image.info.get("transparency")
    return key if raw_mode(image) == "RGB;16B" and isinstance(key, tuple) else None


def low_bytes(again: ImageFile.ImageFile) -> Image.Image:
    """Decode the bytes that Pillow drops, as if they were the high ones.

    Args:
        again: The same file, opened once more and not loaded; closed here.

    Returns:
        Mode RGB or RGBA.
    """
    with again:
        again.tile = [again.tile[0]._replace(args=raw_mode(again).replace("16B", "16L"))]
        again.load()
        return again


def with_wide_key(image: Image.Image, key: Colour, low: Image.Image) -> Image.Image:
    """Give an image its alpha.

    Args:
        image: Mode RGB, loaded: the high bytes.
        key: The transparent colour, 16 bits a channel.
        low: Mode RGB: the low bytes.

    Returns:
        Mode RGBA.
    """
    clear = np.ones((image.height, image.width), bool)  # [H,W]
    for band, value in enumerate(key):
        clear &= np.asarray(image.getchannel(band)) == value >> 8
        clear &= np.asarray(low.getchannel(band)) == value & 0xFF
    del image.info["transparency"]
    image.putalpha(Image.fromarray(np.where(clear, np.uint8(0), np.uint8(_OPAQUE))))
    return image
