"""The unscaled path must give the very pixels that transformers' processors give; alpha is ours and tested apart."""

import io
import random

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.preprocess import fit_to_side
from kit.pictures import drawing, encode, natural_picture

SIDES = (32, 96, 224, 225)
RAW = {"do_rescale": False, "do_normalize": False}


def clip_pixels(image: Image.Image, side: int, resample: int = 3) -> NDArray[np.uint8]:
    size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    processor = CLIPImageProcessorPil(resample=resample, **size, **RAW)
    # [1,3,S,S] -> [S,S,3]
    pixels = np.asarray(processor(image, return_tensors="np")["pixel_values"])[0].transpose(1, 2, 0)
    assert np.array_equal(pixels, pixels.astype(np.uint8))
    return pixels.astype(np.uint8)


def sizes(seed: int, count: int, side: int) -> list[tuple[int, int]]:
    """Draw sizes around the side, odd and even, up to an aspect ratio of 16."""
    dice = random.Random(seed)  # noqa: S311
    edge = [1, 2, 7, side - 1, side, side + 1, 2 * side + 1, 3 * side - 2]
    drawn = []
    while len(drawn) < count:
        size = (dice.choice([*edge, dice.randrange(1, 700)]), dice.choice([*edge, dice.randrange(1, 700)]))
        if max(size) / min(size) <= 16:
            drawn.append(size)
    return drawn


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    """Make the hardest content to match: every rounding shows."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("side", SIDES)
def test_crop_equals_transformers_on_noise_of_any_size(side: int) -> None:
    for seed, size in enumerate(sizes(side, 25, side)):
        image = noise(size, seed)
        assert np.array_equal(fit_to_side(image, Preprocessing(side=side)), clip_pixels(image, side)), size


@pytest.mark.parametrize(("name", "resample"), [("lanczos", 1), ("bilinear", 2), ("bicubic", 3), ("box", 4)])
def test_every_filter_equals_transformers(name: str, resample: int) -> None:
    for seed, size in enumerate(sizes(5, 6, 96)):
        image = noise(size, seed)
        ours = fit_to_side(image, Preprocessing(side=96, resample=name))
        assert np.array_equal(ours, clip_pixels(image, 96, resample)), size


def test_squash_equals_transformers_siglip() -> None:
    for seed, size in enumerate(sizes(6, 12, 96)):
        image = noise(size, seed)
        processor = SiglipImageProcessorPil(size={"height": 96, "width": 96}, resample=3, **RAW)
        theirs = np.asarray(processor(image, return_tensors="np")["pixel_values"])[0].transpose(1, 2, 0)
        assert np.array_equal(fit_to_side(image, Preprocessing(side=96, fit="squash")), theirs), size


PICTURES = {
    "jpeg": (natural_picture(1, (301, 223)), "JPEG"),
    "grey jpeg": (natural_picture(2, (223, 301)).convert("L"), "JPEG"),
    "cmyk jpeg": (natural_picture(3, (301, 223)).convert("CMYK"), "JPEG"),
    "png": (natural_picture(4, (97, 300)), "PNG"),
    "palette png": (natural_picture(5, (300, 97)).quantize(64), "PNG"),
    "grey png": (natural_picture(6, (100, 100)).convert("L"), "PNG"),
    "one-bit png": (drawing(131).convert("1"), "PNG"),
    "webp": (natural_picture(7, (301, 223)), "WEBP"),
    "gif": (drawing(131).quantize(16), "GIF"),
    "bmp": (natural_picture(8, (301, 223)), "BMP"),
    "tiff": (natural_picture(9, (301, 223)), "TIFF"),
    "avif": (natural_picture(10, (301, 223)), "AVIF"),
    "opaque alpha": (natural_picture(11, (301, 223)).convert("RGBA"), "PNG"),
}


@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_decoding_unscaled_equals_pillow_and_transformers_from_the_bytes_on(kind: str) -> None:
    image, image_format = PICTURES[kind]
    data = encode(image, image_format)
    (view,) = decode_image(data, preprocessing=Preprocessing(side=96, decode_scale=0)).views
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(view.pixels, clip_pixels(opened, 96))
