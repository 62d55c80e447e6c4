"""A store and a compiled policy in, the server's own numbers of every picture out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import scored_concepts
from clipwarden.policy.schema import OnTruncated, Policy
from clipwarden.scoring.bestview import raw_scores
from clipwarden.scoring.floors import Floor, floors_missed
from clipwarden.scoring.score import Floats, cosines, score_rows
from clipwarden.scoring.tables import Tables
from clipwarden.tuning.store.contents import Block, Pictures
from clipwarden.tuning.store.store import Store

NUMBERS_AT_ONCE = 2**20
"""Cosines held at once, 4 MB; a dozen such tables of twice the size live at a time while they become scores."""


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
    logit: Floats
    score: Floats
    view: NDArray[np.int32]
    refused: NDArray[np.bool_]


def score_store(store: Store, tables: Tables, *, told: Callable[[int, int], None] | None = None) -> StoreScores:
    """Score every picture as the server does, bit for bit; 20 bytes a picture and concept, and a block of vectors.

    Args:
        store: Seen by the policy's model.
        tables: `prepare(compiled)` of the policy.
        told: For a progress bar, called with how many pictures are scored and how many there are.

    Returns:
        The numbers, in the order of the store's pictures.

    Raises:
        StoreError: The store is of another model or view plan than the policy, or damaged.
    """
    require_policy(store, tables.compiled)
    concepts = tuple(concept.id for concept in scored_concepts(tables.compiled.policy))
    shape = len(store.pictures), len(concepts)
    logit, score, view = np.empty(shape), np.empty(shape), np.empty(shape, dtype=np.int32)
    done = 0
    for block in blocks_for(store, tables.compiled):
        logit[block.pictures], score[block.pictures], view[block.pictures] = _best(block, tables)
        done += len(block.pictures)
        if told is not None:
            told(done, len(store.pictures))
    refused = refused_pictures(store.pictures, tables.compiled.policy)
    return StoreScores(concepts=concepts, logit=logit, score=score, view=view, refused=refused)


def require_policy(store: Store, compiled: CompiledPolicy) -> None:
    """Refuse a store that a policy cannot judge.

    Raises:
        StoreError: It is of another model or view plan.
    """
    if store.info.fingerprint != compiled.fingerprint:
        raise StoreError(
            f"{store.path} was seen by the model {store.info.fingerprint}, and the policy is for "
            f"{compiled.fingerprint}: embed the pictures with the policy's model, into another store."
        )
    plan = compiled.policy.plan
    if store.info.plan != plan:
        raise StoreError(
            f"{store.path} holds the views {store.info.plan.name}, and the policy looks at {plan.name}: embed the "
            f"pictures so, into another store (`clipwarden embed SOURCE -o STORE {plan.options}`)."
        )


def blocks_for(store: Store, compiled: CompiledPolicy) -> Iterator[Block]:
    """Read all vectors, as many at a time as fit what comparing them with a policy's texts may hold."""
    return store.blocks(most_views=max(1, NUMBERS_AT_ONCE // len(compiled.vectors)))


def refused_pictures(pictures: Pictures, policy: Policy) -> NDArray[np.bool_]:
    """Find `[P]`, the pictures that a policy does not judge, since their files end too early."""
    return (pictures.share_shown < 1) & (policy.on_truncated is OnTruncated.REFUSE)


def missed_floors(pictures: Pictures, picture: int, policy: Policy) -> tuple[Floor, ...]:
    """Find the floors of a policy that a picture misses, as when the server judges it."""
    coverage, resolution = float(pictures.coverage[picture]), float(pictures.resolution[picture])
    return floors_missed(policy, coverage=coverage, resolution=resolution)


def _best(block: Block, tables: Tables) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Score some pictures on the view where each concept is highest, the first of equals: `[K,C]` each."""
    scores = score_rows(cosines(block.embeddings, tables.compiled), tables)
    raw = np.where(scores.finite, raw_scores(scores, tables), -np.inf)
    highest = np.maximum.reduceat(raw, block.starts, axis=0)
    counts = np.diff([*block.starts, len(raw)])
    # Of each view its number among the picture's where it is highest, else more than any has.
    within = np.arange(len(raw)) - np.repeat(block.starts, counts)
    first = np.where(raw == np.repeat(highest, counts, axis=0), within[:, np.newaxis], len(raw))
    view = np.minimum.reduceat(first, block.starts, axis=0)
    rows, columns = block.starts[:, np.newaxis] + view, np.arange(raw.shape[1])
    finite = np.logical_and.reduceat(scores.finite, block.starts, axis=0)
    return np.where(finite, highest, -np.inf), np.where(finite, scores.score[rows, columns], -np.inf), view
