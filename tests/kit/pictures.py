"""Generate pictures for tests: natural-looking scenes, flat drawings, and their bytes in any format."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def natural_picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Paint an RGB scene: smooth light, textures at every scale (as in photographs), and a few solid shapes."""
    generator = np.random.default_rng(seed)
    width, height = size
    scene = np.zeros((height, width, 3), dtype=np.float32)
    for octave in range(1, 9):
        cells = 2**octave
        coarse = generator.normal(size=(cells, cells, 3)).astype(np.float32)
        # Photographs hold about equal power in every octave (a 1/f spectrum).
        for channel in range(3):
            layer = Image.fromarray(coarse[..., channel]).resize(size, Image.Resampling.BICUBIC)
            scene[..., channel] += np.asarray(layer) * 0.9**octave
    scene = 128 + 45 * (scene - scene.mean()) / scene.std() + generator.uniform(-30, 30, 3)
    picture = Image.fromarray(scene.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(4):
        x, y = int(generator.integers(width)), int(generator.integers(height))
        reach = int(generator.integers(max(2, min(size) // 4))) + 2
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    return picture


def drawing(side: int = 128, *, see_through: bool = False, ink: tuple[int, int, int] = (220, 60, 40)) -> Image.Image:
    """Draw a flat figure, on white or on transparency."""
    picture = Image.new("RGBA", (side, side), (255, 255, 255, 0 if see_through else 255))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=(*ink, 255))
    pen.line((side // 8, side // 8, side * 7 // 8, side // 8), fill=(*ink, 255), width=max(1, side // 30))
    return picture if see_through else picture.convert("RGB")


def encode_heic(image: Image.Image, **options: Any) -> bytes:  # noqa: ANN401
    """Encode a picture as pillow-heif does, of the extra `heif`."""
    from pillow_heif import from_pillow  # noqa: PLC0415

    buffer = io.BytesIO()
    from_pillow(image).save(buffer, **{"quality": 90, **options})
    return buffer.getvalue()


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:  # noqa: ANN401
    """Encode a picture as Pillow does."""
    # Copies: Pillow leaves one format's encoder settings on the image, where the next format trips over them.
    if "append_images" in options:
        options["append_images"] = [frame.copy() for frame in options["append_images"]]
    buffer = io.BytesIO()
    image.copy().save(buffer, format=image_format, **options)
    return buffer.getvalue()
