"""Small pictures, and what a case of the structural tables is."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw
from tests.browser.parts import encode, iccp, with_chunks
from tests.browser.profiles import NEGATIVE_CURVE, SRGB_TABLE, SWAPPED_PRIMARIES, matrix_profile

SIZE = (64, 48)
NEGATIVE = matrix_profile(NEGATIVE_CURVE)
SWAPPED = matrix_profile(SRGB_TABLE, SWAPPED_PRIMARIES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A file whose structure has two readings; `table.csv` says what becomes of it.

    Attributes:
        name: Format, and what is odd.
        data: The file.
    """

    name: str
    data: bytes


@cache
def picture(name: str) -> Image.Image:
    """Paint A, B (both of `SIZE`) or C (smaller), which nobody takes for each other."""
    size = (40, 56) if name == "C" else SIZE
    grounds = {
        "A": ((200, 40, 30), (20, 30, 120)),
        "B": ((30, 160, 60), (240, 220, 40)),
        "C": ((90, 90, 90), (0, 200, 220)),
    }
    first, second = grounds[name]
    image = Image.new("RGB", size, first)
    pen = ImageDraw.Draw(image)
    pen.polygon([(0, size[1]), (size[0], 0), size], fill=second)
    pen.rectangle((4, 4, 16, 12), fill=(250, 250, 250))
    return image


def pictures() -> dict[str, bytes]:
    """Plain PNGs of all that a case may show."""
    plain = {name: encode(picture(name), "PNG") for name in "ABC"}
    for name in "AB":
        plain[f"{name} negative"] = with_chunks(plain[name], iccp(NEGATIVE))
        plain[f"{name} swapped"] = with_chunks(plain[name], iccp(SWAPPED))
    plain["A turned 3"] = encode(picture("A").transpose(Image.Transpose.ROTATE_180), "PNG")
    plain["A turned 6"] = encode(picture("A").transpose(Image.Transpose.ROTATE_270), "PNG")
    plain["A by gamma"] = with_chunks(plain["A"], (b"gAMA", (100_000).to_bytes(4)))
    plain["A keyed"] = encode(_keyed(), "PNG")
    plain["white"] = encode(Image.new("RGB", SIZE, "white"), "PNG")
    plain["black"] = encode(Image.new("RGB", SIZE, "black"), "PNG")
    plain["A on a larger screen"] = _on_screen(picture("A"), (SIZE[0] + 8, SIZE[1] + 8), (8, 8))
    plain["A on a far larger screen"] = _on_screen(picture("A"), (SIZE[0] + 100, SIZE[1] + 100), (100, 100))
    plain["A over nothing"] = _on_screen(picture("A"), (96, 80), (8, 8))
    plain["A moved"] = _on_screen(picture("A"), SIZE, (8, 8))
    plain["A see-through"] = encode(half_seen(), "PNG")
    return plain


def half_seen() -> Image.Image:
    """A, its upper half see-through."""
    image = picture("A").convert("RGBA")
    alpha = np.full(SIZE[::-1], 255, np.uint8)
    alpha[: SIZE[1] // 2] = 0
    image.putalpha(Image.fromarray(alpha))
    return image


def _keyed() -> Image.Image:
    """A without the colour of its ground."""
    pixels = np.asarray(picture("A").convert("RGBA")).copy()
    pixels[(pixels == pixels[0, 0]).all(axis=2)] = 0
    return Image.fromarray(pixels)


def _on_screen(image: Image.Image, size: tuple[int, int], at: tuple[int, int]) -> bytes:
    screen = Image.new("RGBA", size)
    screen.paste(image, at)
    return encode(screen, "PNG")
