"""Make animations as people upload them, each small and seeded, and their bytes in the format that they come in."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from kit.pictures import drawing, encode, natural_picture

SIZE = 240, 135
Draw = Callable[[int], Image.Image]


@dataclass(frozen=True, kw_only=True, eq=False)
class Animation:
    """One that people make.

    Attributes:
        name: What it shows.
        format: As Pillow names it.
        count: Of its frames.
        draw: Paints a frame by its number: RGB or RGBA.
        options: For Pillow, such as `disposal`.
        milliseconds: Of each frame.
    """

    name: str
    format: str
    count: int
    draw: Draw
    options: dict[str, Any] = field(default_factory=dict)
    milliseconds: int = 50

    def frames(self) -> list[Image.Image]:
        """Paint every frame."""
        return [self.draw(number) for number in range(self.count)]

    @cache  # noqa: B019  frozen, and few
    def encoded(self) -> bytes:
        """Encode it, once for all tests."""
        return encode_animation(self.frames(), self.format, milliseconds=self.milliseconds, **self.options)


def encode_animation(
    frames: list[Image.Image],
    image_format: str,
    *,
    milliseconds: int | list[int] = 50,
    **options: Any,  # noqa: ANN401  Pillow's own
) -> bytes:
    """Encode frames as Pillow does: as a GIF or PNG, later ones are cut to what changed, with offsets.

    Args:
        frames: RGB or RGBA.
        image_format: GIF, PNG, WEBP or AVIF.
        milliseconds: Of each frame, or of all.
        options: For Pillow.
    """
    options = _QUICK.get(image_format, {}) | options
    if image_format == "GIF" and frames[0].mode == "RGB":
        # Pillow's own way takes ten times as long where there are many colours.
        frames = [frame.quantize(256, Image.Quantize.FASTOCTREE) for frame in frames]
    return encode(
        frames[0], image_format, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, **options
    )


_QUICK: dict[str, dict[str, Any]] = {
    "WEBP": {"quality": 80, "method": 0},
    "AVIF": {"quality": 70, "speed": 10},
    "PNG": {"compress_level": 1},
}


@cache
def _scene(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    return natural_picture(seed, size)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _card(text: str, ink: Any = "white", paper: Any = "navy") -> Image.Image:  # noqa: ANN401  Pillow's colours
    card = Image.new("RGB", SIZE, paper)
    ImageDraw.Draw(card).text((30, 45), text, fill=ink, font=_font(32))
    return card


def _blank(colour: Any = "white", mode: str = "RGB") -> tuple[Image.Image, ImageDraw.ImageDraw]:  # noqa: ANN401
    picture = Image.new(mode, SIZE, colour)
    return picture, ImageDraw.Draw(picture)


def _on(scene: Image.Image) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = scene.copy()
    return picture, ImageDraw.Draw(picture)


def _flashing(number: int) -> Image.Image:
    return _card("SALE", *(("white", "red"), ("red", "white"))[number % 2])


def _banner(number: int) -> Image.Image:
    return _card(
        ("50 % OFF", "TODAY", "ONLY", "HURRY", "LAST DAY", "BUY NOW")[number], "black", f"hsl({60 * number}, 90%, 60%)"
    )


def _spinner(turns: int, *, see_through: bool) -> Draw:
    def draw(number: int) -> Image.Image:
        picture, pen = _blank((0, 0, 0, 0), "RGBA") if see_through else _blank()
        start = 360 * number / turns
        pen.arc((80, 27, 160, 107), start, start + 270, fill=(60, 90, 200), width=9)
        return picture

    return draw


def _slides(number: int) -> Image.Image:
    return _scene(10 + number)


def _crossfade(number: int) -> Image.Image:
    slide, step = divmod(number, 12)
    return Image.blend(_scene(20 + slide), _scene(21 + slide), max(0, step - 3) / 8)


_WORDS = (
    "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. How vexingly quick daft "
    "zebras jump! Sphinx of black quartz, judge my vow. The five boxing wizards jump quickly. "
)


def _typing(size: int, wide: int, *, paper: str, ink: str) -> Draw:
    def draw(number: int) -> Image.Image:
        picture, pen = _blank(paper)
        text = (_WORDS * 3)[:number]
        for line in range(0, len(text), wide):
            pen.text((8, 6 + line // wide * (size + 3)), text[line : line + wide], fill=ink, font=_font(size))
        return picture

    return draw


def _pan(seed: int, pixels: float, wide: int) -> Draw:
    def draw(number: int) -> Image.Image:
        left = round(pixels * number)
        return _scene(seed, (wide, SIZE[1])).crop((left, 0, left + SIZE[0], SIZE[1]))

    return draw


def _zoom(seed: int, most: float, count: int) -> Draw:
    def draw(number: int) -> Image.Image:
        scale = 1 + (most - 1) * number / count
        wide, high = SIZE[0] / scale, SIZE[1] / scale
        left, top = (SIZE[0] - wide) / 2, (SIZE[1] - high) / 2
        return _scene(seed).resize(SIZE, Image.Resampling.BICUBIC, box=(left, top, left + wide, top + high))

    return draw


def _growing_drawing(number: int) -> Image.Image:
    side = 40 + 3 * number
    picture, _ = _blank()
    picture.paste(drawing(side).convert("RGB"), ((SIZE[0] - side) // 2, (SIZE[1] - side) // 2))
    return picture


def _ball(number: int) -> Image.Image:
    picture, pen = _blank()
    height = abs(math.sin(number / 40 * 2 * math.pi)) * 80
    pen.ellipse((105, 100 - height, 135, 130 - height), fill=(220, 60, 40))
    pen.line((0, 131, 240, 131), fill="black", width=3)
    return picture


def _sticker(number: int) -> Image.Image:
    side = round(100 + 16 * math.sin(number / 30 * 2 * math.pi))
    picture, _ = _blank((0, 0, 0, 0), "RGBA")
    figure = drawing(side, see_through=True)
    picture.paste(figure, ((SIZE[0] - side) // 2, (SIZE[1] - side) // 2), figure)
    return picture


def _waving(number: int) -> Image.Image:
    picture, _ = _blank((0, 0, 0, 0), "RGBA")
    angle = 12 * math.sin(number / 20 * 2 * math.pi)
    picture.paste(drawing(120, see_through=True).rotate(angle, Image.Resampling.BICUBIC), (60, 8))
    return picture


def _progress(number: int) -> Image.Image:
    picture, pen = _blank((245, 245, 245))
    pen.rectangle((20, 60, 220, 80), outline="black")
    pen.rectangle((20, 60, 20 + 2 * number, 80), fill=(30, 140, 60))
    pen.text((105, 90), f"{number} %", fill="black", font=_font(14))
    return picture


def _clock(number: int) -> Image.Image:
    picture, pen = _blank()
    pen.ellipse((65, 12, 175, 122), outline="black", width=4)
    angle = number / 60 * 2 * math.pi
    pen.line((120, 67, 120 + 45 * math.sin(angle), 67 - 45 * math.cos(angle)), fill="red", width=2)
    pen.line((120, 67, 140, 50), fill="black", width=5)
    return picture


def _snow(number: int) -> Image.Image:
    picture, pen = _on(_scene(30))
    flakes = np.random.default_rng(31).uniform(0, 1, (60, 3))
    for x, y, speed in flakes:
        left, top = x * 240, (y * 135 + number * (1 + 2 * speed)) % 135
        pen.ellipse((left, top, left + 2, top + 2), fill="white")
    return picture


def _shaking(seed: int, reach: float, noise: float) -> Draw:
    def draw(number: int) -> Image.Image:
        generator = np.random.default_rng(seed + number)
        x, y = 10 + reach * np.sin(number / 7), 10 + reach * np.cos(number / 5)
        picture = _scene(seed, (260, 155)).resize(SIZE, Image.Resampling.BICUBIC, box=(x, y, x + 240, y + 135))
        grain = generator.normal(0, noise, (135, 240, 1))
        return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))

    return draw


def _talking(number: int) -> Image.Image:
    picture, pen = _on(_scene(40))
    pen.ellipse((70, 15, 170, 130), fill=(230, 190, 160))
    pen.ellipse((95, 50, 108, 60), fill="black")
    pen.ellipse((132, 50, 145, 60), fill="black")
    mouth = 3 + 7 * abs(math.sin(number / 3) * math.sin(number / 11))
    pen.ellipse((105, 92 - mouth, 135, 92 + mouth), fill=(150, 30, 40))
    return picture


def _walking(number: int) -> Image.Image:
    picture, pen = _on(_scene(50))
    x, swing = 3 * number - 20, 12 * math.sin(number / 2)
    pen.ellipse((x + 2, 50, x + 22, 70), fill="black")
    pen.line((x + 12, 70, x + 12, 100), fill="black", width=6)
    pen.line((x + 12, 100, x + 12 + swing, 128), fill="black", width=5)
    pen.line((x + 12, 100, x + 12 - swing, 128), fill="black", width=5)
    return picture


@cache
def _desktop() -> Image.Image:
    picture, pen = _blank((60, 110, 160))
    pen.rectangle((30, 15, 220, 120), fill="white", outline="black")
    pen.rectangle((30, 15, 220, 27), fill=(40, 40, 60))
    for row in range(6):
        pen.text((38, 32 + 13 * row), _WORDS[20 * row : 20 * row + 28], fill="black", font=_font(10))
    return picture


def _cursor(number: int) -> Image.Image:
    picture, pen = _on(_desktop())
    x, y = 120 + 90 * math.sin(number / 47), 65 + 50 * math.sin(number / 31)
    pen.polygon(((x, y), (x + 8, y + 8), (x, y + 11)), fill="black", outline="white")
    return picture


@cache
def _page() -> Image.Image:
    picture = Image.new("RGB", (240, 500), "white")
    pen = ImageDraw.Draw(picture)
    for row in range(36):
        pen.text((12, 6 + 13 * row), (_WORDS * 6)[17 * row : 17 * row + 38], fill=(30, 30, 30), font=_font(10))
    return picture


def _scrolling(number: int) -> Image.Image:
    return _page().crop((0, 3 * number, 240, 3 * number + 135))


def _fade_in(number: int) -> Image.Image:
    return ImageEnhance.Brightness(_scene(60)).enhance(number / 29)


def _fireworks(number: int) -> Image.Image:
    picture, pen = _blank((8, 8, 30))
    generator = np.random.default_rng(61)
    for burst in range(5):
        age, (x, y) = number - 9 * burst, generator.uniform((40, 20), (200, 90))
        sparks = generator.uniform(0, 2 * math.pi, 40)
        if not 0 <= age < 14:
            continue
        for angle in sparks:
            tip = x + 4 * age * math.cos(angle), y + 4 * age * math.sin(angle)
            pen.ellipse((tip[0] - 1, tip[1] - 1, tip[0] + 1, tip[1] + 1), fill=f"hsl({70 * burst}, 100%, 70%)")
    return picture


def _plasma(number: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 6, SIZE[0]), np.linspace(0, 4, SIZE[1]))
    phase = number / 64 * 2 * math.pi
    waves = [np.sin(x + phase) + np.sin(y * turn + phase) for turn in (1, 2, 3)]
    return Image.fromarray((np.stack(waves, -1) * 60 + 128).clip(0, 255).astype(np.uint8))


def _water(number: int) -> Image.Image:
    pixels = np.asarray(_scene(70)).copy()
    lower = pixels[80:]
    shift = np.round(2 * np.sin(np.arange(len(lower)) / 3 + number / 24 * 2 * math.pi)).astype(int)
    pixels[80:] = np.stack([np.roll(row, by, axis=0) for row, by in zip(lower, shift, strict=True)])
    return Image.fromarray(pixels)


def _counter(number: int) -> Image.Image:
    picture, pen = _on(_desktop())
    pen.rectangle((186, 17, 218, 26), fill="black")
    pen.text((188, 16), f"{number // 60:02}:{number % 60:02}", fill="white", font=_font(9))
    return picture


def _chart(number: int) -> Image.Image:
    picture, pen = _blank()
    for bar in range(8):
        high = min(100, max(0, number - 6 * bar) * (2 + bar % 3))
        pen.rectangle((15 + 27 * bar, 125 - high, 35 + 27 * bar, 125), fill=f"hsl({45 * bar}, 70%, 50%)")
    pen.line((10, 126, 230, 126), fill="black", width=2)
    return picture


@cache
def _generation(number: int) -> Any:  # noqa: ANN401  [27,48] of 0 and 1
    if number == 0:
        return np.random.default_rng(71).integers(0, 2, (27, 48))
    cells = _generation(number - 1)
    near = sum(np.roll(cells, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)) - cells
    return ((near == 3) | ((cells == 1) & (near == 2))).astype(int)


def _life(number: int) -> Image.Image:
    cells = Image.fromarray((_generation(number) * 255).astype(np.uint8))
    return cells.resize(SIZE, Image.Resampling.NEAREST).convert("RGB")


def _wipe(number: int) -> Image.Image:
    picture, card = Image.new("RGB", SIZE, "white"), _card("ACME", "white", "teal")
    picture.paste(card.crop((0, 0, 10 * number, SIZE[1])))
    return picture


def _cut(number: int) -> Image.Image:
    return _shaking(80 if number < 20 else 81, 1.5, 2)(number)


def _run_cycle(number: int) -> Image.Image:
    picture, pen = _blank((0, 0, 0, 0), "RGBA")
    x, phase = 30 + 5 * number, number * math.pi / 4
    pen.rectangle((x, 40, x + 24, 64), fill=(200, 120, 40))
    pen.rectangle((x + 3, 64, x + 20, 92), fill=(40, 70, 160))
    pen.rectangle((x + 3, 92, x + 9, 104 + 8 * math.sin(phase)), fill="black")
    pen.rectangle((x + 14, 92, x + 20, 104 - 8 * math.sin(phase)), fill="black")
    return picture


def _meme(number: int) -> Image.Image:
    picture, pen = _on(_scene(90))
    y = 98 + round(4 * math.sin(number / 20 * 2 * math.pi))
    pen.text((25, y), "WHEN IT WORKS", fill="white", font=_font(24), stroke_width=2, stroke_fill="black")
    return picture


def _static(number: int) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 256, SIZE[::-1], dtype=np.uint8)
    return Image.fromarray(noise).convert("RGB")


def _film(number: int) -> Image.Image:
    """A hand-held walk: the view drifts, turns and nears, under grain."""
    wide = _scene(95, (420, 300))
    angle, scale = 3 * math.sin(number / 17), 1 + number / 180
    x, y = 60 + number + 3 * math.sin(number / 3), 60 + 12 * math.sin(number / 9)
    view = wide.rotate(angle, Image.Resampling.BILINEAR).resize(
        SIZE, Image.Resampling.BILINEAR, box=(x, y, x + 240 / scale, y + 135 / scale)
    )
    grain = np.random.default_rng(number).normal(0, 3, (135, 240, 1))
    return Image.fromarray((np.asarray(view) + grain).clip(0, 255).astype(np.uint8))


def _glow(number: int) -> Image.Image:
    return ImageEnhance.Color(_scene(97)).enhance(0.6 + 0.4 * math.sin(number / 40 * 2 * math.pi))


def _ticker(number: int) -> Image.Image:
    picture, pen = _on(_scene(98))
    pen.rectangle((0, 112, 240, 135), fill=(160, 20, 20))
    pen.text((240 - 4 * number, 114), "BREAKING: A FOX HAS JUMPED OVER A DOG", fill="white", font=_font(16))
    return picture


ORDINARY = (
    Animation(name="flashing", format="GIF", count=2, draw=_flashing, milliseconds=300),
    Animation(name="banner", format="GIF", count=6, draw=_banner, milliseconds=700),
    Animation(name="spinner", format="GIF", count=12, draw=_spinner(12, see_through=False)),
    Animation(name="transparent spinner", format="PNG", count=24, draw=_spinner(24, see_through=True)),
    Animation(name="slideshow", format="GIF", count=5, draw=_slides, milliseconds=2000),
    Animation(name="cross-fade", format="WEBP", count=48, draw=_crossfade),
    Animation(name="typing", format="GIF", count=60, draw=_typing(20, 22, paper="white", ink="black")),
    Animation(name="terminal", format="GIF", count=200, draw=_typing(12, 36, paper="black", ink="lime")),
    Animation(name="slow pan", format="GIF", count=120, draw=_pan(100, 0.5, 300)),
    Animation(name="fast pan", format="WEBP", count=120, draw=_pan(101, 3, 600)),
    Animation(name="zoom", format="WEBP", count=60, draw=_zoom(102, 1.3, 60)),
    Animation(name="growing drawing", format="GIF", count=30, draw=_growing_drawing),
    Animation(name="ball", format="GIF", count=40, draw=_ball, options={"disposal": 1}),
    Animation(name="sticker", format="WEBP", count=30, draw=_sticker),
    Animation(name="waving sticker", format="PNG", count=20, draw=_waving, options={"disposal": 1, "blend": 0}),
    Animation(name="progress", format="GIF", count=100, draw=_progress),
    Animation(name="clock", format="GIF", count=60, draw=_clock, milliseconds=1000),
    Animation(name="snow", format="WEBP", count=90, draw=_snow),
    Animation(name="shaking camera", format="WEBP", count=100, draw=_shaking(103, 3, 3)),
    Animation(name="talking", format="GIF", count=150, draw=_talking),
    Animation(name="walking", format="GIF", count=80, draw=_walking),
    Animation(name="cursor", format="GIF", count=300, draw=_cursor),
    Animation(name="scrolling", format="GIF", count=120, draw=_scrolling),
    Animation(name="fade in", format="WEBP", count=30, draw=_fade_in),
    Animation(name="fireworks", format="GIF", count=50, draw=_fireworks),
    Animation(name="plasma", format="GIF", count=64, draw=_plasma),
    Animation(name="water", format="PNG", count=24, draw=_water),
    Animation(name="counter", format="GIF", count=600, draw=_counter),
    Animation(name="chart", format="GIF", count=100, draw=_chart),
    Animation(name="life", format="GIF", count=60, draw=_life),
    Animation(name="wipe", format="AVIF", count=24, draw=_wipe),
    Animation(name="two takes", format="AVIF", count=40, draw=_cut),
    Animation(name="run cycle", format="GIF", count=16, draw=_run_cycle, options={"disposal": 2}),
    Animation(name="meme", format="WEBP", count=20, draw=_meme),
    Animation(name="television static", format="GIF", count=20, draw=_static),
    Animation(name="hand-held", format="WEBP", count=90, draw=_film),
    Animation(name="glow", format="GIF", count=40, draw=_glow),
    Animation(name="news ticker", format="WEBP", count=100, draw=_ticker),
)
"""Of every kind that is met: 2 to 600 frames; loops, screens, drawings, films; cut to what changed, and see-through."""
