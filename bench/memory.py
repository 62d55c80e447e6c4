"""Print how much memory decoding takes beside what is counted for it: `python -m bench.memory [NAME ...]`.

Kinds are measured in bytes a pixel, as the slope between two sizes of one picture: what any decode takes falls out.
Hostile files are measured whole instead, in MiB: cut short, of tiles that stand over, of the largest profiles.
`--phones` decodes pictures of real sizes under the default limits instead, and prints peaks, times and refusals. Peaks
are those of resident memory beyond what the process held before, which the file is part of. Linux only.
"""

import argparse
import ctypes
import gc
import io
import struct
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from bench import profiles
from bench.measure import describe_machine
from clipwarden.errors import ImageError
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.limits import DEFAULT_LIMITS, MEBIBYTE, DecodeLimits

SIDES = (1024, 2048)
"""Sides of the two pictures, in pixels: 1 and 4 megapixels."""

BLUR = 1.0
"""Bytes a pixel that pages, blocks of codecs and the allocator blur a slope by at 256 and 640 pixels; seen: 0.6."""

SLACK = 0.5 * MEBIBYTE
"""Bytes that the allocator and the interpreter blur one measurement by; seen: 0.2 MiB."""

ORIENTATION = 0x0112
"""EXIF tag that says how a picture is to be turned."""

Pixels = NDArray[np.uint8]
_UNLIMITED = DecodeLimits(max_image_bytes=2**31, max_decode_bytes=2**34)
_MMAP_THRESHOLD = -3  # malloc.h's M_MMAP_THRESHOLD


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One kind of image.

    Attributes:
        draw: Side in pixels to the encoded file.
        decode_scale: Of the model's preprocessing: 2 lets JPEGs be decoded smaller, 0 does not.
    """

    draw: Callable[[int], bytes]
    decode_scale: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What decoding took, or what it takes a pixel.

    Attributes:
        peak: Bytes of resident memory at the most, beyond what was there before.
        counted: Bytes that `vision.memory` counts.
        seconds: Time.
    """

    peak: float
    counted: float
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the kinds of image asked for, all of them by default, and print a Markdown table.

    Args:
        arguments: Of the command line; the process's own by default.

    Returns:
        Exit status: 1 when `--check` was given and some kind takes more than is counted, else 0.
    """
    options = _parse(arguments)
    for name, value in describe_machine().items():
        print(f"{name}: {value}", file=sys.stderr)
    if options.phones:
        return _print_phones()
    too_low = _print_kinds([name for name in options.names or CASES if name in CASES], options.sides)
    too_low += _print_hostile([name for name in options.names or HOSTILE if name in HOSTILE], options.files)
    if options.check and too_low:
        print(f"more than counted: {', '.join(too_low)}", file=sys.stderr)
        return 1
    return 0


def _print_kinds(names: Sequence[str], sides: Sequence[int]) -> list[str]:
    """Print a row for each, and return those that take more than is counted."""
    too_low = []
    if names:
        print("| image | bytes a pixel | counted |\n|---|---|---|")
    for name in names:
        slope = bytes_a_pixel(CASES[name], (sides[0], sides[1]))
        print(f"| {name} | {max(0.0, slope.peak):.1f} | {slope.counted:.1f} |", flush=True)
        if slope.peak > slope.counted + BLUR:
            too_low.append(name)
    return too_low


def _print_hostile(names: Sequence[str], files: Sequence[Path]) -> list[str]:
    """Print a row for each, and return those that take more than is counted."""
    too_low = []
    preprocessing = Preprocessing(side=32, colour="srgb")
    draws = {name: HOSTILE[name] for name in names} | {path.name: path.read_bytes for path in files}
    if draws:
        print("\n| hostile file | MiB | counted |\n|---|---|---|")
        decode(_saved("JPEG", "CMYK", icc_profile=profiles.v_curve())(64), preprocessing)
    for name, draw in draws.items():
        data = draw()
        decode(data, replace(preprocessing, colour="ignore"))  # loads what is loaded once, and builds no profile
        took = decode(data, preprocessing)
        print(f"| {name} | {took.peak / MEBIBYTE:.1f} | {took.counted / MEBIBYTE:.1f} |", flush=True)
        if took.peak > took.counted + SLACK:
            too_low.append(name)
    return too_low


def bytes_a_pixel(case: Case, sides: tuple[int, int] = SIDES) -> Measured:
    """Measure what one more pixel costs while an image is decoded and brought to the model's side.

    Args:
        case: The kind of image.
        sides: Of the smaller and the larger picture, in pixels.

    Returns:
        Bytes and seconds a pixel.
    """
    # A small side, so that the smaller picture of a JPEG is decoded smaller as well.
    preprocessing = Preprocessing(side=32, decode_scale=case.decode_scale, colour="srgb")
    first = case.draw(sides[0])
    decode(first, preprocessing)  # loads what is loaded once
    small = decode(first, preprocessing)
    del first
    large = decode(case.draw(sides[1]), preprocessing)
    pixels = sides[1] ** 2 - sides[0] ** 2
    return Measured(
        peak=(large.peak - small.peak) / pixels,
        counted=(large.counted - small.counted) / pixels,
        seconds=(large.seconds - small.seconds) / pixels,
    )


def decode(data: bytes, preprocessing: Preprocessing, limits: DecodeLimits = _UNLIMITED) -> Measured:
    """Decode a file as a server would, and measure what that takes.

    Raises:
        ImageError: It is refused.
    """
    libc = ctypes.CDLL(None)
    # Freed memory would be used again without being counted; above this size it goes back to the system at once.
    libc.mallopt(_MMAP_THRESHOLD, 65_536)
    gc.collect()
    libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before, started = _resident("VmRSS:"), time.perf_counter()
    counted = decode_image(data, preprocessing=preprocessing, limits=limits).held_bytes
    seconds = time.perf_counter() - started
    return Measured(peak=_resident("VmHWM:") - before, counted=counted, seconds=seconds)


def _resident(line: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(line)[2].split()[0]) * 1024


def _print_phones() -> int:
    print("| picture | file | peak | counted | time |\n|---|---|---|---|---|")
    for name, draw in PHONES.items():
        data = draw()
        try:
            took = decode(data, Preprocessing(side=224, colour="srgb"), DEFAULT_LIMITS)
        except ImageError as error:
            outcome = f"refused: {error} | | "
        else:
            outcome = f"{_mebibytes(took.peak)} | {_mebibytes(took.counted)} | {took.seconds:.1f} s"
        print(f"| {name} | {_mebibytes(len(data))} | {outcome} |", flush=True)
    return 0


def _mebibytes(size: float) -> str:
    return f"{size / MEBIBYTE:.0f} MiB"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    names = ", ".join((*CASES, *HOSTILE))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {names} (default: all)")
    parser.add_argument("--files", type=Path, nargs="+", default=[], metavar="FILE", help="measure these whole as well")
    parser.add_argument("--phones", action="store_true", help="decode pictures of phones' sizes at the default limits")
    parser.add_argument("--check", action="store_true", help="exit 1 when a kind takes more than is counted")
    parser.add_argument("--sides", type=int, nargs=2, metavar="PIXELS", default=SIDES, help="multiples of 64")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in (*CASES, *HOSTILE)]:
        parser.error(f"no kind of image {unknown[0]!r}; there are: {names}")
    return options


def _plane(side: int, channels: int) -> Pixels:
    """Draw coarse shapes under fine noise: `[side,side,channels]`; side is a multiple of 64."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 224, (side // 64, side // 64, channels), dtype=np.uint8)
    noise = generator.integers(0, 32, (side, side, channels), dtype=np.uint8)
    return coarse.repeat(64, axis=0).repeat(64, axis=1) + noise


def _picture(mode: str, side: int) -> Image.Image:
    return Image.frombytes(mode, (side, side), _plane(side, len(Image.new(mode, (1, 1)).getbands())).tobytes())


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401  Pillow's own
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _saved(kind: str, mode: str = "RGB", **options: Any) -> Callable[[int], bytes]:  # noqa: ANN401
    return lambda side: _encode(_picture(mode, side), kind, **options)


def _turned(kind: str, mode: str = "RGB", **options: Any) -> Callable[[int], bytes]:  # noqa: ANN401
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # a quarter turn
    return _saved(kind, mode, exif=exif.tobytes(), **options)


def _animated(kind: str, **options: Any) -> Callable[[int], bytes]:  # noqa: ANN401
    """Save two see-through frames, turned by EXIF."""

    def draw(side: int) -> bytes:
        frame = _picture("RGBA", side)
        upside_down = frame.transpose(Image.Transpose.ROTATE_180)
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        return _encode(frame, kind, save_all=True, append_images=[upside_down], exif=exif.tobytes(), **options)

    return draw


def _palette(kind: str, *, keyed: bool = False, **options: Any) -> Callable[[int], bytes]:  # noqa: ANN401
    """Save indexed colours; `keyed` makes the first pixel's see-through."""

    def draw(side: int) -> bytes:
        indexes = _picture("L", side)
        key = {"transparency": indexes.getpixel((0, 0))} if keyed else {}
        indexes.putpalette(_plane(64, 3)[:4].tobytes())
        return _encode(indexes, kind, **options, **key)

    return draw


def _png_16(channels: int, *, keyed: bool = False, icc: bytes = b"") -> Callable[[int], bytes]:
    """Write a 16-bit PNG by hand, since Pillow writes grey ones only; `keyed` makes the first pixel's see-through."""

    def draw(side: int) -> bytes:
        rows = _plane(side, 2 * channels).reshape(side, -1)
        header = struct.pack(">IIBBBBB", side, side, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
        unfiltered = np.concatenate([np.zeros((side, 1), dtype=np.uint8), rows], axis=1).tobytes()
        key = [(b"tRNS", rows[0, : 2 * channels].tobytes())] if keyed else []
        profile = [(b"iCCP", b"x\0\0" + zlib.compress(icc))] if icc else []
        chunks = [(b"IHDR", header), *profile, *key, (b"IDAT", zlib.compress(unfiltered, 1)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)

    return draw


def _png_interlaced(side: int) -> bytes:
    """Write an RGBA PNG in the seven passes of Adam7, which Pillow reads and does not write."""
    picture = _plane(side, 4)
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    data = b""
    for left, top, across, down in passes:
        rows = picture[top::down, left::across]
        data += np.pad(rows.reshape(len(rows), -1), ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _large(kind: str, size: tuple[int, int], mode: str = "RGB", **options: Any) -> Callable[[], bytes]:  # noqa: ANN401
    """Save a picture of many megapixels, as a phone turned on its side would: tiles of one small picture."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6

    def draw() -> bytes:
        tile, picture = _picture(mode, 1024), Image.new(mode, size)
        for left in range(0, size[0], 1024):
            for top in range(0, size[1], 1024):
                picture.paste(tile, (left, top))
        return _encode(picture, kind, exif=exif.tobytes(), **options)

    return draw


def _heic(mode: str, *, deep: bool = False, chroma: int = 420) -> Callable[[int], bytes]:
    """Save by pillow-heif, of the extra `heif`; a picture of 4 megapixels takes it some seconds."""

    def draw(side: int) -> bytes:
        from pillow_heif import encode  # noqa: PLC0415

        pixels, buffer = np.asarray(_picture(mode, side)), io.BytesIO()
        data = (pixels.astype("<u2") * 257).tobytes() if deep else pixels.tobytes()
        # The preset is x265's fastest: what is decoded has the same size in memory.
        options = {"quality": 50, "chroma": chroma, "enc_params": {"preset": "ultrafast"}}
        encode(f"{mode};16" if deep else mode, (side, side), data, buffer, **options)
        return buffer.getvalue()

    return draw


def _lab_tiff(side: int) -> bytes:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.applyTransform(_picture("RGB", side), ImageCms.buildTransform(srgb, lab, "RGB", "LAB"))
    assert converted is not None  # noqa: S101  None only with inPlace=True
    return _encode(converted, "TIFF")


def _integer_tiff(side: int) -> bytes:
    return _encode(Image.fromarray(_plane(side, 1).squeeze().astype(np.int32) * 1000), "TIFF")


def _float_tiff(side: int) -> bytes:
    return _encode(Image.fromarray(_plane(side, 1).squeeze().astype(np.float32) / 255 - np.float32(0.5)), "TIFF")


CASES: Mapping[str, Case] = {
    "JPEG": Case(draw=_saved("JPEG")),
    "JPEG, progressive": Case(draw=_saved("JPEG", progressive=True)),
    "JPEG, progressive, colour at full size": Case(draw=_saved("JPEG", progressive=True, subsampling=0)),
    "JPEG, grey, progressive": Case(draw=_saved("JPEG", "L", progressive=True)),
    "JPEG, CMYK": Case(draw=_saved("JPEG", "CMYK")),
    "JPEG, CMYK, progressive": Case(draw=_saved("JPEG", "CMYK", progressive=True)),
    "JPEG, model with decode_scale 0": Case(draw=_saved("JPEG"), decode_scale=0),
    "JPEG, turned by EXIF, decode_scale 0": Case(draw=_turned("JPEG"), decode_scale=0),
    "JPEG, CMYK, progressive, decode_scale 0": Case(draw=_saved("JPEG", "CMYK", progressive=True), decode_scale=0),
    "JPEG, colours converted at full size": Case(draw=_saved("JPEG", icc_profile=profiles.v_curve())),
    "JPEG, CMYK, colours converted at full size": Case(draw=_saved("JPEG", "CMYK", icc_profile=profiles.huge_table())),
    "PNG, RGB": Case(draw=_saved("PNG", compress_level=1)),
    "PNG, RGBA": Case(draw=_saved("PNG", "RGBA", compress_level=1)),
    "PNG, RGBA, turned by EXIF": Case(draw=_turned("PNG", "RGBA", compress_level=1)),
    "PNG, RGBA, interlaced": Case(draw=_png_interlaced),
    "PNG, RGBA, animated behind a still": Case(draw=_animated("PNG", default_image=True, compress_level=1)),
    "PNG, RGBA, turned, colours converted": Case(
        draw=_turned("PNG", "RGBA", compress_level=1, icc_profile=profiles.display_p3())
    ),
    "PNG, 16-bit grey": Case(draw=_png_16(1)),
    "PNG, 16-bit grey, colour key": Case(draw=_png_16(1, keyed=True)),
    "PNG, 16-bit RGB, colour key": Case(draw=_png_16(3, keyed=True)),
    "PNG, 16-bit RGB": Case(draw=_png_16(3)),
    "PNG, 16-bit RGBA, colours converted": Case(draw=_png_16(4, icc=profiles.v_curve())),
    "PNG, 16-bit RGBA": Case(draw=_png_16(4)),
    "PNG, palette": Case(draw=_palette("PNG")),
    "PNG, palette with alpha": Case(draw=_palette("PNG", transparency=bytes(range(256)))),
    "GIF": Case(draw=_palette("GIF")),
    "GIF, see-through": Case(draw=_palette("GIF", keyed=True)),
    "BMP": Case(draw=_saved("BMP")),
    "BMP, 32-bit": Case(draw=_saved("BMP", "RGBA")),
    "WebP, lossy": Case(draw=_saved("WEBP", method=0)),
    "WebP, lossless": Case(draw=_saved("WEBP", lossless=True, method=0, quality=0)),
    "WebP, lossless, alpha": Case(draw=_saved("WEBP", "RGBA", lossless=True, method=0, quality=0)),
    "WebP, lossless, alpha, animated": Case(draw=_animated("WEBP", lossless=True, method=0, quality=0)),
    "WebP, lossless, alpha, colours converted": Case(
        draw=_saved("WEBP", "RGBA", lossless=True, method=0, quality=0, icc_profile=profiles.v_curve())
    ),
    "AVIF": Case(draw=_saved("AVIF", speed=10)),
    "AVIF, alpha": Case(draw=_saved("AVIF", "RGBA", speed=10)),
    "AVIF, alpha, turned, colour at full size": Case(draw=_turned("AVIF", "RGBA", speed=10, subsampling="4:4:4")),
    "HEIC": Case(draw=_heic("RGB")),
    "HEIC, colour at full size": Case(draw=_heic("RGB", chroma=444)),
    "HEIC, alpha, colour at full size": Case(draw=_heic("RGBA", chroma=444)),
    "HEIC, 10-bit, alpha, colour at full size": Case(draw=_heic("RGBA", deep=True, chroma=444)),
    "TIFF, RGB": Case(draw=_saved("TIFF")),
    "TIFF, RGBA": Case(draw=_saved("TIFF", "RGBA")),
    "TIFF, RGBA, one compressed strip": Case(draw=_saved("TIFF", "RGBA", compression="tiff_lzw", strip_size=2**30)),
    "TIFF, CMYK": Case(draw=_saved("TIFF", "CMYK")),
    "TIFF, LAB": Case(draw=_lab_tiff),
    "TIFF, 32-bit integers": Case(draw=_integer_tiff),
    "TIFF, floats": Case(draw=_float_tiff),
}


def _cut(draw: Callable[[int], bytes], *, side: int = 1024) -> Callable[[], bytes]:
    """Leave a little of a file out at its end, less than its pixels take."""

    def cut() -> bytes:
        data = draw(side)
        return data[: -len(data) // 32]

    return cut


def _dark_png() -> bytes:
    """Write a 16-bit PNG, hardly compressed, whose last row is black, which is looked at again; a chunk is dropped."""
    side = 1024
    rows = np.random.default_rng(0).integers(0, 256, (side, 6 * side + 1), dtype=np.uint8)
    rows[:, 0] = rows[-1] = 0
    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tEXt", b"a\0b"), (b"IDAT", zlib.compress(rows.tobytes(), 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _tile_tiff() -> bytes:
    """Write a grey TIFF of 64 x 64 pixels in one compressed tile of 4,096 x 4,096."""
    side, shown = 4096, 64
    tile = zlib.compress(bytes(side**2), 1)
    numbers = {256: shown, 257: shown, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(tile)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in numbers.items())
    return b"II*\0" + struct.pack("<I", 8 + len(tile)) + tile + struct.pack("<H", len(numbers)) + entries + bytes(4)


def _gif_frame() -> bytes:
    """Write a GIF of one pixel, whose one frame is large and to be taken away."""
    data = _encode(_picture("L", 2048), "GIF")
    frame = data.index(b"," + struct.pack("<HHHH", 0, 0, 2048, 2048))
    screen = data[:6] + struct.pack("<HH", 1, 1) + data[10:13]
    table = 3 << (data[10] & 7) + 1
    return screen + data[13 : 13 + table] + b"\x21\xf9\x04\x08\0\0\0\0" + data[frame:]


HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "JPEG, cut short": _cut(_saved("JPEG", quality=95), side=2048),
    "JPEG, progressive, cut short": _cut(_saved("JPEG", progressive=True, quality=95), side=2048),
    "JPEG, cut short, largest profile": _cut(_saved("JPEG", "CMYK", icc_profile=profiles.huge_table())),
    "JPEG, tiny, largest profile": lambda: _saved("JPEG", "CMYK", icc_profile=profiles.huge_table())(64),
    "PNG, tiny, profile of nothing but tags": lambda: _saved("PNG", icc_profile=profiles.many_tags())(64),
    "PNG, cut short": _cut(_saved("PNG", compress_level=1)),
    "PNG, 16-bit RGB, last row black": _dark_png,
    "BMP, cut short": _cut(_saved("BMP")),
    "TIFF, tile that stands over": _tile_tiff,
    "GIF, frame that stands over": _gif_frame,
}
"""Files that lay claim to more than they show; their rows are what they take as a whole."""


PHONES: Mapping[str, Callable[[], bytes]] = {
    "JPEG, 200 megapixels": _large("JPEG", (16_320, 12_240), quality=90),
    "JPEG, 200 megapixels, Display P3": _large("JPEG", (16_320, 12_240), quality=90, icc_profile=profiles.display_p3()),
    "JPEG, 200 megapixels, V-shaped curve": _large(
        "JPEG", (16_320, 12_240), quality=90, icc_profile=profiles.v_curve()
    ),
    "JPEG, 50 megapixels, V-shaped curve": _large("JPEG", (8_192, 6_144), quality=90, icc_profile=profiles.v_curve()),
    "JPEG, 200 megapixels, progressive": _large("JPEG", (16_320, 12_240), quality=90, progressive=True),
    "JPEG, 200 megapixels, progressive, colour at full size": _large(
        "JPEG", (16_320, 12_240), quality=60, progressive=True, subsampling=0
    ),
    "WebP, 50 megapixels": _large("WEBP", (8_192, 6_144), method=0),
    "WebP, 50 megapixels, lossless, alpha": _large("WEBP", (8_192, 6_144), "RGBA", lossless=True, method=0, quality=0),
    "PNG, 50 megapixels, RGBA": _large("PNG", (8_192, 6_144), "RGBA", compress_level=1),
    "PNG, 200 megapixels": _large("PNG", (16_320, 12_240), compress_level=1),
}
"""Pictures as the largest sensors of phones take them, turned by EXIF, and as programs save them again."""


if __name__ == "__main__":
    sys.exit(main())
