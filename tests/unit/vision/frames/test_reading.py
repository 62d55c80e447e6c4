import random
import re
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from clipwarden.errors import ImageError
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.conversion import AS_STORED
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import Unseen
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.frames import reading as reading_module
from clipwarden.vision.frames.frame import Frame
from clipwarden.vision.frames.reading import frames_of
from clipwarden.vision.frames.work import held_bytes, is_oversized
from clipwarden.vision.limits import DEFAULT_LIMITS, DecodeLimits
from clipwarden.vision.plan import ViewPlan
from clipwarden.vision.preprocess import fit_to_side
from clipwarden.vision.views import to_views
from kit.movingfiles import (
    FORMATS,
    SIZE,
    Drawn,
    animation,
    flat,
    gif_animation,
    png_animation,
    png_part,
    random_animation,
    webp_animation,
)
from kit.pictures import encode, natural_picture

MODEL = Preprocessing(side=32)
COLOURS = ("red", "lime", "blue", "white")
CLEAR = (0, 0, 0, 0)
# What prepare_process does in every command; pytest resets filters before each test.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")


def read(data: bytes, image_format: str, limits: DecodeLimits = DEFAULT_LIMITS) -> list[Frame]:
    return list(frames_of(data, read_structure(data, image_format, limits), image_format, limits))


def of_colours(*colours: str) -> list[Drawn]:
    return [Drawn(picture=flat(colour)) for colour in colours]


def corner_and_middle(frame: Frame) -> tuple[object, object]:
    picture = frame.picture.convert("RGBA")
    return picture.getpixel((0, 0)), picture.getpixel((20, 16))


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("seed", range(12))
def test_first_frame_is_bit_for_bit_what_is_judged_of_the_file(image_format: str, seed: int) -> None:
    data = random_animation(image_format, seed)
    structure = read_structure(data, image_format, DEFAULT_LIMITS)
    first = read(data, image_format)[0]
    judged = decode_image(data, preprocessing=MODEL)
    views = [fit_to_side(view.rgb, MODEL) for view in to_views(first.picture, alpha_kind=structure.alpha)]
    assert np.array_equal(np.stack(views), judged.pixels)


@pytest.mark.parametrize("image_format", FORMATS)
def test_all_frames_come_in_order_with_their_times(image_format: str) -> None:
    frames = read(animation(image_format, of_colours(*COLOURS)), image_format)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.seconds for frame in frames] == [0.0, 0.1, 0.2, 0.3]
    assert [frame.duration_seconds for frame in frames] == [0.1] * 4
    means = [np.asarray(frame.picture.convert("RGB")).mean(axis=(0, 1)) for frame in frames]
    for mean, colour in zip(means, COLOURS, strict=True):
        assert np.abs(mean - np.asarray(flat(colour).getpixel((0, 0)))).max() < 6


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_frames_of_no_time_are_there_and_last_a_tenth_of_a_second(image_format: str) -> None:
    times = (100, 0, 10, 20)
    drawn = [Drawn(picture=flat(colour), milliseconds=time) for colour, time in zip(COLOURS, times, strict=True)]
    assert [frame.seconds for frame in read(animation(image_format, drawn), image_format)] == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("disposal", "left_there"), [(0, (0, 0, 255, 255)), (1, (0, 0, 255, 255)), (2, CLEAR), (3, (255, 0, 0, 255))]
)
def test_what_a_frame_leaves_is_what_its_disposal_says(
    image_format: str, disposal: int, left_there: tuple[int, ...]
) -> None:
    numbers = {"GIF": disposal, "PNG": max(0, disposal - 1), "WEBP": int(disposal == 2)}
    if image_format == "WEBP" and disposal == 3:
        pytest.skip("WebP knows no such disposal")
    small = Drawn(picture=flat("blue", (20, 20)), at=(10, 6), disposal=numbers[image_format])
    dot = Drawn(picture=flat("lime", (2, 2)), at=(36, 28))
    frames = read(animation(image_format, [Drawn(picture=flat("red")), small, dot]), image_format)
    assert corner_and_middle(frames[1]) == ((255, 0, 0, 255), (0, 0, 255, 255))
    assert corner_and_middle(frames[2]) == ((255, 0, 0, 255), left_there)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
@pytest.mark.parametrize("replaces", [True, False])
def test_see_through_pixels_are_laid_over_or_take_the_place(image_format: str, *, replaces: bool) -> None:
    first = Drawn(picture=flat((255, 0, 0, 255)))
    nothing = Drawn(picture=flat(CLEAR, (20, 20)), at=(10, 6), replaces=replaces)
    second = read(animation(image_format, [first, nothing]), image_format)[1]
    assert corner_and_middle(second) == ((255, 0, 0, 255), CLEAR if replaces else (255, 0, 0, 255))


def test_a_hidden_still_comes_last_and_at_no_time() -> None:
    frames = read(png_animation(of_colours("red", "lime"), hidden=flat("blue")), "PNG")
    assert [corner_and_middle(frame)[0] for frame in frames] == [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)]
    assert [frame.seconds for frame in frames] == [0.0, 0.1, None]


def test_frames_beyond_those_announced_are_read_and_missing_ones_are_not_made_up() -> None:
    drawn = of_colours("red", "lime", "blue")
    assert len(read(png_animation(drawn, claims=1), "PNG")) == 3
    claimed = png_animation(drawn, claims=9)
    assert read_structure(claimed, "PNG", DEFAULT_LIMITS).frames_total == 9
    assert len(read(claimed, "PNG")) == 3


def test_behind_a_gap_in_the_numbers_nothing_is_read() -> None:
    data = png_animation(of_colours("red", "lime", "blue"))
    at = data.rindex(b"fcTL") + 4
    body = struct.pack(">I", 7) + data[at + 4 : at + 26]
    gap = data[: at - 8] + png_part(b"fcTL", body) + data[at + 30 :]
    assert len(read(gap, "PNG")) == 2
    assert read_structure(gap, "PNG", DEFAULT_LIMITS).frames_total == 3


def test_a_frame_of_another_place_than_the_canvas_changes_nothing_there() -> None:
    outside = Drawn(picture=flat("lime"), at=(100, 100))
    frames = read(gif_animation([Drawn(picture=flat("red")), outside]), "GIF")
    assert [corner_and_middle(frame)[0] for frame in frames] == [(255, 0, 0, 255)] * 2
    assert {frame.picture.size for frame in frames} == {SIZE}


def test_a_frame_without_pixels_shows_what_stands() -> None:
    data = gif_animation(of_colours("red", "lime"))
    nothing = struct.pack("<B4HB", 0x2C, 0, 0, 0, 0, 0) + b"\2\0"
    frames = read(data[:-1] + nothing + data[-1:], "GIF")
    assert read_structure(data[:-1] + nothing + data[-1:], "GIF", DEFAULT_LIMITS).frames_total == 3
    assert [corner_and_middle(frame)[0] for frame in frames] == [(255, 0, 0, 255), (0, 255, 0, 255), (0, 255, 0, 255)]
    assert read_structure(data[:-1] + nothing + data[-1:], "GIF", DEFAULT_LIMITS).frames_total == 3


@pytest.mark.parametrize("sides", [(0, 0), (0, SIZE[1]), (SIZE[0], 0)])
def test_pixels_of_a_frame_without_a_side_are_never_said_to_be_seen(sides: tuple[int, int]) -> None:
    # Firefox and WebKit take it for as large as the screen; Chromium shows nothing of it, and goes on.
    data = gif_animation(of_colours("red", "lime", "blue"))
    at = [found.start() for found in re.finditer(re.escape(struct.pack("<B4H", 0x2C, 0, 0, *SIZE)), data)][1] + 5
    facts = decode_image(
        data[:at] + struct.pack("<2H", *sides) + data[at + 4 :], preprocessing=MODEL, plan=ViewPlan(frames=8)
    ).facts
    assert (facts.frames_judged, facts.frames_seen, facts.frames_total) == (2, 3, 4)
    assert Unseen.FRAMES in facts.unseen


def test_pictures_that_were_handed_out_stay_as_they_were() -> None:
    frames = read(random_animation("PNG", 5), "PNG")
    kept = [frame.picture.tobytes() for frame in frames]
    again = [frame.picture.tobytes() for frame in frames_of_one_by_one()]
    assert kept == again


def frames_of_one_by_one() -> Iterator[Frame]:
    data = random_animation("PNG", 5)
    yield from frames_of(data, read_structure(data, "PNG", DEFAULT_LIMITS), "PNG")


def test_a_thousand_huge_frames_end_by_pixels_not_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "MOST_FRAME_PIXELS", 4 * (2**16 + 2 * SIZE[0] * SIZE[1]))
    data = gif_animation(of_colours(*COLOURS * 5))
    assert [len(read(data, "GIF")) for _ in range(2)] == [5, 5]  # the first is decoded anyway


def test_a_frame_far_larger_than_its_canvas_is_not_decoded() -> None:
    data = gif_animation(of_colours("red", "lime"))
    at = data.rindex(struct.pack("<B4H", 0x2C, 0, 0, *SIZE))
    huge = data[:at] + struct.pack("<B4H", 0x2C, 0, 0, 65535, 65535) + data[at + 9 :]
    assert len(read(huge, "GIF")) == 1
    assert is_oversized((65535, 65535), SIZE)
    assert not is_oversized((64, 64), (1, 1))


@pytest.mark.parametrize("image_format", FORMATS)
def test_what_would_hold_more_than_the_limit_is_read_no_further_than_its_first_frame(image_format: str) -> None:
    picture = natural_picture(1, (700, 700))
    data = encode(picture, image_format, save_all=True, append_images=[natural_picture(2, (700, 700))])
    held = held_bytes((700, 700), image_format, AS_STORED, file_bytes=len(data))
    assert len(read(data, image_format, DecodeLimits(max_decode_bytes=held))) == 2
    assert len(read(data, image_format, DecodeLimits(max_decode_bytes=held - 1))) == 1


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("seed", range(60))
def test_damaged_animations_give_what_is_there_and_raise_nothing_of_their_own(image_format: str, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311  a test
    data = bytearray(random_animation(image_format, seed % 7))
    for _ in range(draw.choice((1, 3, 20))):
        data[draw.randrange(12, len(data))] = draw.randrange(256)
    damaged = bytes(data[: draw.choice((len(data), draw.randrange(40, len(data))))])
    try:
        decode_image(damaged, preprocessing=MODEL)
    except ImageError:
        return
    structure = read_structure(damaged, image_format, DEFAULT_LIMITS)
    try:
        frames = read(damaged, image_format)
    except OSError:  # rows of the first frame alone are missing: it is mended by whoever decodes it
        return
    assert 1 <= len(frames) <= structure.frames_total
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(frame.picture.load() is not None for frame in frames)


def test_a_webp_that_denies_its_alpha_flags_all_frames_from_the_first_that_has_some() -> None:
    soft = flat((0, 255, 0, 100))
    drawn = [Drawn(picture=flat("red")), Drawn(picture=soft), Drawn(picture=flat("blue"))]
    assert [frame.uncertain for frame in read(webp_animation(drawn, alpha=False), "WEBP")] == [False, True, True]
    assert [frame.uncertain for frame in read(webp_animation(drawn), "WEBP")] == [False, False, False]


def test_a_still_is_its_only_frame() -> None:
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        frames = read(encode(Image.new("RGB", SIZE, "red"), image_format), image_format)
        assert [(frame.index, frame.picture.size) for frame in frames] == [(0, SIZE)]


def test_frames_behind_a_stray_byte_count_and_are_not_read() -> None:
    # No browser shows them, and no forecast of what reading takes expects them.
    data = gif_animation(of_colours("red", "lime", "blue", "white"))
    at = [found.start() for found in re.finditer(re.escape(struct.pack("<3B", 0x21, 0xF9, 4)), data)][2]
    data = data[:at] + b"\x07" + data[at:]
    assert [corner_and_middle(frame)[0] for frame in read(data, "GIF")] == [(255, 0, 0, 255), (0, 255, 0, 255)]
    assert read_structure(data, "GIF", DEFAULT_LIMITS).frames_total == 4
