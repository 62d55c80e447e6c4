"""Rows of pictures in, each picture once out: equal rows are one, and rows that contradict one another an error."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import StoreError
from clipwarden.tuning.store.pictures import PictureRows

COMPARED_AT_ONCE = 2**14
"""Pictures whose vectors are compared at once: 64 MiB where each has one of width 512."""


def without_copies(rows: PictureRows, vectors: Callable[[PictureRows], NDArray[np.float32]]) -> PictureRows:
    """Order pictures by digest, and keep one row of each.

    A picture that could not be judged once and could later can be. Two writers may have embedded the same picture; then
    both have the same vectors, since both had the same file and the same model.

    Args:
        rows: Of all parts.
        vectors: Reads those of some rows.

    Returns:
        The rows, by digest.

    Raises:
        StoreError: Two rows of a picture have different views or vectors.
    """
    # Of one picture those that can be judged come first; of equals, the one whose part comes first.
    order = np.lexsort((rows.row, rows.part, ~rows.judgeable, rows.sha256.keys))
    ordered = rows.sha256.keys[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    kept = order[first]
    if first.all():
        return rows.take(kept)
    copies, originals = order[~first], kept[np.cumsum(first)[~first] - 1]
    seen = rows.judgeable[copies]
    _require_same(rows, originals[seen], copies[seen], vectors)
    return rows.take(kept)


def _require_same(
    rows: PictureRows,
    originals: NDArray[np.intp],
    copies: NDArray[np.intp],
    vectors: Callable[[PictureRows], NDArray[np.float32]],
) -> None:
    for begin in range(0, len(copies), COMPARED_AT_ONCE):
        mine, its = (some[begin : begin + COMPARED_AT_ONCE] for some in (originals, copies))
        alike = all(rows.same(one, other) for one, other in zip(mine.tolist(), its.tolist(), strict=True))
        if not alike or not np.array_equal(vectors(rows.take(mine)), vectors(rows.take(its))):
            raise _contradiction(rows, mine, its, vectors)


def _contradiction(
    rows: PictureRows,
    originals: NDArray[np.intp],
    copies: NDArray[np.intp],
    vectors: Callable[[PictureRows], NDArray[np.float32]],
) -> StoreError:
    def same(one: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
        return rows.same(int(one[0]), int(other[0])) and np.array_equal(
            vectors(rows.take(one)), vectors(rows.take(other))
        )

    pairs = zip(originals.reshape(-1, 1), copies.reshape(-1, 1), strict=True)
    name = next(rows.sha256[int(one[0])] for one, other in pairs if not same(one, other))
    return StoreError(
        f"Two parts contradict each other about the picture {name}; forget it with `clipwarden store forget`, and "
        "embed it again."
    )
