"""What is rendered for callers, where the toy model's own verdicts do not reach."""

from dataclasses import replace

import numpy as np
from prometheus_client import CollectorRegistry

from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import Calibration
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import ViewRef
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.wire import moderation
from clipwarden.serving.wire_policy import policy
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.vision.facts import ImageFacts
from kit.serving import Vectors, colours_snapshot
from kit.toymodel import DIM

FULL = ViewRef(name="full")


def judge_vector(snapshot: Snapshot, vector: Vectors) -> Judged:
    """Judge one vector past the check that callers' vectors pass."""
    selection = snapshot.select()
    judgement = judge(
        cosines(vector, selection.compiled),
        (FULL,),
        selection.tables,
        context=None,
        frames_total=1,
        frames_judged=1,
        degraded=False,
    )
    return Judged(
        judgement=judgement,
        image=EmbeddedImage(
            embeddings=vector, views=(FULL,), facts=ImageFacts(), fingerprint=snapshot.model.fingerprint
        ),
        model=snapshot.model.identity,
        judge_seconds=1.25,
        total_seconds=2.0,
    )


def test_numbers_that_are_not_finite_are_absent_and_raise_the_verdict(toy_model: Model) -> None:
    metrics = Metrics(CollectorRegistry())
    judged = judge_vector(colours_snapshot(toy_model), np.full((1, DIM), np.nan, dtype=np.float32))
    message = moderation(judged, request_id="r")
    assert message.verdict == pb.VERDICT_BLOCK
    assert list(message.raised_by) == [pb.VERDICT_RAISE_NOT_EVALUATED]
    red, white = message.categories[0], message.attributes[0]
    for result in (red, white):
        assert result.status == pb.EVALUATION_STATUS_NOT_EVALUATED
        assert result.not_evaluated_reason == pb.NOT_EVALUATED_REASON_NON_FINITE
        assert not result.HasField("score")
    assert (message.timings.judge.seconds, message.timings.judge.nanos) == (1, 250_000_000)
    metrics.note_judgement("Moderate", judged.judgement)
    labels = {"policy": "colours", "category": "red", "band": "not_evaluated", "mode": "enforce"}
    assert metrics.registry.get_sample_value("clipwarden_category_bands_total", labels) == 1


def test_pair_probability_is_told_for_models_with_a_bias(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    compiled = replace(snapshot.tables["colours"].compiled, logit_bias=-10.0)
    vector = np.zeros((1, DIM), dtype=np.float32)
    vector[0, 0] = 1
    judged = judge_vector(replace(snapshot, tables={"colours": prepare(compiled)}), vector)
    assert moderation(judged, request_id="r").categories[0].HasField("pair_probability")


def test_calibration_is_told_and_so_is_a_dropped_one(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    compiled = snapshot.tables["colours"].compiled
    calibration = Calibration(bias=-2.0, prevalence=0.01, fitted_on="sha256:" + "0" * 64)
    categories = tuple(
        replace(item, calibration=calibration) if item.id == "green" else item for item in compiled.policy.categories
    )
    compiled = replace(
        compiled,
        policy=replace(compiled.policy, categories=categories),
        dropped_calibrations=frozenset({"white"}),
    )
    message = policy(Selection(snapshot=snapshot, tables=prepare(compiled), context=None))
    green = next(category for category in message.categories if category.id == "green").scoring
    assert (green.score_kind, green.calibration_bias, green.calibration_prevalence) == (
        pb.SCORE_KIND_CALIBRATED,
        -2.0,
        0.01,
    )
    assert not green.calibration_dropped
    assert message.attributes[0].scoring.calibration_dropped
