"""A policy and embedded pictures in; out comes what to tell whoever wrote its lines: warnings, and a note a line.

A warning needs evidence. On pictures of the user's own, of which nobody said what they show:

- a line fires on most from one half of at least 10 on: whatever the pictures are of, it does not tell them apart;
- a line is out of reach if none of at least 100 comes near it: the highest lies 3.5 logits below, or 0.1 of a cosine.
  That none comes to it says nothing by itself: a block line is meant to be reached by none of a hundred harmless
  pictures, and the note on it says how many did. So far below lie numbers of another scale.

Measured on the 1,600 neutral drawings that ship, a hundred drawn 5,000 times, with the shipped policy's 14 lines: in 2
draws of 1,000 any of them was called out of reach (at 3 logits it were 85), also where 2 of the hundred show harm; of
three hundred none. With lines on the prompts' cosines that 2 in 1,000 drawings reach, none was in 1,000 draws (at 0.08
it were 1). Of lines at 0.6 and 0.9 in place of the shipped ones six categories were always named, and weapons in 94 %
of the draws (in 82 % of those of three hundred), since one drawing in 1,600 comes near 0.9 there; where two of the
hundred show harm, and so come nearer, it was 87 to 100 %.

On the neutral drawings that ship with the embedded model one in ten is most: where 2 in 100 uploads are harmful and all
of them are found, a line that stops a tenth of the others is wrong five times of six. All of the drawings together hold
some that show most categories: there a line is out of reach that none comes to, however near.
"""

import logging
import math
from dataclasses import asdict

from clipwarden.errors import ModelError, Problem, Severity
from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.references import load_references
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.load import Look
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import Adjustment, Bounds, Drawn, Mode, Unit
from clipwarden.scoring.lineuse import ConditionUse, LineUse, Pictures, Scale, measure
from clipwarden.scoring.tables import prepare
from clipwarden.textfiles.findings import Findings, Path, Place, Positions
from clipwarden.vision.plan import ViewPlan, Views

SHIPPED_ADVICE = (
    "These are drawings, the very ones that the shipped policy's lines were chosen on. Try your own pictures with "
    "`--on FOLDER`."
)
"""What shares of drawings that ship with a model are worth."""
MOST = 0.5
"""Share of pictures from which a line fires on most of them."""
MOST_NEUTRAL = 0.1
"""Share of neutral drawings from which a line is said to fire on most; see above."""
FEWEST_FOR_MOST = 10
"""Pictures below which no share is warned of."""
FEWEST_FOR_NONE = 100
"""Pictures below which it means nothing that none of them reaches a line: under 3 in 100 would (95 %)."""
FAR_LOGITS = 3.5
"""How far the highest of one's own pictures lies below a score that is out of their reach; see above."""
FAR_COSINES = 0.1
"""The same for cosines, which have no logits."""
FEWEST_SHOWING = 5
"""Drawings that show a category, from which it means something that none of them is blocked."""
MOST_TEXTS = 500
"""Texts up to which a policy is looked at whenever it is loaded, for 7 ms at the shipped policy's 96 and in proportion;
lint itself looks at all."""

log = logging.getLogger(__name__)


def shipped_pictures(model: Model) -> Pictures | None:
    """Return the drawings that ship with a model; None for all models but the embedded one.

    Raises:
        ModelError: Their file is damaged.
    """
    references = load_references(model.fingerprint)
    return None if references is None else Pictures.shipped_with(references)


def holds_for_shipped(plan: ViewPlan) -> bool:
    """Tell whether the drawings that ship with a model are seen alike under a view plan: as square stills are."""
    return plan.views is not Views.TILES


def scale_look(model: Model) -> Look | None:
    """Make a look at policies for a model; None where nothing is known of its scale."""
    try:
        pictures = shipped_pictures(model)
    except ModelError as error:  # no reason to judge nothing
        log.warning("%s", error)
        return None
    if pictures is None:
        return None

    def look(compiled: CompiledPolicy, positions: Positions) -> tuple[Problem, ...]:
        if len(compiled.vectors) > MOST_TEXTS or not holds_for_shipped(compiled.policy.plan):
            return ()
        return scale_problems(measure(prepare(compiled), pictures), positions)

    return look


def line_notes(scale: Scale, positions: Positions) -> tuple[Problem, ...]:
    """Say what each line would do, as notes on which nothing fails, with the numbers as their facts.

    Args:
        scale: Of a policy and some pictures.
        positions: Where the policy was written.
    """
    return tuple(_note(use, scale, positions) for use in scale.lines)


def describe(use: LineUse, scale: Scale) -> str:
    """Say in one sentence what a category's lines would do.

    Args:
        use: One of the scale's lines.
        scale: Says what the pictures are.

    Returns:
        As in `"weapons": review 0.048 would send 16 of 1,000 pictures (1.6 %) to a person, block 0.2 would block ...`.
    """
    showing = use.showing
    shown = f"; of {_count(showing.pictures, 'drawing')} of it, {_both(use, showing.review, showing.block)}"
    return (
        f"{_name(use)}: {_shares(use, scale)}{shown if showing.pictures else ''}; "
        f"the highest score is {use.highest:.3g} ({use.top[0][0]})."
    )


def scale_problems(scale: Scale, positions: Positions) -> tuple[Problem, ...]:
    """Warn of lines that fire on most pictures, that none reaches, and of conditions that never or always hold.

    Args:
        scale: Of a policy and some pictures.
        positions: Where the policy was written.

    Returns:
        Warnings, in file order.
    """
    findings = Findings(positions.file, positions.places)
    for use in scale.lines:
        _check_most(use, scale, findings)
        _check_none(use, scale, findings)
    for condition in scale.conditions:
        _check_condition(condition, scale, findings)
    return findings.problems


def _note(use: LineUse, scale: Scale, positions: Positions) -> Problem:
    place = _place_of(use, positions)
    return Problem(
        file=positions.file,
        line=place.line,
        column=place.column,
        message=describe(use, scale),
        severity=Severity.NOTE,
        code="line-use",
        facts=_facts(use, scale),
    )


def _facts(use: LineUse, scale: Scale) -> dict[str, object]:
    return {
        "category": use.category.id,
        "mode": use.mode,
        "context": use.context,
        "bounds": asdict(use.bounds),
        "in_force": use.in_force,
        "pictures": "shipped" if scale.pictures.shipped else "given",
        "neutral": asdict(use.neutral),
        "showing": asdict(use.showing),
        "highest": use.highest,
        "top": [{"name": name, "score": score} for name, score in use.top],
    }


def _place_of(use: LineUse, positions: Positions, bound: str | None = None) -> Place:
    """Find where a category's lines, or one of them, are written."""
    path: Path = ("categories", use.place, "thresholds")
    if use.context is not None:
        path = ("categories", use.place, "contexts", use.context)
    return positions.find(*path) if bound is None else positions.find(*path, bound)


def _check_most(use: LineUse, scale: Scale, findings: Findings) -> None:
    counts, limit = use.neutral, MOST_NEUTRAL if scale.pictures.shipped else MOST
    if counts.pictures < FEWEST_FOR_MOST or counts.stopped < limit * counts.pictures:
        return
    what = "1 in 10 or more drawings that show no harm" if scale.pictures.shipped else "half of these pictures or more"
    chosen = " The shipped policy's lines were chosen on these very drawings." if scale.pictures.shipped else ""
    message = f"{_name(use)} fires on {what}: {_shares(use, scale)}.{chosen}"
    lowest = "block" if use.bounds.review is None else "review"
    end = "" if scale.pictures.shipped else "; or leave it if most of them are meant to be stopped"
    # A review line above the block line is refused.
    both = lowest == "review" and use.bounds.block is not None and use.rare >= use.bounds.block
    undo = "Undo what moved its scores, or raise" if use.moved else "Raise"
    raised = "review and block" if both else lowest
    fix = f"{undo} {raised}: one in a hundred of them comes to {use.rare:.3g}{end}."
    if scale.pictures.shipped and _chosen_on_uploads(use):
        fix = f"Nothing, where that was wanted: it was chosen on uploads, which say more than drawings. Else {fix}"
        findings.note(_place_of(use, findings.positions, lowest), "fires-on-most", message, fix)
        return
    findings.warn(_place_of(use, findings.positions, lowest), "fires-on-most", message, fix)


def _chosen_on_uploads(use: LineUse) -> bool:
    """Whether the category's own limits hold, and evidence says that they were chosen on what people upload."""
    chosen = use.category.thresholds and use.category.thresholds.chosen_on
    if use.context is not None or use.moved or not use.in_force or not chosen or not chosen.evidence:
        return False
    return chosen.evidence.design is not Drawn.SET


def _check_none(use: LineUse, scale: Scale, findings: Findings) -> None:
    missed = {name: bound for name, bound in _bounds(use.bounds) if use.highest < bound}
    told = [name for name, bound in missed.items() if _out_of_reach(use, scale, bound)]
    if not told:
        return
    lines = " or ".join(f"{name} {bound}" for name, bound in missed.items())
    highest = _below(use.highest, min(missed.values()))
    message = f"{_name(use)}: none of {_all(scale)} comes to {lines}; the highest was {highest} ({use.top[0][0]})."
    findings.warn(
        _place_of(use, findings.positions, told[0]), "out-of-reach", message, _other_scale(scale, "it should stop")
    )


def _other_scale(scale: Scale, such: str) -> str:
    where = "with `--on FOLDER`" if scale.pictures.shipped else "(`clipwarden moderate --explain`)"
    return (
        f"Numbers of another scale look like this: see what pictures score that {such} {where}, and choose it anew if "
        "they do not come to it either."
    )


def _out_of_reach(use: LineUse, scale: Scale, bound: float) -> bool:
    if not scale.pictures.shipped:
        unit = METHODS[use.category.method].unit
        return use.neutral.pictures >= FEWEST_FOR_NONE and _far(use.highest, bound, unit)
    # Drawings of which none may show the category say little of its block line, but all of a line below that.
    return use.showing.pictures >= FEWEST_SHOWING or use.highest < min(each for _, each in _bounds(use.bounds))


def _far(number: float, bound: float, unit: Unit) -> bool:
    if unit is Unit.COSINE:
        return bound - number >= FAR_COSINES
    return _logit(bound) - _logit(number) >= FAR_LOGITS


def _logit(score: float) -> float:
    if not 0.0 < score < 1.0:
        return math.copysign(math.inf, score - 0.5)
    return math.log(score / (1.0 - score))


def _check_condition(use: ConditionUse, scale: Scale, findings: Findings) -> None:
    condition, always = use.condition, use.holds == use.pictures
    never = use.holds == 0 and _far(use.highest, condition.gte, use.unit)
    if use.pictures < FEWEST_FOR_NONE or not (never or always):
        return
    adjusts = isinstance(condition, Adjustment)
    kind, does = ("adjustment", "raises") if adjusts else ("exemption", "exempts")
    found = f"never holds on {_all(scale)}" if never else f"holds on all of {_all(scale)}"
    end = f"the highest was {_below(use.highest, condition.gte)}" if never else "it tells nothing apart"
    message = (
        f'The {kind} of "{use.category.id}" while "{condition.attribute}" is at least {condition.gte} {found}: {end}.'
    )
    raised = f"Raise gte to what pictures score that it {does}, or delete it."
    fix = _other_scale(scale, f"it {does}") if never else raised
    path = ("categories", use.place, f"{kind}s", use.index, "when", "gte")
    findings.warn(
        findings.positions.find(*path), "condition-never-holds" if never else "condition-always-holds", message, fix
    )


def _name(use: LineUse) -> str:
    facts = ["shadow"] * (use.mode is Mode.SHADOW) + ["no band now"] * (not use.in_force)
    context = "" if use.context is None else f" in the context {use.context}"
    return f'"{use.category.id}"{context}' + (f" ({', '.join(facts)})" if facts else "")


def _shares(use: LineUse, scale: Scale) -> str:
    counts = use.neutral
    parts = {"review": (counts.review, "send", "to a person"), "block": (counts.block, "block", "")}
    clauses: list[str] = []
    for name, bound in _bounds(use.bounds):
        number, verb, end = parts[name]
        of = f" of {_neutral(scale)}" if not clauses else ""
        share = f"{number:,}{of} ({100 * number / max(1, counts.pictures):.1f} %)"
        clauses.append(" ".join(f"{name} {bound} would {verb} {share} {end}".split()))
    return ", ".join(clauses)


def _both(use: LineUse, review: int, block: int) -> str:
    counts = {"review": f"{review} to a person", "block": f"{block} blocked"}
    return " and ".join(counts[name] for name, _ in _bounds(use.bounds))


def _bounds(bounds: Bounds) -> list[tuple[str, float]]:
    pairs = (("review", bounds.review), ("block", bounds.block))
    return [(name, bound) for name, bound in pairs if bound is not None]


def _neutral(scale: Scale) -> str:
    count = int(scale.pictures.neutral.sum())
    return _count(count, "neutral drawing") if scale.pictures.shipped else _count(count, "picture")


def _all(scale: Scale) -> str:
    count = len(scale.pictures.names)
    return (
        f"{_count(count, 'drawing')} that ship with the model" if scale.pictures.shipped else _count(count, "picture")
    )


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _below(number: float, bound: float) -> str:
    """Write a number so that it reads as less than a bound that it is less than."""
    return next(text for digits in range(3, 18) if float(text := f"{number:.{digits}g}") < bound)
