"""A prompt or a negative in; warnings out of what an image model reads in another way than its author."""

import re

from clipwarden.textfiles.findings import Findings, Place

_NEGATION = re.compile(r"\b(no|not|without|never|nor|none)\b|n['’]t\b", re.IGNORECASE)  # noqa: RUF001 - typed apostrophes
_AND_SO_ON = re.compile(r"\betc\b\.?|…|\.{3}|\band so on\b|\band the like\b|\busw\b\.?", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:a|an|the|some|ein|eine)\s+\S", re.IGNORECASE)
_FEWEST = 3
"""Parts between commas, or slashes, from which a text looks like a list; one comma or two parts stand in many texts."""
_MOST_WORDS = 4
"""Words of a part; a longer one is no name of a thing."""


def check_text(place: Place, text: str, findings: Findings) -> None:
    """Warn of a text that denies, lists or leaves open what it is about.

    Args:
        place: Where it stands.
        text: As read.
        findings: Receives the warnings.
    """
    if match := _NEGATION.search(text):
        message = f'CLIP ignores "{match[0]}": "{text}" matches the thing it denies.'
        fix = "Describe what is there; put what must not be there on the other side (negatives or prompts)."
        findings.warn(place, "negation", message, fix)
    if match := _AND_SO_ON.search(text):
        message = f'"{match[0]}" in "{text}" says nothing to a model, which knows no more than the words.'
        findings.warn(place, "and-so-on", message, "Delete it, and add a text for each thing that you mean.")
    if parts := listed(text):
        message = f'"{text}" is one text: an image has to match all of it together.'
        written = ", ".join(f'"{part}"' for part in parts)
        fix = f"If these are several things, write a text for each: `{written}`; else join them by words."
        findings.warn(place, "several-texts", message, fix)


def listed(text: str) -> list[str]:
    """Return the things that a text lists; nothing where it reads like one."""
    for parting, fewest in ((";", 2), (",", _FEWEST), ("/", _FEWEST)):
        found = (part.strip() for part in text.rstrip(".;, ").split(parting))
        parts = [re.sub(r"^(?:and|or|und|oder)\s+", "", part) for part in found if part]
        # "a red, white and blue flag" is one thing: its parts are not alike.
        alike = all(map(_ARTICLE.match, parts)) or all(" " not in part for part in parts)
        if len(parts) >= fewest and all(map(_names_a_thing, parts)) and (alike or parting != ","):
            return parts
    return []


def _names_a_thing(part: str) -> bool:
    return len(part.split()) <= _MOST_WORDS and re.search(r"[^\W\d_]{2}", part) is not None
