"""Read the ends of bands, and say what holds where a context overrides them."""

from dataclasses import replace

from clipwarden.policy.language.category_keys import BOUND
from clipwarden.policy.language.maps import MapReader
from clipwarden.policy.methods import LOWEST
from clipwarden.policy.schema import Bounds, Unit
from clipwarden.textfiles.values import Value


def merge_bounds(base: Bounds, override: Bounds) -> Bounds:
    """Return the bounds in force where an override applies: what it leaves out is inherited."""
    return Bounds(
        review=base.review if override.review is None else override.review,
        block=base.block if override.block is None else override.block,
    )


def read_bounds(fields: MapReader, unit: Unit | None) -> Bounds:
    """Read `review` and `block`; the wider range holds while the unit is unknown."""
    kind = replace(BOUND, low=LOWEST[unit]) if unit else BOUND
    review, block = fields.get("review"), fields.get("block")
    return Bounds(review=kind.read(review) if review else None, block=kind.read(block) if block else None)


def check_order(value: Value, bounds: Bounds) -> None:
    """Report a review band that the block band leaves no room for."""
    if bounds.review is None or bounds.block is None or bounds.review < bounds.block:
        return
    message = f"review ({bounds.review:g}) must lie below block ({bounds.block:g}) in {value.name}."
    fix = "Lower review or raise block; to block without a review band, leave review out."
    if bounds.review > bounds.block and {"review", "block"} <= set(value.keys):
        fix = f"If they changed places, write `review: {bounds.block:g}, block: {bounds.review:g}`. {fix}"
    value.error("review-not-below-block", message, fix)
