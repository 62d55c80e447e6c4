"""What judging one image yields, as frozen values: numbers, bands, the texts and views behind them.

What is made anew for each concept of each image is a named tuple, not a frozen dataclass: with ten fields one takes 0.6
microseconds to make, against 1.3, and with 16 concepts all of judging takes 70, against 90 (CPython 3.11). Judging
makes them with `tuple.__new__`, which halves that again: a named tuple's own is written in Python.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from clipwarden.policy.schema import Attribute, Bounds, Category, Mode, Phrase, Verdict
from clipwarden.scoring.floors import Floor


class ScoreKind(StrEnum):
    """What a score may be read as."""

    RAW_COSINE = "RAW_COSINE"
    """A cosine, and what an adjustment adds to it; comparable within one category and model only."""
    UNCALIBRATED = "UNCALIBRATED"
    """In [0, 1] but no probability."""
    CALIBRATED = "CALIBRATED"
    """A probability at the prevalence the category was fitted at."""


class Unevaluated(StrEnum):
    """Why a category was not evaluated."""

    DISABLED = "DISABLED"
    NON_FINITE = "NON_FINITE"


class NoBand(StrEnum):
    """Why a category gets no band, whatever the image: of a disabled one, why it would get none if it were scored."""

    NO_THRESHOLDS = "NO_THRESHOLDS"
    """It has none to compare with."""
    NOT_CHOSEN = "NOT_CHOSEN"
    """Nothing says what its thresholds were chosen on."""
    CHOSEN_ON_OTHER = "CHOSEN_ON_OTHER"
    """Its thresholds were chosen on something else than the policy holds now."""


class Raise(StrEnum):
    """Why a verdict is stricter than the bands alone."""

    PARTIAL = "PARTIAL"
    """Something of the image was not looked at, or too little for a floor: at least `on_partial`."""
    DEGRADED = "DEGRADED"
    """The image is too poor to score well, or viewers may show other colours: at least REVIEW where categories are
    enforced."""
    NOT_EVALUATED = "NOT_EVALUATED"
    """An enforced category could not be evaluated: at least `on_error`."""


class Match(NamedTuple):
    """A text, or a vector in its place, and its cosine to the view that it matched best."""

    phrase: Phrase
    cosine: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewRef:
    """Which view of which frame gave the worst score.

    Attributes:
        name: `full`, or `on_white` and `on_black` of a see-through image; `part`, `part_on_white` and `part_on_black`
            where `box` says which part.
        frame: Counts from 0, in the order of the file; what is shown instead of it where it stands in no animation.
        seconds: When an animation shows it first, from its start; None of a still.
        box: (left, top, right, bottom) of what it shows, in pixels of the picture as displayed; None is all of it, as
            far as the model folder's preprocessing does not cut it off.
    """

    name: str
    frame: int = 0
    seconds: float | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Adjusted:
    """What raised a score above its cosine: the attribute that held in the same view, and by how much."""

    attribute: str
    add: float


class Scored(NamedTuple):
    """What a concept's texts say about one image.

    Attributes:
        kind: How to read `score`.
        score: The number thresholds compare with: the pooled cosine in [-1, 1] and what `adjustment` adds to it, or a
            sigmoid in [0, 1].
        cosine: The pooled cosine `P_c`; None under Method.HEAD.
        margin: `m_c` in logits; None but under Method.MARGIN.
        logit: What the head gave; None but under Method.HEAD.
        pair_probability: `sigmoid(s*cos + bias)` of the winning prompt, for models with a logit bias (SigLIP),
            else None. No threshold compares with it.
        prompt: The winning prompt: the one with the highest cosine, whatever the pool. None under Method.HEAD.
        contrast: The winning negative, or None without negatives.
        view: The view that gave the highest score; of a category with exemptions, the highest among the views that
            gave its band.
        adjustment: What was added to the cosine in that view; None when nothing was.
    """

    kind: ScoreKind
    score: float
    cosine: float | None
    margin: float | None
    logit: float | None
    pair_probability: float | None
    prompt: Match | None
    contrast: Match | None
    view: ViewRef
    adjustment: Adjusted | None


class CategoryResult(NamedTuple):
    """One category's part in a verdict.

    Attributes:
        category: As the policy wrote it.
        mode: In force here, after context overrides.
        scored: None when not evaluated.
        bounds: The thresholds in force here, after context overrides; none where `no_band` says why, be the category
            disabled or not: what the policy writes there holds for nothing.
        band: None where `no_band` says why, or when not evaluated.
        exempted_by: Attribute that turned this block into a review, in the view reported, or None.
        no_band: Why the policy gives it no band, whatever the image; None where it does.
    """

    category: Category
    mode: Mode
    scored: Scored | None
    bounds: Bounds
    band: Verdict | None
    exempted_by: str | None
    no_band: NoBand | None

    @property
    def id(self) -> str:
        """The category's."""
        return self.category.id

    @property
    def unevaluated(self) -> Unevaluated | None:
        """Why it was not evaluated; None when it was."""
        if self.scored is not None:
            return None
        return Unevaluated.DISABLED if self.mode is Mode.DISABLED else Unevaluated.NON_FINITE


class AttributeResult(NamedTuple):
    """One attribute's numbers; `scored` is None when they were not finite."""

    attribute: Attribute
    scored: Scored | None

    @property
    def id(self) -> str:
        """The attribute's."""
        return self.attribute.id


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ground:
    """What all judgements by one policy in one context have in common; one object, so told apart by identity.

    Attributes:
        policy_id: Which policy.
        policy_version: As the policy wrote it.
        policy_digest: Of what it holds.
        fingerprint: Of its model.
        context: Which context, or None.
        categories: Each one's index among the concepts, None where it is disabled here, and what is said of it when it
            has no numbers; in file order.
        attributes: In file order.
        enforced: Indexes among `categories` of those that count in `verdict`, most severe first, then by id, so that
            file order changes nothing.
        counted: Likewise for `shadow_verdict`: enforced and shadow.
        shadow_incomplete: Ids of those of them that have no thresholds, or none that hold.
    """

    policy_id: str
    policy_version: str | None
    policy_digest: str
    fingerprint: str
    context: str | None
    categories: tuple[tuple[int | None, CategoryResult], ...]
    attributes: tuple[Attribute, ...]
    enforced: tuple[int, ...]
    counted: tuple[int, ...]
    shadow_incomplete: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The verdict on one image and everything it rests on.

    Attributes:
        verdict: The worst band among enforced categories, raised as `raised_by` says; ALLOW if none objects.
        shadow_verdict: The same, were every shadow category enforced; of those in `shadow_incomplete` nobody knows what
            they would say.
        shadow_incomplete: Ids of the categories that count in `shadow_verdict` and have no band, since they have no
            thresholds or none that hold, most severe first, then by id. While there is one, ALLOW there is no clean
            bill.
        enforced_categories: How many categories could have changed `verdict`; 0 means that nothing was enforced,
            and then nothing raises the verdict either.
        decided_by: Ids of enforced categories whose band equals the verdict, most severe first, then by id; empty
            on ALLOW.
        missed: Floors of the policy that what was seen of the image does not reach; then it is partial.
        raised_by: Why the verdict is stricter than the bands alone: each reason that by itself would have given
            it. Never together with `decided_by`.
        context: The context that selected thresholds and modes, or None.
        ground: What other judgements by the same policy in the same context share.
    """

    verdict: Verdict
    shadow_verdict: Verdict
    shadow_incomplete: tuple[str, ...]
    enforced_categories: int
    decided_by: tuple[str, ...]
    raised_by: tuple[Raise, ...]
    categories: tuple[CategoryResult, ...]
    attributes: tuple[AttributeResult, ...]
    policy_id: str
    policy_version: str | None
    policy_digest: str
    fingerprint: str
    context: str | None
    missed: tuple[Floor, ...] = ()
    ground: Ground = field(repr=False, compare=False)
