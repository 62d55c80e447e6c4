"""Rules that compare one part of a policy with another: names, texts, enforcement, dates."""

from collections.abc import Iterable, Iterator
from datetime import date

from clipwarden.policy.contexts import enforced_anywhere, enforced_in, enforced_where
from clipwarden.policy.language.conditions import check_conditions
from clipwarden.policy.language.texts import check_text
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import By, Category, Concept, LearnedVector, Mode, Override, Phrase, Policy
from clipwarden.policy.slices import open_slices, said_of
from clipwarden.textfiles.findings import Findings, Path, Place
from clipwarden.textfiles.wording import closest

MAX_EMBEDDED_TEXTS = 100_000
"""Most texts after template expansion: at about 10 ms each on one core, a quarter of an hour."""


def check_rules(policy: Policy, findings: Findings, *, today: date) -> None:
    """Report every rule that needs more than one value to be judged.

    Args:
        policy: As read; may hold stand-ins (empty texts) for values already reported, which are passed over.
        findings: Receives the problems; knows where each value was written.
        today: The day that `review_by` is compared with.
    """
    _check_ids(policy, findings)
    _check_contexts(policy, findings)
    for path, concept in concepts_with_paths(policy):
        _check_texts(path, concept, findings)
    _check_template_texts(policy, findings)
    _check_learned(policy, findings)
    for index, category in enumerate(policy.categories):
        check_conditions(("categories", index), category, policy, findings)
        for context in enforced_in(category):
            _check_enforcement(("categories", index), category, context, findings)
        _check_slices(("categories", index), category, findings)
    _check_size(policy, findings)
    _check_review_by(policy, findings, today)


def concepts_with_paths(policy: Policy) -> Iterator[tuple[Path, Concept]]:
    """Yield every category and attribute with its path in the file."""
    for index, category in enumerate(policy.categories):
        yield ("categories", index), category
    for index, attribute in enumerate(policy.attributes):
        yield ("attributes", index), attribute


def _check_ids(policy: Policy, findings: Findings) -> None:
    seen: dict[str, Place] = {}
    for path, concept in concepts_with_paths(policy):
        place = findings.positions.find(*path, "id")
        first = seen.setdefault(concept.id, place)
        if concept.id and first is not place:
            message = (
                f'The id "{concept.id}" was already given on line {first.line}; categories and attributes share names.'
            )
            findings.error(place, "duplicate-id", message, "Rename one of the two.")


def _check_contexts(policy: Policy, findings: Findings) -> None:
    declared = {context.name for context in policy.contexts}
    used: set[str | None] = set()
    for index, category in enumerate(policy.categories):
        used |= set(category.contexts)
        for name, override in category.contexts.items():
            here = ("categories", index, "contexts", name)
            if not findings.refused("categories", index, "mode"):
                _check_mode(here, override, category.mode, findings)
            # A declaration that was refused for its name is still written: one finding for it is enough.
            if name not in declared and ("contexts", name) not in findings.places:
                place = findings.positions.find(*here)
                message = f'The context "{name}" is not declared.'
                findings.error(place, "unknown-context", message, _declare(name, declared))
                used |= {closest(name, sorted(declared))}  # the one that was meant is not left unused
    for name in sorted(declared - used):
        place = findings.positions.find("contexts", name)
        message = f'The context "{name}" is declared, but no category overrides anything there.'
        findings.warn(place, "unused-context", message, "Delete it, or add an override.")


def _check_mode(path: Path, override: Override, own: Mode, findings: Findings) -> None:
    place = findings.positions.find(*path, "mode")
    if override.mode is own:
        message = f"`mode: {own}` is the category's own mode, so it changes nothing here."
        findings.warn(place, "idle-mode", message, "Delete it.")
    elif override.mode is Mode.DISABLED and override != Override(mode=Mode.DISABLED):
        message = "A category that is disabled here has no band, so the bounds beside it do nothing."
        findings.warn(place, "idle-bounds", message, "Delete the bounds, or write `mode: shadow`.")


def _declare(name: str, declared: Iterable[str]) -> str:
    guess = closest(name, sorted(declared))
    if guess:
        return f'Did you mean "{guess}"?'
    return f'Declare it at the top: `contexts: {{{name}: {{description: "..."}}}}`.'


def _check_texts(path: Path, concept: Concept, findings: Findings) -> None:
    prompts = [prompt.text for prompt in concept.prompts]
    for key, phrases in (("prompts", prompts), ("negatives", list(concept.negatives))):
        _check_duplicates((*path, key), phrases, findings)
        for index, phrase in enumerate(phrases):
            if isinstance(phrase, str):
                check_text(findings.positions.find(*path, key, index), phrase, findings)
    positives = {_meaning(phrase) for phrase in prompts}
    for index, phrase in enumerate(concept.negatives):
        if phrase and _meaning(phrase) in positives:
            message = f'"{phrase}" is a prompt and a negative of {concept.id or "the same category"}.'
            findings.error(
                findings.positions.find(*path, "negatives", index), "both-sides", message, "Delete one of the two."
            )


def _check_duplicates(path: Path, phrases: Iterable[Phrase], findings: Findings) -> None:
    seen: dict[str | bytes, int] = {}
    for index, phrase in enumerate(phrases):
        place = findings.positions.find(*path, index)
        first = seen.setdefault(_meaning(phrase), index)
        if phrase and first != index:
            line = findings.positions.find(*path, first).line
            findings.error(
                place, "duplicate-text", f'"{phrase}" was already given on line {line}.', "Delete one of the two."
            )


def _meaning(phrase: Phrase) -> str | bytes:
    """Return what two phrases share that say the same: names of vectors are labels."""
    return phrase.values if isinstance(phrase, LearnedVector) else plain_text(phrase)


def plain_text(text: str) -> str:
    """Return a text without differences that mean nothing: case and white space."""
    return " ".join(text.casefold().split())


def _check_template_texts(policy: Policy, findings: Findings) -> None:
    for path, concept in concepts_with_paths(policy):
        own = (*path, "templates")
        # Templates of `defaults` reach every concept; the findings drop the repetitions.
        base: Path = own if own in findings.places else ("defaults", "templates")
        _check_duplicates(base, concept.templates, findings)


def _check_learned(policy: Policy, findings: Findings) -> None:
    """Report texts that answers could not tell from a learned vector, and learned things bound to no model."""
    concepts = list(concepts_with_paths(policy))
    phrases = [phrase for _, concept in concepts for phrase in concept.phrases]
    labels = {plain_text(str(phrase)) for phrase in phrases if isinstance(phrase, LearnedVector)}
    for path, concept in concepts:
        for here, phrase in phrases_with_paths(path, concept):
            if isinstance(phrase, str) and plain_text(phrase) in labels:
                message = f'The text "{phrase}" reads like the learned vector of that name, in answers too.'
                findings.error(findings.positions.find(*here), "vector-like-text", message, "Word it another way.")
    learned = [path for path, concept in concepts if _is_learned(concept)]
    enforced = any(enforced_anywhere(category) for category in policy.categories)  # then it is an error already
    if learned and not enforced and ("model", "fingerprint") not in findings.places:
        message = "Learned vectors and heads mean something to one model alone, but this policy is bound to none."
        fix = 'Add `model: {fingerprint: "sha256:..."}` of the model that they were made for (`clipwarden models`).'
        findings.warn(findings.positions.find(*learned[0]), "learned-without-fingerprint", message, fix)


def _is_learned(concept: Concept) -> bool:
    return bool(concept.head) or any(isinstance(phrase, LearnedVector) for phrase in concept.phrases)


def phrases_with_paths(path: Path, concept: Concept) -> Iterator[tuple[Path, Phrase]]:
    """Yield every prompt and negative of a concept with its path in the file."""
    for index, prompt in enumerate(concept.prompts):
        yield (*path, "prompts", index), prompt.text
    for index, negative in enumerate(concept.negatives):
        yield (*path, "negatives", index), negative


def _check_enforcement(path: Path, category: Category, context: str | None, findings: Findings) -> None:
    own = (*path, "mode") if context is None else (*path, "contexts", context, "mode")
    place = findings.positions.find(*own) if own in findings.places else findings.positions.find("defaults", "mode")
    name = f'"{category.id}"' if category.id else "A category"
    where = f' in the context "{context}"' if context else ""
    if ("model", "fingerprint") not in findings.places:
        message = f"{name} is enforced{where}, but its numbers are bound to no model."
        fix = 'Add `model: {fingerprint: "sha256:..."}` (`clipwarden models` prints it), or write `mode: shadow`.'
        findings.error(place, "enforce-without-fingerprint", message, fix)
    if (*path, "thresholds") not in findings.places:
        message = f"{name} is enforced{where}, but has no thresholds."
        unit = METHODS[category.method].unit
        fix = f"Add `thresholds: {{unit: {unit}, review: ..., block: ...}}`, or write `mode: shadow`."
        findings.error(place, "enforce-without-thresholds", message, fix)
    chosen = category.thresholds and category.thresholds.chosen_on
    if chosen and chosen.by is By.HAND and (*path, "thresholds", "chosen_on", "approved_by") not in findings.places:
        message = f"{name} is enforced by thresholds that one person chose by hand."
        fix = 'Add `approved_by: "..."`, the name of a second person who looked at them, or write `mode: shadow`.'
        findings.error(findings.positions.find(*path, "thresholds", "chosen_on"), "hand-without-approval", message, fix)


def _check_slices(path: Path, category: Category, findings: Findings) -> None:
    """Warn of slices that `enforce` would not have let pass, where a mode was written by hand."""
    standing = open_slices(category) if enforced_anywhere(category) else ()
    if standing:
        place = findings.positions.find(*path, "thresholds", "chosen_on", "evidence", "slices")
        message = f'"{category.id}" is enforced{enforced_where(category)}, and slice {said_of(standing)}.'
        fix = (
            "Write `mode: shadow`. Then choose its limits again (`clipwarden tune --slice-ceiling`), or let the slices "
            "through by name and say why (`clipwarden enforce --waive-slice`)."
        )
        findings.warn(place, "open-slices", message, fix)


def embedded_texts(policy: Policy) -> int:
    """Count the texts of a policy after template expansion."""
    concepts = [concept for _, concept in concepts_with_paths(policy)]
    return sum(isinstance(phrase, str) * len(each.templates) for each in concepts for phrase in each.phrases)


def _check_size(policy: Policy, findings: Findings) -> None:
    texts = embedded_texts(policy)
    if texts > MAX_EMBEDDED_TEXTS:
        message = f"Prompts times templates come to {texts} texts; at most {MAX_EMBEDDED_TEXTS} are embedded."
        findings.error(findings.positions.find("categories"), "too-many", message, "Use fewer templates or prompts.")


def _check_review_by(policy: Policy, findings: Findings, today: date) -> None:
    due = policy.metadata.review_by
    if due and due < today:
        message = f"This policy was to be reviewed by {due.isoformat()}."
        fix = "Review it, then set a later `review_by`."
        findings.warn(findings.positions.find("metadata", "review_by"), "review-overdue", message, fix)
