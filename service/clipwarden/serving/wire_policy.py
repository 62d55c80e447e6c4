"""Turn loaded policies into the messages of ListPolicies and GetPolicy."""

from collections.abc import Sequence

from clipwarden.engine.snapshot import Selection, Snapshot
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.contexts import bounds_in, contexts_with_modes
from clipwarden.policy.language.learned import head_content
from clipwarden.policy.schema import Attribute, Bounds, ChosenOn, Concept, Evidence, Prompt
from clipwarden.scoring.rules import CategoryRule
from clipwarden.scoring.tables import score_kind, slope_of
from clipwarden.serving.wire import model_ref, no_band_reason, vector_digest, verdict
from clipwarden.v1 import moderation_pb2 as pb

A_TEXT_MICROSECONDS = 0.7
A_CONCEPT_MICROSECONDS = 8.0
"""What rendering takes for each text, and for each category or attribute.
Measured: 665 at 1,000 texts in 16 of them, 7,261 at 5,000 in 503 (CPython 3.11, a Xeon)."""

A_SUMMARY_MICROSECONDS = 10.0
A_MODE_MICROSECONDS = 0.08
"""What rendering in short takes for each policy, and for each category in each context, as if each had a mode there.
Measured: 1,257 at 64 categories that change modes in 256 contexts, 289 for 50 policies without a context; 128 where 1
of 512 categories does in 256 contexts (CPython 3.11, a Xeon)."""


def microseconds(selection: Selection) -> float:
    """Estimate what `policy` will take."""
    loaded = selection.compiled.policy
    concepts = (*loaded.categories, *loaded.attributes)
    texts = sum(len(concept.phrases) + len(concept.templates) for concept in concepts)
    return A_CONCEPT_MICROSECONDS * len(concepts) + A_TEXT_MICROSECONDS * texts


def list_microseconds(snapshot: Snapshot, ids: Sequence[str]) -> float:
    """Estimate what `policy_list` will take."""
    listed = [*(snapshot.tables[name] for name in ids), *snapshot.candidates.values()]
    modes = sum(len(each.grounds) * len(each.categories) for each in listed)
    return A_SUMMARY_MICROSECONDS * len(listed) + A_MODE_MICROSECONDS * modes


def policy_list(snapshot: Snapshot, ids: Sequence[str], *, next_page_token: str) -> pb.ListPoliciesResponse:
    """Render a page of loaded policies in short, and what watches beside them.

    Args:
        snapshot: What is loaded.
        ids: Of the page's policies, in their order.
        next_page_token: Empty on the last page.
    """
    page = [snapshot.select(name) for name in ids]
    return pb.ListPoliciesResponse(
        policies=[_summary(selection) for selection in page],
        next_page_token=next_page_token,
        candidates=[_summary(each) for selection in page for each in selection.candidates],
    )


def policy(selection: Selection) -> pb.Policy:
    """Render all that is loaded under one policy id."""
    compiled = selection.compiled
    loaded = compiled.policy
    contexts = sorted(loaded.contexts, key=lambda context: context.name)
    return pb.Policy(
        ref=_ref(selection),
        is_default=_is_default(selection),
        owner=loaded.metadata.owner or "",
        reason=loaded.metadata.reason or "",
        review_by=loaded.metadata.review_by.isoformat() if loaded.metadata.review_by else "",
        model=model_ref(selection.snapshot.model.identity),
        on_error=verdict(loaded.on_error),
        on_partial=verdict(loaded.on_partial),
        on_truncated=pb.OnTruncated.Value(f"ON_TRUNCATED_{loaded.on_truncated.name}"),
        contexts=[pb.PolicyContext(name=item.name, description=item.description) for item in contexts],
        categories=[_category(rule, compiled) for rule in selection.tables.categories],
        attributes=[_attribute(item, compiled) for item in loaded.attributes],
        calibration_scale=loaded.model.calibration_scale,
        view_plan=pb.ViewPlan(views=loaded.plan.views.value, frames=loaded.plan.frames),
        least_coverage=loaded.least_coverage,
        least_resolution=loaded.least_resolution,
    )


def _summary(selection: Selection) -> pb.PolicySummary:
    loaded, grounds = selection.compiled.policy, selection.tables.grounds
    return pb.PolicySummary(
        policy=_ref(selection),
        is_default=_is_default(selection),
        categories=len(loaded.categories),
        enforced_categories=len(grounds[None].enforced),
        context_enforced_categories={name: len(grounds[name].enforced) for name in contexts_with_modes(loaded)},
    )


def _ref(selection: Selection) -> pb.PolicyRef:
    metadata = selection.compiled.policy.metadata
    return pb.PolicyRef(id=metadata.id, version=metadata.version or "", digest=selection.compiled.digest)


def _is_default(selection: Selection) -> bool:
    # By what is loaded under the id: a candidate has the id of its live policy.
    return selection.tables is selection.snapshot.tables[selection.snapshot.default_policy_id]


def _category(rule: CategoryRule, compiled: CompiledPolicy) -> pb.PolicyCategory:
    category = rule.category
    message = pb.PolicyCategory(
        id=category.id,
        definition=category.definition,
        mode=pb.Mode.Value(f"MODE_{category.mode.name}"),
        severity=category.severity,
        reason_code=category.reason_code or "",
        scoring=_scoring(category, compiled),
        exemptions=[pb.Exemption(attribute=item.attribute, gte=item.gte) for item in category.exemptions],
        adjustments=[
            pb.Adjustment(attribute=item.attribute, gte=item.gte, add=item.add) for item in category.adjustments
        ],
    )
    message.no_band_reason = no_band_reason(rule.no_band)
    if category.thresholds is not None:
        message.threshold_unit = pb.ThresholdUnit.Value(f"THRESHOLD_UNIT_{category.thresholds.unit.name}")
        message.bounds.CopyFrom(_bounds(category.thresholds.bounds))
        if category.thresholds.chosen_on is not None:
            message.chosen_on.CopyFrom(_chosen_on(category.thresholds.chosen_on))
    for name in category.contexts:
        # In full: what the context leaves out is filled in, as judging does where the thresholds hold.
        message.context_modes[name] = pb.Mode.Value(f"MODE_{rule.modes[name].name}")
        if category.thresholds is not None:
            message.context_bounds[name].CopyFrom(_bounds(bounds_in(category, name)))
    return message


def _chosen_on(chosen: ChosenOn) -> pb.ChosenOn:
    return pb.ChosenOn(
        digest=chosen.digest,
        by=chosen.by.value,
        reason=chosen.reason or "",
        approved_by=chosen.approved_by or "",
        evidence=None if chosen.evidence is None else _evidence(chosen.evidence),
    )


def _evidence(evidence: Evidence) -> pb.Evidence:
    return pb.Evidence(
        store=evidence.store,
        labels=evidence.labels or "",
        design=evidence.design.value,
        labelled=evidence.labelled,
        positives=evidence.positives,
        groups=evidence.groups,
        how=evidence.how,
        confidence=evidence.confidence,
        looks=evidence.looks,
        day=evidence.day.isoformat(),
        author=evidence.author,
        promises=(*evidence.promises, *(f"slice {each}" for each in evidence.slices)),
        targets=evidence.targets,
    )


def _attribute(attribute: Attribute, compiled: CompiledPolicy) -> pb.PolicyAttribute:
    return pb.PolicyAttribute(id=attribute.id, scoring=_scoring(attribute, compiled))


def _scoring(concept: Concept, compiled: CompiledPolicy) -> pb.Scoring:
    calibration = compiled.calibration(concept)
    message = pb.Scoring(
        method=concept.method.value,
        pool="" if concept.head else concept.pool.value,
        head_digest=head_content(concept.head) if concept.head else "",
        prompts=[_prompt(prompt) for prompt in concept.prompts],
        negatives=[str(negative) for negative in concept.negatives],
        negative_vector_digests=[vector_digest(negative) for negative in concept.negatives],
        templates=concept.templates,
        score_kind=pb.ScoreKind.Value(f"SCORE_KIND_{score_kind(concept, compiled).name}"),
        calibration_dropped=concept.id in compiled.dropped_calibrations,
        waivers=[
            pb.Waiver(rule=item.rule.value, texts=item.texts, reason=item.reason, approved_by=item.approved_by)
            for item in concept.waive
        ],
    )
    if (slope := slope_of(concept, compiled)) is not None:
        message.slope = slope
    if calibration is not None:
        message.calibration_bias = calibration.bias
        message.calibration_prevalence = calibration.prevalence
    return message


def _prompt(prompt: Prompt) -> pb.WeightedText:
    digest = vector_digest(prompt.text)
    return pb.WeightedText(text=str(prompt.text), weight=prompt.weight, vector_digest=digest)


def _bounds(bounds: Bounds) -> pb.Bounds:
    return pb.Bounds(review=bounds.review, block=bounds.block)
