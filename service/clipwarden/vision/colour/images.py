"""Images in the modes that decoders give in, images in sRGB out."""

from functools import cache

import numpy as np
from PIL import Image, ImageCms

from clipwarden.vision.colour.luts import LutSpace
from clipwarden.vision.colour.pixels import Converter, build_transform
from clipwarden.vision.colour.spaces import MatrixSpace

# Rows are taken out, converted and put back so many pixels at a time.
_STRIPE_PIXELS = 2**18


class ImageConverter:
    """Images of one colour space to sRGB; safe to use from many threads, which convert at once."""

    def __init__(self, space: MatrixSpace | LutSpace, *, inks: bool = False, simplexes: bool = False) -> None:
        """Prepare for images of a space; `inks` and `simplexes` as `Converter` has them."""
        self._space = space
        self._exact = Converter(space, inks=inks, simplexes=simplexes)
        self._transform = cache(self._build_transform)

    def _build_transform(self, mode: str) -> ImageCms.ImageCmsTransform | None:
        return build_transform(self._space, mode) if isinstance(self._space, MatrixSpace) else None

    def convert(self, image: Image.Image) -> Image.Image:
        """Convert an image; takes 4 bytes a pixel for the result, and a few MiB.

        Args:
            image: Mode RGB, RGBA, L, P or CMYK, loaded.

        Returns:
            RGB; RGBA with the same alpha, or P with the same indexes and transparency.
        """
        if image.mode == "P":
            return self._with_palette(image)
        if image.mode == "L":
            return self._by_table(image)
        transform = self._transform(image.mode) if image.mode in ("RGB", "RGBA") else None
        if transform is not None:
            converted = ImageCms.applyTransform(image, transform)
            assert converted is not None  # noqa: S101  None only with inPlace=True
            return converted
        return self._by_stripes(image)

    def convert_wide(self, high: Image.Image, low: Image.Image) -> Image.Image:
        """Convert an image of 16 bits a channel; takes 4 bytes a pixel for the result, and a few MiB.

        Args:
            high: The high bytes, mode RGB or RGBA.
            low: The low bytes, the same.

        Returns:
            The same mode; alpha is that of the high bytes.
        """
        return self._by_stripes(high, low)

    def _with_palette(self, image: Image.Image) -> Image.Image:
        colours = np.frombuffer(image.convert("P").im.getpalette("RGB", "RGB"), dtype=np.uint8).reshape(-1, 3)
        converted = image.copy()
        converted.putpalette(self._exact.convert(colours).tobytes(), "RGB")
        return converted

    def _by_table(self, image: Image.Image) -> Image.Image:
        levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        indexed = image.copy()
        indexed.putpalette(self._exact.convert(levels).tobytes(), "RGB")
        return indexed.convert("RGB")

    def _by_stripes(self, image: Image.Image, low: Image.Image | None = None) -> Image.Image:
        result = Image.new("RGBA" if image.mode == "RGBA" else "RGB", image.size)
        rows = max(1, _STRIPE_PIXELS // image.width)
        for top in range(0, image.height, rows):
            box = (0, top, image.width, min(top + rows, image.height))
            stripe = np.asarray(image.crop(box))
            alpha = stripe[..., 3:] if image.mode == "RGBA" else stripe[..., :0]
            values = stripe if image.mode == "CMYK" else stripe[..., :3]
            if low is not None:
                values = values.astype(np.uint16) << 8 | np.asarray(low.crop(box))[..., :3]
            colours = self._exact.convert(values.reshape(-1, values.shape[2])).reshape(*stripe.shape[:2], 3)
            result.paste(Image.fromarray(np.concatenate([colours, alpha], axis=2)), (0, top))
        return result
