"""Weighted labels in; a share, and how many even labels it is worth, out: the method behind `rates`.

An interval is Clopper and Pearson's, on as many trials as the labels are worth (Korn & Graubard 1998): n_eff =
R (1 - R) / V, with V the linearised variance of a weighted share. Three things are added for recall, precision and the
false-positive rate, which rest on few labels:

- **The factor (1.96 / t)^2**, t being Student's 97.5 % quantile at groups - 1: V itself is known from few groups only.
  As R's `survey::svyciprop(method="beta")`, which has the t of all labels where we have 1.96.
- **n_eff is at most the number of groups, and at most Kish's sum(w)^2 / sum(w^2)**: when no miss was drawn, V says that
  there are none. Without these caps the interval covers 0.88 where 11 to 30 positives were drawn.
- **Where every member had one outcome, the other's odds are multiplied by n_eff w0 / sum(w)**, w0 being the least
  weight of any label with the other outcome; never by less than 1. Misses are drawn more seldom than finds, so that
  each would have weighed more than a find: none of them among 23 finds is no surprise at a recall of 0.8. In 21 of 174
  worlds the two caps alone cover less than 0.93 or miss below in more than 0.06 of 300 samples (0.80 covered, 0.25
  missed at worst); with this 2 do, by chance: drawn 2,500 times each misses in less than 0.05. Where most samples find
  all it costs width, 1.44 times the formula's at worst (`python -m bench.tuning coverage --wide`), and less would
  promise too much: an odds of log(1 / error) w0 / sum(w), the least that a Poisson sample allows, is 1.36 times as wide
  and misses in more than 0.06 of 5 worlds.

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
from clipwarden.tuning.design.sampling import checked

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
NO_NUMBER: Final = float("nan")
_FEWEST: Final = 2  # groups of which a variance can be had


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Columns of one category [N], and how many labels and positives they were taken from."""

    positive: Flags
    weight: Floats
    group: NDArray[np.intp]
    labels: int
    positives: int

    @classmethod
    def of(cls, positive: ArrayLike, pi: ArrayLike, group: ArrayLike | None, uploads: ArrayLike | None) -> "Labels":
        """Check columns; arguments, defaults and errors as for the functions of `rates`."""
        harmful = np.asarray(positive, np.bool_)
        count = len(harmful)
        times = np.ones(count) if uploads is None else column(uploads, count, np.float64)
        numbers = np.arange(count) if group is None else column(group, count, np.intp)
        return cls(
            positive=harmful,
            weight=times / checked(column(pi, count, np.float64)),
            group=numbers,
            labels=count,
            positives=int(harmful.sum()),
        )

    def only(self, chosen: Flags) -> "Labels":
        """Keep the chosen [N], and the counts of all."""
        return Labels(
            positive=self.positive[chosen],
            weight=self.weight[chosen],
            group=self.group[chosen],
            labels=self.labels,
            positives=self.positives,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """A weighted share: `worth` is R (1 - R) / V, None where R is 0 or 1, or no variance was seen."""

    value: float
    worth: float | None
    kish: float
    groups: int
    members: int


def ratio_of(outcome: Flags, labels: Labels) -> Ratio:
    """Take the share of members with an outcome.

    Args:
        outcome: bool `[k]`.
        labels: The members.

    Returns:
        R = sum(w c) / sum(w), with V = G / (G - 1) x sum over groups of (sum of w (c - R))^2 / sum(w)^2.
    """
    members, weight = len(outcome), labels.weight
    if members == 0:
        return Ratio(value=NO_NUMBER, worth=None, kish=0.0, groups=0, members=0)
    total = weight.sum()
    value = float(weight[outcome].sum() / total) if not outcome.all() else 1.0
    _, number = np.unique(labels.group, return_inverse=True)
    kish = total**2 / (np.bincount(number, weight) ** 2).sum()
    groups = int(number.max()) + 1
    squares = float((np.bincount(number, weight * (outcome - value)) ** 2).sum())
    # Rounding leaves crumbs of about 1e-32 of the weight where a variance is 0: one group, or groups all alike.
    seen = 0.0 < value < 1.0 and groups >= _FEWEST and squares > total**2 * 1e-24
    worth = float(value * (1.0 - value) * total**2 * (groups - 1) / (groups * squares)) if seen else None
    return Ratio(value=value, worth=worth, kish=float(kish), groups=groups, members=members)


def effective(ratio: Ratio) -> float:
    """Take the least of what the members may be worth."""
    worth = ratio.kish if ratio.worth is None else min(ratio.kish, ratio.worth)
    return min(worth, float(ratio.groups)) if ratio.groups >= _FEWEST else 0.0


def unseen(ratio: Ratio, outcome: Flags, labels: Labels, mean: float) -> float:
    """Tell how much more seldom than members, all of one outcome, one with the other outcome would have been drawn.

    Args:
        ratio: The members' share.
        outcome: bool `[N]`, of all labels.
        labels: All of them.
        mean: The weight of the even labels that members are worth.

    Returns:
        How many times, by the label with the other outcome that was likeliest to be drawn; 1 where that is as likely,
        where members had both outcomes, or no label has the other.
    """
    others = labels.weight[outcome != bool(ratio.value)] if ratio.value in {0.0, 1.0} else ()
    return max(1.0, float(np.min(others)) / mean) if len(others) else 1.0


def known(ratio: Ratio, confidence: float) -> float:
    """Say how well a variance is known that was taken from these groups, 0..1."""
    if ratio.groups < _FEWEST:
        return 0.0
    upper = (1.0 + confidence) / 2.0
    return float((ndtri(upper) / stdtrit(ratio.groups - 1, upper)) ** 2)


def column(values: ArrayLike, count: int, kind: type[np.generic]) -> NDArray[Any]:
    """Check that there is one entry a label.

    Args:
        values: The column.
        count: How many labels there are.
        kind: What its entries are.

    Returns:
        `[count]` of that kind.

    Raises:
        DesignError: It has another length.
    """
    entries: NDArray[Any] = np.asarray(values).astype(kind)
    if entries.shape != (count,):
        raise DesignError(f"A column has {entries.size} entries for {count} labels: give one a label.")
    return entries
