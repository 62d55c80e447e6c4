"""Whom a policy's texts are about: findings on identity where it is looked for, on minors, and on idle waivers."""

from collections.abc import Iterator
from dataclasses import dataclass

from clipwarden.errors import Problem
from clipwarden.policy.language.rules import concepts_with_paths, phrases_with_paths
from clipwarden.policy.schema import Adjustment, Category, Concept, Exemption, Policy, Waivable, Waiver
from clipwarden.policy.subjects.rephrasing import about_anybody
from clipwarden.policy.subjects.wordlist import Hit, word_list
from clipwarden.textfiles.findings import Findings, Path, Positions
from clipwarden.textfiles.wording import shown

_SEXUAL = "sexual"
"""Id, or its first part, of concepts whose negatives may name no minors either."""
_KIND = "a model that is told to look for people of a kind finds people of that kind."
_NO_SAFEGUARD = "No score protects them, and no waiver lifts this."
_HASHES = "to find abuse of children, use vetted hash programmes (NCMEC, IWF, PhotoDNA, StopNCII)."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """A text that names somebody, and where it is written."""

    path: Path
    text: str
    hits: tuple[Hit, ...]

    @property
    def words(self) -> str:
        return ", ".join(dict.fromkeys(f'"{hit.words}"' for hit in self.hits))

    @property
    def identity(self) -> str:
        groups = ", ".join(dict.fromkeys(hit.group for hit in self.hits))
        return f'"{shown(self.text)}" names who somebody is, by {self.words} ({groups}); {_KIND}'

    @property
    def mend(self) -> str:
        plain = about_anybody(self.text, self.hits, word_list("identity"))
        write = f'Write "{plain}"' if plain else 'Say what anybody does there, or what is shown: "a person ..."'
        waiver = f'`waive: [{{rule: {Waivable.IDENTITY}, reason: "...", approved_by: "..."}}]`'
        return f"{write}; or, if somebody answers for it, add {waiver} beside the id."


def check_subjects(policy: Policy, findings: Findings) -> None:
    """Report texts that name identity or minors where they may not, and waivers that waive nothing.

    Args:
        policy: As read; stand-ins for values already reported name nobody.
        findings: Receives the problems; knows where each value was written.
    """
    asked = _asked_for(policy)
    for path, concept in concepts_with_paths(policy):
        _check_minors(path, concept, findings)
        identities = list(_identities(path, concept, asked, findings.positions))
        _check_waivers(path, concept, findings, needed=bool(identities))
        for named in [] if _waiver(concept) else identities:
            findings.warn(findings.positions.find(*named.path), "identity", named.identity, named.mend, strict=True)


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
    for path, concept in concepts_with_paths(policy):
        if waiver := _waiver(concept):
            approval = f'Waived here by {waiver.approved_by}: "{waiver.reason}".'
            for named in _identities(path, concept, asked, positions):
                findings.note(positions.find(*named.path), "identity", named.identity, approval)
    return findings.problems


def _asked_for(policy: Policy) -> frozenset[str]:
    """Name the attributes by which some category judges."""
    conditions: list[Exemption | Adjustment] = []
    for category in policy.categories:
        conditions += (*category.exemptions, *category.adjustments)
    return frozenset(condition.attribute for condition in conditions)


def _waiver(concept: Concept) -> Waiver | None:
    return next((waiver for waiver in concept.waive if waiver.rule is Waivable.IDENTITY), None)


def _identities(path: Path, concept: Concept, asked: frozenset[str], positions: Positions) -> Iterator[_Named]:
    """Yield the texts by which images are judged and that name identity; an attribute nobody asks for judges none."""
    if isinstance(concept, Category) or concept.id in asked:
        yield from _named("identity", _looked_for(path, concept, positions))


def _check_minors(path: Path, concept: Concept, findings: Findings) -> None:
    for named in _named("minors", _looked_for(path, concept, findings.positions)):
        message = f'"{shown(named.text)}" is about minors, by {named.words}, whom no prompt may name. {_NO_SAFEGUARD}'
        findings.error(findings.positions.find(*named.path), "minors", message, f"Delete it; {_HASHES}")
    if concept.id.partition(".")[0] == _SEXUAL:
        for named in _named("minors", _phrases(path, concept, "negatives")):
            message = (
                f'"{shown(named.text)}" is about minors, by {named.words}: as a negative of "{concept.id}" it would '
                f"hide what a person must see. {_NO_SAFEGUARD}"
            )
            findings.error(findings.positions.find(*named.path), "minors", message, f"Delete it; {_HASHES}")


def _check_waivers(path: Path, concept: Concept, findings: Findings, *, needed: bool) -> None:
    for index, waiver in enumerate(concept.waive):
        acts = needed and waiver is _waiver(concept)
        if acts or findings.refused(*path, "waive", index, "rule"):
            continue
        place = findings.positions.find(*path, "waive", index)
        message = f'Nothing is left here for which "{waiver.rule}" would have to be waived.'
        findings.warn(place, "idle-waiver", message, "Delete the waiver: it would pass a later text unseen.")


def _named(rule: str, texts: Iterator[tuple[Path, str]]) -> Iterator[_Named]:
    for path, text in texts:
        if hits := word_list(rule).find(text):
            yield _Named(path=path, text=text, hits=hits)


def _looked_for(path: Path, concept: Concept, positions: Positions) -> Iterator[tuple[Path, str]]:
    """Yield prompts, and templates, whose words stand in every one of them."""
    yield from _phrases(path, concept, "prompts")
    own = (*path, "templates")
    # Templates of `defaults` reach every concept; the findings drop the repetitions.
    base: Path = own if own in positions.places else ("defaults", "templates")
    yield from (((*base, index), text) for index, text in enumerate(concept.templates))


def _phrases(path: Path, concept: Concept, side: str) -> Iterator[tuple[Path, str]]:
    """Yield one side's texts, and the names of its learned vectors, which say what they were made of."""
    return ((here, str(phrase)) for here, phrase in phrases_with_paths(path, concept) if here[len(path)] == side)
