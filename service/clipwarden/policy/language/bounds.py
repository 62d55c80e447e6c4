"""Read the ends of bands, and check that they leave each other room, in contexts too."""

from dataclasses import replace

from clipwarden.policy.contexts import merge_bounds
from clipwarden.policy.language.category_keys import BOUND
from clipwarden.policy.language.maps import MapReader
from clipwarden.policy.methods import LOWEST
from clipwarden.policy.schema import Bounds, Override, Unit
from clipwarden.textfiles.values import Value


def read_bounds(fields: MapReader, unit: Unit | None) -> Bounds:
    """Read `review` and `block`; the wider range holds while the unit is unknown."""
    kind = replace(BOUND, low=LOWEST[unit]) if unit else BOUND
    review, block = fields.get("review"), fields.get("block")
    return Bounds(review=kind.read(review) if review else None, block=kind.read(block) if block else None)


def check_order(value: Value, bounds: Bounds) -> None:
    """Report a review band that the block band leaves no room for."""
    if _in_order(bounds):
        return
    message = f"review ({bounds.review:g}) must lie below block ({bounds.block:g}) in {value.name}."
    fix = "Lower review or raise block; to block without a review band, leave review out."
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
