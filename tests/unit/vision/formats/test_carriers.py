"""Where a file names its colours, read as Chromium 150 reads it; each row was seen there."""

import struct
import zlib

import pytest
from PIL import Image

from clipwarden.vision.formats.structures import read_structure
from clipwarden.vision.limits import DEFAULT_LIMITS
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, Chromaticities, Cicp, ColourTags
from kit.containers import (
    bmp_file,
    jpeg_segment,
    png_chunk,
    png_file,
    png_header,
    png_rows,
    profile_segment,
    riff_chunk,
    webp_file,
    webp_header,
    webp_picture,
    with_segments,
)
from kit.pictures import encode

SIDE = 8
HEADER = png_header((SIDE, SIDE))
PIXELS = png_chunk(b"IDAT", png_rows([bytes(3 * SIDE)] * SIDE))
PALETTE = png_chunk(b"PLTE", bytes(6))
FIRST, SECOND = b"first profile", b"second profile"
GREY = Image.new("RGB", (SIDE, SIDE), "grey")
JPEG = encode(GREY, "JPEG")
PICTURE = webp_picture(encode(GREY, "WEBP", lossless=True))
BROKEN = ColourTags(broken=True)


def iccp(profile: bytes, name: bytes = b"icc", *, wrong: int = 0) -> bytes:
    return png_chunk(b"iCCP", name + b"\0\0" + zlib.compress(profile), wrong=wrong)


def gama(value: int, *, wrong: int = 0) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", value), wrong=wrong)


def cicp(*numbers: int) -> bytes:
    return png_chunk(b"cICP", bytes(numbers))


def png(*before: bytes, after: bytes = b"") -> bytes:
    return png_file(HEADER, *before, PIXELS, after)


SRGB = png_chunk(b"sRGB", b"\0")
P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
CHRM = png_chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in P3)))
P3_PRIMARIES = Chromaticities(white=P3[:2], red=P3[2:4], green=P3[4:6], blue=P3[6:])


def tags_of(data: bytes, image_format: str) -> ColourTags:
    return read_structure(data, image_format, DEFAULT_LIMITS).colour


PNGS = {
    "nothing": (png(), NO_TAGS),
    "gamma": (png(gama(45_455)), ColourTags(gamma=0.45455)),
    "gamma and primaries": (png(gama(100_000), CHRM), ColourTags(gamma=1.0, chromaticities=P3_PRIMARIES)),
    "all of them": (
        png(SRGB, iccp(FIRST), gama(100_000), cicp(12, 13, 0, 1)),
        ColourTags(icc=FIRST, srgb=True, gamma=1.0, cicp=Cicp(primaries=12, transfer=13)),
    ),
    "narrow range": (png(cicp(1, 8, 0, 0)), ColourTags(cicp=Cicp(primaries=1, transfer=8, full_range=False))),
    "the first of two gammas": (png(gama(100_000), gama(2_000)), ColourTags(gamma=1.0, broken=True)),
    "the first of two profiles": (png(iccp(FIRST), iccp(SECOND)), ColourTags(icc=FIRST, broken=True)),
    "the first good checksum": (png(iccp(FIRST, wrong=1), iccp(SECOND)), ColourTags(icc=SECOND, broken=True)),
    "no second behind an unreadable profile": (png(png_chunk(b"iCCP", b"x\0\0junk"), iccp(SECOND)), BROKEN),
    "wrong checksum": (png(gama(2_000, wrong=1)), BROKEN),
    "gamma of zero": (png(gama(0), gama(100_000)), ColourTags(gamma=1.0, broken=True)),
    "gamma too short": (png(png_chunk(b"gAMA", bytes(3))), BROKEN),
    "gamma too long": (png(png_chunk(b"gAMA", struct.pack(">IB", 2_000, 0))), BROKEN),
    "primaries too short": (png(png_chunk(b"cHRM", bytes(31))), BROKEN),
    "unknown intent": (png(png_chunk(b"sRGB", b"\x09"), gama(2_000)), ColourTags(gamma=0.02, broken=True)),
    "sRGB without an intent": (png(png_chunk(b"sRGB"), gama(2_000)), ColourTags(gamma=0.02, broken=True)),
    "code points with a matrix": (png(cicp(1, 8, 1, 1)), BROKEN),
    "code points too long": (png(cicp(1, 8, 0, 1, 0)), BROKEN),
    "behind the pixels": (png(after=gama(2_000) + iccp(FIRST) + SRGB + cicp(1, 8, 0, 1)), NO_TAGS),
    "gamma behind the palette": (png(PALETTE, gama(2_000)), ColourTags(gamma=0.02, broken=True)),
    "code points behind the palette": (png(PALETTE, cicp(1, 8, 0, 1)), BROKEN),
    "the longest name": (png(iccp(FIRST, b"n" * 80)), ColourTags(icc=FIRST)),
    "too long a name": (png(iccp(FIRST, b"n" * 81)), BROKEN),
    "no name": (png(iccp(FIRST, b"")), BROKEN),
    "unknown compression": (png(png_chunk(b"iCCP", b"icc\0\1" + zlib.compress(FIRST))), BROKEN),
    "cut compression": (png(png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(FIRST)[:-1])), BROKEN),
    "bytes behind the compressed ones": (
        png(png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(FIRST) + b"more")),
        ColourTags(icc=FIRST),
    ),
    "the largest profile": (png(iccp(bytes(MAX_PROFILE_BYTES))), ColourTags(icc=bytes(MAX_PROFILE_BYTES))),
    "too large a profile": (png(iccp(bytes(MAX_PROFILE_BYTES + 1))), BROKEN),
    "cut inside a carrier": (png(gama(2_000))[: 8 + len(HEADER) + 10], NO_TAGS),
}


@pytest.mark.parametrize("name", PNGS)
def test_png_names_its_colours(name: str) -> None:
    data, expected = PNGS[name]
    assert tags_of(data, "PNG") == expected


def jpeg(*segments: bytes) -> bytes:
    return with_segments(JPEG, *segments)


SCAN = JPEG.index(b"\xff\xda")
JPEGS = {
    "nothing": (JPEG, NO_TAGS),
    "one part": (jpeg(profile_segment(FIRST)), ColourTags(icc=FIRST)),
    "two parts in the wrong order": (
        jpeg(profile_segment(b"second", 2, 2), profile_segment(b"first, ", 1, 2)),
        ColourTags(icc=b"first, second"),
    ),
    "a part missing": (jpeg(profile_segment(FIRST, 1, 2)), BROKEN),
    "the first of two": (jpeg(profile_segment(FIRST), profile_segment(SECOND)), ColourTags(icc=FIRST, broken=True)),
    "a part twice before the others": (
        jpeg(profile_segment(b"a", 1, 2), profile_segment(b"a", 1, 2), profile_segment(b"b", 2, 2)),
        BROKEN,
    ),
    "parts of other counts": (jpeg(profile_segment(FIRST, 1, 2), profile_segment(SECOND, 2, 3)), BROKEN),
    "number zero": (jpeg(profile_segment(FIRST, 0, 1)), BROKEN),
    "number above the count": (jpeg(profile_segment(FIRST, 2, 1)), BROKEN),
    "count zero": (jpeg(profile_segment(FIRST, 1, 0)), BROKEN),
    "an empty part is none": (jpeg(profile_segment(b""), profile_segment(FIRST)), ColourTags(icc=FIRST)),
    "another's marker": (
        jpeg(jpeg_segment(0xE2, b"MPF\0 is no profile"), jpeg_segment(0xE1, b"ICC_PROFILE\0\1\1x")),
        NO_TAGS,
    ),
    "just before the scan": (JPEG[:SCAN] + profile_segment(FIRST) + JPEG[SCAN:], ColourTags(icc=FIRST)),
    "behind the scan": (JPEG[:-2] + profile_segment(FIRST) + JPEG[-2:], NO_TAGS),
    "too large": (jpeg(*[profile_segment(bytes(65_000), part + 1, 162) for part in range(162)]), BROKEN),
}


@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_names_its_colours(name: str) -> None:
    data, expected = JPEGS[name]
    assert tags_of(data, "JPEG") == expected


def webp(*chunks: bytes, flags: int = 0x20) -> bytes:
    return webp_file(webp_header((SIDE, SIDE), flags), *chunks)


ICC, OTHER = riff_chunk(b"ICCP", FIRST), riff_chunk(b"ICCP", SECOND)
WEBPS = {
    "simple file": (webp_file(PICTURE), NO_TAGS),
    "profile": (webp(ICC, PICTURE), ColourTags(icc=FIRST)),
    "behind other chunks": (webp(riff_chunk(b"abcd", b"odd"), ICC, PICTURE), ColourTags(icc=FIRST)),
    "behind the picture": (webp(PICTURE, ICC), ColourTags(icc=FIRST)),
    "the first of two": (webp(ICC, PICTURE, OTHER), ColourTags(icc=FIRST, broken=True)),
    "not announced": (webp(ICC, PICTURE, flags=0), BROKEN),
    "announced, and not there": (webp(PICTURE), BROKEN),
    "empty": (webp(riff_chunk(b"ICCP"), PICTURE), BROKEN),
    "behind a simple picture": (webp_file(PICTURE, ICC), NO_TAGS),
    "beyond the end": (webp(PICTURE) + ICC, BROKEN),
    "too large": (webp(riff_chunk(b"ICCP", bytes(MAX_PROFILE_BYTES + 1)), PICTURE), BROKEN),
    "cut inside the header": (webp(PICTURE)[:22], NO_TAGS),
}


@pytest.mark.parametrize("name", WEBPS)
def test_webp_names_its_colours(name: str) -> None:
    data, expected = WEBPS[name]
    assert tags_of(data, "WEBP") == expected


def bmp(
    kind: bytes, *, endpoints: tuple[float, ...] = (), gammas: tuple[float, ...] = (0, 0, 0), tail: bytes = b""
) -> bytes:
    """Spell a BMP of version 4, or of version 5 when a profile follows."""
    figures = struct.pack("<9i", *(round(value * 2**30) for value in endpoints or (0,) * 9))
    header = bytes(16) + kind[::-1] + figures + struct.pack("<3I", *(round(value * 2**16) for value in gammas))
    if kind == b"MBED":
        header += struct.pack("<4I", 0, 124 + 3 * SIDE * SIDE, len(FIRST), 0)
    return bmp_file(SIDE, header, tail)


CALIBRATED = bytes(4)
# Chromium takes x and y for chromaticities and does not look at z.
ENDPOINTS = (*P3[2:4], 0, *P3[4:6], 0, *P3[6:], 0)
BMPS = {
    "version 3": (encode(GREY, "BMP"), NO_TAGS),
    "sRGB": (bmp(b"sRGB", endpoints=ENDPOINTS, gammas=(1, 1, 1)), NO_TAGS),
    "figures left empty": (bmp(CALIBRATED, gammas=(5, 5, 5)), NO_TAGS),
    "figures": (
        bmp(CALIBRATED, endpoints=ENDPOINTS, gammas=(2, 2, 2)),
        ColourTags(gamma=(0.5, 0.5, 0.5), chromaticities=P3_PRIMARIES),
    ),
    "figures of each channel": (
        bmp(CALIBRATED, endpoints=ENDPOINTS, gammas=(5, 2, 1)),
        ColourTags(gamma=(0.2, 0.5, 1.0), chromaticities=P3_PRIMARIES),
    ),
    "a gamma of zero": (
        bmp(CALIBRATED, endpoints=ENDPOINTS, gammas=(0, 1, 1)),
        ColourTags(gamma=(2.0**16, 1.0, 1.0), chromaticities=P3_PRIMARIES),
    ),
    "profile": (bmp(b"MBED", tail=FIRST), ColourTags(icc=FIRST)),
    "profile beyond the end": (bmp(b"MBED", tail=FIRST[:-1]), BROKEN),
    "linked profile": (bmp(b"LINK"), NO_TAGS),
}


@pytest.mark.parametrize("name", BMPS)
def test_bmp_names_its_colours(name: str) -> None:
    data, expected = BMPS[name]
    tags = tags_of(data, "BMP")
    assert (tags.icc, tags.gamma, tags.broken) == (expected.icc, expected.gamma, expected.broken)
    if expected.chromaticities is not None:
        assert tags.chromaticities is not None
        assert tags.chromaticities.green == pytest.approx(expected.chromaticities.green)


def test_profile_in_a_gif_is_ignored_as_browsers_do() -> None:
    whole = encode(GREY, "GIF")
    block = b"!\xff\x0bICCRGBG1012" + bytes([len(FIRST)]) + FIRST + b"\0"
    start = 13 + (3 << (whole[10] & 7) + 1)
    assert tags_of(whole[:start] + block + whole[start:], "GIF") == NO_TAGS
