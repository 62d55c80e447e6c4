"""A store and a compiled policy in, the verdict that the server gives each picture out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.scoring.decide import judge, require_context
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import Tables
from clipwarden.scoring.verdict import Judgement
from clipwarden.tuning.scores import blocks_for, missed_floors, refused_pictures, require_policy
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
    require_policy(store, tables.compiled)
    require_context(tables, context)
    pictures = store.pictures
    categories = tuple(category.id for category in tables.compiled.policy.categories)
    verdict, shadow = (np.full(len(pictures), NO_BAND, dtype=np.int8) for _ in range(2))
    band = np.full((len(pictures), len(categories)), NO_BAND, dtype=np.int8)
    for picture, judgement in _judgements(store, tables, context):
        verdict[picture], shadow[picture] = judgement.verdict, judgement.shadow_verdict
        band[picture] = [NO_BAND if each.band is None else int(each.band) for each in judgement.categories]
    return StoreVerdicts(categories=categories, verdict=verdict, shadow_verdict=shadow, band=band)


def _judgements(store: Store, tables: Tables, context: str | None) -> Iterator[tuple[int, Judgement]]:
    """Judge all pictures that the policy does not refuse."""
    pictures = store.pictures
    refused = refused_pictures(pictures, tables.compiled.policy)
    for block in blocks_for(store, tables.compiled):
        rows = cosines(block.embeddings, tables.compiled)
        ends = np.append(block.starts[1:], len(rows))
        for picture, begin, end in zip(block.pictures.tolist(), block.starts.tolist(), ends.tolist(), strict=True):
            if refused[picture]:
                continue
            first = int(pictures.starts[picture])
            yield (
                picture,
                judge(
                    rows[begin:end],
                    pictures.views[first : first + end - begin],
                    tables,
                    context=context,
                    partial=bool(pictures.partial[picture]),
                    degraded=bool(pictures.degraded[picture]),
                    missed=missed_floors(pictures, picture, tables.compiled.policy),
                ),
            )
