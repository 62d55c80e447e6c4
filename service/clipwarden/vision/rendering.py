"""A decoded picture in, what the model is shown of it by a view plan out: rows of pixels, named, with their boxes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.conversion import AS_STORED, Conversion
from clipwarden.vision.facts import View
from clipwarden.vision.parts import Parts, PixelBox, Size, parts_of
from clipwarden.vision.plan import Views
from clipwarden.vision.preprocess import Box, convert_if_small, fit_to_side
from clipwarden.vision.structure import AlphaKind
from clipwarden.vision.turns import SWAPS_SIDES, turned, turned_box
from clipwarden.vision.views import RgbView, to_views

_NAMES_OF_PARTS = {"full": "part", "on_white": "part_on_white", "on_black": "part_on_black"}


class Picture(NamedTuple):
    """One decoded picture, or one frame of an animation, and how it is displayed.

    Attributes:
        image: Any mode that Pillow decodes, loaded, and drawn on its canvas if it has one; as stored or smaller.
        size: (width, height) that it is displayed at before any turn, in pixels: the layout follows its proportions.
        box: Where the picture lies in the image, if a scaled decode left partial pixels at its edges.
        turn: What turns it upright.
        conversion: Of its colours.
        low_bytes: Of 16 bits a channel, where the conversion asks for them.
        alpha: What its transparency does.
    """

    image: Image.Image
    size: Size
    box: Box | None = None
    turn: Image.Transpose | None = None
    conversion: Conversion = AS_STORED
    low_bytes: Image.Image | None = None
    alpha: AlphaKind = "straight"

    @property
    def shown_size(self) -> Size:
        """(width, height) that it is displayed at, upright, in pixels."""
        width, height = self.size
        return (height, width) if self.turn in SWAPS_SIDES else (width, height)

    @property
    def upright_box(self) -> Box | None:
        """Where it lies in the image once that is upright."""
        if self.box is None or self.turn is None:
            return self.box
        return turned_box(self.box, self.image.size, self.turn)


class Rendered(NamedTuple):
    """The views of one picture.

    Attributes:
        pixels: uint8 [V,S,S,3]; V is at least 1. The encoder takes them as they lie here.
        names: V names; see `scoring.verdict.ViewRef`.
        boxes: V boxes, likewise.
        parts: What they show, and what they leave.
        uncertain: Whether viewers show other colours.
    """

    pixels: NDArray[np.uint8]
    names: tuple[str, ...]
    boxes: tuple[PixelBox | None, ...]
    parts: Parts
    uncertain: bool

    def views(self, frame: int = 0, seconds: float | None = None) -> tuple[View, ...]:
        """Name the views, as those of a frame.

        Args:
            frame: Its number, in the order of the file.
            seconds: When it is shown first; None of a still.
        """
        rows = zip(self.names, self.boxes, self.pixels, strict=True)
        return tuple(View(name=name, frame=frame, pixels=row, seconds=seconds, box=box) for name, box, row in rows)


def render(picture: Picture, preprocessing: Preprocessing, views: Views) -> Rendered:
    """Bring a picture, or its parts, to the model's input size.

    Args:
        picture: Decoded. Its image may be overwritten.
        preprocessing: Of the model folder.
        views: Which parts to look at, each on white and on black where the picture is see-through.

    Returns:
        The views: all parts on white, then all on black.
    """
    pixels, parts, uncertain = None, None, False
    names, boxes = list[str](), list[PixelBox | None]()
    for view in to_views(picture.image, picture.conversion, low_bytes=picture.low_bytes, alpha_kind=picture.alpha):
        backgrounds = 1 if view.name == "full" else 2
        parts = parts or parts_of(picture.shown_size, preprocessing, views, backgrounds=backgrounds)
        for box, row in zip(parts.boxes, _rows(view, picture, parts, preprocessing), strict=True):
            pixels = _with_row(pixels, row, at=len(names), of=backgrounds * len(parts.boxes))
            names.append(view.name if box is None else _NAMES_OF_PARTS[view.name])
            boxes.append(box)
        uncertain |= view.uncertain
        del view  # before the next view is made
    assert parts is not None  # noqa: S101  there is a view
    assert pixels is not None  # noqa: S101
    return Rendered(pixels, tuple(names), tuple(boxes), parts, uncertain)


def _with_row(pixels: NDArray[np.uint8] | None, row: NDArray[np.uint8], *, at: int, of: int) -> NDArray[np.uint8]:
    """Put [S,S,3] into [V,S,S,3]; the only row is not copied."""
    if of == 1:
        return row[np.newaxis]
    pixels = np.empty((of, *row.shape), np.uint8) if pixels is None else pixels
    pixels[at] = row
    return pixels


def _rows(view: RgbView, picture: Picture, parts: Parts, preprocessing: Preprocessing) -> Iterator[NDArray[np.uint8]]:
    upright, size, inside = turned(view.rgb, picture.turn), picture.shown_size, picture.upright_box
    convert = view.convert_reduced
    if len(parts.boxes) > 1:
        upright, convert = convert_if_small(upright, preprocessing, convert)
    for box in parts.boxes:
        if box is None:
            yield fit_to_side(upright, preprocessing, size=size, box=inside, convert=convert)
        else:
            stored, own = _stored_box(box, size, inside or (0, 0, *upright.size)), (box[2] - box[0], box[3] - box[1])
            yield fit_to_side(upright, preprocessing, size=own, box=stored, convert=convert)


def _stored_box(box: PixelBox, size: Size, inside: Box) -> Box:
    """Find a part in the decoded picture, which may be smaller than displayed, or stretched.

    Args:
        box: In pixels as displayed.
        size: (width, height) as displayed.
        inside: Where the picture lies in the decoded one.
    """
    (width, height), across, down = size, inside[2] - inside[0], inside[3] - inside[1]
    return (
        inside[0] + box[0] * across / width,
        inside[1] + box[1] * down / height,
        # An edge that rounding put outside of the picture would be refused.
        min(inside[0] + box[2] * across / width, inside[2]),
        min(inside[1] + box[3] * down / height, inside[3]),
    )
