"""A text chosen by what leaving out each of thirty does, then a limit by the same labels: kept as is said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.language.load import parse_policy
from clipwarden.tuning.design.groups import folds
from clipwarden.tuning.labels.model import Design
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.lines.binomial import chance_of_so_few
from clipwarden.tuning.lines.confidence import shared
from clipwarden.tuning.tune.cases import Cases
from clipwarden.tuning.tune.helping import _stopped
from clipwarden.tuning.tune.limits import block_limit
from clipwarden.tuning.tune.looks import note_look
from clipwarden.tuning.tune.targets import Targets

ROUNDS = 200
UPLOADS = 20_000
LABELS = 1000
LIMIT = 0.05
HARMFUL = 0.3
TEXTS = 30
TARGETS = Targets(block_fpr=LIMIT)


def policy_of(texts: int, model: Model) -> CompiledPolicy:
    """Compile a category of one prompt and so many negatives."""
    category = {"id": "red", "severity": 1, "definition": "Red.", "prompts": ["red"], "mode": "shadow"}
    category["negatives"] = [f"a thing of kind {number}" for number in range(texts)]
    told = {"api": "clipwarden/v1", "metadata": {"id": "p"}, "categories": [category]}
    return compile_policy(parse_policy(json.dumps(told)).policy, model=model)


def drawn(rng: np.random.Generator, positive: np.ndarray) -> Cases:
    """Draw labels evenly; they have no scores yet."""
    rows = np.flatnonzero(rng.random(UPLOADS) < LABELS / UPLOADS)
    return Cases(
        category="red",
        design=Design.SAMPLE,
        sha256=tuple(f"{row:064x}" for row in rows.tolist()),
        picture=rows,
        scores=np.zeros(len(rows)),
        positive=positive[rows],
        pi=np.full(len(rows), LABELS / UPLOADS),
        group=np.arange(len(rows)),
        u=rng.random(len(rows)),
        uploads=np.ones(len(rows), np.int64),
    )


def chosen_by_the_labels(scores: np.ndarray, labelled: Cases) -> int:
    """Choose among texts as question 4 ranks them: finds more, stops less wrongly, on other groups than the limit's."""
    part = folds(labelled.group, labelled.u, 5, positive=labelled.positive)
    wrong = int(LIMIT * (~labelled.positive).sum())
    gains = []
    for column in scores.T:
        stopped = _stopped(column[labelled.picture], labelled, part, wrong)
        gains.append(int((stopped & labelled.positive).sum()) - int((stopped & ~labelled.positive).sum()))
    return int(np.argmax(gains))


def broken(rng: np.random.Generator, looks: int) -> int:
    """Count the worlds in which the limit of the text that was chosen stops too much, for all looks together 5 %."""
    count, met = 0, 0
    for _ in range(ROUNDS):
        positive = rng.random(UPLOADS) < HARMFUL
        truth = rng.normal(size=UPLOADS) + 2.0 * positive
        scores = truth[:, np.newaxis] + 2.0 * rng.normal(size=(UPLOADS, TEXTS))
        labelled = drawn(rng, positive)
        column = scores[:, chosen_by_the_labels(scores, labelled)]
        cases = replace(labelled, scores=column[labelled.picture])
        placed = block_limit(cases, TARGETS, shared(0.05, 1, looks))
        if placed is not None and placed.edge is not None:
            met += 1
            count += float((column[~positive] >= placed.edge.at).mean()) > LIMIT
    assert met > 0.9 * ROUNDS, "a limit that cannot be had is never broken"
    return count


def likely(found: int, share: float) -> bool:
    """Tell whether so many, or more, come by chance in at least one of a hundred such tests, at that share."""
    return found == 0 or 1.0 - chance_of_so_few(found - 1, ROUNDS, share) > 0.01


@pytest.fixture
def looks(tmp_path: Path, toy_model: Model) -> int:
    """Count the looks that `tune` notes: all texts are compared, then one of them goes."""
    head = {"labels": "clipwarden.labels/1", "design": "sample", "categories": ["red"], "seed": "s"}
    row = {"sha256": "1" * 64, "labels": {"red": True}, "pi": 0.5}
    path = tmp_path / "labels.jsonl"
    path.write_text(f"{json.dumps(head)}\n{json.dumps(row)}\n")
    labels = read_labels(path, categories=["red"])
    state = tmp_path / "state"
    note_look(labels, policy_of(TEXTS, toy_model), {"red": Targets()}, compared=["red"], state=state)
    return note_look(labels, policy_of(TEXTS - 1, toy_model), {"red": TARGETS}, state=state).counts["red"]


def test_a_text_chosen_by_the_labels_breaks_no_more_promises_than_is_said(looks: int) -> None:
    assert looks == TEXTS + 1
    assert likely(broken(np.random.default_rng(3), looks), 0.05)


def test_a_choice_among_texts_that_counts_as_one_look_breaks_more() -> None:
    assert not likely(broken(np.random.default_rng(3), 2), 0.05)
