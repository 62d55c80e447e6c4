"""A sample in; what its labels will be able to decide, in sentences with counts, before anybody labels, out."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from clipwarden.tuning.labels.model import Design, Labels
from clipwarden.tuning.lines.binomial import needed_clean
from clipwarden.tuning.metrics import clopper_pearson

_DELTA: Final = 0.05
_LIMITS: Final = (0.01, 0.001)
_ROUNDING: Final = 1e-6
"""Sums of quotients fall short of whole numbers by less."""
_FOUND: Final = (10, 30, 100)
"""Harmful pictures that a sample may turn out to hold."""


def outlook(labels: Labels) -> tuple[str, ...]:
    """Say what labels of a sample will be able to decide.

    Args:
        labels: As drawn; marks do not matter.

    Returns:
        Sentences for people, the most important first.
    """
    if labels.design is Design.TOP:
        return tuple(_of_walk(labels))
    return tuple(_of_sample(labels) if labels.design is Design.SAMPLE else _of_set(labels))


def _of_walk(labels: Labels) -> Iterator[str]:
    walk = labels.walk
    assert walk is not None  # noqa: S101  of this design it never is
    enough = walk.allowed + 1
    until = (
        f"{enough} are not {walk.category}, or unsure: {enough} labels"
        if walk.allowed
        else f"one is not {walk.category}, or unsure: one label"
    )
    yield f"Label from the top until {until}, and one for each that is. The other {walk.uploads - enough:,} need none."
    yield (
        f"Then a line above the last of them stops at most {percent(walk.at_most)} of distinct uploads wrongly, with "
        f"{percent(walk.confidence)} confidence. A walk that ends earlier promises as much, of a higher line."
    )
    if walk.listed is not None:
        yield (
            f"Listed are the {walk.listed:,} of them that stand first; where those do not suffice, --add fetches the "
            "next, and labels are kept."
        )


def _of_sample(labels: Labels) -> Iterator[str]:
    yield "Rates of traffic follow from it: how many of 1,000 uploads, found, and wrongly stopped."
    yield _intervals()
    even = int(np.sum(labels.pi.min() / labels.pi) + _ROUNDING) if len(labels) else 0
    least = needed_clean(_LIMITS[0], _DELTA)
    if even < 1:
        return
    provable = 1 - _DELTA ** (1 / even)
    sentence = (
        f"Of harmless pictures about {even:,} count as drawn evenly, which proves wrong stops of at most "
        f"{percent(provable)} where none of them is stopped"
    )
    if provable <= _LIMITS[0]:
        yield f"{sentence}."
    else:
        many = -(-len(labels) * least // even)
        yield (
            f"{sentence}. For {percent(_LIMITS[0])} it takes {least:,}: about {many:,} labels; or `--from-the-top`, "
            "which bounds wrong stops among all uploads by a few dozen."
        )


def _of_set(labels: Labels) -> Iterator[str]:
    yield (
        f"The store is a {labels.design}, not uniform traffic: these labels say what holds on these pictures, and "
        "promise nothing of traffic."
    )
    if labels.design is Design.SET:
        yield _intervals()


def _intervals() -> str:
    """Say how wide intervals are, by counts, as an example of four in five found."""
    parts = []
    for harmful in _FOUND:
        limits = clopper_pearson(round(0.8 * harmful), harmful)
        parts.append(f"{harmful} of them: {100 * limits.low:.0f} to {100 * limits.high:.0f} %")
    ranges = "; with ".join(parts)
    return f"How exactly depends on how many harmful pictures turn up. Where 4 of 5 are found, with {ranges}."


def percent(share: float) -> str:
    """Write a share for people, with two digits that count.

    Args:
        share: In (0, 1); rounded up, since what is written is a limit.
    """
    value = 100 * share
    digits = max(0, 1 - math.floor(math.log10(value)))
    text = f"{math.ceil(round(value * 10**digits, 6)) / 10**digits:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
