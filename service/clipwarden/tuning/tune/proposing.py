"""Answers in; what a new version of the policy is to say, with the evidence that it rests on, out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import Bounds, Drawn, Evidence
from clipwarden.policy.slices import UNKNOWN, SliceFinding, findings_of
from clipwarden.tuning.calibration import Fitted
from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.lines.promises import Line
from clipwarden.tuning.lines.saying import percent
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.answers import Analysis, Answers
from clipwarden.tuning.tune.keeping import Kept, kept_of
from clipwarden.tuning.tune.limits import Placed
from clipwarden.tuning.tune.proposals import Proposal
from clipwarden.tuning.tune.slices import FIXTURE, TWIN
from clipwarden.tuning.tune.targets import Targets
from clipwarden.vision.plan import WHOLE

_HOW: Final = {
    "block-fpr": "block by exact binomial tests in a fixed sequence",
    "wrong-stops": "block by a walk from the top, with exact binomial tests",
    "block-wrong": "block by counting wrong stops",
    "review-recall": "review by exact binomial tests in a fixed sequence",
    "review-fpr": "review by exact binomial tests in a fixed sequence",
    "review-wrong": "review by counting wrong stops",
    "review-capacity": "review by an upper limit of reviews along one path",
}

_BY_WEIGHTS: Final = {
    "block-fpr": "block by upper limits of a weighted share (approximate) in a fixed sequence",
    "review-recall": "review by a bet on weighted labels in a fixed sequence",
    "review-fpr": "review by upper limits of a weighted share (approximate) in a fixed sequence",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Grounds:
    """What all proposals of a run rest on.

    Attributes:
        store: The pictures.
        labels: What people said; None of unlabelled traffic.
        compiled: The policy.
        author: Who runs the tool.
        day: When.
        slices: What slices say, by category.
        chosen: By category, how many texts were compared on these labels before one was changed.
    """

    store: Store
    labels: Labels | None
    compiled: CompiledPolicy
    author: str
    day: date
    slices: Mapping[str, Sequence[SliceFinding]] = field(default_factory=dict)
    chosen: Mapping[str, int] = field(default_factory=dict)


def proposals(analysis: Analysis, grounds: Grounds, targets: dict[str, Targets]) -> tuple[Proposal, ...]:
    """Propose what the answers found.

    Args:
        analysis: The answers.
        grounds: What they rest on.
        targets: What was asked of each category.

    Returns:
        One for each category that gets a limit.
    """
    return tuple(
        _proposal(each, each.bounds, grounds, targets[each.category])
        for each in analysis.categories
        if each.bounds is not None
    )


def _proposal(answers: Answers, bounds: Bounds, grounds: Grounds, targets: Targets) -> Proposal:
    fitted = answers.calibration if isinstance(answers.calibration, Fitted) else None
    return Proposal(
        category=answers.category,
        calibration=fitted,
        # Labels from the top, and none at all, fit no calibration; one that fell would take the limits along.
        removes_calibration=fitted is None and answers.category in grounds.compiled.dropped_calibrations,
        bounds=bounds,
        evidence=_evidence(answers, bounds, grounds, targets),
    )


def _evidence(answers: Answers, bounds: Bounds, grounds: Grounds, targets: Targets) -> Evidence:
    kept = kept_of(answers, bounds, grounds.compiled)
    labels = grounds.labels
    labelled, positives, distinct = _counted(answers)
    return Evidence(
        store=grounds.store.info.digest,
        labels=None if labels is None else labels.digest,
        design=Drawn.TRAFFIC if labels is None else Drawn(labels.design.value),
        labelled=labelled,
        positives=positives,
        groups=distinct,
        how="; ".join(
            [*_how(answers), *_seen(grounds.store), *kept.how, *_texts(grounds.chosen.get(answers.category))]
        ),
        confidence=targets.confidence,
        looks=answers.confidence.looks,
        day=grounds.day,
        author=grounds.author,
        promises=(*_promises(answers), *kept.promises),
        targets=kept.targets(targets.options),
        slices=tuple(each.sentence for each in _slices(grounds.slices.get(answers.category, ()), kept, bounds)),
    )


def _counted(answers: Answers) -> tuple[int, int, int]:
    """Count labels, harmful ones and distinct pictures: of a walk those that it took, of which each is distinct."""
    walked = None if answers.block is None else answers.block.placed.walked
    if walked is not None:
        return *walked, walked[0]
    found = answers.deciding
    if found is None:
        return 0, 0, _tested(answers)
    return found.labelled, found.positives, found.distinct_positives + found.distinct_negatives


def _tested(answers: Answers) -> int:
    """How many distinct pictures limits were tested on, without labels."""
    flagged = answers.flagged.get("block")
    return 0 if flagged is None else flagged.groups


def _how(answers: Answers) -> list[str]:
    limits = [each.placed for each in (answers.block, answers.review) if each is not None]
    parts = [_how_placed(each) for each in limits if each.edge is not None]
    if isinstance(answers.calibration, Fitted):
        parts.append("calibration by Platt's fit, classes balanced, moved to the prevalence")
    return parts


def _seen(store: Store) -> list[str]:
    """Name the view plan that scores are of, where it is not the one that there always was."""
    plan = store.info.plan
    return [] if plan == WHOLE else [f"views {plan.name}"]


def _slices(found: Sequence[SliceFinding], kept: Kept, bounds: Bounds) -> Sequence[SliceFinding]:
    """Take what slices say now; of the others nothing is known, unless the limits that they were judged by stay."""
    columns = {each.column for each in found}
    before = [each for each in findings_of(kept.before) if each.column not in columns]
    others = (each if _holds(each, kept, bounds) else replace(each, outcome=UNKNOWN, waived=None) for each in before)
    return [*found, *others]


def _holds(found: SliceFinding, kept: Kept, bounds: Bounds) -> bool:
    """Whether what a slice said of the limits before holds of these; some are judged by all that there are."""
    limits = {name for name in ("block", "review") if getattr(bounds, name) is not None}
    return found.limits <= set(kept.names) and (found.name not in (TWIN, FIXTURE) or found.limits == limits)


def _texts(chosen: int | None) -> list[str]:
    return (
        [] if not chosen else [f"texts chosen by what leaving out each of {chosen} did on these labels: {chosen} looks"]
    )


def _how_placed(placed: Placed) -> str:
    name = placed.asked.partition(" ")[0]
    weighted = isinstance(placed.line, Line) and placed.line.promise.weighted
    return _BY_WEIGHTS.get(name, _HOW[name]) if weighted else _HOW[name]


def _promises(answers: Answers) -> Iterable[str]:
    for name, limit in (("block", answers.block), ("review", answers.review)):
        if limit is not None and limit.placed.edge is not None:
            yield f"{name}: {limit.placed.sentence}"
    found = answers.quality
    if found is not None:
        held = "on pictures that were left out" if found.folds > 1 else "on the pictures it was fitted on"
        yield (
            f"calibration: log-loss skill {found.skill.value:.2f} ({found.skill.low:.2f} to {found.skill.high:.2f}) "
            f"at a prevalence of {percent(found.prevalence)}, {held}"
        )


def lacking(analysis: Analysis) -> Sequence[str]:
    """Say of each limit that was asked for and cannot be had what is missing."""
    found = []
    for each in analysis.categories:
        for name, limit in (("block", each.block), ("review", each.review)):
            if limit is not None and limit.placed.edge is None:
                found.append(f"{each.category}, {name}: {limit.placed.sentence}.")
    return found
