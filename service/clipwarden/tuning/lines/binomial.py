"""A limit on a share, and the chance of breaking it, in; how many exceptions exact tests allow, out.

All of it rests on one fact: of n independent pictures of which each is an exception with a chance above `limit`, k or
fewer are exceptions with a chance of less than `P(Bin(n, limit) <= k)`.
"""

import math

from scipy.stats import beta, binom

from clipwarden.errors import LineError


def needed_clean(limit: float, delta: float) -> int:
    """Count the clean pictures below which no line keeps a promise, since even without a false alarm it is unproven.

    Args:
        limit: The greatest share, in (0,1).
        delta: The greatest chance of breaking it, in (0,1).

    Returns:
        The least n with `(1 - limit)^n <= delta`: 299 for 1 %, 2,995 for 0.1 %, 29,956 for 0.01 %, at 5 %.

    Raises:
        LineError: A limit or a delta outside (0,1).
    """
    require_share(limit, "limit")
    require_share(delta, "chance of breaking a promise")
    return math.ceil(math.log(delta) / math.log1p(-limit))


def most_allowed(tested: int, limit: float, delta: float) -> int | None:
    """Find how many exceptions among independent pictures still prove a share to be at most `limit`.

    Args:
        tested: n.
        limit: The greatest share, in (0,1).
        delta: The greatest chance of breaking it, in (0,1).

    Returns:
        The greatest k with `P(Bin(n, limit) <= k) <= delta`; None where even k = 0 proves nothing.

    Raises:
        LineError: A limit or a delta outside (0,1).
    """
    if tested < needed_clean(limit, delta):
        return None
    # The quantile is the least k with a chance of at least delta: one too many, unless the chance is delta itself.
    k = int(binom.ppf(delta, tested, limit))
    return k if chance_of_so_few(k, tested, limit) <= delta else max(0, k - 1)


def chance_of_so_few(exceptions: int, tested: int, limit: float) -> float:
    """Give the exact p-value of the hypothesis that the share of exceptions is above `limit`.

    Args:
        exceptions: k.
        tested: n, independent.
        limit: In (0,1).

    Returns:
        `P(Bin(n, limit) <= k)`.
    """
    return float(binom.cdf(exceptions, tested, limit))


def at_most(exceptions: int, tested: int, delta: float) -> float:
    """Give the one-sided upper limit of a share: the least limit whose test rejects.

    Args:
        exceptions: k.
        tested: n, independent.
        delta: The chance that the share is above it.

    Returns:
        The limit, 0..1.

    Source:
        Clopper & Pearson 1934.
    """
    return 1.0 if exceptions >= tested else float(beta.ppf(1.0 - delta, exceptions + 1, tested - exceptions))


def require_share(value: float, name: str) -> None:
    """Refuse what is no share, or one that promises nothing.

    Args:
        value: The share.
        name: What it is, for the message.

    Raises:
        LineError: It is not in (0,1).
    """
    if not 0.0 < value < 1.0:
        raise LineError(f"a {name} of {value:g} can be neither kept nor broken; write a share between 0 and 1")
