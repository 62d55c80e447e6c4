"""Animations put together frame by frame, honest or not: where each is drawn, how long, and what becomes of it."""

import io
import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIZE = (40, 32)
FORMATS = ("GIF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A frame of an animation.

    Attributes:
        picture: Mode RGB or RGBA; GIF takes 8 of its colours.
        at: (left, top) on the canvas; even numbers in WebP.
        milliseconds: GIF takes whole hundredths of a second.
        disposal: As the format numbers it; WebP has 0 and 1.
        replaces: Whether it takes the place of what stands there, see-through parts and all; not in GIF.
        clear: Which of its colours is see-through, in GIF.
    """

    picture: Image.Image
    at: tuple[int, int] = (0, 0)
    milliseconds: int = 100
    disposal: int = 0
    replaces: bool = False
    clear: int | None = None


def flat(colour: str | tuple[int, ...], size: tuple[int, int] = SIZE) -> Image.Image:
    """Paint one colour; RGBA if it has four parts."""
    return Image.new("RGBA" if len(colour) == 4 and not isinstance(colour, str) else "RGB", size, colour)


def gif_animation(frames: Sequence[Drawn], screen: tuple[int, int] = SIZE) -> bytes:
    """Write a GIF, each frame with colours of its own."""
    blocks = [_gif_control(each) + _gif_image(each) for each in frames]
    return b"".join((b"GIF89a", struct.pack("<HHBBB", *screen, 0, 0, 0), *blocks, b";"))


def png_animation(
    frames: Sequence[Drawn],
    size: tuple[int, int] = SIZE,
    *,
    hidden: Image.Image | None = None,
    claims: int | None = None,
) -> bytes:
    """Write an APNG; with a still that is hidden if one is given, and of as many frames as it claims."""
    kind = 6 if any(each.picture.mode == "RGBA" for each in frames) else 2
    chunks = [png_part(b"IHDR", struct.pack(">II5B", *size, 8, kind, 0, 0, 0))]
    chunks.append(png_part(b"acTL", struct.pack(">II", len(frames) if claims is None else claims, 0)))
    if hidden is not None:
        chunks.append(png_part(b"IDAT", _png_rows(hidden, kind)))
    number = 0
    for index, each in enumerate(frames):
        places = *each.picture.size, *each.at, each.milliseconds, 1000, each.disposal, not each.replaces
        chunks.append(png_part(b"fcTL", struct.pack(">5I2H2B", number, *places)))
        still = hidden is None and index == 0
        rows = _png_rows(each.picture, kind)
        chunks.append(png_part(b"IDAT", rows) if still else png_part(b"fdAT", struct.pack(">I", number + 1) + rows))
        number += 1 if still else 2
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, png_part(b"IEND", b"")])


def png_part(kind: bytes, body: bytes) -> bytes:
    """Write a chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def webp_animation(
    frames: Sequence[Drawn], size: tuple[int, int] = SIZE, *, alpha: bool = True, lossy: Sequence[int] = ()
) -> bytes:
    """Write a WebP that says whether it has alpha; frames of some numbers with loss."""
    head = struct.pack("<B3x", 0x12 if alpha else 0x02) + _uint24(size[0] - 1) + _uint24(size[1] - 1)
    chunks = [_riff(b"VP8X", head), _riff(b"ANIM", b"\x40\x80\xc0\xff\0\0")]
    for index, each in enumerate(frames):
        sides = *(at // 2 for at in each.at), each.picture.width - 1, each.picture.height - 1, each.milliseconds
        place = b"".join(map(_uint24, sides)) + bytes([each.replaces << 1 | each.disposal])
        chunks.append(_riff(b"ANMF", place + _webp_picture(each.picture, lossless=index not in lossy)))
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif_animation(pictures: Sequence[Image.Image], milliseconds: int = 100) -> bytes:
    """Write an AVIF sequence."""
    return _saved(pictures[0], "AVIF", save_all=True, append_images=pictures[1:], duration=milliseconds, quality=90)


def animation(image_format: str, frames: Sequence[Drawn]) -> bytes:
    """Write an animation of SIZE in any of `FORMATS`; of AVIF the pictures alone, each of SIZE."""
    if image_format == "AVIF":
        return avif_animation([each.picture for each in frames], frames[0].milliseconds)
    return {"GIF": gif_animation, "PNG": png_animation, "WEBP": webp_animation}[image_format](frames)


def random_animation(image_format: str, seed: int) -> bytes:
    """Draw an animation of a few frames, anywhere, in any way that its format knows."""
    draw = random.Random(seed)  # noqa: S311  a test's
    frames = [_random_frame(draw, image_format) for _ in range(draw.randrange(2, 8))]
    if image_format == "AVIF":
        return animation("AVIF", frames)
    whole = Drawn(
        picture=_painted(draw, SIZE, "soft"), milliseconds=draw.choice((0, 10, 70)), disposal=frames[0].disposal
    )
    if image_format == "PNG":
        hidden = _painted(draw, SIZE, "soft") if draw.random() < 0.3 else None
        return png_animation(frames if hidden else [whole, *frames], hidden=hidden)
    if image_format == "WEBP":
        return webp_animation(frames, lossy=[index for index in range(len(frames)) if draw.random() < 0.4])
    return gif_animation(frames)


def _random_frame(draw: random.Random, image_format: str) -> Drawn:
    width, height = SIZE
    left, top = draw.randrange(width), draw.randrange(height)
    sides = draw.randrange(1, width - left + 1), draw.randrange(1, height - top + 1)
    if image_format == "AVIF" or draw.random() < 0.2:
        left, top, sides = 0, 0, SIZE
    elif image_format == "GIF" and draw.random() < 0.3:  # it stands over the canvas, or makes it grow
        sides = sides[0] + draw.randrange(20), sides[1] + draw.randrange(20)
    elif image_format == "WEBP":
        left, top = left // 2 * 2, top // 2 * 2
    return Drawn(
        picture=_painted(draw, sides, draw.choice(("opaque", "holes", "soft"))),
        at=(left, top),
        milliseconds=draw.choice((0, 10, 20, 70, 100)),
        disposal=draw.randrange({"GIF": 8, "PNG": 3}.get(image_format, 2)),
        replaces=draw.random() < 0.5,
        clear=draw.choice((None, 0, 1, 200)),
    )


def _painted(draw: random.Random, size: tuple[int, int], alpha: str) -> Image.Image:
    down, across = np.mgrid[: size[1], : size[0]]
    ground = [draw.randrange(256) for _ in range(3)]
    shades = [(ground[0] + 5 * across) % 256, (ground[1] + 5 * down) % 256, np.full_like(down, ground[2])]
    alphas = {
        "opaque": np.full_like(down, 255),
        "holes": (across // 4 + down // 4) % 2 * 255,
        "soft": across * 255 // max(1, size[0] - 1),
    }
    return Image.fromarray(np.stack([*shades, alphas[alpha]], axis=2).astype(np.uint8))


def _gif_control(frame: Drawn) -> bytes:
    flags = frame.disposal << 2 | (frame.clear is not None)
    return struct.pack("<4BH2B", 0x21, 0xF9, 4, flags, frame.milliseconds // 10, frame.clear or 0, 0)


def _gif_image(frame: Drawn) -> bytes:
    data = _saved(frame.picture.convert("RGB").quantize(8), "GIF", interlace=0)
    table = data[13 : 13 + (3 << (data[10] & 7) + 1)][:24].ljust(24, b"\0")
    # Pillow writes nothing between the table and the one image that has none of its own.
    start = 13 + (3 << (data[10] & 7) + 1)
    while data[start] != 0x2C:
        start += 8  # a control block
    pixels = data[start + 10 : -1]
    return struct.pack("<B4HB", 0x2C, *frame.at, *frame.picture.size, 0x82) + table + pixels


def _png_rows(picture: Image.Image, kind: int) -> bytes:
    raw = picture.convert("RGBA" if kind == 6 else "RGB").tobytes()
    width = len(raw) // picture.height
    return zlib.compress(b"".join(b"\0" + raw[at : at + width] for at in range(0, len(raw), width)))


def _webp_picture(picture: Image.Image, *, lossless: bool) -> bytes:
    data, parts, position = _saved(picture, "WEBP", lossless=lossless, quality=90, exact=True), b"", 12
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        end = position + 8 + length + length % 2
        if data[position : position + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
            parts += data[position:end]
        position = end
    return parts


def _riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _uint24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def _saved(picture: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=image_format, **options)
    return buffer.getvalue()
