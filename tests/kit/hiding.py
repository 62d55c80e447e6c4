"""Hide one frame in an animation in the ways that would get it past whoever does not look at every frame."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kit.animations import SIZE, encode_animation
from kit.containers import png_chunk
from kit.pictures import natural_picture

Frames = Sequence[Image.Image]
Painted = Callable[[int], Image.Image]
_CONTROL = b"\x21\xf9\x04"


def drifting(number: int) -> Image.Image:
    """Paint a scene that drifts by, two pixels a frame."""
    return Image.fromarray(np.roll(_scene(1), 2 * number, 1))


def hidings(bad: Image.Image, plain: Painted = drifting) -> dict[str, bytes]:
    """Hide a frame in every way, by name.

    Args:
        bad: What is hidden, RGB of `SIZE`.
        plain: Paints what it is hidden among, by number; no two alike.
    """
    few = [plain(number) for number in range(6)]
    return {
        "first": encode_animation([bad, *few], "GIF"),
        "last": encode_animation([*few, bad], "GIF"),
        "last, WebP": encode_animation([*few, bad], "WEBP"),
        "last, APNG": encode_animation([*few, bad], "PNG"),
        "last, AVIF": encode_animation([*few, bad], "AVIF"),
        "shown for 0 ms": encode_animation([*few[:3], bad, *few[3:]], "GIF", milliseconds=[50] * 3 + [0] + [50] * 3),
        "behind a second control": _second_control(encode_animation([*few, bad], "GIF"), frame=len(few)),
        "behind a second header": _second_header(encode_animation([*few, bad], "PNG")),
        "behind the frames that are announced": _fewer(encode_animation([*few, bad], "PNG"), len(few)),
        "in the middle of 300": encode_animation(_among(bad, plain, 300), "WEBP", milliseconds=20),
        "among 200 that are all different": encode_animation(_among(bad, unlike, 200), "WEBP", milliseconds=20),
        "in the place of a frame that looks much like it": encode_animation(
            [*few, Image.blend(few[0], bad, 0.3), bad, Image.blend(few[0], bad, 0.3)], "GIF"
        ),
        "faded in by 60 steps": encode_animation([Image.blend(few[0], bad, step / 59) for step in range(60)], "WEBP"),
    }


@cache
def _scene(seed: int) -> NDArray[np.uint8]:
    return np.asarray(natural_picture(seed, SIZE))


def among(frames: Frames, bad: Image.Image, place: int) -> list[Image.Image]:
    """Put a frame into an animation.

    Args:
        frames: RGB or RGBA.
        bad: The frame, RGB.
        place: Before which it comes.
    """
    return [*frames[:place], bad.convert(frames[0].mode), *frames[place:]]


def unlike(number: int) -> Image.Image:
    """Paint a scene that is like no other."""
    turned = np.roll(_scene(number % 12), (13 * number, 29 * number), (0, 1))
    return Image.fromarray(turned if number % 2 else 255 - turned)


def _among(bad: Image.Image, plain: Painted, count: int) -> list[Image.Image]:
    return among([plain(number) for number in range(count - 1)], bad, count // 2)


def _second_control(gif: bytes, *, frame: int) -> bytes:
    """Put a control block ahead of a frame's own that says it is see-through throughout, and shown for no time."""
    at = -1
    for _ in range(frame + 1):
        at = gif.index(_CONTROL, at + 1)
    return gif[:at] + _CONTROL + bytes([0x01 | 3 << 2, 0, 0, 0, 0]) + gif[at:]


def _second_header(png: bytes) -> bytes:
    """Say a second time how many frames there are, and say one."""
    at = png.index(b"acTL") - 4
    length = 12 + int.from_bytes(png[at : at + 4], "big")
    claim = png_chunk(b"acTL", (1).to_bytes(4, "big") + bytes(4))
    return png[: at + length] + claim + png[at + length :]


def _fewer(png: bytes, frames: int) -> bytes:
    at = png.index(b"acTL") - 4
    length = 12 + int.from_bytes(png[at : at + 4], "big")
    claim = png_chunk(b"acTL", frames.to_bytes(4, "big") + bytes(4))
    return png[:at] + claim + png[at + length :]
