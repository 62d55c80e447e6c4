"""A decoded Pillow image of any mode in, RGB views out: one, or one on white and one on black if it is see-through."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageCms

from clipwarden.vision.colour.conversion import AS_STORED, Conversion, Convert
from clipwarden.vision.structure import AlphaKind, Canvas

ViewName = Literal["full", "on_white", "on_black"]

_OPAQUE = 255
_WIDE_MODES = ("I", "F")
# Keeps the difference of any two values inside float32's range (3.4e38).
_FLOAT_BOUND = 1e38
# Rows that are worked on at once: their copies take less than a MiB.
_STRIPE_PIXELS = 2**16


class RgbView(NamedTuple):
    """One rendering of an image at its own size.

    Attributes:
        name: `full`, or `on_white` or `on_black`.
        rgb: Mode RGB.
        convert_reduced: What still has to happen to its colours once it is reduced; None when they are displayed ones.
        uncertain: Whether viewers show other colours.
    """

    name: ViewName
    rgb: Image.Image
    convert_reduced: Convert | None = None
    uncertain: bool = False


def to_views(
    image: Image.Image,
    conversion: Conversion = AS_STORED,
    *,
    low_bytes: Image.Image | None = None,
    alpha_kind: AlphaKind = "straight",
) -> Iterator[RgbView]:
    """Turn an image into what a model is shown, one view at a time: each takes 4 bytes a pixel.

    A white drawing on transparency must not be judged as a blank page, nor a black one; so anything see-through is
    shown on both, and the worse score kept.

    Args:
        image: Any mode that Pillow decodes, loaded.
        conversion: Of its colours.
        low_bytes: Of 16 bits a channel, where `conversion` asks for them; the same mode.
        alpha_kind: What its transparency does; premultiplied colours are overwritten where they are to be converted.

    Yields:
        Views: `full`, or `on_white` and `on_black` when any pixel is not opaque.
    """
    if conversion.convert is not None and image.mode == "P":
        # Cheap: its few colours are converted, not its pixels.
        image, conversion = conversion.convert(image), AS_STORED
    if not image.has_transparency_data:
        yield _opaque(image, conversion, low_bytes)
        return
    see_through = to_rgba(image)
    if see_through.getchannel("A").getextrema()[0] == _OPAQUE:
        yield _opaque(see_through.convert("RGB"), conversion, low_bytes)
        return
    uncertain = alpha_kind == "denied" and _has_colours_behind(see_through)
    if alpha_kind != "straight" and conversion.convert is None:
        yield RgbView("on_white", _added_to_white(see_through), uncertain=uncertain)
        yield RgbView("on_black", see_through.convert("RGB"), uncertain=uncertain)
        return
    if alpha_kind == "premultiplied":
        _divide_by_alpha(see_through)
    # Browsers lay displayed colours over the page, so these come first.
    see_through = _converted(see_through, conversion, low_bytes)
    alpha = see_through.getchannel("A")
    yield RgbView("on_white", _flatten(see_through, alpha, "white"), uncertain=uncertain)
    yield RgbView("on_black", _flatten(see_through, alpha, "black"), uncertain=uncertain)


def _opaque(image: Image.Image, conversion: Conversion, low_bytes: Image.Image | None) -> RgbView:
    if conversion.after_reduction and low_bytes is None:
        return RgbView("full", to_rgb(image), conversion.convert)
    return RgbView("full", _converted(image if image.mode in ("CMYK", "L") else to_rgb(image), conversion, low_bytes))


def _converted(image: Image.Image, conversion: Conversion, low_bytes: Image.Image | None) -> Image.Image:
    if low_bytes is not None and conversion.convert_wide is not None:
        return conversion.convert_wide(image, low_bytes)
    return image if conversion.convert is None else conversion.convert(image)


def on_canvas(image: Image.Image, canvas: Canvas) -> Image.Image:
    """Draw a picture on a see-through canvas, as browsers do with a frame that does not cover it.

    Args:
        image: Any mode that Pillow decodes, loaded.
        canvas: Where.

    Returns:
        Mode RGBA; the image's own where the picture covers the canvas, and is cut off by it.
    """
    if (canvas.left, canvas.top) == (0, 0) and canvas.size[0] <= image.width and canvas.size[1] <= image.height:
        return image.crop((0, 0, *canvas.size))
    drawn = Image.new("RGBA", canvas.size)
    drawn.paste(to_rgba(image) if image.has_transparency_data else to_rgb(image), (canvas.left, canvas.top))
    return drawn


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an opaque image to RGB, scaling what Pillow's own conversion would clip.

    Args:
        image: Any mode without transparency.

    Returns:
        Mode RGB.
    """
    if image.mode.startswith("I;16"):
        return _from_16_bit(image).convert("RGB")
    if image.mode in _WIDE_MODES:
        return _from_wide(image).convert("RGB")
    if image.mode == "LAB":
        return _from_lab(image)
    # Pillow's conversion of RGB to RGB is a copy; nobody downstream writes to the image.
    return image if image.mode == "RGB" else image.convert("RGB")


def to_rgba(image: Image.Image) -> Image.Image:
    """Convert a see-through image of any mode to RGBA."""
    if image.mode.startswith("I;16"):
        return _keyed_16_bit(image)
    if image.mode == "La":
        return image.convert("LA").convert("RGBA")
    # As in `to_rgb`, a conversion to the same mode would only be a copy.
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _flatten(see_through: Image.Image, alpha: Image.Image, background: str) -> Image.Image:
    canvas = Image.new("RGB", see_through.size, background)
    canvas.paste(see_through, mask=alpha)
    return canvas


def _added_to_white(see_through: Image.Image) -> Image.Image:
    """Add colours to what is left of a white page, as Chromium does with premultiplied ones, however bright."""
    canvas = Image.new("RGB", see_through.size)
    for top, stripe in _stripes(see_through):
        *colours, alpha = stripe.split()
        page = ImageChops.invert(alpha)
        canvas.paste(Image.merge("RGB", [ImageChops.add(colour, page) for colour in colours]), (0, top))
    return canvas


def _has_colours_behind(see_through: Image.Image) -> bool:
    """Whether any pixel that is not opaque is not black: else it is the same whether alpha counts or not."""
    for _, stripe in _stripes(see_through):
        opaque = stripe.getchannel("A").point([0] * _OPAQUE + [_OPAQUE])
        stripe.paste(0, mask=opaque)
        if stripe.convert("RGB").getbbox():
            return True
    return False


def _divide_by_alpha(premultiplied: Image.Image) -> None:
    for top, stripe in _stripes(premultiplied):
        premultiplied.paste(Image.merge("RGBa", stripe.split()).convert("RGBA"), (0, top))


def _stripes(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, _STRIPE_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Keep the high byte, as Pillow does for 16-bit colour; its own conversion of 16-bit grey clips at 255."""
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _keyed_16_bit(image: Image.Image) -> Image.Image:
    """Apply a grey colour key: the one value that is transparent."""
    grey = _from_16_bit(image)
    keyed = np.asarray(image).astype(np.uint16) == image.info["transparency"]
    grey.putalpha(Image.fromarray(np.where(keyed, 0, _OPAQUE).astype(np.uint8)))
    return grey.convert("RGBA")


def _from_wide(image: Image.Image) -> Image.Image:
    """Scale 32-bit integers or floats, whose range no header declares, to 0-255.

    Values within 0-1 (floats), 0-255 or 0-65,535 are taken to use that scale; anything else is stretched from its
    least to its greatest value, so that the picture shows whatever it holds.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0).clip(
        -_FLOAT_BOUND, _FLOAT_BOUND
    )
    low, high = float(values.min()), float(values.max())
    tops = [top for top in (1.0, 255.0, 65535.0) if high <= top and (image.mode == "F" or top > 1)]
    if low < 0 or not tops:
        values, tops = values - low, [high - low or 1.0]
    return Image.fromarray((values * (255.0 / tops[0])).round().clip(0, 255).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # noqa: S101  None only with inPlace=True
    return converted
