"""Bytes of an ICC profile in, the one way from device values to XYZ that browsers take out; None where they take none.

Written after what skcms (Chromium) accepts, so that nothing is applied that a browser ignores, nor the reverse. What is
accepted there and refused or read otherwise elsewhere is marked as doubtful.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipwarden.vision.colour.curves import Curve, Floats, ParametricCurve, SampledCurve
from clipwarden.vision.colour.othertags import OTHER_TAGS, ProfileError, check_other_tags
from clipwarden.vision.colour.spaces import D50, Matrix, MatrixSpace
from clipwarden.vision.structure import Cicp

# Honest CMYK profiles have 0.5 to 3 MB (those of ECI and of Adobe).
MAX_PROFILE_BYTES = 4 * 2**20

Integers = NDArray[np.unsignedinteger[Any]]

_HEADER_BYTES, _TAG_BYTES, _LEAST_TAG = 132, 12, 4
_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac", b"link", b"abst", b"nmcl")
# Whose profiles belong into no picture; Chromium does not ask.
_ODD_CLASSES = (b"link", b"abst", b"nmcl")
_MAJOR_VERSIONS, _ODD_VERSION = (2, 3, 4), 3
_DEVICES = (b"RGB ", b"GRAY", b"CMYK", b"Lab ", b"XYZ ", b"Luv ", b"Yxy ", b"HSV ", b"HLS ", b"CMY ", b"3CLR", b"4CLR")
_INWARD, _OUTWARD = (b"A2B0", b"A2B1", b"A2B2"), (b"B2A0", b"B2A1", b"B2A2", b"gamt")
# Chromium refuses a profile with a longer curve; honest ones have 4,096 at most.
_MOST_SAMPLES = 40_000
_CHANNELS = {b"GRAY": 1, b"CMYK": 4}
# skcms allows as much around D50 in the header.
_WHITE_TOLERANCE = 0.01
# Of 16-bit tables (ICC.1:2022, 10.10).
_TABLE_ENTRIES = range(2, 4097)
_MOST_INPUTS = 4
# An XYZ of 1.0 is 32,768 of 65,535 (ICC.1:2022, 6.3.4.2).
_XYZ_SCALE = 65535 / 32768
_PARAMETERS = (1, 3, 4, 5, 7)
_EMPTY_CURVE = 12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LutSpace:
    """A way through a grid of nodes: curves, grid, curves and matrix, curves; each but the last may be missing.

    Attributes:
        inputs: A curve for each device channel; empty without a grid.
        grid: Nodes along each channel.
        nodes: float32 [3, product of `grid`], the last channel fastest.
        middle: Curves before the matrix; None without a matrix.
        matrix: [3,4], the last column added.
        outputs: Curves onto the connection space.
        lab: Whether that is Lab, else XYZ; under D50.
        gamut: Linear RGB to XYZ, to whose gamut results are clipped; None without.
    """

    inputs: tuple[Curve, ...]
    grid: tuple[int, ...]
    nodes: Floats
    middle: tuple[Curve, ...] | None
    matrix: Matrix | None
    outputs: tuple[Curve, ...]
    lab: bool
    gamut: Matrix | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Profile:
    """What a profile does.

    Attributes:
        device: Signature of its colours, such as `RGB `, `GRAY` or `CMYK`.
        space: The way to XYZ.
        cicp: Code points that go before it; None without.
        doubtful: Whether other readers refuse it, or read it otherwise.
    """

    device: bytes
    space: MatrixSpace | LutSpace
    cicp: Cicp | None
    doubtful: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Lut:
    """A table as it lies in the profile; `LutSpace` has the parts."""

    inputs: tuple[Curve, ...]
    outputs: tuple[Curve, ...]
    grid: tuple[int, ...] = ()
    nodes: Integers | None = None
    middle: tuple[Curve, ...] | None = None
    matrix: Matrix | None = None
    odd: bool = False


def read_profile(data: bytes) -> Profile:
    """Read a profile as Chromium does.

    Args:
        data: Untrusted.

    Returns:
        What it does.

    Raises:
        ProfileError: It is broken, too large, or has no way to XYZ.
    """
    if len(data) > MAX_PROFILE_BYTES:
        raise ProfileError(f"more than {MAX_PROFILE_BYTES} bytes")
    try:
        return _read(memoryview(data))
    except struct.error as exc:
        raise ProfileError("it ends inside a tag") from exc


def _read(data: memoryview) -> Profile:
    size, version, device_class, device, connection = struct.unpack_from(">I4xI4s4s4s", data)
    (signature,), (tag_count,) = struct.unpack_from(">4s", data, 36), struct.unpack_from(">I", data, 128)
    white = np.array(struct.unpack_from(">3i", data, 68)) / 65536
    if signature != b"acsp" or _HEADER_BYTES + _TAG_BYTES * tag_count > len(data):
        raise ProfileError("no header of a profile")
    if version >> 24 not in _MAJOR_VERSIONS or device_class not in _CLASSES or device not in _DEVICES:
        raise ProfileError("of an unknown version, class or colour space")
    if connection not in (b"XYZ ", b"Lab "):
        raise ProfileError("not to XYZ or Lab")
    tags, odd_tags = _read_tags(data, tag_count, size)
    check_other_tags(tags)
    space, odd_space = _read_space(tags, device, lab=connection == b"Lab ")
    odd = version >> 24 == _ODD_VERSION or device_class in _ODD_CLASSES or np.abs(white - D50).max() > _WHITE_TOLERANCE
    cicp = _read_cicp(tags) if device == b"RGB " and device_class in (b"mntr", b"scnr") else None
    return Profile(device=device, space=space, cicp=cicp, doubtful=bool(odd or odd_tags or odd_space))


def _read_tags(data: memoryview, count: int, size: int) -> tuple[dict[bytes, memoryview], bool]:
    """Return tags by signature, the last of each, and whether skcms takes another or none."""
    table = np.frombuffer(data, dtype=">u4", count=3 * count, offset=_HEADER_BYTES).reshape(-1, 3).astype(np.int64)
    ends = table[:, 1] + table[:, 2]
    odd = not _HEADER_BYTES + _TAG_BYTES * count <= size <= len(data)
    odd = odd or bool(count and ((table[:, 2] < _LEAST_TAG).any() or ends.max() > size))
    names, from_end = np.unique(table[::-1, 0], return_index=True)
    tags = {}
    for name, row in zip(names, count - 1 - from_end, strict=True):
        signature = int(name).to_bytes(4, "big")
        if signature in _READ or signature in OTHER_TAGS:
            if ends[row] > len(data):
                raise ProfileError("a tag lies outside")
            tags[signature] = data[table[row, 1] : ends[row]]
    return tags, odd or len(names) != count


def _read_space(tags: dict[bytes, memoryview], device: bytes, *, lab: bool) -> tuple[MatrixSpace | LutSpace, bool]:
    """Return the way to XYZ and whether it is an odd one. All is read: what is broken breaks the whole."""
    curves, matrix = _read_matrix(tags, device, lab=lab)
    tables = [_read_lut(tags[name], outputs=(3,), lab=lab) for name in _INWARD if name in tags]
    for name in _OUTWARD:
        if name in tags:
            _read_lut(tags[name], outputs=(1, 3, 4), lab=lab)
    if tables:
        lut = tables[0]
        odd = lut.odd or (not lab and lut.matrix is None) or len(lut.inputs) not in (0, _CHANNELS.get(device, 3))
        odd = odd or (b"A2B0" not in tags and b"A2B1" not in tags)
        return _lut_space(lut, lab=lab, gamut=matrix), odd
    if curves is None or matrix is None:
        raise ProfileError("no way to XYZ")
    return MatrixSpace(curves=curves, to_xyz=matrix), False


def _lut_space(lut: _Lut, *, lab: bool, gamut: Matrix | None) -> LutSpace:
    nodes = np.empty((3, 0), dtype=np.float32)
    if lut.nodes is not None:
        top = np.float32(np.iinfo(lut.nodes.dtype).max)
        nodes = np.ascontiguousarray((lut.nodes.reshape(-1, 3) / top).astype(np.float32).T)
    return LutSpace(
        inputs=lut.inputs,
        grid=lut.grid,
        nodes=nodes,
        middle=lut.middle,
        matrix=lut.matrix,
        outputs=lut.outputs,
        lab=lab,
        gamut=gamut,
    )


def _read_matrix(
    tags: dict[bytes, memoryview], device: bytes, *, lab: bool
) -> tuple[tuple[Curve, Curve, Curve] | None, Matrix | None]:
    if device == b"GRAY":
        curve = _read_tone(tags, b"kTRC")
        return (None if curve is None else (curve, curve, curve)), None if lab else np.diag(D50)
    if device != b"RGB ":
        return None, None
    red, green, blue = (_read_tone(tags, name) for name in (b"rTRC", b"gTRC", b"bTRC"))
    curves = None if red is None or green is None or blue is None else (red, green, blue)
    matrix = np.array([_read_xyz(tags, name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T
    return curves, matrix if matrix.any(axis=0).all() else None


def _read_tone(tags: dict[bytes, memoryview], name: bytes) -> Curve | None:
    """Return a curve; None without one, and where it has no samples, which Chromium does not take for the identity."""
    if name not in tags:
        return None
    curve, size = _read_curve(tags[name])
    return None if size == _EMPTY_CURVE else curve


def _read_xyz(tags: dict[bytes, memoryview], name: bytes) -> tuple[float, float, float]:
    """Return a primary; black without one, and where it is of another type."""
    tag = tags.get(name, b"")
    if bytes(tag[:4]) != b"XYZ ":
        return 0.0, 0.0, 0.0
    x, y, z = struct.unpack_from(">8x3i", tag)
    return x / 65536, y / 65536, z / 65536


def _read_cicp(tags: dict[bytes, memoryview]) -> Cicp | None:
    if b"cicp" not in tags:
        return None
    kind, primaries, transfer, matrix, full = struct.unpack_from(">4s4x4B", tags[b"cicp"])
    if kind != b"cicp":
        raise ProfileError("its code points are of another type")
    return Cicp(primaries=primaries, transfer=transfer, matrix=matrix, full_range=full == 1)


def _read_curve(data: memoryview) -> tuple[Curve, int]:
    """Return a curve and how many bytes it takes."""
    kind = bytes(data[:4])
    if kind == b"para":
        return _read_parametric(data)
    if kind != b"curv":
        raise ProfileError("a curve is of another type")
    (count,) = struct.unpack_from(">I", data, 8)
    end = 12 + 2 * count
    if end > len(data) or count > _MOST_SAMPLES:
        raise ProfileError("a curve ends too early, or is too long")
    if count == 0:
        return ParametricCurve(g=1.0), end
    if count == 1:
        return ParametricCurve(g=struct.unpack_from(">H", data, 12)[0] / 256), end
    samples = np.frombuffer(data, dtype=">u2", count=count, offset=12)
    return SampledCurve(samples=(samples / np.float32(65535)).astype(np.float32)), end


def _read_parametric(data: memoryview) -> tuple[Curve, int]:
    (kind,) = struct.unpack_from(">H", data, 8)
    if kind >= len(_PARAMETERS):
        raise ProfileError("an unknown parametric curve")
    count = _PARAMETERS[kind]
    g, *rest = (value / 65536 for value in struct.unpack_from(f">{count}i", data, 12))
    if kind in (1, 2):
        if rest[0] == 0:
            raise ProfileError("a parametric curve without a slope")
        added = rest[2] if kind == 2 else 0.0  # noqa: PLR2004
        rest = [rest[0], rest[1], 0.0, -rest[1] / rest[0], added, added]
    curve = ParametricCurve(**dict(zip("gabcdef", (g, *rest), strict=False)))
    sound = min(curve.a, curve.c, curve.d, curve.g) >= 0 and curve.a * curve.d + curve.b >= -_ROUNDING
    if not sound:
        raise ProfileError("a parametric curve of no real numbers")
    return curve, 12 + 4 * count


# -b / a * a + b is zero, but for the last bits.
_ROUNDING = 1e-9


def _read_lut(tag: memoryview, *, outputs: tuple[int, ...], lab: bool) -> _Lut:
    kind, inputs, results = struct.unpack_from(">4s4xBB", tag)
    outward = outputs != (3,)
    newer = b"mBA " if outward else b"mAB "
    # The connection space has three channels.
    if results not in outputs or not (inputs == 3 if outward else inputs <= _MOST_INPUTS):  # noqa: PLR2004
        raise ProfileError("a table of other channels")
    if kind == newer:
        return _read_newer_lut(tag, inputs, results, outward=outward, lab=lab)
    if kind not in (b"mft1", b"mft2") or inputs == 0:
        raise ProfileError("a table of another type")
    return _read_older_lut(tag, kind, inputs, results)


def _read_older_lut(tag: memoryview, kind: bytes, inputs: int, results: int) -> _Lut:
    """Read `lut8Type` or `lut16Type` (ICC.1:2022, 10.10 and 10.11)."""
    (side,) = struct.unpack_from(">B", tag, 10)
    dtype: np.dtype[np.unsignedinteger[Any]]
    dtype, start, first, last = np.dtype(np.uint8), 48, 256, 256
    if kind == b"mft2":
        dtype, start = np.dtype(">u2"), 52
        first, last = struct.unpack_from(">HH", tag, 48)
    matrix = np.array(struct.unpack_from(">9i", tag, 12)).reshape(3, 3) / 65536
    if side < 2 or first not in _TABLE_ENTRIES or last not in _TABLE_ENTRIES:  # noqa: PLR2004
        raise ProfileError("a table without room between its nodes")
    counts = inputs * first, side**inputs * results, results * last
    if start + sum(counts) * dtype.itemsize > len(tag):
        raise ProfileError("a table ends too early")
    values = np.frombuffer(tag, dtype=dtype, count=sum(counts), offset=start)
    before, nodes, after = np.split(values, np.cumsum(counts)[:2])
    return _Lut(
        inputs=tuple(_sampled(row) for row in before.reshape(inputs, -1)),
        outputs=tuple(_sampled(row) for row in after.reshape(results, -1)),
        grid=(side,) * inputs,
        nodes=nodes,
        odd=bool(np.abs(matrix - np.eye(3)).max() > 0),
    )


def _sampled(samples: Integers) -> Curve:
    top = np.float32(np.iinfo(samples.dtype).max)
    return SampledCurve(samples=(samples / top).astype(np.float32))


def _read_newer_lut(tag: memoryview, inputs: int, results: int, *, outward: bool, lab: bool) -> _Lut:
    """Read `lutAToBType`, or `lutBToAType`, whose stages stand the other way round (ICC.1:2022, 10.12 and 10.13)."""
    b_at, matrix_at, m_at, grid_at, a_at = struct.unpack_from(">5I", tag, 12)
    if b_at == 0 or bool(m_at) != bool(matrix_at) or bool(a_at) != bool(grid_at):
        raise ProfileError("a table whose stages are not all there")
    b_curves = tuple(_read_curves(tag, b_at, 3))
    middle, matrix = None, None
    if m_at:
        middle = tuple(_read_curves(tag, m_at, 3))
        numbers = np.array(struct.unpack_from(">12i", tag, matrix_at)) / 65536
        matrix = np.concatenate([numbers[:9].reshape(3, 3), numbers[9:].reshape(3, 1)], axis=1)
        matrix = matrix if lab else matrix * _XYZ_SCALE
    if not a_at:
        if inputs != results:
            raise ProfileError("a table without nodes between other channels")
        return _Lut(inputs=(), outputs=b_curves, middle=middle, matrix=matrix)
    a_curves = tuple(_read_curves(tag, a_at, results if outward else inputs))
    grid, nodes = _read_nodes(tag, grid_at, inputs, results)
    return _Lut(inputs=a_curves, outputs=b_curves, grid=grid, nodes=nodes, middle=middle, matrix=matrix)


def _read_nodes(tag: memoryview, start: int, inputs: int, results: int) -> tuple[tuple[int, ...], Integers]:
    grid = struct.unpack_from(f">{inputs}B", tag, start)
    (width,) = struct.unpack_from(">B", tag, start + 16)
    if width not in (1, 2) or any(side < 2 for side in grid):  # noqa: PLR2004
        raise ProfileError("a table without room between its nodes")
    dtype, count = np.dtype(">u2" if width == 2 else np.uint8), math.prod(grid) * results  # noqa: PLR2004
    if start + 20 + count * width > len(tag):
        raise ProfileError("a table ends too early")
    return grid, np.frombuffer(tag, dtype=dtype, count=count, offset=start + 20)


def _read_curves(tag: memoryview, start: int, count: int) -> list[Curve]:
    """Read curves that follow each other, where readers agree on where each begins."""
    curves, sizes = [], []
    for _ in range(count):
        curve, size = _read_curve(tag[start:])
        curves.append(curve)
        sizes.append(size)
        start += size + 3 & ~3
    if _EMPTY_CURVE in sizes and set(sizes) != {_EMPTY_CURVE}:
        # Chromium (moxcms 0.8) does not step over one without samples, and reads it again for all that follow.
        raise ProfileError("identities without samples among other curves")
    return curves


_READ = frozenset({b"kTRC", b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ", b"cicp", *_INWARD, *_OUTWARD})
