"""An image's bytes and the format they were named by in, Pillow's image out, opened and not yet decoded."""

import io

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

# A JPEG is no MPO here, whose further pictures nobody is shown.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}


def open_image(data: bytes, image_format: str) -> ImageFile.ImageFile:
    """Open an image with its format's own reader.

    Not by `Image.open`, which refuses 179 million pixels whatever they cost to decode, and warns from 89 million on:
    `limits` bounds what a decode holds, and a limit of Pillow's would be changed for the whole program that uses us.

    Args:
        data: The file; untrusted.
        image_format: As `sniff.sniff_format` named it.

    Returns:
        The image, to be closed by `with`.

    Raises:
        UnidentifiedImageError: It is none of that format.
        Exception: Whatever else Pillow raises on hostile bytes.
    """
    try:
        return _READERS[image_format](io.BytesIO(data))
    except SyntaxError as exc:  # what Pillow's readers make of bytes that end early, too
        raise UnidentifiedImageError(f"no {image_format}") from exc
