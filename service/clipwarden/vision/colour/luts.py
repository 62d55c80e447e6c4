"""Bytes of an ICC profile in, its tables of many dimensions out, as Chromium reads them."""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipwarden.vision.colour.curves import Curve, ProfileError, SampledCurve
from clipwarden.vision.colour.readcurves import read_curves
from clipwarden.vision.colour.spaces import Matrix

Integers = NDArray[np.unsignedinteger[Any]]

# Of 16-bit tables (ICC.1:2022, 10.10).
_TABLE_ENTRIES = range(2, 4097)
_MOST_INPUTS = 4
# An XYZ of 1.0 is 32,768 of 65,535 (ICC.1:2022, 6.3.4.2).
_XYZ_SCALE = 65535 / 32768


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LutSpace:
    """A way through a grid of nodes: curves, grid, curves and matrix, curves; each but the last may be missing.

    Attributes:
        inputs: A curve for each device channel; empty without a grid.
        grid: Nodes along each channel.
        nodes: [3, product of `grid`], the last channel fastest; as small as the file holds them.
        top: What stands for 1 in them: 255 or 65,535.
        middle: Curves before the matrix; None without a matrix.
        matrix: [3,4], the last column added.
        outputs: Curves onto the connection space.
        lab: Whether that is Lab, else XYZ; under D50.
        gamut: Linear RGB to XYZ, to whose gamut results are clipped; None without.
    """

    inputs: tuple[Curve, ...]
    grid: tuple[int, ...]
    nodes: NDArray[np.generic]
    top: int
    middle: tuple[Curve, ...] | None
    matrix: Matrix | None
    outputs: tuple[Curve, ...]
    lab: bool
    gamut: Matrix | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lut:
    """A table as it lies in the profile; `LutSpace` has the parts. Odd: whether readers differ over it."""

    inputs: tuple[Curve, ...]
    outputs: tuple[Curve, ...]
    grid: tuple[int, ...] = ()
    nodes: Integers | None = None
    middle: tuple[Curve, ...] | None = None
    matrix: Matrix | None = None
    odd: bool = False


def lut_space(lut: Lut, *, lab: bool, gamut: Matrix | None) -> LutSpace:
    """Put a table's nodes into planes, which takes as many bytes as the table."""
    nodes: Integers = np.empty((3, 0), dtype=np.uint8)
    if lut.nodes is not None:
        native = lut.nodes.dtype.newbyteorder("=")
        nodes = lut.nodes.reshape(-1, 3).T.astype(native, order="C")
    return LutSpace(
        inputs=lut.inputs,
        grid=lut.grid,
        nodes=nodes,
        top=int(np.iinfo(nodes.dtype).max),
        middle=lut.middle,
        matrix=lut.matrix,
        outputs=lut.outputs,
        lab=lab,
        gamut=gamut,
    )


def read_lut(tag: memoryview, *, outputs: tuple[int, ...], lab: bool) -> Lut:
    """Read a table, from a device to the connection space or back.

    Args:
        tag: That holds it.
        outputs: How many channels may come out; (3,) for one to the connection space.
        lab: Whether that is Lab, else XYZ.

    Raises:
        ProfileError: It is none.
        struct.error: It ends too early.
    """
    kind, inputs, results = struct.unpack_from(">4s4xBB", tag)
    outward = outputs != (3,)
    newer = b"mBA " if outward else b"mAB "
    # The connection space has three channels.
    if results not in outputs or not (inputs == 3 if outward else 0 < inputs <= _MOST_INPUTS):  # noqa: PLR2004
        raise ProfileError("a table of other channels")
    if kind == newer:
        return _read_newer_lut(tag, inputs, results, outward=outward, lab=lab)
    if kind not in (b"mft1", b"mft2"):
        raise ProfileError("a table of another type")
    return _read_older_lut(tag, kind, inputs, results)


def _read_older_lut(tag: memoryview, kind: bytes, inputs: int, results: int) -> Lut:
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
    return Lut(
        inputs=tuple(_sampled(row) for row in before.reshape(inputs, -1)),
        outputs=tuple(_sampled(row) for row in after.reshape(results, -1)),
        grid=(side,) * inputs,
        nodes=nodes,
        odd=bool(np.abs(matrix - np.eye(3)).max() > 0),
    )


def _sampled(samples: Integers) -> Curve:
    top = np.float32(np.iinfo(samples.dtype).max)
    return SampledCurve(samples=(samples / top).astype(np.float32))


def _read_newer_lut(tag: memoryview, inputs: int, results: int, *, outward: bool, lab: bool) -> Lut:
    """Read `lutAToBType`, or `lutBToAType`, whose stages stand the other way round (ICC.1:2022, 10.12 and 10.13)."""
    b_at, matrix_at, m_at, grid_at, a_at = struct.unpack_from(">5I", tag, 12)
    if b_at == 0 or bool(m_at) != bool(matrix_at) or bool(a_at) != bool(grid_at):
        raise ProfileError("a table whose stages are not all there")
    b_curves, odd = read_curves(tag, b_at, 3)
    middle, matrix = None, None
    if m_at:
        middle, odd_middle = read_curves(tag, m_at, 3)
        odd = odd or odd_middle
        numbers = np.array(struct.unpack_from(">12i", tag, matrix_at)) / 65536
        matrix = np.concatenate([numbers[:9].reshape(3, 3), numbers[9:].reshape(3, 1)], axis=1)
        matrix = matrix if lab else matrix * _XYZ_SCALE
    if not a_at:
        if inputs != results:
            raise ProfileError("a table without nodes between other channels")
        return Lut(inputs=(), outputs=b_curves, middle=middle, matrix=matrix, odd=odd)
    a_curves, odd_inputs = read_curves(tag, a_at, results if outward else inputs)
    grid, nodes = _read_nodes(tag, grid_at, inputs, results)
    return Lut(
        inputs=a_curves,
        outputs=b_curves,
        grid=grid,
        nodes=nodes,
        middle=middle,
        matrix=matrix,
        odd=odd or odd_inputs,
    )


def _read_nodes(tag: memoryview, start: int, inputs: int, results: int) -> tuple[tuple[int, ...], Integers]:
    grid = struct.unpack_from(f">{inputs}B", tag, start)
    (width,) = struct.unpack_from(">B", tag, start + 16)
    if width not in (1, 2) or any(side < 2 for side in grid):  # noqa: PLR2004
        raise ProfileError("a table without room between its nodes")
    dtype, count = np.dtype(">u2" if width == 2 else np.uint8), math.prod(grid) * results  # noqa: PLR2004
    if start + 20 + count * width > len(tag):
        raise ProfileError("a table ends too early")
    return grid, np.frombuffer(tag, dtype=dtype, count=count, offset=start + 20)
