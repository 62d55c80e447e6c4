"""PNG and APNG: profiles, gAMA and cHRM, cICP, keys and palettes with alpha, 16 bits, turns."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from tests.browser.corpus.entry import Entry, dithered, grey, patches, see_through, wide
from tests.browser.corpus.spaces import SAME_AS_SRGB, every_profile, grey_profiles, rgb_profiles
from tests.browser.parts import Part, encode, exif_block, iccp, png_file, png_parts, with_chunks
from tests.browser.profiles import ADOBE_PRIMARIES, D65, P3_PRIMARIES, SRGB_PRIMARIES, Pair

SRGB: Part = (b"sRGB", b"\0")
END: Part = (b"IEND", b"")
WRONG_KIND = "a profile for other channels is ignored"


def entries() -> Iterator[Entry]:
    """All of both."""
    plain = encode(patches(), "PNG")
    for name, profile in every_profile().items():
        yield Entry(name=f"png/{name}", data=with_chunks(plain, iccp(profile)), control=_as_srgb(name))
    yield from _kinds()
    yield from _numbers(plain)
    yield from _code_points(plain)
    yield from _alphas()
    yield from _turns(plain)
    yield from _animations()


def gamma(value: float) -> Part:
    """The exponent that samples were encoded with."""
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def chromaticities(primaries: tuple[Pair, Pair, Pair], white: Pair = D65) -> Part:
    """White and primaries."""
    numbers = [round(value * 100_000) for point in (white, *primaries) for value in point]
    return b"cHRM", struct.pack(">8I", *numbers)


def code_points(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> Part:
    """Colours by number."""
    return b"cICP", bytes([primaries, transfer, matrix, full])


def deep(values: NDArray[np.uint16], *chunks: Part) -> bytes:
    """A PNG of 16 bits: [H,W,C] of 1 channel (grey), 2 (grey, alpha), 3 (RGB) or 4."""
    height, width, channels = values.shape
    header: Part = (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png_file([header, *chunks, (b"IDAT", zlib.compress(rows)), END])


def _as_srgb(name: str) -> str:
    return "sRGB by another name" if name in SAME_AS_SRGB else ""


def _kinds() -> Iterator[Entry]:
    """Other kinds of pixels under a profile."""
    p3, adobe = (iccp(rgb_profiles()[name]) for name in ("Display P3 v4", "Adobe RGB v2"))
    yield Entry(name="png/RGBA, Display P3", data=with_chunks(encode(see_through(), "PNG"), p3))
    palette = patches().quantize(128)
    yield Entry(name="png/palette, Display P3", data=with_chunks(encode(palette, "PNG"), p3, before=b"PLTE"))
    yield Entry(name="png/interlaced, Adobe RGB", data=with_chunks(_interlaced(), adobe))
    yield Entry(name="png/16-bit, Display P3", data=deep(wide(), p3))
    yield Entry(name="png/16-bit, no carrier", data=deep(wide()), control="16 bits are no carrier")
    alpha = np.asarray(see_through().getchannel("A")).astype(np.uint16)[..., np.newaxis] * 257
    yield Entry(name="png/16-bit with alpha, Adobe RGB", data=deep(np.concatenate([wide(), alpha], axis=2), adobe))
    for name, profile in grey_profiles().items():
        yield Entry(name=f"png/{name}", data=with_chunks(encode(grey(), "PNG"), iccp(profile)))
        yield Entry(name=f"png/16-bit {name}", data=deep(wide()[..., 1:2], iccp(profile)))
    with_alpha = see_through().convert("LA")
    yield Entry(
        name="png/grey with alpha, gamma 3",
        data=with_chunks(encode(with_alpha, "PNG"), iccp(grey_profiles()["grey gamma 3"])),
    )
    yield Entry(name="png/grey, RGB profile", data=with_chunks(encode(grey(), "PNG"), iccp(rgb_profiles()["gamma 3"])))
    yield Entry(
        name="png/RGB, grey profile",
        data=with_chunks(encode(patches(), "PNG"), iccp(grey_profiles()["grey gamma 3"])),
        control=WRONG_KIND,
    )
    checkers = with_chunks(encode(dithered(), "PNG"), iccp(rgb_profiles()["V-shaped curve"]))
    yield Entry(name="png/dithered under a V-shaped curve", data=checkers)


def _interlaced() -> bytes:
    """Adam7 by hand: Pillow does not write it."""
    pixels = np.asarray(patches())
    height, width = pixels.shape[:2]
    rows = b""
    for left, top, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::across])
    header: Part = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    return png_file([header, (b"IDAT", zlib.compress(rows)), END])


def _numbers(plain: bytes) -> Iterator[Entry]:
    """gAMA and cHRM."""
    p3, adobe = chromaticities(P3_PRIMARIES), chromaticities(ADOBE_PRIMARIES)
    for value in (1.0, 0.7, 0.55, 0.4, 0.3, 0.1, 0.02, 2.0):
        yield Entry(name=f"png/gAMA {value}", data=with_chunks(plain, gamma(value)))
    yield Entry(name="png/gAMA 0.45455", data=with_chunks(plain, gamma(0.45455)), control="the usual gamma")
    yield Entry(name="png/cHRM of P3", data=with_chunks(plain, p3), control="cHRM alone counts for nothing")
    yield Entry(name="png/cHRM of P3, gAMA 0.45455", data=with_chunks(plain, gamma(0.45455), p3))
    yield Entry(name="png/cHRM of Adobe RGB, gAMA 0.45470", data=with_chunks(plain, adobe, gamma(0.4547)))
    yield Entry(
        name="png/cHRM of sRGB, gAMA 0.45455",
        data=with_chunks(plain, chromaticities(SRGB_PRIMARIES), gamma(0.45455)),
    )
    yield Entry(name="png/cHRM of P3, gAMA 1", data=with_chunks(plain, p3, gamma(1.0)))
    yield Entry(name="png/gAMA 1, sRGB", data=with_chunks(plain, gamma(1.0), SRGB), control="sRGB goes before gAMA")
    yield Entry(
        name="png/cHRM of P3, gAMA 1, sRGB",
        data=with_chunks(plain, p3, gamma(1.0), SRGB),
        control="sRGB goes before both",
    )
    profile = iccp(rgb_profiles()["Adobe RGB v2"])
    yield Entry(name="png/Adobe RGB, gAMA 1, cHRM of P3", data=with_chunks(plain, profile, p3, gamma(1.0)))
    yield Entry(name="png/Adobe RGB and sRGB", data=with_chunks(plain, profile, SRGB))
    yield Entry(name="png/16-bit, gAMA 1", data=deep(wide(), gamma(1.0)))
    yield Entry(name="png/16-bit grey, gAMA 1", data=deep(wide()[..., 1:2], gamma(1.0)))
    yield Entry(name="png/grey, gAMA 0.3", data=with_chunks(encode(grey(), "PNG"), gamma(0.3)))
    yield Entry(
        name="png/palette, gAMA 1", data=with_chunks(encode(patches().quantize(128), "PNG"), gamma(1.0), before=b"PLTE")
    )
    yield Entry(name="png/RGBA, gAMA 1", data=with_chunks(encode(see_through(), "PNG"), gamma(1.0)))


def _code_points(plain: bytes) -> Iterator[Entry]:
    """cICP."""
    profile = iccp(rgb_profiles()["falling curve"])
    yield Entry(name="png/cICP Display P3", data=with_chunks(plain, code_points(12, 13)))
    yield Entry(name="png/cICP BT.2020", data=with_chunks(plain, code_points(9, 1)))
    yield Entry(name="png/cICP BT.2020, 10 bits' curve", data=with_chunks(plain, code_points(9, 14)))
    yield Entry(name="png/cICP linear", data=with_chunks(plain, code_points(1, 8)))
    yield Entry(name="png/cICP gamma 2.8", data=with_chunks(plain, code_points(1, 5)))
    yield Entry(name="png/cICP gamma 2.2", data=with_chunks(plain, code_points(1, 4)))
    yield Entry(name="png/cICP SMPTE 240", data=with_chunks(plain, code_points(7, 7)))
    yield Entry(name="png/cICP BT.470 BG", data=with_chunks(plain, code_points(5, 5)))
    yield Entry(name="png/cICP DCI-P3, its own curve", data=with_chunks(plain, code_points(11, 17)))
    yield Entry(
        name="png/cICP logarithmic",
        data=with_chunks(plain, code_points(1, 9)),
        control="a curve that Chromium leaves alone",
    )
    yield Entry(name="png/cICP XYZ", data=with_chunks(plain, code_points(10, 8)))
    yield Entry(name="png/cICP sRGB", data=with_chunks(plain, code_points(1, 13)), control="sRGB by numbers")
    yield Entry(name="png/cICP BT.709", data=with_chunks(plain, code_points(1, 1)))
    yield Entry(
        name="png/cICP sRGB beside a falling profile",
        data=with_chunks(plain, profile, code_points(1, 13)),
        control="cICP goes before iCCP",
    )
    yield Entry(name="png/cICP PQ", data=with_chunks(plain, code_points(9, 16)))
    yield Entry(name="png/cICP HLG", data=with_chunks(plain, code_points(9, 18)))
    yield Entry(
        name="png/cICP Display P3, narrow range",
        data=with_chunks(plain, code_points(12, 13, 0, 0)),
        control="narrow range is left alone",
    )
    yield Entry(name="png/16-bit, cICP Display P3", data=deep(wide(), code_points(12, 13)))


def _alphas() -> Iterator[Entry]:
    palette = patches().quantize(128)
    ramp = bytes(round(255 * index / 127) for index in range(128))
    plain = encode(palette, "PNG")
    keyed = with_chunks(plain, (b"tRNS", ramp))
    p3 = iccp(rgb_profiles()["Display P3 v4"])
    yield Entry(name="png/palette with alpha", data=keyed, without=plain)
    yield Entry(name="png/palette with alpha, Display P3", data=with_chunks(keyed, p3, before=b"PLTE"))
    rgb = encode(patches(), "PNG")
    yield Entry(
        name="png/one colour clear", data=with_chunks(rgb, (b"tRNS", struct.pack(">3H", 255, 0, 0))), without=rgb
    )
    flat = deep((np.asarray(patches()).astype(np.uint16) << 8) + 7)
    red = struct.pack(">3H", (255 << 8) + 7, 7, 7)
    yield Entry(name="png/16-bit, one colour clear", data=with_chunks(flat, (b"tRNS", red)), without=flat)
    level = encode(grey(), "PNG")
    yield Entry(name="png/grey, one level clear", data=with_chunks(level, (b"tRNS", b"\0\0")), without=level)
    opaque = png_parts(encode(see_through(), "PNG"))
    yield Entry(name="png/RGBA, no carrier", data=png_file(opaque), without=encode(see_through().convert("RGB"), "PNG"))


def _turns(plain: bytes) -> Iterator[Entry]:
    for orientation in range(2, 9):
        yield Entry(name=f"png/EXIF turned {orientation}", data=with_chunks(plain, (b"eXIf", exif_block(orientation))))
    p3 = iccp(rgb_profiles()["Display P3 v4"])
    yield Entry(name="png/EXIF turned 6, Display P3", data=with_chunks(plain, p3, (b"eXIf", exif_block(6))))


def _animations() -> Iterator[Entry]:
    frames = encode(patches(), "PNG", save_all=True, append_images=[patches().rotate(180)], duration=100)
    for name in ("Display P3 v4", "falling curve"):
        yield Entry(name=f"apng/{name}", data=with_chunks(frames, iccp(rgb_profiles()[name]), before=b"acTL"))
    yield Entry(name="apng/gAMA 1", data=with_chunks(frames, gamma(1.0), before=b"acTL"))
    yield Entry(name="apng/cICP Display P3", data=with_chunks(frames, code_points(12, 13), before=b"acTL"))
