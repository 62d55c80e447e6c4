"""Labelled pictures of a category in; whether they can decide it, in counts, and how many more would help, out."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from clipwarden.tuning.design.rates import Estimate
from clipwarden.tuning.labels.model import Design
from clipwarden.tuning.lines.saying import counted
from clipwarden.tuning.metrics import clopper_pearson
from clipwarden.tuning.tune.cases import Cases, LeftOut

FEWEST_POSITIVES: Final = 6
"""Distinct harmful pictures below which intervals have been seen to hold too seldom (`bench/tuning`, coverage)."""
_MOST_TIMES: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Deciding:
    """Whether labels can decide a category.

    Attributes:
        labelled: Pictures with a label.
        positives: Harmful ones.
        distinct_positives: Near-duplicates once.
        distinct_negatives: Likewise.
        left_out: What says nothing.
        reference: What of the harmful the reference limit finds; None where there is none to count.
        halving: About how many labels more halve that interval; None where nothing can be said.
        enough: Whether limits can be chosen by them at all.
        sentences: For people.
    """

    labelled: int
    positives: int
    distinct_positives: int
    distinct_negatives: int
    left_out: LeftOut
    reference: Estimate | None
    halving: int | None
    enough: bool
    sentences: tuple[str, ...]


def decide(cases: Cases, at: float | None, confidence: float) -> Deciding:
    """Say whether labels can decide a category.

    Args:
        cases: Labelled pictures.
        at: A limit to count by; None where none is known.
        confidence: Of the interval.

    Returns:
        The answer.
    """
    positives, harmless = cases.groups(cases.positive), cases.groups(~cases.positive)
    enough, first = _judged(cases, positives)
    reference = None
    if at is not None and enough and cases.design is not Design.TOP:
        reference = cases.labelled.rates(at, confidence)[0]
    halving = None if reference is None else labels_to_halve(reference, len(cases), confidence)
    sentences = [_have(cases, positives, harmless), *first]
    if reference is not None and at is not None:
        sentences.append(_means(cases, reference, at, halving))
    sentences += _left(cases, at)
    return Deciding(
        labelled=len(cases),
        positives=cases.positives,
        distinct_positives=positives,
        distinct_negatives=harmless,
        left_out=cases.left_out,
        reference=reference,
        halving=halving,
        enough=enough,
        sentences=tuple(sentences),
    )


def labels_to_halve(estimate: Estimate, labels: int, confidence: float) -> int | None:
    """Work out how many labels more halve an interval, if they are as those there are.

    Args:
        estimate: A share between limits.
        labels: How many there are.
        confidence: Of the interval.

    Returns:
        Rounded up to tens above thirty; None where the share rests on nothing.
    """
    if not np.isfinite(estimate.value) or estimate.n_eff <= 0.0:
        return None
    wanted = (estimate.high - estimate.low) / 2.0
    for times in np.arange(1.1, _MOST_TIMES, 0.1):
        trials = estimate.n_eff * times
        limits = clopper_pearson(estimate.value * trials, trials, confidence=confidence)
        if limits.high - limits.low <= wanted:
            more = int(np.ceil((times - 1.0) * labels))
            return more if more <= 30 else -(-more // 10) * 10  # noqa: PLR2004  no digit that means nothing
    return None


def one_class(cases: Cases) -> str | None:
    """Say why labels of one class decide nothing; None where there are both."""
    if not len(cases):
        return f"No picture has a label for {cases.category}: label some that are, and some that are not."
    if cases.positives and cases.positives < len(cases):
        return None
    kind, other = ("harmless", "are") if not cases.positives else ("harmful", "are not")
    return f"All {counted(len(cases))} labelled pictures are {kind}: label some that {other} {cases.category}."


def _judged(cases: Cases, positives: int) -> tuple[bool, list[str]]:
    if cases.design is Design.QUEUE:
        return False, [
            "They came from reviews or appeals, which today's limits picked: they show examples, and choose no limit."
        ]
    if cases.design is Design.TOP:
        return True, ["They were labelled from the top: they promise few wrong stops, and cannot say what is missed."]
    if lacks := one_class(cases):
        return False, [lacks]
    if cases.without_label:
        drawn = len(cases) + cases.left_out.unsure + cases.without_label
        told = (
            f"{counted(cases.without_label)} of {counted(drawn)} drawn have no label for {cases.category}: each takes "
            "a yes, a no or unsure, also where another category was marked, and `--complete` takes what is left out "
            "for a no. What has one is no picture of the rest: what follows holds of that alone, and nothing is "
            "promised before all have one."
        )
        return True, [told]
    if positives < FEWEST_POSITIVES:
        return True, [
            f"Fewer than {FEWEST_POSITIVES} distinct harmful pictures decide little: label more of them first."
        ]
    return True, []


def _have(cases: Cases, positives: int, harmless: int) -> str:
    how = {
        Design.SAMPLE: "drawn from traffic with known chances",
        Design.SET: "picked by hand: what follows holds on these pictures, not of traffic",
        Design.QUEUE: "from reviews or appeals",
        Design.TOP: "drawn evenly from traffic and labelled from the top",
    }[cases.design]
    wrong = len(cases) - cases.positives
    return f"{_distinct(cases.positives, 'harmful', positives)}, {_distinct(wrong, 'harmless', harmless)}; {how}."


def _distinct(pictures: int, kind: str, distinct: int) -> str:
    noun = "picture" if pictures == 1 else "pictures"
    if distinct == pictures:
        return f"{counted(pictures)} {kind} {noun}"
    return f"{counted(pictures)} {kind} {noun} of {counted(distinct)} distinct ones (near-duplicates count once)"


def _means(cases: Cases, found: Estimate, at: float, halving: int | None) -> str:
    hits = int((cases.scores[cases.positive] >= at).sum())
    harmful = 0 if not halving else int(np.ceil(halving * cases.positives / len(cases)))
    more = f" About {counted(halving)} labels more, {counted(harmful)} of them harmful, halve that." if halving else ""
    return f"{hits} of {cases.positives} found means {percent_between(found)} of those there are ({found.basis}).{more}"


def percent_between(estimate: Estimate) -> str:
    """Write an interval: `17 to 69 %`."""
    return f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f} %"


def _left(cases: Cases, at: float | None) -> list[str]:
    out, told = cases.left_out, []
    for number, why in (
        (out.unknown if cases.design is not Design.TOP else 0, "without a label for it"),
        (out.unsure, "unsure"),
        (out.unscored, "without a score"),
        (out.unjudged, "that could not be judged"),
        (out.absent, "that the store lacks"),
    ):
        if number:
            told.append(f"{counted(number)} {why}")
    if not told:
        return []
    return [f"Left out: {', '.join(told)}.", *_extremes(cases, at)]


def _extremes(cases: Cases, at: float | None) -> list[str]:
    """Say what the unsure ones could change: all of them harmful, or all harmless."""
    doubtful = cases.doubtful
    if doubtful is None or at is None:
        return []
    hits, wrong = cases.scores[cases.positive] >= at, cases.scores[~cases.positive] >= at
    stopped = int((doubtful.scores >= at).sum())
    told = (
        f"Were the unsure ones all harmful, it would find {int(hits.sum()) + stopped} of {len(hits) + len(doubtful)}; "
        f"were they all harmless, it would stop {int(wrong.sum()) + stopped} of {len(wrong) + len(doubtful)} wrongly."
    )
    return [told]
