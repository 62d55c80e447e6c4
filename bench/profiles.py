"""Curves and primaries in, ICC profiles of display RGB out, and the worst ones to read that were found."""

import struct

import numpy as np
from numpy.typing import NDArray

from clipwarden.vision.structure import MAX_PROFILE_BYTES

Floats = NDArray[np.float64]

_D50 = (0.9642, 1.0, 0.8249)  # ICC.1:2022, 7.2.16
_SRGB_TO_XYZ = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
_P3_TO_XYZ = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
_LEVELS = np.linspace(0, 1, 1024)
_LARGEST_GRID = 43
"""Points along each of four channels whose nodes, three bytes each, come nearest to the 10 MiB that are read."""


def _srgb_curve() -> Floats:
    return np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


def srgb() -> bytes:
    """Make a profile that says sRGB."""
    return _matrix(_srgb_curve(), _SRGB_TO_XYZ)


def display_p3() -> bytes:
    """Make a profile as phones embed it."""
    return _matrix(_srgb_curve(), _P3_TO_XYZ)


def v_curve() -> bytes:
    """Make a profile under which reducing first shows another picture."""
    return _matrix(np.abs(2 * _LEVELS - 1), _SRGB_TO_XYZ)


def huge_table() -> bytes:
    """Make the largest table that is read, of four inks, under all three names that lead inward."""
    identity = b"".join(struct.pack(">i", round(value * 65536)) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    nodes = np.random.default_rng(0).integers(0, 256, 3 * _LARGEST_GRID**4, dtype=np.uint8).tobytes()
    ramp = bytes(range(256))
    table = b"mft1" + struct.pack(">4x4B", 4, 3, _LARGEST_GRID, 0) + identity + ramp * 4 + nodes + ramp * 3
    return _profile(b"CMYK", b"Lab ", dict.fromkeys((b"A2B0", b"A2B1", b"A2B2"), table))


def many_tags() -> bytes:
    """Make a profile of nothing but entries of its directory."""
    entry = struct.pack(">4sII", b"zzzz", 128, 4)
    count = (MAX_PROFILE_BYTES - 132) // len(entry)
    return _head(b"RGB ", b"XYZ ", 132 + count * len(entry)) + struct.pack(">I", count) + entry * count


def _matrix(curve: Floats, to_xyz: Floats) -> bytes:
    tags = {name: _xyz(*column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T.tolist(), strict=True)}
    samples = (curve * 65535).round().astype(">u2").tobytes()
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + struct.pack(">4xI", len(curve)) + samples)
    return _profile(b"RGB ", b"XYZ ", tags)


def _profile(device: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Write a version 2 profile; equal tags share their bytes, as in profiles of printers."""
    tags = {b"wtpt": _xyz(*_D50)} | tags
    start = 132 + 12 * len(tags)
    at: dict[bytes, int] = {}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        if data not in at:
            at[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", at[data], len(data))
    return _head(device, connection, 128 + len(table) + len(body)) + table + body


def _head(device: bytes, connection: bytes, size: int) -> bytes:
    head = struct.pack(">I4xI", size, 0x02400000) + b"mntr" + device + connection + bytes(12) + b"acsp" + bytes(28)
    return head + _xyz(*_D50)[8:] + bytes(48)


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(value * 65536) for value in (x, y, z)))
