"""Ordinary animations, and one frame hidden in one: what is judged of the files, and what is said to be seen."""

import struct
from functools import cache

import numpy as np
import pytest
from bench import profiles
from numpy.typing import NDArray
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_file, decode_image, read_header
from clipwarden.vision.facts import DecodedImage, Unseen
from clipwarden.vision.frames import looking
from clipwarden.vision.frames.distance import is_near, seen
from clipwarden.vision.limits import DecodeLimits, HoldsMoreError
from clipwarden.vision.plan import MAX_VIEWS, WHOLE, ViewPlan, Views
from clipwarden.vision.structure import MAX_FRAMES_COUNTED
from kit.animations import ORDINARY, SIZE, Animation, encode_animation
from kit.containers import png_chunk
from kit.hiding import hidings
from kit.movingfiles import Drawn, flat, gif_animation
from kit.pictures import drawing, encode, natural_picture

MODEL = Preprocessing(side=96, resample="bilinear", fit="pad", colour="srgb", pad_rgb=(255, 255, 255))
BUDGETS = (8, 16, 32)


def looked(data: bytes, frames: int, views: Views = Views.WHOLE) -> DecodedImage:
    """Decode by a plan."""
    return decode_image(data, preprocessing=MODEL, plan=ViewPlan(views=views, frames=frames))


@cache
def ordinary(animation: Animation, frames: int) -> DecodedImage:
    """Decode once for all tests."""
    return looked(animation.encoded(), frames)


def bad_frame() -> Image.Image:
    """Paint what is hidden."""
    frame = Image.new("RGB", SIZE, "white")
    frame.paste(drawing(120, ink=(20, 120, 20)), (60, 8))
    return frame


@cache
def hidden() -> dict[str, bytes]:
    """Hide it, once for all tests."""
    return hidings(bad_frame())


def judged_rows(image: DecodedImage, frame: int) -> NDArray[np.uint8]:
    """Return the views of one frame, [V,S,S,3]."""
    return np.stack([view.pixels for view in image.views if view.frame == frame])


def test_there_are_thirty_ordinary_animations_of_all_kinds() -> None:
    assert len(ORDINARY) >= 30
    assert {animation.format for animation in ORDINARY} == {"GIF", "PNG", "WEBP", "AVIF"}
    counts = [animation.count for animation in ORDINARY]
    assert (min(counts), max(counts)) == (2, 600)


def test_at_most_a_fifth_of_ordinary_animations_is_left_partial_by_sixteen_frames() -> None:
    left = [animation.name for animation in ORDINARY if ordinary(animation, 16).facts.partial]
    assert len(left) <= 0.2 * len(ORDINARY), left


@pytest.mark.parametrize("animation", ORDINARY, ids=lambda animation: animation.name)
def test_ordinary_animations_are_counted_right(animation: Animation) -> None:
    image = ordinary(animation, 16)
    facts = image.facts
    assert 1 <= facts.frames_judged <= min(16, facts.frames_total)
    assert facts.frames_judged <= facts.frames_seen <= facts.frames_total <= animation.count
    assert (Unseen.FRAMES in facts.unseen) is (facts.frames_seen < facts.frames_total)
    frames = [view.frame for view in image.views]
    assert frames == sorted(frames)
    assert frames[0] == 0
    assert len(set(frames)) == facts.frames_judged
    seconds = {view.frame: view.seconds for view in image.views}
    assert seconds[0] == 0
    times = list(seconds.values())
    assert times == sorted(set(times), key=lambda time: time or 0)
    assert np.array_equal(image.pixels, np.stack([view.pixels for view in image.views]))
    assert facts.degraded == ()


@pytest.mark.parametrize("animation", ORDINARY, ids=lambda animation: animation.name)
def test_the_first_frame_is_judged_as_without_the_others(animation: Animation) -> None:
    alone = decode_image(animation.encoded(), preprocessing=MODEL, plan=WHOLE)
    assert np.array_equal(judged_rows(ordinary(animation, 16), 0), alone.pixels)
    assert alone.facts.frames_judged == 1


def test_a_file_and_a_plan_are_always_the_same_views() -> None:
    for animation in ORDINARY[::5]:
        first, second = looked(animation.encoded(), 8), looked(animation.encoded(), 8)
        assert np.array_equal(first.pixels, second.pixels)
        assert first.facts == second.facts


@pytest.mark.parametrize("frames", BUDGETS)
def test_a_hidden_frame_is_judged(frames: int) -> None:
    bad = seen(decode_image(encode(bad_frame(), "PNG"), preprocessing=MODEL).pixels)
    for name, data in hidden().items():
        image = looked(data, frames)
        numbers = {view.frame for view in image.views}
        found = any(is_near(seen(judged_rows(image, number)), bad) for number in numbers)
        # Beyond the first frame more are unseen than one may miss.
        assert found, (name, image.facts)


def test_by_one_frame_alone_nothing_hidden_is_said_to_be_seen() -> None:
    for name, data in hidden().items():
        assert looked(data, 1).facts.unseen == (Unseen.FRAMES,), name


def test_frames_where_counting_stopped_are_never_said_to_be_all() -> None:
    card = Image.new("P", (8, 8))
    card.putpalette([0, 0, 0, 255, 255, 255])
    frames = [card.copy() for _ in range(MAX_FRAMES_COUNTED + 2)]
    for number, frame in enumerate(frames):
        frame.putpixel((number % 8, number // 8 % 8), 1)
    for image_format in ("GIF", "PNG"):
        facts = looked(encode_animation(frames, image_format), 8).facts
        assert facts.frames_total == MAX_FRAMES_COUNTED
        assert facts.unseen == (Unseen.FRAMES,), image_format


def test_a_gif_that_was_not_walked_to_its_end_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    from clipwarden.vision.formats import gif  # noqa: PLC0415

    data = encode_animation([natural_picture(seed, SIZE) for seed in range(3)], "GIF")
    assert looked(data, 8).facts.unseen == ()
    blocks = sum(1 for _ in range(0, len(data), 255))
    monkeypatch.setattr(gif, "GIF_BUDGET", gif.Budget(entries=2 * blocks // 3, bytes=10**6))
    assert looked(data, 8).facts.unseen == (Unseen.FRAMES,)


def test_a_tail_that_is_missing_is_partial() -> None:
    for image_format in ("GIF", "PNG"):  # of a WebP that is cut libwebp shows nothing
        data = encode_animation([natural_picture(seed, SIZE) for seed in range(6)], image_format)
        facts = looked(data[: len(data) * 2 // 3], 16).facts
        assert facts.partial, image_format
        assert facts.frames_judged >= 1


@pytest.mark.parametrize("views", list(Views))
def test_parts_of_frames_are_bounded(views: Views) -> None:
    tall = [natural_picture(seed, (70, 210)) for seed in range(12)]
    image = looked(encode_animation(tall, "WEBP"), 16, views)
    each = len(judged_rows(image, 0))
    assert len(image.views) == each * image.facts.frames_judged <= MAX_VIEWS
    assert image.facts.frames_judged == min(12, MAX_VIEWS // each)
    assert image.facts.coverage == 1
    names = {view.name for view in image.views}
    assert names == ({"full"} if views is Views.WHOLE else {"part"})


def test_a_change_in_a_part_is_seen_where_the_plan_has_parts() -> None:
    frames = [Image.new("RGB", (1600, 200), "white") for _ in range(4)]
    frames[2].paste(drawing(100), (1450, 50))
    image = looked(encode_animation(frames, "PNG"), 4, Views.AUTO)
    assert {view.frame for view in image.views} == {0, 1}  # encoders write equal frames once
    assert image.facts.unseen == ()


def test_a_fade_from_black_is_not_degraded_and_a_blank_animation_is() -> None:
    fading = next(animation for animation in ORDINARY if animation.name == "fade in")
    assert ordinary(fading, 16).facts.degraded == ()
    square = Preprocessing(side=96)
    blank = encode_animation([Image.new("RGB", SIZE, grey) for grey in ("white", "black", "grey")], "GIF")
    facts = decode_image(blank, preprocessing=square, plan=ViewPlan(frames=8)).facts
    assert (facts.frames_judged, facts.degraded) == (3, ("NEAR_UNIFORM",))


def test_an_animation_holds_what_it_says() -> None:
    data = encode_animation([natural_picture(seed, (640, 480)) for seed in range(3)], "WEBP")
    plan, limits = ViewPlan(frames=8), DecodeLimits(max_decode_bytes=64 * 2**20)
    header = read_header(data, limits, preprocessing=MODEL, plan=plan)
    with pytest.raises(HoldsMoreError) as more:
        decode_file(data, header, preprocessing=MODEL, limits=limits, plan=plan)
    assert header.held_bytes < more.value.held_bytes < limits.max_decode_bytes


def test_an_animation_that_would_hold_too_much_is_judged_by_its_first_frame() -> None:
    data = encode_animation([natural_picture(seed, (640, 480)) for seed in range(3)], "GIF")
    plan = ViewPlan(frames=8)
    still, header = decode_image(data, preprocessing=MODEL), read_header(data, preprocessing=MODEL, plan=plan)
    limits = DecodeLimits(max_decode_bytes=max(still.held_bytes, header.held_bytes))
    image = decode_image(data, preprocessing=MODEL, limits=limits, plan=plan)
    assert np.array_equal(image.pixels, still.pixels)
    assert image.facts.unseen == (Unseen.FRAMES,)


def test_views_that_are_made_are_bounded_and_the_rest_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_animation([natural_picture(seed, SIZE) for seed in range(6)], "GIF")
    # A frame on its background, the one part of it, and the view.
    frame = 2 * SIZE[0] * SIZE[1] + looking._VIEW_PIXEL * MODEL.side**2
    for most, frames in ((0, 1), (2 * frame, 3), (5 * frame, 6)):
        monkeypatch.setattr(looking, "MOST_LOOKED_PIXELS", most)
        facts = looked(data, 8).facts
        assert (facts.frames_seen, facts.partial) == (frames, frames < 6)


def test_small_frames_of_a_huge_see_through_canvas_end_by_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each takes a few bytes, and is laid on white and on black and made smaller as the whole canvas.
    side = 1000
    monkeypatch.setattr(looking, "MOST_LOOKED_PIXELS", 4 * 4 * side**2)
    dots = [Drawn(picture=flat("red", (8, 8)), at=(40 * index, 8 * index)) for index in range(10)]
    facts = decode_image(gif_animation(dots, (side, side)), preprocessing=MODEL, plan=ViewPlan(frames=8)).facts
    assert (facts.frames_seen, facts.frames_total, facts.unseen) == (4, 10, (Unseen.FRAMES,))


def test_a_still_that_stands_beside_a_sequence_is_one_more_frame() -> None:
    data = encode_animation([natural_picture(seed, SIZE) for seed in range(3)], "AVIF")
    assert looked(data, 8).facts.unseen == ()
    other = encode(bad_frame(), "AVIF")
    # The item that viewers show who know no sequence is made to lie behind everything else.
    (start, length), place = first_extent(other), data.index(b"iloc")
    extent = struct.pack(">II", *first_extent(data))
    changed = bytearray(data + other[start : start + length])
    struct.pack_into(">II", changed, data.index(extent, place), len(data), length)
    facts = looked(bytes(changed), 8).facts
    assert (facts.frames_total, facts.frames_seen, facts.unseen) == (4, 3, (Unseen.FRAMES,))


def first_extent(avif: bytes) -> tuple[int, int]:
    """Return where the first item of an AVIF lies that Pillow wrote, and its size in bytes."""
    # ISO/IEC 14496-12, 8.11.3, of version 0 with numbers of four bytes and no base offset.
    place = avif.index(b"iloc") + 4
    start, length = struct.unpack_from(">II", avif, place + 14)
    return start, length


def test_frames_are_compared_as_they_are_displayed() -> None:
    # Stored both are white but for a few levels; a gamma of 0.02 brings a pale drawing back.
    exponent = 1 / (2.2 * 0.02)
    pale = Image.blend(bad_frame(), Image.new("RGB", SIZE, "white"), 0.7)
    drawn = np.asarray(pale, np.float64) / 255
    stored = Image.fromarray((drawn ** (1 / exponent) * 255).round().astype(np.uint8))
    blank = Image.new("RGB", SIZE, "white")
    plain = encode_animation([blank, stored], "PNG")
    header_end = 8 + 25
    lifted = plain[:header_end] + png_chunk(b"gAMA", struct.pack(">I", 2000)) + plain[header_end:]
    assert looked(plain, 8).facts.frames_judged == 1
    image = looked(lifted, 8)
    assert (image.facts.frames_judged, image.facts.frames_seen) == (2, 2)
    shown = decode_image(encode(pale, "PNG"), preprocessing=MODEL).pixels
    assert np.abs(judged_rows(image, 1).astype(int) - shown).mean() < 8


def test_a_profile_counts_in_every_frame() -> None:
    # A curve like a V: stored black and stored white are both shown white.
    frames = [Image.new("RGB", SIZE, level) for level in ("white", "black", (128, 128, 128))]
    plain, profiled = (encode_animation(frames, "PNG", icc_profile=icc) for icc in (None, profiles.v_curve()))
    assert looked(plain, 8).facts.frames_judged == 3
    image = looked(profiled, 8)
    assert (image.facts.frames_judged, image.facts.frames_seen) == (2, 3)
    assert judged_rows(image, 2)[0, 48, 48].max() < 20
