"""A way from device values to XYZ in, whether it has a shape that all readers take alike out.

There are more oddities that readers differ over than anyone can list. So what honest profiles look like is listed, and
all else is applied as well as we can, and flagged.
"""

import numpy as np

from clipwarden.vision.colour.curves import Curve, Floats, ParametricCurve, SampledCurve, srgb_values
from clipwarden.vision.colour.luts import LutSpace
from clipwarden.vision.colour.spaces import D50, XYZ_TO_SRGB, Matrix, MatrixSpace

# Profiles of cameras, screens, scanners and presses have 4,096 samples at most (the most that `lut16Type` may have).
_MOST_SAMPLES = 4096
_PER_LEVEL = 16
_INPUTS: Floats = np.linspace(0, 1, 255 * _PER_LEVEL + 1, dtype=np.float32)
# Levels of 255 that a curve may cross between neighbouring inputs of 8 bits. An honest one of light without an exponent
# crosses 13 in the dark, a V of samples 22. Where more are crossed, the rounding of decoders decides what is seen, or
# the low byte of 16 bits.
_STEEPEST = 40.0
_EXPONENTS = 0.2, 6.0
# Parts of a parametric curve meet to a thousandth, those of sRGB, BT.709 and ROMM RGB to 0.0002.
_JOINT = 0.001
_RANGE = 0.02
_ROUNDING = 1e-6
# Whites of old profiles are as far from D50 by rounding; that of D65 is 0.26 off.
_WHITE = 0.03
# Linear RGB to linear sRGB: ACES (AP0) has 2.6, ProPhoto 2.1.
_MOST_MIXING = 3.0
_MOST_MIDDLE = 2.0


def is_trusted(space: MatrixSpace | LutSpace) -> bool:
    """Whether all readers show nearly the same; of a table, where they interpolate alike."""
    if isinstance(space, MatrixSpace):
        return _is_honest_matrix(space.to_xyz) and all(_is_honest(curve, light=True) for curve in space.curves)
    # Tables onto XYZ are scaled in more than one way.
    return (
        space.lab
        and all(_is_honest(curve, light=False) for curve in (*space.inputs, *(space.middle or ()), *space.outputs))
        and (space.matrix is None or bool(np.abs(space.matrix).max() <= _MOST_MIDDLE))
    )


def _is_honest_matrix(to_xyz: Matrix) -> bool:
    white = to_xyz.sum(axis=1)
    # Of grey there is but one light, and nothing to mix.
    mixing = np.zeros(1) if np.array_equal(to_xyz, np.diag(white)) else XYZ_TO_SRGB @ to_xyz
    return bool(np.abs(white - D50).max() <= _WHITE and np.abs(mixing).max() <= _MOST_MIXING)


def _is_honest(curve: Curve, *, light: bool) -> bool:
    """Whether a curve is one that readers agree on: of samples, of one exponent, or a smooth formula.

    Args:
        curve: Of a profile.
        light: Whether light comes out, of which samples may take any course; else a table's, which only rises.
    """
    values = curve(_INPUTS)
    if isinstance(curve, ParametricCurve):
        sound = _is_honest_formula(curve) and values.min() >= -_RANGE and values.max() <= 1 + _RANGE
    else:
        sound = isinstance(curve, SampledCurve) and len(curve.samples) <= _MOST_SAMPLES
    rises = (np.diff(values) >= -_ROUNDING).all() or (light and isinstance(curve, SampledCurve))
    return bool(sound and rises and _steepest(srgb_values(values) if light else values) <= _STEEPEST)


def _is_honest_formula(curve: ParametricCurve) -> bool:
    least, most = _EXPONENTS
    if not (least <= curve.g <= most and 0 <= curve.d < 1):
        return False
    if curve.d == 0:
        return True
    joint = max(curve.a * curve.d + curve.b, 0) ** curve.g + curve.e
    return bool(abs(joint - (curve.c * curve.d + curve.f)) <= _JOINT)


def _steepest(values: Floats) -> float:
    """Most levels that lie within one step of 8 bits."""
    steps = np.lib.stride_tricks.sliding_window_view(values, _PER_LEVEL + 1)
    return float((steps.max(axis=1) - steps.min(axis=1)).max() * 255)
