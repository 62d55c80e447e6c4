"""Labels and the chances they were drawn with, in; rates of traffic between limits that hold, out.

Every function takes one entry a labelled picture, of one category; leave out beforehand whoever is unsure or unknown.
`pi` are the chances of the sample, `group` the numbers of near-duplicates (by default every picture is its own), and
`uploads` how often each picture was uploaded (once by default): rates count uploads.
"""

from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A share between its limits, and what it rests on.

    Attributes:
        value: The share, 0..1; NaN where nothing was labelled that it could be taken from.
        low: Lower limit of the two-sided interval.
        high: Upper limit of it.
        one_sided_low: The limit that the true share is above, alone: what may be promised.
        one_sided_high: The limit that it is below, alone.
        confidence: Of the interval, and of each one-sided limit alone.
        labels: Pictures with a label for this category.
        positives: Those of them that are harmful.
        members: Those the share is of: the harmful for recall, the stopped for precision.
        groups: Groups of near-duplicates among the members.
        n_eff: How many members, drawn evenly, would say as much.
    """

    value: float
    low: float
    high: float
    one_sided_low: float
    one_sided_high: float
    confidence: float
    labels: int
    positives: int
    members: int
    groups: int
    n_eff: float

    @property
    def basis(self) -> str:
        """What every figure says: `from 120 labels, 14 positives`."""
        raise NotImplementedError


def prevalence(
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of uploads that are harmful.

    Args:
        positive: bool `[N]`.
        pi: `[N]` in (0,1].
        group: `[N]`.
        uploads: `[N]`.
        confidence: Of the interval.

    Raises:
        DesignError: A chance is outside (0,1].
    """
    raise NotImplementedError


def share(
    outcome: ArrayLike,
    member: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of members that have an outcome: `recall`, `precision` and `false_positive_rate` say which."""
    raise NotImplementedError


def recall(
    stopped: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of harmful uploads that are stopped."""
    raise NotImplementedError


def precision(
    stopped: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of stopped uploads that are harmful."""
    raise NotImplementedError


def false_positive_rate(
    stopped: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of harmless uploads that are stopped."""
    raise NotImplementedError


def exact_share(
    outcome: ArrayLike,
    member: ArrayLike,
    positive: ArrayLike,
    *,
    group: ArrayLike | None = None,
    u: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Count on hand-picked images (design `set`), one random image a group: true of such images, never of traffic."""
    raise NotImplementedError


def precision_at(recall: Estimate, false_positive_rate: Estimate, prevalence: Estimate | float) -> Estimate:
    """Work out precision at a prevalence, stated or estimated, from rates within the classes.

    Args:
        recall: At `split_confidence(...)`.
        false_positive_rate: Likewise.
        prevalence: Stated, 0..1; or estimated, likewise.
    """
    raise NotImplementedError


def split_confidence(confidence: float, parts: int) -> float:
    """Share an error out among parts: 0.95 in three is 0.9833 each."""
    return 1.0 - (1.0 - confidence) / parts
