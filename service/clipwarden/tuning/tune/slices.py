"""Labelled pictures with slices, twins and fixtures in; whether limits treat them alike, PASS, FAIL or UNKNOWN, out.

Two names of slices mean more: pictures of one `twin` (skin tones of one drawing) must get one verdict, and a `fixture`
says what a picture must get, `must-allow` or `must-stop`.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import LabelError
from clipwarden.policy.rests import evidence_of
from clipwarden.policy.slices import SliceFinding, findings_of, slice_name
from clipwarden.scoring.tables import prepare
from clipwarden.tuning.gate import Outcome, Slice, gate, judge_slice
from clipwarden.tuning.labels.model import Design, Labels
from clipwarden.tuning.lines.binomial import at_most, needed_clean
from clipwarden.tuning.lines.edges import Edge
from clipwarden.tuning.lines.saying import percent
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.tune.answers import Analysis, Answers, Question
from clipwarden.tuning.tune.cases import Cases, join

TWIN: Final = "twin"
FIXTURE: Final = "fixture"
_ALONE: Final = 0.05
"""Chance that a slice's upper limit is too low, alone: as `gate` has it."""
_MOST_PICTURES: Final = 10**9
_MOST_TOLD: Final = 16
"""Values of one slice that evidence names; of more it says that the slice does not pass."""
_FIXTURES: Final = {"must-allow": False, "must-stop": True}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One value of a slice.

    Attributes:
        value: As in `religion`.
        stopped: Distinct harmless pictures of which any was stopped.
        groups: Of how many.
        low: Lower limit of the share, alone 95 %.
        high: Upper limit of it.
        outcome: Against the ceiling.
        missing: Distinct harmless pictures that are to be labelled at least, before it can pass; None where it fails.
    """

    value: str
    stopped: int
    groups: int
    low: float
    high: float
    outcome: Outcome
    missing: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """What one slice of one category says.

    Attributes:
        category: Its id.
        name: Of the slice.
        limit: By which limit.
        outcome: PASS, FAIL or UNKNOWN.
        parts: Its values; none of twins and fixtures.
        sentences: What is wrong, or not known.
        missing: As of a part, where nothing of the slice is known.
        ceiling: The greatest share of harmless pictures that may be stopped; None of twins and fixtures.
    """

    category: str
    name: str
    limit: str
    outcome: Outcome
    parts: tuple[Part, ...]
    sentences: tuple[str, ...]
    missing: int | None = None
    ceiling: float | None = None

    @property
    def findings(self) -> Iterator[SliceFinding]:
        """Say it as evidence keeps it: each value that does not pass, or else the slice as a whole."""
        told = [(slice_name(self.name, part.value), part) for part in self.parts if part.outcome is not Outcome.PASS]
        if not told or len(told) > _MOST_TOLD:
            yield self._finding(slice_name(self.name), self.outcome, self.missing)
            return
        for name, part in told:
            yield self._finding(name, part.outcome, part.missing)

    def _finding(self, name: str, outcome: Outcome, more: int | None) -> SliceFinding:
        limit = " and ".join(sorted(self.limit.split(" and ")))
        return SliceFinding(name=name, outcome=outcome.upper(), limit=limit, ceiling=self.ceiling, more=more)

    @property
    def passes(self) -> bool:
        """Whether it may be enforced."""
        return self.outcome is Outcome.PASS


def gate_slices(question: Question, analysis: Analysis, ceiling: float) -> tuple[Gate, ...]:
    """Hold the limits that were asked for, or else those of now, against a ceiling in every slice.

    Args:
        question: What was asked, with labels.
        analysis: What was answered.
        ceiling: The greatest share of distinct harmless pictures that may be stopped in each slice, in (0, 1).

    Returns:
        One gate a category and slice.

    Raises:
        LabelError: There are no labels, no slices, or a fixture that is none.
    """
    if question.labels is None:
        raise LabelError("--slice-ceiling needs labels: what is harmless in a slice, people say.")
    found = _all(question, question.labels, analysis, dict.fromkeys(question.names, ceiling))
    if not found:
        raise LabelError(
            "--slice-ceiling found nothing to compare: neither the labels nor the store have slices, or no category "
            "has a limit."
        )
    return found


def gate_again(question: Question, analysis: Analysis) -> tuple[Gate, ...]:
    """Hold limits against the ceilings that the evidence names, of categories whose slices were asked about before.

    Args:
        question: What was asked.
        analysis: What was answered.

    Returns:
        One gate a category and slice; none without labels, or of labels from the top, of which few are harmless.

    Raises:
        LabelError: There is a fixture that is none.
    """
    labels = question.labels
    asked = {each.id: findings_of(evidence_of(each)) for each in question.compiled.policy.categories}
    ceilings = {name: _ceiling(asked[name]) for name in question.names if asked[name]}
    if labels is None or labels.design is Design.TOP or not ceilings:
        return ()
    return _all(question, labels, analysis, ceilings)


def _ceiling(found: Sequence[SliceFinding]) -> float | None:
    """Take the strictest of the ceilings that findings name."""
    return min((each.ceiling for each in found if each.ceiling is not None), default=None)


def _all(
    question: Question, labels: Labels, analysis: Analysis, ceilings: Mapping[str, float | None]
) -> tuple[Gate, ...]:
    scores = score_store(question.store, prepare(question.compiled))
    cases = join(question.store, scores, labels, question.names)
    return tuple(
        gate
        for answers in analysis.categories
        if answers.category in ceilings
        for gate in _gates(answers, cases[answers.category], ceilings[answers.category])
    )


def _gates(answers: Answers, cases: Cases, ceiling: float | None) -> Iterator[Gate]:
    limits = _limits(answers)
    if not limits:
        return
    for name, values in cases.slices.items():
        known = np.array([bool(value) for value in values], dtype=np.bool_)
        column = np.array(values, dtype=np.object_)
        if name == TWIN:
            yield _twins(cases, limits, column, known)
        elif name == FIXTURE:
            yield _fixtures(cases, limits, column, known)
        elif ceiling is not None:
            lowest, clean = next(iter(limits)), known & ~cases.positive
            yield _slices(cases, (lowest, limits[lowest].at), name, column=column, clean=clean, ceiling=ceiling)


def _limits(answers: Answers) -> Mapping[str, Edge]:
    """Take the limits that were asked for, else those of now; what is stopped first: block."""
    asked = {"block": answers.block, "review": answers.review}
    found = {name: limit.placed.edge for name, limit in asked.items() if limit is not None}
    chosen = {name: edge for name, edge in found.items() if edge is not None}
    places = {**answers.now.named, **chosen}
    return {name: places[name] for name in asked if name in places}


def _slices(
    cases: Cases,
    limit: tuple[str, float],
    name: str,
    *,
    column: NDArray[np.object_],
    clean: NDArray[np.bool_],
    ceiling: float,
) -> Gate:
    parts, counted = [], []
    for value in sorted(set(column[clean].tolist())):
        here = clean & (column == value)
        stopped = cases.groups(here & (cases.scores >= limit[1]))
        each = Slice(name=value, stopped=stopped, groups=cases.groups(here))
        counted.append(each)
        limits = each.limits
        outcome = judge_slice(each, ceiling)
        parts.append(
            Part(
                value=value,
                stopped=stopped,
                groups=each.groups,
                low=limits.low,
                high=limits.high,
                outcome=outcome,
                missing=_missing(each, ceiling) if outcome is Outcome.UNKNOWN else None,
            )
        )
    told = [_told(part, ceiling) for part in parts if part.outcome is not Outcome.PASS]
    return Gate(
        category=cases.category,
        name=name,
        limit=limit[0],
        outcome=gate(counted, ceiling),
        parts=tuple(parts),
        sentences=tuple(told),
        missing=None if parts else needed_clean(ceiling, _ALONE),
        ceiling=ceiling,
    )


def _told(part: Part, ceiling: float) -> str:
    counts = f'"{part.value}": stops {part.stopped} of {part.groups} distinct harmless pictures'
    if part.outcome is Outcome.FAIL:
        return f"{counts}, which is more than {percent(ceiling)} (at least {percent(part.low)})"
    untold = f"{counts}, which cannot be told from {percent(ceiling)} (up to {percent(part.high)})"
    return f"{untold}: label at least {part.missing} more of it"


def _missing(found: Slice, ceiling: float) -> int:
    """Count the harmless pictures with which it would pass, if none of them is stopped."""
    enough = bisect_left(
        range(_MOST_PICTURES), x=True, key=lambda more: at_most(found.stopped, found.groups + more, _ALONE) <= ceiling
    )
    return max(1, enough)


def _bands(cases: Cases, limits: Mapping[str, Edge]) -> NDArray[np.int8]:
    """Count the limits that each picture reaches."""
    reached: NDArray[np.int8] = np.sum([cases.scores >= edge.at for edge in limits.values()], axis=0).astype(np.int8)
    return reached


def _twins(cases: Cases, limits: Mapping[str, Edge], column: NDArray[np.object_], known: NDArray[np.bool_]) -> Gate:
    bands = _bands(cases, limits)
    differ = [
        value
        for value in sorted(set(column[known].tolist()))
        if len(set(bands[known & (column == value)].tolist())) > 1
    ]
    told = tuple(f'the twins "{value}" get different verdicts' for value in differ)
    return _plain_gate(cases, TWIN, limits, told, any_there=bool(known.any()))


def _fixtures(cases: Cases, limits: Mapping[str, Edge], column: NDArray[np.object_], known: NDArray[np.bool_]) -> Gate:
    odd = sorted(set(column[known].tolist()) - set(_FIXTURES))
    if odd:
        raise LabelError(f'The slice "{FIXTURE}" says "{odd[0]}"; it says {" or ".join(_FIXTURES)}.')
    stopped = _bands(cases, limits) > 0
    told = [
        f"{cases.sha256[row]} {column[row].replace('-', ' ')}, and is {'stopped' if stopped[row] else 'not stopped'}"
        for row in np.flatnonzero(known).tolist()
        if bool(stopped[row]) is not _FIXTURES[column[row]]
    ]
    return _plain_gate(cases, FIXTURE, limits, tuple(told), any_there=bool(known.any()))


def _plain_gate(cases: Cases, name: str, limits: Mapping[str, Edge], told: tuple[str, ...], *, any_there: bool) -> Gate:
    outcome = Outcome.FAIL if told else Outcome.PASS if any_there else Outcome.UNKNOWN
    return Gate(
        category=cases.category,
        name=name,
        limit=" and ".join(limits),
        outcome=outcome,
        parts=(),
        sentences=told,
    )
