"""Animations: every frame that Chromium composes is composed here, and is shown at the same time."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.browser.compare import SAME_WITHIN as SAME_PICTURE_WITHIN
from tests.browser.kit import Chromium
from tests.browser.moving import MovingChromium, ShownFrames, moving
from tests.browser.parts import encode, exif_block, iccp, with_chunks
from tests.browser.structures import gif, png, webp
from tests.browser.structures.case import NEGATIVE

from clipwarden.vision.colour.conversion import conversion_of
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.frames.frame import Frame
from clipwarden.vision.frames.reading import frames_of
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.views import to_rgb, to_rgba
from kit.movingfiles import FORMATS, SIZE, Drawn, flat, gif_animation, png_animation, random_animation, webp_animation

# Mean levels of 0-255, on white and on black. Chromium keeps colours multiplied by their alpha, and rounds: 0.2 was
# seen. Frames that are not the same differ by 2 and more.
SAME_WITHIN = 1.0
SEEDS = range(25)


@pytest.fixture(scope="module")
def browser(chromium: Chromium) -> Iterator[MovingChromium]:
    with moving(chromium) as opened:
        yield opened


def read(data: bytes, image_format: str) -> list[Frame]:
    structure = read_structure(data, image_format, DEFAULT_LIMITS)
    conversion = conversion_of(structure.colour, image_format=image_format, mode="RGB")
    return list(frames_of(data, structure, image_format, conversion=conversion))


def on_page(pixels: NDArray[np.uint8], grey: int) -> NDArray[np.float64]:
    alpha = pixels[..., 3:] / 255
    return pixels[..., :3] * alpha + grey * (1 - alpha)


def distance(ours: Frame, theirs: NDArray[np.uint8]) -> float:
    picture = ours.picture if ours.conversion.convert is None else ours.conversion.convert(ours.picture)
    plain = to_rgba(picture) if picture.has_transparency_data else to_rgb(picture).convert("RGBA")
    pixels = np.asarray(plain)
    assert pixels.shape == theirs.shape
    return max(float(np.abs(on_page(pixels, grey) - on_page(theirs, grey)).mean()) for grey in (0, 255))


def assert_same(frames: list[Frame], shown: ShownFrames) -> None:
    assert shown.error == ""
    assert len(frames) >= len(shown.frames) > 1
    far = [index for index, each in enumerate(shown.frames) if distance(frames[index], each.pixels) > SAME_WITHIN]
    assert far == []
    seconds = 0.0
    for ours, theirs in zip(frames, shown.frames, strict=False):
        assert ours.seconds == pytest.approx(seconds)
        by_file = theirs.duration_seconds
        assert by_file is not None
        # What <img> does to very short times, `ImageDecoder` leaves to its caller.
        assert ours.duration_seconds == pytest.approx(by_file if by_file > 0.01 else 0.1, abs=0.0011)
        seconds += ours.duration_seconds or 0


@pytest.mark.parametrize("image_format", FORMATS)
def test_any_frames_anywhere(browser: MovingChromium, image_format: str) -> None:
    for seed in SEEDS:
        data = random_animation(image_format, seed)
        assert_same(read(data, image_format), browser.frames(data, image_format))


def test_alpha_that_a_webp_denies_is_the_same_or_flagged(browser: MovingChromium) -> None:
    soft = Image.merge("RGBA", (*flat("red").split(), Image.linear_gradient("L").resize(SIZE)))
    data = webp_animation([Drawn(picture=flat("blue")), Drawn(picture=soft), Drawn(picture=flat("lime"))], alpha=False)
    frames = read(data, "WEBP")
    shown = browser.frames(data, "WEBP").frames
    assert [frame.uncertain for frame in frames] == [False, True, True]
    assert all(
        distance(frame, each.pixels) < SAME_WITHIN
        for frame, each in zip(frames, shown, strict=True)
        if not frame.uncertain
    )


@pytest.mark.parametrize("module", [gif, png, webp], ids=lambda module: module.__name__.rpartition(".")[2])
def test_odd_structures_show_at_least_what_chromium_shows(browser: MovingChromium, module: object) -> None:
    """More may be shown: other viewers are more lenient."""
    formats = {"gif": "GIF", "apng": "PNG", "webp": "WEBP"}
    moved = [each for each in module.cases() if each.name.partition("/")[0] in formats and "65535" not in each.name]
    compared = 0
    for case in moved:
        image_format = formats[case.name.partition("/")[0]]
        shown = browser.frames(case.data, image_format)
        # A first frame without pixels is refused here, as an <img> shows nothing at first.
        if len(shown.frames) < 2 or case.name == "gif/frame of no size, then one":
            continue
        frames = read(case.data, image_format)
        assert len(frames) >= len(shown.frames), case.name
        for ours, theirs in zip(frames, shown.frames, strict=False):
            assert distance(ours, theirs.pixels) < SAME_PICTURE_WITHIN, case.name
        compared += 1
    assert compared > 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_colours_are_converted_before_they_are_composed(browser: MovingChromium, mode: str) -> None:
    pictures = [flat((200, 40, 30)), flat((20, 160, 220)), flat((90, 90, 10))]
    if mode == "RGBA":
        pictures = [Image.merge("RGBA", (*each.split(), Image.linear_gradient("L").resize(SIZE))) for each in pictures]
    else:
        pictures = [each.convert(mode) for each in pictures]
    plain = encode(pictures[0], "PNG", save_all=True, append_images=pictures[1:], duration=100)
    profile = (b"gAMA", (80_000).to_bytes(4)) if mode == "L" else iccp(NEGATIVE)
    data = with_chunks(plain, profile, before=b"acTL")
    structure = read_structure(data, "PNG", DEFAULT_LIMITS)
    conversion = conversion_of(structure.colour, image_format="PNG", mode=mode)
    frames = list(frames_of(data, structure, "PNG", conversion=conversion))
    shown = browser.frames(data, "PNG").frames
    # Chromium's and littleCMS's arithmetic of a steep curve differ by a level or two.
    assert [distance(*each) < 3 for each in zip(frames, [each.pixels for each in shown], strict=True)] == [True] * 3


def test_a_frame_that_cannot_be_decoded_ends_it_here_no_later_than_there(browser: MovingChromium) -> None:
    frames = [Drawn(picture=flat(colour)) for colour in ("red", "lime", "blue", "white")]
    for image_format, data in (("GIF", gif_animation(frames)), ("PNG", png_animation(frames))):
        cut = data[: len(data) * 3 // 5]
        assert 1 < len(read(cut, image_format)) < 4
        shown = browser.frames(cut, image_format).frames
        assert len(read(cut, image_format)) <= len(shown) + 1
        for ours, theirs in zip(read(cut, image_format), shown, strict=False):
            assert distance(ours, theirs.pixels) < SAME_WITHIN


def test_turned_animations_are_handed_out_as_stored() -> None:
    data = with_chunks(
        png_animation([Drawn(picture=flat("red")), Drawn(picture=flat("lime"))]), (b"eXIf", exif_block(6))
    )
    assert read_structure(data, "PNG", DEFAULT_LIMITS).orientation == 6
    assert [frame.picture.size for frame in read(data, "PNG")] == [SIZE, SIZE]
