"""A drawing in; a picture that somebody may upload of it, out: alone, bordered, captioned, among others, at an end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recipes.mini.pictures import on_colour
from recipes.mini.render import Pixels

_WHITE: Final = (255, 255, 255)
_BORDERS: Final = (_WHITE, (0, 0, 0), (128, 128, 128), (220, 30, 30), (30, 90, 220), (30, 150, 60), (250, 210, 40))
_LINE: Final = 0.25  # of the drawing's side, as its words are of the line
_WORDS_HEIGHT: Final = 0.104
_WORDS: Final = (
    "when it is Monday",
    "me after lunch",
    "best day ever",
    "new in our shop",
    "happy birthday",
    "who did this",
)

Colour = tuple[int, int, int]
Compose = Callable[[Pixels, Sequence[Pixels], int, np.random.Generator], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A way to upload a drawing.

    Attributes:
        name: For tables.
        share: Of uploads in the mix that lines are fitted for; a guess, so that figures are given by layout too.
        places: Where in the picture the drawing may be.
        others: How many other drawings are beside it.
        compose: The drawing (RGBA), the others, its place and a generator in; an RGB picture out.
    """

    name: str
    share: float
    places: int
    others: int
    compose: Compose


def _bordered(
    drawing: Pixels, _others: Sequence[Pixels], _place: int, chance: np.random.Generator, *, of: float
) -> Image.Image:
    """Add a plain border on every side, as wide as a share of the drawing's side."""
    side = len(drawing)
    width = round(of * side)
    canvas = Image.new("RGB", (side + 2 * width,) * 2, _BORDERS[chance.integers(len(_BORDERS))])
    canvas.paste(on_colour(drawing, _WHITE), (width, width))
    return canvas


def _grid(
    drawing: Pixels, others: Sequence[Pixels], place: int, _chance: np.random.Generator, *, columns: int
) -> Image.Image:
    """Put it among others, row by row."""
    side, cells = len(drawing), [*others[:place], drawing, *others[place:]]
    canvas = Image.new("RGB", (side * columns, side * (len(cells) // columns)), _WHITE)
    for at, cell in enumerate(cells):
        canvas.paste(on_colour(cell, _WHITE), (at % columns * side, at // columns * side))
    return canvas


def _captioned(drawing: Pixels, _others: Sequence[Pixels], place: int, chance: np.random.Generator) -> Image.Image:
    """Write a line above (place 0) or below (1)."""
    return _with_lines(drawing, (place == 0, place == 1), chance)


def _meme(drawing: Pixels, _others: Sequence[Pixels], _place: int, chance: np.random.Generator) -> Image.Image:
    """Write a line above and one below."""
    return _with_lines(drawing, (True, True), chance)


def _with_lines(drawing: Pixels, sides: tuple[bool, bool], chance: np.random.Generator) -> Image.Image:
    side, line = len(drawing), round(_LINE * len(drawing))
    canvas = Image.new("RGB", (side, side + sum(sides) * line), _WHITE)
    top = line if sides[0] else 0
    canvas.paste(on_colour(drawing, _WHITE), (0, top))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(round(_WORDS_HEIGHT * side))
    for there, middle in zip(sides, (line // 2, top + side + line // 2), strict=True):
        if there:
            words = _WORDS[chance.integers(len(_WORDS))]
            pen.text((side // 2, middle), words, fill=(0, 0, 0), font=font, anchor="mm")
    return canvas


def _at_an_end(
    drawing: Pixels, _others: Sequence[Pixels], place: int, chance: np.random.Generator, *, upright: bool
) -> Image.Image:
    """Put it at the first or the last end of a light canvas of 16:9."""
    red, green, blue = (int(value) for value in chance.integers(190, 256, 3))
    side, long = len(drawing), round(len(drawing) * 16 / 9)
    canvas = Image.new("RGB", (side, long) if upright else (long, side), (red, green, blue))
    at = place * (long - side)
    canvas.paste(on_colour(drawing, (red, green, blue)), (0, at) if upright else (at, 0))
    return canvas


LAYOUTS: Final = (
    Layout(name="single", share=0.70, places=1, others=0, compose=partial(_grid, columns=1)),
    Layout(name="border of 2 %", share=0.03, places=1, others=0, compose=partial(_bordered, of=0.02)),
    Layout(name="border of 5 %", share=0.03, places=1, others=0, compose=partial(_bordered, of=0.05)),
    Layout(name="border of 10 %", share=0.03, places=1, others=0, compose=partial(_bordered, of=0.10)),
    Layout(name="side by side", share=0.04, places=2, others=1, compose=partial(_grid, columns=2)),
    Layout(name="2x2", share=0.03, places=4, others=3, compose=partial(_grid, columns=2)),
    Layout(name="line of text (4:5)", share=0.06, places=2, others=0, compose=_captioned),
    Layout(name="two lines (2:3)", share=0.04, places=1, others=0, compose=_meme),
    Layout(name="end of a 16:9", share=0.02, places=2, others=0, compose=partial(_at_an_end, upright=False)),
    Layout(name="end of a 9:16", share=0.02, places=2, others=0, compose=partial(_at_an_end, upright=True)),
    Layout(name="strip of six (1:6)", share=0.0, places=6, others=5, compose=partial(_grid, columns=1)),
)
"""Shares sum to 1; whoever fits lines for a view plan takes this mix for uploads. The strip is in no mix."""


def deal(chance: np.random.Generator, number: int) -> list[Layout]:
    """Lay out so many drawings as the mix has it, each in one way."""
    return [LAYOUTS[at] for at in chance.choice(len(LAYOUTS), number, p=[layout.share for layout in LAYOUTS])]
