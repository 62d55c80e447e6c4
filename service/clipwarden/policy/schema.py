"""The parsed policy: what a YAML file says, as frozen values with every default filled in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, StrEnum
from functools import cached_property

from clipwarden.vision.plan import WHOLE, ViewPlan

SCHEMA_VERSION = "clipwarden/v1"
"""The value of `api:` that this package reads; part of every digest."""
FLOAT_BYTES = 4
"""Of a float32, which vectors are made of."""

# What a field says to digests (`policy.digest`), as its metadata. A field without either counts, and in its order.
ANY_ORDER = {"any_order": True}
"""A tuple whose order nothing judges by: people read it, and vectors lie in it, in the order of the file."""
ADDED_LATER = {"added_later": True}
"""A field that came after digests were in use: left out of them while it holds its default, so that a policy that does
not use it keeps the digest that it had."""


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
    """The pooled cosine in [-1, 1], as it is but for adjustments."""
    MARGIN = "margin"
    """The margin over background and negatives, through a sigmoid, in [0, 1]."""
    HEAD = "head"
    """The logit of a network trained on the model's image vectors, through a sigmoid, in [0, 1]."""


class Pool(StrEnum):
    """How the cosines to several prompts become one."""

    MAX = "max"
    LSE = "lse"
    MEAN = "mean"


class Unit(StrEnum):
    """What a threshold is compared with: `cosine` under Method.COSINE, `score` under the other methods."""

    COSINE = "cosine"
    SCORE = "score"


class OnTruncated(StrEnum):
    """What to do with a file that ends before its picture does, but after some of its rows."""

    REFUSE = "refuse"
    """As with a damaged one: there is no verdict but `on_error`."""
    JUDGE = "judge"
    """Judge the rows that are there; the rest is unseen, so `on_partial` applies."""


class By(StrEnum):
    """Who chose a category's thresholds."""

    FIT = "fit"
    """A tool, on images."""
    HAND = "hand"
    """A person, who says why."""


class Drawn(StrEnum):
    """How the pictures came together that a tool chose thresholds on: that decides what their labels can promise."""

    SAMPLE = "sample"
    """From traffic, each with a known chance."""
    TOP = "top"
    """Evenly from traffic, labelled from the highest score down."""
    SET = "set"
    """By hand: what is said of them promises nothing of others."""
    TRAFFIC = "traffic"
    """Evenly from traffic, without labels."""


class Waivable(StrEnum):
    """The rules of lint that somebody may waive for a concept."""

    IDENTITY = "identity"
    """A prompt names who somebody is."""


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
    author: str | None = None
    approved_by: str | None = None
    review_by: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelBinding:
    """The model whose scores the numbers were chosen on.

    Attributes:
        fingerprint: `sha256:` and 64 hex digits, or None where no category is enforced.
        calibration_scale: `a` of `p = sigmoid(a*m + b)` for margins whose calibration has no slope of its own, and for
            those without a calibration; dimensionless, above 0.
    """

    fingerprint: str | None = None
    calibration_scale: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """A declared surface or tenant that may override thresholds and modes."""

    name: str
    description: str


# Without slots, so that `content` is hashed once: every verdict names the vectors it rests on.
@dataclass(frozen=True, kw_only=True)
class LearnedVector:
    """A vector of the model's own space that stands where a text could: learned from images, or published.

    Attributes:
        name: Its tensor's name in the file that it came from; people read `vector NAME`.
        values: Little-endian float32 [D] of unit length. Digests take them by their SHA-256; the file's path is
            not kept, so that moving a file changes nothing.
    """

    name: str
    values: bytes = field(repr=False)

    @property
    def dim(self) -> int:
        """D."""
        return len(self.values) // FLOAT_BYTES

    @cached_property
    def content(self) -> str:
        """Name the values by their content: `sha256:` and 64 hexadecimal digits."""
        return f"sha256:{hashlib.sha256(self.values).hexdigest()}"

    def __str__(self) -> str:
        """Return what reports show in the place of a text."""
        return f"vector {self.name}"


Phrase = str | LearnedVector
"""What an image is compared with: a text, or a vector in its place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One phrase that describes what a category looks for.

    Attributes:
        text: A text goes into each template in the place of `{}`; a vector is taken as it is.
        weight: Above 0; 1 unless the pool is `lse` or `mean`.
    """

    text: Phrase
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadLayer:
    """One layer of a trained head: `W x + b`, after a ReLU in all but the first.

    Attributes:
        place: From 0.
        weight: Little-endian float32 [out,in]. Digests take it, and `bias`, by their SHA-256.
        bias: Little-endian float32 [out].
    """

    place: int
    weight: bytes = field(repr=False)
    bias: bytes = field(repr=False)

    @property
    def outputs(self) -> int:
        """How many numbers it gives."""
        return len(self.bias) // FLOAT_BYTES

    @property
    def inputs(self) -> int:
        """How many numbers it reads; of the first layer, D."""
        return len(self.weight) // len(self.bias)


Head = tuple[HeadLayer, ...]
"""A network from an image's vector to one logit, its layers in order. Digests take it for a set whose layers say their
places, as they took every tuple for a set when heads came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Platt calibration of one category.

    Attributes:
        slope: `a` of `p = sigmoid(a*m + b)`, above 0. None takes the model's `calibration_scale`, and 1 for a head: so
            it was for all before categories had slopes of their own.
        bias: `b` of it, in logits.
        prevalence: Share of positives in the data it was fitted on, in (0, 1); scores hold at that share.
        fitted_on: Digest of everything the fit depended on (`policy.digest.fit_digest`); on a mismatch the
            calibration is dropped.
    """

    slope: float | None = field(default=None, metadata=ADDED_LATER)
    bias: float
    prevalence: float
    fitted_on: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Lower ends of the review and block bands, inclusive; None leaves a band out. review < block."""

    review: float | None = None
    block: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a tool chose a category's thresholds on, and fitted its calibration on: for whoever is to trust them.

    Attributes:
        store: Digest of the pictures.
        labels: Digest of what people said of them; None under `Drawn.TRAFFIC`.
        design: How the pictures came together.
        labelled: How many have a label for this category.
        positives: How many of those are harmful.
        groups: How many of those labelled are distinct, near-duplicates counting once.
        how: The methods, in words.
        confidence: Of each promise alone, looked at once, in (0, 1).
        looks: How often these labels had been looked at, this time included.
        day: When.
        author: Who ran the tool.
        promises: What holds of the thresholds, and of scores as probabilities, each in a sentence.
        targets: What was asked for, as the tool's options.
        slices: What slices of the pictures say, as `policy.slices` reads it; what fails or is not known stands in the
            way of enforcing, until somebody waives it by name.
    """

    store: str
    labels: str | None = None
    design: Drawn
    labelled: int
    positives: int
    groups: int
    how: str
    confidence: float
    looks: int
    day: date
    author: str
    promises: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    slices: tuple[str, ...] = field(default=(), metadata=ADDED_LATER)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenOn:
    """What thresholds were chosen on, and by whom. Only `digest` is part of the policy's digest.

    Attributes:
        digest: Of everything that the bands rest on (`policy.digest.lines_digest`), the numbers themselves included;
            on a mismatch the category has no band.
        reason: Why these numbers; there when a person chose them.
        approved_by: Who else stands for them; there when a person chose them and they are enforced.
        evidence: What a tool chose them on; None of a person, and of tools before there was a place for it.
    """

    digest: str
    by: By = By.FIT
    reason: str | None = None
    approved_by: str | None = None
    evidence: Evidence | None = field(default=None, metadata=ADDED_LATER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """The bands of one category, and the unit of their numbers.

    Attributes:
        chosen_on: None: nobody says what the numbers were chosen on, so there is no band.
    """

    unit: Unit
    bounds: Bounds
    chosen_on: ChosenOn | None = field(default=None, metadata=ADDED_LATER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """What one context changes of a category; what is None stays as the category has it.

    Attributes:
        review: Lower end of the review band, in the unit of the category's thresholds.
        block: Lower end of the block band, likewise.
        mode: The mode in force there.
    """

    review: float | None = None
    block: float | None = None
    mode: Mode | None = field(default=None, metadata=ADDED_LATER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exemption:
    """Turn a block into a review while an attribute's number is at least `gte`."""

    attribute: str
    gte: float
    effect: Effect = Effect.BLOCK_TO_REVIEW


@dataclass(frozen=True, kw_only=True, slots=True)
class Adjustment:
    """Raise a cosine while an attribute's cosine is at least `gte`, both in the same view.

    Of several that hold the greatest counts; they do not add up.

    Attributes:
        add: In (0, 1]: an adjustment never lowers a score.
    """

    attribute: str
    gte: float
    add: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """Somebody's approval of texts that a rule would refuse in a concept; judges nothing."""

    rule: Waivable
    texts: tuple[str, ...]
    reason: str
    approved_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """What categories and attributes share: phrases, and the way to a number.

    Attributes:
        id: Lower-case letters, digits and underscores; dots group.
        prompts: At least one, in file order; none under Method.HEAD.
        negatives: Look-alikes that exclude the concept; empty but under Method.MARGIN.
        templates: Each holds `{}` once; none under Method.HEAD.
        calibration: None when not fitted.
        head: Empty but under Method.HEAD.
        waive: For the next reviewer.
    """

    id: str
    prompts: tuple[Prompt, ...] = field(metadata=ANY_ORDER)
    negatives: tuple[Phrase, ...] = field(default=(), metadata=ANY_ORDER)
    templates: tuple[str, ...] = field(metadata=ANY_ORDER)
    method: Method = Method.MARGIN
    pool: Pool = Pool.MAX
    calibration: Calibration | None = None
    head: Head = field(default=(), metadata=ANY_ORDER | ADDED_LATER)
    waive: tuple[Waiver, ...] = ()

    @property
    def phrases(self) -> tuple[Phrase, ...]:
        """Prompts, then negatives: the order of rows."""
        return (*(prompt.text for prompt in self.prompts), *self.negatives)


@dataclass(frozen=True, kw_only=True, slots=True)
class Category(Concept):
    """A kind of harm that a verdict may rest on.

    Attributes:
        severity: Harm from 0 to 4; not certainty.
        definition: One sentence for reviewers.
        thresholds: None: scored, no band.
        mode: Where no context says otherwise; `policy.contexts` tells what holds where.
        contexts: Context name to what is changed there. Bounds need `thresholds`, whose unit they have.
        adjustments: Empty but under Method.COSINE.
    """

    severity: int
    definition: str
    mode: Mode
    thresholds: Thresholds | None = None
    reason_code: str | None = None
    exemptions: tuple[Exemption, ...] = field(default=(), metadata=ANY_ORDER)
    contexts: Mapping[str, Override] = field(default_factory=dict)
    adjustments: tuple[Adjustment, ...] = field(default=(), metadata=ANY_ORDER | ADDED_LATER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute(Concept):
    """Something scored and reported, never enforced; exemptions may ask for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """One policy file.

    Attributes:
        on_error: Verdict for an image, or an enforced category, that cannot be judged.
        on_partial: Verdict at least this when something of the image was not looked at: frames, rows that the file
            lacks, brightness beyond a screen without HDR.
        on_truncated: Whether a file that ends too early is judged by the rows that it has. Read when judging: an
            embedding does not depend on it.
        plan: Which views and frames are looked at; scores, and so calibrations and thresholds, belong to it.
        least_coverage: Share of the area, in (0, 1], below which a picture is partial; None never.
        least_resolution: Pixels of the shorter side in a view, above 0, below which it is partial; None never.
    """

    metadata: Metadata
    model: ModelBinding
    on_error: Verdict
    on_partial: Verdict
    contexts: tuple[Context, ...] = field(metadata=ANY_ORDER)
    categories: tuple[Category, ...] = field(metadata=ANY_ORDER)
    attributes: tuple[Attribute, ...] = field(metadata=ANY_ORDER)
    on_truncated: OnTruncated = field(default=OnTruncated.REFUSE, metadata=ADDED_LATER)
    plan: ViewPlan = field(default=WHOLE, metadata=ADDED_LATER)
    least_coverage: float | None = field(default=None, metadata=ADDED_LATER)
    least_resolution: float | None = field(default=None, metadata=ADDED_LATER)
