"""A policy and a tokenizer in; warnings of texts that the model hardly reads out: unknown signs, shredded words.

A tokenizer holds whole the words that its model saw often. Words that it cuts into pieces were rare in training, and a
policy most of whose words are cut is most likely written in a language that the model does not read.

Measured on the names of 1,256 emoji in 21 languages (emojibase), eight of them a concept: with the embedded model's
tokenizer and with CLIP's, 0.1 % of concepts in English have half of their words cut or more, of those in German 99.7 %,
French 94 and 85 %, Spanish 97 and 92 %, other European languages 97 % and more, Vietnamese 88 and 100 %; Russian,
Hindi, Chinese, Japanese and Korean are always found. Of four names a concept it is 2 % in English and 98 % in German.
The shipped policies have at most 12 % of a category's words cut.

A single text among English ones is told by its script, or by a word that its language cannot do without and another
that is cut. Of twenty prompts as people write them that finds 15 in German, 15 in French and 17 in Spanish (14, 15 and
15 with CLIP's tokenizer); what is missed are single nouns first. Of the English names it finds one, "fleur-de-lis".
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby

from clipwarden.policy.language.rules import phrases_with_paths
from clipwarden.policy.schema import Concept
from clipwarden.textfiles.findings import Findings, Path

Pieces = Callable[[str], Sequence[str | None]]
"""Cuts a text into tokens, None for what the tokenizer does not know."""

MOST_WORDS = 0.5
"""Share of a concept's words that are cut, from which the language is doubted; see above."""
FEWEST_WORDS = 3
"""Words below which a share means nothing."""
SIGN_BY_SIGN = 0.9
"""Tokens a sign from which a phrase without blanks is cut into single signs. Measured: 95 % of the Chinese names have
1.0 or more with the embedded model's tokenizer, and 2.0 with CLIP's."""
EXAMPLES = 3
"""Words named."""

ENGLISH = "Write in English, which most models read best, or see what it finds with `--on FOLDER`."
LATIN = "LATIN"
FUNCTION_WORDS = {
    "German": "ein eine einen einem einer eines der das dem und mit ohne auf für von vom zum zur nicht",
    "French": "un une de à le les du des avec sans dans pour aux qui",
    "Spanish": "una con y el los las del para sobre que",
    "Italian": "il gli uno di della dello nel nella che",
    "Portuguese": "um uma dos das da com em não ao",
    "Dutch": "het een voor zonder naar niet bij aan",
    "Swedish, Danish": "ett och på för utan og uden",
    "Polish": "się jest nie dla przez oraz ze",
    "Turkish": "bir ve ile için",
}
"""Words that hold sentences together, for the languages that share an alphabet with English: the commonest that English
has not (so no `die`, `sur` or `met`), each where it came first."""
_FUNCTION_WORDS = frozenset(" ".join(FUNCTION_WORDS.values()).split())

# Scripts that put no blanks between words: what stands between two blanks is several tokens to any model.
_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})


def check_reading(concepts: Iterable[tuple[Path, Concept]], pieces: Pieces, findings: Findings) -> None:
    """Warn of what the model hardly reads: signs that it does not know, scripts and words that it cuts into pieces.

    Args:
        concepts: Those that are scored, with their paths in the file.
        pieces: `Tokens.pieces` of the text encoder's tokenizer.
        findings: Receives the warnings.
    """
    pieces = cache(pieces)  # the same few words, in thousands of texts
    for path, concept in concepts:
        texts = {here: text for here, text in phrases_with_paths(path, concept) if isinstance(text, str)}
        _check_unknown(texts, pieces, findings)
        _check_script(texts, pieces, findings)
        _check_language(concept, texts, pieces, findings)


def _check_unknown(texts: Mapping[Path, str], pieces: Pieces, findings: Findings) -> None:
    for path, text in texts.items():
        if None not in pieces(text):
            continue
        unknown = [part for part in text.split() if None in pieces(part)] or [text]
        message = f"The model's tokenizer does not know {_quoted(unknown)}: it could as well be anything else."
        findings.warn(findings.positions.find(*path), "unknown-token", message, "Say it in words that the model reads.")


def _check_script(texts: Mapping[Path, str], pieces: Pieces, findings: Findings) -> None:
    """Warn once a concept, at the first text that is cut up in a script other than Latin."""
    cut = [
        (path, word)
        for path, text in texts.items()
        for word in words(text)
        if script(word) != LATIN and None not in pieces(word) and is_cut(word, pieces)
    ]
    if cut:
        named = _quoted(word for _, word in cut)
        message = f"The model's tokenizer cuts {named} into pieces of a sign or two: it hardly reads this script."
        findings.warn(findings.positions.find(*cut[0][0]), "unread-script", message, ENGLISH)


def _check_language(concept: Concept, texts: Mapping[Path, str], pieces: Pieces, findings: Findings) -> None:
    """Warn once a concept, at its first text with a word that is cut, or that another language gives away."""
    latin = [(path, word) for path, text in texts.items() for word in words(text) if script(word) == LATIN]
    cut = [(path, word) for path, word in latin if is_cut(word, pieces)]
    if len(latin) >= FEWEST_WORDS and len(cut) >= MOST_WORDS * len(latin):
        message = (
            f'The model\'s tokenizer cuts {len(cut)} of the {len(latin)} words of "{concept.id}" into pieces, such as '
            f"{_quoted(word for _, word in cut)}: it was taught few words of this language."
        )
        findings.warn(findings.positions.find(*cut[0][0]), "unread-language", message, ENGLISH)
        return
    for path, text in texts.items():
        if foreign := foreign_word(text, pieces):
            message = f'"{text}" does not read like English ("{foreign}"), and its words are cut into pieces.'
            findings.warn(findings.positions.find(*path), "unread-language", message, ENGLISH)
            return


def foreign_word(text: str, pieces: Pieces) -> str | None:
    """Return the first of `FUNCTION_WORDS` in a text that holds another word that is cut; None where there is none."""
    found = [word.casefold() for word in words(text)]
    foreign = next((word for word in found if word in _FUNCTION_WORDS), None)
    return foreign if any(is_cut(word, pieces) for word in found if word not in _FUNCTION_WORDS) else None


def words(text: str) -> tuple[str, ...]:
    """List a text's runs of letters, with their marks."""
    return tuple("".join(run) for is_letter, run in groupby(text, _is_letter) if is_letter)


def script(word: str) -> str:
    """Name the script of a word by its first letter's name in Unicode, such as LATIN or CYRILLIC."""
    return unicodedata.name(word[0], "").partition(" ")[0]


def is_cut(word: str, pieces: Pieces) -> bool:
    """Tell whether a word is not one token; of what is written without blanks, whether each sign is one."""
    found = pieces(word)
    if None in found:
        return True
    return len(found) > 1 and (script(word) not in _UNSPACED or len(found) >= SIGN_BY_SIGN * len(word))


def _is_letter(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LM"


def _quoted(parts: Iterable[str]) -> str:
    named = list(dict.fromkeys(parts))
    return ", ".join(f'"{part}"' for part in named[:EXAMPLES]) + (" and others" if len(named) > EXAMPLES else "")
