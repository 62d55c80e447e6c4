"""An estimate from a sample that proves too little in; about how many labels would prove enough, out."""

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm, t

from clipwarden.tuning.design.rates import Estimate


def about_needed(limit: float, delta: float, now: Estimate) -> int:
    """Count the pictures of a class with which a share is proven to be at most `limit` when no exception is seen.

    They are taken to say as much each as those there are now; then the upper limit is `1 - delta^(1/n_eff)`.

    Args:
        limit: The greatest share of exceptions, in (0,1).
        delta: The greatest chance of breaking it, in (0,1).
        now: From the pictures there are, none of them an exception.

    Returns:
        About how many, more than there are.
    """
    per_group = now.members / now.groups if now.groups else 1.0
    worth = now.n_eff / (now.groups * _factor(now.groups, delta)) if now.groups > 1 else 1.0
    enough = np.log(delta) / np.log1p(-limit)
    groups = next(k for k in _upwards(max(2, now.groups)) if k * worth * _factor(k, delta) >= enough)
    return max(int(np.ceil(groups * per_group)), now.members + 1)


def _factor(groups: int, delta: float) -> float:
    """What a spread that is known from few groups costs, as in `design.rates`: `(z / t)^2`."""
    upper = 1.0 - delta / 2.0
    return float((norm.ppf(upper) / t.ppf(upper, groups - 1)) ** 2)


def _upwards(start: int) -> Iterator[int]:
    """Count on, in steps of about one in a hundred."""
    number = start
    while True:
        yield number
        number += max(1, number // 100)
