"""Drawings of some sets in; what is known of each, which count as one, and in which identity slice they are, out."""

from typing import Final

import numpy as np
import numpy.typing as npt

from recipes.mini.catalogue import Drawing
from recipes.mini.evidence import Evidence, Mask, Members, Truth
from recipes.mini.groups import group_drawings
from recipes.mini.heldout import HeldOut
from recipes.mini.identity import GATED, read_fixtures, slice_of, slices_by_drawing, twin_name
from recipes.mini.labels import read_labels, read_training_labels
from recipes.mini.names import strip_tone
from recipes.mini.sets import family_of

_HELD_OUT: Final = frozenset({"selection", "report"})


def gather_evidence(held: HeldOut, groups: tuple[str, ...], categories: tuple[str, ...]) -> Evidence:
    """Collect the drawings of some roles, skin tones restored.

    Args:
        held: The drawings.
        groups: Of `training`, `selection`, `report`.
        categories: Ids of the policy's categories.

    Returns:
        The evidence.
    """
    rows = np.concatenate([held.rows_in(group) for group in groups])
    drawings = [held.drawing(row) for row in rows]
    truth = _truth(drawings, categories)
    positive = np.any([labels == "positive" for labels in truth.values()], axis=0)
    toned = np.array([d.toned for d in drawings])
    kept = held.without_copies(rows[~toned], frozenset(rows[positive].tolist()))
    fine = slices_by_drawing(read_fixtures())
    detail = np.array([slice_of(d, fine) for d in drawings])
    return Evidence(
        rows=rows,
        families=np.array([family_of(d.icon_set) for d in drawings]),
        colour=np.array([d.palette for d in drawings]),
        listed=np.isin(rows, kept) & ~toned,
        truth=truth,
        slices={name: _members(held, rows, np.isin(detail, list(parts))) for name, parts in GATED.items()},
        detail=detail,
    )


def members(held: HeldOut, evidence: Evidence, detail: str) -> Members:
    """Group the drawings of one finer slice.

    Args:
        held: The drawings.
        evidence: Where they are.
        detail: As in `dress`.

    Returns:
        Its members.
    """
    return _members(held, evidence.rows, evidence.detail == detail)


def _members(held: HeldOut, rows: npt.NDArray[np.int64], inside: Mask) -> Members:
    places = np.flatnonzero(inside)
    if not len(places):
        return Members(places=places, groups=places)
    drawings = [held.drawing(row) for row in rows[places]]
    names = [twin_name(d.icon_set, d.icon) for d in drawings]
    return Members(places=places, groups=group_drawings(names, held.signatures(rows[places])))


def _truth(drawings: list[Drawing], categories: tuple[str, ...]) -> dict[str, Truth]:
    """Look up labels: held-out drawings by set and name, training drawings by class."""
    by_drawing: dict[tuple[str, str], dict[str, str]] = {}
    for label in read_labels():
        by_drawing.setdefault((label.icon_set, label.icon), {})[label.category] = label.label
    by_name = read_training_labels()
    found = [
        by_drawing.get((d.icon_set, strip_tone(d.icon_set, d.icon)), {})
        if d.group in _HELD_OUT
        else by_name.get(d.name, {})
        for d in drawings
    ]
    return {c: np.array([labels.get(c, "negative") for labels in found]) for c in categories}
