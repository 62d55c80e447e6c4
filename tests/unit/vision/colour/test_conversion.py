"""What a file says of its colours against what is displayed: by formula, and by littleCMS where it has an opinion."""

import io
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from browser.profiles import (
    ADOBE_PRIMARIES,
    NEGATIVE_CURVE,
    P3_PRIMARIES,
    SRGB_PARAMETRIC,
    SRGB_PRIMARIES,
    SRGB_TABLE,
    SWAPPED_PRIMARIES,
    V_CURVE,
    cmyk_to_xyz,
    gamma_curve,
    grey_profile,
    lut_profile,
    matrix_profile,
    parametric_curve,
    rgb_formula,
    rgb_to_xyz,
    srgb_to_linear,
    table_curve,
    write_profile,
)
from clipwarden.vision.colour.conversion import Conversion, conversion_of
from clipwarden.vision.structure import MAX_PROFILE_BYTES, NO_TAGS, Chromaticities, Cicp, ColourTags
from clipwarden.vision.views import to_views

Floats = NDArray[np.float64]

P3 = matrix_profile(SRGB_PARAMETRIC, P3_PRIMARIES, version=4)
ADOBE = matrix_profile(gamma_curve(2.2), ADOBE_PRIMARIES)
NEGATIVE = matrix_profile(NEGATIVE_CURVE)
SWAPPED = matrix_profile(SRGB_TABLE, SWAPPED_PRIMARIES)
GREY_LINEAR = grey_profile(gamma_curve(1.0))
CMYK = lut_profile("mft2", b"CMYK", cmyk_to_xyz, grid=7)
LINEAR_CICP = Cicp(primaries=1, transfer=8)
P3_POINTS = Chromaticities(white=(0.3127, 0.3290), red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060))

# Every channel's levels, greys, and colours at random.
_RAMP = np.arange(256, dtype=np.uint8)
COLOURS = np.concatenate(
    [
        np.repeat(_RAMP[:, None], 3, axis=1),
        *(np.eye(3, dtype=np.uint8)[channel] * _RAMP[:, None] for channel in range(3)),
        np.random.default_rng(0).integers(0, 256, (1024, 3), dtype=np.uint8),
    ]
).reshape(32, 64, 3)
RGB = Image.fromarray(COLOURS)
GREY = Image.fromarray(np.tile(_RAMP, (4, 1)))
INKS = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 64, 4), dtype=np.uint8), "CMYK")


def found(tags: ColourTags, image: Image.Image = RGB, image_format: str = "PNG") -> Conversion:
    return conversion_of(tags, image_format=image_format, mode=image.mode)


def shown(tags: ColourTags, image: Image.Image = RGB, image_format: str = "PNG") -> NDArray[np.int16]:
    (view,) = to_views(image, found(tags, image, image_format))
    rgb = view.rgb if view.convert_reduced is None else view.convert_reduced(view.rgb)
    return np.asarray(rgb).astype(np.int16)


def encoded(xyz: Floats) -> Floats:
    """XYZ under D50 [..., 3] as levels of sRGB."""
    light = np.clip(xyz @ np.linalg.inv(rgb_to_xyz(SRGB_PRIMARIES)).T, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def by_formula(to_xyz: Callable[[Floats], Floats]) -> Floats:
    return encoded(to_xyz(COLOURS.reshape(-1, 3) / 255.0)).reshape(COLOURS.shape)


@pytest.mark.parametrize(
    ("profile", "to_xyz", "levels"),
    [
        (P3, rgb_formula(P3_PRIMARIES, srgb_to_linear), 1.5),
        (ADOBE, rgb_formula(ADOBE_PRIMARIES, lambda v: v**2.2), 1.5),
        (matrix_profile(gamma_curve(1.8), ADOBE_PRIMARIES), rgb_formula(ADOBE_PRIMARIES, lambda v: v**1.8), 1.5),
        (NEGATIVE, rgb_formula(SRGB_PRIMARIES, lambda v: srgb_to_linear(1 - v)), 1.5),
        (SWAPPED, rgb_formula(SWAPPED_PRIMARIES, srgb_to_linear), 1.5),
        (matrix_profile(V_CURVE), rgb_formula(SRGB_PRIMARIES, lambda v: abs(2 * v - 1)), 1.5),
        # Tables of Lab: between their nodes lightness bends.
        *(
            (lut_profile(kind, b"RGB ", rgb_formula(P3_PRIMARIES, lambda v: v**2.2), grid=17), None, 0)
            for kind in ("mft1", "mft2")
        ),
        (
            lut_profile("mAB", b"RGB ", rgb_formula(SRGB_PRIMARIES, lambda v: (1 - v) ** 2.2), grid=33, version=4),
            rgb_formula(SRGB_PRIMARIES, lambda v: (1 - v) ** 2.2),
            5,
        ),
    ],
)
def test_a_profile_is_shown_as_its_formula_says(
    profile: bytes, to_xyz: Callable[[Floats], Floats] | None, levels: float
) -> None:
    ours = shown(ColourTags(icc=profile))
    if to_xyz is not None:
        assert np.abs(ours - by_formula(to_xyz)).max() <= levels
    assert np.abs(ours - COLOURS).mean() > 2


@pytest.mark.parametrize(
    ("profile", "image", "image_format"),
    [
        (P3, RGB, "PNG"),
        (ADOBE, RGB, "WEBP"),
        (NEGATIVE, RGB, "JPEG"),
        (SWAPPED, RGB, "PNG"),
        (grey_profile(gamma_curve(2.2)), GREY, "PNG"),
        (lut_profile("mft1", b"RGB ", rgb_formula(P3_PRIMARIES, lambda v: v**2.2), grid=17), RGB, "PNG"),
        (lut_profile("mft2", b"RGB ", rgb_formula(P3_PRIMARIES, lambda v: v**2.2), grid=17), RGB, "PNG"),
        (lut_profile("mAB", b"RGB ", rgb_formula(P3_PRIMARIES, lambda v: v**2.2), grid=17, version=4), RGB, "PNG"),
        (CMYK, INKS, "TIFF"),
    ],
)
def test_little_cms_agrees(profile: bytes, image: Image.Image, image_format: str) -> None:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    theirs = ImageCms.profileToProfile(
        image, source, ImageCms.createProfile("sRGB"), renderingIntent=1, outputMode="RGB"
    )
    assert theirs is not None
    difference = np.abs(shown(ColourTags(icc=profile), image, image_format) - np.asarray(theirs))
    assert difference.mean() < 1
    assert np.percentile(difference, 99) <= 4


def test_the_carrier_that_browsers_take_first_counts() -> None:
    every = ColourTags(cicp=LINEAR_CICP, icc=NEGATIVE, srgb=True, gamma=0.2, chromaticities=P3_POINTS)
    linear = by_formula(rgb_formula(SRGB_PRIMARIES, lambda v: v))
    negative = 255 - COLOURS.astype(np.int16)
    assert np.abs(shown(every) - linear).max() <= 1
    # In an AVIF a profile goes before code points.
    assert np.abs(shown(every, image_format="AVIF") - negative).max() <= 1
    assert np.abs(shown(ColourTags(icc=NEGATIVE, srgb=True, gamma=0.2)) - negative).max() <= 1
    assert found(ColourTags(srgb=True, gamma=0.2, chromaticities=P3_POINTS)).convert is None


@pytest.mark.parametrize("gamma", [0.02, 0.2, 0.48, 0.55, 1.0, 5.0])
def test_gamma_is_a_power_to_light(gamma: float) -> None:
    expected = by_formula(rgb_formula(SRGB_PRIMARIES, lambda v: v ** (1 / gamma)))
    assert np.abs(shown(ColourTags(gamma=gamma)) - expected).max() <= 1.5


def test_gamma_and_primaries_count_together() -> None:
    expected = by_formula(rgb_formula(P3_PRIMARIES, lambda v: v ** (1 / 0.6)))
    assert np.abs(shown(ColourTags(gamma=0.6, chromaticities=P3_POINTS)) - expected).max() <= 1
    # Even an exponent that counts for nothing alone.
    expected = by_formula(rgb_formula(P3_PRIMARIES, lambda v: v ** (1 / 0.45455)))
    assert np.abs(shown(ColourTags(gamma=0.45455, chromaticities=P3_POINTS)) - expected).max() <= 1


@pytest.mark.parametrize(
    "tags",
    [
        NO_TAGS,
        ColourTags(chromaticities=P3_POINTS),
        ColourTags(gamma=0.45455),
        ColourTags(gamma=0.47),
        ColourTags(srgb=True, gamma=0.1),
        ColourTags(icc=matrix_profile(SRGB_TABLE)),
        ColourTags(icc=matrix_profile(SRGB_PARAMETRIC, version=4)),
        ColourTags(cicp=Cicp(primaries=1, transfer=13)),
        # Three points on a line, and one outside the diagram: browsers leave colours alone.
        ColourTags(
            gamma=0.3,
            chromaticities=Chromaticities(white=(0.3, 0.3), red=(0.6, 0.3), green=(0.6, 0.3), blue=(0.1, 0.1)),
        ),
        ColourTags(
            gamma=0.3,
            chromaticities=Chromaticities(white=(0.3, 0.3), red=(1.6, 0.3), green=(0.3, 0.6), blue=(0.1, 0.1)),
        ),
    ],
)
def test_what_says_srgb_or_nothing_costs_no_pass(tags: ColourTags) -> None:
    conversion = found(tags)
    assert (conversion.convert, conversion.after_reduction, conversion.uncertain) == (None, True, False)


@pytest.mark.parametrize(
    ("profile", "image", "image_format", "is_taken"),
    [
        (P3, RGB, "PNG", True),
        (GREY_LINEAR, RGB, "PNG", False),
        (GREY_LINEAR, RGB, "JPEG", False),
        (GREY_LINEAR, GREY, "JPEG", True),
        (NEGATIVE, GREY, "PNG", True),
        (NEGATIVE, GREY, "JPEG", True),
        (CMYK, RGB, "PNG", False),
        (CMYK, RGB, "JPEG", False),
        (CMYK, GREY, "JPEG", False),
        (CMYK, INKS, "JPEG", True),
        (NEGATIVE, INKS, "JPEG", False),
    ],
)
def test_a_profile_counts_where_it_fits_as_chromium_has_it(
    profile: bytes, image: Image.Image, image_format: str, *, is_taken: bool
) -> None:
    conversion = found(ColourTags(icc=profile), image, image_format)
    assert ((conversion.convert is not None), conversion.uncertain) == (is_taken, not is_taken)


def test_a_profile_that_does_not_fit_ends_the_search_and_a_broken_one_does_not() -> None:
    assert found(ColourTags(icc=GREY_LINEAR, gamma=0.1)).convert is None
    broken = ColourTags(icc=b"no profile", gamma=0.1)
    assert found(broken).uncertain
    assert np.array_equal(shown(broken), shown(ColourTags(gamma=0.1)))


def test_a_grey_picture_takes_the_curve_of_a_grey_profile_and_the_tint_of_another() -> None:
    ramp = np.asarray(GREY) / 255.0
    linear = encoded(np.stack([ramp] * 3, axis=-1) @ rgb_to_xyz(SRGB_PRIMARIES).T)
    assert np.abs(shown(ColourTags(icc=GREY_LINEAR), GREY) - linear).max() <= 1
    tinted = shown(ColourTags(icc=write_tinted()), GREY)
    assert tinted[..., 0].mean() > tinted[..., 1].mean() + 5


def write_tinted() -> bytes:
    """A profile whose white is not white."""
    columns = rgb_to_xyz(SRGB_PRIMARIES).T * [[1.0], [0.7], [1.0]]
    points = [
        (name, b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in column)))
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    ]
    curves = [(name, SRGB_TABLE) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return write_profile(b"RGB ", b"XYZ ", [*points, *curves])


def test_inks_of_a_jpeg_become_rgb_before_the_profile_is_asked_as_in_chromium() -> None:
    rgb = np.asarray(INKS.convert("RGB")) / 255.0
    without_black = np.concatenate([1 - rgb, np.zeros((*rgb.shape[:2], 1))], axis=2).reshape(-1, 4)
    expected = encoded(cmyk_to_xyz(without_black)).reshape(rgb.shape)
    difference = np.abs(shown(ColourTags(icc=CMYK), INKS, "JPEG") - expected)
    assert difference.mean() < 1.5


def test_a_palette_is_converted_and_nothing_else_of_the_picture() -> None:
    palette = RGB.quantize(32)
    palette.info["transparency"] = bytes(range(32))
    conversion = found(ColourTags(icc=NEGATIVE), palette)
    assert conversion.convert is not None
    converted = conversion.convert(palette)
    assert (converted.mode, converted.info["transparency"]) == ("P", bytes(range(32)))
    assert np.array_equal(np.asarray(converted), np.asarray(palette))
    assert np.array_equal(
        np.asarray(converted.convert("RGBA"))[..., :3], 255 - np.asarray(palette.convert("RGBA"))[..., :3]
    )


@pytest.mark.parametrize(
    "profile", [P3, NEGATIVE, lut_profile("mft2", b"RGB ", rgb_formula(P3_PRIMARIES, lambda v: v**2.2))]
)
def test_alpha_is_left_as_it_is_and_displayed_colours_are_laid_over_the_page(profile: bytes) -> None:
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (32, 1)))
    see_through = RGB.copy()
    see_through.putalpha(alpha)
    conversion = found(ColourTags(icc=profile), see_through)
    assert conversion.convert is not None
    converted = conversion.convert(see_through)
    assert np.array_equal(np.asarray(converted)[..., 3], np.asarray(alpha))
    assert np.abs(np.asarray(converted)[..., :3].astype(int) - shown(ColourTags(icc=profile))).max() <= 1
    white, black = to_views(see_through, conversion)
    expected = Image.new("RGB", RGB.size, "white")
    expected.paste(converted, mask=alpha)
    assert np.array_equal(np.asarray(white.rgb), np.asarray(expected))
    assert black.convert_reduced is None


@pytest.mark.parametrize(("transfer", "power"), [(1, 2.4), (4, 2.2), (5, 2.8), (6, 2.4), (8, 1.0), (14, 2.4)])
def test_code_points_name_a_transfer(transfer: int, power: float) -> None:
    expected = by_formula(rgb_formula(SRGB_PRIMARIES, lambda v: v**power))
    assert np.abs(shown(ColourTags(cicp=Cicp(primaries=1, transfer=transfer))) - expected).max() <= 1


def test_outside_png_a_cameras_curve_and_what_is_not_said_are_srgb() -> None:
    for cicp in (Cicp(primaries=1, transfer=1, matrix=6), Cicp(primaries=2, transfer=2, matrix=6)):
        conversion = found(ColourTags(cicp=cicp), image_format="AVIF")
        assert (conversion.convert, conversion.uncertain) == (None, False)


@pytest.mark.parametrize("primaries", [4, 5, 6, 7, 8, 9, 10, 11, 12, 22])
def test_code_points_name_primaries_and_leave_white_white(primaries: int) -> None:
    seen = shown(ColourTags(cicp=Cicp(primaries=primaries, transfer=13)))
    assert np.abs(seen[0, :64] - COLOURS[0, :64]).max() <= 1  # greys
    assert np.abs(seen - COLOURS).mean() > 1


@pytest.mark.parametrize(
    "cicp", [Cicp(primaries=2, transfer=13), Cicp(primaries=1, transfer=2), Cicp(primaries=99, transfer=13)]
)
def test_unknown_code_points_are_passed_over_and_flagged(cicp: Cicp) -> None:
    tags = ColourTags(cicp=cicp, gamma=0.2)
    assert found(tags).uncertain
    assert np.array_equal(shown(tags), shown(ColourTags(gamma=0.2)))


@pytest.mark.parametrize(
    ("transfer", "shown_by_chromium"),
    [
        (16, [0, 1, 5, 15, 30, 48, 70, 98, 132, 175, 213, 237, 255, 255, 255, 255]),
        (18, [0, 3, 14, 29, 43, 57, 71, 85, 99, 115, 135, 160, 189, 212, 228, 243]),
    ],
)
@pytest.mark.parametrize("primaries", [1, 9])
def test_light_beyond_white_is_brought_to_an_ordinary_screen(
    transfer: int, shown_by_chromium: list[int], primaries: int
) -> None:
    seen = shown(ColourTags(cicp=Cicp(primaries=primaries, transfer=transfer)))
    greys = seen.reshape(-1, 3)[:256:16]
    assert np.abs(greys - np.array(shown_by_chromium)[:, None]).max() <= 1


@pytest.mark.parametrize("transfer", [16, 18])
def test_a_wider_range_than_is_judged_is_said(transfer: int) -> None:
    assert found(ColourTags(cicp=Cicp(primaries=9, transfer=transfer))).hdr
    tagged = write_profile(
        b"RGB ",
        b"XYZ ",
        [
            *((name, SRGB_TABLE) for name in (b"rTRC", b"gTRC", b"bTRC")),
            *(
                (name, b"XYZ \0\0\0\0" + struct.pack(">3i", 30000, 30000, 30000))
                for name in (b"rXYZ", b"gXYZ", b"bXYZ")
            ),
            (b"cicp", b"cicp\0\0\0\0" + bytes([9, transfer, 0, 1])),
        ],
        version=4,
    )
    assert found(ColourTags(icc=tagged)).hdr


def changed(profile: bytes, position: int, data: bytes) -> bytes:
    return profile[:position] + data + profile[position + len(data) :]


@pytest.mark.parametrize(
    ("profile", "is_applied"),
    [
        (b"", False),
        (P3[:131], False),
        (P3[: len(P3) - 1], False),
        (bytes(MAX_PROFILE_BYTES + 1), False),
        (changed(P3, 36, b"ascp"), False),
        (changed(P3, 12, b"zzzz"), False),
        (changed(P3, 16, b"zzzz"), False),
        (changed(P3, 20, b"Luv "), False),
        (changed(P3, 8, b"\x05"), False),
        (changed(P3, 128, b"\xff\xff\xff\xff"), False),
        (changed(P3, 128, bytes(4)), False),
        (matrix_profile(table_curve(np.linspace(1, 0, 40_001))), False),
        (matrix_profile(parametric_curve(5, 1.0)), False),
        (matrix_profile(b"text" + bytes(12)), False),
        # Applied by Chromium; other readers refuse these, or read them otherwise.
        (changed(P3, 12, b"link"), True),
        (changed(P3, 12, b"abst"), True),
        (changed(P3, 8, b"\x03"), True),
        (changed(P3, 0, bytes(4)), True),
        (changed(P3, 68, struct.pack(">3i", 62289, 65536, 71372)), True),
        (changed(P3, 132, P3[144:156]), True),
        (matrix_profile(parametric_curve(3, 2.4, 1.0, 0.0, -1.0, 0.5)), True),
    ],
)
def test_a_profile_that_readers_take_differently_is_flagged(profile: bytes, *, is_applied: bool) -> None:
    conversion = found(ColourTags(icc=profile))
    assert conversion.uncertain
    assert (conversion.convert is not None) == is_applied


def test_a_broken_carrier_is_flagged_and_changes_nothing() -> None:
    conversion = found(ColourTags(broken=True))
    assert (conversion.uncertain, conversion.convert) == (True, None)
    assert found(ColourTags(broken=True, icc=NEGATIVE)).convert is found(ColourTags(icc=NEGATIVE)).convert


def test_one_profile_is_built_once_and_serves_many_threads() -> None:
    profile = matrix_profile(gamma_curve(1.5), P3_PRIMARIES)
    assert found(ColourTags(icc=profile)).convert is found(ColourTags(icc=profile)).convert
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda _: shown(ColourTags(icc=profile)), range(16)))
    assert all(np.array_equal(seen[0], each) for each in seen)


def test_colours_of_lab_pictures_are_their_own() -> None:
    assert found(ColourTags(icc=NEGATIVE), Image.new("LAB", (2, 2)), "TIFF").convert is None
