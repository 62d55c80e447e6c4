"""A value in; the number or the day that it says out, or a finding that repeats what the author wrote, mended."""

import math
import re
from datetime import date

from clipwarden.textfiles.meant import days_of, meant_day, meant_number, meant_whole
from clipwarden.textfiles.traps import number_trap
from clipwarden.textfiles.values import Value
from clipwarden.textfiles.wording import shown

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PERCENT = 100


def read_number(
    value: Value, *, low: float, high: float, open_low: bool = False, open_high: bool = False
) -> float | None:
    """Read a finite number.

    Args:
        value: Where it stands.
        low: Smallest value allowed.
        high: Largest value allowed.
        open_low: Whether `low` itself is refused.
        open_high: Whether `high` itself is refused.

    Returns:
        The number; None after a finding.
    """
    wanted = f"a number {_range(low, high, open_low=open_low, open_high=open_high)}"
    number = _read(value, wanted)
    if number is None:
        return None
    if not low <= number <= high or (open_low and number == low) or (open_high and number == high):
        # A share is at most 1; what lies above was likely meant in percent.
        share = high == 1 < number < _PERCENT
        percent = f" For {number:g} %, write {value.rewritten(f'{number / _PERCENT:g}')}." if share else ""
        value.error("out-of-range", f"{value.name} is {number:g}.", f"Write {wanted}.{percent}")
        return None
    return number + 0.0  # -0.0 becomes 0.0: they compare equal, so they must render and digest equal


def read_whole(value: Value, *, low: int, high: int, ends: tuple[str, str] = ("", "")) -> int | None:
    """Read a whole number within `[low, high]`; None after a finding.

    Args:
        value: Where it stands.
        low: Smallest.
        high: Largest.
        ends: What the two mean, for messages.
    """
    least, most = (f" ({end})" if end else "" for end in ends)
    wanted = f"a whole number from {low}{least} to {high}{most}"
    if meant := meant_whole(value.word):
        message = f'{value.name} is "{shown(value.word)}"; a number stands alone.'
        value.error("wrong-type", message, f"Write {value.rewritten(meant)}; a remark begins with #.")
        return None
    number = _read(value, wanted)
    if number is None:
        return None
    if not (low <= number <= high and number.is_integer()):
        value.error("out-of-range", f"{value.name} is {number:g}.", f"Write {wanted}.")
        return None
    return int(number)


def read_day(value: Value) -> date | None:
    """Read a date; None after a finding."""
    node = value.scalar("a date, year-month-day")
    if node is None:
        return None
    try:
        if _DATE.fullmatch(node.text):
            return date.fromisoformat(node.text)
    except ValueError:
        pass  # a date that no calendar has, such as 2027-02-30
    meant = meant_day(node.text)
    written = [f"{value.rewritten(day.isoformat())} ({day.day} {day:%B})" for day in meant]
    fix = f"Write {' or '.join(written)}." if len(meant) > 1 else "Write year-month-day, with dashes between numbers."
    if len(meant) == 1:
        fix = f"Write year-month-day: {value.rewritten(meant[0].isoformat())}."
    elif not meant and (days := days_of(node.text)):
        fix = f"{days}."
    value.error("bad-date", f'{value.name} is "{shown(node.text)}", which is no date.', fix)
    return None


def _read(value: Value, wanted: str) -> float | None:
    node = value.scalar(wanted)
    if node is None:
        return None
    if trap := number_trap(node.text):
        value.error(trap.code, f"{value.name}: {trap.message}.", "Write a plain decimal number.")
        return None
    if not _NUMBER.fullmatch(node.text):
        meant = meant_number(node.text)
        fix = f"Write {value.rewritten(meant) if meant else wanted}."
        value.error("wrong-type", f'{value.name} is "{shown(node.text)}"; {_lacking(node.text, meant)}.', fix)
        return None
    if not node.plain:
        message = f"{value.name} is a text because of its quotes."
        value.error("wrong-type", message, f"Remove the quotes: {value.rewritten(node.text)}.")
        return None
    number = float(node.text)
    if not math.isfinite(number):
        value.error("not-finite", f"{value.name} is too large for a number.", "Write a finite number.")
        return None
    return number


def _lacking(text: str, meant: str | None) -> str:
    if meant and "%" in text:
        return "a number has no percent sign"
    return "a number has a decimal point, not a comma" if meant and "," in text[:-1] else "that is no number"


def _range(low: float, high: float, *, open_low: bool, open_high: bool) -> str:
    if open_low is open_high:
        return f"between {low:g} and {high:g}, {'ends excluded' if open_low else 'ends included'}"
    return f"{'above' if open_low else 'from'} {low:g}, {'below' if open_high else 'up to'} {high:g}"
