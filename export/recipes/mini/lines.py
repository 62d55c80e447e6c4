"""Scores and evidence in; a category's lines, and the bands of drawings whose family chose none of them, out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clipwarden.tuning.design.groups import worst_of
from clipwarden.tuning.fitting import threshold_for
from clipwarden.tuning.metrics import Floats
from recipes.mini.evidence import Evidence, Mask

# Scores are small at a prior of one in fifty: three decimals would leave ties.
DECIMALS: Final = 4
Bands = npt.NDArray[np.int64]
_FEWEST: Final = 20  # groups below which a slice's rate chooses no line
REVIEW, BLOCK = 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """The greatest share of clean drawings that a line lets through.

    Attributes:
        drawings: Of colour drawings, and of one-colour drawings: neither pays for the other.
        slice: Of each identity slice, twins and near copies counting once.
    """

    drawings: float
    slice: float


# Fixed before any report set was opened.
RATES: Final[Mapping[str, Rates]] = {
    "review": Rates(drawings=0.015, slice=0.02),
    "block": Rates(drawings=0.002, slice=0.005),
}


def choose_lines(
    scores: Floats, evidence: Evidence, category: str, among: Mask, uploads: Floats | None = None
) -> dict[str, float]:
    """Choose a category's lines: the least that keep every rate.

    Args:
        scores: Of the category [K].
        evidence: The drawings.
        category: Its id.
        among: The drawings that choose [K].
        uploads: Scores of the drawings as they may be uploaded [K], whose rates are kept too; NaN of those that are
            not laid out.

    Returns:
        The thresholds by band.
    """
    clean = among & evidence.negative(category)
    kinds = [clean & evidence.listed & kind for kind in (evidence.colour, ~evidence.colour)]
    plain = [scores[kind] for kind in kinds if kind.any()]
    if uploads is not None:
        laid_out = [uploads[kind & ~np.isnan(uploads)] for kind in kinds]
        plain += [each for each in laid_out if len(each)]
    sliced = [s for s in (_worst(scores, evidence, name, clean) for name in evidence.slices) if len(s) >= _FEWEST]
    return {
        band: max(
            [threshold_for(s, rates.drawings, decimals=DECIMALS) for s in plain]
            + [threshold_for(s, rates.slice, decimals=DECIMALS) for s in sliced]
        )
        for band, rates in RATES.items()
    }


def _worst(scores: Floats, evidence: Evidence, name: str, clean: Mask) -> Floats:
    members = evidence.slices[name]
    inside = clean[members.places]
    return worst_of(scores[members.places[inside]], members.groups[inside])


def bands_of(scores: Floats, lines: Mapping[str, float]) -> Bands:
    """Compare scores with lines.

    Args:
        scores: Of a category [K].
        lines: By band.

    Returns:
        0 allow, 1 review, 2 block, int64 [K].
    """
    return np.where(scores >= lines["block"], BLOCK, np.where(scores >= lines["review"], REVIEW, 0))


def bands_without_family(scores: Floats, evidence: Evidence, category: str, among: Mask) -> Bands:
    """Judge each drawing by lines that were chosen without its family of sets.

    Args:
        scores: Of the category [K].
        evidence: The drawings.
        category: Its id.
        among: The drawings that may choose [K].

    Returns:
        0 allow, 1 review, 2 block, int64 [K].
    """
    bands = np.zeros(len(scores), np.int64)
    for family in np.unique(evidence.families):
        own = evidence.families == family
        bands[own] = bands_of(scores[own], choose_lines(scores, evidence, category, among & ~own))
    return bands
