"""Say which icon set plays which role, and which never enters: the one list the recipe obeys."""

from __future__ import annotations

from typing import Final

# Source: the `license.spdx` field of collections.json; anything else (share-alike,
# non-commercial, ISC, BSD, proprietary) is refused by `fetch`.
ALLOWED_LICENCES: Final = frozenset({"MIT", "Apache-2.0", "CC0-1.0", "OFL-1.1", "CC-BY-3.0", "CC-BY-4.0"})

EMOJI_SETS: Final = (
    "noto",
    "twemoji",
    "fluent-emoji",
    "fluent-emoji-flat",
    "fxemoji",
    "streamline-emojis",
)
FLAG_SETS: Final = ("circle-flags", "flag", "flagpack", "cif")
COLOUR_SETS: Final = (
    "icon-park",
    "flat-color-icons",
    "fluent-color",
    "marketeq",
    "glyphs-poly",
    "meteocons",
    "flat-ui",
)
PLAIN_SETS: Final = (
    "fluent-emoji-high-contrast",
    "game-icons",
    "mdi",
    "ph",
    "solar",
    "mingcute",
    "material-symbols",
    "fluent",
    "iconoir",
    "roentgen",
    "osmic",
    "gis",
    "whh",
    "at-icons",
    "nrk",
    "dinkie-icons",
    "medical-icon",
    "covid",
    "uil",
    "f7",
    "ion",
    "mynaui",
    "griddy-icons",
    "flowbite",
    "carbon",
    "bi",
    "glyphs",
    "clarity",
    "fontisto",
    "map",
    "wi",
    "pixelarticons",
    "lineicons",
)
TRAINING_SETS: Final = EMOJI_SETS + FLAG_SETS + COLOUR_SETS + PLAIN_SETS

# Checkpoint, prompts, thresholds and calibration are chosen on these and nothing else.
SELECTION_SETS: Final = ("noto-v1", "fa7-solid")

# Opened once, at the end.
REPORT_SETS: Final = (
    "emojione",
    "pinhead",
    "streamline-color",
    "streamline-ultimate-color",
    "tabler",
    "boxicons",
    "hugeicons",
    "healthicons",
)

# Redrawings of a held-out family: used for nothing.
BARRED_SETS: Final = frozenset(
    {
        "emojione-v1",
        "emojione-monotone",
        "maki",  # pinhead redraws map icons of maki and temaki
        "temaki",
        "bx",
        "bxs",
        "bxl",
        "fa",
        "fa-solid",
        "fa-regular",
        "fa-brands",
        "fa6-solid",
        "fa6-regular",
        "fa6-brands",
        "fa7-regular",
        "fa7-brands",
        "la",  # Line Awesome restyles Font Awesome
        "streamline",
        "streamline-flex",
        "streamline-flex-color",
        "streamline-plump",
        "streamline-plump-color",
        "streamline-sharp",
        "streamline-sharp-color",
        "streamline-ultimate",
        "covid-streamline",
    }
)

# Sets of one drawing house share shapes: what is chosen without one of them is chosen without all.
_HOUSES: Final = (
    frozenset({"noto", "noto-v1", "material-symbols"}),
    frozenset({"fluent-emoji", "fluent-emoji-flat", "fluent-emoji-high-contrast", "fluent", "fluent-color"}),
    frozenset(FLAG_SETS),
    frozenset({"glyphs", "glyphs-poly"}),
)

ALL_SETS: Final = TRAINING_SETS + SELECTION_SETS + REPORT_SETS


def role_of(icon_set: str) -> str:
    """Return the role of a set: `training`, `selection` or `report`.

    Args:
        icon_set: The prefix of an Iconify collection.

    Returns:
        The role.

    Raises:
        KeyError: The set has no role.
    """
    for role, members in (
        ("training", TRAINING_SETS),
        ("selection", SELECTION_SETS),
        ("report", REPORT_SETS),
    ):
        if icon_set in members:
            return role
    raise KeyError(icon_set)


def family_of(icon_set: str) -> str:
    """Return the name of a set's family: the sets of one drawing house.

    Args:
        icon_set: Iconify prefix.

    Returns:
        The first of the family's sets by name; the set itself when it stands alone.
    """
    return next((min(house) for house in _HOUSES if icon_set in house), icon_set)
