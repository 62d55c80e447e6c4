"""In worlds where the truth is known, intervals hold it as often as they say, and no longer when one is careless.

The worlds are those of `python -m bench.tuning coverage`. Every result is seeded, so it is the same on every machine.
"""

from dataclasses import replace

import numpy as np
import pytest
from bench.tuning.coverage import Covered, measure, summarised
from bench.tuning.reruns import PROMPTS, RERUNS, Rule, choose
from bench.tuning.worlds import RATES, WORLDS, Heed, World

RUNS = 300
COVERS, MISSES, WIDTH = 0.93, 0.06, 1.15


@pytest.fixture(scope="module")
def lines() -> dict[str, dict[str, Covered]]:
    return {world.name: measure(world, RUNS) for world in WORLDS}


def world(name: str) -> World:
    return next(each for each in WORLDS if each.name == name)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", [each.name for each in WORLDS])
def test_intervals_hold_the_truth(lines: dict[str, dict[str, Covered]], name: str, rate: str) -> None:
    line = lines[name][rate]
    assert line.runs > RUNS * 0.9
    assert line.coverage >= COVERS
    assert line.misses <= MISSES


@pytest.mark.parametrize("rate", RATES)
def test_intervals_are_hardly_wider_than_the_formula(lines: dict[str, dict[str, Covered]], rate: str) -> None:
    assert np.mean([each[rate].ratio for each in lines.values()]) <= WIDTH


def test_only_where_most_runs_find_all_is_recall_more_than_a_little_wider(lines: dict[str, dict[str, Covered]]) -> None:
    wider = {name: each["recall"].ratio for name, each in lines.items() if each["recall"].ratio > WIDTH}
    assert set(wider) <= {"0.1 %, easy", "0.3 %, easy", "2 %, easy"}
    assert max(wider.values()) < 1.4


def test_the_formula_alone_promises_too_much_where_a_run_finds_all(lines: dict[str, dict[str, Covered]]) -> None:
    broken = [each["recall"] for each in lines.values() if each["recall"].formula_misses > MISSES]
    assert len(broken) >= 5
    assert min(each.formula_coverage for each in broken) < 0.9


@pytest.mark.parametrize("name", ["0.3 %, hard", "1 %, hard", "2 %, hard", "1 %, ties"])
def test_without_weights_recall_is_not_held(name: str) -> None:
    line = measure(world(name), RUNS, heed=Heed(weights=False), names=["recall"])["recall"]
    assert line.coverage < COVERS
    assert line.misses > MISSES


@pytest.mark.parametrize(("name", "most"), [("1 %, middling", 0.1), ("1 %, 80 % uniform", 0.5)])
def test_without_weights_prevalence_is_not_held(name: str, most: float) -> None:
    line = measure(world(name), RUNS, heed=Heed(weights=False), names=["prevalence"])["prevalence"]
    assert line.coverage < most


def test_without_groups_copies_make_intervals_too_narrow() -> None:
    # So many labels that several copies of a picture are among them.
    copied = replace(world("0.3 %, 30 % copies"), labels=20_000)
    assert measure(copied, RUNS, names=["recall"])["recall"].holds
    ungrouped = measure(copied, RUNS, heed=Heed(groups=False), names=["recall"])["recall"]
    assert ungrouped.coverage < COVERS
    assert ungrouped.misses > MISSES


@pytest.mark.parametrize("rule", [*PROMPTS, *RERUNS], ids=lambda rule: rule.name)
def test_choosing_texts_is_harmless_on_other_groups_and_with_looks_counted(rule: Rule) -> None:
    line = summarised(rule.name, "recall", choose(rule, 2 * RUNS, seed=5))
    assert line.coverage >= COVERS
    assert line.misses <= MISSES
    assert line.ratio <= WIDTH


@pytest.mark.parametrize("rule", PROMPTS, ids=lambda rule: rule.name)
def test_without_the_split_choosing_texts_promises_too_much(rule: Rule) -> None:
    line = summarised(rule.name, "recall", choose(replace(rule, split=False), 2 * RUNS, seed=5))
    assert line.misses > MISSES


@pytest.mark.parametrize("rule", RERUNS, ids=lambda rule: rule.name)
def test_looks_that_are_not_counted_promise_too_much(rule: Rule) -> None:
    line = summarised(rule.name, "recall", choose(replace(rule, counted=False), 2 * RUNS, seed=5))
    assert line.misses > MISSES
