"""Parts of the file in; how messages name and quote them, and what a misspelt word was meant to be, out."""

import difflib
from collections.abc import Collection

from clipwarden.textfiles.findings import Path

_LONGEST_QUOTE = 80
"""Characters of the file's own text that a message repeats."""


def name_of(path: Path) -> str:
    """Render a path as people write it: `categories[0].thresholds.review`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path]
    return "".join(parts).removeprefix(".") or "The file"


def shown(text: str) -> str:
    """Return a text as messages quote it: cut off where it would bury the sentence."""
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def closest(word: str, candidates: Collection[str]) -> str | None:
    """Return the candidate that a misspelt word was most likely meant to be, or None."""
    if len(word) > _LONGEST_QUOTE:
        return None
    tidy = word.casefold().replace("-", "_").strip()
    return next(iter(difflib.get_close_matches(tidy, candidates, n=1, cutoff=0.6)), None)


def such_as(example: str) -> str:
    """Return an example as the end of a sentence, but none that would have to be filled in."""
    return "" if "..." in example else f", such as {example}"
