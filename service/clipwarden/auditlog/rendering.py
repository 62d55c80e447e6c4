"""A judgement and what it rests on in, the record of it as plain JSON values out; nothing is rounded or left to guess.

What is made here goes through `lines.Sealer`, whose lines `records` reads back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from clipwarden.auditlog.lines import Json
from clipwarden.engine.settings import Source
from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.modelfolder.load import ModelIdentity
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.language.dump import policy_document
from clipwarden.policy.schema import LearnedVector, Mode, Verdict
from clipwarden.scoring.verdict import AttributeResult, CategoryResult, Judgement, Match, Scored
from clipwarden.vision.facts import ImageFacts

_ALLOW, _SHADOW, _DISABLED = Verdict.ALLOW, Mode.SHADOW, Mode.DISABLED


def time_text(seconds: float) -> str:
    """Write a time of `time.time()` as lines have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def loaded(snapshot: Snapshot) -> Json:
    """Render what is loaded, without its time."""
    return {
        "model": snapshot.model.manifest.name,
        "fingerprint": snapshot.model.fingerprint,
        "default_policy": snapshot.default_policy_id,
        "policies": [policy_ref(tables.compiled) for tables in snapshot.tables.values()],
        "candidates": [policy_ref(tables.compiled) for tables in snapshot.candidates.values()],
    }


def policy_text(compiled: CompiledPolicy) -> Json:
    """Render a whole policy, without a time."""
    return {**policy_ref(compiled), "document": policy_document(compiled.policy)}


def policy_ref(compiled: CompiledPolicy) -> Json:
    """Name a policy."""
    metadata = compiled.policy.metadata
    return {"policy": metadata.id, "version": metadata.version, "digest": compiled.digest}


def judged(  # noqa: PLR0917  bound by position, to be called in another thread
    request_id: str,
    method: str,
    caller: str,
    judgement: Judgement,
    facts: ImageFacts,
    model: ModelIdentity,
    source: Source | None,
    seconds: float,
    scores: bool,  # noqa: FBT001
) -> Json:
    """Render an image that was judged, without its time.

    Args:
        request_id: As its caller or we named it.
        method: Of the RPC.
        caller: Who asked.
        judgement: The verdict and its numbers.
        facts: About the image.
        model: What saw it.
        source: What gave the embeddings; None for those that the request brought along.
        seconds: From admission to verdict.
        scores: Whether the numbers of all categories and attributes are wanted.
    """
    categories = judgement.categories
    record: Json = {
        "request_id": request_id,
        "method": method,
        "caller": caller,
        "policy": judgement.policy_id,
        "version": judgement.policy_version,
        "digest": judgement.policy_digest,
        "context": judgement.context,
        "model": model.name,
        "fingerprint": judgement.fingerprint,
        "provider": model.runtime.provider,
        "onnxruntime": model.runtime.onnxruntime,
        "verdict": judgement.verdict.name,
        "decided_by": judgement.decided_by,
        "raised_by": judgement.raised_by,
        "exempted": {each.category.id: each.exempted_by for each in categories if each.exempted_by},
        "enforced_categories": judgement.enforced_categories,
        "shadow_verdict": judgement.shadow_verdict.name,
        "shadow_incomplete": judgement.shadow_incomplete,
        "shadow_fired": _fired(judgement),
        "not_evaluated": _not_evaluated(judgement),
        "unseen": (*facts.unseen, *judgement.missed),
        **_facts(facts),
        "from_cache": source in ("cache", "shared"),
        "source": source,
        "seconds": seconds,
    }
    if scores:
        record["categories"] = [_category(each) for each in categories]
        record["attributes"] = [_attribute(each) for each in judgement.attributes]
    return record


def failed(  # noqa: PLR0917  as above
    request_id: str,
    method: str,
    caller: str,
    code: str,
    reason: str | None,
    message: str | None,
    selection: Selection | None,
    policy_verdict: Verdict | None,
) -> Json:
    """Render an image, or a call, that ended without a verdict; without its time.

    Args:
        request_id: As above; empty for a call that ended before its message was read.
        method: As above.
        caller: As above.
        code: Of gRPC.
        reason: Ours; None for a call that was given up.
        message: What its caller was told; None for a fault of ours.
        selection: What it was to be judged with; None where that was not known yet.
        policy_verdict: What its policy says of an image that cannot be judged; None for other errors.
    """
    return {
        "request_id": request_id,
        "method": method,
        "caller": caller,
        "code": code,
        "reason": reason,
        "message": message,
        **(policy_ref(selection.compiled) if selection else {}),
        "context": selection.context if selection else None,
        "policy_verdict": policy_verdict.name if policy_verdict else None,
    }


def dropped(since: float, until: float, count: int, why: str) -> Json:
    """Render what is missing, without its time; times as of `time.time()`."""
    return {"count": count, "since": time_text(since), "until": time_text(until), "why": why}


def _fired(judgement: Judgement) -> Mapping[str, str]:
    return {
        each.category.id: each.band.name
        for each in judgement.categories
        if each.mode is _SHADOW and each.band is not None and each.band is not _ALLOW
    }


def _not_evaluated(judgement: Judgement) -> Mapping[str, str]:
    return {
        each.category.id: each.unevaluated
        for each in judgement.categories
        if each.scored is None and each.mode is not _DISABLED and each.unevaluated
    }


def _facts(facts: ImageFacts) -> Json:
    file = facts.file
    return {
        "degraded": facts.degraded,
        "frames_total": facts.frames_total,
        "frames_judged": facts.frames_judged,
        "frames_seen": facts.frames_covered,
        "share_shown": facts.share_shown,
        "coverage": facts.coverage,
        "resolution": facts.resolution,
        "sha256": file.sha256 if file else None,
        "bytes": file.bytes if file else None,
        "format": file.format if file else None,
        "width": file.width if file else None,
        "height": file.height if file else None,
    }


def _category(result: CategoryResult) -> Json:
    category, mode, scored, bounds, band, exempted_by, no_band = result
    thresholds = category.thresholds
    return _given(
        id=category.id,
        mode=mode,
        unit=thresholds.unit if thresholds and no_band is None else None,
        review=bounds.review,
        block=bounds.block,
        band=None if band is None else band.name,
        exempted_by=exempted_by,
        no_band=no_band,
        unevaluated=result.unevaluated,
        **_scores(scored),
    )


def _attribute(result: AttributeResult) -> Json:
    return _given(id=result.id, **_scores(result.scored))


def _given(**values: object) -> Json:
    """Leave out what is None, which is most of what a category could say."""
    return {name: value for name, value in values.items() if value is not None}


def _scores(scored: Scored | None) -> Json:
    if scored is None:
        return {}
    kind, score, cosine, margin, logit, pair_probability, prompt, contrast, view, adjustment = scored
    return {
        "kind": kind,
        "score": score,
        "cosine": cosine,
        "margin": margin,
        "logit": logit,
        "pair_probability": pair_probability,
        "prompt": _match(prompt),
        "contrast": _match(contrast),
        "view": _given(name=view.name, frame=view.frame, seconds=view.seconds, box=view.box),
        "adjustment": {"attribute": adjustment.attribute, "add": adjustment.add} if adjustment else None,
    }


def _match(match: Match | None) -> Json | None:
    if match is None:
        return None
    phrase, cosine = match
    found: Json = {"text": str(phrase), "cosine": cosine}
    return {**found, "vector_digest": phrase.content} if isinstance(phrase, LearnedVector) else found
