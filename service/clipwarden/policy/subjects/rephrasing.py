"""A text that names somebody in, the same text about anybody out, for messages; None where no rule of thumb does it."""

import re
import unicodedata
from collections.abc import Sequence

from clipwarden.policy.subjects.wordlist import Hit, WordList, normalised, word_spans

_LEAST_WORDS = 2
"""Of a text that still says something: "people fighting"."""
_SEVERAL = frozenset({"men", "women", "two", "three", "four", "five", "several", "some", "many", "these", "those"})


def about_anybody(text: str, hits: Sequence[Hit], words: WordList) -> str | None:
    """Put "person" or "people" in the place of an English identity.

    Args:
        text: As written.
        hits: What `words` found in it.
        words: The list.

    Returns:
        The text without them, in which the list finds nothing more; None where grammar is beyond this.
    """
    text = unicodedata.normalize("NFC", text)
    spans = word_spans(text)
    tokens = normalised(text)
    if len(spans) != len(tokens) or any(hit.lang != "en" for hit in hits):
        return None
    named = sorted({index for hit in hits for index in hit.place}, reverse=True)
    plain = text
    for index in named:  # from the end, so that earlier spans keep their places
        start, end = spans[index]
        noun = _noun(tokens, index, named, words)
        if noun is None or "-" in text[max(start - 1, 0) : end + 1]:
            return None
        plain = f"{plain[:start]}{noun}{plain[end:]}"
    plain = _with_articles(" ".join(plain.split()))
    return None if words.find(plain) or _says_nothing(plain) else plain


def _with_articles(text: str) -> str:
    text = re.sub(r"\b([Aa])n (?=[^aeiouhAEIOUH])", r"\1 ", text)
    return re.sub(r"\b([Aa]) (?=[aei])", r"\1n ", text)


def _says_nothing(text: str) -> bool:
    """Tell whether somebody is left and nothing more, or stands there twice: "a person in a person"."""
    tokens = [token for token in normalised(text) if token not in ("a", "an", "the")]
    return len(tokens) < _LEAST_WORDS or sum(token in ("person", "people") for token in tokens) > 1


def _noun(tokens: Sequence[str], index: int, named: Sequence[int], words: WordList) -> str | None:
    """Return what stands for one word: nothing for an adjective, whose noun follows."""
    following = tokens[index + 1 : index + 2]
    if index + 1 in named or (following and following[0] in words.sets["people"]):
        return ""
    if tokens[index - 1 : index] and tokens[index - 1].isdigit():
        return None
    if following and following[0] not in words.sets["end"]:
        return None
    before = {*tokens[max(index - 2, 0) : index], tokens[index]}
    return "people" if before & _SEVERAL or words.is_plural(tokens[index]) else "person"
