"""A store and a compiled policy in, the server's own numbers of every picture out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.scoring.tables import Tables
from clipwarden.tuning.store.store import Store


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoreScores:
    """Numbers of P pictures and C concepts, each on the view where it is highest.

    Attributes:
        concepts: C ids: the categories that some context scores, in file order, then the attributes.
        logit: `[P,C]` float64, what views are compared by: the margin, a head's logit, or, under Method.COSINE, the
            score. Minus infinity where some view's numbers are not finite, so that the server has none either.
        score: `[P,C]` float64, what thresholds are compared with; minus infinity likewise.
        view: `[P,C]` int32, the index of that view among the picture's.
        refused: `[P]` bool, whether the policy refuses the picture because its file ends too early.
    """

    concepts: tuple[str, ...]
    logit: NDArray[np.float64]
    score: NDArray[np.float64]
    view: NDArray[np.int32]
    refused: NDArray[np.bool_]


def score_store(store: Store, tables: Tables) -> StoreScores:
    """Score every picture as the server does, bit for bit; C times 20 bytes a picture, and one block of vectors.

    Args:
        store: Seen by the policy's model.
        tables: `prepare(compiled)` of the policy.

    Returns:
        The numbers, in the order of the store's pictures.

    Raises:
        StoreError: The store is of another model or view plan than the policy, or damaged.
    """
    raise NotImplementedError
