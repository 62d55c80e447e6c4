"""Print how much memory decoding takes, in bytes a pixel by format and mode: `python -m bench.memory [NAME ...]`.

Each figure is the slope between two sizes of one picture, each decoded in a fresh process: what Python and its
libraries hold falls out, and so does the file, which admission counts in `queue_bytes`.
"""

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.limits import DecodeLimits

SIDES = (2048, 4096)
"""Sides of the two pictures, in pixels: 4 and 17 megapixels, above which the slope no longer changes."""

ORIENTATION = 0x0112
"""EXIF tag that says how a picture is to be turned."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One kind of image.

    Attributes:
        draw: Side in pixels to the encoded file.
        decode_scale: Of the model's preprocessing: 2 lets JPEGs be decoded smaller, 0 does not.
    """

    draw: Callable[[int], bytes]
    decode_scale: int = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the kinds of image asked for, all of them by default, and print a Markdown table.

    Args:
        arguments: Of the command line; the process's own by default.

    Returns:
        Exit status.
    """
    options = _parse(arguments)
    if options.decode:
        print(decode_and_tell_peak(options.decode, options.decode_scale))
        return 0
    print("| image | bytes a pixel |\n|---|---|")
    for name in options.names or CASES:
        print(f"| {name} | {bytes_a_pixel(CASES[name]):.1f} |", flush=True)
    return 0


def bytes_a_pixel(case: Case, sides: tuple[int, int] = SIDES) -> float:
    """Measure what one more pixel costs while an image is decoded and brought to the model's side.

    Args:
        case: The kind of image.
        sides: Of the smaller and the larger picture, in pixels.

    Returns:
        Bytes of peak resident memory a pixel, without the file itself.
    """
    small, large = (_peak_beyond_file(case, side) for side in sides)
    return (large - small) / (sides[1] ** 2 - sides[0] ** 2)


def decode_and_tell_peak(file: Path, decode_scale: int) -> int:
    """Decode a file as a server would; return this process's peak resident memory in bytes (Linux)."""
    limits = DecodeLimits(max_bytes=2**30)  # TIFF and BMP of these sizes pass the usual one
    preprocessing = Preprocessing(side=224, decode_scale=decode_scale)
    decode_image(file.read_bytes(), preprocessing=preprocessing, limits=limits)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _peak_beyond_file(case: Case, side: int) -> int:
    data = case.draw(side)
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = [sys.executable, "-m", "bench.memory", "--decode", file.name]
        scale = ["--decode-scale", str(case.decode_scale)]
        done = subprocess.run([*command, *scale], check=True, capture_output=True, text=True)
    return int(done.stdout) - len(data)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(CASES)} (default: all)")
    parser.add_argument("--decode", type=Path, metavar="FILE", help="decode one file here and print the peak in bytes")
    parser.add_argument("--decode-scale", type=int, default=2, help="of the model's preprocessing, with --decode")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in CASES]:
        parser.error(f"no kind of image {unknown[0]!r}; there are: {', '.join(CASES)}")
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


def _png_16(channels: int, *, keyed: bool = False) -> Callable[[int], bytes]:
    """Write a 16-bit PNG by hand, since Pillow writes grey ones only; `keyed` makes the first pixel's see-through."""

    def draw(side: int) -> bytes:
        rows = _plane(side, 2 * channels).reshape(side, -1)
        header = struct.pack(">IIBBBBB", side, side, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
        unfiltered = np.concatenate([np.zeros((side, 1), dtype=np.uint8), rows], axis=1).tobytes()
        key = [(b"tRNS", rows[0, : 2 * channels].tobytes())] if keyed else []
        chunks = [(b"IHDR", header), *key, (b"IDAT", zlib.compress(unfiltered, 1)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)

    return draw


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


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
    "JPEG, CMYK": Case(draw=_saved("JPEG", "CMYK")),
    "JPEG, CMYK, progressive": Case(draw=_saved("JPEG", "CMYK", progressive=True)),
    "JPEG, model with decode_scale 0": Case(draw=_saved("JPEG"), decode_scale=0),
    "JPEG, CMYK, progressive, decode_scale 0": Case(draw=_saved("JPEG", "CMYK", progressive=True), decode_scale=0),
    "PNG, RGB": Case(draw=_saved("PNG", compress_level=1)),
    "PNG, RGBA": Case(draw=_saved("PNG", "RGBA", compress_level=1)),
    "PNG, RGBA, turned by EXIF": Case(draw=_turned("PNG", "RGBA", compress_level=1)),
    "PNG, 16-bit grey": Case(draw=_png_16(1)),
    "PNG, 16-bit grey, colour key": Case(draw=_png_16(1, keyed=True)),
    "PNG, 16-bit RGB": Case(draw=_png_16(3)),
    "PNG, 16-bit RGBA": Case(draw=_png_16(4)),
    "PNG, palette": Case(draw=_palette("PNG")),
    "PNG, palette with alpha": Case(draw=_palette("PNG", transparency=bytes(range(256)))),
    "GIF": Case(draw=_palette("GIF")),
    "GIF, see-through": Case(draw=_palette("GIF", keyed=True)),
    "BMP": Case(draw=_saved("BMP")),
    "WebP, lossy": Case(draw=_saved("WEBP", method=0)),
    "WebP, lossless": Case(draw=_saved("WEBP", lossless=True, method=0, quality=0)),
    "WebP, lossless, alpha": Case(draw=_saved("WEBP", "RGBA", lossless=True, method=0, quality=0)),
    "WebP, lossless, alpha, turned by EXIF": Case(draw=_turned("WEBP", "RGBA", lossless=True, method=0, quality=0)),
    "WebP, lossless, alpha, turned, animated": Case(draw=_animated("WEBP", lossless=True, method=0, quality=0)),
    "AVIF": Case(draw=_saved("AVIF", speed=10)),
    "AVIF, alpha": Case(draw=_saved("AVIF", "RGBA", speed=10)),
    "AVIF, alpha, turned, colour at full size": Case(draw=_turned("AVIF", "RGBA", speed=10, subsampling="4:4:4")),
    "TIFF, RGB": Case(draw=_saved("TIFF")),
    "TIFF, RGBA": Case(draw=_saved("TIFF", "RGBA")),
    "TIFF, CMYK": Case(draw=_saved("TIFF", "CMYK")),
    "TIFF, LAB": Case(draw=_lab_tiff),
    "TIFF, 32-bit integers": Case(draw=_integer_tiff),
    "TIFF, floats": Case(draw=_float_tiff),
}


if __name__ == "__main__":
    sys.exit(main())
