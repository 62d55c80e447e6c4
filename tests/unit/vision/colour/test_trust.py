"""Profiles of every honest kind: not flagged. What readers take differently, whatever its trick: flagged."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser.profiles import (
    ADOBE_PRIMARIES,
    BT2020_PRIMARIES,
    D50,
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    PROPHOTO_PRIMARIES,
    PROPHOTO_WHITE,
    SRGB_PARAMETRIC,
    SRGB_PRIMARIES,
    SRGB_TABLE,
    V_CURVE,
    Floats,
    cmyk_to_xyz,
    colorants,
    gamma_curve,
    grey_profile,
    lab_nodes,
    lattice,
    lut_profile,
    mab_tag,
    matrix_profile,
    mft2_tag,
    parametric_curve,
    rgb_formula,
    rgb_to_xyz,
    srgb_to_linear,
    table_curve,
    tones,
    write_profile,
    xyz_to_lab,
)
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.conversion import Conversion, conversion_of
from clipwarden.vision.decode import decode_image
from clipwarden.vision.structure import ColourTags
from clipwarden.vision.ways import readers_differ
from kit.pictures import encode

SRGB = rgb_to_xyz(SRGB_PRIMARIES)
AP0 = ((0.7347, 0.2653), (0.0, 1.0), (0.0001, -0.0770))
_INPUTS = np.linspace(0, 1, 256)


def srgb_light(values: Floats) -> Floats:
    return srgb_to_linear(values) @ SRGB.T


def dot_gain(share: float) -> bytes:
    """Paper's grey: more ink than was asked for, most in the middle."""
    ink = 1 - _INPUTS
    return grey_profile(table_curve(1 - (ink + 4 * share * ink * (1 - ink)).clip(0, 1)))


def apple() -> bytes:
    """Tags of screens, which say nothing of pictures, beside a formula."""
    own = [(name, name + bytes(40)) for name in (b"vcgt", b"ndin", b"mmod", b"MHC2")]
    tags = [*colorants(rgb_to_xyz(P3_PRIMARIES)), *tones(SRGB_PARAMETRIC), *own]
    return write_profile(b"RGB ", b"XYZ ", tags, version=4)


def icc_v4() -> bytes:
    """As the ICC's sRGB of version 4: all stages, and perception's black raised above the measured one."""
    line = [parametric_curve(0, 1.0)] * 3
    stages = [
        mab_tag(b=line, m=line, nodes=lab_nodes(xyz_to_lab(light)), grid=[9] * 3, a=line)
        for light in (srgb_light(lattice(9)) * 0.9965 + D50 * 0.0035, srgb_light(lattice(9)))
    ]
    return write_profile(b"RGB ", b"Lab ", [(b"A2B0", stages[0]), (b"A2B1", stages[1])], device=b"spac", version=4)


def scanner() -> bytes:
    """A curve that is steep in the dark, then a grid."""
    curve = np.cbrt(srgb_to_linear(np.linspace(0, 1, 1024)) + 0.002)
    curve = (curve - curve[0]) / (curve[-1] - curve[0])
    light = np.interp(lattice(9), curve, srgb_to_linear(np.linspace(0, 1, 1024))) @ SRGB.T
    return write_profile(b"RGB ", b"Lab ", [(b"A2B0", mft2_tag(xyz_to_lab(light), 3, 9, curve))], device=b"scnr")


def press() -> bytes:
    """White paper and black ink by perception, and as they are measured."""
    inks = cmyk_to_xyz(lattice(7, 4))
    by_eye, measured = (mft2_tag(xyz_to_lab(light), 4, 7) for light in (inks, inks * 0.985 + D50 * 0.008))
    tags = [(b"A2B0", by_eye), (b"A2B1", measured), (b"A2B2", by_eye)]
    return write_profile(b"CMYK", b"Lab ", tags, device=b"prtr")


def both_ways(primaries: tuple[tuple[float, float], ...] = P3_PRIMARIES) -> bytes:
    """A grid of Display P3, and curves and primaries beside it."""
    grid = mft2_tag(xyz_to_lab(srgb_to_linear(lattice(17)) @ rgb_to_xyz(P3_PRIMARIES).T), 3, 17)
    return write_profile(b"RGB ", b"Lab ", [(b"A2B0", grid), *colorants(rgb_to_xyz(primaries)), *tones(SRGB_TABLE)])


def tagged(*points: int, primaries: tuple[tuple[float, float], ...] = P3_PRIMARIES) -> bytes:
    tag = (b"cicp", b"cicp\0\0\0\0" + bytes(points))
    return write_profile(b"RGB ", b"XYZ ", [*colorants(rgb_to_xyz(primaries)), *tones(SRGB_TABLE), tag], version=4)


HONEST = {
    "sRGB, 1,024 samples": matrix_profile(SRGB_TABLE),
    "sRGB, a formula": matrix_profile(SRGB_PARAMETRIC, version=4),
    "sRGB, a formula of type 4": matrix_profile(
        parametric_curve(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0, 0), version=4
    ),
    "Display P3 with a screen's tags": apple(),
    "Adobe RGB": matrix_profile(gamma_curve(563 / 256), ADOBE_PRIMARIES),
    "ProPhoto": matrix_profile(gamma_curve(1.8), PROPHOTO_PRIMARIES, PROPHOTO_WHITE),
    "ROMM RGB": matrix_profile(
        parametric_curve(3, 1.8, 1, 0, 1 / 16, 1 / 32), PROPHOTO_PRIMARIES, PROPHOTO_WHITE, version=4
    ),
    "BT.2020": matrix_profile(
        parametric_curve(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081), BT2020_PRIMARIES, version=4
    ),
    "ACES": matrix_profile(gamma_curve(1.0), AP0, (0.32168, 0.33767)),
    "4,096 samples": matrix_profile(table_curve(srgb_to_linear(np.linspace(0, 1, 4096)))),
    "falling": matrix_profile(NEGATIVE_CURVE),
    "V": matrix_profile(V_CURVE),
    "V of lightness": matrix_profile(table_curve(srgb_to_linear(np.abs(np.linspace(-1, 1, 4096))))),
    "grey of 2.2": grey_profile(gamma_curve(2.2)),
    "dot gain of 20 %": dot_gain(0.2),
    "the ICC's sRGB of version 4": icc_v4(),
    "scanner": scanner(),
    "press": press(),
    "two ways that agree": both_ways(),
    "code points that agree": tagged(12, 13, 0, 1),
    **{
        f"{kind} of {grid}": lut_profile(
            kind, b"RGB ", rgb_formula(ADOBE_PRIMARIES, lambda v: v**2.2), grid=grid, version=version
        )
        for kind, version in (("mft1", 2), ("mft2", 2), ("mAB", 4))
        for grid in (9, 17)
    },
}
_ONE = [gamma_curve(1.0), table_curve([0, 1]), table_curve([0, 1])]
_WILD = np.interp(np.arange(2551), np.arange(0, 2551, 10), srgb_to_linear(_INPUTS))
_WILD[5::10] = 1 - _WILD[5::10]
DOUBTFUL = {
    "wild between the levels": matrix_profile(table_curve(_WILD)),
    "a level up, a level down": matrix_profile(table_curve(np.arange(256) % 2)),
    "more samples than anyone has": matrix_profile(table_curve(np.linspace(0, 1, 10_000) ** 2)),
    "an exponent of 30": matrix_profile(gamma_curve(30)),
    "a formula whose line ends at 1": matrix_profile(parametric_curve(4, 1, 0, 0, 0.97, 1, 0, 0), version=4),
    "a formula with a step": matrix_profile(parametric_curve(3, 2.4, 0.9, 0.1, 0.9, 0.5), version=4),
    "a formula beyond white": matrix_profile(parametric_curve(1, 2.2, 1.3, 0), version=4),
    "primaries beyond any": write_profile(b"RGB ", b"XYZ ", [*colorants(SRGB * 150), *tones(NEGATIVE_CURVE)]),
    "a white that is none": write_profile(b"RGB ", b"XYZ ", [*colorants(SRGB * 0.9), *tones(SRGB_TABLE)]),
    "a number for a curve of a table": write_profile(
        b"RGB ",
        b"Lab ",
        [(b"A2B0", mab_tag(b=_ONE, nodes=lab_nodes(xyz_to_lab(srgb_light(lattice(9)))), grid=[9] * 3, a=_ONE))],
        version=4,
    ),
    "a table that falls before its grid": write_profile(
        b"RGB ", b"Lab ", [(b"A2B0", mft2_tag(xyz_to_lab(srgb_light(1 - lattice(9))), 3, 9, [1, 0]))]
    ),
    "a table onto XYZ": write_profile(b"RGB ", b"XYZ ", [(b"A2B0", mab_tag(b=tuple(t for _, t in tones(SRGB_TABLE))))]),
    "a matrix of a table that overflows": write_profile(
        b"RGB ",
        b"Lab ",
        [(b"A2B0", mab_tag(b=_ONE[1:2] * 3, m=_ONE[1:2] * 3, matrix=(5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)))],
        version=4,
    ),
    "a table of floats": write_profile(
        b"RGB ", b"XYZ ", [*colorants(SRGB), *tones(SRGB_TABLE), (b"D2B0", b"mpet" + bytes(28))], version=4
    ),
    "primaries that clip a table": write_profile(
        b"RGB ",
        b"Lab ",
        [(b"A2B0", mft2_tag(xyz_to_lab(srgb_light(lattice(9))), 3, 9)), *colorants(SRGB @ (np.eye(3) * 0.3 + 0.7 / 3))],
    ),
    "a grid too coarse": lut_profile("mft2", b"RGB ", rgb_formula(P3_PRIMARIES, lambda v: v**2.2), grid=2),
    "two ways that differ": both_ways(((0.15, 0.06), (0.64, 0.33), (0.30, 0.60))),
    "code points that differ": tagged(1, 8, 0, 1),
    "code points of a matrix": tagged(12, 13, 1, 1),
    "code points of narrow range": tagged(12, 13, 0, 0),
    "code points of another, and PQ": tagged(2, 16, 1, 1),
}
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def inks() -> Image.Image:
    """The same picture as it is sent to a press: half of the grey in it is black ink."""
    light = 255 - np.asarray(PICTURE).astype(np.int16)
    black = light.min(axis=2, keepdims=True) // 2
    return Image.fromarray(np.concatenate([light - black, black], axis=2).astype(np.uint8), "CMYK")


PICTURES = {b"RGB ": PICTURE, b"GRAY": PICTURE.convert("L"), b"CMYK": inks()}


def is_flagged(profile: bytes) -> bool:
    picture = PICTURES[profile[16:20]]
    conversion = conversion_of(ColourTags(icc=profile), image_format="JPEG", mode=picture.mode)
    return conversion.uncertain or readers_differ(picture, conversion, 1)


def test_a_picture_that_hides_in_black_ink_is_flagged() -> None:
    profile = lut_profile("mft2", b"CMYK", lambda v: cmyk_to_xyz(v * [0, 0, 0, 1]), grid=5)
    inks = np.zeros((64, 64, 4), dtype=np.uint8)
    inks[16:32, 16:32, 3] = 160  # a square of grey, on a sixteenth of the picture
    picture = Image.fromarray(inks, "CMYK")
    conversion = conversion_of(ColourTags(icc=profile), image_format="JPEG", mode="CMYK")
    assert (conversion.uncertain, readers_differ(picture, conversion, 1)) == (False, True)


def test_trying_many_files_does_not_hide_what_lies_on_lines() -> None:
    # Every fourth line differs in a fourth of its length: 6 % of the pixels.
    picture = PICTURE.resize((512, 512)).point(lambda value: 128 + value // 2)
    picture.paste((0, 0, 0), (0, 0, 128, 512), Image.fromarray((np.arange(512) % 4 == 0)[:, None].repeat(128, axis=1)))
    conversion = Conversion(convert=lambda image: image, ways=(lambda image: image.point(lambda value: value or 90),))
    assert all(readers_differ(picture, conversion, seed) for seed in range(100))


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_profile_is_not_flagged(name: str) -> None:
    assert not is_flagged(HONEST[name])


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_readers_take_differently_is_flagged(name: str) -> None:
    assert is_flagged(DOUBTFUL[name])


def parting() -> bytes:
    """Two tables that part in a corner of all colours."""
    light = srgb_light(lattice(17))
    apart = np.where(lattice(17).max(axis=1, keepdims=True) <= 0.25, D50 * 0.8, light)
    tables = [(name, mft2_tag(xyz_to_lab(each), 3, 17)) for name, each in ((b"A2B0", apart), (b"A2B1", light))]
    return write_profile(b"RGB ", b"Lab ", tables)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize(("colour", "flags"), [((40, 50, 30), ["COLOUR_UNCERTAIN"]), ((140, 150, 130), [])])
def test_ways_are_compared_where_the_picture_is(mode: str, colour: tuple[int, int, int], flags: list[str]) -> None:
    """For a picture of colours where tables part, and for one of others."""
    picture = Image.new("RGB", (40, 30), colour).convert(mode)
    options: dict[str, Any] = {"transparency": bytes([100, 255])} if mode == "P" else {}
    if mode == "RGBA":
        picture.putalpha(120)
    data = encode(picture, "PNG", icc_profile=parting(), **options)
    facts = decode_image(data, preprocessing=Preprocessing(side=32, colour="srgb")).facts
    assert [flag for flag in facts.degraded if flag == "COLOUR_UNCERTAIN"] == flags


def test_nobody_paints_around_the_pixels_that_are_compared() -> None:
    """A share of 5 % is found whatever the file's digest; none is missed by luck."""
    conversion = conversion_of(ColourTags(icc=DOUBTFUL["two ways that differ"]), image_format="PNG", mode="RGB")
    picture = Image.new("RGB", (200, 200), "black")
    picture.paste((255, 0, 0), (80, 80, 125, 125))
    assert all(readers_differ(picture, conversion, seed) for seed in range(20))
