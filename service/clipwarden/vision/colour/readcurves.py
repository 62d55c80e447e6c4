"""Bytes of an ICC profile in, tone curves out, as Chromium reads them."""

import struct
from typing import NamedTuple

import numpy as np

from clipwarden.vision.colour.curves import IDENTITY, Curve, ParametricCurve, ProfileError, SampledCurve

# Chromium refuses a profile with a longer curve; honest ones have 4,096 at most.
_MOST_SAMPLES = 40_000
# Numbers of each parametric type (ICC.1:2022, 10.18).
_PARAMETERS = (1, 3, 4, 5, 7)
# -b / a * a + b is zero, but for the last bits.
_ROUNDING = 1e-9
_EMPTY_BYTES, _ONE_NUMBER_BYTES = 12, 14


class ReadCurve(NamedTuple):
    """A curve as a profile holds it.

    Attributes:
        curve: None for one without samples, which is the identity by the standard; Chromium 150 drops it.
        size: In bytes.
        odd: Whether readers differ over it.
    """

    curve: Curve | None
    size: int
    odd: bool = False


def read_curve(data: memoryview) -> ReadCurve:
    """Read a curve that begins here.

    Raises:
        ProfileError: It is none.
        struct.error: It ends too early.
    """
    kind = bytes(data[:4])
    if kind == b"para":
        return _read_parametric(data)
    if kind != b"curv":
        raise ProfileError("a curve is of another type")
    (count,) = struct.unpack_from(">I", data, 8)
    size = _EMPTY_BYTES + 2 * count
    if size > len(data) or count > _MOST_SAMPLES:
        raise ProfileError("a curve ends too early, or is too long")
    if count == 0:
        return ReadCurve(None, size, odd=True)
    if count == 1:
        return ReadCurve(ParametricCurve(g=struct.unpack_from(">H", data, _EMPTY_BYTES)[0] / 256), size)
    samples = np.frombuffer(data, dtype=">u2", count=count, offset=_EMPTY_BYTES)
    return ReadCurve(SampledCurve(samples=(samples / np.float32(65535)).astype(np.float32)), size)


def read_curves(tag: memoryview, start: int, count: int) -> tuple[tuple[Curve, ...], bool]:
    """Read curves that follow each other.

    Args:
        tag: That holds them.
        start: Where the first begins.
        count: How many.

    Returns:
        The curves, and whether readers differ over one: some take one number for a table of one.

    Raises:
        ProfileError: One is none.
        struct.error: One ends too early.
    """
    found = []
    for _ in range(count):
        found.append(read_curve(tag[start:]))
        start += found[-1].size + 3 & ~3
    empty = [each.curve is None for each in found]
    if any(empty) and not all(empty):
        # Chromium (moxcms 0.8) does not step over one without samples, and reads it again for all that follow.
        raise ProfileError("identities without samples among other curves")
    odd = any(each.curve is not None and (each.odd or each.size == _ONE_NUMBER_BYTES) for each in found)
    return tuple(each.curve or IDENTITY for each in found), odd


def _read_parametric(data: memoryview) -> ReadCurve:
    (kind,) = struct.unpack_from(">H", data, 8)
    if kind >= len(_PARAMETERS):
        raise ProfileError("an unknown parametric curve")
    count = _PARAMETERS[kind]
    size = _EMPTY_BYTES + 4 * count
    g, *rest = (value / 65536 for value in struct.unpack_from(f">{count}i", data, _EMPTY_BYTES))
    if kind in (1, 2):
        if rest[0] == 0:
            raise ProfileError("a parametric curve without a slope")
        added = rest[2] if kind == 2 else 0.0  # noqa: PLR2004
        rest = [rest[0], rest[1], 0.0, -rest[1] / rest[0], added, added]
    curve = ParametricCurve(**dict(zip("gabcdef", (g, *rest), strict=False)))
    if min(curve.a, curve.c, curve.d, curve.g) < 0 or curve.a * curve.d + curve.b < -_ROUNDING:
        # skcms refuses the profile; Chromium 150 leaves the curve out.
        return ReadCurve(IDENTITY, size, odd=True)
    return ReadCurve(curve, size)
