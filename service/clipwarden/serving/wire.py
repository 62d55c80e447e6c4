"""Turn verdicts into the messages that callers get; absent stays absent, nothing is rounded."""

from google.protobuf.duration_pb2 import Duration

from clipwarden.engine.results import Judged, Timings
from clipwarden.modelfolder.load import Model
from clipwarden.policy.schema import LearnedVector, Phrase, Verdict
from clipwarden.scoring.verdict import AttributeResult, CategoryResult, Judgement, Match, Scored, ViewRef
from clipwarden.v1 import moderation_pb2 as pb

NANOSECONDS = 1_000_000_000


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
    return pb.Moderation(
        verdict=verdict(judgement.verdict),
        shadow_verdict=verdict(judgement.shadow_verdict),
        enforced_categories=judgement.enforced_categories,
        decided_by=judgement.decided_by,
        raised_by=[pb.VerdictRaise.Value(f"VERDICT_RAISE_{item.name}") for item in judgement.raised_by],
        categories=[_category(result) for result in judgement.categories],
        attributes=[_attribute(result) for result in judgement.attributes],
        policy=_policy_ref(judgement),
        context=judgement.context or "",
        model=model_ref(judged.selection.snapshot.model),
        image=_image_facts(judged),
        embeddings=_embeddings(judged) if return_embeddings else [],
        timings=_timings(judged.timings),
        request_id=request_id,
    )


def verdict(value: Verdict | None) -> pb.Verdict.ValueType:
    """Render a verdict or band; unspecified for None, which never means allow."""
    return pb.VERDICT_UNSPECIFIED if value is None else pb.Verdict.Value(f"VERDICT_{value.name}")


def model_ref(model: Model) -> pb.ModelRef:
    """Render which model saw, and how it ran."""
    return pb.ModelRef(
        fingerprint=model.fingerprint,
        name=model.manifest.name,
        runtime=pb.Runtime(
            provider=model.runtime.provider,
            onnxruntime_version=model.runtime.onnxruntime,
            golden_drift=model.runtime.golden_drift,
        ),
    )


def _policy_ref(judgement: Judgement) -> pb.PolicyRef:
    return pb.PolicyRef(id=judgement.policy_id, version=judgement.policy_version or "", digest=judgement.policy_digest)


def _category(result: CategoryResult) -> pb.CategoryResult:
    category = result.category
    message = pb.CategoryResult(
        id=category.id,
        mode=pb.Mode.Value(f"MODE_{category.mode.name}"),
        severity=category.severity,
        reason_code=category.reason_code or "",
        review_threshold=result.bounds.review,
        block_threshold=result.bounds.block,
        band=verdict(result.band),
        exempted_by=result.exempted_by or "",
    )
    if category.thresholds is not None:
        message.threshold_unit = pb.ThresholdUnit.Value(f"THRESHOLD_UNIT_{category.thresholds.unit.name}")
    _fill_scores(message, result.scored)
    if result.scored is not None and result.scored.adjustment is not None:
        added = result.scored.adjustment
        message.adjustment.CopyFrom(pb.AppliedAdjustment(attribute=added.attribute, add=added.add))
    if result.unevaluated is not None:
        message.not_evaluated_reason = pb.NotEvaluatedReason.Value(f"NOT_EVALUATED_REASON_{result.unevaluated.name}")
    return message


def _attribute(result: AttributeResult) -> pb.AttributeResult:
    message = pb.AttributeResult(id=result.id)
    _fill_scores(message, result.scored)
    if result.scored is None:
        # Attributes are never disabled, so this is the only way for one to have no numbers.
        message.not_evaluated_reason = pb.NOT_EVALUATED_REASON_NON_FINITE
    return message


def _fill_scores(message: pb.CategoryResult | pb.AttributeResult, scored: Scored | None) -> None:
    """Fill the fields that categories and attributes share."""
    if scored is None:
        message.status = pb.EVALUATION_STATUS_NOT_EVALUATED
        return
    message.status = pb.EVALUATION_STATUS_EVALUATED
    message.score_kind = pb.ScoreKind.Value(f"SCORE_KIND_{scored.kind.name}")
    message.score = scored.score
    if scored.cosine is not None:
        message.cosine = scored.cosine
    if scored.logit is not None:
        message.logit = scored.logit
    if scored.margin is not None:
        message.margin = scored.margin
    if scored.pair_probability is not None:
        message.pair_probability = scored.pair_probability
    if scored.prompt is not None:
        message.winning_prompt.CopyFrom(_match(scored.prompt))
    if scored.contrast is not None:
        message.winning_contrast.CopyFrom(_match(scored.contrast))
    message.winning_view.CopyFrom(_view(scored.view))


def _match(match: Match) -> pb.TextMatch:
    return pb.TextMatch(text=str(match.phrase), cosine=match.cosine, vector_digest=vector_digest(match.phrase))


def vector_digest(phrase: Phrase) -> str:
    """Render what a learned vector holds, since names are labels; empty for a text."""
    return phrase.content if isinstance(phrase, LearnedVector) else ""


def _view(view: ViewRef) -> pb.View:
    return pb.View(name=view.name, frame=view.frame)


def _image_facts(judged: Judged) -> pb.ImageFacts:
    message = pb.ImageFacts(
        frames_total=judged.frames_total,
        frames_judged=judged.frames_judged,
        partial=judged.frames_judged < judged.frames_total,
        degradations=[pb.Degradation.Value(f"DEGRADATION_{name}") for name in judged.degraded],
    )
    if judged.facts is not None:
        message.format = judged.facts.format
        message.width = judged.facts.width
        message.height = judged.facts.height
        message.sha256 = judged.facts.sha256
    return message


def _embeddings(judged: Judged) -> list[pb.Embedding]:
    return [
        pb.Embedding(view=_view(view), values=row.tolist())
        for view, row in zip(judged.views, judged.embeddings, strict=True)
    ]


def _timings(timings: Timings) -> pb.Timings:
    return pb.Timings(
        decode_wait=_duration(timings.decode_wait),
        decode=_duration(timings.decode),
        queue=_duration(timings.queue),
        encode=_duration(timings.encode),
        judge=_duration(timings.judge),
        total=_duration(timings.total),
        batch_size=timings.batch_size,
    )


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    whole, fraction = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
    return Duration(seconds=whole, nanos=fraction)
