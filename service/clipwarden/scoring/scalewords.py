"""What lines do to pictures in, in numbers; out comes what to tell whoever wrote them: a sentence a line, and warnings.

A warning needs evidence. On pictures of the user's own, of which nobody said what they show:

- a line fires on most from one half of at least 10 on: whatever the pictures are of, it does not tell them apart;
- a line is out of reach if none of at least 100 comes to it: then under 3 in 100 such pictures would (95 %).

On the neutral drawings that ship with the embedded model one in ten is most: where 2 in 100 uploads are harmful and all
of them are found, a line that stops a tenth of the others is wrong five times of six.
"""

from clipwarden.errors import Problem
from clipwarden.policy.schema import Adjustment, Bounds, Mode
from clipwarden.scoring.scale import ConditionUse, LineUse, Scale
from clipwarden.textfiles.findings import Findings, Path, Place, Positions

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
"""Pictures below which it means nothing that none of them reaches a line: the rule of three."""
FEWEST_SHOWING = 5
"""Drawings that show a category, from which it means something that none of them is blocked."""


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


def place_of(use: LineUse, positions: Positions, bound: str | None = None) -> Place:
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
    findings.warn(place_of(use, findings.positions, lowest), "fires-on-most", message, fix)


def _check_none(use: LineUse, scale: Scale, findings: Findings) -> None:
    missed = [name for name, bound in _bounds(use.bounds) if use.highest < bound]
    if not missed or not _tells_reach(use, scale, missed):
        return
    lines = " or ".join(f"{name} {bound}" for name, bound in _bounds(use.bounds) if name in missed)
    end = ", so it stops nothing" if len(missed) == len(_bounds(use.bounds)) else ""
    highest = _below(use.highest, dict(_bounds(use.bounds))[missed[0]])
    message = f"{_name(use)}: none of {_all(scale)} comes to {lines}; the highest was {highest} ({use.top[0][0]}){end}."
    more = "; try such pictures with `--on FOLDER`" if scale.pictures.shipped else ", unless none of these is one"
    fix = f"Lower it to what pictures score that it should stop{more}."
    findings.warn(place_of(use, findings.positions, missed[0]), "out-of-reach", message, fix)


def _tells_reach(use: LineUse, scale: Scale, missed: list[str]) -> bool:
    if not scale.pictures.shipped:
        return use.neutral.pictures >= FEWEST_FOR_NONE
    # Drawings of which none may show the category say little of its block line, but all of a line below that.
    return len(missed) == len(_bounds(use.bounds)) or use.showing.pictures >= FEWEST_SHOWING


def _check_condition(use: ConditionUse, scale: Scale, findings: Findings) -> None:
    condition, never, always = use.condition, use.holds == 0, use.holds == use.pictures
    if use.pictures < FEWEST_FOR_NONE or not (never or always):
        return
    adjusts = isinstance(condition, Adjustment)
    kind, does = ("adjustment", "raises") if adjusts else ("exemption", "exempts")
    found = f"never holds on {_all(scale)}" if never else f"holds on all of {_all(scale)}"
    end = f"the highest was {_below(use.highest, condition.gte)}" if never else "it tells nothing apart"
    message = (
        f'The {kind} of "{use.category.id}" while "{condition.attribute}" is at least {condition.gte} {found}: {end}.'
    )
    fix = f"{'Lower' if never else 'Raise'} gte to what pictures score that it {does}, or delete it."
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
