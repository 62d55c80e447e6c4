"""Weighted finds and misses in; evidence that at least a share is found, whatever the world looks like, out.

A harmful picture that scores like a harmless one was drawn with a small chance, so that most such misses are in no
label file, and no variance of those in it tells of them. A bet does: who doubts that a share `target` of uploads is
found, wagers on every harmful picture that is drawn. With weight w = uploads / pi, a find multiplies the stake by
`1 + c (1 - target) w`, a miss by `1 - c target w`. What one upload does to the stake in the mean, drawn or not, is
`1 + c (found - target)`: its chance cancels. So while recall is below the target the stake shrinks in the mean, in
every world, and it grows twentyfold in at most 5 % of samples (Markov). This is a test for each size of sample, with
no approximation for large ones.

The stake must not fall below nothing, so `c` is at most `1 / (target x the heaviest weight)`: that of any picture that
might have been drawn, for which the heaviest label stands, harmless ones included. A sample with low chances at low
scores pays here, and where nothing was missed nobody can do much better: if all misses are of the heaviest weight, none
is drawn in 5 % of samples as soon as there are three of them in the mean. Stakes are split over several wagers, since
one miss of the heaviest weight takes all of the boldest; their sum is a fair bet as well.

Groups of near-duplicates are one bet by their total. A group that weighs more than any seen loses at most its stake.

Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024); with inverse
chances, Waudby-Smith et al., Anytime-valid off-policy inference for contextual bandits (2024).
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_WAGERS: Final = np.array([1.0, 0.5, 0.25, 0.125])
"""Shares of the greatest `c`: the bold need the fewest labels, the others bear misses."""
_STAKES: Final = np.array([0.5, 0.25, 0.125, 0.125])
_MOST: Final = 10**12  # no sample is as large


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bet:
    """Harmful pictures `[K]`, and the bet on them.

    Attributes:
        target: The share that is to be found, in (0,1).
        weight: Uploads over chances.
        group: Numbers of near-duplicates, 0 to G - 1.
        heaviest: The greatest weight that a miss may have.
    """

    target: float
    weight: Floats
    group: NDArray[np.intp]
    heaviest: float

    @classmethod
    def of(cls, target: float, weight: Floats, group: NDArray[np.intp], others: Floats) -> "Bet":
        """Prepare a bet.

        Args:
            target: In (0,1).
            weight: `[K]`.
            group: `[K]`, any numbers.
            others: Weights of all labels that are not harmful.
        """
        _, number = np.unique(group, return_inverse=True)
        totals = np.bincount(number, weight)
        heaviest = max(float(totals.max(initial=0.0)), float(others.max(initial=0.0))) or 1.0
        return cls(target=target, weight=weight, group=number, heaviest=heaviest)

    def evidence(self, found: Flags) -> float:
        """Take the logarithm of what a stake of one has become.

        Args:
            found: bool `[K]`.

        Returns:
            It; at least `-log(delta)` in at most a share delta of samples of a world that finds less than the target.
        """
        gain = np.bincount(self.group, self.weight * (found - self.target)) / (self.target * self.heaviest)
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(0.0, 1.0 + np.outer(_WAGERS, gain))).sum(axis=1)
        return float(logsumexp(logs, b=_STAKES))

    def needed(self, delta: float) -> int:
        """Count the harmful pictures that prove it when none of them is missed, drawn as these were.

        Args:
            delta: The greatest chance to be wrong, in (0,1).
        """
        count = len(self.weight)
        totals = np.bincount(self.group, self.weight) if count else np.array([self.heaviest])
        gain = totals * (1.0 - self.target) / (self.target * self.heaviest)
        each = np.log1p(np.outer(_WAGERS, gain)).sum(axis=1) / max(1, count)
        enough = -np.log(delta)
        return bisect_left(range(_MOST), x=True, key=lambda k: bool(logsumexp(k * each, b=_STAKES) >= enough))

    @property
    def lopsided(self) -> bool:
        """Whether misses may weigh far more than what was drawn, so that an even sample says more a label."""
        return bool(len(self.weight) == 0 or self.heaviest > 2.0 * self.weight.sum() / (self.group.max() + 1))
