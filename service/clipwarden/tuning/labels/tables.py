"""A table in, as spreadsheets and data frames write it (CSV, Parquet); its rows out.

A column is a category (1, 0, unsure or empty), or the one column `label` names what a picture shows.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clipwarden.errors import LabelError
from clipwarden.textfiles.wording import closest, shown
from clipwarden.tuning.labels.model import Mark
from clipwarden.tuning.labels.rows import CellError, Header, Row, label_marks, mark_of, pi_of, sha256_of, text_of
from clipwarden.tuning.labels.textlines import numbered_lines

if TYPE_CHECKING:
    import _csv

FACTS: Final = ("sha256", "uri", "pi", "group", "labeller")
"""Columns that are about the picture."""
LABEL: Final = "label"
SLICE: Final = "slice:"
"""Before the name of a slice."""
IGNORED: Final = ("note", "notes", "comment", "comments")
"""Columns for people."""
_DELIMITERS: Final = ",;\t"


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Which column is what, by its index."""

    width: int
    decimal_comma: bool
    facts: Mapping[str, int]
    label: int | None
    marks: Mapping[str, int]
    slices: Mapping[str, int]


def read_csv(path: Path, categories: Sequence[str]) -> tuple[Header, Iterator[Row]]:
    """Read a table as spreadsheets save it: between commas, semicolons or tabs, UTF-8 or UTF-16.

    Args:
        path: The file.
        categories: All of the policy.

    Returns:
        Which categories are columns; and the rows, read while they are asked for.

    Raises:
        LabelError: A line is none.
    """
    lines = numbered_lines(path, keep_ends=True)
    number, first = next(lines, (0, ""))
    if not first.strip():
        raise LabelError(f"{path} has no line of column names.")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    try:
        columns = columns_of(next(csv.reader([first], delimiter=delimiter)), categories, decimal_comma=delimiter != ",")
    except CellError as exc:
        raise exc.at(f"{path}:{number}") from exc
    return header_of(columns), _csv_rows(path, reader, columns, categories)


def _csv_rows(path: Path, reader: "_csv.Reader", columns: Columns, categories: Sequence[str]) -> Iterator[Row]:
    while True:
        number = reader.line_num + 2
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if any(cells):
                yield row_of(number, _filled(cells, columns), columns, categories)
        except csv.Error as exc:
            raise LabelError(f"{path}:{number}: a quotation mark is not closed, or stands within a cell.") from exc
        except CellError as exc:
            raise exc.at(f"{path}:{number}") from exc


def header_of(columns: Columns) -> Header:
    """Say what columns tell of the whole table."""
    return Header(categories=tuple(columns.marks), has_pi="pi" in columns.facts)


def columns_of(names: Sequence[str], categories: Sequence[str], *, decimal_comma: bool = False) -> Columns:
    """Find out which column is what.

    Args:
        names: Of all columns.
        categories: All of the policy.
        decimal_comma: Whether numbers may be written as 0,5.

    Raises:
        CellError: A column is none, stands twice, or is missing.
    """
    tidy = [name.strip() for name in names]
    if twins := [name for name in tidy if name and tidy.count(name) > 1]:
        raise CellError(f'the column "{shown(twins[0])}" stands twice')
    at = {name: index for index, name in enumerate(tidy) if name and name.casefold() not in IGNORED}
    known = (*FACTS, LABEL)
    slices = {name[len(SLICE) :].strip(): index for name, index in at.items() if name.startswith(SLICE)}
    marks = {name: index for name, index in at.items() if name in categories}
    for name in at:
        if name not in known and name not in marks and not name.startswith(SLICE):
            raise CellError(_unknown_column(name, (*known, *categories)))
    facts: dict[str, int] = {name: at[name] for name in FACTS if name in at}
    columns = Columns(
        width=len(names), decimal_comma=decimal_comma, facts=facts, label=at.get(LABEL), marks=marks, slices=slices
    )
    _require_enough(columns)
    return columns


def _unknown_column(name: str, known: Sequence[str]) -> str:
    guess = closest(name, known)
    if guess:
        return f'the column "{shown(name)}" is no category of the policy; did you mean "{guess}"?'
    return (
        f'the column "{shown(name)}" is no category of the policy; call it "{SLICE}{shown(name)}" to compare its '
        "values, or leave it out"
    )


def _require_enough(columns: Columns) -> None:
    if not {"sha256", "uri"} & set(columns.facts):
        raise CellError('there is neither a column "sha256" nor "uri", so nothing says which picture a line is about')
    if columns.label is None and not columns.marks:
        raise CellError(f'there is neither a column "{LABEL}" nor one that is named after a category of the policy')
    if columns.label is not None and columns.marks:
        raise CellError(f'there is a column "{LABEL}" and one named "{next(iter(columns.marks))}"; keep one way')


def _filled(cells: Sequence[str], columns: Columns) -> Sequence[str]:
    """Fill a short line up, since spreadsheets leave empty cells at the end out; and refuse a long one."""
    if any(cell.strip() for cell in cells[columns.width :]):
        raise CellError(f"the line has {len(cells)} cells, and there are {columns.width} columns")
    return [*cells, *[""] * (columns.width - len(cells))]


def row_of(number: int, cells: Sequence[Any], columns: Columns, categories: Sequence[str]) -> Row:
    """Read a line.

    Args:
        number: Its line.
        cells: As many as there are columns.
        columns: Which is what.
        categories: All of the policy.

    Raises:
        CellError: A cell says what none can.
    """
    facts = {name: cells[index] for name, index in columns.facts.items()}
    pi = facts.get("pi")
    if isinstance(pi, str) and columns.decimal_comma:
        pi = pi.replace(",", ".")
    marks, rest = _marks(cells, columns, categories)
    return Row(
        line=number,
        sha256=sha256_of(facts.get("sha256")),
        uri=text_of(facts.get("uri"), "uri"),
        pi=pi_of(pi),
        marks=marks,
        rest=rest,
        group=text_of(facts.get("group"), "group"),
        slices={name: text for name, index in columns.slices.items() if (text := text_of(cells[index], name))},
        labeller=text_of(facts.get("labeller"), "labeller") or "",
    )


def _marks(cells: Sequence[Any], columns: Columns, categories: Sequence[str]) -> tuple[Mapping[str, Mark], Mark]:
    if columns.label is not None:
        return label_marks(cells[columns.label], categories)
    return {name: mark_of(cells[index]) for name, index in columns.marks.items()}, Mark.UNKNOWN
