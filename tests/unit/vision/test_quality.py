import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision import quality
from clipwarden.vision.preprocess import fit_to_side
from kit.pictures import drawing, natural_picture

SIDES = (96, 224)


def flags(image: Image.Image, side: int, size: tuple[int, int] = (500, 500)) -> tuple[str, ...]:
    return quality.degraded_flags([fit_to_side(image.convert("RGB"), Preprocessing(side=side))], size)


def icons() -> dict[str, Image.Image]:
    """Draw the kinds of flat picture that are legitimate and nearly empty."""
    dot = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(dot).ellipse((58, 58, 70, 70), fill="black")
    stroke = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(stroke).arc((20, 20, 108, 108), 200, 340, fill=(150, 150, 150), width=3)
    pale = drawing(128, ink=(255, 225, 190))
    pixel_art = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8))
    pixel_art = pixel_art.resize((120, 120), Image.Resampling.NEAREST)
    gradient = Image.linear_gradient("L").convert("RGB")
    ImageDraw.Draw(gradient).rectangle((100, 100, 150, 150), fill="white")
    code = Image.fromarray((np.random.default_rng(1).integers(0, 2, (33, 33)) * 255).astype(np.uint8))
    return {
        "drawing": drawing(),
        "dot": dot,
        "thin stroke": stroke,
        "pale": pale,
        "pixel art": pixel_art,
        "gradient": gradient,
        "matrix code": code.resize((264, 264), Image.Resampling.NEAREST),
    }


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", sorted(icons()))
def test_flat_drawings_are_not_degraded(name: str, side: int) -> None:
    assert flags(icons()[name], side) == ()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", range(6))
def test_natural_pictures_are_not_degraded(seed: int, side: int) -> None:
    assert flags(natural_picture(seed), side) == ()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("colour", ["white", "black", (200, 30, 30)])
def test_blank_pictures_are_near_uniform_even_as_noisy_jpeg(side: int, colour: str | tuple[int, int, int]) -> None:
    blank = Image.new("RGB", (300, 300), colour)
    assert "NEAR_UNIFORM" in flags(blank, side)
    grain = np.asarray(blank).astype(int) + np.random.default_rng(0).normal(0, 2, (300, 300, 3))
    assert "NEAR_UNIFORM" in flags(Image.fromarray(grain.clip(0, 255).astype(np.uint8)), side)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("image", [natural_picture(1, (400, 400)), drawing(400)], ids=["picture", "drawing"])
def test_heavy_blur_is_flagged_and_light_blur_is_not(side: int, image: Image.Image) -> None:
    assert flags(image.filter(ImageFilter.GaussianBlur(400 / 12)), side) == ("BLURRED",)
    assert flags(image.filter(ImageFilter.GaussianBlur(400 / 60)), side) == ()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("image", [natural_picture(1), drawing()], ids=["picture", "drawing"])
def test_heavy_noise_is_flagged_and_light_noise_is_not(side: int, image: Image.Image) -> None:
    pixels = fit_to_side(image, Preprocessing(side=side)).astype(float)
    for deviation, expected in ((90, ("NOISY",)), (12, ())):
        noise = np.random.default_rng(0).normal(0, deviation, pixels.shape[:2])[..., None]
        noisy = (pixels + noise).clip(0, 255).astype(np.uint8)
        assert quality.degraded_flags([noisy], (500, 500)) == expected


def test_pure_noise_is_noisy() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    assert quality.degraded_flags([noise], (96, 96)) == ("NOISY",)


def test_pictures_under_32_pixels_are_tiny() -> None:
    pixels = fit_to_side(natural_picture(1), Preprocessing(side=96))
    assert quality.degraded_flags([pixels], (500, 31)) == ("TINY",)
    assert quality.degraded_flags([pixels], (32, 32)) == ()


def test_white_drawing_on_transparency_is_blank_on_one_background_only_so_it_passes() -> None:
    blank = np.full((96, 96, 3), 255, dtype=np.uint8)
    visible = fit_to_side(drawing(ink=(255, 255, 255)).point(lambda v: 255 - v), Preprocessing(side=96))
    shown = fit_to_side(drawing(), Preprocessing(side=96))
    assert quality.degraded_flags([blank, shown], (96, 96)) == ()
    assert quality.degraded_flags([blank, blank], (96, 96)) == ("NEAR_UNIFORM",)
    assert visible.shape == (96, 96, 3)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_smallest_sides_are_measured_without_failing(side: int) -> None:
    pixels = np.zeros((side, side, 3), dtype=np.uint8)
    assert "NEAR_UNIFORM" in quality.degraded_flags([pixels], (side, side))
