"""What is asked of each category in; its limits, its calibration, and the numbers that a policy would hold, out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from clipwarden.errors import LineError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Bounds, Category
from clipwarden.tuning.calibration import Fitted, Unfit, Why, calibrate
from clipwarden.tuning.labels.model import Design
from clipwarden.tuning.lines.confidence import Confidence, shared
from clipwarden.tuning.lines.edges import Edge
from clipwarden.tuning.lines.promises import NotMet
from clipwarden.tuning.lines.scale import mapped
from clipwarden.tuning.scores import StoreScores
from clipwarden.tuning.tune.answers import Question
from clipwarden.tuning.tune.carrying import moved_score
from clipwarden.tuning.tune.cases import Cases
from clipwarden.tuning.tune.deciding import one_class
from clipwarden.tuning.tune.limits import Placed, block_limit, flag_limit, review_limit
from clipwarden.tuning.tune.standing import Standing, category_of, scale_of, standing_of
from clipwarden.tuning.tune.targets import Targets
from clipwarden.tuning.tune.traffic import Traffic, Uploads, require_traffic, reviews


@dataclass(kw_only=True, slots=True, eq=False)
class Work:
    """One category under way."""

    category: str
    targets: Targets
    confidence: Confidence
    now: Standing
    cases: Cases | None = None
    traffic: Traffic | None = None
    block: Placed | None = None
    review: Placed | None = None
    calibration: Fitted | Unfit | None = None
    notes: list[str] = field(default_factory=list)


def promising_lines(question: Question) -> int:
    """Count the lines that make a promise, at least 1: those of this run, and those of the policy that stay."""
    asked = {name: question.targets_of(name) for name in question.names}
    stay = sum(_standing_promises(each, asked.get(each.id)) for each in _holding(question))
    return max(1, stay + sum(targets.promises for targets in asked.values()))


def _holding(question: Question) -> Sequence[Category]:
    """Find the categories whose limits hold now."""
    return [each for each in question.compiled.policy.categories if each.id not in question.compiled.unbound]


def _standing_promises(category: Category, asked: Targets | None) -> int:
    """Count what a category's evidence promises of limits that nobody asks for anew."""
    chosen = category.thresholds.chosen_on if category.thresholds else None
    promises = chosen.evidence.promises if chosen and chosen.evidence else ()
    anew = {"block": asked is not None and asked.asks_block, "review": asked is not None and asked.asks_review}
    return sum(
        promise.startswith(f"{name}: ") and " confidence" in promise
        for promise in promises
        for name, is_anew in anew.items()
        if not is_anew
    )


def begin(question: Question, scores: StoreScores, name: str) -> Work:
    """Take up one category of those that are answered about."""
    targets, looks = question.targets_of(name), question.looks.get(name, 1)
    lines, delta = promising_lines(question), 1.0 - targets.confidence
    if targets.policy_wide:
        delta = shared(delta, lines, looks)
    return Work(
        category=name,
        targets=targets,
        confidence=Confidence(delta=round(delta, 12), lines=lines, looks=looks, labelled=question.labels is not None),
        now=standing_of(question.compiled, scores, name),
    )


def place(work: Work, compiled: CompiledPolicy) -> None:
    """Place the limits of one category, and fit its calibration."""
    if work.traffic is not None:
        work.block = flag_limit(work.traffic, work.targets, "block", work.confidence.delta)
        work.review = flag_limit(work.traffic, work.targets, "review", work.confidence.delta)
        return
    cases = work.cases
    if cases is None or (cases.design is not Design.TOP and one_class(cases)):
        return
    work.block = _useful(work, block_limit(cases, work.targets, work.confidence.delta, work.confidence.looks))
    work.review = review_limit(cases, work.targets, work.confidence.delta, work.confidence.looks)
    if cases.design in (Design.SAMPLE, Design.SET) and _takes_calibration(compiled, work.category):
        if (cases.without_label or cases.is_lost) and work.targets.prevalence is None:
            lacks = "no label" if cases.without_label else "no picture in this store"
            work.calibration = Unfit(
                why=Why.PREVALENCE_NEEDED,
                sentence=f"{cases.without_label or cases.left_out.absent:,} of the sample have {lacks}, so that it "
                "does not say how many uploads are like this.",
            )
            return
        work.calibration = calibrate(
            cases.scores,
            cases.positive,
            pi=cases.pi,
            groups=cases.group,
            # Of traffic a calibration speaks of uploads, of a set of the pictures in it.
            uploads=None if cases.pi is None else cases.uploads,
            prevalence=work.targets.prevalence,
        )


def _useful(work: Work, placed: Placed | None) -> Placed | None:
    """Keep a block limit unless it stops none of the harmful pictures there are, so that it can only do harm."""
    cases = work.cases
    if placed is None or placed.edge is None or cases is None or cases.design is Design.TOP:
        return placed
    if (cases.scores[cases.positive] >= placed.edge.at).any():
        return placed
    harmful = int(cases.positive.sum())
    told = f"it would stop none of the {harmful:,} harmful pictures here, so that it is not written: {placed.sentence}"
    return replace(placed, sentence=told, promised=False, useless=True)


def _takes_calibration(compiled: CompiledPolicy, category: str) -> bool:
    return "calibration" in METHODS[category_of(compiled, category).method].takes


def place_reviews(work: Sequence[Work], question: Question, uploads: Uploads) -> None:
    """Place the review limits that share a capacity."""
    sharing = [each for each in work if each.targets.review_capacity is not None]
    if not sharing:
        return
    require_traffic(question.store, "--review-capacity")
    targets = sharing[0].targets
    blocks = {each.category: _block_of(each, question.compiled) for each in sharing}
    lines = reviews(
        uploads,
        question.compiled,
        blocks,
        capacity=targets.review_capacity or 0.0,
        daily_volume=targets.daily_volume or 0.0,
        delta=sharing[0].confidence.delta,
    )
    asked = f"review-capacity {targets.review_capacity!r} of daily-volume {targets.daily_volume!r}"
    for index, each in enumerate(sharing):
        if isinstance(lines, NotMet):
            each.review = Placed(asked=asked, line=lines, sentence=lines.sentence, promised=False, shared=True)
            continue
        line = lines.lines[index]
        told = (
            f"{line.promise.said(sharing[0].confidence.looks)}: {lines.reviews:,.0f} a day seen, kept {lines.promised}"
        )
        each.review = Placed(asked=asked, line=line, sentence=told, promised=True, shared=True)


def scale_of_work(work: Work, compiled: CompiledPolicy) -> tuple[float | None, float]:
    """Return slope and bias that limits of the category are mapped by."""
    if isinstance(work.calibration, Fitted):
        return work.calibration.slope, work.calibration.bias
    return scale_of(compiled, category_of(compiled, work.category))


def _block_of(work: Work, compiled: CompiledPolicy) -> tuple[Fitted | None, float | None]:
    fitted = work.calibration if isinstance(work.calibration, Fitted) else None
    edge = (work.block.edge if work.block else None) or work.now.block
    return fitted, None if edge is None else _mapped(work, compiled, edge)


def placed_of(work: Work) -> tuple[tuple[str, Placed | None], ...]:
    """Name both limits that may have been asked for."""
    return (("block", work.block), ("review", work.review))


def threshold_of(work: Work, compiled: CompiledPolicy, edge: Edge | None) -> float | None:
    """Map a limit to the number that a policy would hold; None where there is none, or no number says it."""
    try:
        return None if edge is None else _mapped(work, compiled, edge)
    except LineError:
        return None  # `bounds_of` says why


def _mapped(work: Work, compiled: CompiledPolicy, edge: Edge) -> float:
    return mapped(edge, *scale_of_work(work, compiled))


def _held(work: Work, compiled: CompiledPolicy, name: str) -> float:
    """Keep a limit that nobody asked for: as it is written, or the same place on the scale of a new calibration."""
    category = category_of(compiled, work.category)
    assert category.thresholds is not None  # noqa: S101  it holds now
    number = float(getattr(category.thresholds.bounds, name))
    slope, bias = scale_of(compiled, category)
    if slope is None or not isinstance(work.calibration, Fitted):
        return number
    return moved_score(number, (slope, bias), (work.calibration.slope, work.calibration.bias))


def bounds_of(work: Work, compiled: CompiledPolicy) -> Bounds | None:
    """Say what is to be written: limits that were asked for and can be had; the others stay where they are."""
    edges = {name: placed.edge if placed else None for name, placed in placed_of(work)}
    if not any(edges.values()):
        return None
    if isinstance(work.calibration, Unfit):
        work.notes.append(f"Nothing can be written for it: {work.calibration.sentence}")
        return None
    kept = {name for name in work.now.named if edges[name] is None}
    work.notes += [f"The {name} limit stays where it is." for name in work.now.named if name in kept]
    try:
        block, review = (
            _held(work, compiled, name) if name in kept else None if edge is None else _mapped(work, compiled, edge)
            for name, edge in edges.items()
        )
    except LineError as exc:
        work.notes.append(f"Nothing can be written for it: {exc}.")
        return None
    if block is not None and review is not None and review >= block:
        work.notes.append("The block limit stops all that the review limit would, so that there is no review band.")
        review = None
    return Bounds(review=review, block=block)
