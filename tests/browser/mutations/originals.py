"""Small whole pictures of every format that Chromium shows, and of every kind within it."""

import numpy as np
from PIL import Image
from tests.browser.corpus.others import bmp
from tests.browser.corpus.pngs import code_points, deep, gamma
from tests.browser.corpus.spaces import rgb_profiles
from tests.browser.parts import (
    after_start,
    encode,
    exif_block,
    exif_segment,
    icc_segment,
    iccp,
    with_chunks,
)
from tests.browser.structures.case import NEGATIVE, picture
from tests.kit.pictures import natural_picture

SIZE = (52, 40)


def originals() -> dict[str, bytes]:
    """A name each; the first word is the format."""
    return _pngs() | _jpegs() | _webps() | _gifs() | _bmps() | _avifs()


def scene(seed: int = 3) -> Image.Image:
    """A picture with texture, so that damage shows."""
    return natural_picture(seed, SIZE)


def _see_through() -> Image.Image:
    image = scene().convert("RGBA")
    image.putalpha(scene(4).convert("L"))
    return image


def _moving() -> dict[str, object]:
    return {"save_all": True, "append_images": [scene(5), scene(6)], "duration": 100}


def _pngs() -> dict[str, bytes]:
    plain, palette = encode(scene(), "PNG"), scene().quantize(32)
    return {
        "png rgb": plain,
        "png grey": encode(scene().convert("L"), "PNG"),
        "png see-through": encode(_see_through(), "PNG"),
        "png palette": encode(palette, "PNG"),
        "png palette with alpha": with_chunks(encode(palette, "PNG"), (b"tRNS", bytes(range(0, 256, 8)))),
        "png 16-bit": deep(np.asarray(scene()).astype(np.uint16) * 257),
        "png one bit": encode(scene().convert("1"), "PNG"),
        "png profile": with_chunks(plain, iccp(NEGATIVE)),
        "png gAMA": with_chunks(plain, gamma(1.0)),
        "png cICP": with_chunks(plain, code_points(12, 13)),
        "png turned": with_chunks(plain, (b"eXIf", exif_block(6)), (b"tEXt", b"a\0b")),
        "png animation": encode(scene(), "PNG", **_moving()),
        "png animation, still hidden": encode(scene(), "PNG", default_image=True, **_moving()),
    }


def _jpegs() -> dict[str, bytes]:
    plain = encode(scene(), "JPEG", quality=85)
    return {
        "jpeg": plain,
        "jpeg progressive": encode(scene(), "JPEG", quality=85, progressive=True),
        "jpeg 4:4:4": encode(scene(), "JPEG", quality=90, subsampling=0),
        "jpeg grey": encode(scene().convert("L"), "JPEG", quality=85),
        "jpeg CMYK": encode(scene().convert("CMYK"), "JPEG", quality=85),
        "jpeg restarts": encode(scene(), "JPEG", quality=85, restart_marker_blocks=3),
        "jpeg profile in two, turned": after_start(
            plain, exif_segment(6), icc_segment(NEGATIVE[:900], 1, 2), icc_segment(NEGATIVE[900:], 2, 2)
        ),
    }


def _webps() -> dict[str, bytes]:
    return {
        "webp": encode(scene(), "WEBP", quality=85),
        "webp lossless": encode(scene(), "WEBP", lossless=True),
        "webp see-through": encode(_see_through(), "WEBP", quality=85),
        "webp profile": encode(scene(), "WEBP", quality=85, icc_profile=NEGATIVE, exif=exif_block(6)),
        "webp animation": encode(scene(), "WEBP", quality=85, **_moving()),
    }


def _gifs() -> dict[str, bytes]:
    palette = scene().quantize(32)
    return {
        "gif": encode(palette, "GIF"),
        "gif flat": encode(picture("A"), "GIF", interlace=0),
        "gif see-through": encode(palette, "GIF", transparency=5, interlace=0),
        "gif animation": encode(palette, "GIF", **_moving()),
    }


def _bmps() -> dict[str, bytes]:
    return {
        "bmp": encode(scene(), "BMP"),
        "bmp palette": encode(scene().quantize(32), "BMP"),
        "bmp see-through": encode(_see_through(), "BMP"),
        "bmp profile": bmp(scene(), b"DEBM", profile=rgb_profiles()["falling curve"]),
    }


def _avifs() -> dict[str, bytes]:
    return {
        "avif": encode(scene(), "AVIF", quality=85),
        "avif see-through": encode(_see_through(), "AVIF", quality=85),
        "avif profile, turned": encode(scene(), "AVIF", quality=85, icc_profile=NEGATIVE, exif=exif_block(6)),
        "avif animation": _timeless(encode(scene(), "AVIF", quality=85, **_moving())),
    }


def _timeless(data: bytes) -> bytes:
    """Put zeros where a sequence says when it was made (ISO 14496-12, 8.2.2): the same file each time."""
    changed = bytearray(data)
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        start = data.index(kind) + 8
        length = 16 if data[start - 4] else 8  # both times, of 8 bytes in version 1
        changed[start : start + length] = bytes(length)
    return bytes(changed)
