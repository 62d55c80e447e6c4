"""The colour spaces of the corpus, by name: as profiles, and as the numbers that PNG, AVIF and BMP have for them."""

from functools import cache

import numpy as np
from tests.browser.profiles import (
    ADOBE_PRIMARIES,
    BT2020_PRIMARIES,
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    PROPHOTO_PRIMARIES,
    PROPHOTO_WHITE,
    SRGB_PARAMETRIC,
    SRGB_PRIMARIES,
    SRGB_TABLE,
    SWAPPED_PRIMARIES,
    V_CURVE,
    Floats,
    cmyk_to_xyz,
    gamma_curve,
    grey_profile,
    lut_profile,
    matrix_profile,
    parametric_curve,
    rgb_formula,
    srgb_to_linear,
    table_curve,
)

SAME_AS_SRGB = frozenset({"sRGB v4", "sRGB v2 table"})


@cache
def rgb_profiles() -> dict[str, bytes]:
    """Matrix profiles: a name each."""
    bt709 = parametric_curve(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
    return {
        "sRGB v4": matrix_profile(SRGB_PARAMETRIC, version=4),
        "sRGB v2 table": matrix_profile(SRGB_TABLE),
        "Display P3 v4": matrix_profile(SRGB_PARAMETRIC, P3_PRIMARIES, version=4),
        "Display P3 v2": matrix_profile(SRGB_TABLE, P3_PRIMARIES),
        "Adobe RGB v2": matrix_profile(gamma_curve(563 / 256), ADOBE_PRIMARIES),
        "Adobe RGB v4": matrix_profile(parametric_curve(0, 563 / 256), ADOBE_PRIMARIES, version=4),
        "ProPhoto": matrix_profile(gamma_curve(1.8), PROPHOTO_PRIMARIES, PROPHOTO_WHITE),
        "BT.2020": matrix_profile(bt709, BT2020_PRIMARIES, version=4),
        "linear": matrix_profile(gamma_curve(1.0)),
        "gamma 3": matrix_profile(gamma_curve(3.0)),
        "table of a cube": matrix_profile(table_curve(np.linspace(0, 1, 4096) ** 3)),
        "falling curve": matrix_profile(NEGATIVE_CURVE),
        "V-shaped curve": matrix_profile(V_CURVE),
        "swapped primaries": matrix_profile(SRGB_TABLE, SWAPPED_PRIMARIES),
    }


@cache
def lut_profiles() -> dict[str, bytes]:
    """RGB profiles of a grid: a name each."""
    p3 = rgb_formula(P3_PRIMARIES, srgb_to_linear)
    adobe = rgb_formula(ADOBE_PRIMARIES, lambda values: values ** (563 / 256))
    negative = rgb_formula(SRGB_PRIMARIES, lambda values: srgb_to_linear(1 - values))
    return {
        "LUT mft1, Display P3": lut_profile("mft1", b"RGB ", p3),
        "LUT mft2, Adobe RGB": lut_profile("mft2", b"RGB ", adobe),
        "LUT mAB, Display P3": lut_profile("mAB", b"RGB ", p3, version=4),
        "LUT mAB, negative": lut_profile("mAB", b"RGB ", negative, version=4),
        "LUT mft2, three hues swapped": lut_profile("mft2", b"RGB ", _swapped_hues),
    }


@cache
def grey_profiles() -> dict[str, bytes]:
    """Profiles of one channel."""
    return {"grey gamma 3": grey_profile(gamma_curve(3.0)), "grey negative": grey_profile(NEGATIVE_CURVE)}


@cache
def cmyk_profiles() -> dict[str, bytes]:
    """Profiles of a press."""
    return {
        "CMYK mft2": lut_profile("mft2", b"CMYK", cmyk_to_xyz, grid=9),
        "CMYK mft1": lut_profile("mft1", b"CMYK", cmyk_to_xyz, grid=9),
        "CMYK mAB": lut_profile("mAB", b"CMYK", cmyk_to_xyz, grid=9, version=4),
    }


def every_profile() -> dict[str, bytes]:
    """All for RGB pictures."""
    return rgb_profiles() | lut_profiles()


def _swapped_hues(values: Floats) -> Floats:
    return rgb_formula(SRGB_PRIMARIES, srgb_to_linear)(values[:, [2, 0, 1]])
