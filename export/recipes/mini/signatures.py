"""Rendered drawings in; summaries by which copies are found whatever their margin, out."""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIGNATURE_SIDE: Final = 12
# Root mean square difference of two 12x12 signatures under which two drawings are one.
# Measured: re-exported twins of noto and noto-v1 lie under 0.03, other pairs over 0.06.
TWIN_DISTANCE: Final = 0.04


def signature(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Summarise a drawing so that copies can be found whatever their margin.

    Args:
        rgba: uint8 [S,S,4].

    Returns:
        float32 [576] in 0..1: premultiplied colour and alpha, cropped to the drawing; NaN when blank.
    """
    rows = np.flatnonzero(rgba[..., 3].max(1) > 8)  # noqa: PLR2004 - visible at all
    columns = np.flatnonzero(rgba[..., 3].max(0) > 8)  # noqa: PLR2004
    if len(rows) == 0:
        return np.full(4 * _SIGNATURE_SIDE**2, np.nan, np.float32)
    alpha = rgba[..., 3:].astype(np.uint16)
    premultiplied = np.concatenate([rgba[..., :3] * alpha // 255, alpha], axis=2).astype(np.uint8)
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    small = Image.fromarray(premultiplied, "RGBA").resize(
        (_SIGNATURE_SIDE, _SIGNATURE_SIDE), Image.Resampling.BOX, box=box
    )
    return np.asarray(small, np.float32).ravel() / 255.0


def find_twins(candidates: npt.NDArray[np.float32], held_out: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Mark the candidates that look like a held-out drawing.

    Args:
        candidates: Signatures [M,D].
        held_out: Signatures [K,D], no NaN.

    Returns:
        bool [M].
    """
    norms = (held_out**2).sum(1)
    twin = np.zeros(len(candidates), np.bool_)
    for start in range(0, len(candidates), 2048):
        block = candidates[start : start + 2048]
        squared = (block**2).sum(1)[:, None] - 2.0 * block @ held_out.T + norms
        nearest = squared.min(1) / candidates.shape[1]
        twin[start : start + 2048] = nearest < TWIN_DISTANCE**2
    return twin
