"""Generated images and texts, varied enough that a wrong encoder or tokenizer cannot hide."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from clipwarden_export.errors import ExportError

# Widths and heights: square, wide, tall, odd, smaller and much larger than an encoder's side.
_SIZES = ((256, 256), (400, 300), (300, 400), (333, 251), (64, 80), (1024, 700), (224, 224), (517, 224))
_PATTERNS = 6
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
# Empty, long, mixed case, punctuation, digits, white space, emoji, several scripts.
_AWKWARD_TEXTS = (
    "",
    " ",
    "A",
    "Hello, World!",
    "DON'T SHOUT -- it's 12:45 (or 3.14)?",
    "tabs\tand\nnew  lines ",
    "naïve café, Ångström, ﬁne ligature",
    "a 😀 face and a 👩‍👩‍👧 family 🇫🇷",
    "фотография кошки",
    "一张猫的照片",
    "猫の写真です",
    "고양이 사진",
    "صورة قطة",
    "बिल्ली की तस्वीर",
    "<|endoftext|> in the middle",
    "a photo of " + "a very " * 120 + "long prompt",
)


def probe_images(count: int, *, seed: int) -> list[Image.Image]:
    """Draw pictures of many kinds and sizes.

    Args:
        count: How many.
        seed: Same seed, same pictures.

    Returns:
        RGB images.
    """
    random = np.random.default_rng(seed)
    return [_picture(index, random) for index in range(count)]


class Pictures(Sequence[Image.Image]):
    """RGB images, files among them read only when asked for: hundreds of photographs do not fit into memory at once.

    Args:
        items: Images, or files that hold one.

    Raises:
        ExportError: On reading, a file that holds no picture.
    """

    def __init__(self, items: Sequence[Image.Image | Path]) -> None:
        self._items = items

    def __len__(self) -> int:
        """Count the images."""
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...
    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        """Return one image, or a list of them."""
        if isinstance(index, slice):
            return [_load(item) for item in self._items[index]]
        return _load(self._items[index])


def given_images(folder: Path) -> Pictures:
    """Find a user's own pictures.

    Args:
        folder: Holds JPEG, PNG, WebP, GIF or BMP files.

    Returns:
        RGB images, in name order.

    Raises:
        ExportError: No such folder, or no picture in it; on reading, one that cannot be read.
    """
    return Pictures(image_paths(folder))


def image_paths(folder: Path) -> list[Path]:
    """List the pictures in a folder, in name order.

    Args:
        folder: Looked into, but not below.

    Returns:
        At least one path.

    Raises:
        ExportError: No such folder, or no picture in it.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)
    if not paths:
        msg = f"{folder} holds no image ({', '.join(_IMAGE_SUFFIXES)})."
        raise ExportError(msg)
    return paths


def probe_texts(count: int, *, seed: int, words: Sequence[str]) -> list[str]:
    """Write texts of many kinds: awkward ones first, then phrases of words.

    Args:
        count: How many, all different.
        seed: Same seed, same texts.
        words: Phrases to combine.

    Returns:
        Texts.
    """
    random = np.random.default_rng(seed)
    texts = dict.fromkeys(_AWKWARD_TEXTS[:count])
    while len(texts) < count:
        picked = random.choice(np.asarray(words), size=int(random.integers(1, 12)))
        texts[_restyle(" and ".join(str(word) for word in picked), int(random.integers(4)))] = None
    return list(texts)


def _restyle(text: str, style: int) -> str:
    return (text, text.title(), text.upper(), f"{text}!? #{len(text)}")[style]


def _load(item: Image.Image | Path) -> Image.Image:
    if isinstance(item, Image.Image):
        return item
    try:
        with Image.open(item) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        msg = f"{item} cannot be read as an image: {exc}."
        raise ExportError(msg) from exc


def _picture(index: int, random: np.random.Generator) -> Image.Image:
    width, height = _SIZES[index % len(_SIZES)]
    draw = (_plain, _gradient, _noise, _stripes, _shapes, _clouds)[index // len(_SIZES) % _PATTERNS]
    if index < _PATTERNS:  # so that even a handful of probes shows every pattern
        draw = (_shapes, _clouds, _stripes, _gradient, _noise, _plain)[index]
    return Image.fromarray(draw(width, height, random))


def _colour(random: np.random.Generator) -> NDArray[np.uint8]:
    return random.integers(0, 256, 3, dtype=np.uint8)


def _plain(width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _colour(random), dtype=np.uint8)


def _gradient(width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    across = np.linspace(0, 1, width)[None, :, None]
    down = np.linspace(0, 1, height)[:, None, None]
    mixed = across * _colour(random) / 2 + down * _colour(random) / 2
    return mixed.astype(np.uint8)


def _noise(width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    return np.asarray(random.integers(0, 256, (height, width, 3)), dtype=np.uint8)


def _stripes(width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    period = int(random.integers(8, 60))
    bands = (np.add.outer(np.arange(height), np.arange(width)) // period % 2).astype(bool)
    return np.where(bands[..., None], _colour(random), _colour(random)).astype(np.uint8)


def _shapes(width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    canvas = Image.fromarray(_plain(width, height, random))
    pen = ImageDraw.Draw(canvas)
    for _ in range(12):
        left, top = int(random.integers(width)), int(random.integers(height))
        box = (left, top, left + int(random.integers(5, width)), top + int(random.integers(5, height)))
        colour = tuple(int(value) for value in _colour(random))
        (pen.ellipse if random.random() < 0.5 else pen.rectangle)(box, fill=colour)  # noqa: PLR2004 - a coin
    pen.text((width // 8, height // 3), "clipwarden 123", fill=(255, 255, 255))
    return np.asarray(canvas, dtype=np.uint8)


def _clouds(width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Add noise of several scales, which has a spectrum near a photograph's."""
    total = np.zeros((height, width, 3), dtype=np.float64)
    for cells in (2, 4, 8, 16, 32):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64) / cells
    low, high = total.min(), total.max()
    return np.asarray((total - low) / (high - low) * 255, dtype=np.uint8)
