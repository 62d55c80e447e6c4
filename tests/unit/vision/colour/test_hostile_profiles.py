"""Mutated profiles in: an answer or the one error out, within bounds, and colours that are colours."""

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from bench import profiles
from PIL import Image, PngImagePlugin

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
from clipwarden.errors import ImageError, Reason
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.cache import BoundedCache
from clipwarden.vision.colour.conversion import conversion_of
from clipwarden.vision.colour.cost import nanoseconds_a_pixel
from clipwarden.vision.colour.curves import ParametricCurve, ProfileError
from clipwarden.vision.colour.icc import read_profile
from clipwarden.vision.colour.pixels import Converter, build_transform
from clipwarden.vision.colour.spaces import MatrixSpace
from clipwarden.vision.decode import decode_image
from clipwarden.vision.limits import MOST_CONVERTING_SECONDS
from clipwarden.vision.structure import ColourTags
from kit.containers import png_chunk, png_file, png_header, png_rows

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
_MUTATIONS = 80


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


MEGAPIXEL = 1_000_000
_RGB_TABLE = lut_profile("mft2", b"RGB ", _P3_LIGHT, grid=33)


def seconds(profile: bytes, megapixels: int, *, mode: str = "RGB", wide: bool = False) -> float:
    conversion = conversion_of(ColourTags(icc=profile), image_format="TIFF", mode=mode)
    nanoseconds = conversion.wide_nanoseconds if wide else conversion.nanoseconds
    assert nanoseconds > 0
    return megapixels * MEGAPIXEL * nanoseconds / 1e9


def test_time_is_enough_for_what_cameras_and_scanners_write() -> None:
    ways = (NEGATIVE_CURVE, gamma_curve(1.0), parametric_curve(4, 2.0, 0.9, 0.1, 0.5, 0.1, 0.05, 0.02))
    for wide in (False, True):
        assert max(seconds(matrix_profile(curve, version=4), 50, wide=wide) for curve in ways) < MOST_CONVERTING_SECONDS
        assert seconds(_RGB_TABLE, 24, wide=wide) < MOST_CONVERTING_SECONDS
    assert seconds(lut_profile("mAB", b"RGB ", _P3_LIGHT, grid=17, version=4), 24) < MOST_CONVERTING_SECONDS
    assert seconds(lut_profile("mft2", b"CMYK", cmyk_to_xyz, grid=9), 24, mode="CMYK") < MOST_CONVERTING_SECONDS
    assert seconds(profiles.huge_table(), 24, mode="CMYK") > MOST_CONVERTING_SECONDS


def large_png(size: tuple[int, int], *, kind: int, icc: bytes) -> bytes:
    """Write a PNG that says a size and a profile, and holds hardly any pixel."""
    pixels = png_chunk(b"IDAT", png_rows([bytes(100)]))
    return png_file(png_header(size, kind=kind), png_chunk(b"iCCP", b"x\0\0" + zlib.compress(icc)), pixels)


@pytest.mark.parametrize(("kind", "side", "refused"), [(2, 7500, True), (2, 7200, False), (0, 7500, False)])
def test_what_would_take_too_long_to_convert_is_refused_before_it_is_decoded(
    kind: int,
    side: int,
    refused: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class LoadedError(Exception):
        """Decoding has begun."""

    def load(_: object) -> None:
        raise LoadedError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    data = large_png((side, side), kind=kind, icc=_RGB_TABLE)
    with pytest.raises(ImageError) as caught:
        decode_image(data, preprocessing=Preprocessing(side=32, colour="srgb"))
    assert isinstance(caught.value.__cause__, LoadedError) is not refused
    if refused:
        assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS
        assert "about 5 s; the limit is 5 s. Save it as sRGB" in str(caught.value)
    with pytest.raises(ImageError) as caught:
        decode_image(data, preprocessing=Preprocessing(side=32))
    assert isinstance(caught.value.__cause__, LoadedError)


def test_costlier_shapes_are_estimated_higher() -> None:
    small, large, deep = (
        nanoseconds_a_pixel(read_profile(profile).space)
        for profile in (_RGB_TABLE, profiles.huge_table(), SEEDS["CMYK"])
    )
    assert small < deep < large
    space = read_profile(_RGB_TABLE).space
    formulas = replace(space, outputs=(ParametricCurve(g=2.4),) * 3)
    assert small < nanoseconds_a_pixel(formulas) < nanoseconds_a_pixel(formulas, wide=True)


def test_powers_beyond_the_range_of_floats_are_cut_off_and_all_others_exact() -> None:
    values = np.linspace(0, 1, 257, dtype=np.float32)
    for power in (0.3, 1.0, 2.4, 60.0, 300.0):
        curve = ParametricCurve(g=power, a=3.0, b=-0.5)
        exact = np.maximum(3.0 * values.astype(np.float64) - 0.5, 0) ** power
        assert np.allclose(curve(values), np.minimum(exact, 1e6), rtol=2e-4, atol=1e-9), power
