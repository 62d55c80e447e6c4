"""A space of matrix and curves in, how far it is from sRGB out: the same, near enough to reduce first, or not."""

from itertools import product

import numpy as np

from clipwarden.vision.colour.curves import LEVELS, Curve, Floats, SampledCurve, srgb_values
from clipwarden.vision.colour.pixels import Converter
from clipwarden.vision.colour.spaces import XYZ_TO_SRGB, MatrixSpace

# A level and a half: profiles that say they are sRGB differ by as much in the darkest tones.
_SAME_LEVELS, _SAME_MIXING = 1.5, 0.005
# Display P3 and Adobe RGB (exponent 2.2: 8.7 levels off at most; mixing 0.40) pass, ProPhoto and BT.2020 do not.
_TAME_LEVELS, _TAME_MIXING = 12.0, 0.45
# What Adobe RGB hides is 30 levels, Display P3 25. A person sees as much in any picture: black and white dots look like
# grey of 188, not of 128, which is what resizing makes of them everywhere.
_HIDDEN_LEVELS = 36.0
# Colours on a lattice of so many steps: finer ones find up to 8 levels more, and 5 take 1 ms.
_LATTICE_STEPS = 5
# Of float32, far below a step of 16 bits.
_ROUNDING = 1e-6
_LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709


def is_srgb(space: MatrixSpace) -> bool:
    """Whether converting would change nothing that is worth a pass over the picture."""
    return _is_within(space, _SAME_LEVELS, _SAME_MIXING)


def is_tame(space: MatrixSpace) -> bool:
    """Whether a pattern of fine dots shows nearly the same before conversion and after it."""
    return _is_within(space, _TAME_LEVELS, _TAME_MIXING) and hidden_levels(space, _LATTICE_STEPS) <= _HIDDEN_LEVELS


def hidden_levels(space: MatrixSpace, steps: int) -> float:
    """Search checkerboards of two colours for the one whose brightness reducing first gets most wrong.

    Args:
        space: Of the colours.
        steps: Levels of each channel to try, at least 2.

    Returns:
        Largest difference of luma, in levels of 255, between the displayed mean and the mean displayed.
    """
    levels = np.linspace(0, 254, steps).astype(int) // 2 * 2  # even: their means are levels too
    colours = np.array(list(product(levels, repeat=3)))
    one, other = np.triu_indices(len(colours), 1)
    converter = Converter(space)
    displayed = converter.convert(colours.astype(np.uint8)) @ _LUMA
    reduced = converter.convert(((colours[one] + colours[other]) // 2).astype(np.uint8)) @ _LUMA
    return float(np.abs(reduced - (displayed[one] + displayed[other]) / 2).max())


def _is_within(space: MatrixSpace, levels: float, mixing: float) -> bool:
    """Whether curves rise, within `levels` of 255 of what is stored, and colours mix no more than `mixing`.

    Mixing is the largest coefficient that differs from the identity's, linear RGB to linear sRGB.
    """
    if np.abs(XYZ_TO_SRGB @ space.to_xyz - np.eye(3)).max() > mixing:
        return False
    for curve in space.curves:
        values = _inputs(curve)
        light = curve(values)
        if (np.diff(light) < -_ROUNDING).any() or np.abs(srgb_values(light) - values).max() * 255 > levels:
            return False
    return True


def _inputs(curve: Curve) -> Floats:
    """Levels of 8 bits, and what lies between them where 16 bits can reach it."""
    if not isinstance(curve, SampledCurve):
        return LEVELS
    return np.union1d(LEVELS, np.linspace(0, 1, len(curve.samples), dtype=np.float32))
