"""PNG and APNG: chunks doubled, out of order, broken or in the wrong place."""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image
from tests.browser.parts import Part, encode, exif_block, exif_sized, iccp, png_chunk, png_file, png_parts, with_chunks
from tests.browser.structures.case import NEGATIVE, SIZE, SWAPPED, Case, half_seen, picture

GAMMA_LINEAR: Part = (b"gAMA", struct.pack(">I", 100_000))
GAMMA_SRGB: Part = (b"gAMA", struct.pack(">I", 45_455))
END: Part = (b"IEND", b"")
SRGB: Part = (b"sRGB", b"\0")


def cases() -> Iterator[Case]:
    """All of both."""
    yield from _headers()
    yield from _palettes()
    yield from _colours()
    yield from _precedence()
    yield from _turns()
    yield from _data()
    yield from _animations()
    yield from _hidden_stills()


def header(size: tuple[int, int] = SIZE, *, depth: int = 8, kind: int = 2) -> Part:
    """Announce a picture: kind 2 for RGB, 3 for a palette, 6 for RGBA."""
    return b"IHDR", struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)


def rows(image: Image.Image) -> bytes:
    """Compress a picture's rows, each unfiltered."""
    width = len(image.getbands()) * image.width
    raw = image.tobytes()
    return zlib.compress(b"".join(b"\0" + raw[at : at + width] for at in range(0, len(raw), width)))


def _rgb(name: str) -> list[Part]:
    return [header(picture(name).size), (b"IDAT", rows(picture(name))), END]


def _palette_of(name: str) -> tuple[Image.Image, Part]:
    image = picture(name).quantize(8)
    return image, (b"PLTE", bytes(image.getpalette() or [])[:24])


def _headers() -> Iterator[Case]:
    head, pixels, _ = _rgb("A")
    yield Case(name="png/two IHDR", data=png_file([head, header(picture("C").size), pixels, END]))
    yield Case(name="png/IHDR again behind IDAT", data=png_file([head, pixels, header((32, 32)), END]))
    yield Case(name="png/a chunk before IHDR", data=png_file([(b"tEXt", b"a\0b"), head, pixels, END]))
    yield Case(name="png/gAMA before IHDR", data=png_file([GAMMA_LINEAR, head, pixels, END]))
    yield Case(name="png/IHDR with a wrong checksum", data=png_file([png_chunk(*head, checksum=1), pixels, END]))
    yield Case(name="png/unknown critical chunk", data=png_file([head, (b"ABCD", b"x"), pixels, END]))
    yield Case(name="png/no IEND", data=png_file([head, pixels]))
    for number, what in enumerate(("compression", "filter", "interlacing")):
        odd = head[1][: 10 + number] + b"\2" + head[1][11 + number :]
        yield Case(name=f"png/unknown method of {what}", data=png_file([(b"IHDR", odd), pixels, END]))
    yield Case(name="png/interlaced flag on plain rows", data=png_file([(b"IHDR", head[1][:-1] + b"\1"), pixels, END]))


def _palettes() -> Iterator[Case]:
    image, palette = _palette_of("A")
    _, other = _palette_of("B")
    head, pixels = header(kind=3), (b"IDAT", rows(image))
    clear: Part = (b"tRNS", b"\0" * 8)
    yield Case(name="png/two PLTE", data=png_file([head, palette, other, pixels, END]))
    yield Case(name="png/PLTE behind IDAT", data=png_file([head, pixels, palette, END]))
    yield Case(name="png/PLTE again behind IDAT", data=png_file([head, palette, pixels, other, END]))
    yield Case(name="png/no PLTE", data=png_file([head, pixels, END]))
    yield Case(name="png/PLTE too short for its pixels", data=png_file([head, (b"PLTE", palette[1][:3]), pixels, END]))
    yield Case(name="png/PLTE of 4 bytes", data=png_file([head, (b"PLTE", palette[1][:4]), pixels, END]))
    yield Case(name="png/tRNS before PLTE", data=png_file([head, clear, palette, pixels, END]))
    yield Case(name="png/tRNS behind IDAT", data=png_file([head, palette, pixels, clear, END]))
    yield Case(name="png/tRNS longer than PLTE", data=png_file([head, palette, (b"tRNS", b"\0" * 200), pixels, END]))
    yield Case(name="png/tRNS of more than 256", data=png_file([head, palette, (b"tRNS", b"\0" * 300), pixels, END]))
    yield Case(name="png/two tRNS", data=png_file([head, palette, (b"tRNS", b"\xff" * 8), clear, pixels, END]))
    yield Case(
        name="png/tRNS with a wrong checksum",
        data=png_file([head, palette, png_chunk(*clear, checksum=1), pixels, END]),
    )
    rgb, data, _ = _rgb("A")
    red: Part = (b"tRNS", struct.pack(">3H", *picture("A").getpixel((0, 0))))
    yield Case(name="png/tRNS in RGB", data=png_file([rgb, red, data, END]))
    yield Case(
        name="png/tRNS in RGB, high bytes set",
        data=png_file(
            [rgb, (b"tRNS", bytes([7 if not at % 2 else value for at, value in enumerate(red[1])])), data, END]
        ),
    )
    yield Case(name="png/tRNS in RGB, too short", data=png_file([rgb, (b"tRNS", red[1][:4]), data, END]))
    whole = picture("A").convert("RGBA")
    yield Case(name="png/tRNS in RGBA", data=png_file([header(kind=6), red, (b"IDAT", rows(whole)), END]))
    yield Case(name="png/PLTE in RGB", data=png_file([rgb, other, data, END]))
    yield Case(name="png/half see-through", data=encode(half_seen(), "PNG"))


def _colours() -> Iterator[Case]:
    head, pixels, _ = _rgb("A")
    negative, swapped = iccp(NEGATIVE), iccp(SWAPPED)

    def case(name: str, *chunks: Part | bytes) -> Case:
        return Case(name=f"png/{name}", data=png_file([head, *chunks, END]))

    yield case("iCCP", negative, pixels)
    yield case("two iCCP", negative, swapped, pixels)
    yield case("iCCP behind IDAT", pixels, negative)
    yield case("iCCP between IDATs", (b"IDAT", pixels[1][:50]), negative, (b"IDAT", pixels[1][50:]))
    yield case("iCCP behind PLTE", (b"PLTE", bytes(24)), negative, pixels)
    yield case("iCCP with a wrong checksum", png_chunk(*negative, checksum=1), pixels)
    yield case("iCCP with a wrong checksum, then another", png_chunk(*negative, checksum=1), swapped, pixels)
    yield case("iCCP that is no zlib, then another", (b"iCCP", b"x\0\0nonsense"), negative, pixels)
    yield case("iCCP that is no profile, then another", iccp(b"nonsense" * 30), negative, pixels)
    yield case(
        "iCCP of a grey picture's kind, then another", iccp(NEGATIVE.replace(b"RGB XYZ", b"GRAYXYZ")), negative, pixels
    )
    yield case("iCCP without a name", (b"iCCP", b"\0\0" + zlib.compress(NEGATIVE)), pixels)
    yield case("iCCP with a name of 80", (b"iCCP", b"x" * 80 + b"\0\0" + zlib.compress(NEGATIVE)), pixels)
    yield case("iCCP with bytes behind its stream", (b"iCCP", negative[1] + b"more"), pixels)
    yield case("iCCP cut by 10 bytes", (b"iCCP", negative[1][:-10]), pixels)
    yield case("iCCP, zlib's checksum wrong", (b"iCCP", negative[1][:-1] + b"\0"), pixels)
    yield case("iCCP with a profile longer than it says", iccp(NEGATIVE + bytes(8)), pixels)
    yield case("iCCP with a profile shorter than it says", iccp(NEGATIVE[:-8]), pixels)
    yield case("iCCP of method 1", (b"iCCP", b"x\0\1" + zlib.compress(NEGATIVE)), pixels)


def _precedence() -> Iterator[Case]:
    head, pixels, _ = _rgb("A")
    negative = iccp(NEGATIVE)

    def case(name: str, *chunks: Part | bytes) -> Case:
        return Case(name=f"png/{name}", data=png_file([head, *chunks, END]))

    yield case("sRGB beside iCCP", SRGB, negative, pixels)
    yield case("iCCP beside sRGB", negative, SRGB, pixels)
    yield case("iCCP and gAMA", negative, GAMMA_LINEAR, pixels)
    yield case("gAMA", GAMMA_LINEAR, pixels)
    yield case("gAMA of 45455", GAMMA_SRGB, pixels)
    yield case("two gAMA, linear first", GAMMA_LINEAR, GAMMA_SRGB, pixels)
    yield case("two gAMA, linear second", GAMMA_SRGB, GAMMA_LINEAR, pixels)
    yield case("gAMA behind IDAT", pixels, GAMMA_LINEAR)
    yield case("gAMA behind PLTE", (b"PLTE", bytes(24)), GAMMA_LINEAR, pixels)
    yield case("gAMA with a wrong checksum", png_chunk(*GAMMA_LINEAR, checksum=1), pixels)
    yield case("gAMA of 0", (b"gAMA", bytes(4)), pixels)
    yield case("gAMA of 1", (b"gAMA", struct.pack(">I", 1)), pixels)
    yield case("gAMA of 2**31", (b"gAMA", struct.pack(">I", 2**31)), pixels)
    yield case("gAMA of 5 bytes", (b"gAMA", GAMMA_LINEAR[1] + b"\0"), pixels)
    yield case("gAMA and sRGB", GAMMA_LINEAR, SRGB, pixels)
    yield case("gAMA and a broken sRGB", GAMMA_LINEAR, (b"sRGB", b"\x09"), pixels)
    yield case("gAMA and sRGB behind IDAT", GAMMA_LINEAR, pixels, SRGB)
    yield case("gAMA and a broken iCCP", GAMMA_LINEAR, iccp(b"nonsense" * 30), pixels)
    yield case("cICP of sRGB beside iCCP", (b"cICP", bytes([1, 13, 0, 1])), negative, pixels)
    yield case("cICP behind IDAT", pixels, (b"cICP", bytes([1, 8, 0, 1])))
    yield case("cICP linear", (b"cICP", bytes([1, 8, 0, 1])), pixels)
    yield case("cICP linear, gAMA of sRGB", (b"cICP", bytes([1, 8, 0, 1])), GAMMA_SRGB, pixels)
    yield case("two cICP, linear first", (b"cICP", bytes([1, 8, 0, 1])), (b"cICP", bytes([1, 13, 0, 1])), pixels)
    yield case("cICP of unknown numbers, then gAMA", (b"cICP", bytes([99, 99, 0, 1])), GAMMA_LINEAR, pixels)
    yield case("cICP unspecified, then gAMA", (b"cICP", bytes([2, 2, 0, 1])), GAMMA_LINEAR, pixels)
    yield case("cICP of matrix 1", (b"cICP", bytes([1, 8, 1, 1])), pixels)
    yield case("cICP of narrow range, then iCCP", (b"cICP", bytes([1, 13, 0, 0])), negative, pixels)
    yield case("cICP of narrow range, then gAMA", (b"cICP", bytes([1, 13, 0, 0])), GAMMA_LINEAR, pixels)
    yield case("cICP logarithmic, then iCCP", (b"cICP", bytes([1, 9, 0, 1])), negative, pixels)
    yield case("cICP of unknown numbers, then iCCP", (b"cICP", bytes([99, 99, 0, 1])), negative, pixels)
    yield case("cICP of narrow range", (b"cICP", bytes([1, 8, 0, 0])), pixels)


def _turns() -> Iterator[Case]:
    head, pixels, _ = _rgb("A")

    def case(name: str, *chunks: Part | bytes) -> Case:
        return Case(name=f"png/{name}", data=png_file([head, *chunks, END]))

    yield case("eXIf turned 6", (b"eXIf", exif_block(6)), pixels)
    yield case("eXIf behind IDAT", pixels, (b"eXIf", exif_block(6)))
    yield case("two eXIf, 3 and 6", (b"eXIf", exif_block(3)), (b"eXIf", exif_block(6)), pixels)
    yield case("eXIf with its prefix", (b"eXIf", b"Exif\0\0" + exif_block(6)), pixels)
    yield case("eXIf with half the height, twice the density", (b"eXIf", exif_sized((64, 24), (72, 144))), pixels)
    yield case("pHYs that says twice as wide", (b"pHYs", struct.pack(">IIB", 1000, 2000, 0)), pixels)
    yield case("eXIf with a wrong checksum", png_chunk(b"eXIf", exif_block(6), checksum=1), pixels)
    yield case(
        "raw EXIF in text",
        (
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n  26\n" + (b"Exif\0\0" + exif_block(6)).hex().encode()),
        ),
        pixels,
    )


def _data() -> Iterator[Case]:
    head, (_, pixels), _ = _rgb("A")
    plain = png_file(_rgb("A"))
    text: Part = (b"tEXt", b"a\0b")
    split: list[Part] = [(b"IDAT", pixels[:60]), (b"IDAT", pixels[60:])]
    yield Case(name="png/IDAT in two", data=png_file([head, *split, END]))
    yield Case(name="png/IDAT interrupted", data=png_file([head, split[0], text, split[1], END]))
    yield Case(name="png/IDAT of nothing first", data=png_file([head, (b"IDAT", b""), *split, END]))
    yield Case(
        name="png/IDAT with a wrong checksum", data=png_file([head, png_chunk(b"IDAT", pixels, checksum=1), END])
    )
    yield Case(
        name="png/second IDAT with a wrong checksum",
        data=png_file([head, split[0], png_chunk(*split[1], checksum=1), END]),
    )
    yield Case(name="png/rows' checksum wrong", data=png_file([head, (b"IDAT", pixels[:-4] + b"\0\0\0\0"), END]))
    yield Case(name="png/rows' checksum missing", data=png_file([head, (b"IDAT", pixels[:-4]), END]))
    yield Case(
        name="png/a second picture's rows behind the first's",
        data=png_file([head, (b"IDAT", pixels + rows(picture("B"))), END]),
    )
    yield Case(name="png/rows cut", data=png_file([head, (b"IDAT", pixels[: len(pixels) // 2]), END]))
    yield Case(name="png/file cut", data=plain[: len(plain) // 2])
    yield Case(name="png/more behind IEND", data=plain + b"more" * 99)
    yield Case(name="png/another PNG behind IEND", data=plain + png_file(_rgb("B")))
    yield Case(name="png/IEND first", data=png_file([head, END, (b"IDAT", pixels), END]))
    yield Case(name="png/another kind behind IDAT", data=png_file([head, (b"IDAT", pixels), text, END]))
    long = struct.pack(">I", 2**31) + b"tEXt" + bytes(8)
    yield Case(name="png/a chunk that claims 2 GiB before IDAT", data=png_file([head, long, (b"IDAT", pixels), END]))
    yield Case(name="png/a chunk that claims 2 GiB behind IDAT", data=png_file([head, (b"IDAT", pixels), long, END]))
    yield Case(
        name="png/pHYs with a wrong checksum",
        data=png_file([head, png_chunk(b"pHYs", bytes(9), checksum=1), (b"IDAT", pixels), END]),
    )
    yield Case(
        name="png/zTXt of much",
        data=png_file([head, (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22))), (b"IDAT", pixels), END]),
    )


def animation_control(frames: int = 2, plays: int = 0) -> Part:
    """Announce an animation."""
    return b"acTL", struct.pack(">II", frames, plays)


def frame_control(
    number: int, size: tuple[int, int] = SIZE, at: tuple[int, int] = (0, 0), *, disposal: int = 0, blend: int = 0
) -> Part:
    """Announce a frame."""
    return b"fcTL", struct.pack(">5I2H2B", number, *size, *at, 1, 10, disposal, blend)


def frame_data(number: int, name: str) -> Part:
    """A later frame's pixels."""
    return b"fdAT", struct.pack(">I", number) + rows(picture(name))


def _animations() -> Iterator[Case]:
    head, (_, first), _ = _rgb("A")
    pixels: Part = (b"IDAT", first)
    second = [frame_control(1), frame_data(2, "B")]

    def case(name: str, *chunks: Part | bytes) -> Case:
        return Case(name=f"apng/{name}", data=png_file([head, *chunks, END]))

    start = [animation_control(), frame_control(0), pixels]
    yield case("still is the first frame", *start, *second)
    yield case("still hidden", animation_control(1), pixels, frame_control(0), frame_data(1, "B"))
    yield case(
        "still hidden, two frames",
        animation_control(2),
        pixels,
        frame_control(0),
        frame_data(1, "B"),
        frame_control(2),
        frame_data(3, "A"),
    )
    yield case("one frame, and no other", animation_control(1), frame_control(0), pixels)
    yield case("acTL says 1, there are two", animation_control(1), frame_control(0), pixels, *second)
    yield case("acTL says 9, there are two", animation_control(9), frame_control(0), pixels, *second)
    yield case("acTL says 0", animation_control(0), frame_control(0), pixels, *second)
    yield case("acTL behind IDAT", frame_control(0), pixels, animation_control(), *second)
    yield case("acTL behind IDAT, still hidden", pixels, animation_control(1), frame_control(0), frame_data(1, "B"))
    yield case("no acTL", frame_control(0), pixels, *second)
    yield case("two acTL, 1 and 2", animation_control(1), animation_control(2), frame_control(0), pixels, *second)
    yield case(
        "acTL with a wrong checksum, still hidden",
        png_chunk(*animation_control(1), checksum=1),
        pixels,
        frame_control(0),
        frame_data(1, "B"),
    )
    yield case("acTL of 7 bytes, still hidden", (b"acTL", bytes(7)), pixels, frame_control(0), frame_data(1, "B"))
    yield case("fcTL before acTL", frame_control(0), animation_control(), pixels, *second)
    yield case(
        "two fcTL before IDAT",
        animation_control(),
        frame_control(0),
        frame_control(1),
        pixels,
        frame_control(2),
        frame_data(3, "B"),
    )
    yield case("first frame smaller than the picture", animation_control(), frame_control(0, (32, 24)), pixels, *second)
    yield case("first frame moved", animation_control(), frame_control(0, at=(8, 8)), pixels, *second)
    yield case("first frame larger than the picture", animation_control(), frame_control(0, (128, 96)), pixels, *second)
    yield case(
        "fcTL with a wrong checksum", animation_control(), png_chunk(*frame_control(0), checksum=1), pixels, *second
    )
    yield case(
        "wrong order of numbers", animation_control(), frame_control(0), pixels, frame_control(5), frame_data(1, "B")
    )
    yield case("first number is 7", animation_control(), frame_control(7), pixels, *second)
    yield case("fdAT missing", *start, frame_control(1))
    yield case("IDAT missing", animation_control(1), frame_control(0), frame_data(1, "B"))


def _hidden_stills() -> Iterator[Case]:
    head, (_, first), _ = _rgb("A")
    pixels: Part = (b"IDAT", first)

    def case(name: str, *chunks: Part | bytes) -> Case:
        return Case(name=f"apng/still hidden, {name}", data=png_file([head, *chunks, END]))

    start: list[Part | bytes] = [animation_control(1), pixels]
    yield case("frame smaller", *start, frame_control(0, picture("C").size), frame_data(1, "C"))
    small = (b"fdAT", struct.pack(">I", 1) + rows(picture("A").crop((0, 0, 32, 24))))
    yield case("frame smaller and moved", *start, frame_control(0, (32, 24), (16, 12)), small)
    yield case("frame moved outside", *start, frame_control(0, at=(8, 8)), frame_data(1, "B"))
    yield case("wrong numbers", *start, frame_control(4), frame_data(9, "B"))
    yield case("fcTL with a wrong checksum", *start, png_chunk(*frame_control(0), checksum=1), frame_data(1, "B"))
    yield case("fdAT with a wrong checksum", *start, frame_control(0), png_chunk(*frame_data(1, "B"), checksum=1))
    yield case("fdAT missing", *start, frame_control(0))
    yield case("fdAT cut", *start, frame_control(0), (b"fdAT", frame_data(1, "B")[1][:60]))
    yield case("acTL says 0", animation_control(0), pixels, frame_control(0), frame_data(1, "B"))
    yield case("with a profile", iccp(NEGATIVE), animation_control(1), pixels, frame_control(0), frame_data(1, "B"))
    yield case(
        "with text between", *start, (b"tEXt", b"a\0b"), frame_control(0), (b"tEXt", b"a\0b"), frame_data(1, "B")
    )
    plain = with_chunks(png_file([head, pixels, END]), animation_control(1))
    assert png_parts(plain)[1][0] == b"acTL"
    yield Case(name="apng/acTL, no frame", data=plain)
