"""Labels and the chances they were drawn with, in; rates of traffic between limits that hold, out.

Every function takes one entry a labelled picture, of one category; leave out beforehand whoever is unsure or unknown.
`pi` are the chances of the sample, `group` the numbers of near-duplicates (by default every picture is its own), and
`uploads` how often each picture was uploaded (once by default): rates count uploads.

An interval is Clopper and Pearson's, on as many trials as the labels are worth (Korn & Graubard 1998): n_eff =
R (1 - R) / V, with V the linearised variance of a weighted share. Three things are added for recall, precision and the
false-positive rate, which rest on few labels:

- **The factor (1.96 / t)^2**, t being Student's 97.5 % quantile at groups - 1: V itself is known from few groups only.
  As R's `survey::svyciprop(method="beta")`, which has the t of all labels where we have 1.96.
- **n_eff is at most the number of groups, and at most Kish's sum(w)^2 / sum(w^2)**: when no miss was drawn, V says that
  there are none. Without these caps the interval covers 0.88 where 11 to 30 positives were drawn.
- **Where every member had one outcome, n_eff is at most sum(w) / w0**, w0 being the least weight of any label with the
  other outcome. Misses are drawn more seldom than finds, so that each would have weighed more than a find: none of
  them among 23 finds is no surprise at a recall of 0.8. Of 195 worlds the two caps alone cover less than 0.93 or
  promise too much in 20 (0.79 covered at worst), with this one in none (`python -m bench.tuning coverage --wide`). It
  costs width where all are found, and nothing elsewhere.

The caps are ours.

Prevalence rests on all labels, and a sample that looks where the harmful ones are knows it better than as many uniform
labels would: there n_eff is not capped, and where no positive was drawn it is the number of groups.

Groups enter as totals: V sums squares of group totals, and Kish's weights are those of groups. Drawing is taken as with
replacement, which is right for traffic to come and wider than needed for the store alone.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from clipwarden.errors import DesignError
from clipwarden.tuning.design.groups import one_of_each
from clipwarden.tuning.design.sampling import checked
from clipwarden.tuning.metrics import clopper_pearson

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_FEWEST: Final = 2  # groups of which a variance can be had
_NONE: Final = float("nan")


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
    labels = _Labels.of(positive, pi, group, uploads)
    ratio = _ratio(labels.positive, labels)
    n_eff = float(ratio.groups) if ratio.worth is None else ratio.worth * _known(ratio, confidence)
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
        R = sum(w c) / sum(w); V = k / (k - 1) x sum(w^2 (c - R)^2) / sum(w)^2; n_eff as said at the top.
    """
    everyone = _Labels.of(positive, pi, group, uploads)
    chosen, had = (_column(each, everyone.labels, np.bool_) for each in (member, outcome))
    labels = everyone.only(chosen)
    ratio = _ratio(had[chosen], labels)
    most = _unseen(ratio, had, everyone.weight, float(labels.weight.sum()))
    return _estimate(labels, ratio, min(most, _effective(ratio) * _known(ratio, confidence)), confidence)


def recall(
    stopped: ArrayLike,
    positive: ArrayLike,
    pi: ArrayLike,
    *,
    group: ArrayLike | None = None,
    uploads: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the share of harmful uploads that are stopped; arguments and errors as for `share`."""
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
    labels = _Labels.of(positive, np.ones(np.shape(positive)), group, None)
    members = np.flatnonzero(_column(member, labels.labels, np.bool_))
    chosen = members[one_of_each(labels.group[members], _column(u, labels.labels, np.float64)[members])]
    hits = int(_column(outcome, labels.labels, np.bool_)[chosen].sum())
    value = hits / len(chosen) if len(chosen) else _NONE
    ratio = _Ratio(value=value, worth=None, kish=float(len(chosen)), groups=len(chosen), members=len(members))
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
    known = isinstance(prevalence, Estimate)
    p = prevalence if isinstance(prevalence, Estimate) else _stated(float(prevalence), recall)
    missed = sum(1.0 - part.confidence for part in ((recall, rate, p) if known else (recall, rate)))
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


def _right(recall: float, rate: float, prevalence: float, *, of_none: float = _NONE) -> float:
    """Say how many of those stopped are harmful, and `of_none` where nothing is stopped."""
    found, wrong = prevalence * recall, (1.0 - prevalence) * rate
    return found / (found + wrong) if found + wrong != 0.0 else of_none


@dataclass(frozen=True, kw_only=True, slots=True)
class _Labels:
    """Columns of one category [N], and how many labels and positives they were taken from."""

    positive: Flags
    weight: Floats
    group: NDArray[np.intp]
    labels: int
    positives: int

    @classmethod
    def of(cls, positive: ArrayLike, pi: ArrayLike, group: ArrayLike | None, uploads: ArrayLike | None) -> "_Labels":
        harmful = np.asarray(positive, np.bool_)
        count = len(harmful)
        times = np.ones(count) if uploads is None else _column(uploads, count, np.float64)
        numbers = np.arange(count) if group is None else _column(group, count, np.intp)
        return cls(
            positive=harmful,
            weight=times / checked(_column(pi, count, np.float64)),
            group=numbers,
            labels=count,
            positives=int(harmful.sum()),
        )

    def only(self, chosen: Flags) -> "_Labels":
        return _Labels(
            positive=self.positive[chosen],
            weight=self.weight[chosen],
            group=self.group[chosen],
            labels=self.labels,
            positives=self.positives,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ratio:
    """A weighted share: `worth` is R (1 - R) / V, None where R is 0 or 1, or no variance was seen."""

    value: float
    worth: float | None
    kish: float
    groups: int
    members: int


def _ratio(outcome: Flags, labels: _Labels) -> _Ratio:
    members, weight = len(outcome), labels.weight
    if members == 0:
        return _Ratio(value=_NONE, worth=None, kish=0.0, groups=0, members=0)
    total = weight.sum()
    value = float(weight[outcome].sum() / total) if not outcome.all() else 1.0
    _, number = np.unique(labels.group, return_inverse=True)
    kish = total**2 / (np.bincount(number, weight) ** 2).sum()
    groups = int(number.max()) + 1
    squares = float((np.bincount(number, weight * (outcome - value)) ** 2).sum())
    # Rounding leaves crumbs of about 1e-32 of the weight where a variance is 0: one group, or groups all alike.
    seen = 0.0 < value < 1.0 and groups >= _FEWEST and squares > total**2 * 1e-24
    worth = float(value * (1.0 - value) * total**2 * (groups - 1) / (groups * squares)) if seen else None
    return _Ratio(value=value, worth=worth, kish=float(kish), groups=groups, members=members)


def _effective(ratio: _Ratio) -> float:
    """Take the least of what the members may be worth."""
    worth = ratio.kish if ratio.worth is None else min(ratio.kish, ratio.worth)
    return min(worth, float(ratio.groups)) if ratio.groups >= _FEWEST else 0.0


def _unseen(ratio: _Ratio, outcome: Flags, weight: Floats, total: float) -> float:
    """Bound what members are worth that all had one outcome, by what one with the other outcome would have weighed."""
    if ratio.value not in {0.0, 1.0}:
        return np.inf
    others = weight[outcome != bool(ratio.value)]
    return total / float(others.min()) if len(others) else np.inf


def _known(ratio: _Ratio, confidence: float) -> float:
    """Say how well a variance is known that was taken from these groups, 0..1."""
    if ratio.groups < _FEWEST:
        return 0.0
    upper = (1.0 + confidence) / 2.0
    return float((ndtri(upper) / stdtrit(ratio.groups - 1, upper)) ** 2)


def _estimate(labels: _Labels, ratio: _Ratio, n_eff: float, confidence: float) -> Estimate:
    hits = ratio.value * n_eff if n_eff > 0.0 else 0.0
    both = clopper_pearson(hits, n_eff, confidence=confidence)
    alone = clopper_pearson(hits, n_eff, confidence=2.0 * confidence - 1.0)
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


def _column(values: ArrayLike, count: int, kind: type[np.generic]) -> NDArray[Any]:
    column: NDArray[Any] = np.asarray(values).astype(kind)
    if column.shape != (count,):
        raise DesignError(f"A column has {len(column)} entries for {count} labels: give one a label.")
    return column


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
