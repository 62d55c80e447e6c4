"""A policy and a model, or vectors of one, in; the policy with the vector of each of its texts out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import FingerprintMismatchError, Severity
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.embedding import EmbeddingModel, ModelFacts
from clipwarden.policy.bundle.lint import check_facts, check_usable
from clipwarden.policy.bundle.vectors import Progress, embed_texts, embedded_texts, policy_rows
from clipwarden.policy.calibrations import stale_calibrations
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.lines import unbound_lines
from clipwarden.policy.schema import Policy
from clipwarden.textfiles.findings import Findings, Positions
from clipwarden.unitvectors import require_unit

NUMBERS = frozenset({"stale-calibration", "unbound-thresholds"})
"""Rules that an enforced category breaks when its numbers were chosen on something else."""


def compile_policy(
    policy: Policy,
    *,
    model: EmbeddingModel,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
    findings: Findings | None = None,
) -> CompiledPolicy:
    """Embed a policy's texts and join them with it.

    Safe to call from any thread; takes about 10 ms a new text on one core.

    Args:
        policy: As parsed.
        model: With a text encoder, unless learned vectors and heads are all that the policy scores.
        cache: Vectors of texts embedded before; new ones are added to it, and saved.
        progress: For a progress bar.
        findings: Knows where the policy was written; receives warnings too, so that lint need not look again.

    Returns:
        The compiled policy; of categories that are not enforced, stale calibrations are dropped, and thresholds
        that were chosen on something else give no band.

    Raises:
        FingerprintMismatchError: The policy is bound to another model.
        PolicyError: The model lacks a text encoder or background that the policy needs, gives another width than a
            learned vector or head reads, or truncates a text, or an enforced category's calibration was fitted, or its
            thresholds chosen, on something else.
        EncoderError: The text encoder failed.
    """
    facts = ModelFacts.of(model.manifest, model.fingerprint)
    check_fingerprint(policy, facts)
    findings = findings or Findings(Positions().file)
    check_usable(policy, model, findings)
    findings.raise_if_failed()
    vectors = embed_texts(policy, model=model, cache=cache, progress=progress)
    return _join(policy, vectors, model.background, facts)


def compile_to_measure(
    policy: Policy, *, model: EmbeddingModel, cache: VectorCache | None = None
) -> CompiledPolicy | None:
    """Join a policy with its vectors even where an enforced category's numbers do not hold: to measure, not to judge.

    Args:
        policy: As parsed.
        model: As for `compile_policy`.
        cache: As for `compile_policy`.

    Returns:
        The compiled policy; None where anything else is wrong with it.

    Raises:
        EncoderError: The text encoder failed.
    """
    facts = ModelFacts.of(model.manifest, model.fingerprint)
    findings = Findings(Positions().file)
    check_usable(policy, model, findings)
    errors = {problem.code for problem in findings.problems if problem.severity is Severity.ERROR}
    if errors - NUMBERS or policy.model.fingerprint not in (None, facts.fingerprint):
        return None
    return _join(policy, embed_texts(policy, model=model, cache=cache, progress=None), model.background, facts)


def bind_policy(
    policy: Policy,
    vectors: Mapping[str, NDArray[np.float32]],
    background: NDArray[np.float32] | None,
    facts: ModelFacts,
) -> CompiledPolicy:
    """Join a policy with vectors of its texts, wherever they come from: no model is needed.

    Args:
        policy: As parsed.
        vectors: float32 [D] for each of `embedded_texts(policy)`, and of whatever else; whether a text was truncated
            is for whoever embedded it to know.
        background: float32 [K,D] unit rows; None where no concept scores margins.
        facts: Of the model that the vectors and the images' embeddings are of.

    Returns:
        The compiled policy; of categories that are not enforced, stale calibrations are dropped, and thresholds
        that were chosen on something else give no band.

    Raises:
        FingerprintMismatchError: The policy is bound to another model.
        PolicyError: It scores margins and there is no background, a learned vector or head reads another width, or an
            enforced category's calibration was fitted, or its thresholds chosen, on something else.
        EncoderError: A text's templates cancel out, or its vectors are not finite.
        ValueError: A text has no vector, or vectors or background are of another width, or the background is empty or
            of another length than 1.
    """
    check_fingerprint(policy, facts)
    findings = Findings(Positions().file)
    check_facts(policy, facts, findings, has_background=background is not None)
    findings.raise_if_failed()
    if background is not None:
        _check_background(background)
    return _join(policy, vectors, background, facts)


def _check_background(background: NDArray[np.float32]) -> None:
    if not len(background):
        raise ValueError("the background has no vector; give None where there is none")
    require_unit(background, ValueError("the background must be finite vectors of unit length"))


def _join(
    policy: Policy,
    vectors: Mapping[str, NDArray[np.float32]],
    background: NDArray[np.float32] | None,
    facts: ModelFacts,
) -> CompiledPolicy:
    """Join what belongs together."""
    if missing := [text for text in embedded_texts(policy) if text not in vectors]:
        raise ValueError(f"{len(missing)} texts of the policy have no vector, such as {missing[0]!r}")
    rows = policy_rows(policy, vectors, background, dim=facts.dim)
    if rows.shape[1] != facts.dim:
        raise ValueError(f"the vectors have {rows.shape[1]} numbers where the model has {facts.dim}")
    return CompiledPolicy(
        policy=policy,
        digest=policy_digest(policy),
        fingerprint=facts.fingerprint,
        logit_scale=facts.logit_scale,
        logit_bias=facts.logit_bias,
        vectors=rows,
        dropped_calibrations=stale_calibrations(policy, facts.fingerprint),
        unbound=unbound_lines(policy, facts.fingerprint),
    )


def check_fingerprint(policy: Policy, facts: ModelFacts) -> None:
    """Refuse a model other than the one that the policy's numbers were chosen on.

    Raises:
        FingerprintMismatchError: The policy names another fingerprint.
    """
    wanted = policy.model.fingerprint
    if wanted is not None and wanted != facts.fingerprint:
        raise FingerprintMismatchError(
            f'The policy "{policy.metadata.id}" is bound to model {wanted}, but the model "{facts.name}" is '
            f"{facts.fingerprint}. Load the right model, or choose its numbers again for this one (`clipwarden tune`); "
            "`clipwarden lint FILE --model MODEL` says whether it was only upgraded."
        )
