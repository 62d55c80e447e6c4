"""A text in; out come the words in it that name whom it is about, by the reviewed lists beside this module.

A list is YAML: groups of entries, an entry being words that are matched alike. Case, accents, hyphens, punctuation and
a possessive 's are passed over, and every English plural is understood. A star stands for any letters at that end of a
word. Without `as` a word counts wherever it stands; with it, in these phrases alone; in no case within a phrase of
`but`. In phrases `{}` is the word itself, `{s}` its plural alone, `<name>` a word of a set of sets.yaml, `<any>` one
word of any kind, `<doing>` one in -ing, `<worker>` one of `workers` or in -er, -or, -ist, -man, and `<end>` the place
where a noun for people ends; `adjective`, `noun` and `by birth` stand for the phrases of `_USES`. `found` and `passed`
are texts that the tests hold the entry against, `why` is for reviewers.

The lists help honest authors. They see no misspelling that was meant to pass, and no picture.
"""

import re
import sys
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent
_POSSESSIVE = re.compile(r"['’]s\b")  # noqa: RUF001  typed apostrophes
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_WORKER = re.compile(r"..(?:er|or|ist)s?$|..m[ae]n$")
_ADJECTIVE = ("{} <people>", "{} born", "{} looking", "who is {}", "who are {}", "who look {}")
_BY_BIRTH = (
    *("of {} descent", "of {} ancestry", "of {} ethnicity", "of {} extraction", "<people> of {} origin"),
    *("<people> of {} heritage", "<people> of {} background", "<people> with {} roots"),
)
_WORKERS = (
    "{} <worker>",
    "{} <field> <people>",
    "{} <field> <worker>",
    "{} <field> <field> <worker>",
    "{} <field> star",
)
_USES: Mapping[str, tuple[str, ...]] = {
    "adjective": _ADJECTIVE,
    "noun": (*_ADJECTIVE, "{s}", "<article> {} <end>", "<article> <any> {} <end>"),
    "by birth": (*_BY_BIRTH, *_WORKERS, "{} porn", "{} pornography"),
}
"""Phrases in which a word that goes with things too is about people."""
_DIGITS = {
    "minor_numbers": range(18),
    "teen_numbers": range(10, 18),
    "limit_numbers": range(6, 19),
    "adult_numbers": range(18, 120),
}
"""Ages in digits that stand beside those in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """Words of a text that name somebody.

    Attributes:
        words: As read: in lower case, without accents and hyphens.
        group: Of the list, such as `religion`.
        lang: Of the entry that found them.
        place: Which of the text's words they are.
    """

    words: str
    group: str
    lang: str
    place: range


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Words of a list that are matched alike; the module says how.

    Attributes:
        group: Its group's name.
        lang: Language of the words.
        words: As written.
        phrases: Where they count, uses written out; `{}` is everywhere.
        but: Where they do not.
        found: Texts, `{}` for each word, in which they must be found.
        passed: Texts, `{}` for each word, in which this list must find nothing.
        why: What sets the two apart; empty where every use counts.
    """

    group: str
    lang: str
    words: tuple[str, ...]
    phrases: tuple[str, ...] = ("{}",)
    but: tuple[str, ...] = ()
    found: tuple[str, ...]
    passed: tuple[str, ...] = ()
    why: str = ""


class WordList:
    """A reviewed list of words, and the matcher that reads texts by it; immutable, safe to share between threads.

    Args:
        entries: In the order of the file.
        sets: Words that phrases name as `<name>`.
    """

    def __init__(self, entries: Sequence[Entry], sets: Mapping[str, Iterable[str]]) -> None:
        self.entries = tuple(entries)
        self.sets = _expanded(sets)
        self._by_token: dict[str, list[_Rule]] = {}
        self._by_stem: dict[str, list[_Rule]] = {}
        for entry in self.entries:
            for word in entry.words:
                rule, first = _Rule(entry, word, self.sets), _tokens(word)[0]
                if "*" in first:
                    self._by_stem.setdefault(first, []).append(rule)
                for form in forms(first):
                    self._by_token.setdefault(form, []).append(rule)
        self._starts = tuple(stem.rstrip("*") for stem in self._by_stem if stem.endswith("*"))
        self._ends = tuple(stem.lstrip("*") for stem in self._by_stem if stem.startswith("*"))

    def find(self, text: str) -> tuple[Hit, ...]:
        """Return what names somebody, in the order of the text; takes about 50 microseconds for a short one.

        Args:
            text: In any language.
        """
        tokens = normalised(text)
        rules = dict.fromkeys(rule for token in tokens for rule in self._rules(token))
        hits = dict.fromkeys(hit for rule in rules for hit in rule.hits(tokens))
        return tuple(sorted(hits, key=lambda hit: (hit.place.start, hit.place.stop)))

    def may_find(self, text: str) -> bool:
        """Tell whether some word of a text begins one of the list, so that more words around it may name somebody."""
        return any(True for token in normalised(text) for _ in self._rules(token))

    def is_plural(self, token: str) -> bool:
        """Tell whether a word is the plural of another one of the list."""
        singulars = (token[:-1], f"{token[:-3]}y") if token.endswith("ies") else (token[:-1],)
        return token.endswith("s") and any(singular in self._by_token for singular in singulars)

    def _rules(self, token: str) -> Iterator["_Rule"]:
        yield from self._by_token.get(token, ())
        # Few tokens have such an end, and both tests go through all ends at once.
        if token.startswith(self._starts) or token.endswith(self._ends):
            yield from (rule for stem, rules in self._by_stem.items() if token in _Starred(stem) for rule in rules)


@cache  # reading a list takes longer than asking it about every text of a policy
def word_list(name: str) -> WordList:
    """Return a list that comes with the package.

    Args:
        name: `identity` or `minors`.
    """
    return WordList(list(_entries(read_list(name)["groups"])), read_list("sets"))


def normalised(text: str) -> list[str]:
    """Split a text into words without case, accents, possessives, hyphens and punctuation."""
    bare = text.casefold()
    if not bare.isascii():
        bare = "".join(char for char in unicodedata.normalize("NFKD", bare) if not unicodedata.combining(char))
    return _TOKEN.findall(_POSSESSIVE.sub("", bare))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text in composed form (NFC) stand, one for each of `normalised`."""
    return [match.span() for match in _TOKEN.finditer(_POSSESSIVE.sub("  ", text))]


def as_written(text: str, place: range) -> str:
    """Return some words of a text in its author's own spelling.

    Args:
        text: Any text.
        place: Which of its words, as in a `Hit`.
    """
    composed, tokens = unicodedata.normalize("NFC", text), normalised(text)
    spans = word_spans(composed)
    if len(spans) != len(tokens):  # a ligature or a sign that is several letters
        return " ".join(tokens[place.start : place.stop])
    return composed[spans[place.start][0] : spans[place.stop - 1][1]]


@dataclass(frozen=True, slots=True)
class _Starred:
    """Every token that begins, or ends, as a starred word does."""

    word: str

    def __contains__(self, token: object) -> bool:
        bare = self.word.strip("*")
        return str(token).startswith(bare) if self.word.endswith("*") else str(token).endswith(bare)


@dataclass(frozen=True, kw_only=True, slots=True)
class _End:
    """Every token that may follow a noun for people: a small word, or what they are doing."""

    after: Container[str]
    things: Container[str]

    def __contains__(self, token: object) -> bool:
        return token in self.after or (str(token).endswith("ing") and token not in self.things)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Worker:
    """Every token that names people by what they do."""

    named: Container[str]
    things: Container[str]

    def __contains__(self, token: object) -> bool:
        return token in self.named or (_WORKER.search(str(token)) is not None and token not in self.things)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Phrase:
    """A row of tokens to look for.

    Attributes:
        items: What each token may be.
        word: Where among them the word stands.
        rarest: Which item is one of the fewest words: the phrase is looked for where that stands.
        followers: What the next token, if there is one, may be; None for anything.
    """

    items: tuple[Container[str], ...]
    word: slice
    rarest: int
    followers: Container[str] | None = None

    def spans(self, tokens: Sequence[str]) -> Iterator[range]:
        """Yield where the word stands, each time that the phrase does."""
        rarest = self.items[self.rarest]
        starts = [place - self.rarest for place, token in enumerate(tokens) if token in rarest]
        for start in starts:
            end = start + len(self.items)
            if start < 0 or end > len(tokens):
                continue
            fits = all(token in item for token, item in zip(tokens[start:end], self.items, strict=True))
            if fits and (self.followers is None or end == len(tokens) or tokens[end] in self.followers):
                yield range(start, end)[self.word]


class _Rule:
    """One word of an entry. Its phrases are made when a text first holds it: most words never occur.

    Args:
        entry: The entry.
        word: One of its words.
        sets: What `<name>` stands for.
    """

    def __init__(self, entry: Entry, word: str, sets: Mapping[str, Container[str]]) -> None:
        self._entry = entry
        self._word = word
        self._sets = sets

    def hits(self, tokens: Sequence[str]) -> Iterator[Hit]:
        """Yield each place where the word names somebody."""
        if not (found := [span for phrase in self._counting for span in phrase.spans(tokens)]):
            return
        spared = {place for phrase in self._spared for span in phrase.spans(tokens) for place in span}
        for span in found:
            if spared.isdisjoint(span):
                words = " ".join(tokens[span.start : span.stop])
                yield Hit(words=words, group=self._entry.group, lang=self._entry.lang, place=span)

    @cached_property
    def _counting(self) -> tuple[_Phrase, ...]:
        return tuple(self._phrase(phrase) for phrase in self._entry.phrases)

    @cached_property
    def _spared(self) -> tuple[_Phrase, ...]:
        # All of the phrase is spared, not only the word: an entry's words often stand in one phrase.
        return tuple(replace(self._phrase(phrase), word=slice(None)) for phrase in self._entry.but)

    def _phrase(self, phrase: str) -> _Phrase:
        items: list[Container[str]] = []
        place = slice(None)
        for part in phrase.removesuffix("<end>").split():
            made = self._items(part)
            if part in ("{}", "{s}"):
                place = slice(len(items), len(items) + len(made))
            items += made
        if "_numbers>" in phrase:
            place = slice(None)  # "15 year old": the age is what names somebody
        followers = self._sets["end"] if phrase.endswith("<end>") else None
        sizes = [len(item) if isinstance(item, frozenset) else sys.maxsize for item in items]
        rarest = sizes.index(min(sizes))
        return _Phrase(items=tuple(items), word=place, rarest=rarest, followers=followers)

    def _items(self, part: str) -> list[Container[str]]:
        if part.startswith("<"):
            return [self._sets[part.strip("<>")]]
        if part == "{s}":
            *others, last = _tokens(self._word)
            return [*map(forms, others), frozenset({f"{last}s"})]
        words = _tokens(self._word if part == "{}" else part)
        return [_Starred(each) if "*" in each else forms(each) for each in words]


def _expanded(sets: Mapping[str, Iterable[str]]) -> dict[str, Container[str]]:
    """Return what `<name>` stands for: the words of each set, their plurals, and digits where it holds ages."""
    found: dict[str, Container[str]] = {"any": _Starred("*")}
    for name, words in sets.items():
        digits = (str(number) for number in _DIGITS.get(name, ()))
        found[name] = frozenset((*digits, *(form for word in words for form in forms(word))))
    found["end"] = _End(after=found["after"], things=found["things_in_ing"])
    found["doing"] = _End(after=(), things=found["things_in_ing"])
    found["worker"] = _Worker(named=found["workers"], things=found["things_in_er"])
    return found


def _tokens(words: str) -> list[str]:
    """Split words of a list as texts are split, stars kept."""
    return [
        f"{'*' * part.startswith('*')}{token}{'*' * part.endswith('*')}"
        for part in words.split()
        for token in normalised(part)
    ]


def forms(token: str) -> frozenset[str]:
    """Return a word and its English plurals.

    Args:
        token: In lower case.
    """
    plurals = {f"{token}s", f"{token}es", f"{token[:-1]}ies" if token.endswith("y") else token}
    return frozenset({token, *plurals})


def read_list(name: str) -> dict[str, Any]:
    """Read a list that comes with the package, every scalar a text.

    Args:
        name: Of its file, without `.yaml`.
    """
    # Our own file, so that the C parser's messages do not matter. Base: every scalar is a text ("on" no boolean).
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    data: dict[str, Any] = yaml.load((_FOLDER / f"{name}.yaml").read_text("utf-8"), loader)  # noqa: S506  a safe loader
    return data


def _entries(groups: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[Entry]:
    for group, entries in groups.items():
        for entry in entries:
            told: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
            }
            uses = told.pop("as", ("{}",))
            phrases = tuple(phrase for use in uses for phrase in _USES.get(use, (use,)))
            yield Entry(group=group, phrases=phrases, **told)
