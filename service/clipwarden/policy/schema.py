"""The parsed policy: what a YAML file says, as frozen values with every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, StrEnum

SCHEMA_VERSION = "clipwarden/v1"
"""The value of `api:` that this package reads; part of every digest."""


class Verdict(IntEnum):
    """What to do with an image, ordered by how much it restrains.

    A band is a verdict given by one category. There is no zero: an absent verdict never means ALLOW.
    """

    ALLOW = 1
    REVIEW = 2
    BLOCK = 3


class Mode(StrEnum):
    """Whether a category counts."""

    SHADOW = "shadow"
    """Scored and reported; counts in the shadow verdict only."""
    ENFORCE = "enforce"
    """Counts in the verdict."""
    DISABLED = "disabled"
    """Not scored at all."""


class Method(StrEnum):
    """How a category's cosines become the number that thresholds compare with."""

    COSINE = "cosine"
    """The pooled cosine as it is, in [-1, 1]."""
    MARGIN = "margin"
    """The margin over background and negatives, through a sigmoid, in [0, 1]."""


class Pool(StrEnum):
    """How the cosines to several prompts become one."""

    MAX = "max"
    LSE = "lse"
    MEAN = "mean"


class Unit(StrEnum):
    """What a threshold is compared with: `cosine` under Method.COSINE, `score` under Method.MARGIN."""

    COSINE = "cosine"
    SCORE = "score"


class Effect(StrEnum):
    """What an exemption does. The only effect there is can never turn a block into an allow."""

    BLOCK_TO_REVIEW = "block_to_review"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Who keeps this policy, and why it says what it says. Only `id` is part of the digest."""

    id: str
    version: str | None = None
    owner: str | None = None
    reason: str | None = None
    review_by: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelBinding:
    """The model whose scores the numbers were chosen on.

    Attributes:
        fingerprint: `sha256:` and 64 hex digits, or None where no category is enforced.
        calibration_scale: `a` of `p = sigmoid(a*m + b)`; dimensionless, above 0.
    """

    fingerprint: str | None = None
    calibration_scale: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """A declared surface or tenant that may override thresholds."""

    name: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One text that describes what a category looks for.

    Attributes:
        text: Goes into each template in the place of `{}`.
        weight: Above 0; 1 unless the pool is `lse` or `mean`.
    """

    text: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Platt calibration of one category.

    Attributes:
        bias: `b` of `p = sigmoid(a*m + b)`, in logits.
        prevalence: Share of positives in the data it was fitted on, in (0, 1); scores hold at that share.
        fitted_on: Digest of everything the fit depended on (`policy.digest.fit_digest`); on a mismatch the
            calibration is dropped.
    """

    bias: float
    prevalence: float
    fitted_on: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Lower ends of the review and block bands, inclusive; None leaves a band out. review < block."""

    review: float | None = None
    block: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """The bands of one category, and the unit of their numbers."""

    unit: Unit
    bounds: Bounds


@dataclass(frozen=True, kw_only=True, slots=True)
class Exemption:
    """Turn a block into a review while an attribute's number is at least `gte`."""

    attribute: str
    gte: float
    effect: Effect = Effect.BLOCK_TO_REVIEW


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """What categories and attributes share: texts, and the way to a number.

    Attributes:
        id: Lower-case letters, digits and underscores; dots group.
        prompts: At least one, in file order.
        negatives: Look-alikes that exclude the concept; empty under Method.COSINE.
        templates: Each holds `{}` once.
        calibration: None when not fitted.
    """

    id: str
    prompts: tuple[Prompt, ...]
    negatives: tuple[str, ...] = ()
    templates: tuple[str, ...]
    method: Method = Method.MARGIN
    pool: Pool = Pool.MAX
    calibration: Calibration | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Category(Concept):
    """A kind of harm that a verdict may rest on.

    Attributes:
        severity: Harm from 0 to 4; not certainty.
        definition: One sentence for reviewers.
        thresholds: None: scored, no band.
        contexts: Context name to the bounds that replace those of `thresholds` there, same unit; a bound
            left out is inherited.
    """

    severity: int
    definition: str
    mode: Mode
    thresholds: Thresholds | None = None
    reason_code: str | None = None
    exemptions: tuple[Exemption, ...] = ()
    contexts: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute(Concept):
    """Something scored and reported, never enforced; exemptions may ask for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """One policy file.

    Attributes:
        on_error: Verdict for an image, or an enforced category, that cannot be judged.
        on_partial: Verdict at least this when fewer frames were judged than there are.
    """

    metadata: Metadata
    model: ModelBinding
    on_error: Verdict
    on_partial: Verdict
    contexts: tuple[Context, ...]
    categories: tuple[Category, ...]
    attributes: tuple[Attribute, ...]
