"""Floors of coverage and resolution: what misses one is partial, wherever it is judged."""

from dataclasses import replace

import pytest

from clipwarden.policy.schema import Mode, Verdict
from clipwarden.scoring.floors import Floor, floors_missed
from clipwarden.scoring.verdict import Raise
from kit.builders import compile_with_random_vectors, cosine_rows, judge_rows, make_category, make_policy

BOTH = (Floor.COVERAGE, Floor.RESOLUTION)


@pytest.mark.parametrize(
    ("coverage", "resolution", "missed"),
    [
        (0.5, 100.0, ()),  # inclusive
        (0.499999, 100.0, (Floor.COVERAGE,)),
        (1.0, 99.9, (Floor.RESOLUTION,)),
        (0.1, 5.0, BOTH),
        (1.0, None, (Floor.RESOLUTION,)),
        (1.0, float("nan"), (Floor.RESOLUTION,)),
        (float("nan"), 100.0, (Floor.COVERAGE,)),
    ],
)
def test_a_floor_is_missed_below_it_and_where_nobody_knows(
    coverage: float, resolution: float | None, missed: tuple[Floor, ...]
) -> None:
    policy = make_policy([make_category()], least_coverage=0.5, least_resolution=100)
    assert floors_missed(policy, coverage=coverage, resolution=resolution) == missed


def test_without_floors_nothing_is_missed() -> None:
    assert floors_missed(make_policy([make_category()]), coverage=0.01, resolution=None) == ()


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.SHADOW])
def test_a_missed_floor_raises_as_partial_does_and_the_judgement_names_it(mode: Mode) -> None:
    policy = make_policy([make_category(mode=mode, review=0.5, block=0.9)], on_partial=Verdict.BLOCK)
    rows = cosine_rows(policy, [{}])
    compiled = compile_with_random_vectors(policy)
    plain, missing = judge_rows(compiled, rows), judge_rows(compiled, rows, missed=BOTH)
    enforced = mode is Mode.ENFORCE
    assert (missing.verdict, missing.shadow_verdict) == (
        Verdict.BLOCK if enforced else Verdict.ALLOW,
        Verdict.BLOCK,
    )
    assert missing.raised_by == ((Raise.PARTIAL,) if enforced else ())
    assert (plain.missed, missing.missed) == ((), BOTH)
    partial = judge_rows(compiled, rows, partial=True)
    assert replace(partial, missed=BOTH) == missing
