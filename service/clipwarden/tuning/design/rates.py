"""Labels and the chances they were drawn with, in; rates of traffic between limits that hold, out.

Every function takes one entry a labelled picture, of one category; leave out beforehand whoever is unsure or unknown.
`pi` are the chances of the sample, `group` the numbers of near-duplicates (by default every picture is its own), and
`uploads` how often each picture was uploaded (once by default): rates count uploads.

`ratios` has the method: Clopper and Pearson's interval on as many trials as the labels are worth.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from clipwarden.tuning.design.groups import one_of_each
from clipwarden.tuning.design.ratios import (
    NO_NUMBER,
    Labels,
    Ratio,
    column,
    effective,
    known,
    ratio_of,
    unseen,
)
from clipwarden.tuning.metrics import Interval, clopper_pearson


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
        return f"from {_counted(self.labels, 'label')}, {_counted(self.positives, 'positive')}"


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

    Returns:
        The share. With no positives its upper limit is 1 - 0.025^(1/n) at 95 %, n being groups.

    Raises:
        DesignError: A chance is outside (0,1], or columns differ in length.

    Source:
        Hajek's ratio; Korn & Graubard 1998 for the interval, not capped at n.
    """
    labels = Labels.of(positive, pi, group, uploads)
    ratio = ratio_of(labels.positive, labels)
    n_eff = float(ratio.groups) if ratio.worth is None else ratio.worth * known(ratio, confidence)
    return _estimate(labels, ratio, n_eff, confidence)


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
    """Estimate the share of members that have an outcome: `recall`, `precision` and `false_positive_rate` say which.

    Args:
        outcome: bool `[N]`.
        member: bool `[N]`: whom the share is of.
        positive: bool `[N]`, to be counted.
        pi: `[N]` in (0,1].
        group: `[N]`.
        uploads: `[N]`.
        confidence: Of the interval.

    Returns:
        The share; between 0 and 1 where members are of fewer than two groups.

    Raises:
        DesignError: A chance is outside (0,1], or columns differ in length.

    Source:
        R = sum(w c) / sum(w); V = k / (k - 1) x sum(w^2 (c - R)^2) / sum(w)^2; n_eff as `ratios` says.
    """
    everyone = Labels.of(positive, pi, group, uploads)
    chosen, had = (column(each, everyone.labels, np.bool_) for each in (member, outcome))
    labels = everyone.only(chosen)
    ratio = ratio_of(had[chosen], labels)
    n_eff = effective(ratio) * known(ratio, confidence)
    seldom = unseen(ratio, had, everyone, float(labels.weight.sum()) / n_eff) if n_eff else 1.0
    return _estimate(labels, ratio, n_eff, confidence, seldom)


def recall(
    stopped: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of harmful uploads that are stopped; arguments and errors as for `share`.

    The limits assume that the harmful pictures drawn are a fair picture of all. Where 30 or 40 % of the harmful score
    like harmless ones, and so are mostly not drawn, they miss the truth up to six times as often as they say: they are
    for tables. A promise is proven by `lines.betting`.
    """
    return share(stopped, positive, positive, pi, group=group, uploads=uploads, confidence=confidence)


def precision(
    stopped: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of stopped uploads that are harmful; arguments and errors as for `share`."""
    return share(positive, stopped, positive, pi, group=group, uploads=uploads, confidence=confidence)


def false_positive_rate(
    stopped: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of harmless uploads that are stopped; arguments and errors as for `share`."""
    harmless = ~np.asarray(positive, np.bool_)
    return share(stopped, harmless, positive, pi, group=group, uploads=uploads, confidence=confidence)


def exact_share(
    outcome: ArrayLike,
    member: ArrayLike,
    positive: ArrayLike,
    *,
    group: ArrayLike,
    u: ArrayLike,
    confidence: float = 0.95,
) -> Estimate:
    """Count on hand-picked images (design `set`), one random image a group: true of such images, never of traffic.

    Args:
        outcome: bool `[N]`.
        member: bool `[N]`: whom the share is of; those of one class.
        positive: bool `[N]`, to be counted.
        group: `[N]`.
        u: `[N]`, as for `one_of_each`: they choose.
        confidence: Of the interval.

    Returns:
        The share among the chosen, between Clopper and Pearson's limits.

    Raises:
        DesignError: Columns differ in length.
    """
    labels = Labels.of(positive, np.ones(np.shape(positive)), group, None)
    members = np.flatnonzero(column(member, labels.labels, np.bool_))
    chosen = members[one_of_each(labels.group[members], column(u, labels.labels, np.float64)[members])]
    hits = int(column(outcome, labels.labels, np.bool_)[chosen].sum())
    value = hits / len(chosen) if len(chosen) else NO_NUMBER
    ratio = Ratio(value=value, worth=None, kish=float(len(chosen)), groups=len(chosen), members=len(members))
    return _estimate(labels, ratio, float(len(chosen)), confidence)


def precision_at(recall: Estimate, false_positive_rate: Estimate, prevalence: Estimate | float) -> Estimate:
    """Work out precision at a prevalence, stated or estimated, from rates within the classes.

    Args:
        recall: At `split_confidence(0.95, 3)`, or 2 where the prevalence is stated: the parts share the error.
        false_positive_rate: Likewise.
        prevalence: Stated, 0..1; or estimated, likewise.

    Returns:
        p R / (p R + (1 - p) F), between its worst and best corners; its error is the sum of the parts'.
    """
    rate = false_positive_rate
    estimated = isinstance(prevalence, Estimate)
    p = prevalence if isinstance(prevalence, Estimate) else _stated(float(prevalence), recall)
    missed = sum(1.0 - part.confidence for part in ((recall, rate, p) if estimated else (recall, rate)))
    return Estimate(
        value=_right(recall.value, rate.value, p.value),
        low=_right(recall.low, rate.high, p.low, of_none=0.0),
        high=_right(recall.high, rate.low, p.high, of_none=1.0),
        one_sided_low=_right(recall.one_sided_low, rate.one_sided_high, p.one_sided_low, of_none=0.0),
        one_sided_high=_right(recall.one_sided_high, rate.one_sided_low, p.one_sided_high, of_none=1.0),
        confidence=1.0 - missed,
        labels=recall.labels,
        positives=recall.positives,
        members=recall.members + rate.members,
        groups=recall.groups + rate.groups,
        n_eff=min(recall.n_eff, rate.n_eff),
    )


def split_confidence(confidence: float, parts: int) -> float:
    """Share an error out among parts, or among looks at the same labels: 0.95 in three is 0.9833 each."""
    return 1.0 - (1.0 - confidence) / parts


def _stated(p: float, like: Estimate) -> Estimate:
    return Estimate(
        value=p,
        low=p,
        high=p,
        one_sided_low=p,
        one_sided_high=p,
        confidence=like.confidence,
        labels=like.labels,
        positives=like.positives,
        members=0,
        groups=0,
        n_eff=float("inf"),
    )


def _right(recall: float, rate: float, prevalence: float, *, of_none: float = NO_NUMBER) -> float:
    """Say how many of those stopped are harmful, and `of_none` where nothing is stopped."""
    found, wrong = prevalence * recall, (1.0 - prevalence) * rate
    return found / (found + wrong) if found + wrong != 0.0 else of_none


def _estimate(labels: Labels, ratio: Ratio, n_eff: float, confidence: float, seldom: float = 1.0) -> Estimate:
    both = _limits(ratio, n_eff, confidence, seldom)
    alone = _limits(ratio, n_eff, 2.0 * confidence - 1.0, seldom)
    return Estimate(
        value=ratio.value,
        low=both.low,
        high=both.high,
        one_sided_low=alone.low,
        one_sided_high=alone.high,
        confidence=confidence,
        labels=labels.labels,
        positives=labels.positives,
        members=ratio.members,
        groups=ratio.groups,
        n_eff=n_eff,
    )


def _limits(ratio: Ratio, n_eff: float, confidence: float, seldom: float) -> Interval:
    """Bound a share by its even labels; `seldom` is not 1 only where it is 0 or 1, and one of these limits is, too."""
    limits = clopper_pearson(ratio.value * n_eff if n_eff > 0.0 else 0.0, n_eff, confidence=confidence)
    if seldom == 1.0:
        return limits
    times = 1.0 / seldom if ratio.value else seldom
    return replace(limits, low=_at_odds(limits.low, times), high=_at_odds(limits.high, times))


def _at_odds(share: float, times: float) -> float:
    """Multiply a share's odds."""
    return share * times / (1.0 - share + share * times)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
