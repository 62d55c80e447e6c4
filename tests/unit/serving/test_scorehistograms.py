"""Histograms of scores: as Prometheus' own would count them, of what is loaded and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from clipwarden.engine.snapshot import Snapshot
from clipwarden.modelfolder.load import Model
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.verdict import Judgement, ViewRef
from clipwarden.serving import scorehistograms
from clipwarden.serving.scorehistograms import COSINES, SCORES, ScoreHistograms
from kit.serving import colours_snapshot, next_version


def judgements(snapshot: Snapshot, count: int, *, broken: int = 0) -> list[Judgement]:
    """Judge vectors of chance, some of which are none."""
    selection = snapshot.select()
    vectors = np.random.default_rng(1).normal(size=(count, snapshot.model.manifest.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:broken] = np.nan
    rows = cosines(vectors, selection.compiled)
    views = [ViewRef(name="full")]
    return [
        judge(rows[[index]], views, selection.tables, context=None, partial=False, degraded=False)
        for index in range(count)
    ]


def samples(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if "_created" not in sample.name
    }


@pytest.mark.parametrize("at_once", [1, 40, 10_000])
def test_scores_are_counted_as_prometheus_counts_them(
    toy_model: Model, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(scorehistograms, "MOST_WAITING", at_once)
    snapshot = colours_snapshot(toy_model)
    registry, theirs = CollectorRegistry(), CollectorRegistry()
    ours = ScoreHistograms(registry)
    ours.describe_policies(snapshot)
    labels = ["policy", "digest", "category"]
    score = Histogram("clipwarden_category_score", "x", labels, buckets=SCORES, registry=theirs)
    cosine = Histogram("clipwarden_category_cosine", "x", labels, buckets=COSINES, registry=theirs)
    for judgement in judgements(snapshot, 300, broken=7):
        ours.note(judgement)
        for each in judgement.categories:
            kind = score if each.id in ("green", "black") else cosine
            child = kind.labels(judgement.policy_id, judgement.policy_digest, each.id)
            if each.scored is not None:
                child.observe(each.scored.score)
    found, expected = samples(registry), samples(theirs)
    # Of what may be negative there is no sum, which could fall, and then no count either: it is that of all buckets.
    expected = {key: value for key, value in expected.items() if key[0] != "clipwarden_category_cosine_count"}
    assert found == pytest.approx(expected)
    counts = {dict(place)["category"]: value for (_, place), value in found.items() if ("le", "+Inf") in place}
    assert counts == {"red": 293, "yellow": 293, "green": 293, "black": 0}


def test_a_limit_belongs_to_the_lower_bucket_as_prometheus_has_it(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    registry = CollectorRegistry()
    ours = ScoreHistograms(registry)
    ours.describe_policies(snapshot)
    (judgement,) = judgements(snapshot, 1)
    green = judgement.categories[2]
    assert green.scored is not None
    at_end = green._replace(scored=green.scored._replace(score=SCORES[4]))
    ours.note(replace(judgement, categories=(*judgement.categories[:2], at_end, judgement.categories[3])))
    found = {
        dict(place)["le"]: value
        for (name, place), value in samples(registry).items()
        if name == "clipwarden_category_score_bucket" and ("category", "green") in place
    }
    assert (found[repr(SCORES[3])], found[repr(SCORES[4])], found["+Inf"]) == (0, 1, 1)


def test_only_loaded_policies_have_series_and_an_unchanged_one_goes_on(toy_model: Model) -> None:
    before = colours_snapshot(toy_model, "colours", "other")
    after = colours_snapshot(toy_model, live=next_version(toy_model, ("review: 0.9}", "review: 0.95}")))
    registry = CollectorRegistry()
    ours = ScoreHistograms(registry)

    def counted() -> dict[str, float]:
        found = samples(registry).items()
        return {
            dict(place)["digest"]: value
            for (name, place), value in found
            if name.endswith("cosine_bucket") and {("category", "red"), ("le", "+Inf")} <= place
        }

    digests = [before.tables[name].compiled.digest for name in ("colours", "other")]
    ours.describe_policies(before)
    old = judgements(before, 3)
    for judgement in old:
        ours.note(judgement)
    assert counted() == {digests[0]: 3, digests[1]: 0}
    ours.describe_policies(before)
    assert counted() == {digests[0]: 3, digests[1]: 0}
    ours.describe_policies(after)
    new = after.tables["colours"].compiled.digest
    ours.note(old[0])  # admitted before
    ours.note(judgements(after, 1)[0])
    assert counted() == {new: 1}
