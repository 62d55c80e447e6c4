"""A header that is not read again gives the decoder what Pillow would, or is left to Pillow."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from clipwarden.vision.formats.jpeg import Segment, header_segments
from clipwarden.vision.formats.jpegplain import plain_frame
from clipwarden.vision.opening import open_image
from kit.pictures import encode, natural_picture

PICTURE = natural_picture(1, (48, 36))


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def behind_start(*segments: bytes) -> bytes:
    return PLAIN["baseline"][:2] + b"".join(segments) + PLAIN["baseline"][2:]


def exif() -> bytes:
    block = Image.Exif()
    block[0x112] = 6
    return block.tobytes()


PLAIN = {"baseline": encode(PICTURE, "JPEG")}
PLAIN |= {
    "progressive": encode(PICTURE, "JPEG", progressive=True),
    "grey": encode(PICTURE.convert("L"), "JPEG"),
    "inks": encode(PICTURE.convert("CMYK"), "JPEG"),
    "restarts": encode(PICTURE, "JPEG", restart_marker_blocks=1),
    "profile": encode(PICTURE, "JPEG", icc_profile=bytes(200)),
    "comment": behind_start(segment(0xFE, b"words")),
    "no length": behind_start(b"\xff\xfe\0\0"),
    "XMP": behind_start(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")),
}
ODD = {
    "EXIF": encode(PICTURE, "JPEG", exif=exif()),
    "fill": PLAIN["baseline"][:2] + b"\xff" + PLAIN["baseline"][2:],
    "junk": PLAIN["baseline"][:2] + b"junk" + PLAIN["baseline"][2:],
    "restart ahead": behind_start(b"\xff\xd0"),
    "short JFIF": behind_start(segment(0xE0, b"JFIF\0")),
    "short profile": behind_start(segment(0xE2, b"ICC_PROFILE\0\1")),
    "short Adobe": behind_start(segment(0xEE, b"Adobe\0")),
    "Photoshop": behind_start(segment(0xED, b"Photoshop 3.0\x008BIM\4\4")),
    "half a table": behind_start(segment(0xDB, bytes(64))),
    "table of 16 bits": behind_start(segment(0xDB, b"\x10" + bytes(64))),
    "12 bits": behind_start(segment(0xC0, b"\x0c\0\x24\0\x30\1\1\x11\0")),
    "two components": behind_start(segment(0xC0, b"\x08\0\x24\0\x30\2\1\x11\0\2\x11\0")),
    "no width": behind_start(segment(0xC0, b"\x08\0\x24\0\0\1\1\x11\0")),
    "half a component": behind_start(segment(0xC0, b"\x08\0\x24\0\x30\1\1\x11")),
    "two frames": behind_start(segment(0xC0, b"\x08\0\x24\0\x30\1\1\x11\0")),
    "lossless": behind_start(segment(0xC3, b"\x08\0\x24\0\x30\1\1\x11\0")),
    "arithmetic": behind_start(segment(0xCC, b"\0\0")),
    "cut in the scan's header": PLAIN["baseline"][: PLAIN["baseline"].index(b"\xff\xda") + 6],
    "no scan": PLAIN["baseline"][: PLAIN["baseline"].index(b"\xff\xda")],
}


def told(data: bytes, segments: tuple[Segment, ...]) -> object:
    """What a decoder is told, or that there is nothing to tell."""
    try:
        with open_image(data, "JPEG", segments) as opened:
            return opened.size, opened.mode, opened.tile, opened.draft(None, (6, 6)), opened.tile
    except (UnidentifiedImageError, OSError) as exc:
        return type(exc), str(exc)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_headers_are_not_read_again_and_say_what_pillow_reads(name: str) -> None:
    data = PLAIN[name]
    assert plain_frame(data, header_segments(data)) is not None
    assert told(data, header_segments(data)) == told(data, ())


@pytest.mark.parametrize("name", ODD)
def test_headers_that_pillow_may_refuse_or_read_otherwise_are_left_to_it(name: str) -> None:
    data = ODD[name]
    assert plain_frame(data, header_segments(data)) is None
    assert told(data, header_segments(data)) == told(data, ())


@settings(max_examples=500)
@given(
    name=st.sampled_from(sorted(PLAIN)),
    at=st.integers(2, 700),
    bytes_=st.binary(max_size=4) | st.sampled_from([b"\xff", b"\xff\xda", b"\xff\xc0", b"\xff\xdb\0\2"]),
    drops=st.integers(0, 4),
)
@example(name="baseline", at=2, bytes_=b"\xff\xfe\0\1", drops=0)
def test_damaged_headers_come_to_the_same_whoever_reads_them(name: str, at: int, bytes_: bytes, drops: int) -> None:
    data = PLAIN[name][:at] + bytes_ + PLAIN[name][at + drops :]
    assert told(data, header_segments(data)) == told(data, ())
