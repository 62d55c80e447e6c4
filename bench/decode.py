"""What reading an image costs with all that is looked at, hashed and measured beside it, over plain Pillow.

Plain is what one writes without thinking of hostile files: draft to twice the side, resize, crop.
"""

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import profiles
from bench.measure import Ratio, time_together
from bench.photos import jpeg
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image

SIDE = 224
SIZES = ((224, 224), (640, 480), (1600, 1200))
"""A picture that was made small for a model, one of a web page, and one of a phone, (width, height) in pixels."""
ROUNDS = 15
PHOTO_PIXELS, PHOTO_BAR = 640 * 480, 1.25
"""From so many pixels on, reading a JPEG may cost so much over plain; of the smallest most is header, whoever reads."""
_SHORT_CALLS = 10  # of a picture below `PHOTO_PIXELS` in one timing: the clock may tick in hundredths of a millisecond


def run(sizes: Sequence[tuple[int, int]] = SIZES, rounds: int = ROUNDS) -> list[Ratio]:
    """Time the same files through both, in turns.

    Args:
        sizes: Of the pictures, (width, height) in pixels.
        rounds: How often each is timed.

    Returns:
        A ratio a kind of file and size.
    """
    return [
        _ratio(f"{kind} of {size[0]} x {size[1]}", data, size, rounds)
        for size in sizes
        for kind, data in files(size).items()
    ]


def files(size: tuple[int, int]) -> dict[str, bytes]:
    """Encode one picture in the ways that are met most, by kind.

    Args:
        size: (width, height) in pixels.
    """
    data = jpeg(*size)
    save = partial(_encoded, Image.open(io.BytesIO(data)).convert("RGB"))
    return {
        "JPEG": data,
        "JPEG with EXIF and sRGB": save("JPEG", quality=90, exif=_exif(size), icc_profile=profiles.srgb()),
        "JPEG in Display P3": save("JPEG", quality=90, icc_profile=profiles.display_p3()),
        "PNG": save("PNG"),
        "WebP": save("WEBP", quality=85),
    }


def plain(data: bytes, side: int = SIDE) -> NDArray[np.uint8]:
    """Read an image as one does who trusts it.

    Args:
        data: The file.
        side: S, pixels.

    Returns:
        uint8 [S,S,3].
    """
    image: Image.Image = Image.open(io.BytesIO(data))
    shorter = min(image.size)
    target = (side * image.width // shorter, side * image.height // shorter)
    image.draft(None, (2 * target[0], 2 * target[1]))
    if image.mode != "RGB":
        image = image.convert("RGB")
    left, top = (target[0] - side) // 2, (target[1] - side) // 2
    resized = image.resize(target, Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def _ratio(name: str, data: bytes, size: tuple[int, int], rounds: int) -> Ratio:
    works: dict[str, Callable[[], object]] = {
        "ours": partial(decode_image, data, preprocessing=Preprocessing(side=SIDE, colour="srgb")),
        "plain": partial(plain, data),
    }
    calls = 1 if size[0] * size[1] >= PHOTO_PIXELS else _SHORT_CALLS
    timings = time_together(works, rounds=rounds, calls=dict.fromkeys(works, calls))
    bar = PHOTO_BAR if name.startswith("JPEG") and size[0] * size[1] >= PHOTO_PIXELS else None
    return Ratio(
        name=f"{name}: read, hashed and checked / plain", cost=timings["ours"], reference=timings["plain"], bar=bar
    )


def _encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:  # noqa: ANN401  Pillow's own
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _exif(size: tuple[int, int]) -> bytes:
    """Write what cameras write: who made the picture, its size, its resolution, and a maker's note."""
    exif = Image.Exif()
    exif.update({0x10F: "Maker", 0x110: "Camera", 0x112: 1, 0x11A: 72.0, 0x11B: 72.0, 0x128: 2})
    exif.get_ifd(0x8769).update({0x9003: "2026:01:01 10:00:00", 0x927C: bytes(2000), 0xA002: size[0], 0xA003: size[1]})
    return exif.tobytes()
