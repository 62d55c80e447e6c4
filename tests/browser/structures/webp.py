"""WebP: chunks without their flag, flags without their chunk, doubled pictures, frames and canvases that disagree."""

import struct
from collections.abc import Iterator

from PIL import Image
from tests.browser.parts import Part, encode, exif_block, uint24, vp8x, webp_chunk, webp_file, webp_parts, xmp
from tests.browser.structures.case import NEGATIVE, SIZE, SWAPPED, Case, half_seen, picture

ICC, ALPHA, EXIF, XMP, ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _stills()
    yield from _carriers()
    yield from _alphas()
    yield from _animations()


def lossy(name: str) -> Part:
    """A picture's own chunk."""
    return next(part for part in webp_parts(encode(picture(name), "WEBP", quality=95)) if part[0] == b"VP8 ")


def lossless(name: str) -> Part:
    """The same without loss."""
    return next(part for part in webp_parts(encode(picture(name), "WEBP", lossless=True)) if part[0] == b"VP8L")


def frame(*parts: Part, size: tuple[int, int] = SIZE, at: tuple[int, int] = (0, 0), flags: int = 0) -> Part:
    """A frame of an animation."""
    head = uint24(at[0] // 2) + uint24(at[1] // 2) + uint24(size[0] - 1) + uint24(size[1] - 1) + uint24(100)
    return b"ANMF", head + bytes([flags]) + b"".join(webp_chunk(*part) for part in parts)


def _case(name: str, *parts: Part | bytes) -> Case:
    return Case(name=f"webp/{name}", data=webp_file(parts))


def _stills() -> Iterator[Case]:
    a, b = lossless("A"), lossless("B")
    plain = webp_file([a])
    yield _case("lossless", a)
    yield _case("lossy", lossy("A"))
    yield _case("two pictures", a, b)
    yield _case("two pictures, lossy and lossless", lossy("A"), b)
    yield _case("two pictures behind VP8X", vp8x(0, *SIZE), a, b)
    yield _case("VP8X larger than its picture", vp8x(0, 96, 80), a)
    yield _case("VP8X smaller than its picture", vp8x(0, 32, 24), a)
    yield _case("two VP8X", vp8x(0, *SIZE), vp8x(0, 32, 24), a)
    yield _case("VP8X behind the picture", a, vp8x(0, 32, 24))
    yield _case("unknown chunk first", (b"ABCD", b"1234"), a)
    yield _case("unknown chunk behind VP8X", vp8x(0, *SIZE), (b"ABCD", b"1234"), a)
    yield Case(name="webp/RIFF's length too long", data=plain[:4] + struct.pack("<I", len(plain)) + plain[8:])
    yield Case(name="webp/RIFF's length too short", data=plain[:4] + struct.pack("<I", len(plain) - 40) + plain[8:])
    yield Case(name="webp/RIFF's length 0", data=plain[:4] + bytes(4) + plain[8:])
    yield Case(name="webp/more behind the end", data=plain + b"more" * 99)
    yield Case(name="webp/another behind the end", data=plain + webp_file([b]))
    yield Case(name="webp/cut, lossless", data=plain[: len(plain) // 2])
    cut = webp_file([lossy("A")])
    yield Case(name="webp/cut, lossy", data=cut[: len(cut) // 2])
    yield Case(name="webp/cut by 8 bytes, lossy", data=cut[:-8])


def _carriers() -> Iterator[Case]:
    a = lossless("A")
    yield _case("profile", vp8x(ICC, *SIZE), (b"ICCP", NEGATIVE), a)
    yield _case("profile without its flag", vp8x(0, *SIZE), (b"ICCP", NEGATIVE), a)
    yield _case("profile without VP8X", (b"ICCP", NEGATIVE), a)
    yield _case("profile's flag without a profile", vp8x(ICC, *SIZE), a)
    yield _case("profile behind the picture", vp8x(ICC, *SIZE), a, (b"ICCP", NEGATIVE))
    yield _case("two profiles", vp8x(ICC, *SIZE), (b"ICCP", NEGATIVE), (b"ICCP", SWAPPED), a)
    yield _case("broken profile, then another", vp8x(ICC, *SIZE), (b"ICCP", b"nonsense" * 30), (b"ICCP", SWAPPED), a)
    yield _case("profile behind an unknown chunk", vp8x(ICC, *SIZE), (b"ABCD", b"1234"), (b"ICCP", NEGATIVE), a)
    yield _case("profile, lossy", vp8x(ICC, *SIZE), (b"ICCP", NEGATIVE), lossy("A"))
    exif: Part = (b"EXIF", exif_block(6))
    yield _case("EXIF turned 6", vp8x(EXIF, *SIZE), a, exif)
    yield _case("EXIF with its prefix", vp8x(EXIF, *SIZE), a, (b"EXIF", b"Exif\0\0" + exif_block(6)))
    yield _case("EXIF without its flag", vp8x(0, *SIZE), a, exif)
    yield _case("EXIF before the picture", vp8x(EXIF, *SIZE), exif, a)
    yield _case("two EXIF, 3 and 6", vp8x(EXIF, *SIZE), a, (b"EXIF", exif_block(3)), exif)
    yield _case("XMP turned 6", vp8x(XMP, *SIZE), a, (b"XMP ", xmp(6)))


def _alphas() -> Iterator[Case]:
    parts = dict(webp_parts(encode(half_seen(), "WEBP", quality=95)))
    alpha, colour = (b"ALPH", parts[b"ALPH"]), (b"VP8 ", parts[b"VP8 "])
    opaque: Part = (b"ALPH", b"\0" + b"\xff" * (SIZE[0] * SIZE[1]))
    clear: Part = (b"ALPH", b"\0" + bytes(SIZE[0] * SIZE[1]))
    yield _case("alpha", vp8x(ALPHA, *SIZE), alpha, colour)
    yield _case("alpha without its flag", vp8x(0, *SIZE), clear, lossy("A"))
    yield _case("alpha's flag without alpha", vp8x(ALPHA, *SIZE), lossy("A"))
    yield _case("two alphas, clear first", vp8x(ALPHA, *SIZE), clear, opaque, lossy("A"))
    yield _case("two alphas, opaque first", vp8x(ALPHA, *SIZE), opaque, clear, lossy("A"))
    yield _case("alpha behind the picture", vp8x(ALPHA, *SIZE), lossy("A"), clear)
    yield _case("alpha without VP8X", clear, lossy("A"))
    yield _case("alpha cut short", vp8x(ALPHA, *SIZE), (b"ALPH", clear[1][:99]), lossy("A"))
    lossless_alpha = next(part for part in webp_parts(encode(half_seen(), "WEBP", lossless=True)) if part[0] == b"VP8L")
    yield _case("lossless with alpha, no flag", vp8x(0, *SIZE), lossless_alpha)
    unsaid = lossless_alpha[1][:4] + bytes([lossless_alpha[1][4] & ~0x10]) + lossless_alpha[1][5:]
    yield _case("lossless with alpha that its header denies", (b"VP8L", unsaid))
    faint = picture("A").convert("RGBA")
    faint.putalpha(3)
    stream = dict(webp_parts(encode(faint, "WEBP", lossless=True, exact=True)))[b"VP8L"]
    shades = picture("A").convert("RGBA")
    shades.putalpha(Image.linear_gradient("L").resize(SIZE))
    shaded = dict(webp_parts(encode(shades, "WEBP", lossless=True, exact=True)))[b"VP8L"]
    frames = (b"ANIM", bytes(6)), frame((b"VP8L", shaded))
    yield _case("lossless with shades of alpha, no flag", vp8x(0, *SIZE), (b"VP8L", shaded))
    yield _case(
        "lossless with shades of alpha and a profile, no flag", vp8x(ICC, *SIZE), (b"ICCP", NEGATIVE), (b"VP8L", shaded)
    )
    yield _case("frame with shades of alpha", vp8x(ALPHA | ANIMATION, *SIZE), *frames)
    yield _case("frame with shades of alpha, no flag", vp8x(ANIMATION, *SIZE), *frames)
    yield _case("lossless with faint alpha", (b"VP8L", stream))
    unsaid = stream[:4] + bytes([stream[4] & ~0x10]) + stream[5:]
    yield _case("lossless with faint alpha that its header denies", (b"VP8L", unsaid))


def _animations() -> Iterator[Case]:
    a, b = lossless("A"), lossless("B")
    start = vp8x(ANIMATION, *SIZE)
    control: Part = (b"ANIM", bytes(6))
    yield _case("two frames", start, control, frame(a), frame(b))
    yield _case("frames without the flag", vp8x(0, *SIZE), control, frame(a), frame(b))
    yield _case("frames without the flag, a still in front", vp8x(0, *SIZE), a, control, frame(b), frame(b))
    yield _case("frames with the flag, a still in front", start, a, control, frame(b), frame(b))
    yield _case("frames with the flag, a still behind", start, control, frame(b), a)
    yield _case("the flag, a still, no frames", start, a)
    yield _case("the flag and ANIM, a still, no frames", start, control, a)
    yield _case("the flag and ANIM, nothing else", start, control)
    yield _case("frames without ANIM", start, frame(a), frame(b))
    yield _case("ANIM behind the frames", start, frame(a), frame(b), control)
    yield _case("two ANIM", start, control, control, frame(a), frame(b))
    yield _case("one frame", start, control, frame(a))
    yield _case("first frame smaller", start, control, frame(lossless("C"), size=(40, 56)), frame(b))
    yield _case("first frame moved", vp8x(ANIMATION, 96, 80), control, frame(a, at=(8, 8)), frame(b))
    yield _case("first frame outside", start, control, frame(a, at=(8, 8)), frame(b))
    yield _case("frame of another size than its picture", start, control, frame(a, size=(32, 24)), frame(b))
    yield _case(
        "background colour set", vp8x(ANIMATION, 96, 80), (b"ANIM", b"\0\0\xff\xff\0\0"), frame(a, at=(8, 8)), frame(b)
    )
    yield _case("frame of two pictures", start, control, frame(a, b), frame(b))
    yield _case("frames and a profile", vp8x(ANIMATION | ICC, *SIZE), (b"ICCP", NEGATIVE), control, frame(a), frame(b))
    yield _case("frame cut", start, control, frame(a), frame(b)[1][:60])
    yield _case("unknown chunk between frames", start, control, frame(a), (b"ABCD", b"1234"), frame(b))
    yield _case(
        "EXIF between frames", vp8x(ANIMATION | EXIF, *SIZE), control, frame(a), (b"EXIF", exif_block(6)), frame(b)
    )
