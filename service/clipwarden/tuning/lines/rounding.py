"""A number and the room it has in; one of few decimals in that room, out."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Final

_MOST_DECIMALS: Final = 340  # the least float64 above 0 is 5e-324
_DIGITS: Final = 1100  # a float64 has at most 1,075 decimals, all of which count


def rounded_up(value: float, low: float, high: float, decimals: int) -> float | None:
    """Round a value up to few decimals, without leaving the room it has; down where there is no room above.

    Args:
        value: From `low` to `high`.
        low: The room is strictly above it.
        high: It ends here, inclusive.
        decimals: As many, or as many more as it takes.

    Returns:
        The number as a file's decimals are read; None where the room is empty.
    """
    if not low < high:
        return None
    for places in range(decimals, _MOST_DECIMALS):
        rounded = next_over(value, low, places)
        if rounded > high:
            rounded = _last_within(high, places)
        if low < rounded <= high:
            return rounded
    return None


def next_over(value: float, low: float, decimals: int) -> float:
    """Find the least decimal number that is at least `value` and strictly above `low`.

    Args:
        value: Any.
        low: At most the value.
        decimals: How many.

    Returns:
        The number.
    """
    with localcontext(prec=_DIGITS):
        unit = Decimal(1).scaleb(-decimals)
        up = Decimal(value).quantize(unit, ROUND_CEILING)
        while float(up) <= low:
            up += unit
        return float(up)


def _last_within(high: float, decimals: int) -> float:
    with localcontext(prec=_DIGITS):
        return float(Decimal(high).quantize(Decimal(1).scaleb(-decimals), ROUND_FLOOR))
