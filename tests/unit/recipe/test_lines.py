import numpy as np
import numpy.typing as npt
import pytest

from clipwarden.tuning.design.groups import worst_of
from recipes.mini.evidence import Evidence, Members
from recipes.mini.groups import group_drawings
from recipes.mini.lines import BLOCK, RATES, REVIEW, bands_of, bands_without_family, choose_lines
from recipes.mini.signatures import TWIN_DISTANCE

MANY = 4000
FAMILIES = 4


def evidence(*, slices: dict[str, npt.NDArray[np.int64]] | None = None) -> Evidence:
    """Return clean drawings of four families, half of them in colour; members of a slice are groups of their own."""
    place = np.arange(MANY)
    return Evidence(
        rows=place,
        families=np.array([f"family-{i % FAMILIES}" for i in range(MANY)]),
        colour=place % (2 * FAMILIES) < FAMILIES,
        listed=np.ones(MANY, np.bool_),
        truth={"weapons": np.full(MANY, "negative", dtype="<U16")},
        slices={name: Members(places=p, groups=np.arange(len(p))) for name, p in (slices or {}).items()},
        detail=np.full(MANY, ""),
    )


@pytest.fixture
def scores() -> npt.NDArray[np.float64]:
    return np.random.default_rng(4).uniform(0.0, 0.5, MANY)


ALL = np.ones(MANY, np.bool_)


def test_colour_does_not_pay_for_one_colour(scores: npt.NDArray[np.float64]) -> None:
    drawings = evidence()
    scores[drawings.colour] += 0.3
    lines = choose_lines(scores, drawings, "weapons", ALL)
    for band, rates in RATES.items():
        for kind in (drawings.colour, ~drawings.colour):
            assert (scores[kind] >= lines[band]).mean() <= rates.drawings
        assert (scores[drawings.colour] >= lines[band] - 0.0001).mean() > rates.drawings


def test_a_slice_lifts_the_lines_until_it_is_left_alone(scores: npt.NDArray[np.float64]) -> None:
    inside = np.arange(0, MANY, 20)
    drawings = evidence(slices={"religion": inside})
    scores[inside] += 0.4
    lines = choose_lines(scores, drawings, "weapons", ALL)
    for band, rates in RATES.items():
        assert (scores[inside] >= lines[band]).mean() <= rates.slice
    assert lines["block"] > choose_lines(scores, evidence(), "weapons", ALL)["block"]


def test_positives_and_what_is_open_choose_no_line(scores: npt.NDArray[np.float64]) -> None:
    drawings = evidence()
    lines = choose_lines(scores, drawings, "weapons", ALL)
    for label in ("positive", "ambiguous"):
        above = drawings.truth["weapons"].copy()
        above[scores >= lines["review"]] = label
        labelled = evidence()
        lower = choose_lines(scores, Evidence(**{**vars(labelled), "truth": {"weapons": above}}), "weapons", ALL)
        assert lower["review"] < lines["review"]


def test_a_family_is_judged_by_lines_that_it_did_not_choose(scores: npt.NDArray[np.float64]) -> None:
    drawings = evidence()
    odd = drawings.families == "family-3"
    scores[odd] += 0.4
    bands = bands_without_family(scores, drawings, "weapons", ALL)
    others = choose_lines(scores, drawings, "weapons", ~odd)
    assert np.array_equal(bands[odd], bands_of(scores[odd], others))
    assert (bands[odd] == BLOCK).mean() > 0.5
    assert (bands_of(scores[odd], choose_lines(scores, drawings, "weapons", ALL)) == BLOCK).mean() < 0.01


def test_a_family_that_may_not_choose_is_judged_by_the_others_all_the_same(scores: npt.NDArray[np.float64]) -> None:
    drawings = evidence()
    report = drawings.families == "family-0"
    bands = bands_without_family(scores, drawings, "weapons", ~report)
    assert np.array_equal(bands[report], bands_of(scores[report], choose_lines(scores, drawings, "weapons", ~report)))


def test_lines_are_inclusive() -> None:
    lines = {"review": 0.2, "block": 0.4}
    assert bands_of(np.array([0.1999, 0.2, 0.4]), lines).tolist() == [0, REVIEW, BLOCK]


def test_twins_and_near_copies_count_once_whatever_joins_them() -> None:
    far, near = np.ones(8, np.float32), np.full(8, TWIN_DISTANCE / 2, np.float32)
    signatures = np.stack([np.zeros(8, np.float32), 3 * far, near, 6 * far, 9 * far])
    # 0 and 1 share a name, 2 looks like 0, 3 shares a name with 2.
    groups = group_drawings(["a", "a", "b", "b", "c"], signatures)
    assert len(set(groups[:4].tolist())) == 1
    assert groups[4] != groups[0]


def test_blank_drawings_are_no_copies_and_hide_none() -> None:
    blank, drawn = np.full(8, np.nan, np.float32), np.ones(8, np.float32)
    groups = group_drawings(["a", "b", "c", "d"], np.stack([blank, blank, drawn, drawn]))
    assert groups[2] == groups[3]
    assert len(set(groups.tolist())) == 3


def test_one_drawing_stops_its_group() -> None:
    assert worst_of(np.array([0.0, 2.0, 1.0]), np.array([7, 7, 3])).tolist() == [1.0, 2.0]
    assert worst_of(np.array([]), np.array([], np.int64)).tolist() == []
