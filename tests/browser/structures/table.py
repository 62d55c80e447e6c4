"""Every structural case in, what Chromium shows of it and what becomes of it with us out: the rows of `table.csv`."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.browser.compare import SAME_WITHIN, judge, outcome, shown_distance
from tests.browser.kit import Chromium, Shown
from tests.browser.structures import avif, avifitems, bmp, gif, jpeg, png, webp
from tests.browser.structures.case import Case, pictures

from clipwarden.modelfolder.manifest import Preprocessing

TABLE = Path(__file__).with_name("table.csv")
# Squashed, so that an edge counts as much as the middle; small, as the cases are.
PREPROCESSING = Preprocessing(side=64, fit="squash", colour="srgb")


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        name: Of the case.
        shows: What Chromium shows: `refused`, `nothing` (a size, and all of it empty), one of `case.pictures`, `part
            of` one where rows are missing, or `something` else of a size.
        ours: What becomes of it; see `compare.Outcome`.
        why: Where that is not the same, or neither shows anything.
    """

    name: str
    shows: str
    ours: str
    why: str


def cases() -> list[Case]:
    """All cases, in the table's order."""
    return [case for module in (png, jpeg, gif, webp, bmp, avif, avifitems) for case in module.cases()]


def read_table() -> dict[str, Row]:
    """Read what is expected, by the cases' names."""
    with TABLE.open(newline="", encoding="utf-8") as lines:
        return {row.name: row for row in (Row(*line) for line in list(csv.reader(lines))[1:])}


def write_table(rows: Sequence[Row]) -> None:
    """Write what was found; the reasons come from the rows."""
    with TABLE.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)


def find_rows(chromium: Chromium) -> Iterator[Row]:
    """Ask Chromium and ourselves about every case; reasons are those of the table."""
    known, plain, every = read_table(), pictures(), cases()
    references = dict(zip(plain, chromium.show(list(plain.values())), strict=True))
    for case, shown in zip(every, chromium.show([case.data for case in every]), strict=True):
        judged = judge(case.data, PREPROCESSING)
        why = known[case.name].why if case.name in known else ""
        yield Row(case.name, name_of(shown, references), outcome(shown, judged, PREPROCESSING), why)


def name_of(shown: Shown, references: dict[str, Shown]) -> str:
    """Name what is shown, as a row does."""
    if shown.event != "load" or shown.size is None:
        return "refused"
    if shown.refused:
        return "nothing"
    like = {name: each for name, each in references.items() if each.size == shown.size}
    distances = {name: shown_distance(shown, each) for name, each in like.items()}
    nearest = min(distances, key=lambda name: distances[name], default="")
    if nearest and distances[nearest] < SAME_WITHIN:
        return nearest
    part = next((name for name, each in like.items() if _is_part(shown, each)), None)
    return "something of {} x {}".format(*shown.size) if part is None else f"part of {part}"


def _is_part(shown: Shown, whole: Shown) -> bool:
    """Whether some rows are missing, and the others are the whole's."""
    assert shown.pixels is not None
    assert whole.pixels is not None
    difference = abs(shown.pixels.astype(int) - whole.pixels)[shown.seen]
    return 0 < shown.share < 1 and bool(difference.mean() < SAME_WITHIN)
