"""Answers in; what people read of them, in the order of their questions, out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from clipwarden.cli.table import new_table
from clipwarden.cli.tunewords import (
    between,
    choice_cells,
    chosen_lines,
    gate_line,
    picture_lines,
    quality_lines,
    texts_lines,
    together_lines,
)
from clipwarden.cli.tunewritten import show_changes
from clipwarden.policy.schema import Bounds
from clipwarden.terminal import notice, printable, stdout
from clipwarden.textfiles.rendering import plain_number
from clipwarden.tuning.labels.model import Design
from clipwarden.tuning.lines.choices import Choice
from clipwarden.tuning.lines.saying import counted
from clipwarden.tuning.tune.answers import Answers, Limit
from clipwarden.tuning.tune.writing import Plan
from clipwarden.vision.plan import WHOLE

if TYPE_CHECKING:
    from clipwarden.cli.tunerun import Found, Inputs

_QUESTIONS = {
    1: "Can these labels decide it?",
    2: "What do I get, at what price?",
    3: "Which images pay?",
    4: "What would help?",
    5: "How many of 1,000 uploads are like this?",
    6: "What would be written?",
}


def show_answers(found: "Found", inputs: "Inputs", *, engineers: bool) -> None:
    """Print the answers.

    Args:
        found: Them.
        inputs: What they rest on.
        engineers: Whether margins, logits and calibrations are shown too.
    """
    for line in (*_about(inputs), *found.analysis.notes):
        _line(line)
    many = len(found.analysis.categories) > 1
    for answers in found.analysis.categories:
        stdout().print()
        stdout().print(Text(printable(answers.category), style="bold"))
        if answers.deciding is None:
            _without_labels(answers, many=many)
        else:
            _by_labels(answers, engineers=engineers, many=many)
        chosen = found.looks.chosen.get(answers.category) if found.looks else None
        for note in (*answers.notes, *chosen_lines(chosen)):
            _line(note, indent=3)
    _together(found.analysis.categories)
    for line in together_lines(found.analysis, found.targets):
        _line(line)
    for gate in found.gates:
        for line in gate_line(gate):
            _line(line)
    if found.looks is not None and not found.looks.written:
        notice("Nowhere could it be noted that these labels were looked at, so that looks are not counted.")


def show_plan(plan: Plan | None, why_not: str | None, *, engineers: bool) -> None:
    """Print what would be written, or why nothing would."""
    if plan is None and why_not is None:
        return
    stdout().print()
    _question(6)
    if plan is None:
        _line(f"Nothing: {why_not}", indent=3)
        return
    show_changes(plan, engineers=engineers)
    for note in plan.contexts:
        _line(note.sentence)
    for problem in plan.findings:
        notice(printable(str(problem)))


def show_missing(answers: Iterable[Answers], plan: Plan | None) -> None:
    """Say once more, at the end, which limits that were asked for are not in the new version, and why."""
    if plan is None:
        return
    held = {each.id: each.thresholds.bounds if each.thresholds else Bounds() for each in plan.policy.categories}
    for each in answers:
        for name, limit in _asked_limits(each):
            if limit.placed.edge is None:
                kept = getattr(held[each.category], name) is not None
                now = f"is left with the {name} limit it had" if kept else f"has no {name} limit now"
                notice(printable(f"{each.category} {now}: {limit.placed.sentence}."))


def show_unasked(inputs: "Inputs") -> None:
    """Say how limits are asked for, where nobody asked for any."""
    design = None if inputs.labels is None else inputs.labels.design
    if design is Design.QUEUE:
        return
    some = {None: "--block-fpr 0.5%", Design.TOP: "--wrong-stops 1%"}.get(design, "--block-fpr 1% --review-recall 80%")
    stdout().print()
    _line(f"To choose limits, say what they are to keep, such as {some}; with --write a new version has them.")


def _about(inputs: "Inputs") -> Iterator[str]:
    store, labels = inputs.store, inputs.labels
    days = f", {store.info.since} to {store.info.until}" if store.info.since else ""
    seen = "" if store.info.plan == WHOLE else f", views {store.info.plan.name}"
    yield f"{store.path}: {counted(len(store.pictures))} pictures ({store.info.source}{days}{seen})."
    if labels is None:
        yield "No labels: what follows says how much is stopped, and nothing of whether rightly."


def _by_labels(answers: Answers, *, engineers: bool, many: bool) -> None:
    assert answers.deciding is not None  # noqa: S101  asked by the caller
    _question(1)
    for sentence in answers.deciding.sentences:
        _line(sentence, indent=3)
    if answers.choices or answers.block or answers.review:
        _question(2)
        _table(answers, engineers=engineers)
        _asked(answers, many=many)
    if answers.gallery is not None:
        _question(3)
        _lines(picture_lines(answers.gallery, engineers=engineers))
    if answers.without:
        _question(4)
        _lines(texts_lines(answers.without))
    if answers.prevalence is not None:
        _question(5)
        _line(f"{between(answers.prevalence, of=1000)} ({answers.prevalence.basis}).", indent=3)
    if engineers:
        _lines(quality_lines(answers))


def _together(categories: Sequence[Answers]) -> None:
    """Say once what holds of several categories: of a capacity that they share, and of all promises."""
    told = dict.fromkeys(
        each.review.placed.sentence for each in categories if each.review and each.review.placed.shared
    )
    if len(categories) > 1:
        told |= dict.fromkeys(_sure(each) for each in categories if _promised(each))
    if told:
        stdout().print()
    for sentence in told:
        _line(f"{sentence[0].upper()}{sentence[1:]}.")


def _promised(answers: Answers) -> bool:
    return any(limit.placed.edge is not None and limit.placed.promised for _, limit in _asked_limits(answers))


def _sure(answers: Answers) -> str:
    return answers.confidence.sentence


def _without_labels(answers: Answers, *, many: bool) -> None:
    table = new_table("Limit", "Stops of 1,000 uploads")
    names = {"block_now": "as now, block", "review_now": "as now, review"}
    for name, flagged in answers.flagged.items():
        table.add_row(names.get(name, f"{name}, as asked"), between(flagged, of=1000))
    if answers.flagged:
        stdout().print(table)
    else:
        _line("No limit holds now, and none was asked for: say what to keep, such as --block-fpr 0.5%.", indent=3)
    _asked(answers, many=many)


def _table(answers: Answers, *, engineers: bool) -> None:
    rights = any(choice.right is not None for choice in answers.choices)
    headers = ["Limit", "Finds", "of 100 harmful", "Stops wrongly", "of 1,000 harmless"]
    headers += ["Right of 100 stopped"] if rights else []
    headers += ["Line before calibration"] if engineers else []
    table = new_table(*headers)  # whatever is too wide takes another line: a column that never breaks would be cut
    for label, choice in _rows(answers):
        table.add_row(printable(label), *choice_cells(choice, rights=rights, engineers=engineers))
    if answers.choices:
        stdout().print(table)
        _line("Limits that allow N wrong are counted on the pictures that they were chosen on.", indent=3)
    if answers.lowering is not None and answers.gallery is not None:
        _line(f"From {answers.gallery.limit}: {answers.lowering.sentence}.", indent=3)


def _rows(answers: Answers) -> Iterator[tuple[str, Choice]]:
    names = list(answers.now.named)
    for number, choice in enumerate(answers.choices):
        if number < len(names):
            yield f"as now, {names[number]}", choice
        elif choice.most_wrong:
            yield f"at most {choice.most_wrong} wrong", choice
        else:
            yield "none wrong here", choice
    for name, limit in _asked_limits(answers):
        if limit.choice is not None:
            yield f"{name}, as asked", limit.choice


def _asked_limits(answers: Answers) -> Iterator[tuple[str, Limit]]:
    for name, limit in (("block", answers.block), ("review", answers.review)):
        if limit is not None:
            yield name, limit


def _asked(answers: Answers, *, many: bool) -> None:
    """Say what holds of the limits that were asked for, or what is missing."""
    for name, limit in _asked_limits(answers):
        at = (
            f" at {plain_number(limit.threshold)}"
            if limit.threshold is not None and limit.placed.edge is not None
            else ""
        )
        told = "see the end for what all categories share" if limit.placed.shared else limit.placed.sentence
        _line(f"{name}{at}: {told}.", indent=3)
    if _promised(answers):
        if not many:
            _line(f"{_sure(answers)[0].upper()}{_sure(answers)[1:]}.", indent=3)
    elif answers.confidence.looks > 1:
        _line(f"These labels were looked at {answers.confidence.looks} times.", indent=3)


def _question(number: int) -> None:
    stdout().print(Text(f"{number}. {_QUESTIONS[number]}", style="cyan"))


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        _line(line, indent=3)


def _line(text: str, *, indent: int = 0) -> None:
    stdout().print(Text(f"{' ' * indent}{printable(text)}"), soft_wrap=True)
