"""Choose drawings of the selection sets, and write their embeddings beside the model, so that lint knows the scale."""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.references import Drawing, References, write_references
from recipes.mini.heldout import SEED, HeldOut
from recipes.mini.labels import read_labels
from recipes.mini.moderation import Cases, gather_cases
from recipes.mini.sets import SELECTION_SETS

NEUTRAL: Final = 1600
"""Neutral drawings kept, of 3,326: with those that show harm 1.3 MB as float16. A share of 0.2 % is three of them."""


def references_of(held: HeldOut, model: Model, neutral: int) -> References:
    """Take every drawing that shows what a category looks for, and a seeded sample of the neutral ones.

    Neutral is what `fit` chose the lines on: hard negatives too, but no drawing that people could not agree on.

    Args:
        held: The held-out drawings.
        model: The model that they are embedded with.
        neutral: How many neutral drawings to keep.

    Returns:
        The drawings on white, in the order of the sets.
    """
    cases = gather_cases(held, SELECTION_SETS, read_labels())
    labels = np.stack(list(cases.truth.values()))  # [C,K]
    harmful = (labels == "positive").any(axis=0)
    clear = ~harmful & (labels != "ambiguous").all(axis=0)
    sample = np.random.default_rng(SEED).choice(np.flatnonzero(clear), neutral, replace=False)
    kept = np.sort(np.concatenate([np.flatnonzero(harmful), sample]))
    return References(
        fingerprint=model.fingerprint,
        drawings=tuple(_drawing(held, cases, int(index)) for index in kept),
        embeddings=_clean(held, cases.rows[kept]),
    )


def write(held: HeldOut, model: Model, path: Path) -> References:
    """Write the drawings; see `references_of`."""
    references = references_of(held, model, NEUTRAL)
    write_references(references, path)
    return references


def _drawing(held: HeldOut, cases: Cases, index: int) -> Drawing:
    drawing = held.drawing(int(cases.rows[index]))
    shows = tuple(sorted(name for name, truth in cases.truth.items() if truth[index] == "positive"))
    return Drawing(icon_set=drawing.icon_set, name=drawing.icon, shows=shows)


def _clean(held: HeldOut, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return held.vectors(rows, "clean")
