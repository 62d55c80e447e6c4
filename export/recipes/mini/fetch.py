"""Bring the drawings and their words from npm into the work folder, refusing licences not allowed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recipes.mini.sets import ALL_SETS, ALLOWED_LICENCES

# The versions the shipped model was made from.
PACKAGES: Final = (
    "@iconify/json",
    "emojibase-data",
    "@mdi/svg",
    "@phosphor-icons/core",
)


class LicenceError(ValueError):
    """A set's licence is not among the allowed ones."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """One icon set: its drawings and who made them.

    Attributes:
        prefix: Iconify prefix, as in `noto`.
        icons: SVG bodies and sizes by name, hidden ones left out.
        width: Default width of an icon, in SVG units.
        height: Default height of an icon, in SVG units.
        chars: Icon name by code point, where the set gives it.
        categories: Icon names by category, where the set gives them.
        palette: Whether the drawings carry their own colours.
    """

    prefix: str
    icons: dict[str, dict[str, Any]]
    width: float
    height: float
    chars: dict[str, str]
    categories: dict[str, list[str]]
    palette: bool


def fetch(work: Path) -> None:
    """Install the npm packages under `work/npm`; a second call finds them there.

    Args:
        work: The work folder.

    Raises:
        LicenceError: A set of the recipe carries a licence that is not allowed.
    """
    folder = work / "npm"
    if not (folder / "node_modules" / "@iconify" / "json").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}\n")
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - fixed arguments
    check_licences(work)


def package_folder(work: Path, package: str) -> Path:
    """Return where a fetched npm package lies.

    Args:
        work: The work folder.
        package: The npm name.

    Returns:
        Its folder.
    """
    return work / "npm" / "node_modules" / package


def collections(work: Path) -> dict[str, dict[str, Any]]:
    """Read collections.json: author, licence and palette by set.

    Args:
        work: The work folder.

    Returns:
        One record a set.
    """
    text = (package_folder(work, "@iconify/json") / "collections.json").read_text()
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def check_licences(work: Path) -> None:
    """Refuse to go on when a set of the recipe has a licence that is not allowed.

    Args:
        work: The work folder.

    Raises:
        LicenceError: Names the set and its licence.
    """
    facts = collections(work)
    for prefix in ALL_SETS:
        licence = facts[prefix]["license"].get("spdx", "unknown")
        if licence not in ALLOWED_LICENCES:
            message = f"{prefix} is under {licence}, which the recipe does not allow"
            raise LicenceError(message)


def load_collection(work: Path, prefix: str) -> Collection:
    """Read one icon set.

    Args:
        work: The work folder.
        prefix: Iconify prefix.

    Returns:
        The set without hidden icons.
    """
    path = package_folder(work, "@iconify/json") / "json" / f"{prefix}.json"
    raw = json.loads(path.read_text())
    return Collection(
        prefix=prefix,
        icons={name: icon for name, icon in raw["icons"].items() if not icon.get("hidden")},
        width=raw.get("width", 16),
        height=raw.get("height", 16),
        chars=raw.get("chars", {}),
        categories=raw.get("categories", {}),
        palette=bool(raw["info"].get("palette")),
    )
