"""What a person wrote where YAML wants a number, a date, a list or a quoted text in; what was meant out, if sure."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date

from clipwarden.textfiles.linemends import CURLY, QUOTED, straight

_DOUBLE_CURLY = CURLY[:6]
_NUMBER = re.compile(
    r"[\s\"'“”„>=≥~]*([-+]?(?:[0-9]+(?:[.,][0-9]+)?|[.,][0-9]+))\s*(%|percent|per cent|pct|prozent)?[\s\"'“”,;.]*",
    re.IGNORECASE,
)
_DAY_FIRST = re.compile(r"([0-9]{1,2})\.\s?([0-9]{1,2})\.\s?([0-9]{4})\.?")
_YEAR_FIRST = re.compile(r"([0-9]{4})[./-]([0-9]{1,2})[./-]([0-9]{1,2})")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_LONGEST = 1000
"""Characters looked at; nothing that anybody means is longer."""


def meant_number(text: str) -> str | None:
    """Return the decimal number that a text was meant to be: `0,02`, `2 %`, `>= 0.02` and `0.02,` are 0.02."""
    match = _NUMBER.fullmatch(text[:_LONGEST])
    if match is None:
        return None
    number = match[1].replace(",", ".")
    if match[2]:
        return f"{float(number) / 100:g}"
    return re.sub(r"^([-+]?)\.", r"\g<1>0.", number)


def meant_day(text: str) -> str | None:
    """Return a date as YAML writes it: 01.06.2027 and 2027/6/1 are 2027-06-01. 1/6/2027 may be two days."""
    if match := _DAY_FIRST.fullmatch(text):
        day, month, year = match.groups()
    elif match := _YEAR_FIRST.fullmatch(text):
        year, month, day = match.groups()
    else:
        return None
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def meant_texts(text: str) -> str:
    """Return a list of the texts that commas or semicolons part, in brackets and straight quotes."""
    inner = text.strip().removeprefix("(").removesuffix(")").removeprefix("[").removesuffix("]")
    parts = re.findall(rf"\s*({QUOTED}|[^,;]+)\s*[,;]?", inner[:_LONGEST])
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


def meant_name(text: str) -> str:
    """Return a text in the letters that names are made of, words joined by underscores."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_UMLAUTS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9.]+", "_", plain).strip("_.")
