"""What colour costs is measured on files that carry the profiles they are called by, in pairs of the same file."""

import numpy as np
import pytest
from bench import profiles
from bench.colour import P3_BAR, SRGB_BAR, picture, run

from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.colour.conversion import conversion_of
from clipwarden.vision.colour.curves import ProfileError
from clipwarden.vision.colour.icc import read_profile
from clipwarden.vision.decode import decode_image
from clipwarden.vision.structure import MAX_PROFILE_BYTES, ColourTags

SIZE = (640, 480)


def test_every_profile_is_timed_at_every_size_and_hostile_ones_once() -> None:
    ratios = run(sizes=(SIZE, (64, 48)), rounds=1)
    assert [ratio.bar for ratio in ratios] == [SRGB_BAR, SRGB_BAR, P3_BAR, None] * 2 + [None] * 4
    assert all(ratio.of_medians > 0 for ratio in ratios)


def test_profiles_are_what_they_are_called() -> None:
    srgb, p3, v = (
        conversion_of(ColourTags(icc=make()), image_format="JPEG", mode="RGB")
        for make in (profiles.srgb, profiles.display_p3, profiles.v_curve)
    )
    assert (srgb.convert, srgb.uncertain) == (None, False)
    assert p3.convert
    assert p3.after_reduction
    assert v.convert
    assert not v.after_reduction


def test_pictures_carry_their_profile_and_are_converted() -> None:
    stored, displayed = (
        decode_image(picture(SIZE, profiles.v_curve), preprocessing=Preprocessing(side=32, colour=colour)).pixels
        for colour in ("ignore", "srgb")
    )
    assert np.abs(stored.astype(int) - displayed).mean() > 20


def test_hostile_profiles_are_as_large_as_are_read() -> None:
    table, tags = profiles.huge_table(), profiles.many_tags()
    assert MAX_PROFILE_BYTES * 0.8 < len(table) <= MAX_PROFILE_BYTES
    assert read_profile(table).device == b"CMYK"
    assert MAX_PROFILE_BYTES - 12 < len(tags) <= MAX_PROFILE_BYTES
    with pytest.raises(ProfileError, match="no way to XYZ"):
        read_profile(tags)
