"""Look at a picture as the served model does: cut its uniform margins away, at each side, and add the vectors."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from recipes.mini.network import ImageTower

SIDE: Final = 96  # pixels of the served input: room for a drawing that fills half of it
LOOK_SIDES: Final = (64, 48)
_MARGIN: Final = 0.08  # kept on each side, as a share of the content; training shows drawings with about as much
_LEAST: Final = 1.0 / 3.0  # share of the side below which content is not magnified further
# A pixel is content when a channel differs from the mean of the four corners by a tenth of the range. In sums of four
# bytes, and between two integers, so that no rounding decides.
_DIFFERENCE: Final = 101.5


def embed_looks(tower: ImageTower, pixels: Tensor) -> Tensor:
    """Embed pictures without their uniform margins; where corners differ or noise fills the ground, nothing is cut.

    Args:
        tower: Takes float32 [N,3,s,s] in 0..1 at any side.
        pixels: float32 [N,3,S,S], whole numbers in 0..255.

    Returns:
        Unit vectors, float32 [N,384].
    """
    centre, width = content_square(pixels)
    looks = [tower(resample(pixels, centre, width, side) / 255.0) for side in LOOK_SIDES]
    return functional.normalize(torch.stack(looks).sum(0), dim=-1)


def content_square(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Find the square that holds what differs from the corners, with a margin.

    Args:
        pixels: float32 [N,3,S,S], whole numbers in 0..255.

    Returns:
        Centres [N,2] as x, y, and widths [N], in pixels; the whole picture where nothing differs.
    """
    side = pixels.shape[-1]
    corners = pixels[:, :, 0, 0] + pixels[:, :, 0, -1] + pixels[:, :, -1, 0] + pixels[:, :, -1, -1]
    content = (4.0 * pixels - corners[:, :, None, None]).abs().amax(1) > _DIFFERENCE
    left, right = _extent(content.any(1))
    top, bottom = _extent(content.any(2))
    centre = torch.stack([left + right, top + bottom], 1) / 2.0
    width = torch.maximum(right - left, bottom - top) * (1.0 + 2.0 * _MARGIN)
    return centre, width.clamp(side * _LEAST, float(side))


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First and one past the last true column of [N,S]; the whole row where none is."""
    side = occupied.shape[1]
    place = torch.arange(side, dtype=torch.float32)
    first = torch.where(occupied, place, float(side)).amin(1)
    last = torch.where(occupied, place + 1.0, 0.0).amax(1)
    empty = last <= first
    return torch.where(empty, 0.0, first), torch.where(empty, float(side), last)


def resample(pixels: Tensor, centre: Tensor, width: Tensor, side: int) -> Tensor:
    """Resize squares of pictures with a triangle filter, as Pillow's bilinear does; edges are repeated outside.

    Args:
        pixels: [N,C,S,S].
        centre: [N,2] as x, y, in pixels.
        width: [N], in pixels.
        side: Of the output.

    Returns:
        [N,C,side,side].
    """
    columns, rows = (_weights(centre[:, axis], width, side, pixels.shape[-1]) for axis in (0, 1))
    return rows[:, None] @ pixels @ columns[:, None].transpose(2, 3)


def _weights(centre: Tensor, width: Tensor, side: int, source: int) -> Tensor:
    """Share of each source pixel in each output pixel, [N,side,source], rows summing to one."""
    step = (width / side)[:, None]
    place = centre[:, None] + (torch.arange(side, dtype=torch.float32) + 0.5 - side / 2.0) * step
    place = place.clamp(0.5, source - 0.5)
    support = step.clamp_min(1.0)[:, :, None]
    middle = torch.arange(source, dtype=torch.float32) + 0.5
    weight = (1.0 - (middle - place[:, :, None]).abs() / support).clamp_min(0.0)
    return weight / weight.sum(2, keepdim=True)
