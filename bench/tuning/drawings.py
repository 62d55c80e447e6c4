"""Write drawings that the embedded model never saw: `python -m bench.tuning.drawings --recipe RECIPE --work DIR`.

RECIPE is a work folder of the embedded model's recipe, after `python -m recipes.mini fetch` and `render --work RECIPE`
(from npm, with the extra `mini` and `export/` on PYTHONPATH). Taken are its report sets: one style each, no skin tones,
no second copy of an equal picture. The labels are the recipe's: what its list leaves out is harmless.
"""

import argparse
import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.tuning.labelled import FACTS, LISTING, PICTURES
from clipwarden.tuning.labels.model import Mark
from recipes.mini.catalogue import Drawing
from recipes.mini.labels import is_restyled, read_labels
from recipes.mini.pictures import on_colour
from recipes.mini.render import load_drawings, load_pixels
from recipes.mini.sets import REPORT_SETS

_MARKS: Final = {"positive": Mark.POSITIVE, "ambiguous": Mark.UNSURE}
_WHITE: Final = (255, 255, 255)
_Said = dict[tuple[str, str], dict[str, int]]


def main() -> None:
    """Write `DIR/pictures/SET/ICON.png` and `DIR/drawings.csv`; skip when that is there."""
    parser = argparse.ArgumentParser(prog="python -m bench.tuning.drawings", description="Write drawings with labels.")
    parser.add_argument("--recipe", type=Path, required=True, help="work folder of the recipe, rendered")
    parser.add_argument("--work", type=Path, required=True, help="folder to write into, outside git")
    options = parser.parse_args()
    if not (options.work / LISTING).exists():
        write(options.recipe, options.work)


def write(recipe: Path, work: Path) -> None:
    """Write all of them.

    Args:
        recipe: The recipe's work folder, rendered.
        work: The bench's work folder.
    """
    said, categories = _labels()
    lines = sorted(_written(recipe, work, said, categories), key=lambda line: str(line["path"]))
    with (work / LISTING).open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, [*FACTS, *categories])
        writer.writeheader()
        writer.writerows(lines)


def _labels() -> tuple[_Said, tuple[str, ...]]:
    """Read the marks of each drawing that has any, and the categories."""
    said: _Said = {}
    labels = read_labels()
    for each in labels:
        mark = _MARKS.get(each.label, Mark.NEGATIVE)
        said.setdefault((each.icon_set, each.icon), {})[each.category] = int(mark)
    return said, tuple(dict.fromkeys(each.category for each in labels))


def _chosen(recipe: Path, said: _Said) -> list[tuple[int, Drawing]]:
    """List rows of the rendered pixels; those with a label first, so that of equal renders they stay."""
    rows = [
        (row, each)
        for row, each in enumerate(load_drawings(recipe))
        if each.icon_set in REPORT_SETS and not each.toned and not is_restyled(each.icon)
    ]
    return sorted(rows, key=lambda pair: ((pair[1].icon_set, pair[1].icon) not in said, pair[0]))


def _written(recipe: Path, work: Path, said: _Said, categories: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    pixels, seen = load_pixels(recipe), set[str]()
    for row, each in _chosen(recipe, said):
        file = work / PICTURES / each.icon_set / f"{each.icon}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        on_colour(np.array(pixels[row]), _WHITE).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest in seen:
            file.unlink()
            continue
        seen.add(digest)
        marks = said.get((each.icon_set, each.icon), {})
        facts = {"path": str(file.relative_to(work)), "sha256": digest, "set": each.icon_set, "icon": each.icon}
        yield facts | {name: marks.get(name, int(Mark.NEGATIVE)) for name in categories}


if __name__ == "__main__":
    main()
