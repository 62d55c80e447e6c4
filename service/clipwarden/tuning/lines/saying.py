"""Numbers in; words as staff read them, out."""

from collections.abc import Sequence
from typing import Final

_TELLING: Final = 10.0
"""Of a count, from which decimals say nothing more."""


def percent(share: float) -> str:
    """Write a share.

    Args:
        share: 0..1.

    Returns:
        As in `0.1 %`, three digits at most.
    """
    return f"{100.0 * share:.3g} %"


def counts_of(shares: Sequence[float], of: int) -> list[str]:
    """Write shares that belong together as counts of so many, all with the same digits.

    Args:
        shares: 0..1, as of one interval.
        of: Such as 1,000.

    Returns:
        As in `0`, `3` and `98`; one decimal where all are below ten, and what is there but too small for that as
        `below 0.1`.
    """
    decimals = 0 if of * max(shares) >= _TELLING else 1
    return [_count(of * share, decimals) for share in shares]


def _count(number: float, decimals: int) -> str:
    least = 10.0**-decimals
    if 0.0 < number < least / 2.0:
        return f"below {least:.{decimals}f}"
    return f"{number:,.{decimals}f}".removesuffix(".0")


def counted(number: float) -> str:
    """Write a count.

    Args:
        number: Any.

    Returns:
        As in `2,995`.
    """
    return f"{number:,.0f}"
