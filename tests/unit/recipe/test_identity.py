from collections import Counter

import pytest

from recipes.mini.catalogue import Drawing
from recipes.mini.identity import (
    GATED,
    Expect,
    parse_fixtures,
    read_fixtures,
    slice_of,
    slices_by_drawing,
    twin_name,
    uri_of,
)
from recipes.mini.labels import read_labels
from recipes.mini.sets import ALL_SETS

HEAD = "uri,expect,category,slice\n"


def drawing(icon_set: str, icon: str) -> Drawing:
    return Drawing(icon_set=icon_set, icon=icon, group="report", name=icon, toned=False, palette=True)


@pytest.mark.parametrize(
    ("icon_set", "icon", "shared"),
    [
        ("noto", "waving-hand-medium-dark-skin-tone", "noto/waving-hand"),
        ("noto", "woman-police-officer-dark-skin-tone", "noto/police-officer"),
        ("noto", "man-police-officer", "noto/police-officer"),
        ("noto", "police-officer", "noto/police-officer"),
        ("fluent-emoji", "woman-artist-dark", "fluent-emoji/artist"),
        ("noto", "man-in-motorized-wheelchair-facing-right", "noto/in-motorized-wheelchair"),
        ("noto", "woman", "noto/person"),
        ("noto", "person-light-skin-tone", "noto/person"),
        ("tabler", "manual-gearbox", "tabler/manual-gearbox"),  # `man` is a word, not a syllable
    ],
)
def test_tones_genders_and_mirror_images_share_a_name(icon_set: str, icon: str, shared: str) -> None:
    assert twin_name(icon_set, icon) == shared


def test_drawings_of_two_sets_are_no_twins() -> None:
    assert twin_name("noto", "mosque") != twin_name("noto-v1", "mosque")


def test_a_skin_tone_is_in_the_slice_of_the_toneless_drawing() -> None:
    slices = slices_by_drawing(parse_fixtures(f"{HEAD}noto/woman-with-headscarf,must_allow,,dress\n"))
    assert uri_of(drawing("noto", "woman-with-headscarf-dark-skin-tone")) == "noto/woman-with-headscarf"
    assert slice_of(drawing("noto", "woman-with-headscarf-dark-skin-tone"), slices) == "dress"
    assert slice_of(drawing("noto", "woman"), slices) == ""
    assert slice_of(drawing("circle-flags", "ad"), slices) == "flags"


@pytest.mark.parametrize(
    "line", ["noto/gun,must_stop,,people", "noto/nun,must_allow,weapons,dress", "noto/nun,maybe,,dress"]
)
def test_a_fixture_that_says_half_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"must_stop names|valid Expect"):
        parse_fixtures(f"{HEAD}{line}\n")


def test_the_fixtures_are_of_the_recipes_sets_and_each_asks_once() -> None:
    fixtures = read_fixtures()
    assert {fixture.uri.split("/")[0] for fixture in fixtures} <= set(ALL_SETS)
    assert {fixture.slice for fixture in fixtures} == frozenset[str]().union(*GATED.values())
    assert not [k for k, n in Counter((f.uri, f.category) for f in fixtures).items() if n > 1]
    assert not [k for k, n in Counter(f.uri for f in fixtures if f.expect is Expect.MUST_ALLOW).items() if n > 1]


def test_fixtures_and_labels_do_not_contradict_each_other() -> None:
    positive = {(f"{m.icon_set}/{m.icon}", m.category) for m in read_labels() if m.label == "positive"}
    listed = {fixture.uri for fixture in read_fixtures()}
    stopped = {(f.uri, f.category) for f in read_fixtures() if f.expect is Expect.MUST_STOP}
    held_out = {uri.split("/")[0] for uri, _ in positive}
    assert {key for key in positive if key[0] in listed} == {k for k in stopped if k[0].split("/")[0] in held_out}


def test_the_complaints_are_among_the_fixtures() -> None:
    allowed = {fixture.uri for fixture in read_fixtures() if fixture.expect is Expect.MUST_ALLOW}
    assert {"noto-v1/person-with-skullcap", "emojione/person-wearing-turban", "hugeicons/niqab"} <= allowed
    assert ("pinhead/coffin-with-star-of-david", "violence.graphic") in {
        (fixture.uri, fixture.category) for fixture in read_fixtures() if fixture.expect is Expect.MUST_STOP
    }
