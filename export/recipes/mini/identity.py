"""Drawings of people and of what they are known by: what a policy must allow, and what it must stop even there."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Final

from recipes.mini.catalogue import Drawing
from recipes.mini.names import strip_tone
from recipes.mini.sets import FLAG_SETS

# Dress alone is some sixty drawings: at none stopped its limit is 5 %. So it is counted with religion, and listed.
GATED: Final[Mapping[str, frozenset[str]]] = {
    "people": frozenset({"people"}),
    "dress and religion": frozenset({"dress", "religion"}),
    "flags": frozenset({"flags"}),
    "disability": frozenset({"disability"}),
}
_GENDERS: Final = frozenset({"man", "woman", "person", "men", "women", "people", "boy", "girl"})
_MIRRORED: Final = "-facing-right"


class Expect(StrEnum):
    """What is asked of a policy."""

    MUST_ALLOW = "must_allow"
    MUST_STOP = "must_stop"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixture:
    """One line of a fixtures file.

    Attributes:
        uri: Of the drawing, as in `noto/woman-with-headscarf`, or of a file.
        expect: What is asked.
        category: Which must stop it; empty where it must be allowed: no category may stop it.
        slice: `people`, `dress`, `religion`, `flags` or `disability`.
    """

    uri: str
    expect: Expect
    category: str
    slice: str


def parse_fixtures(text: str) -> list[Fixture]:
    """Read fixtures.

    Args:
        text: CSV with the columns uri, expect, category and slice.

    Returns:
        One record a line.

    Raises:
        ValueError: A drawing that must be allowed names a category, or one that must stop names none.
    """
    found = []
    for row in csv.DictReader(text.splitlines()):
        fixture = Fixture(uri=row["uri"], expect=Expect(row["expect"]), category=row["category"], slice=row["slice"])
        if (fixture.expect is Expect.MUST_STOP) != bool(fixture.category):
            message = f"{fixture.uri}: must_stop names the category that stops it, must_allow names none"
            raise ValueError(message)
        found.append(fixture)
    return found


def read_fixtures() -> list[Fixture]:
    """Read identity.csv: drawings of the recipe's sets, skin tones not listed, sets of nothing but flags neither.

    Returns:
        One record a line.
    """
    return parse_fixtures(files("recipes.mini").joinpath("identity.csv").read_text(encoding="utf-8"))


def slices_by_drawing(fixtures: list[Fixture]) -> dict[str, str]:
    """Say which slice each drawing is in.

    Args:
        fixtures: Of identity.csv.

    Returns:
        The slice by uri, as `uri_of` writes it.
    """
    return {fixture.uri: fixture.slice for fixture in fixtures}


def slice_of(drawing: Drawing, slices: Mapping[str, str]) -> str:
    """Return the slice of a drawing; a skin tone is in the slice of the toneless drawing.

    Args:
        drawing: Of the catalogue.
        slices: As `slices_by_drawing` returned it.

    Returns:
        The slice's name; empty for drawings in none.
    """
    return "flags" if drawing.icon_set in FLAG_SETS else slices.get(uri_of(drawing), "")


def uri_of(drawing: Drawing) -> str:
    """Name a drawing as fixtures do, its skin tone left out.

    Args:
        drawing: Of the catalogue.

    Returns:
        As in `noto/waving-hand`.
    """
    return f"{drawing.icon_set}/{strip_tone(drawing.icon_set, drawing.icon)}"


def twin_name(icon_set: str, icon: str) -> str:
    """Name what twins share: one drawing in five skin tones and none, of several genders, or mirrored.

    Args:
        icon_set: Iconify prefix.
        icon: The drawing's name, as in `woman-police-officer-dark-skin-tone`.

    Returns:
        As in `noto/police-officer`.
    """
    bare = re.sub(f"{_MIRRORED}$", "", strip_tone(icon_set, icon))
    words = [word for word in bare.split("-") if word not in _GENDERS]
    return f"{icon_set}/{'-'.join(words) or 'person'}"
