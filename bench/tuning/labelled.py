"""The listing that `bench.tuning.drawings` wrote in; pictures and what each shows, out."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

LISTING: Final = "drawings.csv"
PICTURES: Final = "pictures"
FACTS: Final = ("path", "sha256", "set", "icon")


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawings:
    """N pictures and C categories.

    Attributes:
        categories: C ids.
        paths: N files.
        sha256: N digests.
        sets: N icon sets.
        icons: N names.
        marks: int8 `[N,C]` of `Mark`; none is unknown.
    """

    categories: tuple[str, ...]
    paths: tuple[Path, ...]
    sha256: tuple[str, ...]
    sets: tuple[str, ...]
    icons: tuple[str, ...]
    marks: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.sha256)

    def column(self, category: str) -> NDArray[np.int8]:
        """Return the marks of one category."""
        return self.marks[:, self.categories.index(category)]

    @property
    def words(self) -> tuple[str, ...]:
        """Set and first word of each name: `dice-1` and `dice-2` of a set are drawn alike, and share one."""
        return tuple(f"{own}:{icon.split('-')[0]}" for own, icon in zip(self.sets, self.icons, strict=True))


def read(work: Path) -> Drawings:
    """Read what was written.

    Args:
        work: The bench's work folder.
    """
    with (work / LISTING).open(newline="", encoding="utf-8") as opened:
        lines = list(csv.DictReader(opened))
    categories = tuple(name for name in lines[0] if name not in FACTS)
    return Drawings(
        categories=categories,
        paths=tuple(work / line["path"] for line in lines),
        sha256=tuple(line["sha256"] for line in lines),
        sets=tuple(line["set"] for line in lines),
        icons=tuple(line["icon"] for line in lines),
        marks=np.array([[int(line[name]) for name in categories] for line in lines], dtype=np.int8),
    )
