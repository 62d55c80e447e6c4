"""What one line of any label file says, checked cell by cell; what is wrong is told without file and line."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from clipwarden.errors import LabelError
from clipwarden.textfiles.wording import closest, shown
from clipwarden.tuning.labels.model import HARMLESS, Design, Mark, Walk

UNSURE: Final = "unsure"
_WORDS: Final = {
    "1": Mark.POSITIVE,
    "true": Mark.POSITIVE,
    "yes": Mark.POSITIVE,
    "0": Mark.NEGATIVE,
    "false": Mark.NEGATIVE,
    "no": Mark.NEGATIVE,
    UNSURE: Mark.UNSURE,
    "?": Mark.UNSURE,
    "": Mark.UNKNOWN,
}
_LEAST_PI: Final = 1e-9
"""A picture that was drawn with less would stand for more uploads than stores hold."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class CellError(Exception):
    """A cell, or a line, says what none can; the reader that knows file and line makes a LabelError of it."""

    def at(self, place: str) -> LabelError:
        """Make the sentence whole.

        Args:
            place: `FILE:LINE`.
        """
        return LabelError(f"{place}: {self._ended}")

    @property
    def sentence(self) -> str:
        """What is wrong, where there is neither file nor line."""
        return self._ended[:1].upper() + self._ended[1:]

    @property
    def _ended(self) -> str:
        text = str(self)
        return text if text.endswith("?") else f"{text}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a file says of itself; None where it does not.

    Attributes:
        categories: What the file is about, all declared by the policy; the rows may name more.
        has_pi: Whether its rows say with which probability they were drawn.
    """

    design: Design | None = None
    categories: tuple[str, ...] = ()
    complete: bool = False
    seed: str | None = None
    store: str | None = None
    policy: str | None = None
    walk: Walk | None = None
    has_pi: bool = False


@dataclass(kw_only=True, slots=True)
class Row:
    """What one person said of one picture; made a million times, so it is not frozen."""

    line: int
    sha256: str | None = None
    uri: str | None = None
    pi: float | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    rest: Mark = Mark.UNKNOWN
    """What holds for the categories that `marks` lacks: of a harmless picture, NEGATIVE."""
    group: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    labeller: str = ""
    escalated: bool = False
    beyond: bool = False
    """Of a walk: it is no row of the list, but one that was labelled before."""


def mark_of(value: object) -> Mark:
    """Read one mark: of JSON true, false, null or a word; of a table 1, 0, or a word.

    Raises:
        CellError: It is none.
    """
    if value is None:
        return Mark.UNKNOWN
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    word = str(value).strip().casefold()
    if word not in _WORDS:
        raise CellError(f'"{shown(str(value))}" is no mark: write 1, 0 or unsure, or leave it empty where nobody knows')
    return _WORDS[word]


def sha256_of(value: object) -> str | None:
    """Read the digest of a picture's file, `sha256:` before it or not; None where there is none.

    Raises:
        CellError: It is no digest.
    """
    if value is None or value == "":
        return None
    text = str(value).strip().casefold().removeprefix("sha256:")
    if not _SHA256.fullmatch(text):
        raise CellError(f'"{shown(str(value))}" is no sha256, which has 64 hexadecimal digits')
    return text


def pi_of(value: object) -> float | None:
    """Read the probability with which a picture was drawn; None where there is none.

    Raises:
        CellError: It is none.
    """
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if 0 < number < _LEAST_PI:
        raise CellError(
            f'pi is "{shown(str(value))}", and no sample draws with less than one in {1 / _LEAST_PI:,.0f}: '
            "keep the column as the sample wrote it"
        )
    if not 0 < number <= 1:
        raise CellError(f'pi is "{shown(str(value))}"; a picture was drawn with a probability above 0 and at most 1')
    return number


def text_of(value: object, what: str) -> str | None:
    """Read a name or an address; None where there is none.

    Raises:
        CellError: It is no text.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise CellError(f"{what} is no text")
    return str(value)


def category_named(name: str, categories: Sequence[str]) -> str:
    """Return a category that the policy declares.

    Args:
        name: As the file has it.
        categories: All of the policy.

    Raises:
        CellError: The policy has none of that name.
    """
    if name in categories:
        return name
    guess = closest(name, categories)
    if guess is None:
        raise CellError(f'the policy has no category "{shown(name)}"; it has {_some(categories)}')
    raise CellError(f'the policy has no category "{shown(name)}"; did you mean "{guess}"?')


def label_marks(value: object, categories: Sequence[str]) -> tuple[dict[str, Mark], Mark]:
    """Read a cell that names what a picture shows, such as `weapons`, `weapons; drugs`, `harmless` or `unsure`.

    Args:
        value: The cell.
        categories: All of the policy.

    Returns:
        The marks that it gives, and what holds for all other categories.

    Raises:
        CellError: It names no category, or harmless beside one.
    """
    names = [name.strip() for name in re.split(r"[;|,]", str(value or "")) if name.strip()]
    alone = {HARMLESS: Mark.NEGATIVE, UNSURE: Mark.UNSURE}
    if len(names) == 1 and names[0].casefold() in alone:
        return {}, alone[names[0].casefold()]
    if odd := [name for name in names if name.casefold() in alone]:
        raise CellError(f'"{odd[0]}" stands beside another label; it is one alone')
    return {category_named(name, categories): Mark.POSITIVE for name in names}, Mark.UNKNOWN


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
