"""Rules that compare one part of a policy with another: names, texts, enforcement, dates."""

import re
from collections.abc import Iterable, Iterator
from datetime import date

from clipwarden.policy.bounds import LOWEST, UNIT_OF
from clipwarden.policy.fields import closest
from clipwarden.policy.findings import Findings, Path, Place
from clipwarden.policy.schema import Attribute, Bounds, Category, Concept, Mode, Policy

MAX_EMBEDDED_TEXTS = 100_000
"""Most texts after template expansion: at about 10 ms each on one core, a quarter of an hour."""

_NEGATION = re.compile(r"\b(no|not|without|never|nor|none)\b|n['’]t\b", re.IGNORECASE)  # noqa: RUF001 - typed apostrophes


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
    for index, category in enumerate(policy.categories):
        _check_exemptions(("categories", index), category, policy, findings)
        if category.mode is Mode.ENFORCE:
            _check_enforcement(("categories", index), category, findings)
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
    used: set[str] = set()
    for index, category in enumerate(policy.categories):
        used |= set(category.contexts)
        for name in category.contexts:
            # A declaration that was refused for its name is still written: one finding for it is enough.
            if name not in declared and ("contexts", name) not in findings.places:
                place = findings.positions.find("categories", index, "contexts", name)
                message = f'The context "{name}" is not declared.'
                findings.error(place, "unknown-context", message, _declare(name, declared))
    for name in sorted(declared - used):
        place = findings.positions.find("contexts", name)
        message = f'The context "{name}" is declared, but no category overrides anything there.'
        findings.warn(place, "unused-context", message, "Delete it, or add an override.")


def _declare(name: str, declared: Iterable[str]) -> str:
    guess = closest(name, sorted(declared))
    if guess:
        return f'Did you mean "{guess}"?'
    return f'Declare it at the top: `contexts: {{{name}: {{description: "..."}}}}`.'


def _check_texts(path: Path, concept: Concept, findings: Findings) -> None:
    prompts = [prompt.text for prompt in concept.prompts]
    for key, texts in (("prompts", prompts), ("negatives", list(concept.negatives))):
        _check_duplicates((*path, key), texts, findings)
        for index, text in enumerate(texts):
            _check_negation(findings.positions.find(*path, key, index), text, findings)
    positives = {plain_text(text) for text in prompts}
    for index, text in enumerate(concept.negatives):
        if text and plain_text(text) in positives:
            message = f'"{text}" is a prompt and a negative of {concept.id or "the same category"}.'
            findings.error(
                findings.positions.find(*path, "negatives", index), "both-sides", message, "Delete one of the two."
            )


def _check_duplicates(path: Path, texts: Iterable[str], findings: Findings) -> None:
    seen: dict[str, int] = {}
    for index, text in enumerate(texts):
        place = findings.positions.find(*path, index)
        first = seen.setdefault(plain_text(text), index)
        if text and first != index:
            line = findings.positions.find(*path, first).line
            findings.error(
                place, "duplicate-text", f'"{text}" was already given on line {line}.', "Delete one of the two."
            )


def plain_text(text: str) -> str:
    """Return a text without differences that mean nothing: case and white space."""
    return " ".join(text.casefold().split())


def _check_negation(place: Place, text: str, findings: Findings) -> None:
    if match := _NEGATION.search(text):
        message = f'CLIP ignores "{match[0]}": "{text}" matches the thing it denies.'
        fix = "Describe what is there; put what must not be there on the other side (negatives or prompts)."
        findings.warn(place, "negation", message, fix)


def _check_template_texts(policy: Policy, findings: Findings) -> None:
    for path, concept in concepts_with_paths(policy):
        own = (*path, "templates")
        # Templates of `defaults` reach every concept; the findings drop the repetitions.
        base: Path = own if own in findings.places else ("defaults", "templates")
        _check_duplicates(base, concept.templates, findings)


def _check_exemptions(path: Path, category: Category, policy: Policy, findings: Findings) -> None:
    attributes = {attribute.id: attribute for attribute in policy.attributes}
    seen: set[str] = set()
    for index, exemption in enumerate(category.exemptions):
        place = findings.positions.find(*path, "exemptions", index, "when", "attribute")
        if exemption.attribute in seen:
            message = f'A second exemption asks for "{exemption.attribute}"; the lower bound alone would count.'
            findings.error(place, "duplicate-exemption", message, "Keep one of them.")
        elif exemption.attribute:
            seen.add(exemption.attribute)
            _check_attribute(place, exemption.attribute, policy, attributes, findings)
        attribute = attributes.get(exemption.attribute)
        lowest = LOWEST[UNIT_OF[attribute.method]] if attribute else -1.0
        if exemption.gte < lowest:
            where = findings.positions.find(*path, "exemptions", index, "when", "gte")
            message = f"gte is {exemption.gte:g}, but the attribute gives scores."
            findings.error(where, "out-of-range", message, "Write a number between 0 and 1, ends included.")
    if category.exemptions and not _can_block(path, category, findings):
        place = findings.positions.find(*path, "exemptions")
        message = "No threshold here can block, so the exemption never acts."
        findings.warn(place, "idle-exemption", message, "Delete it, or add `block:` to the thresholds.")


def _check_attribute(
    place: Place, name: str, policy: Policy, attributes: dict[str, Attribute], findings: Findings
) -> None:
    if name in attributes:
        return
    if any(category.id == name for category in policy.categories):
        message, fix = (
            f'"{name}" is a category; exemptions ask for attributes.',
            "List it under `attributes` with an id of its own.",
        )
    else:
        guess = closest(name, attributes)
        message = f'There is no attribute "{name}".'
        fix = f'Did you mean "{guess}"?' if guess else f"Add it under `attributes`: `- {{id: {name}, prompts: [...]}}`."
    findings.error(place, "unknown-attribute", message, fix)


def _can_block(path: Path, category: Category, findings: Findings) -> bool:
    if category.thresholds and category.thresholds.bounds == Bounds():
        return True  # written, but unreadable: already reported
    names = [(*path, "thresholds", "block"), *((*path, "contexts", name, "block") for name in category.contexts)]
    return any(name in findings.places for name in names)


def _check_enforcement(path: Path, category: Category, findings: Findings) -> None:
    own = (*path, "mode")
    place = findings.positions.find(*own) if own in findings.places else findings.positions.find("defaults", "mode")
    name = f'"{category.id}"' if category.id else "A category"
    if ("model", "fingerprint") not in findings.places:
        message = f"{name} is enforced, but its numbers are bound to no model."
        fix = 'Add `model: {fingerprint: "sha256:..."}` (`clipwarden models` prints it), or write `mode: shadow`.'
        findings.error(place, "enforce-without-fingerprint", message, fix)
    if (*path, "thresholds") not in findings.places:
        message = f"{name} is enforced, but has no thresholds."
        fix = (
            f"Add `thresholds: {{unit: {UNIT_OF[category.method]}, review: ..., block: ...}}`, or write `mode: shadow`."
        )
        findings.error(place, "enforce-without-thresholds", message, fix)


def _check_size(policy: Policy, findings: Findings) -> None:
    concepts = [concept for _, concept in concepts_with_paths(policy)]
    texts = sum((len(each.prompts) + len(each.negatives)) * len(each.templates) for each in concepts)
    if texts > MAX_EMBEDDED_TEXTS:
        message = f"Prompts times templates come to {texts} texts; at most {MAX_EMBEDDED_TEXTS} are embedded."
        findings.error(findings.positions.find("categories"), "too-many", message, "Use fewer templates or prompts.")


def _check_review_by(policy: Policy, findings: Findings, today: date) -> None:
    due = policy.metadata.review_by
    if due and due < today:
        message = f"This policy was to be reviewed by {due.isoformat()}."
        fix = "Review it, then set a later `review_by`."
        findings.warn(findings.positions.find("metadata", "review_by"), "review-overdue", message, fix)
