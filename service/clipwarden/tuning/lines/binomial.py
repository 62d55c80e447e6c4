"""A limit on a share, and the chance of breaking it, in; how many exceptions exact tests allow, out.

All of it rests on one fact: of n independent pictures of which each is an exception with a chance above `limit`, k or
fewer are exceptions with a chance below `P(Bin(n, limit) <= k)`.
"""


def needed_clean(limit: float, delta: float) -> int:
    """Count the clean pictures below which no line keeps a promise, since even without a false alarm it is unproven.

    Args:
        limit: The greatest share, 0..1.
        delta: The greatest chance of breaking it, 0..1.

    Returns:
        The least n with `(1 - limit)^n <= delta`: 299 for 1 %, 2,995 for 0.1 %, 29,956 for 0.01 %, at 5 %.
    """
    raise NotImplementedError


def most_allowed(tested: int, limit: float, delta: float) -> int | None:
    """Find how many exceptions among independent pictures still prove a share to be at most `limit`.

    Args:
        tested: n.
        limit: The greatest share, 0..1.
        delta: The greatest chance of breaking it, 0..1.

    Returns:
        The greatest k with `P(Bin(n, limit) <= k) <= delta`; None where even k = 0 proves nothing.

    Raises:
        LineError: A limit or a delta outside (0,1).
    """
    raise NotImplementedError


def chance_of_so_few(exceptions: int, tested: int, limit: float) -> float:
    """Give the exact p-value of the hypothesis that the share of exceptions is above `limit`."""
    raise NotImplementedError
