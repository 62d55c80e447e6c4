"""Which questions labels were asked before, in; how often they have been looked at, this time included, out.

Whoever changes texts after seeing what labels say, or asks for another target, and tests on the same labels, has had
another try: chances of a broken promise add up over tries (`lines.confidence`). What counts as a try is a question: a
category, how its number is made (texts, scoring, model), and the targets. The same question again gives the same answer
and is no other try, and figures without a target are one with the first target asked of the same texts: looking, asking
and writing is one look.

What would help (`helping`) is a try for each text that it leaves out, as soon as somebody acts on it: the best of
thirty, chosen and then tested on the same labels, breaks a promise of 5 % in 15 to 29 % of samples. So the texts that
were compared are kept with the question, and when a category comes back without one of them, all of them count. Texts
that were only added were not compared, and are one look as ever.

Questions are kept where `remembering` says, a line each.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import fit_digest
from clipwarden.policy.schema import Category
from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.tune.helping import compared_texts
from clipwarden.tuning.tune.remembering import known_lines, note_lines
from clipwarden.tuning.tune.standing import category_of
from clipwarden.tuning.tune.targets import Targets

_COMPARED = "compared"
_CHOSEN = "chosen"
_MOST_DIGITS = 6
_TEXT_DIGITS = 16
"""Of a text's digest, which tells the texts of one category apart; the texts themselves stay in the policy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """How often labels have been looked at.

    Attributes:
        counts: By category, this time included.
        chosen: By category, how many texts were compared on these labels before one of them was changed; counted above.
        written: Where it was noted; nowhere where no folder could be written.
    """

    counts: Mapping[str, int]
    chosen: Mapping[str, int] = field(default_factory=dict)
    written: tuple[Path, ...]


def note_look(
    labels: Labels,
    compiled: CompiledPolicy,
    asked: Mapping[str, Targets],
    *,
    compared: Iterable[str] = (),
    state: Path | None = None,
    write: bool = True,
) -> Looks:
    """Note that labels are looked at, and count how often they have been.

    Args:
        labels: As read, from files.
        compiled: The policy.
        asked: What is asked of each category.
        compared: Categories of which it was shown what each text left out would do.
        state: The folder for what is kept; None takes the user's.
        write: Whether it is noted; else it is only counted, as long as nothing was shown.

    Returns:
        The counts.
    """
    known = known_lines(labels, state)
    wanted = set(known)
    for name, targets in asked.items():
        category, made = category_of(compiled, name), _made(compiled, name)
        wanted |= {_line(name, made, targets), *_acted_on(known, category, made)}
    wanted |= {_comparison(compiled, name) for name in compared}
    written = note_lines(labels, wanted, state) if write else ()
    counted = {name: _count(wanted, name) for name in asked}
    chosen = {name: sum(_chosen(wanted, name).values()) for name in asked}
    return Looks(counts=counted, chosen={name: many for name, many in chosen.items() if many}, written=written)


def _made(compiled: CompiledPolicy, category: str) -> str:
    """Name by its content how a category's number is made."""
    scale, plan = compiled.policy.model.calibration_scale, compiled.policy.plan
    concept = replace(category_of(compiled, category), calibration=None)  # it reorders nothing
    return fit_digest(concept, fingerprint=compiled.fingerprint, calibration_scale=scale, plan=plan)


def _line(category: str, made: str, targets: Targets) -> str:
    """Put a question into one line: the category, how its number is made, and the targets, if there are any."""
    options = replace(targets, prevalence=None).options  # it moves no line
    return "\t".join((category, made, ", ".join(options) if targets.asks else ""))


def _comparison(compiled: CompiledPolicy, category: str) -> str:
    texts = sorted(map(_digest, compared_texts(category_of(compiled, category))))
    return "\t".join((category, _made(compiled, category), "", " ".join((_COMPARED, *texts))))


def _acted_on(known: Iterable[str], category: Category, made: str) -> Iterator[str]:
    """Find comparisons that a category acts on that is asked about for the first time: it lacks a text of theirs."""
    about = [parts for parts in map(_parts, known) if parts[0] == category.id]
    if any(parts[1] == made for parts in about):
        return
    present = set(map(_digest, compared_texts(category, whole=True)))
    for _, before, _, said in about:
        kind, *texts = said.split(" ")
        if kind == _COMPARED and set(texts) - present:
            yield "\t".join((category.id, before, "", f"{_CHOSEN} {len(texts)}"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_TEXT_DIGITS]


def _parts(line: str) -> Sequence[str]:
    return [*line.split("\t"), "", "", ""][:4]


def _chosen(lines: Iterable[str], category: str) -> Mapping[str, int]:
    """Count the texts of each comparison that was acted on, by how the number was made."""
    found: dict[str, int] = {}
    for about, made, _, said in map(_parts, lines):
        kind, _, many = said.partition(" ")
        if about == category and kind == _CHOSEN and many.isdecimal():
            found[made] = max(found.get(made, 0), int(many[:_MOST_DIGITS]))
    return found


def _count(lines: Iterable[str], category: str) -> int:
    """Count the questions about a category: of each way to make its number one at least, and each target.

    Of a comparison that was acted on all ways that were compared count, with as many targets as were asked of any; one
    of them is the way that was chosen, which stands in the lines.
    """
    asked: dict[str, set[str]] = {}
    for about, made, targets, _ in map(_parts, lines):
        if about == category:
            asked.setdefault(made, set()).update({targets} - {""})
    tries = [max(1, len(targets)) for targets in asked.values()]
    return sum(tries) + max(tries, default=1) * sum(many - 1 for many in _chosen(lines, category).values())
