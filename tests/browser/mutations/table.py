"""Every mutated file in; what Chromium shows of it and what becomes of it with us out, by kind: `table.csv`."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.browser.compare import judge, outcome
from tests.browser.kit import Chromium, Shown
from tests.browser.mutations.mutate import Mutant, mutants

from clipwarden.errors import Reason
from clipwarden.modelfolder.manifest import Preprocessing

TABLE = Path(__file__).with_name("table.csv")
# Squashed, so that an edge counts as much as the middle; small, as the files are.
PREPROCESSING = Preprocessing(side=64, fit="squash", colour="srgb")
# Damaged headers claim any size; a larger canvas takes Chromium long, and is not judged here.
MOST_PIXELS = 4_000_000
EXPECTED = frozenset({"same", "none"})


class Kind(NamedTuple):
    """What happens to a damaged file.

    Attributes:
        format: Of the original.
        shows: What Chromium shows: `nothing`, a `part` (rows are missing), or the `whole` (damaged as it may be).
        ours: What becomes of it with us; see `compare.Outcome`. With our reason where we refuse what is shown.
    """

    format: str
    shows: str
    ours: str


class Row(NamedTuple):
    """A line of the table: a kind, how many files, and why that is right."""

    kind: Kind
    files: int
    why: str


def read_table() -> dict[Kind, Row]:
    """Read what is expected, by kind."""
    with TABLE.open(newline="", encoding="utf-8") as lines:
        rows = [Row(Kind(*line[:3]), int(line[3]), line[4]) for line in list(csv.reader(lines))[1:]]
    return {row.kind: row for row in rows}


def write_table(rows: Sequence[Row]) -> None:
    """Write what was found; the reasons come from the rows."""
    with TABLE.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow([*Kind._fields, "files", "why"])
        writer.writerows([*row.kind, row.files, row.why] for row in rows)


def as_markdown(rows: Sequence[Row]) -> str:
    """Print the kinds that do not fare as in Chromium, those of one reason in one line."""
    lines: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for kind, files, why in rows:
        if kind.ours not in EXPECTED:
            lines[kind.shows, kind.ours, why].append(f"{kind.format.upper()} {files}")
    table = [f"| {shows} | {ours} | {', '.join(formats)} | {why} |" for (shows, ours, why), formats in lines.items()]
    return "\n".join(["| Chromium shows | here | files | why |", "|---|---|---|---|", *table])


def find_kinds(chromium: Chromium) -> dict[Kind, list[Mutant]]:
    """Ask Chromium and ourselves about every mutated file."""
    every = list(mutants())
    kinds: defaultdict[Kind, list[Mutant]] = defaultdict(list)
    for mutant, shown in zip(every, chromium.show([each.data for each in every], most_pixels=MOST_PIXELS), strict=True):
        judged = judge(mutant.data, PREPROCESSING)
        ours: str = outcome(shown, judged, PREPROCESSING)
        if ours == "refused" and isinstance(judged, Reason):
            ours = f"refused {judged.value}"
        kinds[Kind(mutant.original.split()[0], _shows(shown), ours)].append(mutant)
    return dict(sorted(kinds.items()))


def find_rows(chromium: Chromium) -> Iterator[Row]:
    """Count them by kind; reasons are those of the table."""
    known = read_table()
    for kind, found in find_kinds(chromium).items():
        yield Row(kind, len(found), known[kind].why if kind in known else "")


def _shows(shown: Shown) -> str:
    if shown.refused:
        return "nothing"
    return "whole" if shown.pixels is None or shown.share == 1 else "part"
