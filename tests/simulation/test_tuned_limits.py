"""Limits as `tune` places them, on samples as `sample` draws them: broken in at most the stated share of worlds."""

from dataclasses import replace

import numpy as np
import pytest

from clipwarden.tuning.design.sampling import inclusion
from clipwarden.tuning.labels.model import Design
from clipwarden.tuning.lines.binomial import chance_of_so_few
from clipwarden.tuning.tune.cases import Cases
from clipwarden.tuning.tune.limits import block_limit
from clipwarden.tuning.tune.targets import Targets

ROUNDS = 400
LIMIT = 0.02
UPLOADS = 20_000
TEXTS = 5


def world(rng: np.random.Generator, texts: int) -> tuple[np.ndarray, np.ndarray]:
    """Make uploads of which 1 % are harmful, and what several texts make of them: [N], [N,texts]."""
    positive = rng.random(UPLOADS) < 0.01
    truth = rng.normal(size=UPLOADS) + 2.0 * positive
    return positive, truth[:, np.newaxis] + 0.7 * rng.normal(size=(UPLOADS, texts))


def chances(drawn_by: np.ndarray, uniform: float) -> np.ndarray:
    """Say how likely each upload is to be one of about 900 that are drawn by a score."""
    return inclusion(drawn_by[:, np.newaxis], 900, uniform=uniform)


def drawn(rng: np.random.Generator, positive: np.ndarray, pi: np.ndarray) -> Cases:
    """Draw some uploads, and label them; they have no scores of their own yet."""
    rows = np.flatnonzero(rng.random(UPLOADS) < pi)
    return Cases(
        category="red",
        design=Design.SAMPLE,
        sha256=tuple(f"{row:064x}" for row in rows.tolist()),
        picture=rows,
        scores=np.zeros(len(rows)),
        positive=positive[rows],
        pi=pi[rows],
        group=np.arange(len(rows)),
        u=rng.random(len(rows)),
        uploads=np.ones(len(rows), np.int64),
    )


def broken(rng: np.random.Generator, *, edited: bool, tries: int, uniform: float = 0.2) -> int:
    """Count the worlds in which the worst limit of several tries, each with other texts, stops too much."""
    count, met = 0, 0
    by_others = chances(rng.normal(size=UPLOADS), uniform)  # scores that have nothing to do with these
    for _ in range(ROUNDS):
        positive, scores = world(rng, tries)
        labelled = drawn(rng, positive, by_others if edited else chances(scores[:, 0], uniform))
        worst = 0.0
        for column in scores.T:
            cases = replace(labelled, scores=column[labelled.picture])
            placed = block_limit(cases, Targets(block_fpr=LIMIT), 0.05)
            if placed is not None and placed.edge is not None:
                met += 1
                worst = max(worst, float((column[~positive] >= placed.edge.at).mean()))
        count += worst > LIMIT
    assert met > 0.9 * ROUNDS * tries, "a limit that cannot be had is never broken"
    return count


def likely(found: int, share: float) -> bool:
    """Tell whether so many, or more, come by chance in at least one of a hundred such tests, at that share."""
    return found == 0 or 1.0 - chance_of_so_few(found - 1, ROUNDS, share) > 0.01


@pytest.mark.parametrize("uniform", [0.2, 0.8])
@pytest.mark.parametrize("edited", [False, True], ids=["drawn for these texts", "texts edited since"])
def test_a_promised_limit_is_broken_in_at_most_the_stated_share(*, edited: bool, uniform: float) -> None:
    found = broken(np.random.default_rng(20261129), edited=edited, tries=1, uniform=uniform)
    assert likely(found, 0.05)


def test_each_look_with_other_texts_costs_what_is_said() -> None:
    found = broken(np.random.default_rng(7), edited=True, tries=TEXTS)
    assert likely(found, 0.05 * TEXTS)
