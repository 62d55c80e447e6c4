"""Colour spaces given by formula in, ICC profiles of every kind out, written here from the specification (ICC.1:2022).

None is copied from elsewhere. What a profile says and what the formula says is the same, up to its grid.
"""

import struct
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

Pair = tuple[float, float]
Floats = NDArray[np.float64]
Curve = bytes
"""A curve as its tag holds it: signature, and its numbers."""

D50 = np.array([0.9642, 1.0, 0.8249])  # ICC.1, 7.2.16
D65: Pair = (0.3127, 0.3290)
SRGB_PRIMARIES: tuple[Pair, Pair, Pair] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_PRIMARIES: tuple[Pair, Pair, Pair] = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_PRIMARIES: tuple[Pair, Pair, Pair] = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO_PRIMARIES: tuple[Pair, Pair, Pair] = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
PROPHOTO_WHITE: Pair = (0.3457, 0.3585)
BT2020_PRIMARIES: tuple[Pair, Pair, Pair] = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
SWAPPED_PRIMARIES: tuple[Pair, Pair, Pair] = ((0.15, 0.06), (0.64, 0.33), (0.30, 0.60))

_LAB_OFFSET = np.array([0.0, 128.0, 128.0])  # tables hold nothing below zero
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def srgb_to_linear(values: Floats) -> Floats:
    """IEC 61966-2-1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def xyz_of(point: Pair) -> Floats:
    """A chromaticity at luminance 1."""
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def rgb_to_xyz(primaries: Sequence[Pair], white: Pair = D65) -> Floats:
    """Compute the 3 x 3 matrix from linear RGB to XYZ under D50 (Bradford)."""
    columns = np.stack([xyz_of(point) for point in primaries], axis=1)
    scaled = columns * np.linalg.solve(columns, xyz_of(white))
    source, target = _BRADFORD @ xyz_of(white), _BRADFORD @ D50
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(target / source) @ _BRADFORD
    matrix: Floats = adaptation @ scaled
    return matrix


def xyz_to_lab(xyz: Floats) -> Floats:
    """XYZ [..., 3] under D50 to CIE Lab: 0-100, -128 to 127."""
    ratio = np.maximum(xyz, 0) / D50
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def gamma_curve(exponent: float) -> Curve:
    """One number in 1/256, the oldest way."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def table_curve(values: Sequence[float] | Floats) -> Curve:
    """Samples of 0-1, any course: falling and V-shaped ones too."""
    numbers = [round(min(max(float(value), 0), 1) * 65535) for value in values]
    return b"curv\0\0\0\0" + struct.pack(f">I{len(numbers)}H", len(numbers), *numbers)


def parametric_curve(kind: int, *numbers: float) -> Curve:
    """Type 0 to 4 of ICC.1, 10.18."""
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, numbers))


IDENTITY_CURVE: Curve = b"curv" + bytes(8)
SRGB_PARAMETRIC = parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB_TABLE = table_curve(srgb_to_linear(np.linspace(0, 1, 1024)))
NEGATIVE_CURVE = table_curve(srgb_to_linear(np.linspace(1, 0, 256)))
V_CURVE = table_curve(np.abs(np.linspace(-1, 1, 257)))


def matrix_profile(
    curve: Curve, primaries: Sequence[Pair] = SRGB_PRIMARIES, white: Pair = D65, *, version: int = 2
) -> bytes:
    """Write an RGB display profile of three primaries and one curve for all."""
    tags = [*colorants(rgb_to_xyz(primaries, white)), *tones(curve)]
    return write_profile(b"RGB ", b"XYZ ", tags, version=version)


def grey_profile(curve: Curve, *, version: int = 2) -> bytes:
    """Write a grey display profile."""
    return write_profile(b"GRAY", b"XYZ ", [(b"kTRC", curve)], version=version)


def lut_profile(
    kind: str, space: bytes, to_xyz: Callable[[Floats], Floats], *, grid: int = 17, version: int = 2
) -> bytes:
    """Write a profile whose A2B0 is a grid of Lab values.

    Args:
        kind: `mft1` (8 bit), `mft2` (16 bit) or `mAB` (of version 4).
        space: `RGB ` or `CMYK`.
        to_xyz: Device values [N, channels] of 0-1 to XYZ [N, 3] under D50.
        grid: Points along each channel.
        version: Major version of the profile.
    """
    channels = {b"RGB ": 3, b"CMYK": 4, b"GRAY": 1}[space]
    lab = xyz_to_lab(to_xyz(lattice(grid, channels)))
    table = {"mft1": _mft1, "mft2": _mft2, "mAB": _mab}[kind](lab, channels, grid)
    device = b"prtr" if space == b"CMYK" else b"mntr"
    # A reader may want the way back too; what is converted to such a profile is not our question, so it is the same.
    tags = [(b"A2B0", table)] if space != b"CMYK" else [(b"A2B0", table), (b"A2B1", table), (b"A2B2", table)]
    return write_profile(space, b"Lab ", tags, device=device, version=version)


def write_profile(
    space: bytes, connection: bytes, tags: Sequence[tuple[bytes, bytes]], *, device: bytes = b"mntr", version: int = 2
) -> bytes:
    """Put tags into a file; description, copyright and white point come by themselves."""
    text = _mluc if version >= 4 else _old_text
    own = [(b"desc", text(b"desc")), (b"cprt", text(b"text")), (b"wtpt", xyz_tag(D50))]
    every = [*own, *tags]
    start, table, body = 132 + 12 * len(every), struct.pack(">I", len(every)), b""
    for signature, data in every:
        table += signature + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI", 128 + len(table) + len(body), version << 24) + device + space + connection
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(_fixed, D50)) + bytes(48)
    return head + table + body


def cmyk_to_xyz(values: Floats) -> Floats:
    """A press by formula: each ink takes away its complement, imperfectly, as real ones do; black takes all."""
    inks = np.array([[0.95, 0.30, 0.10], [0.15, 0.92, 0.25], [0.02, 0.12, 0.90]])
    light = np.ones((len(values), 3))
    for ink in range(3):
        light *= 1 - values[:, ink : ink + 1] * inks[ink]
    light *= 1 - 0.97 * values[:, 3:4]
    xyz: Floats = light @ rgb_to_xyz(SRGB_PRIMARIES).T
    return xyz


def rgb_formula(
    primaries: Sequence[Pair], decode: Callable[[Floats], Floats], white: Pair = D65
) -> Callable[[Floats], Floats]:
    """Make the `to_xyz` of an RGB space."""
    matrix = rgb_to_xyz(primaries, white)
    return lambda values: decode(values) @ matrix.T


def _mft1(lab: Floats, channels: int, grid: int) -> bytes:
    scaled = (lab + _LAB_OFFSET) * [255 / 100, 1, 1]
    ramp = bytes(range(256))
    values = scaled.round().clip(0, 255).astype(np.uint8).tobytes()
    return _mft_head(b"mft1", channels, grid) + ramp * channels + values + ramp * 3


def _mft2(lab: Floats, channels: int, grid: int) -> bytes:
    return mft2_tag(lab, channels, grid)


def mft2_tag(lab: Floats, channels: int, grid: int, inputs: Sequence[float] | Floats = (0, 1)) -> bytes:
    """Write a `lut16Type` (ICC.1, 10.10) of Lab values, and one curve for all channels: samples of 0-1."""
    # The old encoding: 100 is 0xFF00.
    scaled = (lab + _LAB_OFFSET) * [0xFF00 / 100, 256, 256]
    values = scaled.round().clip(0, 65535).astype(">u2").tobytes()
    before = (np.asarray(inputs) * 65535).round().astype(">u2").tobytes()
    after = struct.pack(">2H", 0, 65535)
    counts = struct.pack(">2H", len(inputs), 2)
    return _mft_head(b"mft2", channels, grid) + counts + before * channels + values + after * 3


def colorants(matrix: Floats) -> list[tuple[bytes, bytes]]:
    """The tags of three primaries: linear RGB to XYZ under D50."""
    return [(name, xyz_tag(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)]


def tones(*curves: Curve) -> list[tuple[bytes, bytes]]:
    """The tags of three curves, or of one for all."""
    return list(zip((b"rTRC", b"gTRC", b"bTRC"), curves * 3 if len(curves) == 1 else curves, strict=True))


def lattice(grid: int, channels: int = 3) -> Floats:
    """Device values of all nodes of a grid: [grid ** channels, channels], the last fastest."""
    return np.array(list(product(np.linspace(0, 1, grid), repeat=channels)))


def _mft_head(name: bytes, channels: int, grid: int) -> bytes:
    identity = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
    return name + struct.pack(">4x4B", channels, 3, grid, 0) + b"".join(map(_fixed, identity))


def _mab(lab: Floats, channels: int, grid: int) -> bytes:
    """A curves, a grid of 16 bit, B curves; no matrix (ICC.1, 10.12)."""
    return mab_tag(b=[IDENTITY_CURVE] * 3, nodes=lab_nodes(lab), grid=[grid] * channels, a=[IDENTITY_CURVE] * channels)


def lab_nodes(lab: Floats) -> Floats:
    """Lab [N,3] as nodes of a newer table: 0-1."""
    nodes: Floats = (lab + _LAB_OFFSET) / [100, 255, 255]
    return nodes


def mab_tag(
    *,
    b: Sequence[Curve],
    m: Sequence[Curve] = (),
    matrix: Sequence[float] = (1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0),
    nodes: Floats | None = None,
    grid: Sequence[int] = (3, 3, 3),
    a: Sequence[Curve] = (),
) -> bytes:
    """Write a `lutAToBType` of 16 bits (ICC.1, 10.12), with a matrix where there are M curves.

    Args:
        b: Curves onto the connection space.
        m: Curves before the matrix, and `matrix`: 3 x 3, row by row, and what is added.
        matrix: See `m`.
        nodes: [product of `grid`, 3], of 0-1; None without a grid.
        grid: Nodes along each channel.
        a: Curves of the channels, before the grid.
    """
    parts = {"b": _padded(b), "matrix": b"".join(map(_fixed, matrix)) if m else b"", "m": _padded(m)}
    if nodes is not None:
        head = bytes(grid) + bytes(16 - len(grid)) + struct.pack(">B3x", 2)
        parts["grid"] = _padded([head + (nodes * 65535).round().clip(0, 65535).astype(">u2").tobytes()])
    parts["a"] = _padded(a)
    at, offsets = 32, {}
    for name, part in parts.items():
        offsets[name] = at if part else 0
        at += len(part)
    places = [offsets.get(name, 0) for name in ("b", "matrix", "m", "grid", "a")]
    return b"mAB \0\0\0\0" + struct.pack(">2B2x5I", len(a) or 3, 3, *places) + b"".join(parts.values())


def _padded(parts: Sequence[bytes]) -> bytes:
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def xyz_tag(values: Floats) -> bytes:
    """Three numbers."""
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _old_text(kind: bytes) -> bytes:
    if kind == b"desc":
        return b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    return b"text\0\0\0\0none\0"


def _mluc(_kind: bytes) -> bytes:
    return b"mluc\0\0\0\0" + struct.pack(">2I2s2s2I", 1, 12, b"en", b"US", 2, 28) + "x".encode("utf-16-be")
