"""Mutated profiles in: an answer or the one error out, within bounds, and colours that are colours."""

import random
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from browser.profiles import (
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    SRGB_PARAMETRIC,
    cmyk_to_xyz,
    gamma_curve,
    grey_profile,
    lut_profile,
    matrix_profile,
    mft2_tag,
    parametric_curve,
    rgb_formula,
    table_curve,
    write_profile,
)
from clipwarden.vision.colour.cache import BoundedCache
from clipwarden.vision.colour.conversion import conversion_of
from clipwarden.vision.colour.curves import ProfileError
from clipwarden.vision.colour.icc import read_profile
from clipwarden.vision.colour.pixels import Converter, build_transform
from clipwarden.vision.colour.spaces import MatrixSpace
from clipwarden.vision.structure import ColourTags

_P3_LIGHT = rgb_formula(P3_PRIMARIES, lambda values: values**2.2)
SEEDS = {
    "matrix": matrix_profile(SRGB_PARAMETRIC, P3_PRIMARIES, version=4),
    "curve of 256": matrix_profile(NEGATIVE_CURVE),
    "parametric": matrix_profile(parametric_curve(4, 2.0, 0.9, 0.1, 0.5, 0.1, 0.05, 0.02), version=4),
    "grey": grey_profile(gamma_curve(2.2)),
    "mft1": lut_profile("mft1", b"RGB ", _P3_LIGHT, grid=3),
    "mft2": lut_profile("mft2", b"RGB ", _P3_LIGHT, grid=3),
    "mAB": lut_profile("mAB", b"RGB ", _P3_LIGHT, grid=3, version=4),
    "CMYK": lut_profile("mft2", b"CMYK", cmyk_to_xyz, grid=3),
}
MODES = {"grey": "L", "CMYK": "CMYK"}
_MUTATIONS = 150


def mutations(profile: bytes, seed: int) -> Iterator[bytes]:
    draw = random.Random(seed)  # noqa: S311
    (tags,) = struct.unpack_from(">I", profile, 128)
    for _ in range(_MUTATIONS):
        data = bytearray(profile)
        for _ in range(draw.choice((1, 1, 2, 4))):
            kind = draw.randrange(4)
            if kind == 0:  # any byte
                data[draw.randrange(len(data))] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
            elif kind == 1:  # an offset or a size
                at = 136 + 12 * draw.randrange(tags) + draw.choice((0, 4))
                data[at : at + 4] = struct.pack(
                    ">I", draw.choice((0, 1, len(data), 2**31, 2**32 - 1, draw.randrange(4096)))
                )
            elif kind == 2:  # the first bytes of a tag: type, counts, grid
                (at,) = struct.unpack_from(">I", profile, 136 + 12 * draw.randrange(tags))
                data[min(at + draw.randrange(32), len(data) - 1)] = draw.choice((0, 1, 2, 4, 255))
            else:
                data = data[: draw.randrange(140, len(data) + 1)] + bytes(148)
        yield bytes(data)


@pytest.mark.parametrize("name", SEEDS)
def test_a_mutated_profile_is_read_or_refused(name: str) -> None:
    mode = MODES.get(name, "RGB")
    picture = Image.new(mode, (8, 8), 90 if mode == "L" else (10, 200, 90, 60)[: len(mode)])
    refused = 0
    for data in mutations(SEEDS[name], seed=list(SEEDS).index(name)):
        tags = ColourTags(icc=data)
        for image_format in ("JPEG", "TIFF"):
            conversion = conversion_of(tags, image_format=image_format, mode=mode)
            if conversion.convert is not None:
                converted = conversion.convert(picture)
                assert (converted.mode, converted.size) == ("RGB", picture.size)
        try:
            read_profile(data)
        except ProfileError:
            refused += 1
            assert conversion.uncertain
    assert 0 < refused < _MUTATIONS


def test_little_cms_is_handed_only_what_it_computes_exactly() -> None:
    """Of a thousand spaces of any numbers, those that it converts it converts as we do."""
    draw = np.random.default_rng(0)
    colours = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    used = 0
    for _ in range(40):
        curve = table_curve(draw.random(draw.integers(2, 300)))
        space = read_profile(matrix_profile(curve, P3_PRIMARIES)).space
        assert isinstance(space, MatrixSpace)
        space = MatrixSpace(curves=space.curves, to_xyz=space.to_xyz * draw.choice([0.1, 1, 3, 100, -1], (3, 3)))
        transform = build_transform(space, "RGB")
        if transform is not None:
            used += 1
            theirs = np.asarray(transform.apply(Image.fromarray(colours))).astype(int)
            assert np.abs(theirs - Converter(space).convert(colours.reshape(-1, 3)).reshape(theirs.shape)).max() <= 2
    assert 0 < used < 40


def test_what_overflows_stays_a_colour() -> None:
    for curve in (parametric_curve(4, 400.0, 32767.0, 32767.0, 0, 0, 0, 0), parametric_curve(0, 0.0), gamma_curve(255)):
        converter = Converter(read_profile(matrix_profile(curve, P3_PRIMARIES, version=4)).space)
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            converter.convert(np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3))


def test_tables_that_lie_over_each_other_are_not_held_several_times() -> None:
    table = mft2_tag(np.zeros((100**3, 3)), 3, 100) + bytes(16)
    data = bytearray(write_profile(b"RGB ", b"Lab ", [(name, table[:60]) for name in (b"A2B1", b"A2B2")]))
    for extra, name in enumerate((b"A2B1", b"A2B2")):
        struct.pack_into(">2I", data, data.index(name) + 4, len(data), len(table) - 4 * extra)
    data += table
    struct.pack_into(">I", data, 0, len(data))
    profile = read_profile(bytes(data))
    assert (profile.doubtful, profile.others) == (True, ())  # 12 MB of tables in 6
    apart = read_profile(lut_profile("mft2", b"CMYK", cmyk_to_xyz, grid=3))  # three names of one table
    assert (apart.doubtful, apart.others) == (False, ())


def test_the_cache_holds_what_was_used_last_within_its_bounds() -> None:
    cache = BoundedCache[str](entries=3, bytes=100)
    built: list[str] = []

    def get(key: str, size: int = 10) -> str:
        return cache.get(key, lambda: (built.append(key) or key.upper(), size))

    assert [get(key) for key in ("a", "b", "a", "c", "a", "d", "a", "b")] == ["A", "B", "A", "C", "A", "D", "A", "B"]
    assert built == ["a", "b", "c", "d", "b"]
    assert get("large", 101) == "LARGE"  # is handed out, and not kept
    get("large", 101)
    assert built.count("large") == 2
