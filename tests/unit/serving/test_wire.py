"""What is rendered for callers, where the toy model's own verdicts do not reach."""

from dataclasses import replace

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.engine.snapshot import Selection, Snapshot, make_snapshot
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.schema import By, Calibration
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
        partial=False,
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


def unbound_snapshot(model: Model) -> Snapshot:
    """Give `green`, which is in shadow, another negative; say by hand what `red` was chosen on."""
    snapshot = colours_snapshot(model)
    loaded = snapshot.select().compiled.policy
    red, yellow, green, black = loaded.categories
    assert red.thresholds is not None
    assert red.thresholds.chosen_on is not None
    by_hand = replace(red.thresholds.chosen_on, by=By.HAND, reason="seen", approved_by="m.okafor")
    red = replace(red, thresholds=replace(red.thresholds, chosen_on=by_hand))
    green = replace(green, negatives=("blue", "a cat"))
    edited = replace(loaded, categories=(red, yellow, green, black))
    return make_snapshot(model, [compile_policy(edited, model=model)])


def test_thresholds_that_do_not_hold_are_told_with_their_reason(toy_model: Model) -> None:
    snapshot = unbound_snapshot(toy_model)
    judged = judge_vector(snapshot, toy_model.text.embed(["green"]) if toy_model.text else np.zeros((1, DIM)))
    message = moderation(judged, request_id="r")
    assert (message.verdict, message.shadow_verdict) == (pb.VERDICT_ALLOW, pb.VERDICT_ALLOW)
    assert list(message.shadow_incomplete) == ["green"]
    red, _, green, black = message.categories
    assert (red.no_band_reason, red.band) == (pb.NO_BAND_REASON_UNSPECIFIED, pb.VERDICT_ALLOW)
    assert (green.no_band_reason, green.band) == (pb.NO_BAND_REASON_CHOSEN_ON_OTHER, pb.VERDICT_UNSPECIFIED)
    assert green.score > 0.9
    assert not green.HasField("block_threshold")
    assert green.threshold_unit == pb.THRESHOLD_UNIT_UNSPECIFIED
    assert black.no_band_reason == pb.NO_BAND_REASON_NO_THRESHOLDS

    rendered = policy(snapshot.select())
    red_, yellow_, green_, black_ = rendered.categories
    assert (green_.no_band_reason, green_.bounds.block) == (pb.NO_BAND_REASON_CHOSEN_ON_OTHER, 0.999)
    assert (red_.no_band_reason, red_.context_bounds["poppies"].block) == (pb.NO_BAND_REASON_UNSPECIFIED, 1.0)
    chosen = red_.chosen_on
    assert (chosen.by, chosen.reason, chosen.approved_by) == ("hand", "seen", "m.okafor")
    assert chosen.digest.startswith("sha256:")
    assert (yellow_.chosen_on.by, yellow_.chosen_on.reason) == ("fit", "")
    assert not black_.HasField("chosen_on")


def test_thresholds_that_do_not_hold_are_counted(toy_model: Model) -> None:
    metrics, snapshot = Metrics(CollectorRegistry()), unbound_snapshot(toy_model)
    metrics.describe(snapshot, version="1")
    judged = judge_vector(snapshot, np.eye(1, DIM, dtype=np.float32))
    metrics.note_judgement("Moderate", judged.judgement)

    def sample(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"clipwarden_{name}", labels)

    assert sample("policy_unbound_categories", policy="colours") == 1
    bands = {"policy": "colours", "category": "green", "mode": "shadow"}
    assert sample("category_bands_total", band="unbound", **bands) == 1
    assert sample("category_bands_total", band="none", **bands) is None
    allowed = {"method": "Moderate", "policy": "colours", "verdict": "allow", "shadow_verdict": "allow"}
    assert sample("verdicts_total", shadow_incomplete="true", **allowed) == 1
    whole = Metrics(CollectorRegistry())
    whole.describe(colours_snapshot(toy_model), version="1")
    assert whole.registry.get_sample_value("clipwarden_policy_unbound_categories", {"policy": "colours"}) == 0


def test_an_answer_says_nothing_of_the_ones_before_it(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    red, blank = np.eye(1, DIM, dtype=np.float32), np.full((1, DIM), np.nan, dtype=np.float32)
    judged = [judge_vector(snapshot, vector) for vector in (red, blank)]
    alone = [moderation(each, request_id="r") for each in judged]
    for first, then in ((0, 1), (1, 0)):
        spoilt = moderation(judged[first], request_id="q", return_embeddings=True)
        spoilt.categories[0].id = "spoilt"
        assert moderation(judged[then], request_id="r") == alone[then]


def test_what_is_loaded_anew_is_rendered_anew(toy_model: Model) -> None:
    snapshot = colours_snapshot(toy_model)
    compiled = snapshot.tables["colours"].compiled
    first, *others = compiled.policy.categories
    # The digest is the old one's: severity and code decide nothing.
    renamed = replace(compiled.policy, categories=(replace(first, reason_code="NEW-1", severity=4), *others))
    reloaded = replace(snapshot, tables={"colours": prepare(replace(compiled, policy=renamed))})
    vector = np.eye(1, DIM, dtype=np.float32)
    before, after = (moderation(judge_vector(each, vector), request_id="r") for each in (snapshot, reloaded))
    assert before.policy == after.policy
    assert before.categories[0].reason_code != "NEW-1"
    assert (after.categories[0].reason_code, after.categories[0].severity) == ("NEW-1", 4)
    moved = replace(judge_vector(snapshot, vector), model=replace(toy_model.identity, name="moved"))
    assert moderation(moved, request_id="r").model.name == "moved"


def test_bands_are_counted_whole_however_many_kinds_of_judgement_there_are(toy_model: Model) -> None:
    metrics = Metrics(CollectorRegistry())
    judged = judge_vector(colours_snapshot(toy_model), np.eye(1, DIM, dtype=np.float32))
    category = judged.judgement.categories[0]
    methods = [f"M{number}" for number in range(2000)]
    for method in methods:
        metrics.note_judgement(method, judged.judgement)
    text = generate_latest(metrics.registry.restricted_registry(["clipwarden_category_bands_total"])).decode()
    band = "not_evaluated" if category.band is None else category.band.name.lower()
    sample = f'band="{band}",category="{category.id}",mode="{category.mode}",policy="colours"'
    assert f"clipwarden_category_bands_total{{{sample}}} 2000.0" in text
    labels = {"policy": "colours", "verdict": judged.verdict.name.lower(), "shadow_incomplete": "false"}
    labels["shadow_verdict"] = judged.judgement.shadow_verdict.name.lower()
    for method in methods[::500]:
        assert metrics.registry.get_sample_value("clipwarden_verdicts_total", {**labels, "method": method}) == 1
