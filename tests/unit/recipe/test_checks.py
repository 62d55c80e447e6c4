import numpy as np

from clipwarden.tuning.gate import Slice
from recipes.mini.checks import differing_twins, hold_fixtures
from recipes.mini.evidence import Members
from recipes.mini.identity import parse_fixtures
from recipes.mini.rules import count_slice, decide_category

FIXTURES = parse_fixtures(
    "uri,expect,category,slice\n"
    "a/nun,must_allow,,dress\n"
    "a/monk,must_allow,,dress\n"
    "a/rifle,must_stop,weapons,people\n"
    "b/elsewhere,must_allow,,people\n"
)


def test_fixtures_hold_for_every_skin_tone_or_not_at_all() -> None:
    bands = {
        "a/nun": {"weapons": [0, 0], "gore": [2, 2]},  # gore is in shadow
        "a/monk": {"weapons": [0, 1], "gore": [0, 0]},
        "a/rifle": {"weapons": [1, 0], "gore": [0, 0]},
    }
    report = hold_fixtures(FIXTURES, bands, frozenset({"weapons"}))
    assert report["must_allow"] == {
        "holds": 1,
        "of": 2,
        "reviewed": ["a/monk (weapons)"],
        "blocked": [],
        "missed": [],
    }
    assert report["must_stop"]["missed"] == ["a/rifle (weapons)"]
    assert hold_fixtures(FIXTURES, bands, frozenset({"gore"}))["must_allow"]["blocked"] == ["a/nun (gore)"]


def test_twins_differ_when_their_verdicts_do() -> None:
    twins = ["a/nun", "a/nun", "a/monk", "a/monk", "a/alone"]
    report = differing_twins(twins, ["nun", "nun-dark", "monk", "monk-dark", "alone"], np.array([0, 2, 1, 1, 2]))
    assert report == {"sets": 2, "differing": {"a/nun": {"allow": ["nun"], "block": ["nun-dark"]}}}


def test_a_group_is_stopped_once_and_positives_are_not_counted() -> None:
    members = Members(places=np.array([0, 1, 2, 4]), groups=np.array([0, 0, 1, 2]))
    bands, clean = np.array([0, 2, 1, 2, 2]), np.array([True, True, True, True, False])
    assert count_slice("dress", bands, members, clean, 1) == Slice(name="dress", stopped=2, groups=2)
    assert count_slice("dress", bands, members, clean, 2) == Slice(name="dress", stopped=1, groups=2)


def counts(stopped: int, groups: int) -> dict[str, list[Slice]]:
    return {band: [Slice(name="flags", stopped=stopped, groups=groups)] for band in ("review", "block")}


def test_a_category_that_breaks_no_rule_is_enforced() -> None:
    decision = decide_category("weapons", counts(0, 149), counts(0, 10), 30, 0.80)
    assert decision.enforce
    assert decision.reasons == ()


def test_too_few_drawings_keep_a_category_in_shadow_and_say_so() -> None:
    decision = decide_category("weapons", counts(0, 148), counts(0, 10), 30, 0.80)
    assert decision.reasons == ("0 of 148 of flags reach block: unknown at 2%",)
    assert not decision.enforce


def test_drawings_the_model_knows_do_not_pay_for_those_it_never_saw() -> None:
    decision = decide_category("weapons", counts(3, 2000), counts(3, 4), 30, 0.80)
    assert decision.reasons == (
        "3 of 4 of flags, of sets held out, reach review: over 5%",
        "3 of 4 of flags, of sets held out, reach block: over 2%",
    )


def test_a_category_hardly_measured_or_hardly_told_apart_stays_in_shadow() -> None:
    assert decide_category("drugs", counts(0, 149), counts(0, 9), 29, 0.99).reasons == (
        "29 positives in the report sets, 30 are needed",
    )
    assert decide_category("drugs", counts(0, 149), counts(0, 9), 30, 0.79).reasons == (
        "lower bound of AUROC 0.790, 0.80 is needed",
    )
