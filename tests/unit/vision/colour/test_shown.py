"""Whole files in: the model gets the colours that a browser shows, wherever the decoder could be cheated of them."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from browser.profiles import (
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    SRGB_PARAMETRIC,
    SRGB_PRIMARIES,
    SRGB_TABLE,
    V_CURVE,
    gamma_curve,
    lut_profile,
    matrix_profile,
    rgb_formula,
    srgb_to_linear,
    table_curve,
)
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from kit.containers import png_chunk, png_file, png_header
from kit.pictures import drawing, encode

SIDE = 64
P3 = matrix_profile(SRGB_PARAMETRIC, P3_PRIMARIES, version=4)
NEGATIVE = matrix_profile(NEGATIVE_CURVE)
NEGATIVE_TABLE = lut_profile(
    "mAB", b"RGB ", rgb_formula(SRGB_PRIMARIES, lambda v: srgb_to_linear(1 - v)), grid=33, version=4
)
V = matrix_profile(V_CURVE)
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


def judged(data: bytes, **preprocessing: Any) -> NDArray[np.int16]:  # noqa: ANN401
    decoded = decode_image(data, preprocessing=Preprocessing(**{"side": SIDE, "colour": "srgb", **preprocessing}))
    return decoded.pixels[0].astype(np.int16)


def negative(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(image))


@pytest.mark.parametrize("profile", [NEGATIVE, NEGATIVE_TABLE])
@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_a_picture_behind_a_falling_curve_is_judged_as_shown(image_format: str, profile: bytes) -> None:
    picture = drawing(512)
    options = LOSSLESS.get(image_format, {"quality": 95, "subsampling": 0})
    hidden = encode(negative(picture), image_format, icc_profile=profile, **options)
    plain = encode(picture, "PNG")
    assert np.abs(judged(hidden) - judged(plain)).mean() < 2
    assert np.abs(judged(hidden, colour="ignore") - judged(plain)).mean() > 100


def test_a_build_that_ignores_colours_sees_what_is_stored() -> None:
    stored = encode(negative(drawing()), "PNG", icc_profile=NEGATIVE)
    assert np.array_equal(judged(stored, colour="ignore"), judged(encode(negative(drawing()), "PNG")))


def test_gamma_that_lifts_a_picture_out_of_white_is_applied() -> None:
    picture = np.asarray(drawing(SIDE))
    light = srgb_to_linear(np.clip(picture, 1, 255) / 255.0)
    lifted = (light**0.02 * 255).round().astype(np.uint8)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in lifted))
    data = png_file(png_header((SIDE, SIDE)), png_chunk(b"gAMA", struct.pack(">I", 2000)), png_chunk(b"IDAT", rows))
    assert lifted.min() > 200
    # Near white a level stored is fifty shown.
    assert np.abs(judged(data) - picture).mean() < 8


def dithered(side: int) -> tuple[Image.Image, Image.Image]:
    """A drawing in dots of two levels that a V-shaped curve shows as one, all grey on the average; and as shown."""
    ink = np.asarray(drawing(side).convert("L")) < 200
    rows, columns = np.indices(ink.shape)
    depth = np.where(ink, 127, 20)
    stored = np.where((rows + columns) % 2, 127.5 + depth, 127.5 - depth).clip(0, 255).astype(np.uint8)
    light = np.abs(2 * (stored / 255.0) - 1)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    return Image.fromarray(stored).convert("RGB"), Image.fromarray(shown.round().astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_a_picture_of_dots_under_a_v_shaped_curve_is_judged_as_shown(image_format: str) -> None:
    stored, shown = dithered(512)
    options = LOSSLESS.get(image_format, {"quality": 98, "subsampling": 0})
    data = encode(stored, image_format, icc_profile=V, **options)
    assert np.asarray(stored.resize((SIDE, SIDE))).std() < 8  # reduced first, there is nothing
    assert judged(encode(shown, "PNG")).std() > 50
    assert np.abs(judged(data) - judged(encode(shown, "PNG"))).mean() < 4


@pytest.mark.parametrize("alpha", [None, 200])
def test_what_lies_in_the_low_bytes_of_sixteen_bits_is_shown_by_a_steep_table(alpha: int | None) -> None:
    picture = np.asarray(drawing(SIDE)).astype(np.uint16)
    stored = (0x80 << 8) + picture
    if alpha is not None:
        stored = np.concatenate([stored, np.full((SIDE, SIDE, 1), alpha << 8, dtype=np.uint16)], axis=2)
    header = png_header((SIDE, SIDE), depth=16, kind=2 if alpha is None else 6)
    seen = judged(png_file(header, STEEP, png_chunk(b"IDAT", wide_rows(stored))))
    assert seen.std() > 20
    assert np.corrcoef(seen.ravel(), picture.ravel())[0, 1] > 0.9


def test_low_bytes_count_in_a_frame_that_is_smaller_than_the_picture_too() -> None:
    picture = np.asarray(drawing(SIDE)).astype(np.uint16)
    stored, top = (0x80 << 8) + picture, SIDE // 4
    data = png_file(
        png_header((SIDE, SIDE), depth=16),
        STEEP,
        png_chunk(b"acTL", struct.pack(">2I", 1, 0)),
        png_chunk(b"IDAT", wide_rows(stored * 0)),
        png_chunk(b"fcTL", struct.pack(">5I2H2B", 0, SIDE, SIDE - top, 0, top, 1, 10, 0, 0)),
        png_chunk(b"fdAT", struct.pack(">I", 1) + wide_rows(stored[top:])),
    )
    seen = decode_image(data, preprocessing=Preprocessing(side=SIDE, colour="srgb")).views[1]
    assert seen.name == "on_black"
    assert np.corrcoef(seen.pixels[top:].ravel(), picture[top:].ravel())[0, 1] > 0.9
    assert seen.pixels[: top - 2].max() == 0


STEEP = png_chunk(
    b"iCCP",
    b"x\0\0" + zlib.compress(matrix_profile(table_curve(np.clip((np.linspace(0, 1, 32_769) - 0.5) * 256, 0, 1)))),
)


def wide_rows(stored: NDArray[np.uint16]) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored))


def test_a_border_is_drawn_in_its_own_colour() -> None:
    wide = encode(Image.new("RGB", (400, 100), (200, 30, 30)), "PNG", icc_profile=P3)
    for fit, is_border in (("pad", True), ("squash", False), ("crop", False)):
        seen = judged(wide, fit=fit, pad_rgb=(10, 120, 200))
        assert (tuple(seen[0, 0]) == (10, 120, 200)) == is_border
        assert tuple(seen[SIDE // 2, SIDE // 2]) != (200, 30, 30)


@pytest.mark.parametrize("size", [(2000, 3), (3, 2000), (900, 700), (50, 40)])
@pytest.mark.parametrize("profile", [P3, NEGATIVE])
def test_a_flat_colour_is_converted_alike_at_every_size(size: tuple[int, int], profile: bytes) -> None:
    colours = [
        judged(encode(Image.new("RGB", each, (230, 60, 20)), "PNG", icc_profile=profile)) for each in (size, (8, 8))
    ]
    assert np.array_equal(*colours)


def test_saturated_edges_mix_in_displayed_colours() -> None:
    """Reducing first is allowed under Display P3, and stays within what the corpus of browsers allows."""
    cells = np.random.default_rng(0).integers(0, 2, (9, 12, 3)) * 255
    patches = Image.fromarray(cells.astype(np.uint8).repeat(24, axis=0).repeat(24, axis=1))
    data = encode(patches, "PNG", icc_profile=P3)
    with_profile = judged(data, side=96)
    exact = judged(encode(converted(patches), "PNG"), side=96)
    assert np.abs(with_profile - exact).mean() < 1.5
    assert np.percentile(np.abs(with_profile - exact), 99) <= 8


def converted(image: Image.Image) -> Image.Image:
    light = rgb_formula(P3_PRIMARIES, srgb_to_linear)(np.asarray(image).reshape(-1, 3) / 255.0)
    linear = np.clip(light @ np.linalg.inv(rgb_formula(SRGB_PRIMARIES, lambda v: v)(np.eye(3))), 0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    return Image.fromarray(levels.round().astype(np.uint8).reshape(image.height, image.width, 3))


def test_what_is_uncertain_is_said_and_what_is_not_is_not() -> None:
    preprocessing = Preprocessing(side=SIDE, colour="srgb")
    picture = drawing(SIDE)

    def flags(**options: Any) -> tuple[str, ...]:  # noqa: ANN401
        return decode_image(encode(picture, "JPEG", **options), preprocessing=preprocessing).facts.degraded

    assert "COLOUR_UNCERTAIN" in flags(icc_profile=b"no profile at all")
    for profile in (P3, matrix_profile(SRGB_TABLE), matrix_profile(gamma_curve(2.2)), NEGATIVE_TABLE):
        assert "COLOUR_UNCERTAIN" not in flags(icc_profile=profile)
