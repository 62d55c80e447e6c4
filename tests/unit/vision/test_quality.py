from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
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


def flags_of_every_test(views: Sequence[NDArray[np.uint8]]) -> tuple[str, ...]:
    """Ask each test about each view, as if nothing could be told by a cheaper look."""
    planes = [pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32) for pixels in views]
    answers = {
        "NEAR_UNIFORM": [quality.channel_deviation(pixels) <= quality.NEAR_UNIFORM_MAX_DEVIATION for pixels in views],
        "BLURRED": [quality.edge_slope(plane) < quality.BLURRED_MAX_SLOPE for plane in planes],
        "NOISY": [quality.noise_deviation(plane) > quality.NOISY_MIN_DEVIATION for plane in planes],
    }
    return tuple(flag for flag, applies in answers.items() if all(applies))


@st.composite
def near_the_bounds(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Draw pixels whose deviation, slope or noise lies about where its flag begins, in one channel or in all."""
    side = draw(st.sampled_from([1, 2, 3, 5, 7, 32, 96, 224, 225]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.sampled_from([(1, 1, 1), (1, 0, 0), (0, 0, 1), (1, -1, 0.5)]))
    texture = {
        "noise": lambda: generator.normal(size=(side, side)),
        "levels": lambda: generator.integers(0, 2, (side, side)) * 2.0 - 1,
        "halves": lambda: np.where(np.arange(side) * 2 < side, -1.0, 1.0)[:, None].repeat(side, axis=1),
        "columns": lambda: np.where(np.arange(side) * 2 < side, -1.0, 1.0)[None].repeat(side, axis=0),
        "ramp": lambda: np.linspace(-1, 1, side)[:, None].repeat(side, axis=1),
        "comb": lambda: (np.arange(side) % 4 == 0)[:, None].repeat(side, axis=1) * 2.0 - 1,
    }[draw(st.sampled_from(["noise", "levels", "halves", "columns", "ramp", "comb"]))]()
    amplitude = draw(st.floats(0, 8) | st.floats(15, 60) | st.just(127.0) | st.just(2.5))
    levels = draw(st.integers(0, 255)) + amplitude * texture[..., None] * np.array(channels)
    picture = Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
    blur = draw(st.just(0.0) | st.floats(side / 30, side / 10))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture)


@given(st.lists(near_the_bounds(), min_size=1, max_size=2))
def test_flags_are_those_of_the_tests_themselves_however_little_is_looked_at(views: list[NDArray[np.uint8]]) -> None:
    assert quality.degraded_flags(views, (500, 500)) == flags_of_every_test(views)


@pytest.mark.parametrize("calm", [0.0, 0.4, 0.48, 0.52, 0.6])
@pytest.mark.parametrize("contrast", [11, 12, 13, 14])
def test_noise_about_the_bound_is_told_as_its_own_test_tells_it(contrast: int, calm: float) -> None:
    """A chequerboard answers the mask with eight times its contrast everywhere but in the calm rows in the middle."""
    rows, columns = np.indices((96, 96))
    board = (128 + contrast * ((rows + columns) % 2)).astype(np.uint8)[..., None].repeat(3, axis=2)
    board[round(96 * (0.5 - calm / 2)) : round(96 * (0.5 + calm / 2))] = 128
    assert quality.degraded_flags([board], (500, 500)) == flags_of_every_test([board])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("step", [4, 6, 7, 13, 14, 15])
def test_slopes_about_the_bound_are_told_as_their_own_test_tells_them(side: int, step: int) -> None:
    ramp = (step * np.arange(side)).clip(0, 255).astype(np.uint8)[:, None, None].repeat(side, axis=1).repeat(3, axis=2)
    assert ramp.max() == 255
    for pixels in (ramp, ramp.swapaxes(0, 1)):
        assert quality.degraded_flags([pixels], (500, 500)) == flags_of_every_test([pixels])


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("amplitude", [2, 3, 4, 5, 6])
def test_deviations_about_the_bound_are_told_as_their_own_test_tells_them(every: int, amplitude: int) -> None:
    pixels = np.full((96, 96, 3), 128, dtype=np.uint8)
    rows = pixels[18 % every :: every]  # from the 18th on, every fourth is looked at
    rows[:, ::2] += np.uint8(amplitude)
    rows[:, 1::2] -= np.uint8(amplitude)
    assert quality.degraded_flags([pixels], (500, 500)) == flags_of_every_test([pixels])


@pytest.mark.parametrize("side", SIDES)
def test_no_test_is_asked_about_an_ordinary_picture(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("is_near_uniform", "is_blurred", "is_noisy"):
        monkeypatch.setattr(quality, name, lambda _, name=name: pytest.fail(name))
    assert flags(natural_picture(1), side) == ()
    assert flags(drawing(), side) == ()
