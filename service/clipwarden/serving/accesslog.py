"""A verdict, and what the policy's candidates said, in; the keys of its line in the server's own log out."""

from collections.abc import Sequence

from clipwarden.engine.results import Judged
from clipwarden.scoring.verdict import Judgement
from clipwarden.serving.candidates import NotCompared, Opinion


def judged_fields(judged: Judged, opinions: Sequence[Opinion]) -> dict[str, object]:
    """Say what was decided, on what, and how long it took, but for whose call it was.

    Args:
        judged: As it was answered.
        opinions: Of the candidates.
    """
    return {
        **_decided(judged.judgement),
        **_seen(judged),
        "candidates": [_logged(opinion, judged.judgement) for opinion in opinions],
    }


def _decided(judgement: Judgement) -> dict[str, object]:
    return {
        "policy": judgement.policy_id,
        "digest": judgement.policy_digest,
        "fingerprint": judgement.fingerprint,
        "context": judgement.context,
        "verdict": judgement.verdict.name,
        "shadow_verdict": judgement.shadow_verdict.name,
        "shadow_incomplete": judgement.shadow_incomplete,
        "enforced_categories": judgement.enforced_categories,
        "decided_by": judgement.decided_by,
        "raised_by": judgement.raised_by,
        "exempted": [result.category.id for result in judgement.categories if result.exempted_by],
    }


def _seen(judged: Judged) -> dict[str, object]:
    facts, timings = judged.image.facts, judged.image.timings
    file = facts.file
    return {
        "partial": judged.partial,
        "unseen": judged.unseen,
        "frames_total": facts.frames_total,
        "frames_judged": facts.frames_judged,
        "frames_seen": facts.frames_covered,
        "coverage": facts.coverage,
        "views": len(judged.image.views),
        "share_shown": facts.share_shown,
        "degraded": facts.degraded,
        "sha256": file.sha256 if file else None,
        "bytes": file.bytes if file else None,
        "format": file.format if file else None,
        "decode_ms": _milliseconds(timings.decode if timings else None),
        "queue_ms": _milliseconds(timings.queue if timings else None),
        "encode_ms": _milliseconds(timings.encode if timings else None),
        "total_ms": _milliseconds(judged.total_seconds),
        "batch_size": timings.batch_size if timings else 0,
        "source": judged.image.source,
    }


def _logged(opinion: Opinion, live: Judgement) -> dict[str, object]:
    candidate, outcome = opinion.candidate, opinion.outcome
    named: dict[str, object] = {"version": candidate.policy.metadata.version, "digest": candidate.digest}
    if isinstance(outcome, NotCompared):
        return {**named, "not_compared": outcome}
    return {
        **named,
        "verdict": outcome.verdict.name,
        "shadow_verdict": outcome.shadow_verdict.name,
        "shadow_incomplete": outcome.shadow_incomplete,
        "decided_by": outcome.decided_by,
        "agrees": outcome.verdict is live.verdict,
        "shadow_agrees": outcome.shadow_verdict is live.shadow_verdict,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
