"""Choose the drawings: which icons of which sets, under which class, shown how often."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recipes.mini.emoji import EmojiIndex, flag_key, load_emoji
from recipes.mini.fetch import Collection, load_collection
from recipes.mini.names import is_interface_mark, strip_style, strip_tone, to_words
from recipes.mini.sets import (
    COLOUR_SETS,
    EMOJI_SETS,
    FLAG_SETS,
    REPORT_SETS,
    SELECTION_SETS,
    TRAINING_SETS,
)

_EMOJI_NAMED_SETS: Final = (*EMOJI_SETS, "fluent-emoji-high-contrast")
# Plain sets that draw things; the others draw interfaces.
_PICTURE_SETS: Final = frozenset(
    {"fluent-emoji-high-contrast", "game-icons", "roentgen", "osmic", "dinkie-icons", "medical-icon"}
)
# Drawings of one class and set: an outline and a filled one differ, a fourth weight adds nothing.
_MOST_VARIANTS: Final = 2
_BRAND: Final = re.compile(r"brand|logo|social|payment|crypto", re.IGNORECASE)
_COUNTRY: Final = re.compile(r"([a-z]{2})(?:-1x1)?")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One icon of one set and what the recipe calls it.

    Attributes:
        icon_set: Iconify prefix.
        icon: The icon's name in its set.
        group: `emoji`, `flag`, `colour` or `plain` for training, else the role's name.
        name: The class: an emoji's key as in `emoji:1F37A`, or plain words.
        toned: Whether it is a skin-tone variant.
        palette: Whether it carries its own colours.
    """

    icon_set: str
    icon: str
    group: str
    name: str
    toned: bool
    palette: bool


def catalogue(work: Path) -> list[Drawing]:
    """List every drawing of the recipe, in a fixed order.

    Args:
        work: The work folder, fetched.

    Returns:
        Training drawings filtered and capped; then the held-out sets whole, their skin tones last, so that a drawing
        keeps the row (and with it the chance of its views) that it had when tones were collapsed.
    """
    index = load_emoji(work)
    training: list[Drawing] = []
    for prefix in TRAINING_SETS:
        training += _training_drawings(load_collection(work, prefix), index)
    held = [
        drawing
        for role, sets in (("selection", SELECTION_SETS), ("report", REPORT_SETS))
        for prefix in sets
        for drawing in _held_out_drawings(load_collection(work, prefix), role)
    ]
    return [*_without_lone_marks(training), *sorted(held, key=lambda drawing: drawing.toned)]


def _without_lone_marks(drawings: list[Drawing]) -> list[Drawing]:
    """Drop what a single interface set calls by a name of its own: it teaches no shared word."""
    sets_by_name: dict[str, set[str]] = defaultdict(set)
    for drawing in drawings:
        sets_by_name[drawing.name].add(drawing.icon_set)
    return [d for d in drawings if d.group != "plain" or d.icon_set in _PICTURE_SETS or len(sets_by_name[d.name]) > 1]


def _training_drawings(source: Collection, index: EmojiIndex) -> list[Drawing]:
    prefix = source.prefix
    brands = {i for name, icons in source.categories.items() if _BRAND.search(name) for i in icons}
    seen: dict[str, int] = defaultdict(int)
    kept = []
    for icon in sorted(source.icons, key=lambda i: (len(i), i)):
        if icon in brands:
            continue
        name = _class_name(prefix, icon, index)
        bare = strip_tone(prefix, icon)
        slot = f"{name}:{bare != icon}"
        limit = 1 if bare != icon or prefix in FLAG_SETS else _MOST_VARIANTS
        if name is None or seen[slot] >= limit:
            continue
        seen[slot] += 1
        kept.append(
            Drawing(
                icon_set=prefix,
                icon=icon,
                group=_group(prefix),
                name=name,
                toned=bare != icon,
                palette=source.palette,
            )
        )
    return kept


def _class_name(prefix: str, icon: str, index: EmojiIndex) -> str | None:
    if prefix in FLAG_SETS:
        match = _COUNTRY.fullmatch(icon)
        found = index.by_key.get(flag_key(match[1])) if match else None
        return f"emoji:{found.key}" if found else None
    bare = strip_tone(prefix, icon)
    if prefix not in _EMOJI_NAMED_SETS:
        if is_interface_mark(icon):
            return None
        bare = strip_style(bare)
    emoji = index.find(bare) or (index.find(strip_style(bare)) if prefix != "fxemoji" else None)
    if emoji:
        return f"emoji:{emoji.key}"
    # fxemoji runs words together: a name no emoji claims can't be read.
    return None if prefix == "fxemoji" else to_words(strip_style(bare)) or None


def _group(prefix: str) -> str:
    if prefix in EMOJI_SETS:
        return "emoji"
    if prefix in FLAG_SETS:
        return "flag"
    return "colour" if prefix in COLOUR_SETS else "plain"


def _held_out_drawings(source: Collection, role: str) -> list[Drawing]:
    return [
        Drawing(
            icon_set=source.prefix,
            icon=icon,
            group=role,
            name=to_words(icon),
            toned=strip_tone(source.prefix, icon) != icon,
            palette=source.palette,
        )
        for icon in sorted(source.icons)
    ]
