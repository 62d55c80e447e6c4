"""EXIF as Chromium 150 reads it; each row was seen there."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import FileFacts
from clipwarden.vision.formats.exif import exif_orientation
from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.structure import Structure
from kit.containers import jpeg_segment, png_chunk, riff_chunk, webp_file, webp_header, webp_picture, with_segments
from kit.pictures import encode, natural_picture

SHORT, LONG, RATIONAL = 3, 4, 5
ORIENTATION, EXIF_POINTER = 0x112, 0x8769
PICTURE = natural_picture(1, (64, 48))
JPEG = encode(PICTURE, "JPEG", quality=95)
SQUASH = Preprocessing(side=32, fit="squash", decode_scale=0)


def short(value: int) -> bytes:
    return struct.pack(">HH", value, 0)


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(">HHI", tag, kind, count) + value


def block(*entries: bytes, mark: bytes = b"MM\0*", claimed: int | None = None, tail: bytes = bytes(4)) -> bytes:
    count = len(entries) if claimed is None else claimed
    return mark + struct.pack(">IH", 8, count) + b"".join(entries) + tail


def turned(value: int) -> bytes:
    return block(entry(ORIENTATION, SHORT, 1, short(value)))


BELOW = struct.pack(">H", 1) + entry(ORIENTATION, SHORT, 1, short(6)) + bytes(4)
ORIENTATIONS = {
    "each": (turned(5), 5),
    "nought": (turned(0), 1),
    "nine": (turned(9), 1),
    "little-endian": (b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION, SHORT, 1, 6, 0, 0), 6),
    "LONG": (block(entry(ORIENTATION, LONG, 1, struct.pack(">I", 6))), 1),
    "BYTE": (block(entry(ORIENTATION, 1, 1, b"\6\0\0\0")), 1),
    "two in one": (block(entry(ORIENTATION, SHORT, 2, short(6))), 1),
    "none in one": (block(entry(ORIENTATION, SHORT, 0, short(6))), 1),
    "the first of two": (block(*[entry(ORIENTATION, SHORT, 1, short(each)) for each in (6, 3)]), 6),
    "the first valid of two": (block(*[entry(ORIENTATION, SHORT, 1, short(each)) for each in (9, 3)]), 3),
    "out of order": (block(entry(0x132, 2, 4, b"abc\0"), entry(ORIENTATION, SHORT, 1, short(6))), 6),
    "claims more entries than there are": (block(entry(ORIENTATION, SHORT, 1, short(6)), claimed=5), 6),
    "ends behind its entry": (block(entry(ORIENTATION, SHORT, 1, short(6)), tail=b""), 6),
    "in the EXIF directory": (block(entry(EXIF_POINTER, LONG, 1, struct.pack(">I", 26)), tail=bytes(4) + BELOW), 6),
    "EXIF directory that points nowhere": (block(entry(EXIF_POINTER, LONG, 1, b"\xff" * 4), turned(6)[10:22]), 6),
    "EXIF directory that points to itself": (block(entry(EXIF_POINTER, LONG, 1, struct.pack(">I", 8))), 1),
    "in the second directory": (block(tail=struct.pack(">I", 14) + BELOW), 1),
    "BigTIFF": (block(entry(ORIENTATION, SHORT, 1, short(6)), mark=b"MM\0+"), 1),
    "another mark": (block(entry(ORIENTATION, SHORT, 1, short(6)), mark=b"MM\0x"), 1),
    "mixed mark": (block(entry(ORIENTATION, SHORT, 1, short(6)), mark=b"IM\0*"), 1),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_orientation_is_the_first_valid_one(name: str) -> None:
    exif, orientation = ORIENTATIONS[name]
    assert exif_orientation(exif) == orientation


def structure(data: bytes, image_format: str) -> Structure:
    return read_structure(data, image_format, DEFAULT_LIMITS)


def app1(exif: bytes, prefix: bytes = b"Exif\0\0") -> bytes:
    return jpeg_segment(0xE1, prefix + exif)


@pytest.mark.parametrize(
    ("segments", "orientation"),
    [
        ((app1(turned(6)), app1(turned(3))), 6),
        ((app1(turned(1)), app1(turned(3))), 1),
        ((app1(b"junk" * 9), app1(turned(3))), 1),
        ((app1(block()), app1(turned(3))), 1),
        ((app1(b""), app1(turned(3))), 3),
        ((jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), app1(turned(3))), 3),
        ((app1(turned(6), b"Exif\0x"),), 6),
        ((app1(turned(6), b"exif\0\0"),), 1),
        ((jpeg_segment(0xE2, b"Exif\0\0" + turned(6)),), 1),
    ],
)
def test_first_exif_segment_of_a_jpeg_counts_whatever_it_says(segments: tuple[bytes, ...], orientation: int) -> None:
    assert structure(with_segments(JPEG, *segments), "JPEG").orientation == orientation


def test_exif_behind_the_scan_of_a_jpeg_does_not_count() -> None:
    scan = JPEG.index(b"\xff\xda")
    assert structure(JPEG[:scan] + app1(turned(6)) + JPEG[scan:], "JPEG").orientation == 6
    assert structure(JPEG[:-2] + app1(turned(6)) + JPEG[-2:], "JPEG").orientation == 1


PNG = encode(PICTURE, "PNG")
PIXELS = PNG.index(b"IDAT") - 4


@pytest.mark.parametrize(
    ("chunks", "orientation"),
    [
        ((png_chunk(b"eXIf", turned(6)),), 6),
        ((png_chunk(b"eXIf", b"Exif\0\0" + turned(6)),), 1),
        ((png_chunk(b"eXIf", turned(6), wrong=1),), 1),
        ((png_chunk(b"eXIf", turned(6), wrong=1), png_chunk(b"eXIf", turned(3))), 3),
        ((png_chunk(b"eXIf", turned(6)), png_chunk(b"eXIf", turned(3))), 6),
        ((png_chunk(b"eXIf", b"junkjunk"), png_chunk(b"eXIf", turned(3))), 1),
    ],
)
def test_first_good_exif_chunk_ahead_of_the_pixels_of_a_png_counts(chunks: tuple[bytes, ...], orientation: int) -> None:
    assert structure(PNG[:PIXELS] + b"".join(chunks) + PNG[PIXELS:], "PNG").orientation == orientation
    assert structure(PNG[:-12] + b"".join(chunks) + PNG[-12:], "PNG").orientation == 1


def test_webp_is_not_turned() -> None:
    picture = webp_picture(encode(PICTURE, "WEBP"))
    data = webp_file(webp_header((64, 48), 8), picture, riff_chunk(b"EXIF", turned(6)))
    assert structure(data, "WEBP").orientation == 1


def sized(
    size: tuple[int, int], densities: tuple[tuple[int, int], tuple[int, int]], *, unit: int = 2, turn: int = 1
) -> bytes:
    """Spell EXIF that gives a picture a size and densities (each a fraction of pixels an inch)."""
    below, rationals = 8 + 2 + 5 * 12 + 4, 8 + 2 + 5 * 12 + 4 + 2 + 2 * 12
    return block(
        entry(ORIENTATION, SHORT, 1, short(turn)),
        entry(0x11A, RATIONAL, 1, struct.pack(">I", rationals)),
        entry(0x11B, RATIONAL, 1, struct.pack(">I", rationals + 8)),
        entry(0x128, SHORT, 1, short(unit)),
        entry(EXIF_POINTER, LONG, 1, struct.pack(">I", below)),
        tail=bytes(4)
        + struct.pack(">H", 2)
        + entry(0xA002, LONG, 1, struct.pack(">I", size[0]))
        + entry(0xA003, SHORT if size[1] < 2**16 else LONG, 1, short(size[1]))
        + struct.pack(">4I", *densities[0], *densities[1]),
    )


@pytest.mark.parametrize(
    ("exif", "shown"),
    [
        (sized((64, 24), ((72, 1), (144, 1))), (64, 24)),
        (sized((64, 96), ((72, 1), (36, 1))), (64, 96)),
        (sized((64, 24), ((72, 1), (1412, 10))), (64, 24)),
        (sized((64, 25), ((72, 1), (1412, 10))), None),
        (sized((32, 24), ((144, 1), (144, 1))), None),
        (sized((64, 48), ((72, 1), (72, 1))), None),
        (sized((64, 24), ((72, 1), (72, 1))), None),
        (sized((64, 24), ((72, 1), (144, 1)), unit=3), None),
        (sized((64, 24), ((72, 0), (144, 1))), None),
        (sized((64, 0), ((72, 1), (2**32 - 1, 1))), None),
    ],
)
def test_jpeg_is_stretched_to_the_size_that_its_densities_lead_to(exif: bytes, shown: tuple[int, int] | None) -> None:
    assert structure(with_segments(JPEG, app1(exif)), "JPEG").shown_size == shown


def file_of(data: bytes, preprocessing: Preprocessing) -> FileFacts:
    file = decode_image(data, preprocessing=preprocessing).facts.file
    assert file is not None
    return file


def test_stretched_picture_is_judged_as_it_is_displayed_and_turned_behind_that() -> None:
    crop = Preprocessing(side=32, fit="crop", decode_scale=2)
    exif = sized((64, 96), ((72, 1), (36, 1)))
    data = with_segments(JPEG, app1(exif))
    decoded = decode_image(data, preprocessing=crop)
    reference = decode_image(
        encode(Image.open(io.BytesIO(JPEG)).resize((64, 96), Image.Resampling.BICUBIC), "PNG"), preprocessing=crop
    )
    assert np.abs(decoded.pixels.astype(int) - reference.pixels).mean() < 4
    assert (file_of(data, crop).width, file_of(data, crop).height) == (64, 96)
    on_its_side = with_segments(JPEG, app1(sized((64, 96), ((72, 1), (36, 1)), turn=6)))
    assert (file_of(on_its_side, crop).width, file_of(on_its_side, crop).height) == (96, 64)
    assert np.array_equal(
        decode_image(data, preprocessing=SQUASH).pixels, decode_image(JPEG, preprocessing=SQUASH).pixels
    )
