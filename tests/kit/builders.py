"""Build small policies and their vectors directly, without a model: seeded, finite, and as few words as a test needs.

policy = make_policy([make_category("weapons", prompts=["a rifle"], review=0.5, block=0.9)])
assert judge_cosines(policy, {"a rifle": 0.3}).verdict is Verdict.ALLOW
compiled = compile_with_random_vectors(policy)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from clipwarden.policy.bundle.compile import bind_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden.policy.bundle.vectors import embedded_texts, scored_concepts
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.schema import (
    Adjustment,
    Attribute,
    Bounds,
    Calibration,
    Category,
    Context,
    Drawn,
    Evidence,
    Exemption,
    Head,
    HeadLayer,
    Metadata,
    Method,
    Mode,
    ModelBinding,
    OnTruncated,
    Override,
    Policy,
    Pool,
    Prompt,
    Thresholds,
    Unit,
    Verdict,
)
from clipwarden.scoring.decide import judge
from clipwarden.scoring.floors import Floor
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import Judgement, ViewRef
from clipwarden.vision.plan import WHOLE, ViewPlan

FULL = ViewRef(name="full")
FINGERPRINT = "sha256:" + "0" * 64


def make_prompts(texts: Iterable[str | tuple[str, float]]) -> tuple[Prompt, ...]:
    """Make prompts of texts, or of (text, weight)."""
    pairs = ((item, 1.0) if isinstance(item, str) else item for item in texts)
    return tuple(Prompt(text=text, weight=weight) for text, weight in pairs)


def make_head(*layers: tuple[Sequence[Sequence[float]], Sequence[float]]) -> Head:
    """Make a head of weights `[out,in]` and biases `[out]`, first layer first."""
    return tuple(
        HeadLayer(
            place=place, weight=np.array(weight, dtype="<f4").tobytes(), bias=np.array(bias, dtype="<f4").tobytes()
        )
        for place, (weight, bias) in enumerate(layers)
    )


def make_calibration(bias: float, slope: float | None = None) -> Calibration:
    """Make a calibration with this bias, in logits, and slope; `compile_with_random_vectors` fits it."""
    return Calibration(slope=slope, bias=bias, prevalence=0.01, fitted_on="sha256:" + "2" * 64)


def make_evidence(**changed: object) -> Evidence:
    """Make evidence of a sample in which all is said."""
    told: dict[str, object] = {
        "store": "sha256:" + "5" * 64,
        "labels": "sha256:" + "6" * 64,
        "design": Drawn.SAMPLE,
        "labelled": 412,
        "positives": 31,
        "groups": 390,
        "how": "Platt's calibration; exact binomial tests",
        "confidence": 0.95,
        "looks": 2,
        "day": date(2026, 11, 29),
        "author": "sam@example.com",
        "promises": ("at most 1 % of harmless pictures are stopped, with 95 % confidence (0 of 299 here)",),
        "targets": ("block-fpr 0.01",),
        "slices": ('"country=de": PASS by the block limit',),
    }
    return Evidence(**told | changed)  # type: ignore[arg-type]  # as told


def make_category(
    id: str = "weapons",  # noqa: A002 - the field's own name
    *,
    prompts: Iterable[str | tuple[str, float]] | None = None,
    negatives: Iterable[str] = (),
    method: Method = Method.COSINE,
    pool: Pool = Pool.MAX,
    mode: Mode = Mode.ENFORCE,
    severity: int = 2,
    review: float | None = None,
    block: float | None = None,
    bias: float | None = None,
    slope: float | None = None,
    exemptions: Iterable[Exemption] = (),
    contexts: Mapping[str, Override] | None = None,
    adjustments: Iterable[Adjustment] = (),
    head: Head = (),
) -> Category:
    """Make a category; its prompt is its id unless given, and its unit is the method's own.

    With a `head` it has no prompts. Without `review` and `block` it has no thresholds, so no band.
    """
    unit = Unit.COSINE if method is Method.COSINE and not head else Unit.SCORE
    bounded = review is not None or block is not None
    return Category(
        id=id,
        prompts=make_prompts([] if head else [id] if prompts is None else prompts),
        negatives=tuple(negatives),
        templates=() if head else ("{}",),
        method=Method.HEAD if head else method,
        pool=pool,
        calibration=None if bias is None else make_calibration(bias, slope),
        severity=severity,
        definition=f"What {id} means.",
        mode=mode,
        thresholds=Thresholds(unit=unit, bounds=Bounds(review=review, block=block)) if bounded else None,
        reason_code=None,
        exemptions=tuple(exemptions),
        contexts=dict(contexts or {}),
        adjustments=tuple(adjustments),
        head=head,
    )


def make_attribute(
    id: str = "museum",  # noqa: A002 - the field's own name
    *,
    prompts: Iterable[str | tuple[str, float]] | None = None,
    method: Method = Method.COSINE,
) -> Attribute:
    """Make an attribute; its prompt is its id unless given."""
    return Attribute(
        id=id, prompts=make_prompts([id] if prompts is None else prompts), templates=("{}",), method=method
    )


def make_policy(
    categories: Iterable[Category],
    *,
    attributes: Iterable[Attribute] = (),
    contexts: Iterable[str] = (),
    on_error: Verdict = Verdict.REVIEW,
    on_partial: Verdict = Verdict.REVIEW,
    on_truncated: OnTruncated = OnTruncated.REFUSE,
    plan: ViewPlan = WHOLE,
    least_coverage: float | None = None,
    least_resolution: float | None = None,
    calibration_scale: float = 1.0,
) -> Policy:
    """Make a policy of these categories, bound to `FINGERPRINT`."""
    return Policy(
        metadata=Metadata(id="test", version="1.0.0"),
        model=ModelBinding(fingerprint=FINGERPRINT, calibration_scale=calibration_scale),
        on_error=on_error,
        on_partial=on_partial,
        on_truncated=on_truncated,
        plan=plan,
        least_coverage=least_coverage,
        least_resolution=least_resolution,
        contexts=tuple(Context(name=name, description=f"The {name}.") for name in contexts),
        categories=tuple(categories),
        attributes=tuple(attributes),
    )


def scored_texts(policy: Policy) -> list[str]:
    """List the P texts that have rows, in row order."""
    return [str(text) for concept in scored_concepts(policy) for text in concept.phrases]


def unit_vectors(count: int, dim: int, *, seed: int) -> NDArray[np.float32]:
    """Draw `[count,dim]` float32 unit rows, evenly over the sphere."""
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def compile_with_random_vectors(
    policy: Policy,
    *,
    dim: int = 32,
    seed: int = 0,
    logit_scale: float = 100.0,
    logit_bias: float | None = None,
) -> CompiledPolicy:
    """Compile a policy with a random unit vector for each text; the same text always gets the same vector.

    The background is the mean of 300 random unit vectors. Calibrations count as fitted, and thresholds as
    chosen, on the policy as it is.
    """
    fitted = replace(policy, categories=tuple(_fitted(category, policy) for category in policy.categories))
    policy = choose_lines(fitted, FINGERPRINT)
    texts = sorted(embedded_texts(policy))
    vectors = dict(zip(texts, unit_vectors(len(texts), dim, seed=seed), strict=True))
    facts = ModelFacts(name="random", fingerprint=FINGERPRINT, dim=dim, logit_scale=logit_scale, logit_bias=logit_bias)
    return bind_policy(policy, vectors, unit_vectors(300, dim, seed=seed + 1), facts)


def _fitted(category: Category, policy: Policy) -> Category:
    if category.calibration is None:
        return category
    digest = fit_digest(
        category, fingerprint=FINGERPRINT, calibration_scale=policy.model.calibration_scale, plan=policy.plan
    )
    return replace(category, calibration=replace(category.calibration, fitted_on=digest))


def cosine_rows(
    policy: Policy, views: Sequence[Mapping[str, float]], *, background: float = 0.0
) -> NDArray[np.float32]:
    """Write the rows `[V,P+1]` that `cosines` would give, from text to cosine; a text left out has cosine 0."""
    texts = scored_texts(policy)
    return np.array([[*(view.get(text, 0.0) for text in texts), background] for view in views], dtype=np.float32)


def judge_rows(
    compiled: CompiledPolicy,
    rows: NDArray[np.float32],
    *,
    views: Sequence[ViewRef] | None = None,
    context: str | None = None,
    partial: bool = False,
    degraded: bool = False,
    missed: tuple[Floor, ...] = (),
) -> Judgement:
    """Judge rows of cosines with the ordinary case as default: one whole, good image, no context."""
    return judge(
        rows,
        views if views is not None else [ViewRef(name="full", frame=number) for number in range(len(rows))],
        prepare(compiled),
        context=context,
        partial=partial,
        degraded=degraded,
        missed=missed,
    )


def judge_cosines(
    policy: Policy,
    *views: Mapping[str, float],
    background: float = 0.0,
    logit_scale: float = 100.0,
    logit_bias: float | None = None,
    context: str | None = None,
    partial: bool = False,
    degraded: bool = False,
) -> Judgement:
    """Judge one image of which a test states the cosines themselves, view by view; those left out are 0."""
    compiled = compile_with_random_vectors(policy, logit_scale=logit_scale, logit_bias=logit_bias)
    return judge_rows(
        compiled,
        cosine_rows(policy, views or [{}], background=background),
        context=context,
        partial=partial,
        degraded=degraded,
    )
