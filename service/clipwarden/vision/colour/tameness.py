"""A space of matrix and curves in, how far it is from sRGB out: the same, near enough to reduce first, or not."""

import numpy as np

from clipwarden.vision.colour.curves import Floats
from clipwarden.vision.colour.spaces import XYZ_TO_SRGB, MatrixSpace

_LEVELS: Floats = np.linspace(0, 1, 256, dtype=np.float32)

# A level and a half: profiles that say they are sRGB differ by as much in the darkest tones.
_SAME_LEVELS, _SAME_MIXING = 1.5, 0.005
# Display P3 and Adobe RGB (exponent 2.2: 8.7 levels off at most; mixing 0.40) pass. tests/unit/vision/colour measure
# what can hide behind the worst that passes.
_TAME_LEVELS, _TAME_MIXING = 12.0, 0.45


def is_srgb(space: MatrixSpace) -> bool:
    """Whether converting would change nothing that is worth a pass over the picture."""
    return _is_within(space, _SAME_LEVELS, _SAME_MIXING)


def is_tame(space: MatrixSpace) -> bool:
    """Whether no pattern of fine dots can show one picture before conversion and another after it."""
    return _is_within(space, _TAME_LEVELS, _TAME_MIXING)


def _is_within(space: MatrixSpace, levels: float, mixing: float) -> bool:
    """Whether curves rise at all 256 inputs, within `levels` of 255 of what is stored, and colours mix so little.

    Mixing is the largest coefficient that differs from the identity's, linear RGB to linear sRGB.
    """
    if np.abs(XYZ_TO_SRGB @ space.to_xyz - np.eye(3)).max() > mixing:
        return False
    for curve in space.curves:
        light = curve(_LEVELS)
        if (np.diff(light) < 0).any() or np.abs(_encode(light) - _LEVELS).max() * 255 > levels:
            return False
    return True


def _encode(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # noqa: PLR2004
