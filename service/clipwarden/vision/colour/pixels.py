"""8-bit pixels of a colour space in, 8-bit pixels of sRGB out: by littleCMS where that is the same, else here."""

import io
import struct
from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from clipwarden.vision.colour.curves import LEVELS, Curve, Floats, ParametricCurve, encode_srgb
from clipwarden.vision.colour.luts import LutSpace
from clipwarden.vision.colour.spaces import BT2020_TO_XYZ, D50, XYZ_TO_BT2020, XYZ_TO_SRGB, Matrix, MatrixSpace

Levels = NDArray[np.uint8]
Wide = NDArray[np.uint16]

# Rows of pixels that are in hand at once: their intermediates (about 100 bytes a pixel) stay in a core's cache.
_BAND_PIXELS = 16_384
_WIDE_TOP = 65535
_XYZ_TO_SRGB = XYZ_TO_SRGB.astype(np.float32)
_D50 = D50.astype(np.float32)


class Converter:
    """Pixels of one colour space to sRGB, exactly as the space's stages say; safe to use from many threads."""

    def __init__(self, space: MatrixSpace | LutSpace, *, inks: bool = False, simplexes: bool = False) -> None:
        """Prepare for pixels of light, or of the inks that take it away.

        Args:
            space: The pixels'.
            inks: Whether it is of inks while pixels are RGB: red is what cyan leaves, and there is no black.
            simplexes: Whether to interpolate between nodes as others do than Chromium.
        """
        self._space, self._interpolate = space, _by_simplex if simplexes else _in_all_directions
        self._levels = 1 - LEVELS if inks else LEVELS
        # What the first stage makes of the 256 levels there are.
        self._first = first_stage(space, [self._levels] * 4)

    def convert(self, pixels: Levels | Wide) -> Levels:
        """Convert pixels, a band at a time.

        Args:
            pixels: uint8 or uint16 [N,C], of C channels; a channel that the space has beyond these is full.

        Returns:
            uint8 [N,3].
        """
        result = np.empty((len(pixels), 3), dtype=np.uint8)
        for start in range(0, len(pixels), _BAND_PIXELS):
            band = pixels[start : start + _BAND_PIXELS]
            result[start : start + len(band)] = encode_srgb(self._light(self._after_first_stage(band))).T
        return result

    def _after_first_stage(self, pixels: Levels | Wide) -> list[Floats]:
        channels = [_channel(pixels, index) for index in range(max(3, len(self._first)))]
        if pixels.dtype == np.uint8:
            tables = self._first or [self._levels] * 3
            return [table.take(channel) for table, channel in zip(tables, channels, strict=False)]
        values = [channel.astype(np.float32) / np.float32(_WIDE_TOP) for channel in channels]
        return first_stage(self._space, values) or values

    def _light(self, at: list[Floats]) -> Floats:
        """Go on from behind the first curves, [N] of each channel: to linear sRGB [3,N], not clipped."""
        space = self._space
        if isinstance(space, MatrixSpace):
            if space.tone is None:
                return _mixed(XYZ_TO_SRGB @ space.to_xyz, np.stack(at))
            wide = space.tone(_mixed(XYZ_TO_BT2020 @ space.to_xyz, np.stack(at)))
            return _mixed(XYZ_TO_SRGB @ BT2020_TO_XYZ, wide)
        xyz = _after_grid(space, self._interpolate(space, at) if space.inputs else np.stack(at))
        if space.gamut is not None:
            xyz = _clip_to(space.gamut, xyz)
        return _XYZ_TO_SRGB @ xyz


def _mixed(matrix: Matrix, light: Floats) -> Floats:
    mixed: Floats = matrix.astype(np.float32) @ light
    return mixed


def first_stage(space: MatrixSpace | LutSpace, values: list[Floats]) -> list[Floats]:
    """Apply the first curves, each to its channel; none where a table begins with its matrix.

    Where those of a matrix are not one formula for all three, Chromium clips light to 0-1 before it mixes.
    """
    curves = space.inputs if isinstance(space, LutSpace) else space.curves
    light = [curve(channel) for curve, channel in zip(curves, values, strict=False)]
    unclipped = isinstance(space, LutSpace) or space.tone is not None or is_one_formula(space)
    return light if unclipped else [np.clip(each, 0, 1) for each in light]


def is_one_formula(space: MatrixSpace) -> bool:
    """Whether Chromium leaves pixels as they are stored until they are shown."""
    return isinstance(space.curves[0], ParametricCurve) and len(set(space.curves)) == 1


def _channel(pixels: Levels | Wide, index: int) -> Levels | Wide:
    if index < pixels.shape[1]:
        return pixels[:, index]
    return np.full(len(pixels), np.iinfo(pixels.dtype).max, dtype=pixels.dtype)


def _in_cells(space: LutSpace, at: list[Floats]) -> tuple[NDArray[np.intp], Floats]:
    """Find the cell of each pixel: the index [N] of its first node, and where in it the pixel lies [C,N]."""
    base, fractions = np.zeros(len(at[0]), dtype=np.intp), []
    for values, side, stride in zip(at, space.grid, _strides(space.grid), strict=True):
        position = np.clip(values, 0, 1) * np.float32(side - 1)
        below = np.minimum(position.astype(np.intp), side - 2)
        base += below * stride
        fractions.append(position - below.astype(np.float32))
    return base, np.stack(fractions)


def _in_all_directions(space: LutSpace, at: list[Floats]) -> Floats:
    """Interpolate as skcms does: of all corners of a cell."""
    base, fractions = _in_cells(space, at)
    strides = list(_strides(space.grid))
    weights = [(1 - fraction, fraction) for fraction in fractions]
    result = np.zeros((3, len(base)), dtype=np.float32)
    for corner in product((0, 1), repeat=len(strides)):
        index = base + sum(bit * stride for bit, stride in zip(corner, strides, strict=True))
        weight = np.ones(len(base), dtype=np.float32)
        for bit, pair in zip(corner, weights, strict=True):
            weight = weight * pair[bit]
        for channel in range(3):
            result[channel] += weight * space.nodes[channel].take(index)
    return result / np.float32(space.top)


def _by_simplex(space: LutSpace, at: list[Floats]) -> Floats:
    """Interpolate as littleCMS and qcms do: of the corners from the first to the last, farthest axis first."""
    index, fractions = _in_cells(space, at)
    order = np.argsort(-fractions, axis=0)
    steps = np.array(list(_strides(space.grid)))[order]
    ends = np.take_along_axis(fractions, order, axis=0)
    weights = -np.diff(np.concatenate([np.ones_like(ends[:1]), ends, np.zeros_like(ends[:1])]), axis=0)
    result = weights[0] * space.nodes.take(index, axis=1)
    for weight, step in zip(weights[1:], steps, strict=True):
        index = index + step
        result = result + weight * space.nodes.take(index, axis=1)
    scaled: Floats = (result / np.float32(space.top)).astype(np.float32)
    return scaled


def _strides(grid: tuple[int, ...]) -> Iterator[int]:
    stride = int(np.prod(grid))
    for side in grid:
        stride //= side
        yield stride


def _after_grid(space: LutSpace, values: Floats) -> Floats:
    if space.middle is not None and space.matrix is not None:
        curved = _curved(space.middle, values)
        values = space.matrix[:, :3].astype(np.float32) @ curved + space.matrix[:, 3:].astype(np.float32)
    values = _curved(space.outputs, values)
    return _lab_to_xyz(values) if space.lab else values


def _curved(curves: tuple[Curve, ...], values: Floats) -> Floats:
    return np.stack([curve(row) for curve, row in zip(curves, values, strict=True)])


def _lab_to_xyz(values: Floats) -> Floats:
    """Lab as version 4 encodes it, [3,N] of 0-1, to XYZ (CIE 15:2004, 8.2.1)."""
    lightness, a, b = values[0] * 100, values[1] * 255 - 128, values[2] * 255 - 128
    y = (lightness + 16) / 116
    root = np.stack([y + a / 500, y, y - b / 200])
    cube = root * root * root  # a power takes ten times as long below zero
    ratio = np.where(cube > 0.008856, cube, (root - np.float32(16 / 116)) / np.float32(7.787))  # noqa: PLR2004
    xyz: Floats = ratio * _D50[:, None]
    return xyz


def _clip_to(gamut: Matrix, xyz: Floats) -> Floats:
    """Clip to what the profile's own primaries can mix: Chromium keeps pixels in these before it shows them."""
    if abs(np.linalg.det(gamut)) < 1e-9:  # noqa: PLR2004  skcms finds no inverse either, and keeps sRGB
        return xyz
    mixed = np.linalg.inv(gamut).astype(np.float32) @ xyz
    clipped: Floats = gamut.astype(np.float32) @ np.clip(mixed, 0, 1)
    return clipped


def build_transform(space: MatrixSpace, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Have littleCMS do it, 5 times as fast; None where its integers would overflow or its curves clip.

    It is handed a profile of our own writing, so that nothing of an untrusted file reaches it but numbers.

    Source: littleCMS 2.19, cmsopt.c: 8-bit RGB through curves, matrix, curves runs in fixed point of 14 bits, exact at
    all 256 levels; nothing is resampled. Relative colorimetric without black point compensation is what browsers do.
    """
    tables = np.stack(first_stage(space, [LEVELS] * 3))
    mixing = np.abs(XYZ_TO_SRGB @ space.to_xyz).sum(axis=1)
    if space.tone is not None or tables.min() < 0 or tables.max() > 1 or mixing.max() > _MOST_MIXING:
        return None
    source = ImageCms.ImageCmsProfile(io.BytesIO(_write_profile(tables, space.to_xyz)))
    return ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, mode, ImageCms.Intent.RELATIVE_COLORIMETRIC
    )


# Sums of 1.14 fixed point stay within 32 bits up to 8.
_MOST_MIXING = 4.0


def _write_profile(tables: Floats, to_xyz: Matrix) -> bytes:
    """Write a version 2 display profile: curves of 256 samples [3,256], primaries as columns of [3,3]."""
    bodies = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T, strict=True)}
    for name, table in zip((b"rTRC", b"gTRC", b"bTRC"), tables, strict=True):
        bodies[name] = b"curv" + bytes(4) + struct.pack(">I", 256) + (table * 65535).round().astype(">u2").tobytes()
    bodies[b"wtpt"] = _xyz(D50)
    start, table_bytes, body = 132 + 12 * len(bodies), struct.pack(">I", len(bodies)), b""
    for name, data in bodies.items():
        table_bytes += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4xI", 128 + len(table_bytes) + len(body), 0x02400000) + b"mntrRGB XYZ " + bytes(12)
    return head + b"acsp" + bytes(28) + _xyz(D50)[8:] + bytes(48) + table_bytes + body


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(value) * 65536) for value in values))
