"""Bytes of an ICC profile in, the one way from device values to XYZ that browsers take out; None where they take none.

Written after what skcms (Chromium) accepts, so that nothing is applied that a browser ignores, nor the reverse. What is
accepted there and refused or read otherwise elsewhere is marked as doubtful.
"""

import struct
from dataclasses import dataclass

import numpy as np

from clipwarden.vision.colour.curves import ProfileError
from clipwarden.vision.colour.luts import LutSpace, lut_space, read_lut
from clipwarden.vision.colour.othertags import OTHER_TAGS, check_other_tags
from clipwarden.vision.colour.readcurves import read_curve
from clipwarden.vision.colour.spaces import D50, Matrix, MatrixSpace
from clipwarden.vision.colour.trust import is_trusted
from clipwarden.vision.structure import MAX_PROFILE_BYTES, Cicp

_HEADER_BYTES, _TAG_BYTES, _LEAST_TAG = 132, 12, 4
_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac", b"link", b"abst", b"nmcl")
# Whose profiles belong into no picture; Chromium does not ask.
_ODD_CLASSES = (b"link", b"abst", b"nmcl")
_MAJOR_VERSIONS, _ODD_VERSION = (2, 3, 4), 3
_DEVICES = (b"RGB ", b"GRAY", b"CMYK", b"Lab ", b"XYZ ", b"Luv ", b"Yxy ", b"HSV ", b"HLS ", b"CMY ", b"3CLR", b"4CLR")
_INWARD, _OUTWARD = (b"A2B0", b"A2B1", b"A2B2"), (b"B2A0", b"B2A1", b"B2A2", b"gamt")
# Tables of floats, which littleCMS takes before all else.
_PASSED_OVER = [int.from_bytes(name, "big") for name in (b"D2B0", b"D2B1", b"D2B2", b"D2B3")]
_CHANNELS = {b"GRAY": 1, b"CMYK": 4}
# skcms allows as much around D50 in the header.
_WHITE_TOLERANCE = 0.01
_TONES = {b"GRAY": (b"kTRC",), b"RGB ": (b"rTRC", b"gTRC", b"bTRC")}


Space = MatrixSpace | LutSpace


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Profile:
    """What a profile does.

    Attributes:
        device: Signature of its colours, such as `RGB `, `GRAY` or `CMYK`.
        space: The way to XYZ that Chromium takes.
        others: Ways that others take.
        cicp: Code points that go before all of them; None without.
        doubtful: Whether it looks like none that all readers take alike.
    """

    device: bytes
    space: Space
    others: tuple[Space, ...]
    cicp: Cicp | None
    doubtful: bool


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
    ways, odd_space = _read_ways(tags, device, white, lab=connection == b"Lab ")
    odd = version >> 24 == _ODD_VERSION or device_class in _ODD_CLASSES or np.abs(white - D50).max() > _WHITE_TOLERANCE
    cicp = _read_cicp(tags) if device == b"RGB " and device_class in (b"mntr", b"scnr") else None
    odd = odd or odd_tags or odd_space or not all(is_trusted(way) for way in ways)
    return Profile(device=device, space=ways[0], others=tuple(ways[1:]), cicp=cicp, doubtful=bool(odd))


def _read_tags(data: memoryview, count: int, size: int) -> tuple[dict[bytes, memoryview], bool]:
    """Return tags by signature, the last of each, and whether other readers take others or none."""
    table = np.frombuffer(data, dtype=">u4", count=3 * count, offset=_HEADER_BYTES).reshape(-1, 3).astype(np.int64)
    ends = table[:, 1] + table[:, 2]
    odd = not _HEADER_BYTES + _TAG_BYTES * count <= size <= len(data)
    odd = odd or bool(count and ((table[:, 2] < _LEAST_TAG).any() or ends.max() > size))
    odd = odd or len(np.unique(table[:, 0])) != count or bool(np.isin(table[:, 0], _PASSED_OVER).any())
    tags = {}
    for name in _WANTED:
        for row in np.flatnonzero(table[:, 0] == int.from_bytes(name, "big"))[-1:]:
            if ends[row] > len(data):
                raise ProfileError("a tag lies outside")
            tags[name] = data[table[row, 1] : ends[row]]
    return tags, odd


def _read_ways(tags: dict[bytes, memoryview], device: bytes, white: Matrix, *, lab: bool) -> tuple[list[Space], bool]:
    """Return the ways to XYZ, Chromium's first, and whether one is odd.

    All is read: what is broken breaks the whole.
    """
    tones = {name: read_curve(tags[name]) for name in _TONES.get(device, ()) if name in tags}
    matrix = _read_matrix(tags, device, white, lab=lab)
    inward = list(dict.fromkeys(tags[name] for name in _INWARD if name in tags))
    tables = [read_lut(tag, outputs=(3,), lab=lab) for tag in inward]
    for name in _OUTWARD:
        if name in tags:
            read_lut(tags[name], outputs=(1, 3, 4), lab=lab)
    # Tags that lie over each other would be held several times.
    overlap = sum(map(len, inward)) > MAX_PROFILE_BYTES
    ways: list[Space] = [lut_space(table, lab=lab, gamut=matrix) for table in (tables[:1] if overlap else tables)]
    curves = [tones[name].curve for name in _TONES.get(device, ()) if name in tones]
    red, green, blue = curves * 3 if len(curves) == 1 and device == b"GRAY" else (curves + [None] * 3)[:3]
    if red is not None and green is not None and blue is not None and matrix is not None:
        ways.append(MatrixSpace(curves=(red, green, blue), to_xyz=matrix))
    if not ways:
        raise ProfileError("no way to XYZ")
    channels = _CHANNELS.get(device, 3)
    odd = overlap or any(tone.odd for tone in tones.values())
    odd = odd or any(table.odd or len(table.inputs) not in (0, channels) for table in tables)
    return ways, odd or (bool(tables) and b"A2B0" not in tags and b"A2B1" not in tags)


def _read_matrix(tags: dict[bytes, memoryview], device: bytes, white: Matrix, *, lab: bool) -> Matrix | None:
    if device == b"GRAY":
        return None if lab else np.diag(white)
    if device != b"RGB ":
        return None
    matrix: Matrix = np.array([_read_xyz(tags, name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T
    return matrix if matrix.any(axis=0).all() else None


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


_READ = (b"kTRC", b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ", b"cicp", *_INWARD, *_OUTWARD)
_WANTED = (*_READ, *sorted(OTHER_TAGS))
