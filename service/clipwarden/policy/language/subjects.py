"""Whom a policy's texts are about: findings on identity where it is looked for, on minors, and on idle waivers."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clipwarden.errors import Problem
from clipwarden.policy.language.rules import (
    MAX_EMBEDDED_TEXTS,
    concepts_with_paths,
    embedded_texts,
    phrases_with_paths,
    plain_text,
)
from clipwarden.policy.schema import Adjustment, Category, Concept, Exemption, Phrase, Policy, Waivable, Waiver
from clipwarden.policy.subjects.rephrasing import about_anybody
from clipwarden.policy.subjects.wordlist import Hit, WordList, as_written, word_list
from clipwarden.textfiles.findings import Findings, Path, Positions
from clipwarden.textfiles.wording import shown

_SEXUAL = re.compile(
    r"(?:^|[._])(erotic|erotica|fetish|genitals|hentai|lewd|lingerie|naked|nsfw|nude|nudes|nudist|nudity|porn[a-z]*|racy|"
    r"sex(?![._]ed(?:ucation)?(?:$|[._]))|sexual[a-z]*|sexy|topless|xxx)(?:$|[._])|"
    r"^(adult|explicit|suggestive)(?:_content)?$"
)
"""The word in the id of a concept whose negatives may name no minors either."""
_GLUED = re.compile(r"\w\{\}|\{\}\w")
"""A template that makes one word of its own letters and the prompt's."""
_KIND = "a model that is told to look for people of a kind finds people of that kind."
_NO_SAFEGUARD = "No score protects them, and no waiver lifts this."
_HASHES = "to find abuse of children, use vetted hash programmes (NCMEC, IWF, PhotoDNA, StopNCII)."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """A text that names somebody.

    Attributes:
        path: Where it is written.
        text: As it is written.
        read: As the model reads it: within a template where it names nobody without.
        hits: Found in `read`.
    """

    path: Path
    text: str
    read: str
    hits: tuple[Hit, ...]

    @property
    def told(self) -> str:
        inside = "" if self.read == self.text else f' ("{shown(self.text)}" in a template)'
        return f'"{shown(self.read)}"{inside}'

    @property
    def words(self) -> str:
        return ", ".join(dict.fromkeys(f'"{as_written(self.read, hit.place)}"' for hit in self.hits))

    @property
    def identity(self) -> str:
        groups = ", ".join(dict.fromkeys(hit.group for hit in self.hits))
        return f"{self.told} names who somebody is, by {self.words} ({groups}); {_KIND}"

    @property
    def plain(self) -> str | None:
        """What may be written instead."""
        return about_anybody(self.text, self.hits, word_list("identity")) if self.read == self.text else None

    def mend(self, *, said: bool) -> str:
        write = (
            f'Write "{self.plain}"' if self.plain else 'Say what anybody does there, or what is shown: "a person ..."'
        )
        if said:
            write = f'Delete it, since "{self.plain}" would stand here twice'
        text = json.dumps(self.text, ensure_ascii=False)
        waiver = f'`waive: [{{rule: {Waivable.IDENTITY}, texts: [{text}], reason: "...", approved_by: "..."}}]`'
        return f"{write}; or, if somebody answers for it, add {waiver} beside the id."


def check_subjects(policy: Policy, findings: Findings) -> None:
    """Report texts that name identity or minors where they may not, and waivers that waive nothing.

    Args:
        policy: As read; stand-ins for values already reported name nobody.
        findings: Receives the problems; knows where each value was written.
    """
    asked = _asked_for(policy)
    for path, concept in _concepts(policy):
        _check_minors(path, concept, findings)
        identities = list(_identities(path, concept, asked, findings.positions))
        _check_waivers(path, concept, findings, {plain_text(named.text) for named in identities})
        _check_identity(concept, [named for named in identities if not _waiver(concept, named.text)], findings)


def waived(policy: Policy, positions: Positions) -> tuple[Problem, ...]:
    """Return a note on every text that a waiver lets pass: it is shown as long as it stands.

    Args:
        policy: As parsed.
        positions: Where it was written.

    Returns:
        Notes, in file order.
    """
    findings = Findings(positions.file, positions.places)
    asked = _asked_for(policy)
    for path, concept in _concepts(policy):
        for named in _identities(path, concept, asked, positions) if concept.waive else ():
            if waiver := _waiver(concept, named.text):
                approval = f'Waived here by {waiver.approved_by}: "{waiver.reason}".'
                findings.note(positions.find(*named.path), "identity", named.identity, approval)
    return findings.problems


def _concepts(policy: Policy) -> Iterator[tuple[Path, Concept]]:
    """Yield every concept; without its templates in a policy that is refused already since it has too many texts."""
    too_many = embedded_texts(policy) > MAX_EMBEDDED_TEXTS
    for path, concept in concepts_with_paths(policy):
        yield path, replace(concept, templates=()) if too_many else concept


def _asked_for(policy: Policy) -> frozenset[str]:
    """Name the attributes by which some category judges."""
    conditions: list[Exemption | Adjustment] = []
    for category in policy.categories:
        conditions += (*category.exemptions, *category.adjustments)
    return frozenset(condition.attribute for condition in conditions)


def _waiver(concept: Concept, text: str) -> Waiver | None:
    """Return the first approval of a text."""
    fits = (waiver for waiver in concept.waive if waiver.rule is Waivable.IDENTITY)
    return next((waiver for waiver in fits if plain_text(text) in map(plain_text, waiver.texts)), None)


def _identities(path: Path, concept: Concept, asked: frozenset[str], positions: Positions) -> Iterator[_Named]:
    """Yield the texts by which images are judged and that name identity; an attribute nobody asks for judges none."""
    if isinstance(concept, Category) or concept.id in asked:
        yield from _named("identity", path, concept, positions)


def _check_identity(concept: Concept, identities: Sequence[_Named], findings: Findings) -> None:
    written = {plain_text(str(prompt.text)) for prompt in concept.prompts}
    for named in identities:
        plain = named.plain and plain_text(named.plain)
        mend = named.mend(said=plain in written)
        findings.warn(findings.positions.find(*named.path), "identity", named.identity, mend, strict=True)
        written |= {plain} if plain else set()


def _check_minors(path: Path, concept: Concept, findings: Findings) -> None:
    for named in _named("minors", path, concept, findings.positions):
        message = f"{named.told} is about minors, by {named.words}, whom no prompt may name. {_NO_SAFEGUARD}"
        findings.error(findings.positions.find(*named.path), "minors", message, f"Delete it; {_HASHES}")
    if sexual := _SEXUAL.search(concept.id):
        for named in _named("minors", path, concept, findings.positions, side="negatives"):
            message = (
                f'{named.told} is about minors, by {named.words}: as a negative of "{concept.id}", which is about sex '
                f'by "{sexual[1] or sexual[2]}", it would hide what a person must see. {_NO_SAFEGUARD}'
            )
            findings.error(findings.positions.find(*named.path), "minors", message, f"Delete it; {_HASHES}")


def _check_waivers(path: Path, concept: Concept, findings: Findings, needed: set[str]) -> None:
    for index, waiver in enumerate(concept.waive):
        here = (*path, "waive", index)
        unread = findings.refused(*here) or findings.refused(*here, "rule")
        for number, text in enumerate(() if unread else waiver.texts):
            if plain_text(text) in needed:
                needed.discard(plain_text(text))  # once is enough
                continue
            message = f'Nothing is left here for which "{waiver.rule}" would have to be waived by "{shown(text)}".'
            fix = "Delete it: it would pass a later text unseen."
            findings.warn(findings.positions.find(*here, "texts", number), "idle-waiver", message, fix)


def _named(rule: str, path: Path, concept: Concept, positions: Positions, side: str = "prompts") -> Iterator[_Named]:
    """Yield the texts of one side that name somebody; with the prompts come the templates, which all texts share."""
    words = word_list(rule)
    phrases, templates = list(_phrases(path, concept, side)), list(_templates(path, concept, positions))
    named: dict[Path, _Named] = {}
    for here, phrase in (*phrases, *templates):
        text = str(phrase)  # a learned vector's name says what it was made of
        if hits := words.find(text):
            named[here] = _Named(path=here, text=text, read=text, hits=hits)
    yield from (each for here, each in named.items() if side == "prompts" or here in dict(phrases))
    rest = [(here, phrase) for here, phrase in phrases if isinstance(phrase, str) and here not in named]
    yield from _in_templates(words, rest, [text for here, text in templates if here not in named])


def _in_templates(words: WordList, texts: Sequence[tuple[Path, str]], templates: Sequence[str]) -> Iterator[_Named]:
    """Yield the texts that name somebody within a template: "15" in "a {} year old". Most pairs hold no listed word."""
    listed = {template: bool(_GLUED.search(template)) or words.may_find(template) for template in templates}
    for here, text in texts:
        read_in = templates if words.may_find(text) else [template for template in templates if listed[template]]
        for read in (template.replace("{}", text) for template in read_in if template != "{}"):
            if hits := words.find(read):
                yield _Named(path=here, text=text, read=read, hits=hits)
                break


def _templates(path: Path, concept: Concept, positions: Positions) -> Iterator[tuple[Path, str]]:
    own = (*path, "templates")
    # Templates of `defaults` reach every concept; the findings drop the repetitions.
    base: Path = own if own in positions.places else ("defaults", "templates")
    yield from (((*base, index), text) for index, text in enumerate(concept.templates))


def _phrases(path: Path, concept: Concept, side: str) -> Iterator[tuple[Path, Phrase]]:
    return ((here, phrase) for here, phrase in phrases_with_paths(path, concept) if here[len(path)] == side)
