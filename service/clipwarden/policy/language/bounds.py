"""Read the ends of bands, and check that they leave each other room, in contexts too."""

from dataclasses import replace

from clipwarden.policy.contexts import merge_bounds
from clipwarden.policy.language.category_keys import BOUND
from clipwarden.policy.language.kinds import Number
from clipwarden.policy.language.maps import MapReader
from clipwarden.policy.methods import LOWEST
from clipwarden.policy.schema import Bounds, Override, Unit
from clipwarden.textfiles.values import Value

_NEVER = ("never", "none", "no", "nothing", "off", "-", "–", "--", "n/a", "na", "false", "disabled")  # noqa: RUF001
_ABSENT = {"review": "nothing is for review", "block": "nothing is blocked"}


def read_bounds(fields: MapReader, unit: Unit | None, *, inherited: bool = False) -> Bounds:
    """Read `review` and `block`; the wider range holds while the unit is unknown.

    Args:
        fields: Of thresholds, or of what a context puts in their place.
        unit: Of the thresholds.
        inherited: Whether a bound that is left out is the category's own, as in a context.
    """
    kind = replace(BOUND, low=LOWEST[unit]) if unit else BOUND
    found = ((name, value) for name in _ABSENT if (value := fields.get(name)))
    return Bounds(**{name: _bound(name, value, kind, inherited=inherited) for name, value in found})


def _bound(name: str, value: Value, kind: Number, *, inherited: bool) -> float | None:
    if value.word.casefold() not in _NEVER:
        return kind.read(value)
    message = f'{value.name} is "{value.word}", which is no number.'
    fix = f"Delete `{name}: {value.word}`: without `{name}` {_ABSENT[name]}."
    if inherited:
        fix = f"To allow all of it here, write `mode: disabled`; without `{name}` here, the category's own holds."
    value.error("wrong-type", message, fix)
    return None


def check_order(value: Value, bounds: Bounds) -> None:
    """Report a review band that the block band leaves no room for."""
    review, block = bounds.review, bounds.block
    if review is None or block is None or review < block:
        return
    message = f"review ({review:g}) must lie below block ({block:g}) in {value.name}."
    fix = "Lower review or raise block; to block without a review band, leave review out."
    if review > block:
        fix = f"If they changed places, write `review: {block:g}, block: {review:g}`. {fix}"
    value.error("review-not-below-block", message, fix)


def check_override(value: Value, own: Bounds, override: Override) -> None:
    """Report what `check_order` does, of the bounds in force in a context; name the one that is inherited.

    Args:
        value: The override, below `contexts` of its category.
        own: Of the category's thresholds.
        override: As read.
    """
    bounds = merge_bounds(own, override)
    if override.review is not None and override.block is not None:
        check_order(value, bounds)
    elif (override.review, override.block) != (None, None) and not _in_order(bounds):
        inherited, mend = (
            ("review", "Raise block, or write a `review:` below it here too.")
            if override.review is None
            else ("block", "Lower review, or write a `block:` above it here too.")
        )
        line = value.findings.positions.find(*value.path[:-2], "thresholds", inherited).line
        told = dict.fromkeys(("review", "block"), " here") | {
            inherited: f", inherited from `thresholds` on line {line},"
        }
        message = f"review {bounds.review:g}{told['review']} is not below block {bounds.block:g}{told['block']}"
        value.error("review-not-below-block", f"{message.removesuffix(',')}.", mend)


def _in_order(bounds: Bounds) -> bool:
    return bounds.review is None or bounds.block is None or bounds.review < bounds.block
