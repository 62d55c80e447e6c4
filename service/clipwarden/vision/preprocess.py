"""An RGB image of any size in, S x S pixels out, as the model folder's preprocessing says."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.conversion import Convert

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
Box = tuple[float, float, float, float]

# Resizing before cropping needs memory in proportion to the aspect ratio: a strip of 1 x 10,000 pixels would become
# 224 x 2,240,000. Beyond this ratio only the centre is resized. That differs from the whole by a few levels where a
# filter overshoots, since Pillow orders its two passes by their cost and clips between them.
MAX_ASPECT = 16


def fit_to_side(
    image: Image.Image,
    preprocessing: Preprocessing,
    *,
    size: tuple[int, int] | None = None,
    box: Box | None = None,
    convert: Convert | None = None,
) -> NDArray[np.uint8]:
    """Resize, then crop, pad or squash to the model's input side.

    Args:
        image: Mode RGB, any size of at least 1 x 1 pixel.
        preprocessing: Side, filter, fit and padding colour.
        size: (width, height) before scaled decoding, which rounds them up: the layout follows the true proportions,
            or an edge could land a pixel off. None takes the image's own.
        box: (left, top, right, bottom) of the picture inside the image, in fractions of its pixels: scaled decoding
            leaves partial pixels at its edges, which would stretch it. None takes the whole image.
        convert: What happens to its colours once it is small, before any border of `pad_rgb` is drawn.

    Returns:
        uint8 [S,S,3]; under `crop` equal to what transformers' CLIPImageProcessorPil computes.
    """
    fit = _resize if preprocessing.fit in ("pad", "squash") else _crop
    target = resized_size(size or image.size, preprocessing)
    shown = box or (0, 0, *image.size)
    if convert is not None and image.width * image.height <= max(target[0] * target[1], _CHEAP_PIXELS):
        image, convert = convert(image), None
    if convert is not None and _AHEAD**2 * target[0] * target[1] <= _CHEAP_PIXELS:
        displayed = _converted_ahead(image, shown, target, preprocessing, convert)
    else:
        resized = fit(image, shown, target, preprocessing)
        displayed = resized if convert is None else convert(resized)
    # By `np.array` Pillow's interface for arrays would be asked first, and the bytes copied all the same.
    pixels = bytearray(_bordered(displayed, preprocessing).tobytes())
    return np.frombuffer(pixels, np.uint8).reshape(preprocessing.side, preprocessing.side, 3)


def convert_if_small(
    image: Image.Image, preprocessing: Preprocessing, convert: Convert | None
) -> tuple[Image.Image, Convert | None]:
    """Convert a small picture's colours once, before its parts are fitted: each would convert all of it.

    Args:
        image: Mode RGB.
        preprocessing: Side.
        convert: As for `fit_to_side`.

    Returns:
        The picture, and what then still has to happen to the colours of its parts.
    """
    if convert is None or image.width * image.height > max(preprocessing.side**2, _CHEAP_PIXELS):
        return image, convert
    return convert(image), None


def resized_size(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """Compute the whole image's size after resizing, before a crop or borders.

    Args:
        size: (width, height) in pixels.
        preprocessing: Side and fit.

    Returns:
        (width, height) in pixels.

    Source: transformers' `get_resize_output_image_size`: the long side is truncated, not rounded.
    """
    width, height = size
    side = preprocessing.side
    if preprocessing.fit == "squash":
        return side, side
    if preprocessing.fit != "pad":
        return (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    longest = max(size)
    return max(1, round(side * width / longest)), max(1, round(side * height / longest))


def draft_size(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int] | None:
    """Compute the least size a JPEG may be decoded at.

    Args:
        size: (width, height) as stored, in pixels.
        preprocessing: Side, fit and decode scale.

    Returns:
        (width, height) in pixels; None when the image must be decoded in full.
    """
    scale = preprocessing.decode_scale
    if scale == 0:
        return None
    width, height = resized_size(size, preprocessing)
    return scale * width, scale * height


def _converted_ahead(
    image: Image.Image, box: Box, target: tuple[int, int], preprocessing: Preprocessing, convert: Convert
) -> Image.Image:
    """Convert colours at one and a half times the size, then fit.

    Saturated edges mix differently in stored and in displayed colours. Measured on patches of 24 pixels at a side of
    96: 1 % of the values are 11 levels off when converted afterwards, 4 so. At 224 they are 4 off either way, and more
    pixels would cost a JPEG more than a fifth of its time.
    """
    if preprocessing.fit not in ("pad", "squash"):
        box, target = _centre(box, target, preprocessing), (preprocessing.side, preprocessing.side)
    resample, ahead = _FILTERS[preprocessing.resample], (round(_AHEAD * target[0]), round(_AHEAD * target[1]))
    return convert(image.resize(ahead, resample, box=box)).resize(target, resample)


# 30,000 pixels take less than a millisecond.
_AHEAD, _CHEAP_PIXELS = 1.5, 30_000


def _crop(image: Image.Image, box: Box, target: tuple[int, int], preprocessing: Preprocessing) -> Image.Image:
    side, resample = preprocessing.side, _FILTERS[preprocessing.resample]
    if max(target) > MAX_ASPECT * side:
        return image.resize((side, side), resample, box=_centre(box, target, preprocessing))
    resized = _resize(image, box, target, preprocessing)
    if target == (side, side):
        return resized
    left, top = _crop_offsets(target, preprocessing)
    return resized.crop((left, top, left + side, top + side))


def _centre(box: Box, target: tuple[int, int], preprocessing: Preprocessing) -> Box:
    """Find what a crop keeps, in pixels of the image."""
    across, down = (box[2] - box[0]) / target[0], (box[3] - box[1]) / target[1]
    left, top = _crop_offsets(target, preprocessing)
    x, y, side = box[0] + left * across, box[1] + top * down, preprocessing.side
    return x, y, x + side * across, y + side * down


def _crop_offsets(target: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    side = preprocessing.side
    return _crop_offset(target[0] - side, preprocessing), _crop_offset(target[1] - side, preprocessing)


def _crop_offset(surplus: int, preprocessing: Preprocessing) -> int:
    """Halve as transformers' center_crop does (down), or as torchvision's CenterCrop does (half to even)."""
    return surplus // 2 if preprocessing.fit == "crop" else round(surplus / 2)


def _bordered(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """Fill up to S x S, where `pad` left the picture smaller."""
    side = preprocessing.side
    if image.size == (side, side):
        return image
    canvas = Image.new("RGB", (side, side), preprocessing.pad_rgb)
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def _resize(image: Image.Image, box: Box, target: tuple[int, int], preprocessing: Preprocessing) -> Image.Image:
    # What has its size already would only be copied.
    whole = target == image.size and box == (0, 0, *image.size)
    return image if whole else image.resize(target, _FILTERS[preprocessing.resample], box=box)
