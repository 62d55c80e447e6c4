"""A folder as uploads might fill it: drawings of the demo, drawn anew in hundreds of ways, and what each shows."""

import random
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from kit.pages import ROOT

_SOURCE = ROOT / "service" / "clipwarden" / "demo" / "images"
_SIDE = 224
_DRINKS = ("beer", "champagne", "cocktail")
_ONE_IN = 8
"""Of so many uploads one shows a drink."""


def write_uploads(folder: Path, count: int) -> None:
    """Write JPEGs, `beer-mug-000.jpg` first: each on a ground of its own, turned, resized, recoloured, recompressed.

    Args:
        folder: That is to hold them; made.
        count: How many. The same count gives the same pictures.
    """
    folder.mkdir()
    chance = random.Random(7)  # noqa: S311  the same each time
    drawings = {path.stem: Image.open(path).convert("RGBA") for path in sorted(_SOURCE.glob("*.png"))}
    drinks = [name for name in drawings if is_drink(name)]
    others = [name for name in drawings if not is_drink(name)]
    for number in range(count):
        ground = Image.new("RGB", (_SIDE, _SIDE), tuple(chance.randrange(140, 256) for _ in range(3)))
        if number % _ONE_IN == 0:
            name = drinks[number // _ONE_IN % len(drinks)]
        else:
            name = others[number % len(others)]
            if chance.random() < 0.6:
                _draw(ground, drawings[chance.choice(others)], chance.choice((64, 96)), chance)
        _draw(ground, drawings[name], chance.choice((128, 144, 176)), chance)
        picture = ImageOps.mirror(ground) if chance.random() < 0.5 else ground
        picture.save(folder / f"{name}-{number:03}.jpg", quality=chance.choice((50, 70, 90)))


def is_drink(name: str) -> bool:
    """Tell what a person would say of a picture, by the name of its file."""
    return name.startswith(_DRINKS)


def _draw(ground: Image.Image, drawing: Image.Image, side: int, chance: random.Random) -> None:
    turned = drawing.resize((side, side), Image.Resampling.LANCZOS)
    turned = turned.rotate(chance.uniform(-20, 20), expand=True, resample=Image.Resampling.BICUBIC)
    coloured = ImageEnhance.Color(turned.convert("RGB")).enhance(chance.uniform(0.5, 1.6))
    place = (chance.randrange(max(1, _SIDE - turned.width)), chance.randrange(max(1, _SIDE - turned.height)))
    ground.paste(coloured, place, turned.getchannel("A"))
