"""Turn an icon's file name into the words of what it shows, or None when it shows nothing."""

from __future__ import annotations

import re
from typing import Final

_TONE: Final = re.compile(r"-(?:medium-(?:light|dark)|light|medium|dark)-skin-tone")
# fluent-emoji writes tones as a bare suffix: `artist-dark`, `artist-medium-light`.
_FLUENT_TONE: Final = re.compile(r"-(?:medium-(?:light|dark)|light|medium|dark)$")
_FLUENT_TONED_SETS: Final = frozenset({"fluent-emoji", "fluent-emoji-flat"})

_STYLE: Final = frozenset(
    [
        "outline",
        "outlined",
        "rounded",
        "sharp",
        "filled",
        "fill",
        "bold",
        "light",
        "thin",
        "duotone",
        "linear",
        "broken",
        "line",
        "solid",
        "regular",
        "twotone",
        "duo",
        "icon",
        "alt",
        "flat",
        "remix",
        "10",
        "12",
        "16",
        "20",
        "24",
        "28",
        "32",
        "48",
        "24px",
        "expressive",
        "active",
        "color",
        "colored",
        "variant",
        "baseline",
    ]
)
# Marks of an interface: they name an operation, not a thing that can be seen.
_INTERFACE: Final = frozenset(
    [
        "off",
        "slash",
        "arrow",
        "arrows",
        "chevron",
        "caret",
        "letter",
        "alpha",
        "numeric",
        "number",
        "format",
        "border",
        "align",
        "aligned",
        "alignment",
        "sort",
        "layout",
        "text",
        "list",
        "table",
        "cell",
        "filter",
        "plus",
        "minus",
        "check",
        "remove",
        "alert",
        "add",
        "edit",
        "cog",
        "settings",
        "cancel",
        "disabled",
        "logo",
        "brand",
        "brands",
        "vs",
        "file",
        "files",
        "document",
        "documents",
        "folder",
        "folders",
        "wifi",
        "signal",
        "badge",
        "code",
        "api",
        "database",
        "server",
        "cloud-upload",
        "cloud-download",
        "rotate",
        "crop",
        "zoom",
        "column",
        "row",
        "rows",
        "columns",
        "page",
        "ui",
        "box-multiple",
        "subtract",
        "checkmark",
        "dismiss",
        "arrowleft",
        "arrowright",
        "sync",
        "refresh",
        "multiple",
        "search",
        "upload",
        "download",
        "settings2",
        "progress",
        "variable",
        "function",
        "math",
        "crossed",
        "counter",
        "looks",
        "exposure",
        "filter1",
        "left",
        "right",
        "up",
        "down",
        "top",
        "bottom",
        "horizontal",
        "vertical",
        "center",
        "start",
        "end",
        "error",
        "question",
    ]
)
_WORD: Final = re.compile(r"[a-z0-9]+")


def strip_tone(icon_set: str, icon: str) -> str:
    """Remove the skin tones from an icon's name.

    Args:
        icon_set: The Iconify prefix.
        icon: The icon's name, as in `waving-hand-dark-skin-tone`.

    Returns:
        The name without tones, as in `waving-hand`.
    """
    bare = _TONE.sub("", icon)
    if icon_set in _FLUENT_TONED_SETS and not bare.endswith(("crescent-light", "speaker-medium")):
        bare = _FLUENT_TONE.sub("", bare)
    return bare


def tone_of(icon: str) -> str:
    """Return the skin tone that an icon's name says.

    Args:
        icon: As in `handshake-light-skin-tone-dark-skin-tone`.

    Returns:
        `light`, `medium-light`, `medium`, `medium-dark` or `dark`; `mixed` for two that differ, `none` without.
    """
    tones = {match.removeprefix("-").removesuffix("-skin-tone") for match in _TONE.findall(icon)}
    if len(tones) > 1:
        return "mixed"
    return tones.pop() if tones else "none"


def strip_style(icon: str) -> str:
    """Remove words of drawing style and trailing counters from an icon's name.

    Args:
        icon: The icon's name, as in `sword-02-outline`.

    Returns:
        The rest, as in `sword`; the name itself when nothing would be left.
    """
    words = icon.split("-")
    while len(words) > 1 and (words[-1] in _STYLE or re.fullmatch(r"0?\d", words[-1])):
        words.pop()
    return "-".join(words)


def is_interface_mark(icon: str) -> bool:
    """Tell whether a name speaks of an operation of an interface rather than of a thing.

    Args:
        icon: The icon's name.

    Returns:
        True for arrows, letters, `-off` variants and the like.
    """
    words = icon.split("-")
    return any(w in _INTERFACE for w in words) or all(len(w) == 1 or w.isdigit() for w in words)


def to_words(name: str) -> str:
    """Write a name or label as lower-case words parted by single spaces.

    Args:
        name: Any name, such as `flag: Andorra` or `beer_mug`.

    Returns:
        The words, as in `flag andorra`.
    """
    return " ".join(_WORD.findall(name.lower().replace("'", "").replace("\u2019", "")))


def squash(name: str) -> str:
    """Write a name without anything but letters and digits, to compare spellings.

    Args:
        name: Any name.

    Returns:
        The key, as in `beermug` for `Beer mug`.
    """
    return to_words(name).replace(" ", "")
