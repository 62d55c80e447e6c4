"""An image's bytes and the format they were named by in, Pillow's image out, opened and not yet decoded."""

import io
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

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

from clipwarden.vision.formats.jpeg import Segment
from clipwarden.vision.formats.jpegplain import PlainFrame, plain_frame
from clipwarden.vision.formats.sniff import FORMATS

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


_HEIC_READER = "pillow_heif"


@cache
def readable_formats() -> tuple[str, ...]:
    """Name the formats that can be opened here: all, but HEIC only where the extra `heif` is installed."""
    return tuple(name for name in FORMATS if name != "HEIC" or find_spec(_HEIC_READER) is not None)


class _PlainJpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG whose header was read already: it knows what its decoder has to, and nothing else."""

    def __init__(self, data: bytes, frame: PlainFrame) -> None:
        self._frame = frame
        super().__init__(io.BytesIO(data))

    def _open(self) -> None:
        (self._size, self._mode), raw_mode = self._frame, self._frame.mode
        # Adobe's convention, as in Pillow, whatever the file says.
        arguments = ("CMYK;I" if raw_mode == "CMYK" else raw_mode, "")
        self.tile = [ImageFile._Tile("jpeg", (0, 0, *self._size), 0, arguments)]  # noqa: SLF001  a reader's own


def open_image(data: bytes, image_format: str, segments: Sequence[Segment] = ()) -> ImageFile.ImageFile:
    """Open an image with its format's own reader.

    Not by `Image.open`, which refuses 179 million pixels whatever they cost to decode, and warns from 89 million on:
    `limits` bounds what a decode holds, and a limit of Pillow's would be changed for the whole program that uses us.

    Args:
        data: The file; untrusted.
        image_format: As `sniff.sniff_format` named it.
        segments: Of a JPEG's header, where they are known: it is not read once more then, if all readers take it alike.

    Returns:
        The image, to be closed by `with`.

    Raises:
        UnidentifiedImageError: It is none of that format.
        Exception: Whatever else Pillow raises on hostile bytes.
    """
    try:
        if image_format == "HEIC":
            return _open_heic(data)
        frame = plain_frame(data, segments)
        image = _PlainJpeg(data, frame) if frame else _READERS[image_format](io.BytesIO(data))
    except SyntaxError as exc:  # what Pillow's readers make of bytes that end early, too
        raise UnidentifiedImageError(f"no {image_format}") from exc
    if image_format == "JPEG":
        # Read from its first byte in one piece it is not copied; in Pillow's pieces of 64 KiB it would be, twice.
        image.decodermaxblock = max(1, len(data))
    return image


def _open_heic(data: bytes) -> ImageFile.ImageFile:
    # Here, because it loads 27 MB of libraries. The class alone: registering it would change `Image.open` for the whole
    # program that uses us.
    from pillow_heif import HeifImageFile  # noqa: PLC0415

    image: ImageFile.ImageFile = HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call]
    if not image.info["primary"]:  # it opens another picture of the file where it cannot read the one that is shown
        raise UnidentifiedImageError("no HEIC")
    return image
