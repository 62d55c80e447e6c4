"""How much of a picture was seen and a policy in, the policy's floors that were missed out."""

from enum import StrEnum

from clipwarden.policy.schema import Policy


class Floor(StrEnum):
    """What a policy may ask of the views of a picture."""

    COVERAGE = "COVERAGE"
    """That they show at least this share of its area: `least_coverage`."""
    RESOLUTION = "RESOLUTION"
    """That they give its shorter side at least this many pixels: `least_resolution`."""


def floors_missed(policy: Policy, *, coverage: float, resolution: float | None) -> tuple[Floor, ...]:
    """Hold what was seen of a picture against a policy's floors; nothing is rounded.

    Args:
        policy: Whose floors.
        coverage: Share of its area that some view shows, in (0, 1].
        resolution: Least pixels that the views give to its shorter side; None or NaN where nobody knows, which meets no
            floor: a policy that asks must not be answered by silence.

    Returns:
        Those missed; none where the policy has no floors.
    """
    missed: tuple[Floor, ...] = ()
    if policy.least_coverage is not None and not coverage >= policy.least_coverage:
        missed += (Floor.COVERAGE,)
    # Written so that NaN misses it.
    if policy.least_resolution is not None and not (resolution is not None and resolution >= policy.least_resolution):
        missed += (Floor.RESOLUTION,)
    return missed
