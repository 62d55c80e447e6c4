"""A store, a compiled policy, labels and targets in; what `tune` answers, in the order of its questions, out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from clipwarden.errors import LabelError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.scoring.tables import Tables, prepare
from clipwarden.tuning.calibration import Fitted, Unfit
from clipwarden.tuning.design.rates import Estimate, prevalence, split_confidence
from clipwarden.tuning.labels.model import Design, Labels
from clipwarden.tuning.lines.choices import Choice, Option, choices, lowering
from clipwarden.tuning.lines.saying import percent
from clipwarden.tuning.quality import Quality, quality
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.store.info import Source
from clipwarden.tuning.store.store import Store
from clipwarden.tuning.tune.answers import Analysis, Answers, Limit, Question
from clipwarden.tuning.tune.cases import Cases, join
from clipwarden.tuning.tune.deciding import decide, one_class
from clipwarden.tuning.tune.gallery import gallery
from clipwarden.tuning.tune.helping import left_out_texts
from clipwarden.tuning.tune.limits import Placed
from clipwarden.tuning.tune.placing import (
    Work,
    begin,
    bounds_of,
    place,
    place_reviews,
    placed_of,
    threshold_of,
)
from clipwarden.tuning.tune.traffic import Traffic, Uploads, require_traffic
from clipwarden.tuning.tune.walking import require_order

Told = Callable[[str, int, int], None]
"""Called with what is under way, how much of it is done, and how much there is."""

MOST_WRONG = (9, 3, 1)
"""Rows of the table of choices, beside "none"."""


def analyse(question: Question, told: Told | None = None) -> Analysis:
    """Answer.

    Args:
        question: What is asked.
        told: For a progress bar.

    Returns:
        The answers.

    Raises:
        LabelError: The labels cannot serve, or a promise needs uniform traffic.
        StoreError: The store is of another model or view plan.
        LineError: Numbers that contradict each other.
        DesignError: Chances or vectors that are none.
    """
    tell = told or (lambda _what, _done, _all: None)
    tables = prepare(question.compiled)
    scores = score_store(question.store, tables, told=partial(tell, "Scoring pictures"))
    grouping = partial(tell, "Finding near-duplicates")
    names, notes = question.names, []
    uploads = Uploads(question.store, scores, told=grouping)
    work = [begin(question, scores, name) for name in names]
    if question.labels is None:
        require_traffic(question.store, "Choosing limits without labels")
        for each in work:
            each.traffic = uploads.of(each.category)
    else:
        require_order(question.labels, question.compiled)
        notes += _about(question.labels, question.store, question.compiled)
        cases = join(question.store, scores, question.labels, names, grouping)
        for each in work:
            each.cases = cases[each.category]
        _require_both(work, question.labels.design)
    for each in work:
        place(each, question.compiled)
        _count_stops(each, uploads)
    place_reviews(work, question, uploads)
    found = []
    for number, each in enumerate(work):
        tell(each.category, number, len(work))
        found.append(_answers(each, question, tables, tell))
    together = _together(work, uploads) if question.labels is None else None
    return Analysis(categories=tuple(found), notes=tuple(notes), together=together)


def _together(work: Sequence[Work], uploads: Uploads) -> Estimate | None:
    """Say what several block limits stop together: each alone may look small."""
    edges = {each.category: (each.block.edge if each.block else None) or each.now.block for each in work}
    places = {name: edge.at for name, edge in edges.items() if edge is not None}
    return uploads.stopped_by_any(places, work[0].targets.confidence) if len(places) > 1 else None


def _count_stops(work: Work, uploads: Uploads) -> None:
    """Say beside the promise of a walk, which is about distinct pictures, how many uploads its limit stops."""
    placed = work.block
    if placed is None or placed.edge is None or work.cases is None or work.cases.design is not Design.TOP:
        return
    stops, everything = uploads.stopped(work.category, placed.edge.at)
    share = percent(stops / max(1, everything))
    told = f"{placed.sentence}; it stops {stops:,} of the {everything:,} uploads in the store ({share})"
    work.block = replace(placed, sentence=told, stops=(stops, everything))


def _about(labels: Labels, store: Store, compiled: CompiledPolicy) -> list[str]:
    """Say what labels and store have to do with each other."""
    notes = []
    if labels.store is not None and labels.store != store.info.digest:
        notes.append(
            "The labels were drawn from another store, or this one has changed since: chances that the sample wrote "
            "are those of the store it was drawn from. What the store lacks by now is counted against every promise; "
            "labels of another store do not serve this one."
        )
    if labels.policy is not None and labels.policy != compiled.digest:
        notes.append("The sample was drawn by another version of the policy, which changes no rate.")
    if labels.design in (Design.SAMPLE, Design.TOP) and store.info.source is not Source.TRAFFIC:
        raise LabelError(
            f"{', '.join(labels.sources)} was drawn from uniform traffic, and {store.path} says that it is a "
            f"{store.info.source}: name the store that it was drawn from."
        )
    if labels.disagreements:
        many = len(labels.disagreements)
        notes.append(f"Labellers differ on {many} {'mark' if many == 1 else 'marks'}, which count as unsure.")
    if labels.escalated:
        notes.append(f"{len(labels.escalated)} were stopped and escalated, and are shown nowhere.")
    return notes


def _require_both(work: Sequence[Work], design: Design) -> None:
    """Refuse labels that decide nothing at all; where some categories can be decided, the others say so."""
    if design is Design.QUEUE and any(each.targets.asks for each in work):
        raise LabelError("Labels from a queue choose no limit, since today's limits picked them; draw a sample.")
    if design in (Design.QUEUE, Design.TOP):
        return
    lacks = [one_class(each.cases) for each in work if each.cases is not None]
    if all(lacks):
        raise LabelError(" ".join(lack for lack in lacks if lack))


def _answers(work: Work, question: Question, tables: Tables, tell: Told) -> Answers:
    """Answer about one category, of which all limits are placed."""
    bounds = bounds_of(work, question.compiled)
    told = None if work.cases is None else _told_prevalence(work, work.cases)
    common = Answers(
        category=work.category,
        now=work.now,
        block=_limit(work, work.block, told, question.compiled),
        review=_limit(work, work.review, told, question.compiled),
        calibration=work.calibration,
        bounds=bounds,
        confidence=work.confidence,
        notes=tuple(work.notes),
    )
    if work.traffic is not None:
        return replace(common, flagged=_flagged(work, work.traffic))
    assert work.cases is not None  # noqa: S101  without labels there is traffic
    if work.cases.design is Design.TOP:
        return replace(common, deciding=decide(work.cases, None, work.targets.confidence))
    return _by_labels(work, work.cases, question, tables, tell, common=common, told=told)


def _by_labels(
    work: Work,
    cases: Cases,
    question: Question,
    tables: Tables,
    tell: Told,
    *,
    common: Answers,
    told: float | Estimate | None,
) -> Answers:
    table = _table(work, cases, told)
    reference, named = _reference(work, table)
    deciding = decide(cases, reference, work.targets.confidence)
    found = replace(common, deciding=deciding)
    if reference is not None and len(cases):
        shown = gallery(cases, question.store, tables, limit=named, at=reference, show=question.show)
        found = replace(found, gallery=shown)
    if not deciding.enough:
        return found
    wrong = 0 if reference is None else int((cases.scores[~cases.positive] >= reference).sum())
    return replace(
        found,
        choices=table,
        lowering=None if reference is None else lowering(cases.scores, cases.positive, reference),
        without=left_out_texts(
            cases,
            question.store,
            question.compiled,
            wrong=wrong,
            told=lambda done, count: tell(f"{work.category}: each text left out", done, count),
        ),
        prevalence=_prevalence(cases, work.targets.confidence),
        quality=_quality(work, cases),
    )


def _flagged(work: Work, traffic: Traffic) -> Mapping[str, Estimate]:
    """Say what share of uploads each limit stops: of now, and those asked for."""
    places = {f"{name}_now": edge for name, edge in work.now.named.items()}
    asked = {name: placed.edge for name, placed in placed_of(work) if placed is not None}
    places |= {name: edge for name, edge in asked.items() if edge is not None}
    return {name: traffic.flagged(edge.at, work.targets.confidence) for name, edge in places.items()}


def _told_prevalence(work: Work, cases: Cases) -> float | Estimate | None:
    if work.targets.prevalence is not None:
        return work.targets.prevalence
    return _prevalence(cases, split_confidence(work.targets.confidence, 3))


def _prevalence(cases: Cases, confidence: float) -> Estimate | None:
    """Estimate it of a sample that was labelled whole; the unsure are all harmful at most, and none at least."""
    if cases.pi is None or cases.without_label or cases.is_lost:
        return None
    found = _share(cases, confidence)
    if cases.doubtful is None:
        return found
    least, most = (_share(cases.and_doubtful(harmful=harmful), confidence) for harmful in (False, True))
    return replace(found, low=least.low, high=most.high)


def _share(cases: Cases, confidence: float) -> Estimate:
    assert cases.pi is not None  # noqa: S101  of a sample
    return prevalence(cases.positive, cases.pi, group=cases.group, uploads=cases.uploads, confidence=confidence)


def _table(work: Work, cases: Cases, told: float | Estimate | None) -> tuple[Choice, ...]:
    """Make the rows: block as now, review as now, then from the lenient to the strict."""
    if not len(cases) or one_class(cases) or cases.design is Design.QUEUE:
        return ()
    return (
        *(_row(work, cases, edge.at, told) for edge in work.now.named.values()),
        *choices(cases.labelled, now=None, most_wrong=MOST_WRONG, prevalence=told, confidence=work.targets.confidence),
    )


def _row(work: Work, cases: Cases, at: float, told: float | Estimate | None) -> Choice:
    confidence = work.targets.confidence
    rows = choices(cases.labelled, now=at, most_wrong=(), prevalence=told, confidence=confidence)
    return rows[0]


def _reference(work: Work, table: Sequence[Choice]) -> tuple[float | None, str]:
    """Choose the limit that labels are judged by: the one asked for, else today's, else "none wrong here"."""
    for placed, named in ((work.block, "the block limit asked for"), (work.review, "the review limit asked for")):
        if placed is not None and placed.edge is not None:
            return placed.edge.at, named
    for name, edge in work.now.named.items():
        return edge.at, f"the {name} limit as now"
    strictest = next((row for row in table if row.option is Option.NONE_WRONG), None)
    return (None, "") if strictest is None else (strictest.at, 'the limit "none wrong here"')


def _quality(work: Work, cases: Cases) -> Quality | None:
    if not isinstance(work.calibration, Fitted):
        return None
    found = quality(
        cases.scores,
        cases.positive,
        pi=cases.pi,
        groups=cases.group,
        uploads=None if cases.pi is None else cases.uploads,
        prevalence=work.calibration.prevalence,
        confidence=work.targets.confidence,
    )
    return None if isinstance(found, Unfit) else found


def _limit(work: Work, placed: Placed | None, told: float | Estimate | None, compiled: CompiledPolicy) -> Limit | None:
    if placed is None:
        return None
    edge, cases = placed.edge, work.cases
    counted = edge is not None and cases is not None and cases.design is not Design.TOP and not one_class(cases)
    return Limit(
        placed=placed,
        threshold=threshold_of(work, compiled, edge),
        choice=_row(work, cases, edge.at, told) if counted and edge is not None and cases is not None else None,
    )
