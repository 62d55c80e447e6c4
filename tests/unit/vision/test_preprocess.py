import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.preprocess import draft_size, fit_to_side, resized_size
from kit.pictures import natural_picture

SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


def stripes(width: int, height: int) -> Image.Image:
    """Paint the left third red, the middle green, the right blue."""
    image = Image.new("RGB", (width, height), (0, 255, 0))
    image.paste((255, 0, 0), (0, 0, width // 3, height))
    image.paste((0, 0, 255), (width - width // 3, 0, width, height))
    return image


def test_crop_keeps_the_centre() -> None:
    pixels = fit_to_side(stripes(300, 100), Preprocessing(side=32))
    assert pixels[:, 3:-3].reshape(-1, 3).tolist() == [[0, 255, 0]] * (32 * 26)


def test_pad_keeps_everything_between_borders_of_the_chosen_colour() -> None:
    pixels = fit_to_side(stripes(300, 100), Preprocessing(side=33, fit="pad", pad_rgb=(9, 8, 7)))
    assert pixels[0, 0].tolist() == pixels[-1, -1].tolist() == [9, 8, 7]
    assert pixels[16, 1].tolist() == [255, 0, 0]
    assert pixels[16, -2].tolist() == [0, 0, 255]


def test_squash_keeps_everything_without_borders() -> None:
    pixels = fit_to_side(stripes(300, 100), Preprocessing(side=33, fit="squash"))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[-1, -1].tolist() == [0, 0, 255]


def test_half_even_crop_differs_from_floor_where_half_the_surplus_rounds_up() -> None:
    image = natural_picture(1, (35, 32))
    floor = fit_to_side(image, Preprocessing(side=32))
    half_even = fit_to_side(image, Preprocessing(side=32, fit="crop_half_even"))
    assert np.array_equal(floor, np.asarray(image)[:, 1:33])
    assert np.array_equal(half_even, np.asarray(image)[:, 2:34])
    one_more = natural_picture(1, (33, 32))  # half of one rounds to even, which is down
    assert np.array_equal(
        *(fit_to_side(one_more, Preprocessing(side=32, fit=fit)) for fit in ("crop", "crop_half_even"))
    )


@pytest.mark.parametrize("resample", ["bicubic", "bilinear", "lanczos", "box"])
def test_every_filter_is_its_pillow_namesake(resample: str) -> None:
    image = natural_picture(2, (90, 90))
    expected = np.asarray(image.resize((32, 32), Image.Resampling[resample.upper()]))
    assert np.array_equal(fit_to_side(image, Preprocessing(side=32, resample=resample)), expected)


@pytest.mark.parametrize("fit", ["crop", "crop_half_even", "pad", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (31, 33), (32, 32), (3, 700)])
def test_any_size_becomes_the_models_side(fit: str, size: tuple[int, int]) -> None:
    pixels = fit_to_side(Image.new("RGB", size, (1, 2, 3)), Preprocessing(side=32, fit=fit, pad_rgb=(1, 2, 3)))
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
    assert pixels.reshape(-1, 3).tolist() == [[1, 2, 3]] * 1024


@pytest.mark.parametrize("size", [(20, 600), (600, 20)])
def test_centre_of_a_long_strip_looks_like_the_centre_of_the_whole(size: tuple[int, int]) -> None:
    image = natural_picture(3, size)
    preprocessing = Preprocessing(side=32)
    whole = image.resize(resized_size(size, preprocessing), Image.Resampling.BICUBIC)
    left, top = (whole.width - 32) // 2, (whole.height - 32) // 2
    expected = np.asarray(whole.crop((left, top, left + 32, top + 32))).astype(int)
    assert np.abs(fit_to_side(image, preprocessing) - expected).max() <= 8


def test_layout_follows_the_size_before_scaled_decoding() -> None:
    # 1001 x 100 decoded at an eighth is 126 x 13: cropped by its own proportions it would lose other columns.
    eighth = natural_picture(4, (126, 13))
    cropped = fit_to_side(eighth, Preprocessing(side=32), size=(1001, 100))
    whole = eighth.resize((320, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(cropped, np.asarray(whole.crop((144, 0, 176, 32))))


def test_pixels_can_be_written_to_by_their_owner() -> None:
    assert fit_to_side(natural_picture(1, (40, 40)), Preprocessing(side=32)).flags.writeable


@given(SIZES, st.sampled_from(["crop", "pad", "squash"]))
def test_resized_size_keeps_its_promise(size: tuple[int, int], fit: str) -> None:
    width, height = resized_size(size, Preprocessing(side=224, fit=fit))
    if fit == "crop":
        assert min(width, height) == 224
    elif fit == "pad":
        assert max(width, height) == 224
        assert min(width, height) >= 1
    else:
        assert (width, height) == (224, 224)


@given(SIZES, st.integers(1, 4))
def test_draft_size_is_the_multiple_of_the_resized_size(size: tuple[int, int], scale: int) -> None:
    preprocessing = Preprocessing(side=64, decode_scale=scale)
    width, height = resized_size(size, preprocessing)
    assert draft_size(size, preprocessing) == (scale * width, scale * height)
    assert draft_size(size, Preprocessing(side=64, decode_scale=0)) is None
