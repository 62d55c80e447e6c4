"""An orientation in, how a picture is turned upright and where its parts come to lie out."""

from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.formats.exif import exif_orientation
from clipwarden.vision.preprocess import Box
from clipwarden.vision.structure import Structure

# EXIF orientation -> what turns the stored image upright; the same table as Pillow's ImageOps.exif_transpose.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPS_SIDES = frozenset({_UPRIGHT[5], _UPRIGHT[6], _UPRIGHT[7], _UPRIGHT[8]})
# Of the sides as they are after a swap: what a quarter turn clockwise (6) shows on its left was the bottom.
_MOVES_RIGHT_TO_LEFT = frozenset({_UPRIGHT[2], _UPRIGHT[3], _UPRIGHT[6], _UPRIGHT[7]})
_MOVES_BOTTOM_TO_TOP = frozenset({_UPRIGHT[3], _UPRIGHT[4], _UPRIGHT[7], _UPRIGHT[8]})


def upright_turn(
    image: Image.Image, structure: Structure, image_format: str, preprocessing: Preprocessing
) -> Image.Transpose | None:
    """Say how a loaded picture is turned upright; None leaves it."""
    # Pillow turns TIFF by itself while loading. Not `getexif`: it parses every tag of a hostile block.
    if preprocessing.orientation == "ignore" or image_format == "TIFF":
        return None
    if structure.orientation is not None:
        return _UPRIGHT.get(structure.orientation)
    exif = image.info.get("exif")
    return _UPRIGHT.get(exif_orientation(exif)) if isinstance(exif, bytes) else None


def turned_box(box: Box, size: tuple[int, int], turn: Image.Transpose) -> Box:
    """Follow the partial pixels, which scaled decoding leaves at the right and at the bottom, through a turn."""
    right, bottom = size[0] - box[2], size[1] - box[3]
    width, height = box[2], box[3]
    if turn in SWAPS_SIDES:
        right, bottom, width, height = bottom, right, height, width
    left = right if turn in _MOVES_RIGHT_TO_LEFT else 0.0
    top = bottom if turn in _MOVES_BOTTOM_TO_TOP else 0.0
    return left, top, left + width, top + height


def turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """Turn a picture; a turn of None costs nothing."""
    return image if turn is None else image.transpose(turn)
