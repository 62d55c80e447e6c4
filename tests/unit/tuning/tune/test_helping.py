"""Texts left out and limits of today: the same numbers as the server's, though no text is embedded again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.schema import Bounds
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.calibration import Fitted
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.tune.cases import Cases, join
from clipwarden.tuning.tune.helping import _Scorer, _variants, left_out_texts
from clipwarden.tuning.tune.standing import category_of, standing_of, with_numbers
from kit.tunes import World, make_world

POLICY = """\
api: clipwarden/v1
metadata: {id: texts}
defaults: {mode: shadow, on_error: review, templates: ["{}", "a photo of {}"]}
categories:
- {id: blue, severity: 1, definition: Blue., prompts: ["blue", "a bottle"]}
- id: red
  severity: 2
  definition: Red.
  prompts: ["red", {text: "a gun", weight: 2}, "a knife"]
  negatives: ["yellow", "a statue"]
  scoring: {method: margin, pool: lse}
- id: green
  severity: 1
  definition: Green.
  prompts: ["green", "a flower"]
  scoring: {method: cosine}
  adjustments: [{when: {attribute: museum, gte: 0.1}, add: 0.05}]
attributes:
- {id: museum, prompts: ["a statue", "white"], scoring: {method: cosine}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> World:
    return make_world(tmp_path_factory.mktemp("stores") / "texts.store", toy_model, red=20, others=150)


@pytest.fixture(scope="module")
def store(world: World) -> Store:
    return open_store(world.store)


@pytest.fixture(scope="module")
def compiled(toy_model: Model) -> CompiledPolicy:
    return compile_policy(parse_policy(POLICY).policy, model=toy_model)


def joined(world: World, store: Store, compiled: CompiledPolicy, category: str, folder: Path) -> Cases:
    """Label every picture of the store as if the category were about red."""
    path = world.labels(folder / f"{category}.jsonl", categories=[category])
    labels = read_labels(path, categories=[category], store=store)
    return join(store, score_store(store, prepare(compiled)), labels, [category])[category]


@pytest.mark.parametrize("category", ["red", "green", "blue"])
def test_scores_without_a_text_are_those_of_a_policy_without_it(
    category: str, store: Store, compiled: CompiledPolicy, toy_model: Model
) -> None:
    block = store.vectors(np.arange(len(store.pictures)))
    concept = category_of(compiled, category)
    scorer = _Scorer(compiled=compiled, category=concept, rows=cosines(block.embeddings, compiled), starts=block.starts)
    variants = list(_variants(concept))
    assert len(variants) == {"red": 5, "green": 2, "blue": 2}[category]
    for _, _, place, changed in variants:
        policy = compiled.policy
        edited = replace(policy, categories=tuple(changed if each is concept else each for each in policy.categories))
        wanted = score_store(store, prepare(compile_policy(edited, model=toy_model)))
        column = wanted.concepts.index(category)
        raw, score = scorer.scores(changed, place)
        assert np.array_equal(raw, wanted.logit[:, column])
        assert np.allclose(score, wanted.score[:, column], rtol=1e-12)


def test_what_a_text_does_is_counted_on_pictures_that_the_limit_was_not_chosen_on(
    world: World, store: Store, compiled: CompiledPolicy, tmp_path: Path
) -> None:
    found = joined(world, store, compiled, "red", tmp_path)
    seen: list[tuple[int, int]] = []
    texts = left_out_texts(found, store, compiled, wrong=3, told=lambda done, count: seen.append((done, count)))
    assert [done for done, _ in seen] == [1, 2, 3, 4, 5]
    by_text = {each.text: each for each in texts}
    assert by_text["red"].hurts
    assert texts[-1].text == "red"
    before = {each.found[0] for each in texts}, {each.wrong[0] for each in texts}
    assert all(len(numbers) == 1 for numbers in before)
    assert [each.gain for each in texts] == sorted((each.gain for each in texts), reverse=True)
    again = left_out_texts(found, store, compiled, wrong=3)
    assert again == texts


def test_few_groups_measure_nothing(world: World, store: Store, compiled: CompiledPolicy, tmp_path: Path) -> None:
    found = joined(world, store, compiled, "red", tmp_path)
    alone = np.where(found.positive, found.group[found.positive][0], found.group)
    assert left_out_texts(replace(found, group=alone), store, compiled, wrong=3) == ()


def test_a_limit_of_today_parts_the_same_pictures_before_calibration(store: Store, compiled: CompiledPolicy) -> None:
    assert standing_of(compiled, score_store(store, prepare(compiled)), "red").named == {}
    fitted = Fitted(slope=0.7, bias=-3.1, prevalence=0.01)
    numbers = {
        "red": (fitted, Bounds(review=0.02, block=0.3)),
        "green": (None, Bounds(review=0.2)),
        "blue": (None, Bounds(block=0.99999)),
    }
    bound = with_numbers(compiled, numbers)
    assert bound.unbound == {}
    assert bound.dropped_calibrations == frozenset()
    scores = score_store(store, prepare(bound))
    for name, (_, bounds) in numbers.items():
        now, column = standing_of(bound, scores, name), scores.concepts.index(name)
        for edge, threshold in ((now.block, bounds.block), (now.review, bounds.review)):
            assert (edge is None) == (threshold is None)
            if edge is not None and threshold is not None:
                reached = scores.logit[:, column] >= edge.at
                assert np.array_equal(reached, scores.score[:, column] >= threshold)
