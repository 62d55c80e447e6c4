"""What reducing before converting could hide, measured; and what is therefore converted at full size."""

import numpy as np
import pytest

from browser.profiles import (
    ADOBE_PRIMARIES,
    BT2020_PRIMARIES,
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    PROPHOTO_PRIMARIES,
    PROPHOTO_WHITE,
    SRGB_PARAMETRIC,
    SRGB_PRIMARIES,
    SWAPPED_PRIMARIES,
    V_CURVE,
    gamma_curve,
    lut_profile,
    matrix_profile,
    rgb_formula,
    srgb_to_linear,
    table_curve,
)
from clipwarden.vision.colour.conversion import conversion_of
from clipwarden.vision.colour.icc import read_profile
from clipwarden.vision.colour.spaces import MatrixSpace
from clipwarden.vision.colour.tameness import hidden_levels, is_tame
from clipwarden.vision.structure import ColourTags

_LEVELS = np.linspace(0, 255, 256)


def displayed_at(levels: np.ndarray) -> bytes:
    """A profile of sRGB's primaries whose curve displays the 256 inputs at these levels."""
    return matrix_profile(table_curve(srgb_to_linear(np.clip(levels, 0, 255) / 255)))


def space_of(profile: bytes) -> MatrixSpace:
    space = read_profile(profile).space
    assert isinstance(space, MatrixSpace)
    return space


TAME = {
    "Display P3": matrix_profile(SRGB_PARAMETRIC, P3_PRIMARIES, version=4),
    "Adobe RGB": matrix_profile(gamma_curve(2.19921875), ADOBE_PRIMARIES),
    "sRGB, exponent 2.2": matrix_profile(gamma_curve(2.2)),
    "a kink of 11 levels": displayed_at(np.where(_LEVELS < 128, _LEVELS - 11, _LEVELS + 11)),
    "stairs of 20 levels": displayed_at(np.round(_LEVELS / 20) * 20),
}
WILD = {
    "V": matrix_profile(V_CURVE),
    "falling": matrix_profile(NEGATIVE_CURVE),
    "one step back": displayed_at(_LEVELS - 3 * (_LEVELS == 128)),
    "stairs of 26 levels": displayed_at(np.round(_LEVELS / 26) * 26),
    "wild between the levels": matrix_profile(
        table_curve(np.where(np.arange(2551) % 10 == 5, 1.0, srgb_to_linear(np.linspace(0, 1, 2551))))
    ),
    "linear": matrix_profile(gamma_curve(1.0)),
    "exponent 1.8": matrix_profile(gamma_curve(1.8)),
    "swapped primaries": matrix_profile(SRGB_PARAMETRIC, SWAPPED_PRIMARIES, version=4),
    "ProPhoto": matrix_profile(gamma_curve(2.2), PROPHOTO_PRIMARIES, PROPHOTO_WHITE),
    "BT.2020": matrix_profile(gamma_curve(2.2), BT2020_PRIMARIES),
}


@pytest.mark.parametrize("name", TAME)
def test_near_to_srgb_is_reduced_first(name: str) -> None:
    assert is_tame(space_of(TAME[name]))


@pytest.mark.parametrize("name", WILD)
def test_far_from_srgb_is_converted_at_full_size(name: str) -> None:
    assert not is_tame(space_of(WILD[name]))
    conversion = conversion_of(ColourTags(icc=WILD[name]), image_format="JPEG", mode="RGB")
    assert conversion.convert is not None
    assert not conversion.after_reduction


def test_a_table_is_never_reduced_first() -> None:
    near = lut_profile("mft2", b"RGB ", rgb_formula(SRGB_PRIMARIES, srgb_to_linear))
    assert not conversion_of(ColourTags(icc=near), image_format="JPEG", mode="RGB").after_reduction


@pytest.mark.parametrize("gamma", [0.02, 0.3, 0.41, 0.55, 1.0])
def test_gamma_outside_its_range_is_converted_at_full_size(gamma: float) -> None:
    assert not conversion_of(ColourTags(gamma=gamma), image_format="PNG", mode="RGB").after_reduction
    assert conversion_of(ColourTags(gamma=0.48), image_format="PNG", mode="RGB").after_reduction


@pytest.mark.parametrize("name", TAME)
def test_what_hides_behind_a_tame_space_stays_below_what_hides_in_any_picture(name: str) -> None:
    """On a lattice finer than the one it was admitted by; black and white dots hide 60 levels without any profile."""
    assert hidden_levels(space_of(TAME[name]), 7) <= 45


def test_a_wild_one_hides_a_picture() -> None:
    assert hidden_levels(space_of(WILD["V"]), 5) > 100
