"""Profiles at the edges of what readers agree on: by name, for a picture of patches in a PNG."""

import struct
from collections.abc import Callable

import numpy as np
from tests.browser.profiles import (
    D50,
    D65,
    IDENTITY_CURVE,
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    PROPHOTO_PRIMARIES,
    SRGB_PARAMETRIC,
    SRGB_PRIMARIES,
    SRGB_TABLE,
    SWAPPED_PRIMARIES,
    Floats,
    gamma_curve,
    grey_profile,
    lab_nodes,
    lattice,
    lut_profile,
    mab_tag,
    matrix_profile,
    parametric_curve,
    rgb_formula,
    rgb_to_xyz,
    srgb_to_linear,
    table_curve,
    write_profile,
    xyz_tag,
    xyz_to_lab,
)

Tag = tuple[bytes, bytes]


def odd_profiles() -> dict[str, bytes]:
    """All of them."""
    return _curves() | _headers() | _tags() | _grids()


def _curves() -> dict[str, bytes]:
    negative = [(1.0 - level) ** 2.4 for level in np.linspace(0, 1, 256)]
    return {
        "curve of no numbers": matrix_profile(IDENTITY_CURVE),
        "curve of no numbers, P3": matrix_profile(IDENTITY_CURVE, P3_PRIMARIES),
        "curve of two": matrix_profile(table_curve([0, 1])),
        "curve of two, falling": matrix_profile(table_curve([1, 0])),
        "curve of three, V": matrix_profile(table_curve([1, 0, 1])),
        "curve of 4096": matrix_profile(table_curve(np.linspace(0, 1, 4096) ** 3)),
        "curve of 4097": matrix_profile(table_curve(np.linspace(0, 1, 4097) ** 3)),
        "curve of 65535": matrix_profile(table_curve(np.linspace(0, 1, 65535) ** 3)),
        "curve of 65536": matrix_profile(table_curve(np.linspace(0, 1, 65536) ** 3)),
        "curve that starts high": matrix_profile(table_curve(0.3 + 0.7 * np.linspace(0, 1, 256) ** 3)),
        "curve that ends low": matrix_profile(table_curve(0.5 * np.linspace(0, 1, 256) ** 3)),
        "flat curve": matrix_profile(table_curve([0.5] * 256)),
        "gamma 0": matrix_profile(gamma_curve(0)),
        "gamma 0.1": matrix_profile(gamma_curve(0.1)),
        "gamma 20": matrix_profile(gamma_curve(20)),
        "gamma 255": matrix_profile(gamma_curve(255)),
        "para 0, negative": matrix_profile(parametric_curve(0, -1.0), version=4),
        "para 1": matrix_profile(parametric_curve(1, 2.4, 0.9, 0.1), version=4),
        "para 1, b negative": matrix_profile(parametric_curve(1, 2.4, 1.1, -0.1), version=4),
        "para 1, falling": matrix_profile(parametric_curve(1, 1.0, -1.0, 1.0), version=4),
        "para 2": matrix_profile(parametric_curve(2, 2.4, 0.9, 0.1, 0.05), version=4),
        "para 2, b negative": matrix_profile(parametric_curve(2, 2.4, 1.05, -0.05, 0.02), version=4),
        "para 3, linear part large": matrix_profile(parametric_curve(3, 3.0, 1.0, 0.0, 0.5, 0.5), version=4),
        "para 3, falling linear part": matrix_profile(parametric_curve(3, 1.0, 1.0, 0.0, -1.0, 0.9), version=4),
        "para 4": matrix_profile(parametric_curve(4, 2.4, 0.9, 0.1, 0.1, 0.04, 0.02, 0.01), version=4),
        "para 4, offsets": matrix_profile(parametric_curve(4, 2.4, 0.8, 0.0, 0.3, 0.2, 0.2, 0.1), version=4),
        "para 5": matrix_profile(parametric_curve(5, 2.4), version=4),
        "para in version 2": matrix_profile(parametric_curve(0, 3.0)),
        "para, too short": matrix_profile(parametric_curve(3, 2.4), version=4),
        "para 4, its line ends at 1": matrix_profile(parametric_curve(4, 1, 0, 0, 0.97, 1, 0, 0), version=4),
        "para 3, a step at its joint": matrix_profile(parametric_curve(3, 2.4, 0.5, 0, 0.9, 0.5), version=4),
        "a curve each, one falling": _three(table_curve(negative), SRGB_TABLE, SRGB_TABLE),
        "a curve each, table and gamma": _three(gamma_curve(3), table_curve(np.linspace(0, 1, 99) ** 2), SRGB_TABLE),
    }


def _three(*curves: bytes) -> bytes:
    return write_profile(b"RGB ", b"XYZ ", [*_colorants(), *zip((b"rTRC", b"gTRC", b"bTRC"), curves, strict=True)])


def _colorants(matrix: Floats | None = None) -> list[Tag]:
    columns = (rgb_to_xyz(SRGB_PRIMARIES) if matrix is None else matrix).T
    return [(name, xyz_tag(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)]


def _three_of(curve: bytes) -> list[Tag]:
    return [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]


def _patched(profile: bytes, at: int, value: bytes) -> bytes:
    return profile[:at] + value + profile[at + len(value) :]


def _headers() -> dict[str, bytes]:
    negative = matrix_profile(NEGATIVE_CURVE)
    classes = {
        name: _patched(negative, 12, name.encode()) for name in ("scnr", "prtr", "spac", "link", "abst", "nmcl", "zzzz")
    }
    spaces = {
        name: _patched(negative, 16, name.encode()) for name in ("Lab ", "XYZ ", "YCbr", "HSV ", "CMY ", "3CLR", "zzzz")
    }
    found = {f"class {name}": data for name, data in classes.items()}
    found |= {f"space {name.strip()}": data for name, data in spaces.items()}
    found |= {f"version {version}": _patched(negative, 8, bytes([version])) for version in (0, 1, 3, 4, 5, 9)}
    found |= {f"intent {intent}": _patched(negative, 64, struct.pack(">I", intent)) for intent in (1, 2, 3, 9)}
    return found | {
        "version 4.4": _patched(negative, 8, b"\4\x40"),
        "connection Lab with a matrix": _patched(negative, 20, b"Lab "),
        "no signature": _patched(negative, 36, b"abcd"),
        "illuminant D65": _patched(negative, 68, struct.pack(">3i", 62289, 65536, 71372)),
        "size too large": _patched(negative, 0, struct.pack(">I", len(negative) + 100)),
        "size too small": _patched(negative, 0, struct.pack(">I", len(negative) - 100)),
        "size 0": _patched(negative, 0, bytes(4)),
        "more behind its end": negative + bytes(5000),
        "no tags": negative[:128] + bytes(4),
        "says 200 tags": _patched(negative, 128, struct.pack(">I", 200)),
    }


def _tags() -> dict[str, bytes]:
    curves, colorants = _three_of(NEGATIVE_CURVE), _colorants()
    scaled = rgb_to_xyz(SRGB_PRIMARIES) * 2
    dark = rgb_to_xyz(SRGB_PRIMARIES) * 0.25
    opposite = rgb_to_xyz(SRGB_PRIMARIES) @ np.array([[-1.0, 1, 1], [1, -1, 1], [1, 1, -1]])
    grid = _grid_tag(rgb_formula(SWAPPED_PRIMARIES, srgb_to_linear))
    every = [*colorants, *curves]
    return {
        "no blue curve": write_profile(b"RGB ", b"XYZ ", every[:-1]),
        "no blue colorant": write_profile(b"RGB ", b"XYZ ", [*colorants[:2], *curves]),
        "a curve beyond the end": _beyond(write_profile(b"RGB ", b"XYZ ", every)),
        "white of D65": _white(matrix_profile(NEGATIVE_CURVE), D65_XYZ),
        "adaptation tag": write_profile(b"RGB ", b"XYZ ", [*every, (b"chad", _sf32(np.eye(3)[[2, 0, 1]]))]),
        "colorants doubled": write_profile(b"RGB ", b"XYZ ", [*_colorants(scaled), *_three_of(SRGB_TABLE)]),
        "colorants times 150, falling": write_profile(
            b"RGB ", b"XYZ ", [*_colorants(scaled * 75), *_three_of(NEGATIVE_CURVE)]
        ),
        "colorants quartered": write_profile(b"RGB ", b"XYZ ", [*_colorants(dark), *_three_of(SRGB_TABLE)]),
        "colorants negative": write_profile(b"RGB ", b"XYZ ", [*_colorants(opposite), *_three_of(SRGB_TABLE)]),
        "colorants all equal": write_profile(
            b"RGB ", b"XYZ ", [*_colorants(np.tile(D50[:, np.newaxis] / 3, 3)), *_three_of(SRGB_TABLE)]
        ),
        "colorants zero": write_profile(b"RGB ", b"XYZ ", [*_colorants(np.zeros((3, 3))), *_three_of(SRGB_TABLE)]),
        "tags twice, the first negative": write_profile(b"RGB ", b"XYZ ", [*every, *_three_of(SRGB_TABLE)]),
        "grey curve in RGB": write_profile(
            b"RGB ", b"XYZ ", [*_colorants(), *_three_of(SRGB_TABLE), (b"kTRC", NEGATIVE_CURVE)]
        ),
        "matrix and A2B0": write_profile(b"RGB ", b"Lab ", [*colorants, *_three_of(SRGB_TABLE), (b"A2B0", grid)]),
        "matrix and A2B0, connection XYZ": write_profile(
            b"RGB ", b"XYZ ", [*colorants, *_three_of(SRGB_TABLE), (b"A2B0", grid)]
        ),
        "matrix and A2B1": write_profile(b"RGB ", b"Lab ", [*colorants, *_three_of(SRGB_TABLE), (b"A2B1", grid)]),
        "A2B1 alone": write_profile(b"RGB ", b"Lab ", [(b"A2B1", grid)]),
        "A2B2 alone": write_profile(b"RGB ", b"Lab ", [(b"A2B2", grid)]),
        "A2B0 and A2B1 differ": write_profile(
            b"RGB ",
            b"Lab ",
            [
                (b"A2B0", grid),
                (b"A2B1", _grid_tag(lambda values: rgb_formula(SRGB_PRIMARIES, srgb_to_linear)(1 - values))),
            ],
        ),
        "D2B0 beside a matrix": write_profile(b"RGB ", b"XYZ ", [*every, (b"D2B0", grid)], version=4),
        "cicp tag linear, v4": write_profile(
            b"RGB ", b"XYZ ", [*colorants, *_three_of(SRGB_TABLE), (b"cicp", b"cicp\0\0\0\0\1\x08\0\1")], version=4
        ),
        "cicp tag PQ, v4": write_profile(
            b"RGB ", b"XYZ ", [*colorants, *_three_of(SRGB_TABLE), (b"cicp", b"cicp\0\0\0\0\x09\x10\0\1")], version=4
        ),
        "cicp tag HLG, v4": write_profile(
            b"RGB ", b"XYZ ", [*colorants, *_three_of(SRGB_TABLE), (b"cicp", b"cicp\0\0\0\0\x09\x12\0\1")], version=4
        ),
        "cicp tag Display P3, v4": write_profile(
            b"RGB ", b"XYZ ", [*colorants, *_three_of(SRGB_TABLE), (b"cicp", b"cicp\0\0\0\0\x0c\x0d\0\1")], version=4
        ),
        "cicp tag PQ of a matrix, v4": write_profile(
            b"RGB ", b"XYZ ", [*colorants, *_three_of(SRGB_TABLE), (b"cicp", b"cicp\0\0\0\0\x01\x10\1\1")], version=4
        ),
        "cicp tag PQ of no primaries, v4": write_profile(
            b"RGB ", b"XYZ ", [*colorants, *_three_of(SRGB_TABLE), (b"cicp", b"cicp\0\0\0\0\x02\x10\0\1")], version=4
        ),
        "of 3 MB": _large(3 * 2**20),
        "of 5 MB": _large(5 * 2**20),
    }


D65_XYZ = np.array([0.9505, 1.0, 1.0891])


def _large(size: int) -> bytes:
    tags = [*_colorants(), *_three_of(NEGATIVE_CURVE), (b"priv", b"data" + np.random.default_rng(1).bytes(size))]
    return write_profile(b"RGB ", b"XYZ ", tags)


def _beyond(profile: bytes) -> bytes:
    at = profile.index(b"bTRC")
    return _patched(profile, at + 4, struct.pack(">I", len(profile) + 10))


def _white(profile: bytes, white: Floats) -> bytes:
    at = profile.index(b"wtpt")
    (start,) = struct.unpack_from(">I", profile, at + 4)
    return _patched(profile, start, xyz_tag(white))


def _sf32(matrix: Floats) -> bytes:
    return b"sf32\0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in matrix.reshape(-1))


def _grid_tag(to_xyz: Callable[[Floats], Floats], kind: str = "mft2") -> bytes:
    profile = lut_profile(kind, b"RGB ", to_xyz)
    at = profile.index(b"A2B0")
    start, length = struct.unpack_from(">II", profile, at + 4)
    return profile[start : start + length]


def _grids() -> dict[str, bytes]:
    swapped = rgb_formula(SWAPPED_PRIMARIES, srgb_to_linear)
    return {
        "grid of 2": lut_profile("mft2", b"RGB ", swapped, grid=2),
        "grid of 3": lut_profile("mft1", b"RGB ", swapped, grid=3),
        "grid of 33": lut_profile("mft2", b"RGB ", swapped, grid=33),
        "mAB in version 2": lut_profile("mAB", b"RGB ", swapped),
        "mft1 in version 4": lut_profile("mft1", b"RGB ", swapped, version=4),
        "mft2 in version 4": lut_profile("mft2", b"RGB ", swapped, version=4),
        **{f"mAB, {name}": data for name, data in _stages().items()},
        "grid cut short": _patched(lut_profile("mft2", b"RGB ", swapped), 0, b"\0\0\x20\0")[:0x2000],
        "connection XYZ, mft2": _patched(lut_profile("mft2", b"RGB ", swapped), 20, b"XYZ "),
        "grey in Lab": write_profile(b"GRAY", b"Lab ", [(b"kTRC", NEGATIVE_CURVE)]),
        "grey": grey_profile(NEGATIVE_CURVE),
        "v2 ProPhoto under D65": matrix_profile(gamma_curve(1.8), PROPHOTO_PRIMARIES, D65),
        "sRGB with its own gamma": matrix_profile(SRGB_PARAMETRIC, SRGB_PRIMARIES, version=4),
    }


def _stages() -> dict[str, bytes]:
    """Newer tables with curves on one channel alone, with M curves and a matrix, onto Lab and onto XYZ."""
    line, falling = table_curve([0, 1]), table_curve([1, 0])
    mixing = (0.5, 0.3, 0.1, 0.3, 0.5, 0.1, 0.1, 0.1, 0.7, 0.05, 0.02, 0.03)
    nodes = lab_nodes(xyz_to_lab(rgb_formula(P3_PRIMARIES, srgb_to_linear)(lattice(9))))
    tables = {
        "M curves": mab_tag(b=[line] * 3, m=[SRGB_PARAMETRIC] * 3),
        "M curves and a matrix": mab_tag(b=[line] * 3, m=[line] * 3, matrix=mixing),
        "one M curve falls": mab_tag(b=[line] * 3, m=[line, falling, line]),
        "one B curve falls": mab_tag(b=[falling, line, line]),
        "one A curve is a number": mab_tag(b=[line] * 3, nodes=nodes, grid=[9] * 3, a=[gamma_curve(1.0), line, line]),
        "one A curve falls": mab_tag(b=[line] * 3, nodes=nodes, grid=[9] * 3, a=[line, line, falling]),
        "all stages": mab_tag(b=[line] * 3, m=[line] * 3, nodes=nodes, grid=[9] * 3, a=[line] * 3),
    }
    return {
        f"{name}, {connection.decode().strip()}": write_profile(b"RGB ", connection, [(b"A2B0", table)], version=4)
        for name, table in tables.items()
        for connection in (b"Lab ", b"XYZ ")
    }
