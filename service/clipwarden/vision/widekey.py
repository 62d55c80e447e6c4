"""A PNG of 16-bit colours with one that is transparent in, the picture with its alpha out.

Pillow keeps the high byte of such colours, so that a few hundred of them would look like the transparent one; browsers
compare all 16 bits. The low bytes are decoded as a picture of their own.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile

from clipwarden.vision.opening import open_image

Colour = tuple[int, int, int]

_HIGH_BYTES, _LOW_BYTES = "RGB;16B", "RGB;16L"
_OPAQUE = 255
# Grey ones Chromium reduces to 8 bits before it converts them.
WIDE = ("RGB;16B", "RGBA;16B")


def wide_key(image: Image.Image) -> Colour | None:
    """Return the transparent colour of an image that is not loaded yet; None unless its colours have 16 bits."""
    key = image.info.get("transparency")
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return key if tiles and tiles[0].args == _HIGH_BYTES and isinstance(key, tuple) else None


def with_wide_key(image: Image.Image, key: Colour, reopen: Callable[[], ImageFile.ImageFile]) -> Image.Image:
    """Give an image its alpha.

    Args:
        image: Mode RGB, loaded: the high bytes.
        key: The transparent colour, 16 bits a channel.
        reopen: Opens the same file once more.

    Returns:
        Mode RGBA.
    """
    with reopen() as low:
        low.tile = [low.tile[0]._replace(args=_LOW_BYTES)]
        low.load()
        clear = np.ones((image.height, image.width), bool)  # [H,W]
        for band, value in enumerate(key):
            clear &= np.asarray(image.getchannel(band)) == value >> 8
            clear &= np.asarray(low.getchannel(band)) == value & 0xFF
    del image.info["transparency"]
    image.putalpha(Image.fromarray(np.where(clear, np.uint8(0), np.uint8(_OPAQUE))))
    return image


def low_bytes(data: bytes) -> Image.Image:
    """Decode a PNG of 16 bits again, for the bytes that Pillow drops: read as if they were the high ones."""
    with open_image(data, "PNG") as opened:
        opened.tile = [opened.tile[0]._replace(args=raw_mode(opened).replace("16B", "16L"))]
        opened.load()
        return opened


def raw_mode(opened: ImageFile.ImageFile) -> str:
    """Say how a PNG's samples lie, such as `RGB;16B`; asked before it is loaded."""
    raw = opened.tile[0].args if opened.format == "PNG" and opened.tile else ""
    return raw if isinstance(raw, str) else ""
