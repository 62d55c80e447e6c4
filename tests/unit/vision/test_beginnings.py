import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import read_header
from clipwarden.vision.formats.beginnings import begins_like_picture, is_apple_double
from clipwarden.vision.formats.foreign import BEGINNING_BYTES
from kit.pictures import encode


def media(*brands: bytes) -> bytes:
    """Begin a file of MP4's container with these brands."""
    major, *compatible = brands
    return struct.pack(">I4s4sI", 16 + 4 * len(compatible), b"ftyp", major, 0) + b"".join(compatible) + b"moov"


OTHERS = [
    b"\xff\x0a\xfa\x1f",
    b"\0\0\0\x0cJXL \r\n\x87\n",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"8BPS\0\1",
    b"\0\0\1\0\1\0",
    b"P6\n# by hand\n 3 2\n255\n",
    b"P3 3 2 255 ",
    b"RIFF\x10\0\0\0AVI LIST",
    b"\x1a\x45\xdf\xa3\x9f",
    b"\0\0\0\x08wide\0\0\x12\x34mdat",
    b"<svg xmlns='x'>",
    b"\xef\xbb\xbf\n<?xml version='1.0'?>\n<!-- <html> --><!DOCTYPE svg [<!ENTITY a '<b>'>]>\n<s:svg\n",
    "\ufeff<?xml version='1.0' encoding='utf-16'?><svg/>".encode("utf-16-le"),
    media(b"isom", b"iso2", b"mp41"),
    media(b"M4V ", b"M4V ", b"M4A ", b"mp42"),
    *(b"\0\0\0\x08" + kind + b"\0\0\x12\x34mdat" for kind in (b"free", b"skip", b"pnot", b"moof", b"styp")),
    b"\x20\x01ab" + b"mdat",  # 512 MiB of pictures before all else
    (b"G" + bytes(187)) * 5,
    (bytes(4) + b"G" + bytes(187)) * 5,
    b"OggS" + bytes(24) + b"\x80theora",
    b"OggS" + bytes(24) + b"\x01vorbis" + b"OggS" + bytes(24) + b"\x80theora",
    b"OggS" + bytes(24) + b"fishead\0",
    b"DKIF\0\0\x20\0VP80",
    b"YUV4MPEG2 W3 H2",
    b"FWS\x05" + bytes(8),
    encode(Image.new("RGB", (3, 2)), "TGA"),
    encode(Image.new("RGB", (3, 2)), "TGA", compression="tga_rle"),
    encode(Image.new("P", (3, 2)), "TGA"),
]
TEXTS = [
    b"",
    b"BM",
    b"BMW is a name with which many a text begins.",
    b"P1 is a priority, and P6 is none.",
    b"P2 and 3 more",
    b"The wide and the moov",
    b"An MP4 is no ftyp, and RIFF.....AVI no video.",
    b"<!-- <svg> --><html><body><svg></svg></body></html>",
    b"<?xml version='1.0'?><report><svg/></report>",
    b"#!/bin/sh\necho GIF89a",
    b"%PDF-1.7\n",
    b"PK\3\4",
    media(b"M4A ", b"M4A ", b"mp42", b"isom"),
    b"OggS" + bytes(24) + b"\x01vorbis",
    "n\u00e9e free, and to skip".encode(),
    b"Good " * 300,
    b"FWS\nFWS 12",
    bytes(100),
]


def sample(image_format: str) -> bytes:
    return encode(Image.new("RGB", (3, 2), "red"), image_format)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_that_is_judged_begins_like_a_picture(image_format: str) -> None:
    assert begins_like_picture(sample(image_format)[:BEGINNING_BYTES])


@pytest.mark.parametrize("head", OTHERS)
def test_a_kind_that_is_not_judged_begins_like_a_picture_and_is_refused(head: bytes) -> None:
    assert begins_like_picture(head)
    with pytest.raises(ImageError) as caught:
        read_header(head + bytes(100), preprocessing=Preprocessing(side=32))
    assert caught.value.reason == Reason.IMAGE_FORMAT_UNSUPPORTED


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_picture_is_taken_for_none(text: bytes) -> None:
    assert not begins_like_picture(text)


def test_brands_of_images_count_wherever_they_stand() -> None:
    assert begins_like_picture(media(b"heic", b"mif1", b"heic"))
    assert begins_like_picture(media(b"M4A ", b"mp42", b"avif"))


def test_an_old_bitmap_and_the_longest_header_are_bitmaps() -> None:
    for header in (12, 16, 40, 64, 124):
        assert begins_like_picture(b"BM" + bytes(12) + struct.pack("<I", header))
    assert not begins_like_picture(b"BM" + bytes(12) + struct.pack("<I", 125))


def test_the_repositorys_own_files_are_told_apart() -> None:
    root = Path(__file__).parents[3]
    files = [*root.glob("*.*"), *root.glob("docs/*.md"), *root.glob("service/clipwarden/**/*.py")]
    assert [file for file in files if file.is_file() and begins_like_picture(file.read_bytes()[:BEGINNING_BYTES])] == []


def test_notes_of_macos_are_told_by_content() -> None:
    assert is_apple_double(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    assert not is_apple_double(sample("PNG"))


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_any_bytes_are_told_and_nothing_is_raised(head: bytes) -> None:
    assert begins_like_picture(head) in {True, False}


@pytest.mark.parametrize("evil", [b"<!-- -->", b"<!--", b"<??>", b"<!DOCTYPE [", b" ", b"P6 ", b"P6 #\n", b"9"])
def test_hostile_beginnings_cost_one_pass(evil: bytes) -> None:
    # Backtracking in any of them would take longer than the suite may.
    for start in (b"", b"P6\n", b"<?xml?>"):
        assert not begins_like_picture((start + evil * BEGINNING_BYTES)[:BEGINNING_BYTES])
