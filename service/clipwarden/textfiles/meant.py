"""What a person wrote where YAML wants a number, a date, a list or a quoted text in; what was meant out, if sure."""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterable
from datetime import date

from clipwarden.textfiles.linemends import CURLY, straight
from clipwarden.textfiles.spots import QUOTED

_DOUBLE_CURLY = CURLY[:6]
_NUMBER = re.compile(
    r"[\s\"'“”„>=≥~]*([-+]?(?:[0-9]+(?:[.,][0-9]+)?|[.,][0-9]+))\s*(%|percent|per cent|pct|prozent)?[\s\"'“”,;.]*",
    re.IGNORECASE,
)
_DAY_FIRST = re.compile(r"([0-9]{1,2})\.\s?([0-9]{1,2})\.\s?([0-9]{4})\.?")
_YEAR_FIRST = re.compile(r"([0-9]{4})[./-]([0-9]{1,2})[./-]([0-9]{1,2})")
_DAY_AND_WORD = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)?\.?\s*([A-Za-zäÄ]+)\.?,?\s*([0-9]{4})")
_WORD_AND_DAY = re.compile(r"([A-Za-zäÄ]+)\.?\s*([0-9]{1,2})(?:st|nd|rd|th)?,?\s+([0-9]{4})")
_SLASHES = re.compile(r"([0-9]{1,2})[/-]([0-9]{1,2})[/-]([0-9]{4})")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONATE = (
    *("januar", "februar", "märz", "april", "mai", "juni"),
    *("juli", "august", "september", "oktober", "november", "dezember"),
)
_SHORTEST = 3
"""Letters that tell months apart."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_LONGEST = 1000
"""Characters looked at; nothing that anybody means is longer."""


def meant_number(text: str) -> str | None:
    """Return the decimal number that a text was meant to be: `0,02`, `2 %`, `>= 0.02` and `0.02,` are 0.02."""
    text = text[:_LONGEST]
    if fraction := re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([1-9][0-9]{0,5})\s*", text):
        return f"{int(fraction[1]) / int(fraction[2]):g}"
    match = _NUMBER.fullmatch(text) or _NUMBER.fullmatch(_mistyped(text))
    if match is None:
        return None
    number = match[1].replace(",", ".")
    if match[2]:
        return f"{float(number) / 100:g}"
    return re.sub(r"^([-+]?)\.", r"\g<1>0.", number)


def _mistyped(text: str) -> str:
    """Return a number without blanks inside, and with digits for the letters that look like them."""
    if not re.fullmatch(r"\s*[-+]?[0-9OolI][0-9OolI ]*(?:[.,][0-9OolI ]*)?\s*%?\s*", text):
        return text
    return re.sub(r"\s+", "", text).translate(str.maketrans("OolI", "0011"))


def meant_whole(text: str) -> str | None:
    """Return the digits before a remark in brackets or behind a dash: `1 (low)` and `1 - low` are 1."""
    match = re.fullmatch(r"([0-9]{1,3})\s*(?:\([^()]*\)|[-–:=]\s*[A-Za-z ]+)", text[:_LONGEST])  # noqa: RUF001
    return match[1] if match else None


def meant_day(text: str) -> list[date]:
    """Return the days that a text may mean: 01.06.2027, 1 June 2027 and 2027/6/1 are one day, 1/6/2027 two."""
    day = month = year = ""
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, day = match.groups()
    elif match := _DAY_FIRST.fullmatch(text) or _DAY_AND_WORD.fullmatch(text):
        day, month, year = match.groups()
    elif match := _WORD_AND_DAY.fullmatch(text):
        month, day, year = match.groups()
    elif match := _SLASHES.fullmatch(text):
        first, second, year = match.groups()
        both = [*_day(year, second, first), *_day(year, first, second)]
        return sorted(set(both), reverse=True)
    return _day(year, month, day)


def days_of(text: str) -> str | None:
    """Return what is wrong with a day that no calendar has, as a sentence without its stop: `2027-06-31`."""
    match = _YEAR_FIRST.fullmatch(text)
    if match is None or int(match[1]) == 0:
        return None
    year, month = int(match[1]), int(match[2])
    if not 1 <= month <= len(_MONTHS):
        return "A year has 12 months"
    return f"{_MONTHS[month - 1].capitalize()} {year} has {monthrange(year, month)[1]} days"


def _day(year: str, month: str, day: str) -> list[date]:
    number = month if month.isdigit() else str(_month(month.casefold()))
    try:
        return [date(int(year), int(number), int(day))]
    except ValueError:
        return []


def _month(word: str) -> int:
    """Return the number of a month by its beginning in English or German, or 0."""
    names = [(number, name) for names in (_MONTHS, _MONATE) for number, name in enumerate(names, 1)]
    return next((number for number, name in names if len(word) >= _SHORTEST and name.startswith(word)), 0)


def meant_texts(text: str) -> str:
    """Return a list of the texts that commas or semicolons part, in brackets and straight quotes."""
    inner = text.strip().removeprefix("(").removesuffix(")").removeprefix("[").removesuffix("]")
    parts = re.findall(rf"\s*({QUOTED}|[^,;]+)\s*[,;]?", inner)
    return in_brackets(part for part in map(str.strip, parts) if part) if parts else in_brackets([inner])


def in_brackets(texts: Iterable[str]) -> str:
    """Return a list of texts as a file would write it."""
    return f"[{', '.join(map(straight, texts))}]"


def meant_quotes(text: str) -> str | None:
    """Return a text in straight quotes that stands in pasted ones, or behind a quote of which the other is missing."""
    first, last, inner = text[:1], text[-1:], text[1:-1]
    pasted = first in CURLY and last in CURLY and not re.search(f"[{_DOUBLE_CURLY}]", inner)
    # A comma inside pasted quotes parts them; a quote behind a digit stands for inches.
    half = len(re.findall(f"[{_DOUBLE_CURLY}]", text)) == 1 and (first in _DOUBLE_CURLY or last in _DOUBLE_CURLY)
    stray = last == '"' and text.count('"') == 1 and not re.search(r'[0-9]"$', text)
    return straight(text) if inner.strip() and (pasted or half or stray) else None


def within_quotes(text: str) -> str:
    """Return a text without the quotes, straight or pasted, at its ends."""
    return text.strip().strip(CURLY + "\"'").strip()


def meant_name(text: str) -> str:
    """Return a text in the letters that names are made of, words joined by underscores."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_UMLAUTS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9.]+", "_", plain).strip("_.")
