"""A store and a compiled policy in, the verdict that the server gives each picture out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.scoring.tables import Tables
from clipwarden.tuning.store.store import Store

NO_BAND = -1
"""Stands where a category gives no band, or a picture has no verdict since the policy refuses it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoreVerdicts:
    """What the server says of P pictures; K categories.

    Attributes:
        categories: K ids, in file order.
        verdict: `[P]` int8, of `Verdict`; NO_BAND where the policy refuses a file that ends too early.
        shadow_verdict: `[P]` int8, likewise.
        band: `[P,K]` int8, of `Verdict`; NO_BAND where the category gives none.
    """

    categories: tuple[str, ...]
    verdict: NDArray[np.int8]
    shadow_verdict: NDArray[np.int8]
    band: NDArray[np.int8]


def judge_store(store: Store, tables: Tables, *, context: str | None = None) -> StoreVerdicts:
    """Judge every picture by `decide.judge` itself; about 0.1 ms a picture.

    Args:
        store: Seen by the policy's model.
        tables: `prepare(compiled)` of the policy.
        context: One that the policy declares, or None.

    Returns:
        The verdicts, in the order of the store's pictures.

    Raises:
        StoreError: As `score_store`.
        ContextUnknownError: The policy declares no such context.
    """
    raise NotImplementedError
