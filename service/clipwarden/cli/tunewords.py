"""Figures in; words and counts as staff use them, out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from clipwarden.tuning.calibration import Fitted, Unfit
from clipwarden.tuning.design.rates import Estimate
from clipwarden.tuning.gate import Outcome
from clipwarden.tuning.lines.choices import Choice
from clipwarden.tuning.lines.saying import counted, counts_of, percent
from clipwarden.tuning.metrics import Interval
from clipwarden.tuning.tune.answers import Analysis, Answers
from clipwarden.tuning.tune.deciding import percent_between
from clipwarden.tuning.tune.gallery import Gallery, Shown
from clipwarden.tuning.tune.helping import Without
from clipwarden.tuning.tune.slices import Gate
from clipwarden.tuning.tune.targets import Targets

_TEXTS: Final = 4
"""Texts that are told of one by one."""
_GROUNDS: Final = {"on_white": "on white", "on_black": "on black", "full": ""}


def between(estimate: Estimate, *, of: int = 100) -> str:
    """Write a share in counts: `2.1 of 1,000 (1 to 3.9)`."""
    if not np.isfinite(estimate.value):
        low, high = _limits(estimate, of)
        return f"between {low} and {high} of {of:,}"
    value, _, _ = counts_of((estimate.value, estimate.low, estimate.high), of)
    return f"{value} of {of:,} ({_span(estimate, of)})"


def choice_cells(choice: Choice, *, rights: bool, engineers: bool) -> list[str]:
    """Lay a row of the table of choices out."""
    found, wrong = (f"{choice.found} of {counted(choice.harmful)}", f"{choice.wrong} of {counted(choice.harmless)}")
    of_hundred = percent_between(choice.recall).removesuffix(" %")
    cells = [found, of_hundred, wrong, _span(choice.wrongly, 1000)]
    if rights:
        cells.append("" if choice.right is None else _right(choice.right))
    return [*cells, f"{choice.at:.3f}"] if engineers else cells


def together_lines(analysis: Analysis, targets: Mapping[str, Targets]) -> Iterator[str]:
    """Tell what block limits stop together of uploads that nobody labelled."""
    if analysis.together is None:
        return
    blocks = [each for each in analysis.categories if each.now.block or (each.block and each.block.placed.edge)]
    shares = [targets[each.category].block_fpr for each in blocks]
    allowed = sum(share for share in shares if share is not None)
    asked = f"; what was asked allows {min(1000.0, 1000 * allowed):,.3g}" if None not in shares else ""
    yield f"All {len(blocks)} block limits together stop {between(analysis.together, of=1000)} uploads{asked}."


def picture_lines(gallery: Gallery, *, engineers: bool) -> Iterator[str]:
    """Tell which pictures pay for a limit."""
    yield f"By {gallery.limit}, nearest to it first."
    for what, shown, count in (
        ("missed", gallery.misses, gallery.missed),
        ("wrongly stopped", gallery.false_alarms, gallery.alarmed),
    ):
        if not count:
            yield f"None is {what}."
            continue
        first = f", the first {len(shown)}" if len(shown) < count else ""
        yield f"{counted(count)} {what}{first}:" if shown else f"{counted(count)} {what}."
        for each in shown:
            yield f"  {_picture(each, engineers=engineers)}"


def texts_lines(without: Sequence[Without]) -> Iterator[str]:
    """Tell what would help: one suggestion that was measured, then texts that do nothing."""
    helping = [each for each in without if each.helps and each.moved and not each.by_chance]
    idle = [each for each in without if each.moved == 0]
    losing = [each for each in without if each.loses and not each.by_chance]
    if helping:
        yield f"Try first: {helping[0].sentence}, on pictures that the limit was not chosen on."
        if len(helping) > 1:
            yield f"After that, measure again: {len(helping) - 1} more may help, and what one does the next may not."
    else:
        yield "Nothing stands out: no prompt or negative, left out, finds more at the same price than chance explains."
    for each in idle[:_TEXTS]:
        yield f"{each.sentence[0].upper()}{each.sentence[1:]}."
    if len(idle) > _TEXTS:
        yield f"{len(idle) - _TEXTS} more move no image either."
    if losing:
        yield f"Keep above all: {losing[-1].sentence}."
    many = len(without)
    looks = f"all {many} of these count as looks at them" if many > 1 else "this counts as a look at them"
    yield f"Whoever takes a text out, or rewords it, chooses by these labels: {looks}, and promises are less sure."


def chosen_lines(chosen: int | None) -> Iterator[str]:
    """Tell what it costs that texts were chosen by these labels."""
    if chosen:
        yield (
            f"Texts were taken out or reworded after {chosen} were compared on these labels, which counts as {chosen} "
            "looks: fresh labels (`clipwarden sample`) begin at one look, and --policy-wide makes up for looks."
        )


def quality_lines(answers: Answers) -> Iterator[str]:
    """Tell of calibrations, for engineers."""
    fitted, found = answers.calibration, answers.quality
    if isinstance(fitted, Unfit):
        yield f"Calibration: none. {fitted.sentence}"
    if isinstance(fitted, Fitted):
        share = percent(fitted.prevalence)
        yield f"Calibration: slope {fitted.slope:g}, bias {fitted.bias:g}, at a prevalence of {share}."
    if found is not None:
        where = "on pictures left out" if found.folds > 1 else "on the images it was fitted on"
        slope = "not known" if found.slope is None else _interval(found.slope)
        yield (
            f"Log-loss skill {_interval(found.skill)}, calibration slope {slope}, intercept "
            f"{_interval(found.intercept)}, {where} (from {counted(found.labels)} labels, {found.positives} positives)."
        )


def gate_line(gate: Gate) -> Iterator[str]:
    """Tell what a slice says."""
    yield f"{gate.outcome.upper()}  {gate.category}, slice {gate.name}, by the {gate.limit} limit"
    for part in gate.parts:
        if part.outcome is Outcome.PASS:
            yield f'   "{part.value}": stops {part.stopped} of {part.groups}, at most {percent(part.high)}'
    for sentence in gate.sentences:
        yield f"   {sentence}"


def _picture(shown: Shown, *, engineers: bool) -> str:
    looks = "" if shown.prompt is None else f': looks like "{shown.prompt}"'
    looks += f' more than "{shown.contrast}"' if looks and shown.contrast else ""
    ground = _GROUNDS.get(shown.view, shown.view)
    where = f", {ground}" if ground else ""
    frame = f", frame {shown.frame}" if shown.frame else ""
    numbers = f" (score {shown.score:.3g}, {shown.raw:.3f} before calibration)" if engineers else ""
    return f"{shown.uri}{looks}{where}{frame}{numbers}"


def _right(right: Estimate) -> str:
    if not np.isfinite(right.value):
        return "nothing is stopped"
    return f"{100 * right.value:.0f} ({100 * right.low:.0f} to {100 * right.high:.0f})"


def _span(estimate: Estimate, of: int) -> str:
    return " to ".join(_limits(estimate, of))


def _limits(estimate: Estimate, of: int) -> tuple[str, str]:
    """Write what an interval begins and ends with; next to nothing is none where it begins."""
    low, high = counts_of((estimate.low, estimate.high), of)
    return "0" if low.startswith("below") else low, high


def _interval(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
