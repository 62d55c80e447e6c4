import struct
import tracemalloc
import weakref
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision import decode as decode_module
from clipwarden.vision.decode import decode_image, read_header
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.formats.jpeg import Segment, header_segments
from clipwarden.vision.limits import DecodeLimits
from clipwarden.vision.opening import open_image
from clipwarden.vision.views import to_views
from kit.isobmff import Item, clap, coded, heif, irot, ispe
from kit.pictures import FORMATS, drawing, encode, natural_picture

SQUASH = Preprocessing(side=64, fit="squash", decode_scale=0)
ORIENTATION_TAG = 0x112


def decode(data: bytes, preprocessing: Preprocessing = SQUASH) -> DecodedImage:
    return decode_image(data, preprocessing=preprocessing)


def pixels_of(data: bytes, preprocessing: Preprocessing = SQUASH) -> np.ndarray:
    (view,) = decode(data, preprocessing).views
    return view.pixels.astype(int)


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_supported_format_decodes_to_one_full_view_with_its_facts(image_format: str) -> None:
    data = encode(natural_picture(1), image_format)
    decoded = decode(data)
    facts = decoded.facts
    assert (facts.file.format, facts.file.width, facts.file.height) == (image_format, 320, 240)
    assert (facts.file.sha256, facts.file.bytes) == (sha256(data).hexdigest(), len(data))
    assert (facts.frames_total, facts.frames_judged, facts.degraded) == (1, 1, ())
    (view,) = decoded.views
    assert (view.name, view.frame, view.pixels.shape, view.pixels.dtype) == ("full", 0, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_shows_nearly_the_same_picture(image_format: str) -> None:
    picture = natural_picture(2)
    difference = pixels_of(encode(picture, image_format)) - pixels_of(encode(picture, "PNG"))
    assert np.abs(difference).mean() < (8 if image_format == "GIF" else 4)


@pytest.mark.parametrize("image_format", FORMATS)
def test_header_names_format_and_size_without_decoding(image_format: str) -> None:
    header = read_header(encode(natural_picture(1), image_format), preprocessing=SQUASH)
    assert (header.format, header.width, header.height) == (image_format, 320, 240)


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}])
def test_header_reads_each_kind_of_webp(options: dict[str, object]) -> None:
    header = read_header(encode(natural_picture(1, (33, 17)), "WEBP", **options), preprocessing=SQUASH)
    assert (header.width, header.height) == (33, 17)


def test_progressive_and_grey_jpeg_decode() -> None:
    picture = natural_picture(3)
    assert decode(encode(picture, "JPEG", progressive=True)).facts.file.width == 320
    grey = pixels_of(encode(picture.convert("L"), "JPEG"))
    assert np.array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "AVIF"])
def test_exif_orientation_turns_the_picture_upright(image_format: str, orientation: int) -> None:
    upright = Image.new("RGB", (96, 64), "white")
    upright.paste((200, 0, 0), (0, 0, 48, 32))
    stored = upright.transpose(INVERSE_TURNS[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    decoded = decode(encode(stored, image_format, exif=exif))
    assert (decoded.facts.file.width, decoded.facts.file.height) == (96, 64)
    pixels = decoded.views[0].pixels.astype(int)
    assert np.abs(pixels[4:28, 4:28] - (200, 0, 0)).max() < 40
    assert pixels[36:, 36:].min() > 215


def test_webp_is_left_as_it_is_stored_as_chromium_does() -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    assert decode(encode(natural_picture(1, (96, 64)), "WEBP", exif=exif)).facts.file.width == 96


INVERSE_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def test_orientation_is_left_alone_when_the_model_says_so() -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    data = encode(natural_picture(1, (90, 60)), "JPEG", exif=exif)
    ignoring = Preprocessing(side=64, orientation="ignore")
    assert decode(data, ignoring).facts.file.width == 90
    assert decode(data, Preprocessing(side=64)).facts.file.width == 60


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as prepare_process does
def test_damaged_exif_is_taken_as_upright() -> None:
    for junk in (b"", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"\0" * 99):
        assert decode(encode(natural_picture(1), "JPEG", exif=junk)).facts.file.width == 320


def test_adobe_cmyk_jpeg_is_not_shown_as_a_negative() -> None:
    data = encode(natural_picture(4).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(pixels_of(data) - pixels_of(encode(natural_picture(4), "PNG"))).mean() < 6


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for image_format in ("PNG", "TIFF"):
        pixels = pixels_of(encode(Image.fromarray(ramp), image_format))
        assert np.array_equal(pixels[..., 0], ramp >> 8)


def test_sixteen_bit_big_endian_tiff_is_scaled_too() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(">u2")
    image = Image.frombytes("I;16B", (64, 64), ramp.tobytes())
    assert np.array_equal(pixels_of(encode(image, "TIFF"))[..., 0], ramp >> 8)


def test_sixteen_bit_colour_png_keeps_the_high_byte() -> None:
    colours = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    data = raw_png(colours.astype(">u2").tobytes(), side=64, depth=16, colour_type=2, bytes_per_pixel=6)
    assert np.array_equal(pixels_of(data), colours >> 8)


def test_grey_with_alpha_and_one_bit_and_palette_images_decode() -> None:
    picture = drawing(64)
    assert np.abs(pixels_of(encode(picture.convert("L").convert("LA"), "PNG")) - grey(picture)).max() == 0
    assert set(np.unique(pixels_of(encode(picture.convert("1"), "PNG")))) == {0, 255}
    assert np.abs(pixels_of(encode(picture.quantize(32), "PNG")) - np.asarray(picture)).max() < 40
    assert decode(encode(picture.quantize(8), "BMP")).facts.file.format == "BMP"


def grey(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.0, 255.0), (0.0, 65535.0), (-3.0, 3.0), (0.0, 1e9), (-9e37, 9e37)]
)
def test_float_tiff_of_any_range_shows_its_ramp(low: float, high: float) -> None:
    ramp = np.linspace(low, high, 4096).reshape(64, 64).astype(np.float32)
    pixels = pixels_of(encode(Image.fromarray(ramp), "TIFF"))
    assert np.abs(pixels[..., 0] - np.linspace(0, 255, 4096).reshape(64, 64)).max() <= 1


def test_float_tiff_with_nan_and_infinity_decodes() -> None:
    values = np.full((64, 64), 0.5, dtype=np.float32)
    values[0, 0], values[1, 1], values[2, 2] = np.nan, np.inf, -np.inf
    assert pixels_of(encode(Image.fromarray(values), "TIFF"))[9, 9, 0] == 128


def test_integer_tiff_is_scaled_by_the_range_it_uses() -> None:
    ramp = np.linspace(0, 65535, 4096).reshape(64, 64).astype(np.int32)
    assert np.abs(pixels_of(encode(Image.fromarray(ramp), "TIFF"))[..., 0] - ramp / 257).max() <= 1
    small = np.minimum(ramp, 200)
    assert pixels_of(encode(Image.fromarray(small), "TIFF"))[..., 0].max() == 200


def test_lab_tiff_shows_its_colours() -> None:
    # L* 53, a* 80, b* 67 is pure red; TIFF stores L* scaled to 255.
    red = Image.frombytes("LAB", (64, 64), bytes([136, 80, 67]) * 4096)
    assert np.abs(pixels_of(encode(red, "TIFF"))[5, 5] - (255, 0, 0)).max() < 20


@pytest.mark.parametrize("ink", [(255, 255, 255), (0, 0, 0)])
def test_see_through_picture_is_shown_on_white_and_on_black(ink: tuple[int, int, int]) -> None:
    decoded = decode(encode(drawing(64, see_through=True, ink=ink), "PNG"))
    assert [view.name for view in decoded.views] == ["on_white", "on_black"]
    assert decoded.views[0].pixels[0, 0].tolist() == [255, 255, 255]
    assert decoded.views[1].pixels[0, 0].tolist() == [0, 0, 0]
    assert {view.pixels[32, 32, 0] for view in decoded.views} == {ink[0]}
    assert decoded.facts.degraded == ()


def test_opaque_alpha_channel_makes_one_view_equal_to_the_plain_picture() -> None:
    picture = natural_picture(5, (64, 64))
    assert np.array_equal(pixels_of(encode(picture.convert("RGBA"), "PNG")), np.asarray(picture))


def test_half_transparency_blends_with_each_background() -> None:
    half = Image.new("RGBA", (64, 64), (100, 100, 100, 128))
    on_white, on_black = (view.pixels[9, 9, 0] for view in decode(encode(half, "PNG")).views)
    assert (on_white, on_black) == (177, 50)


def test_palette_with_transparency_is_see_through() -> None:
    palette = drawing(64).quantize(4)
    names = [view.name for view in decode(encode(palette, "PNG", transparency=0)).views]
    several = [view.name for view in decode(encode(palette, "PNG", transparency=bytes([9, 255]))).views]
    assert names == several == ["on_white", "on_black"]


@pytest.mark.parametrize(("mode", "key"), [("RGB", (255, 255, 255)), ("L", 255), ("1", 1)])
def test_colour_key_is_see_through(mode: str, key: object) -> None:
    decoded = decode(encode(drawing(64).convert(mode), "PNG", transparency=key))
    assert [view.name for view in decoded.views] == ["on_white", "on_black"]


def test_colour_key_of_a_sixteen_bit_picture_is_see_through() -> None:
    shades = np.full((64, 64), 40000, dtype=np.uint16)
    shades[:32] = 1234
    decoded = decode(encode(Image.fromarray(shades), "PNG", transparency=1234))
    assert [view.pixels[0, 0, 0] for view in decoded.views] == [255, 0]
    colours = np.repeat(shades[..., None], 3, axis=2).astype(">u2").tobytes()
    key = chunk(b"tRNS", struct.pack(">HHH", 1234, 1234, 1234))
    decoded = decode(raw_png(colours, side=64, depth=16, colour_type=2, bytes_per_pixel=6, before_data=key))
    assert [view.pixels[0, 0, 0] for view in decoded.views] == [255, 0]


def test_views_are_made_one_at_a_time_since_each_takes_as_much_memory_as_the_picture() -> None:
    views = to_views(drawing(64, see_through=True))
    on_white = next(views)
    reference = weakref.ref(on_white.rgb)
    del on_white
    assert next(views).name == "on_black"
    assert reference() is None


def test_associated_alpha_modes_are_see_through() -> None:
    premultiplied = drawing(64, see_through=True).convert("RGBa")
    assert [view.name for view in to_views(premultiplied)] == ["on_white", "on_black"]
    grey_premultiplied = drawing(64, see_through=True).convert("LA").convert("La")
    assert [view.name for view in to_views(grey_premultiplied)] == ["on_white", "on_black"]


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_first_of_several_frames_is_judged_and_all_are_counted(image_format: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    facts_and_views = decode(encode(frames[0], image_format, save_all=True, append_images=frames[1:]))
    assert (facts_and_views.facts.frames_total, facts_and_views.facts.frames_judged) == (3, 1)
    assert np.abs(facts_and_views.views[0].pixels[9, 9].astype(int) - (200, 0, 0)).max() < 12


def test_big_tiff_and_both_byte_orders_count_their_pages() -> None:
    pages = [natural_picture(seed, (40, 30)) for seed in range(3)]
    big = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:], big_tiff=True)
    assert decode(big).facts.frames_total == 3
    assert read_header(big, preprocessing=SQUASH).width == 40
    motorola = encode(Image.frombytes("I;16B", (40, 30), bytes(2400)), "TIFF")
    assert motorola.startswith(b"MM")
    assert (decode(motorola).facts.frames_total, decode(motorola).facts.file.height) == (1, 30)


def test_further_pictures_inside_a_jpeg_do_not_make_it_animated() -> None:
    first, second = natural_picture(1, (64, 64)), natural_picture(2, (64, 64))
    facts = decode(encode(first, "MPO", save_all=True, append_images=[second])).facts
    assert (facts.file.format, facts.frames_total) == ("JPEG", 1)


def test_scaled_decoding_keeps_the_promised_multiple_and_reports_the_stored_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode(natural_picture(6, (801, 603)), "JPEG")
    seen = []
    original = Image.Image.resize

    def resize(self: Image.Image, *args: Any, **options: Any) -> Image.Image:  # noqa: ANN401
        seen.append(self.size)
        return original(self, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", resize)
    facts = decode(data, Preprocessing(side=32, decode_scale=2)).facts
    assert (facts.file.width, facts.file.height) == (801, 603)
    assert seen == [(101, 76)]  # an eighth, rounded up; its short side is still more than 2 x 32
    seen.clear()
    decode(data, Preprocessing(side=32, decode_scale=0))
    assert seen == [(801, 603)]


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_scaled_decoding_looks_nearly_like_full_decoding(fit: str) -> None:
    data = encode(natural_picture(7, (1000, 700)), "JPEG", quality=90)
    scaled = pixels_of(data, Preprocessing(side=64, fit=fit, decode_scale=2))
    full = pixels_of(data, Preprocessing(side=64, fit=fit, decode_scale=0))
    assert np.abs(scaled - full).mean() < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_partial_pixels_of_scaled_decoding_do_not_stretch_the_picture_however_it_is_turned(orientation: int) -> None:
    # At an eighth, 513 x 401 becomes 65 x 51 pixels of which 64.125 x 50.125 are picture.
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = encode(natural_picture(9, (513, 401)), "JPEG", quality=95, exif=exif)
    for fit in ("crop", "pad", "squash"):
        scaled = pixels_of(data, Preprocessing(side=25, fit=fit, decode_scale=2))
        full = pixels_of(data, Preprocessing(side=25, fit=fit, decode_scale=0))
        assert np.abs(scaled - full).mean() < 1.0, fit


def test_long_strip_decoded_small_keeps_its_centre() -> None:
    data = encode(natural_picture(9, (4003, 203)), "JPEG", quality=95)
    scaled = pixels_of(data, Preprocessing(side=25, decode_scale=2))
    full = pixels_of(data, Preprocessing(side=25, decode_scale=0))
    assert np.abs(scaled - full).mean() < 1.0


def test_many_threads_decode_at_once_and_agree() -> None:
    data = encode(natural_picture(8), "JPEG")
    alone = pixels_of(data)
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(alone, pixels) for pixels in pool.map(pixels_of, [data] * 24))


def test_limits_that_could_not_be_kept_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        DecodeLimits(max_image_bytes=0)
    with pytest.raises(ValueError, match="at least 1"):
        DecodeLimits(max_decode_bytes=0)


def test_reasons_are_stable() -> None:
    with pytest.raises(ImageError) as caught:
        read_header(b"", preprocessing=SQUASH)
    assert caught.value.reason is Reason.IMAGE_EMPTY


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def raw_png(
    rows: bytes, *, side: int, depth: int, colour_type: int, bytes_per_pixel: int, before_data: bytes = b""
) -> bytes:
    stride = side * bytes_per_pixel
    filtered = b"".join(b"\0" + rows[start : start + stride] for start in range(0, len(rows), stride))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(filtered))
    return b"\x89PNG\r\n\x1a\n" + header + before_data + data + chunk(b"IEND", b"")


def test_a_file_is_hashed_once_and_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []

    def hashed(data: bytes) -> object:
        order.append("hash")
        return sha256(data)

    def opened(data: bytes, image_format: str, segments: Sequence[Segment]) -> Image.Image:
        order.append("open")
        return open_image(data, image_format, segments)

    monkeypatch.setattr(decode_module.hashlib, "sha256", hashed)
    monkeypatch.setattr(decode_module, "open_image", opened)
    assert decode(encode(natural_picture(1), "PNG")).facts.file is not None
    assert order == ["hash", "open"]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_avif_is_cropped_before_it_is_turned(mode: str) -> None:
    picture = Image.new(mode, (96, 64), "white")
    picture.paste(Image.new(mode, (32, 24), "black"))
    kind, settings, written = coded(encode(picture.convert(mode), "AVIF", quality=95))
    shown = (ispe(96, 64), settings, clap(32, 24, 0, 0, of=(96, 64)), irot(1))
    decoded = decode(heif([Item(kind=kind, body=written, properties=shown)]))
    assert (decoded.facts.file.width, decoded.facts.file.height) == (24, 32)
    assert decoded.views[0].pixels.max() < 60  # and nothing of the white around it, but for what coding blurs


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("tail", [0, 2**20])
def test_a_jpeg_is_not_copied_on_its_way_to_the_codec(tail: int, *, known: bool) -> None:
    data = encode(natural_picture(1, (640, 480)), "JPEG", quality=95) + bytes(tail)
    tracemalloc.start()
    try:
        with open_image(data, "JPEG", header_segments(data) if known else ()) as opened:
            opened.load()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.25 * 2**16 < len(data)
