"""Turn verdicts into the messages that callers get; absent stays absent, nothing is rounded."""

from collections.abc import Sequence
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration

from clipwarden.engine.results import EmbeddedImage, Judged
from clipwarden.modelfolder.load import ModelIdentity
from clipwarden.policy.schema import LearnedVector, Mode, Phrase, Unit, Verdict
from clipwarden.scoring.verdict import (
    AttributeResult,
    CategoryResult,
    Ground,
    NoBand,
    Raise,
    Scored,
    ScoreKind,
    Unevaluated,
    ViewRef,
)
from clipwarden.v1 import moderation_pb2 as pb

NANOSECONDS = 1_000_000_000
RENDERING_MICROSECONDS = (20.0, 6.0, 0.03)
"""What rendering takes: in any case, for each category or attribute, and for each number of an embedding.
Measured: 87 with 16 of them, 2,724 with 503, 681 for 64 embeddings of 512 numbers (CPython 3.11, a Xeon); that is where
the template has to be made first, 37 with 16 where it is kept."""

_VERDICTS = {value: pb.Verdict.Value(f"VERDICT_{value.name}") for value in Verdict}
_NO_BANDS = {value: pb.NoBandReason.Value(f"NO_BAND_REASON_{value.name}") for value in NoBand}
_MODES = {value: pb.Mode.Value(f"MODE_{value.name}") for value in Mode}
_UNITS = {value: pb.ThresholdUnit.Value(f"THRESHOLD_UNIT_{value.name}") for value in Unit}
_KINDS = {value: pb.ScoreKind.Value(f"SCORE_KIND_{value.name}") for value in ScoreKind}
_RAISES = {value: pb.VerdictRaise.Value(f"VERDICT_RAISE_{value.name}") for value in Raise}
_UNEVALUATED = {value: pb.NotEvaluatedReason.Value(f"NOT_EVALUATED_REASON_{value.name}") for value in Unevaluated}

KEPT_TEMPLATES = 64
"""Of what all answers by one policy in one context share, a few KB each. More contexts than are asked for at a time."""

A_COPY_MICROSECONDS = 0.25
"""What copying a message into another takes for each category in it. Measured: 2,500 for 64 messages of 160 of them."""


def microseconds(judged: Judged, *, return_embeddings: bool) -> float:
    """Estimate what `moderation` will take."""
    always, a_result, a_number = RENDERING_MICROSECONDS
    numbers = judged.image.embeddings.size if return_embeddings else 0
    return always + a_result * (len(judged.categories) + len(judged.judgement.attributes)) + a_number * numbers


def moderation(judged: Judged, *, request_id: str, return_embeddings: bool = False) -> pb.Moderation:
    """Render a verdict.

    Args:
        judged: From the pipeline.
        request_id: Echoed.
        return_embeddings: Whether the caller asked for them.

    Returns:
        The message.
    """
    judgement = judged.judgement
    message = pb.Moderation()
    message.CopyFrom(_template(judged.model, judgement.ground))  # 2 microseconds; filling it, 30
    message.verdict = verdict(judgement.verdict)
    message.shadow_verdict = verdict(judgement.shadow_verdict)
    message.decided_by.extend(judgement.decided_by)
    message.raised_by.extend([_RAISES[item] for item in judgement.raised_by])
    message.request_id = request_id
    message.from_cache = judged.image.from_cache
    _fill_image_facts(message.image, judged.image, judged.unseen)
    _fill_timings(message.timings, judged)
    # Filled where they are: a message that is handed to another one is copied.
    for part, category in zip(message.categories, judgement.categories, strict=True):
        _fill_category(part, category)
    for place, attribute in enumerate(judgement.attributes):
        _fill_attribute(message.attributes[place], attribute)
    if return_embeddings:
        message.embeddings.extend(_embeddings(judged.image))
    return message


@lru_cache(maxsize=KEPT_TEMPLATES)
def _template(model: ModelIdentity, ground: Ground) -> pb.Moderation:
    """Render what is the same for all images that a model saw and a policy judged in one context; never changed."""
    template = pb.Moderation(
        enforced_categories=len(ground.enforced),
        policy=pb.PolicyRef(id=ground.policy_id, version=ground.policy_version or "", digest=ground.policy_digest),
        context=ground.context or "",
        model=model_ref(model),
        shadow_incomplete=ground.shadow_incomplete,
    )
    for _, unscored in ground.categories:
        _fill_rule(template.categories.add(), unscored)
    for attribute in ground.attributes:
        template.attributes.add(id=attribute.id)
    return template


def verdict(value: Verdict | None) -> pb.Verdict.ValueType:
    """Render a verdict or band; unspecified for None, which never means allow."""
    return pb.VERDICT_UNSPECIFIED if value is None else _VERDICTS[value]


def no_band_reason(value: NoBand | None) -> pb.NoBandReason.ValueType:
    """Render why a category has no band; unspecified for one that has."""
    return pb.NO_BAND_REASON_UNSPECIFIED if value is None else _NO_BANDS[value]


def model_ref(model: ModelIdentity) -> pb.ModelRef:
    """Render which model saw, and how it ran."""
    return pb.ModelRef(
        fingerprint=model.fingerprint,
        name=model.name,
        runtime=pb.Runtime(
            provider=model.runtime.provider,
            onnxruntime_version=model.runtime.onnxruntime,
            golden_drift=model.runtime.golden_drift,
        ),
    )


def _fill_rule(message: pb.CategoryResult, result: CategoryResult) -> None:
    """Fill what a category says whatever the image."""
    category, bounds = result.category, result.bounds
    message.id = category.id
    message.mode = _MODES[result.mode]
    message.severity = category.severity
    message.reason_code = category.reason_code or ""
    if bounds.review is not None:
        message.review_threshold = bounds.review
    if bounds.block is not None:
        message.block_threshold = bounds.block
    message.no_band_reason = no_band_reason(result.no_band)
    if category.thresholds is not None and result.no_band is None:
        message.threshold_unit = _UNITS[category.thresholds.unit]


def _fill_category(message: pb.CategoryResult, result: CategoryResult) -> None:
    scored = result.scored
    _fill_scores(message, scored)
    if scored is None:
        if (why := result.unevaluated) is not None:
            message.not_evaluated_reason = _UNEVALUATED[why]
        return
    message.band = verdict(result.band)
    if result.exempted_by is not None:
        message.exempted_by = result.exempted_by
    if scored.adjustment is not None:
        message.adjustment.attribute, message.adjustment.add = scored.adjustment.attribute, scored.adjustment.add


def _fill_attribute(message: pb.AttributeResult, result: AttributeResult) -> None:
    _fill_scores(message, result.scored)
    if result.scored is None:
        # Attributes are never disabled, so this is the only way for one to have no numbers.
        message.not_evaluated_reason = pb.NOT_EVALUATED_REASON_NON_FINITE


def _fill_scores(message: pb.CategoryResult | pb.AttributeResult, scored: Scored | None) -> None:
    """Fill the fields that categories and attributes share."""
    if scored is None:
        message.status = pb.EVALUATION_STATUS_NOT_EVALUATED
        return
    kind, score, cosine, margin, logit, pair_probability, prompt, contrast, view, _ = scored
    message.status = pb.EVALUATION_STATUS_EVALUATED
    message.score_kind = _KINDS[kind]
    message.score = score
    if cosine is not None:
        message.cosine = cosine
    if logit is not None:
        message.logit = logit
    if margin is not None:
        message.margin = margin
    if pair_probability is not None:
        message.pair_probability = pair_probability
    if prompt is not None:
        _fill_match(message.winning_prompt, *prompt)
    if contrast is not None:
        _fill_match(message.winning_contrast, *contrast)
    _fill_view(message.winning_view, view)


def _fill_match(message: pb.TextMatch, phrase: Phrase, cosine: float) -> None:
    message.cosine = cosine
    if isinstance(phrase, LearnedVector):
        message.text, message.vector_digest = str(phrase), vector_digest(phrase)
    else:
        message.text = phrase


def vector_digest(phrase: Phrase) -> str:
    """Render what a learned vector holds, since names are labels; empty for a text."""
    return phrase.content if isinstance(phrase, LearnedVector) else ""


def _fill_view(message: pb.View, view: ViewRef) -> None:
    message.name, message.frame = view.name, view.frame
    if view.seconds is not None:
        _fill_duration(message.time, view.seconds)
    if view.box is not None:
        message.box.left, message.box.top, message.box.right, message.box.bottom = view.box


def _fill_image_facts(message: pb.ImageFacts, image: EmbeddedImage, unseen: Sequence[str]) -> None:
    facts = image.facts
    message.frames_total = facts.frames_total
    message.frames_judged = facts.frames_judged
    message.partial = bool(unseen)
    message.frames_seen = facts.frames_covered
    message.share_shown = facts.share_shown
    message.coverage = facts.coverage
    if facts.resolution is not None:
        message.resolution = facts.resolution
    message.view_plan.views, message.view_plan.frames = image.plan.views.value, image.plan.frames
    message.degradations.extend([pb.Degradation.Value(f"DEGRADATION_{name}") for name in facts.degraded])
    message.unseen.extend([pb.Unseen.Value(f"UNSEEN_{kind}") for kind in unseen])
    if file := facts.file:
        message.format, message.sha256 = file.format, file.sha256
        message.width, message.height = file.width, file.height


def _embeddings(image: EmbeddedImage) -> list[pb.Embedding]:
    found = []
    for view, row in zip(image.views, image.embeddings, strict=True):
        found.append(pb.Embedding(values=row.tolist()))
        _fill_view(found[-1].view, view)
    return found


def _fill_timings(message: pb.Timings, judged: Judged) -> None:
    _fill_duration(message.judge, judged.judge_seconds)
    _fill_duration(message.total, judged.total_seconds)
    if timings := judged.image.timings:
        _fill_duration(message.decode_wait, timings.decode_wait)
        _fill_duration(message.decode, timings.decode)
        _fill_duration(message.queue, timings.queue)
        _fill_duration(message.encode, timings.encode)
        message.batch_size = timings.batch_size


def _fill_duration(message: Duration, seconds: float) -> None:
    message.seconds, message.nanos = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
