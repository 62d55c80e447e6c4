"""A policy and vectors in, each image's decisions out: what a change of model would do to verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.bundle.compile import bind_policy
from clipwarden.policy.bundle.embedding import Facts, ModelFacts, Tokens
from clipwarden.policy.bundle.lint import check_truncation
from clipwarden.policy.bundle.vectors import embedded_texts
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.schema import Calibration, Concept, Policy, Verdict
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import Judgement, ViewRef
from clipwarden.textfiles.findings import Findings

# Stands for both sides, and nothing that it names leaves this module.
_FINGERPRINT = "sha256:" + "0" * 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What one image came to: verdict, shadow verdict, and the band of every category."""

    verdict: Verdict
    shadow_verdict: Verdict
    bands: tuple[Verdict | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TextVectors:
    """One side's vectors of a policy's texts and of the background.

    Attributes:
        facts: Of the model.
        tokenizer: Counts tokens.
        texts: P texts.
        vectors: float32 [P,D].
        background: float32 [K,D].
    """

    facts: Facts
    tokenizer: Tokens
    texts: Sequence[str]
    vectors: NDArray[np.float32]
    background: NDArray[np.float32]


def load_unbound(path: Path) -> Policy:
    """Load a policy and drop its fingerprint: the comparison is about models that it may not have been written for.

    What is compared is the policy's own lines on its own scale: every calibration that holds for the model that it
    names counts on both sides, and so do all thresholds, whatever they were chosen on. Without its calibration a line
    would cut another scale, and most images would agree in being blocked.

    Args:
        path: A policy in YAML.

    Returns:
        The policy, its numbers bound to neither side.

    Raises:
        PolicyError: The file is not a valid policy.
    """
    policy = load_policy(path).policy
    stale = frozenset[str]()
    if policy.model.fingerprint:
        stale = stale_calibrations(policy, policy.model.fingerprint)

    def bound(concept: Concept) -> Calibration | None:
        scale = policy.model.calibration_scale
        fitted = fit_digest(concept, fingerprint=_FINGERPRINT, calibration_scale=scale, plan=policy.plan)
        held = None if concept.id in stale else concept.calibration
        return held and replace(held, fitted_on=fitted)

    return replace(
        policy,
        model=replace(policy.model, fingerprint=None),
        categories=tuple(replace(each, calibration=bound(each)) for each in policy.categories),
        attributes=tuple(replace(each, calibration=bound(each)) for each in policy.attributes),
    )


def policy_texts(policy: Policy) -> tuple[str, ...]:
    """List every text that a policy embeds, templates applied, each once."""
    return embedded_texts(policy)


def decide(policy: Policy, side: TextVectors, images: NDArray[np.float32]) -> tuple[Decision, ...]:
    """Judge images with one side's vectors.

    Args:
        policy: From `load_unbound`.
        side: Vectors of its texts and of the background.
        images: float32 [N,D], unit norm.

    Returns:
        N decisions.

    Raises:
        PolicyError: The tokenizer truncates a text.
    """
    return tuple(
        Decision(
            verdict=one.verdict,
            shadow_verdict=one.shadow_verdict,
            bands=tuple(category.band for category in one.categories),
        )
        for one in _judgements(policy, side, images)
    )


def category_scores(policy: Policy, side: TextVectors, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score images with one side's vectors.

    Args:
        policy: From `load_unbound`.
        side: Vectors of its texts and of the background.
        images: float32 [N,D], unit norm.

    Returns:
        float64 [N,C], in the order of the policy's categories; NaN for one that is disabled.

    Raises:
        PolicyError: The tokenizer truncates a text.
    """
    return np.asarray(
        [
            [np.nan if category.scored is None else category.scored.score for category in one.categories]
            for one in _judgements(policy, side, images)
        ]
    )


def _judgements(policy: Policy, side: TextVectors, images: NDArray[np.float32]) -> list[Judgement]:
    findings = Findings(policy.metadata.id)
    check_truncation(policy, side.tokenizer, findings)
    findings.raise_if_failed()
    vectors = dict(zip(side.texts, side.vectors, strict=True))
    # Both sides are compared at the thresholds that are written, whatever they were chosen on.
    chosen = choose_lines(policy, _FINGERPRINT)
    compiled = bind_policy(chosen, vectors, side.background, ModelFacts.of(side.facts, _FINGERPRINT))
    tables, rows = prepare(compiled), cosines(images, compiled)
    view = (ViewRef(name="full"),)
    return [judge(row[None], view, tables, context=None, partial=False, degraded=False) for row in rows]


def agreement(reference: Sequence[Decision], candidate: Sequence[Decision]) -> float:
    """Compute the share of images on which verdict, shadow verdict and every band agree."""
    return float(np.mean([left == right for left, right in zip(reference, candidate, strict=True)]))
