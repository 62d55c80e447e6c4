"""A model in; out comes a look at policies through the drawings that ship with it: what lint knows of their scale."""

import logging

from clipwarden.errors import ModelError, Problem
from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.references import load_references
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.load import Look
from clipwarden.scoring.scale import Pictures, measure
from clipwarden.scoring.scalewords import scale_problems
from clipwarden.scoring.tables import prepare
from clipwarden.textfiles.findings import Positions

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
        if len(compiled.vectors) > MOST_TEXTS:
            return ()
        return scale_problems(measure(prepare(compiled), pictures), positions)

    return look
