"""A file of one picture in, its pixels out, as all that is judged of it and in the colours that a browser shows."""

from typing import NamedTuple

from PIL import Image

from clipwarden.vision.colour.conversion import Conversion
from clipwarden.vision.formats import png
from clipwarden.vision.opening import open_image
from clipwarden.vision.sixteen import is_wide, low_bytes, wide_key, with_wide_key
from clipwarden.vision.structure import Canvas
from clipwarden.vision.views import on_canvas, to_rgb, to_rgba


class Still(NamedTuple):
    """A decoded picture.

    Attributes:
        picture: Loaded, in any mode that Pillow decodes.
        low_bytes: Of 16 bits a channel, where they count.
    """

    picture: Image.Image
    low_bytes: Image.Image | None = None

    def on(self, canvas: Canvas | None) -> "Still":
        """Draw it where a browser does."""
        if canvas is None:
            return self
        low = None if self.low_bytes is None else on_canvas(self.low_bytes, canvas)
        return Still(on_canvas(self.picture, canvas), low)


def decode_still(data: bytes, image_format: str, conversion: Conversion) -> Still:
    """Decode a file's one picture.

    Args:
        data: The file; untrusted.
        image_format: One of `sniff.FORMATS`.
        conversion: Of its colours, which is not applied yet.

    Raises:
        Exception: Whatever Pillow raises on hostile bytes; OSError where rows are missing.
    """
    with open_image(data, image_format) as opened:
        wide, key = conversion.convert_wide is not None and is_wide(opened), wide_key(opened)
        low = low_bytes(open_image(data, image_format)) if wide or key is not None else None
        opened.load()
        if image_format == "PNG" and png.lacks_rows(opened, data):
            raise OSError("rows are missing")
        picture: Image.Image = opened
        if key is not None and low is not None:
            picture = with_wide_key(opened, key, low)
    return Still(picture, low if wide else None)


def displayed(still: Still, conversion: Conversion) -> Image.Image:
    """Bring a picture to the colours that are shown, before anything is composed of it: as browsers do.

    Args:
        still: The picture.
        conversion: Of its colours.

    Returns:
        Mode RGB, or RGBA if it may be see-through.
    """
    picture = still.picture
    if conversion.convert is None:
        return _plain(picture)
    if still.low_bytes is not None and conversion.convert_wide is not None:
        return conversion.convert_wide(_plain(picture), still.low_bytes)
    # A palette's few colours are converted, not its pixels; and a profile of greys is asked about greys.
    if picture.mode == "P" or (picture.mode in ("L", "CMYK") and not picture.has_transparency_data):
        return _plain(conversion.convert(picture))
    return conversion.convert(_plain(picture))


def _plain(picture: Image.Image) -> Image.Image:
    return to_rgba(picture) if picture.has_transparency_data else to_rgb(picture)
