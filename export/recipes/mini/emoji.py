"""Know emoji by code point: one identity for all vendors' spellings, and the words for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.mini.fetch import load_collection, package_folder
from recipes.mini.names import squash, strip_tone, to_words

_ALIAS_SETS = ("noto", "twemoji", "fluent-emoji-high-contrast")
_SHORTCODES = ("emojibase", "github", "joypixels", "iamcal", "cldr")
_IGNORED_POINTS = frozenset({"FE0F", "1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"})


@dataclass(frozen=True, kw_only=True)
class Emoji:
    """One emoji, skin tones collapsed.

    Attributes:
        key: Code points without tones and variation selectors, as in `1F37A`.
        label: The Unicode label in plain words.
        tags: Emojibase's search words.
        aliases: Other spellings in plain words: shortcodes and vendors' names.
    """

    key: str
    label: str
    tags: tuple[str, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EmojiIndex:
    """All emoji, found by code point or by any spelling of their names."""

    by_key: dict[str, Emoji]
    by_spelling: dict[str, str]

    def find(self, name: str) -> Emoji | None:
        """Find an emoji by a name in any spelling.

        Args:
            name: A name, label or shortcode.

        Returns:
            The emoji, or None.
        """
        key = self.by_spelling.get(squash(name))
        return self.by_key[key] if key else None


def normal_key(code_points: str) -> str:
    """Drop tones and variation selectors from a dash-joined sequence of code points.

    Args:
        code_points: As in `1F44B-1F3FD` or `1f44b`.

    Returns:
        As in `1F44B`.
    """
    return "-".join(p for p in code_points.upper().split("-") if p not in _IGNORED_POINTS)


def flag_key(country: str) -> str:
    """Return the key of a country's flag.

    Args:
        country: ISO 3166-1 alpha-2 code, as in `ad`.

    Returns:
        Two regional indicators, as in `1F1E6-1F1E9`.
    """
    return "-".join(f"{0x1F1E6 + ord(letter) - ord('A'):X}" for letter in country.upper())


def load_emoji(work: Path) -> EmojiIndex:
    """Read emojibase and the vendors' spellings.

    Args:
        work: The work folder.

    Returns:
        The index; a spelling two emoji claim belongs to the one that has it as its label.
    """
    folder = package_folder(work, "emojibase-data") / "en"
    records: list[dict[str, Any]] = json.loads((folder / "data.json").read_text())
    spellings = _spellings(work, folder)
    by_key: dict[str, Emoji] = {}
    for record in records:
        key, label = normal_key(record["hexcode"]), to_words(record["label"])
        names = dict.fromkeys(to_words(s) for s in spellings.get(key, []))
        aliases = tuple(n for n in names if n and n != label)
        by_key[key] = Emoji(key=key, label=label, tags=tuple(map(to_words, record.get("tags", []))), aliases=aliases)
    by_spelling = {squash(a): e.key for e in reversed(by_key.values()) for a in e.aliases}
    by_spelling |= {squash(e.label): e.key for e in by_key.values()}
    return EmojiIndex(by_key=by_key, by_spelling=by_spelling)


def _spellings(work: Path, folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for prefix in _ALIAS_SETS:
        for points, icon in load_collection(work, prefix).chars.items():
            found.setdefault(normal_key(points), []).append(strip_tone(prefix, icon))
    for source in _SHORTCODES:
        codes = json.loads((folder / "shortcodes" / f"{source}.json").read_text())
        for points, words in codes.items():
            each = [words] if isinstance(words, str) else words
            found.setdefault(normal_key(points), []).extend(w for w in each if len(w) > 2)  # noqa: PLR2004
    return found
