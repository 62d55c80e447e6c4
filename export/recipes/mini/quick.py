"""Measure recall on the colour selection set while training goes on, in a few seconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recipes.mini.looks import embed_looks
from recipes.mini.names import to_words
from recipes.mini.network import ImageTower
from recipes.mini.render import load_drawings, load_pixels
from recipes.mini.text import embed_texts, load_text_tower


@cache
def _selection(work: Path) -> tuple[Tensor, Tensor]:
    """The colour selection set on white [K,3,96,96] and the vectors of its names [K,384]."""
    drawings, pixels = load_drawings(work), load_pixels(work)
    rows = [i for i, d in enumerate(drawings) if d.icon_set == "noto-v1"]
    rgba = torch.from_numpy(pixels[rows]).permute(0, 3, 1, 2).float() / 255.0
    white = (255.0 * (rgba[:, :3] * rgba[:, 3:] + 1.0 - rgba[:, 3:])).round()
    centre = torch.from_numpy(np.load(work / "centre.npy"))
    names = [to_words(drawings[i].icon) for i in rows]
    return white, torch.from_numpy(embed_texts(load_text_tower(centre), names))


def quick_recall(work: Path, tower: ImageTower) -> tuple[float, float]:
    """Return image-to-name recall on noto-v1 among its own names.

    Args:
        work: The work folder, prepared.
        tower: The averaged tower.

    Returns:
        Recall at 1 and at 5.
    """
    tower.eval()
    white, names = _selection(work)
    with torch.inference_mode():
        vectors = torch.cat([embed_looks(tower, block) for block in torch.split(white, 128)])
    scores = vectors @ names.T
    rank = (scores > scores.diagonal()[:, None]).sum(1)
    return float((rank < 1).float().mean()), float((rank < 5).float().mean())  # noqa: PLR2004
