"""Choose the demo's images from the report sets by a seeded rule, and say who drew them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from clipwarden.policy.schema import Bounds, Mode
from recipes.mini.card import attribution_table
from recipes.mini.heldout import SEED
from recipes.mini.identity import parse_fixtures
from recipes.mini.labels import read_labels
from recipes.mini.moderation import score_cases
from recipes.mini.pictures import on_colour
from recipes.mini.render import load_drawings, load_pixels
from recipes.mini.report import Subject, verdicts

# The rule: drawings of three colour report sets in a seeded order. Of the enforced categories' positives the first
# three that are blocked and the first three sent to review; then, whatever their verdict, the first two hard negatives
# and the first three emojione drawings without any label. Drawings within a twentieth of any threshold are passed over:
# another processor's last bits must not change what the documentation shows. Drawings that are in the folder already
# stay: a new version of the policy changes no more of what the documentation shows than it must.
_SETS: Final = ("emojione", "streamline-ultimate-color", "streamline-color")
_EACH_VERDICT: Final = 3
_HARD_NEGATIVES: Final = 2
_UNLABELLED: Final = 3
_CLEARANCE: Final = 0.05  # share of a threshold
_REVIEW, _BLOCK = 1, 2
_LONGEST_NAME: Final = 22
_RENDERED: Final = "Rendered on white at 96 pixels from these sets, unchanged otherwise."
_LISTED: Final = re.compile(r"(?m)^- \S+\.png: (\S+) of (\S+)$")


def write_demo(subject: Subject, folder: Path) -> None:
    """Write the chosen drawings as PNG files on white, and ATTRIBUTION.md.

    Args:
        subject: The work folder and its held-out drawings.
        folder: Where the images go; PNG files in it are replaced.
    """
    rows = _choose(subject, shown_in(folder))
    names = {f"{short_name(subject.held.drawing(row).icon)}.png": row for row in rows}
    told = "They were chosen by the seeded rule of `recipes.mini.demo` from sets the model never saw."
    _write(subject.work, names, folder, f"# Where the demo images come from\n\n{_RENDERED}\n{told}\n\n")


def write_fixtures(work: Path, folder: Path) -> None:
    """Draw the drawings of a fixtures file for a test, and say who made them.

    Args:
        work: The work folder, rendered.
        folder: Holds `fixtures.csv`, whose uris are of drawings; PNG files in it are replaced.

    Raises:
        KeyError: There is no drawing of that uri.
    """
    rows = {f"{d.icon_set}/{d.icon}": row for row, d in enumerate(load_drawings(work))}
    fixtures = parse_fixtures((folder / "fixtures.csv").read_text())
    names = {f"{fixture.uri.replace('/', '--')}.png": rows[fixture.uri] for fixture in fixtures}
    _write(work, names, folder, f"# Where the fixtures come from\n\n{_RENDERED}\n\n")


def _write(work: Path, rows: Mapping[str, int], folder: Path, head: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    pixels, drawings = load_pixels(work), load_drawings(work)
    listed = []
    for name, row in sorted(rows.items()):
        picture: Image.Image = on_colour(np.array(pixels[row]), (255, 255, 255))
        picture.save(folder / name, optimize=True)
        listed.append(f"- {name}: {drawings[row].icon} of {drawings[row].icon_set}\n")
    used = sorted({drawings[row].icon_set for row in rows.values()})
    (folder / "ATTRIBUTION.md").write_text(f"{head}{attribution_table(work, used)}\n{''.join(listed)}")


def short_name(icon: str) -> str:
    """Shorten an icon's name to whole words of at most 22 letters, so that tables of verdicts stay narrow.

    Args:
        icon: The icon's name.

    Returns:
        Its first words.
    """
    words = icon.split("-")
    while len(words) > 1 and len("-".join(words)) > _LONGEST_NAME:
        words.pop()
    return "-".join(words)


def shown_in(folder: Path) -> frozenset[tuple[str, str]]:
    """Read which drawings a folder of demo images shows.

    Args:
        folder: With or without an ATTRIBUTION.md of `write_demo`.

    Returns:
        Set and name of each.
    """
    path = folder / "ATTRIBUTION.md"
    text = path.read_text() if path.exists() else ""
    return frozenset((found[2], found[1]) for found in _LISTED.finditer(text))


def _choose(subject: Subject, shown: frozenset[tuple[str, str]]) -> list[int]:
    held = subject.held
    rows = {(held.drawing(r).icon_set, held.drawing(r).icon): int(r) for s in _SETS for r in held.rows_of(s)}
    enforced = {c.id for c in subject.compiled.policy.categories if c.mode is Mode.ENFORCE}
    labels = [m for m in read_labels() if (m.icon_set, m.icon) in rows and m.category in enforced]
    chance = np.random.default_rng(SEED)

    def shuffled(label: str) -> list[int]:
        found = sorted({rows[m.icon_set, m.icon] for m in labels if m.label == label})
        return _clear(subject, [int(row) for row in chance.permutation(found)])

    positives, negatives = shuffled("positive"), shuffled("hard_negative")
    judged = dict(zip(positives, _verdicts_of(subject, positives), strict=True))
    known = {rows[m.icon_set, m.icon] for m in read_labels() if (m.icon_set, m.icon) in rows}
    others = [row for key, row in rows.items() if key[0] == _SETS[0] and row not in known]
    there = frozenset(row for key, row in rows.items() if key in shown)
    return [
        *keep_shown([row for row in positives if judged[row] == _BLOCK], there, _EACH_VERDICT),
        *keep_shown([row for row in positives if judged[row] == _REVIEW], there, _EACH_VERDICT),
        *keep_shown(negatives, there, _HARD_NEGATIVES),
        *keep_shown(_clear(subject, [int(row) for row in chance.permutation(others)]), there, _UNLABELLED),
    ]


def keep_shown(order: list[int], shown: frozenset[int], least: int) -> list[int]:
    """Choose from drawings in order: all that are shown already, and others until there are enough.

    Args:
        order: Rows.
        shown: Rows that the folder shows.
        least: How many are wanted.

    Returns:
        Rows, no fewer than `least` where there are as many.
    """
    kept = [row for row in order if row in shown]
    fresh = [row for row in order if row not in shown]
    return kept + fresh[: max(0, least - len(kept))]


def _clear(subject: Subject, rows: list[int]) -> list[int]:
    """Leave out the drawings that score near any category's threshold."""
    scores = score_cases(subject.held.vectors(np.array(rows), "clean"), subject.compiled)
    near = np.zeros(len(rows), np.bool_)
    for column, category in enumerate(scores.categories):
        bounds = category.thresholds.bounds if category.thresholds else Bounds()
        for threshold in (bounds.review, bounds.block):
            if threshold is not None:
                near |= np.abs(scores.score[:, column] - threshold) < _CLEARANCE * threshold
    return [row for row, is_near in zip(rows, near, strict=True) if not is_near]


def _verdicts_of(subject: Subject, rows: list[int]) -> list[int]:
    vectors = subject.held.vectors(np.array(rows), "clean")
    judged: list[int] = verdicts(score_cases(vectors, subject.compiled)).tolist()
    return judged
