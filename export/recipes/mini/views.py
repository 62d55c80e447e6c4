"""Show a drawing as it may be uploaded: clean, on the dark, in noise, small, in clutter, turned, compressed."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from recipes.mini.pictures import on_colour
from recipes.mini.render import Pixels

_WHITE: Final = (255, 255, 255)
_DARK: Final = (28, 28, 34)
_JPEG_QUALITY: Final = 30
_DEGREES: Final = 15.0
_CLUTTER_PIECES: Final = 6
Chance = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a view is made of.

    Attributes:
        rgba: The drawing, uint8 [S,S,4].
        palette: Whether it has its own colours; one-colour drawings turn white on dark ground.
        others: Drawings to make clutter of, uint8 [K,S,S,4].
        chance: Seeded by the drawing's place, so that a view never changes.
    """

    rgba: Pixels
    palette: bool
    others: Pixels
    chance: Chance


def _clean(scene: Scene) -> Image.Image:
    return on_colour(scene.rgba, _WHITE)


def _dark(scene: Scene) -> Image.Image:
    return on_colour(_visible_on_dark(scene), _DARK)


def _noisy(scene: Scene) -> Image.Image:
    picture = np.asarray(on_colour(scene.rgba, _WHITE), np.float32)
    noise = scene.chance.normal(0.0, 30.0, picture.shape)
    return Image.fromarray((picture + noise).clip(0, 255).astype(np.uint8))


def _half_size(scene: Scene) -> Image.Image:
    return _placed(scene, (0.5, 0.5), _WHITE)


def _quarter(scene: Scene) -> Image.Image:
    """A quarter of the canvas, anywhere, on a light colour."""
    colour = tuple(int(c) for c in scene.chance.integers(190, 256, 3))
    return _placed(scene, tuple(scene.chance.random(2)), (colour[0], colour[1], colour[2]))


def _clutter(scene: Scene) -> Image.Image:
    """Pieces of other drawings on a gradient, all paler than the drawing before them."""
    side = len(scene.rgba)
    ramp = np.linspace(0.0, 1.0, side)[:, None, None]
    top, bottom = scene.chance.uniform(150, 256, (2, 3))
    ground = (top * ramp + bottom * (1.0 - ramp)) * np.ones((side, side, 1))
    canvas = Image.fromarray(ground.astype(np.uint8))
    for index in scene.chance.integers(0, len(scene.others), _CLUTTER_PIECES):
        piece = Image.fromarray(scene.others[index], "RGBA").rotate(
            float(scene.chance.uniform(0, 360)), Image.Resampling.BILINEAR
        )
        size = int(side * scene.chance.uniform(0.3, 0.9))
        faint = piece.resize((size, size), Image.Resampling.BILINEAR)
        faint.putalpha(faint.getchannel("A").point(lambda a: a // 2))
        left, up = (int(v) for v in scene.chance.integers(-size // 2, side - size // 2, 2))
        canvas.paste(faint, (left, up), faint)
    front = Image.fromarray(scene.rgba, "RGBA")
    canvas.paste(front, (0, 0), front)
    return canvas


def _rotated(scene: Scene) -> Image.Image:
    angle = _DEGREES if scene.chance.random() < 0.5 else -_DEGREES  # noqa: PLR2004 - either way
    return on_colour(scene.rgba, _WHITE).rotate(angle, Image.Resampling.BICUBIC, fillcolor=_WHITE)


def _jpeg(scene: Scene) -> Image.Image:
    buffer = io.BytesIO()
    on_colour(scene.rgba, _WHITE).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return Image.open(buffer).convert("RGB")


VIEWS: Final[dict[str, Callable[[Scene], Image.Image]]] = {
    "clean": _clean,
    "dark": _dark,
    "noisy": _noisy,
    "half_size": _half_size,
    "clutter": _clutter,
    "rotated_15": _rotated,
    "quarter_canvas": _quarter,
    "jpeg_q30": _jpeg,
}


def show(view: str, scene: Scene) -> Image.Image:
    """Make one view.

    Args:
        view: A key of VIEWS.
        scene: The drawing and what surrounds it.

    Returns:
        An RGB picture of the drawing's side.
    """
    return VIEWS[view](scene)


def _visible_on_dark(scene: Scene) -> Pixels:
    if scene.palette:
        return scene.rgba
    white = scene.rgba.copy()
    white[..., :3] = 255
    return white


def _placed(scene: Scene, where: tuple[float, ...], colour: tuple[int, int, int]) -> Image.Image:
    side = len(scene.rgba)
    small = on_colour(scene.rgba, colour).resize((side // 2, side // 2), Image.Resampling.BOX)
    canvas = Image.new("RGB", (side, side), colour)
    room = side - side // 2
    canvas.paste(small, (round(where[0] * room), round(where[1] * room)))
    return canvas


def chance_of(seed: int, row: int) -> Chance:
    """Return the generator of one drawing's views.

    Args:
        seed: Of the evaluation.
        row: The drawing's row.

    Returns:
        A generator.
    """
    return np.random.default_rng([seed, row])
