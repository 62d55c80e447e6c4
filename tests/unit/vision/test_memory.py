"""What headers say of the memory that a decode will hold, before anything is decoded."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from bench import profiles
from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision import decode as decode_module
from clipwarden.vision.decode import decode_file, decode_image, read_header
from clipwarden.vision.formats import jpeg
from clipwarden.vision.formats.ifd import tile_pixels
from clipwarden.vision.formats.jpeg import header_segments
from clipwarden.vision.formats.jpegframe import read_frame
from clipwarden.vision.formats.layout import PixelLayout, read_layout
from clipwarden.vision.formats.reader import HEADER_BUDGET, BoundedReader
from clipwarden.vision.limits import DecodeLimits, HoldsMoreError
from clipwarden.vision.memory import decoded_size, held_bytes
from clipwarden.vision.opening import open_image
from clipwarden.vision.preprocess import draft_size
from kit.pictures import FORMATS, drawing, encode, natural_picture

MODEL = Preprocessing(side=32)
PICTURE = natural_picture(1, (96, 64))
CLEAR = drawing(64, see_through=True)
CLEAR_PALETTE = {"transparency": 3}


def kinds() -> dict[str, tuple[bytes, str, bool]]:
    """Files by name, with the mode and transparency that their headers tell."""
    animated = {"save_all": True, "append_images": [CLEAR.rotate(30)]}
    return {
        "grey JPEG": (encode(PICTURE.convert("L"), "JPEG"), "L", False),
        "JPEG": (encode(PICTURE, "JPEG"), "RGB", False),
        "progressive JPEG": (encode(PICTURE, "JPEG", progressive=True), "RGB", False),
        "CMYK JPEG": (encode(PICTURE.convert("CMYK"), "JPEG"), "CMYK", False),
        "bilevel PNG": (encode(PICTURE.convert("1"), "PNG"), "L", False),
        "PNG": (encode(PICTURE, "PNG"), "RGB", False),
        "16-bit PNG": (encode(Image.fromarray(np.zeros((64, 64), np.uint16)), "PNG"), "I;16", False),
        "grey PNG with alpha": (encode(CLEAR.convert("LA"), "PNG"), "LA", True),
        "PNG with a key": (encode(PICTURE, "PNG", transparency=(1, 2, 3)), "RGB", True),
        "palette PNG": (encode(PICTURE.quantize(16), "PNG"), "P", False),
        "see-through palette PNG": (encode(PICTURE.quantize(16), "PNG", **CLEAR_PALETTE), "P", True),
        "APNG": (encode(CLEAR, "PNG", default_image=True, **animated), "RGBA", True),
        "WebP": (encode(PICTURE, "WEBP"), "RGB", False),
        "lossless WebP": (encode(PICTURE, "WEBP", lossless=True), "RGBA", True),
        "see-through WebP": (encode(CLEAR, "WEBP"), "RGBA", True),
        "see-through lossless WebP": (encode(CLEAR, "WEBP", lossless=True), "RGBA", True),
        "animated WebP": (encode(CLEAR, "WEBP", **animated), "RGBA", True),
        "GIF": (encode(PICTURE, "GIF"), "P", True),
        "BMP": (encode(PICTURE, "BMP"), "RGB", False),
        "32-bit BMP": (encode(CLEAR, "BMP"), "RGBA", True),
        "TIFF": (encode(PICTURE, "TIFF"), "F", False),
    }


@pytest.mark.parametrize("name", kinds())
def test_headers_tell_the_kind_and_never_less_than_the_opened_file(name: str) -> None:
    data, mode, see_through = kinds()[name]
    header = read_header(data, preprocessing=MODEL)
    assert (header.layout.mode, header.layout.see_through) == (mode, see_through)
    # Else the image would have to wait for its memory twice.
    assert decode_image(data, preprocessing=MODEL).held_bytes <= header.held_bytes


def frame_of(data: bytes) -> tuple[int, float] | None:
    frame = read_frame(data, header_segments(data))
    return frame and (frame.components, frame.samples_held)


@pytest.mark.parametrize(
    ("options", "samples"),
    [
        ({}, 0.0),
        ({"subsampling": 0}, 0.0),
        ({"progressive": True}, 1.5),
        ({"progressive": True, "subsampling": 1}, 2.0),
        ({"progressive": True, "subsampling": 0}, 3.0),
    ],
)
def test_jpeg_that_comes_in_passes_is_held_at_full_size(options: dict[str, object], samples: float) -> None:
    assert frame_of(encode(PICTURE, "JPEG", **options)) == (3, samples)


def test_baseline_jpeg_whose_first_scan_lacks_components_is_held_at_full_size() -> None:
    data = bytearray(encode(PICTURE, "JPEG"))
    scan = data.index(b"\xff\xda")
    data[scan + 4] = 1
    assert frame_of(bytes(data)) == (3, 1.5)


def test_damaged_jpeg_header_counts_as_the_costliest_kind() -> None:
    whole = encode(PICTURE, "JPEG")
    cut = whole[: whole.index(b"\xff\xda")]
    assert frame_of(cut) is None
    layout = read_layout(cut, "JPEG", (96, 64))
    assert (layout.mode, layout.coding_bytes) == ("CMYK", 8.0)
    with pytest.raises(struct.error):
        frame_of(b"\xff\xd8\xff\xc0\0\x11\x08\0\x08\0\x08\x03")


@pytest.mark.parametrize("damage", [bytes(4), struct.pack(">I", 2**32 - 1)])
def test_damaged_png_counts_what_comes_before_the_damage(damage: bytes) -> None:
    data = encode(PICTURE, "PNG", transparency=(1, 2, 3))
    at = data.index(b"tRNS") - 4
    layout = read_layout(data[:at] + damage + data[at + 4 :], "PNG", (96, 64))
    assert (layout.mode, layout.see_through) == ("RGB", True)
    assert read_layout(data[:20], "PNG", (96, 64)).see_through


def test_unknown_size_counts_no_pixels_until_the_file_is_opened() -> None:
    layout = read_layout(b"", "WEBP", None)
    assert (layout.size, layout.mode, layout.see_through) == ((0, 0), "RGBA", True)
    small = held_bytes(layout, MODEL, decoded=decoded_size(layout, MODEL), file_bytes=0)
    assert 0 < small < DecodeLimits().small_decode_bytes


@pytest.mark.parametrize(
    "preprocessing", [MODEL, Preprocessing(side=32, fit="pad"), Preprocessing(side=7, decode_scale=3)]
)
def test_size_after_scaled_decoding_is_pillows_own(preprocessing: Preprocessing) -> None:
    sizes = [(64, 64), (127, 128), (128, 255), (129, 513), (1000, 40), (1, 1), (1, 700), (640, 480), (2049, 700)]
    for size in sizes:
        opened = open_image(encode(Image.new("L", size), "JPEG"), "JPEG")
        opened.draft(None, draft_size(size, preprocessing))
        layout = PixelLayout(size=size, scales=True)
        assert decoded_size(layout, preprocessing) == opened.size, size


def test_only_what_can_be_scaled_is() -> None:
    assert decoded_size(PixelLayout(size=(4000, 3000)), MODEL) == (4000, 3000)
    full = Preprocessing(side=32, decode_scale=0)
    assert decoded_size(PixelLayout(size=(4000, 3000), scales=True), full) == (4000, 3000)


def megapixels(width: int, height: int, **options: object) -> int:
    """Return what is held for a JPEG of a phone: a small one's header, with another size written in."""
    data = bytearray(encode(PICTURE, "JPEG", **options))
    at = next(data.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return read_header(bytes(data), preprocessing=Preprocessing(side=224)).held_bytes


def test_phones_of_200_megapixels_pass_the_default_limits_and_hostile_kinds_do_not() -> None:
    assert megapixels(16_320, 12_240) < 64 * 2**20
    assert 500 * 2**20 < megapixels(16_320, 12_240, progressive=True) < 1024 * 2**20
    with pytest.raises(ImageError, match=r"would hold 11\d\d MiB of memory; the limit is 1024 MiB") as caught:
        megapixels(16_320, 12_240, progressive=True, subsampling=0)
    assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS
    assert "baseline JPEG in sRGB" in str(caught.value)


@pytest.mark.parametrize("image_format", FORMATS)
def test_pillows_own_limit_of_pixels_stops_nothing(image_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Beyond this it warns, which fails here; beyond twice as many it refuses. The readers of WebP and TIFF do so still,
    # at more than the default limit of memory lets through.
    least = PICTURE.width * PICTURE.height if image_format in ("WEBP", "TIFF") else MODEL.side**2
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", least)
    assert decode_image(encode(PICTURE, image_format), preprocessing=MODEL).facts.file is not None


def test_larger_jpegs_may_ask_for_fewer_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(Image.new("L", (64, 64), 128), "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    has = whole.count(b"\xff\xda")

    def with_scans(count: int) -> bytes:
        return whole[:-2] + last * (count - has) + whole[-2:]

    monkeypatch.setattr(jpeg, "_MAX_SCANNED_PIXELS", 20 * 64 * 64)
    decode_image(with_scans(20), preprocessing=MODEL)
    with pytest.raises(ImageError, match="asks for more than 20 scans"):
        decode_image(with_scans(21), preprocessing=MODEL)
    monkeypatch.setattr(jpeg, "_MAX_SCANNED_PIXELS", 1)
    decode_image(with_scans(10), preprocessing=MODEL)  # what libjpeg writes by itself


def tiff_tile(side: int, *, width_kind: int = 4) -> bytes:
    """Write a grey TIFF of 8 x 8 pixels, whose only tile has other sides."""
    rows = zlib.compress(bytes(min(side, 4096) ** 2))
    numbers = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(rows)}
    kinds = {322: width_kind}
    entries = b"".join(struct.pack("<HHII", tag, kinds.get(tag, 4), 1, each) for tag, each in numbers.items())
    return b"II*\0" + struct.pack("<I", 8 + len(rows)) + rows + struct.pack("<H", len(numbers)) + entries + bytes(4)


def test_tiles_that_stand_over_are_counted_before_they_are_decoded() -> None:
    tile = decode_image(tiff_tile(1024), preprocessing=MODEL)
    assert (tile.facts.file.width, tile.facts.file.height) == (8, 8)
    assert tile.held_bytes > 8 * 1024**2  # four channels of 16 bits
    assert decode_image(tiff_tile(16), preprocessing=MODEL).held_bytes < tile.held_bytes / 3
    with pytest.raises(ImageError, match="would hold 51") as caught:
        decode_image(tiff_tile(26_000), preprocessing=MODEL)
    assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS


@pytest.mark.parametrize(("kind", "width"), [(3, 1000), (4, 1000), (9, 1000), (1, 255), (5, 255)])
def test_a_tile_is_as_wide_as_libtiff_may_read_it_to_be(kind: int, width: int) -> None:
    # In a byte stands no more, and fractions it refuses.
    data = tiff_tile(1000, width_kind=kind)
    assert tile_pixels(BoundedReader(data, HEADER_BUDGET)) == width * 1000


def test_a_limit_that_no_picture_could_keep_is_to_be_raised() -> None:
    with pytest.raises(ImageError, match=r"the limit is 1 MiB \(max_decode_bytes\)\. Raise it: even small"):
        read_header(encode(PICTURE, "PNG"), DecodeLimits(max_decode_bytes=2**20), preprocessing=MODEL)


LARGEST_PROFILE = profiles.huge_table()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: encode(PICTURE.convert("CMYK"), "JPEG", icc_profile=LARGEST_PROFILE),
        lambda: encode(PICTURE, "PNG", icc_profile=LARGEST_PROFILE),
        lambda: b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + GIF_9000,
    ],
    ids=["JPEG with a profile", "PNG with a profile", "GIF of a large frame"],
)
def test_memory_is_asked_for_before_a_file_is_opened_and_its_profile_built(
    draw: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("too early")

    data, preprocessing = draw(), Preprocessing(side=32, colour="srgb")
    header = read_header(data, preprocessing=preprocessing)
    monkeypatch.setattr(decode_module, "open_image", never)
    monkeypatch.setattr(decode_module, "conversion_of", never)
    with pytest.raises(HoldsMoreError) as caught:
        decode_file(data, header, preprocessing=preprocessing)
    assert caught.value.held_bytes > 64 * 2**20
    with pytest.raises(ImageError, match="the limit is 32 MiB") as refused:
        decode_file(data, header, preprocessing=preprocessing, limits=DecodeLimits(max_decode_bytes=32 * 2**20))
    assert refused.value.reason is Reason.IMAGE_TOO_MANY_PIXELS


# What the first frame leaves is to be taken away after it: Pillow puts something there when it opens the file.
GIF_9000 = b"\x21\xf9\x04\x08\0\0\0\0," + struct.pack("<HHHHB", 0, 0, 9000, 9000, 0) + b"\x02\x02\x4c\x01\0;"

Held = Callable[[PixelLayout], int]


@pytest.fixture
def held() -> Held:
    return lambda layout: held_bytes(layout, MODEL, decoded=layout.size, file_bytes=1000)


def test_what_makes_a_decode_costlier_is_counted(held: Held) -> None:
    size, pixels = (2000, 1000), 2_000_000
    plain = PixelLayout(size=size, turns=False)
    base = held(plain)
    assert held(PixelLayout(size=size)) - base == 4 * pixels  # turned
    assert held(PixelLayout(size=size, turns=False, kept_bytes=8)) - base == 8 * pixels
    assert held(PixelLayout(size=size, turns=False, mode="RGBA", see_through=True)) - base == 5 * pixels
    assert held(PixelLayout(size=size, turns=False, copies=2)) - base == 1000
    converted = held_bytes(plain, MODEL, decoded=size, file_bytes=1000, converts=True)
    assert converted - base == 4 * pixels + 10 * 2**20
    # Coding and viewing do not come at the same time.
    assert held(PixelLayout(size=size, coding_bytes=3)) - held(PixelLayout(size=size)) == 0
    assert held(PixelLayout(size=size, coding_bytes=6)) - held(PixelLayout(size=size)) == 2 * pixels
