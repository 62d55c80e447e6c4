"""Named colour spaces in (primaries, code points), matrices to XYZ and tone curves out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clipwarden.vision.colour.curves import IDENTITY, SRGB, Curve, Floats, ParametricCurve
from clipwarden.vision.colour.widerange import hlg_light, pq_light, scene_tone_mapped, tone_mapped
from clipwarden.vision.structure import Chromaticities, Cicp

Matrix = NDArray[np.float64]

D50 = np.array([0.9642, 1.0, 0.8249])  # ICC.1:2022, 7.2.16
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SINGULAR = 1e-6

# Linear sRGB to XYZ under D50, as sRGB profiles and browsers have it (skcms).
SRGB_TO_XYZ = np.array(
    [
        [0.436065674, 0.385147095, 0.143066406],
        [0.222488403, 0.716873169, 0.060607910],
        [0.013916016, 0.097076416, 0.714096069],
    ]
)


def invert(matrix: Matrix) -> Matrix:
    """Invert a [3,3] that has an inverse."""
    inverse: Matrix = np.linalg.inv(matrix).astype(np.float64)
    return inverse


XYZ_TO_SRGB = invert(SRGB_TO_XYZ)

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_SMPTE_C = Chromaticities(white=_D65, red=(0.630, 0.340), green=(0.310, 0.595), blue=(0.155, 0.070))
UNSPECIFIED = 2  # ITU-T H.273, tables 2 and 3
# ITU-T H.273, table 2.
_PRIMARIES = {
    1: Chromaticities(white=_D65, red=(0.640, 0.330), green=(0.300, 0.600), blue=(0.150, 0.060)),
    4: Chromaticities(white=_C, red=(0.67, 0.33), green=(0.21, 0.71), blue=(0.14, 0.08)),
    5: Chromaticities(white=_D65, red=(0.64, 0.33), green=(0.29, 0.60), blue=(0.15, 0.06)),
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: Chromaticities(white=_C, red=(0.681, 0.319), green=(0.243, 0.692), blue=(0.145, 0.049)),
    9: Chromaticities(white=_D65, red=(0.708, 0.292), green=(0.170, 0.797), blue=(0.131, 0.046)),
    10: Chromaticities(white=(1 / 3, 1 / 3), red=(1.0, 0.0), green=(0.0, 1.0), blue=(0.0, 0.0)),
    11: Chromaticities(white=(0.314, 0.351), red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060)),
    12: Chromaticities(white=_D65, red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060)),
    22: Chromaticities(white=_D65, red=(0.630, 0.340), green=(0.295, 0.605), blue=(0.155, 0.077)),
}
# What a camera encodes with is not what a screen decodes with: browsers take ITU-R BT.1886, as television does.
_BT1886 = ParametricCurve(g=2.4)
PQ, HLG = 16, 18
# ITU-T H.273, table 3.
_TRANSFERS: dict[int, Curve] = {
    1: _BT1886,
    4: ParametricCurve(g=2.2),
    5: ParametricCurve(g=2.8),
    6: _BT1886,
    7: ParametricCurve(g=1 / 0.45, a=1 / 1.1116, b=0.1116 / 1.1116, c=1 / 4.0, d=4 * 0.0228),
    8: IDENTITY,
    11: _BT1886,
    13: SRGB,
    14: _BT1886,
    15: _BT1886,
    PQ: pq_light,
    17: ParametricCurve(g=2.6, a=(52.37 / 48) ** (1 / 2.6)),
    HLG: hlg_light,
}
_TONES = {PQ: tone_mapped, HLG: scene_tone_mapped}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MatrixSpace:
    """Three channels of light that mix linearly.

    Attributes:
        curves: From encoded values to light, of red, green and blue.
        to_xyz: Linear RGB to XYZ under D50, [3,3].
        tone: What brings light beyond white to 0-1, [3,N] each, mixed of BT.2020's primaries; None without.
    """

    curves: tuple[Curve, Curve, Curve]
    to_xyz: Matrix
    tone: Callable[[Floats], Floats] | None = None


def primaries_to_xyz(at: Chromaticities) -> Matrix | None:
    """Compute linear RGB to XYZ under D50, adapted by Bradford; None where the points span no triangle.

    Source: Lindbloom, "RGB/XYZ matrices"; browsers refuse coordinates outside 0-1.
    """
    points = np.array([at.red, at.green, at.blue, at.white])
    if not ((points >= 0) & (points <= 1)).all() or at.white[1] == 0:
        return None
    columns = np.concatenate([points[:3], 1 - points[:3].sum(axis=1, keepdims=True)], axis=1).T
    if abs(np.linalg.det(columns)) < _SINGULAR:
        return None
    white = np.array([at.white[0], at.white[1], 1 - sum(at.white)]) / at.white[1]
    source = _BRADFORD @ white
    if np.abs(source).min() < _SINGULAR:
        return None
    adaptation = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ D50 / source) @ _BRADFORD)
    matrix: Matrix = adaptation @ (columns * np.linalg.solve(columns, white))
    return matrix


def of_pictures(cicp: Cicp) -> Cicp:
    """Read code points as Chromium does outside PNG: cameras' curves are sRGB's, and what is not said too."""
    primaries = _SRGB_PRIMARIES if cicp.primaries == UNSPECIFIED else cicp.primaries
    transfer = _SRGB_TRANSFER if cicp.transfer in (UNSPECIFIED, *_CAMERA_TRANSFERS) else cicp.transfer
    return replace(cicp, primaries=primaries, transfer=transfer)


_SRGB_PRIMARIES, _SRGB_TRANSFER = 1, 13
_CAMERA_TRANSFERS = (1, 6, 11)


def cicp_space(cicp: Cicp) -> MatrixSpace | None:
    """Look up code points; None where they name nothing that browsers convert by matrix and curve."""
    at, curve = _PRIMARIES.get(cicp.primaries), _TRANSFERS.get(cicp.transfer)
    if at is None or curve is None:
        return None
    matrix = primaries_to_xyz(at)
    tone = _TONES.get(cicp.transfer)
    return None if matrix is None else MatrixSpace(curves=(curve, curve, curve), to_xyz=matrix, tone=tone)


def gamma_space(gamma: float | tuple[float, float, float] | None, at: Chromaticities | None) -> MatrixSpace | None:
    """Read a PNG's gAMA and cHRM, and a BMP's figures, as Chromium does; None where it leaves colours alone.

    Primaries alone count for nothing, and neither does an exponent near 1/2.2 alone (`_NEUTRAL`, from libpng).
    """
    if gamma is None:
        return None
    red, green, blue = gamma if isinstance(gamma, tuple) else (gamma, gamma, gamma)
    if min(red, green, blue) <= 0 or (at is None and abs(red * 2.2 - 1) < _NEUTRAL):
        return None
    matrix = SRGB_TO_XYZ if at is None else primaries_to_xyz(at)
    curves = ParametricCurve(g=1 / red), ParametricCurve(g=1 / green), ParametricCurve(g=1 / blue)
    return None if matrix is None else MatrixSpace(curves=curves, to_xyz=matrix)


_NEUTRAL = 0.05


def grey_to_rgb(space: MatrixSpace) -> MatrixSpace | None:
    """Say the same of a grey picture by sRGB's primaries; None where it would be tinted."""
    light = XYZ_TO_SRGB @ space.to_xyz.sum(axis=1)
    return MatrixSpace(curves=space.curves, to_xyz=SRGB_TO_XYZ) if np.abs(light - 1).max() < _TINT else None


# A fiftieth of a level and more of the white that `to_xyz` adds up to.
_TINT = 0.005


def _named_to_xyz(primaries: int) -> Matrix:
    matrix = primaries_to_xyz(_PRIMARIES[primaries])
    assert matrix is not None  # noqa: S101  it is in the table
    return matrix


BT2020_TO_XYZ: Matrix = _named_to_xyz(9)
XYZ_TO_BT2020 = invert(BT2020_TO_XYZ)
