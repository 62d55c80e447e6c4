"""A picture's parts reach the model as they lie in what is displayed, however it is stored; the whole as it always did.

What a view ought to show is made by Pillow of the displayed picture, without any of the code under test.
"""

import io
import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from bench import profiles
from numpy.typing import NDArray
from PIL import Image, ImageOps

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_file, decode_image, read_header
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.limits import DecodeLimits, HoldsMoreError
from clipwarden.vision.parts import MAX_SQUARES
from clipwarden.vision.plan import ViewPlan, Views
from clipwarden.vision.preprocess import draft_size, fit_to_side
from kit.pictures import FORMATS, encode, natural_picture

scene = cache(natural_picture)

AUTO, TILES = ViewPlan(views=Views.AUTO), ViewPlan(views=Views.TILES)
MODEL = Preprocessing(side=32)
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BACK = {**UPRIGHT, 6: UPRIGHT[8], 8: UPRIGHT[6]}
PROPORTIONS = [(4, 3), (16, 9), (9, 16), (1, 3), (1, 20)]


def stored(displayed: Image.Image, image_format: str, turn: int = 1, **options: object) -> bytes:
    """Encode a picture so that a browser displays it as given, turned by EXIF."""
    exif = Image.Exif()
    exif[0x112] = turn
    picture = displayed.transpose(BACK[turn]) if turn in BACK else displayed
    return encode(picture, image_format, exif=exif.tobytes(), **options)


def expected(displayed: Image.Image, decoded: DecodedImage, side: int = 32) -> NDArray[np.uint8]:
    """What the parts of an opaque picture ought to show."""
    whole = (0, 0, *displayed.size)
    size = (side, side)
    return np.stack(
        [np.asarray(displayed.resize(size, Image.Resampling.BICUBIC, box=view.box or whole)) for view in decoded.views]
    )


def distance(decoded: DecodedImage, reference: NDArray[np.uint8]) -> float:
    return float(np.abs(decoded.pixels.astype(int) - reference).mean(axis=(1, 2, 3)).max())


@pytest.mark.parametrize("plan", [AUTO, TILES], ids=lambda plan: plan.name)
@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("size", [(401, 299), (213, 640), (97, 1000)])
def test_parts_of_a_turned_png_are_those_of_what_is_displayed(size: tuple[int, int], turn: int, plan: ViewPlan) -> None:
    displayed = scene(3, size)
    decoded = decode_image(stored(displayed, "PNG", turn), preprocessing=MODEL, plan=plan)
    assert len(decoded.views) > 1
    assert np.array_equal(decoded.pixels, expected(displayed, decoded))
    assert (decoded.facts.file.width, decoded.facts.file.height) == size


@pytest.mark.parametrize("plan", [AUTO, TILES], ids=lambda plan: plan.name)
@pytest.mark.parametrize("image_format", sorted({*FORMATS} - {"PNG", "JPEG", "GIF"}))
def test_parts_of_every_format_are_where_they_are_displayed(image_format: str, plan: ViewPlan) -> None:
    displayed = scene(4, (403, 250))
    decoded = decode_image(encode(displayed, image_format), preprocessing=MODEL, plan=plan)
    assert distance(decoded, expected(displayed, decoded)) < 3


@pytest.mark.parametrize("scale", [0, 1, 2, 3])
@pytest.mark.parametrize("turn", [1, 3, 6, 7])
@pytest.mark.parametrize("plan", [AUTO, TILES], ids=lambda plan: plan.name)
def test_parts_of_a_jpeg_that_is_decoded_smaller_lie_where_they_did(scale: int, turn: int, plan: ViewPlan) -> None:
    preprocessing = replace(MODEL, decode_scale=scale)
    for size in [(1003, 565), (331, 1489), (129, 1027)]:
        data = stored(scene(5, size), "JPEG", turn, quality=95)
        displayed = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        decoded = decode_image(data, preprocessing=preprocessing, plan=plan)
        # A pixel of the model's input off they would differ by 15 levels. What is decoded just large enough is rougher.
        assert distance(decoded, expected(displayed, decoded)) < (0.01, 5, 2, 1)[scale], size


def test_parts_see_the_pixels_that_a_scaled_decode_has_to_leave_them() -> None:
    # Under `pad` the whole of a strip is decoded at an eighth; its squares need a quarter, and tiles a half.
    data = stored(scene(6, (600, 4000)), "JPEG", quality=90)
    decoded = [
        read_header(data, preprocessing=replace(MODEL, fit="pad"), plan=ViewPlan(views=views)).decoded
        for views in Views
    ]
    assert decoded == [(75, 500), (75, 500), (150, 1000)]
    half = [
        read_header(data, preprocessing=Preprocessing(side=64, fit="pad"), plan=ViewPlan(views=views)).decoded
        for views in Views
    ]
    assert half == [(75, 500), (150, 1000), (300, 2000)]


@pytest.mark.parametrize("fit", ["crop", "crop_half_even", "pad", "squash"])
def test_parts_are_squares_whatever_the_fit(fit: str) -> None:
    data = encode(scene(7, (480, 270)), "PNG")
    decoded = decode_image(data, preprocessing=replace(MODEL, fit=fit), plan=AUTO)
    assert np.array_equal(decoded.pixels, decode_image(data, preprocessing=MODEL, plan=AUTO).pixels)
    assert [view.box for view in decoded.views] == [(0, 0, 270, 270), (105, 0, 375, 270), (210, 0, 480, 270)]
    assert {(view.name, view.frame, view.seconds) for view in decoded.views} == {("part", 0, None)}
    facts = decoded.facts
    assert (facts.coverage, facts.resolution, facts.parts_left, facts.partial) == (1, 32, False, False)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(300, 300), (301, 300), (640, 645)])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_square_picture_is_looked_at_as_ever(size: tuple[int, int], fit: str, image_format: str) -> None:
    preprocessing, data = replace(MODEL, fit=fit), encode(scene(8, size), image_format)
    auto, whole = (decode_image(data, preprocessing=preprocessing, plan=plan) for plan in (AUTO, ViewPlan()))
    assert np.array_equal(auto.pixels, whole.pixels)
    assert [(view.name, view.box) for view in auto.views] == [("full", None)]
    assert auto.facts == whole.facts


def test_a_see_through_picture_is_looked_at_on_both_backgrounds_part_by_part() -> None:
    displayed = scene(9, (300, 200)).convert("RGBA")
    displayed.putalpha(Image.linear_gradient("L").resize(displayed.size))
    decoded = decode_image(encode(displayed, "PNG"), preprocessing=MODEL, plan=AUTO)
    boxes = [(0, 0, 200, 200), (100, 0, 300, 200)]
    assert [(view.name, view.box) for view in decoded.views] == [
        (name, box) for name in ("part_on_white", "part_on_black") for box in boxes
    ]
    for start, colour in ((0, "white"), (2, "black")):
        page = Image.new("RGB", displayed.size, colour)
        page.paste(displayed, mask=displayed.getchannel("A"))
        assert np.array_equal(decoded.pixels[start : start + 2], expected(page, decoded)[start : start + 2])
    assert all(np.shares_memory(decoded.pixels, view.pixels) for view in decoded.views)
    square = decode_image(encode(displayed.resize((90, 90)), "PNG"), preprocessing=MODEL, plan=TILES)
    assert [view.name for view in square.views] == [
        *("on_white", *["part_on_white"] * 5),
        *("on_black", *["part_on_black"] * 5),
    ]


@pytest.mark.parametrize("size", [(160, 90), (480, 270), (1600, 400)])
def test_colours_of_parts_are_the_displayed_ones(size: tuple[int, int]) -> None:
    displayed, model = scene(10, size), Preprocessing(side=96, colour="srgb", decode_scale=0)
    for profile in (profiles.display_p3(), profiles.v_curve()):
        for image_format in ("PNG", "JPEG"):
            data = encode(displayed, image_format, icc_profile=profile)
            samples = Image.open(io.BytesIO(data)).convert("RGB")
            auto = decode_image(data, preprocessing=model, plan=AUTO)
            for view in auto.views:
                # The part alone, as a picture of its own.
                alone = encode(samples.crop(view.box), "PNG", icc_profile=profile)
                own = decode_image(alone, preprocessing=model).pixels[0].astype(int)
                assert np.abs(own - view.pixels)[2:-2, 2:-2].mean() < 1, (len(profile), image_format)


def test_a_picture_of_16_bits_is_cut_out_of_both_its_bytes() -> None:
    # Grey steps by hundreds of levels of 65,536, under a gamma of its own: the low bytes count.
    wide = np.broadcast_to(np.linspace(0, 65535, 300).astype(np.uint16), (100, 300))
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(wide)).save(data, "PNG")
    decoded = decode_image(data.getvalue(), preprocessing=MODEL, plan=AUTO)
    assert len(decoded.views) == 5
    for view in decoded.views:
        assert np.abs(view.pixels[..., 0].mean() - (view.box[0] + 50) * 255 / 300) < 2


def harmed(size: tuple[int, int], sixth: int) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Paint one sixth of a picture's length red."""
    (width, height), long = size, max(size)
    start, end = long * sixth // 6, long * (sixth + 1) // 6
    box = (start, 0, end, height) if width == long else (0, start, width, end)
    picture = Image.new("RGB", size, "grey")
    picture.paste("red", box)
    return picture, box


def red_share(pixels: NDArray[np.uint8]) -> float:
    return float(((pixels[..., 0] > 200) & (pixels[..., 1] < 60)).mean())


@pytest.mark.parametrize("proportion", PROPORTIONS, ids=str)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("long", [300, 1601])
def test_harm_in_any_sixth_is_seen_by_the_view_whose_box_holds_it(
    proportion: tuple[int, int], image_format: str, long: int
) -> None:
    size = tuple(max(1, long * side // max(proportion)) for side in proportion)
    for sixth in range(6):
        # Browsers do not turn WebP.
        turn = 1 if image_format == "WEBP" else 1 + (sixth + long) % 8
        picture, box = harmed(size, sixth)
        decoded = decode_image(
            stored(picture, image_format, turn, **({"quality": 90} if image_format != "PNG" else {})),
            preprocessing=MODEL,
            plan=AUTO,
        )
        shares = [red_share(view.pixels) for view in decoded.views]
        best = decoded.views[int(np.argmax(shares))]
        # As much of it as there is room for in a square, and the box says where that is.
        least = min(1.0, max(size) / 6 / min(size))
        assert max(shares) > 0.85 * least or decoded.facts.parts_left
        inside = [
            max(best.box[0], box[0]),
            max(best.box[1], box[1]),
            min(best.box[2], box[2]),
            min(best.box[3], box[3]),
        ]
        area = (inside[2] - inside[0]) * (inside[3] - inside[1]) / min(size) ** 2
        assert max(shares) == pytest.approx(area, abs=2 / 32 + 1 / min(size))
        assert decoded.facts.parts_left == (proportion == (1, 20))


@pytest.mark.parametrize("proportion", [(800, 16_000), (16_000, 800), (16_000, 9_000)], ids=str)
def test_harm_in_pictures_of_16000_pixels_is_seen_too(proportion: tuple[int, int]) -> None:
    picture, _ = harmed(proportion, 5)
    decoded = decode_image(encode(picture, "JPEG"), preprocessing=MODEL, plan=AUTO)
    assert max(red_share(view.pixels) for view in decoded.views) > 0.25
    assert decoded.facts.parts_left == (max(proportion) > 8 * min(proportion))
    whole = decode_image(encode(picture, "JPEG"), preprocessing=MODEL)
    assert red_share(whole.pixels) < 0.01
    assert (whole.facts.coverage < 0.6, whole.facts.partial) == (True, False)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("plan", [AUTO, TILES], ids=lambda plan: plan.name)
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 1), (3, 2), (1, 16_000), (16_000, 1), (7, 57), (8, 63), (255, 2041)], ids=str
)
def test_pictures_of_extreme_proportions_have_their_views(
    size: tuple[int, int], plan: ViewPlan, image_format: str
) -> None:
    data = encode(Image.new("RGB", size, (200, 90, 30)), image_format)
    decoded = decode_image(data, preprocessing=MODEL, plan=plan)
    assert decoded.pixels.shape == (len(decoded.views), 32, 32, 3)
    assert np.abs(decoded.pixels.astype(int) - (200, 90, 30)).max() <= 12
    assert decoded.facts.parts_left == (max(size) > MAX_SQUARES * min(size))
    assert decoded.facts.coverage == pytest.approx(min(1, MAX_SQUARES * min(size) / max(size)))


@pytest.mark.parametrize("decode_scale", [1, 2])
def test_boxes_at_the_edges_of_what_is_decoded_are_never_outside_of_it(decode_scale: int) -> None:
    # Rounding of a part's far edge, of all remainders that a scaled decode leaves.
    preprocessing = Preprocessing(side=8, decode_scale=decode_scale)
    for width, height in itertools.product(range(129, 146), (64, 71, 300)):
        for turn in (1, 7):
            picture = Image.new("RGB", (width, height), (10, 200, 90))
            decoded = decode_image(stored(picture, "JPEG", turn), preprocessing=preprocessing, plan=TILES)
            assert np.abs(decoded.pixels.astype(int) - (10, 200, 90)).max() <= 8


def test_flags_of_content_need_every_part_to_have_them() -> None:
    strip = Image.new("RGB", (900, 300), "white")
    blank = decode_image(encode(strip, "PNG"), preprocessing=MODEL, plan=AUTO).facts
    strip.paste(scene(11, (300, 300)), (600, 0))
    partly = decode_image(encode(strip, "PNG"), preprocessing=MODEL, plan=AUTO).facts
    assert (blank.degraded, partly.degraded) == (("NEAR_UNIFORM",), ())
    small = decode_image(encode(scene(12, (90, 20)), "PNG"), preprocessing=MODEL, plan=AUTO).facts
    assert "TINY" in small.degraded


@pytest.mark.parametrize("plan", [ViewPlan(), AUTO, TILES], ids=lambda plan: plan.name)
@pytest.mark.parametrize("side", [32, 224])
def test_views_are_counted_in_what_a_decode_holds(plan: ViewPlan, side: int) -> None:
    preprocessing = Preprocessing(side=side, fit="pad")
    data = encode(Image.new("RGBA", (4000, 500), (9, 9, 9, 90)), "PNG")
    header = read_header(data, preprocessing=preprocessing, plan=plan)
    whole = read_header(data, preprocessing=preprocessing)
    decoded = decode_image(data, preprocessing=preprocessing, plan=plan)
    assert len(decoded.views) == 2 * header.parts
    assert decoded.held_bytes == header.held_bytes
    more = header.held_bytes - whole.held_bytes
    assert more == 0 if plan == ViewPlan() else more >= decoded.pixels.nbytes
    with pytest.raises(HoldsMoreError):
        decode_file(
            data,
            replace(header, held_bytes=0),
            preprocessing=preprocessing,
            plan=plan,
            limits=DecodeLimits(max_decode_bytes=32 * 2**20),
        )
    with pytest.raises(ImageError) as refused:
        read_header(data, DecodeLimits(max_decode_bytes=header.held_bytes - 1), preprocessing=preprocessing, plan=plan)
    assert refused.value.reason == Reason.IMAGE_TOO_MANY_PIXELS


@pytest.mark.parametrize("fit", ["crop", "crop_half_even", "pad", "squash"])
@pytest.mark.parametrize("size", [(320, 240), (1003, 565), (97, 700), (1, 3000), (40, 40)], ids=str)
def test_the_whole_is_what_it_always_was(size: tuple[int, int], fit: str) -> None:
    preprocessing, picture = replace(MODEL, fit=fit), scene(13, size)
    for turn in (1, 3, 6):
        (png,) = decode_image(stored(picture, "PNG", turn), preprocessing=preprocessing).views
        assert np.array_equal(png.pixels, fit_to_side(picture, preprocessing))
        assert (png.name, png.frame, png.seconds, png.box) == ("full", 0, None, None)
    data = stored(picture, "JPEG", quality=90)
    with Image.open(io.BytesIO(data)) as opened:
        _, box = opened.draft(None, draft_size(size, preprocessing)) or (None, None)
        own = fit_to_side(ImageOps.exif_transpose(opened).convert("RGB"), preprocessing, size=size, box=box)
    assert np.array_equal(decode_image(data, preprocessing=preprocessing).pixels, own[np.newaxis])
